//! Writes the flights of `examples/flights.toml`: `late_flights IN.parquet OUT.parquet`.
//!
//! The column `delay` becomes `late`, whether it is more than 15 minutes; everything else stays as it is, in
//! the same order.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const MINUTES: f64 = 15.0;
/// Rows of a row group: several for each shard.
const GROUP: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: late_flights IN.parquet OUT.parquet".into());
    };
    convert(Path::new(&from), Path::new(&to))
}

fn convert(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(from)?)?;
    let schema = Arc::clone(reader.schema());
    let (delay, _) = schema.column_with_name("delay").ok_or("there is no column delay")?;
    let fields = schema.fields().iter().enumerate().map(|(place, field)| match place {
        _ if place == delay => Arc::new(Field::new("late", DataType::Boolean, false)),
        _ => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(to)?, Arc::clone(&schema), Some(properties))?;
    for batch in reader.build()? {
        let batch = batch?;
        let mut columns = batch.columns().to_vec();
        let place = columns.get_mut(delay).ok_or("a batch has no column delay")?;
        *place = late(place)?;
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    writer.close()?;
    Ok(())
}

fn late(delay: &ArrayRef) -> Result<ArrayRef, Box<dyn Error>> {
    let minutes = cast(delay, &DataType::Float64)?;
    let minutes = minutes.as_any().downcast_ref::<arrow_array::Float64Array>().ok_or("delay is no number")?;
    if minutes.null_count() > 0 {
        return Err("a flight has no delay".into());
    }
    Ok(Arc::new(BooleanArray::from_iter(minutes.iter().map(|minutes| minutes.map(|m| m > MINUTES)))))
}
