//! Blocks: what is read for one, and that they are all of a file.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use bytes::Bytes;

use super::*;
use crate::places::{Blob, Memory, Stamp};
use crate::{Block, Cell, Values};

/// Counts what is read.
struct Counting {
    memory: Memory,
    bytes: AtomicU64,
    largest: AtomicU64,
}

impl Blob for Counting {
    fn name(&self) -> &str {
        self.memory.name()
    }

    fn length(&self) -> u64 {
        self.memory.length()
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        self.bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
        self.largest.fetch_max(range.end - range.start, Ordering::Relaxed);
        self.memory.get(range)
    }
}

struct Counted {
    data: Box<dyn Dataset>,
    blob: Arc<Counting>,
}

impl Counted {
    fn open(name: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let stamp = Stamp { path: name.into(), length: bytes.len() as u64, modified: None, etag: None };
        let memory = Memory::new(name, bytes);
        let blob = Arc::new(Counting { memory, bytes: 0.into(), largest: 0.into() });
        let opened = Opened { stamp, blob: blob.clone(), packed: false };
        let data = Opener::new(&Reading::default()).open(opened, name, None).unwrap();
        Self { data, blob }
    }

    /// Bytes that were read since this was last asked.
    fn read(&self) -> u64 {
        self.blob.bytes.swap(0, Ordering::Relaxed)
    }

    fn largest(&self) -> u64 {
        self.blob.largest.swap(0, Ordering::Relaxed)
    }

    fn cells(&self, block: Block, columns: &[usize]) -> Vec<Vec<String>> {
        let chunk = self.data.read(block, columns).unwrap();
        assert!(chunk.torn.is_empty(), "{:?}", chunk.torn.first());
        chunk.values.iter().map(spelled).collect()
    }

    /// All cells of a column, its blocks read in another order than theirs.
    fn column(&self, column: usize) -> Vec<String> {
        let blocks = self.data.blocks();
        let mut parts = vec![Vec::new(); blocks.len()];
        for step in 0..blocks.len() {
            let place = (blocks.len() - 1 - step) * 7 % blocks.len();
            let place =
                if parts[place].is_empty() { place } else { parts.iter().position(Vec::is_empty).unwrap() };
            parts[place] = self.cells(blocks[place], &[column]).remove(0);
        }
        parts.concat()
    }
}

fn spelled(values: &Values) -> Vec<String> {
    let raw = |cell: Cell<'_>| cell.spelled().into_owned();
    match values {
        Values::Text(all) => all.iter().map(|text| text.unwrap_or("-").to_owned()).collect(),
        _ => values.cells().map(raw).collect(),
    }
}

/// Quotes, line ends of both kinds within and without, blank lines and byte order marks: where blocks meet
/// too, after rows and after bytes.
#[test]
fn text_in_blocks_is_the_whole_text() {
    let mut text = String::from("\u{feff}n,\"te\"\"xt\",x\r\n");
    let mut expected = Vec::new();
    for i in 0..9000 {
        // Long fields for a while, so that some blocks end by their bytes, in the middle of quotes.
        let long = if (4000..5200).contains(&i) { "0123456789\n".repeat(2600) } else { String::new() };
        let (plain, kept) = match i % 7 {
            0 => (format!("\"a,{long}\r\n\"\"b\"\"\n\""), format!("a,{long}\r\n\"b\"\n")),
            1 => (format!("\"{long}\""), long),
            2 => ("c\"d".into(), "c\"d".into()),
            3 => ("\u{e9}".into(), "\u{e9}".into()),
            4 => (String::new(), String::new()),
            5 => ("\"\"".into(), String::new()),
            _ => ("x".into(), "x".into()),
        };
        let end = ["\n", "\r\n", "\n\n", "\r", "\r\n\r\n"][i % 5];
        let mark = if i % 11 == 0 { "\u{feff}" } else { "" };
        text += &format!("{mark}{i},{plain},y{end}");
        expected.push((format!("{mark}{i}"), kept));
    }
    let text = text.trim_end().to_owned();
    assert!(text.len() > 2 * (4 << 20));
    let file = Counted::open("a.csv", text.clone());
    let names: Vec<&str> = file.data.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["n", "te\"xt", "x"]);
    let rows: Vec<u64> = file.data.blocks().iter().map(|block| block.rows).collect();
    assert_eq!(rows.iter().sum::<u64>(), 9000);
    assert!(rows.contains(&4096) && rows.len() > 3, "{rows:?}");
    // The scan holds windows, not the text.
    assert!(file.largest() <= 4 << 20 && file.read() < 2 * text.len() as u64);
    let (numbers, texts): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
    assert!(file.column(0) == numbers);
    assert!(file.column(1) == texts);
    // Every block once, and little else.
    assert!(file.read() <= 2 * text.len() as u64);
    assert!(file.largest() < 5 << 20);
    // The line of a row, which is not its number.
    let before = text.find("8999,").unwrap();
    let line = 1 + text[..before].matches('\n').count() as u64;
    assert_eq!(file.data.locate(8999).1, crate::Place::Line(line));
}

#[test]
fn objects_in_blocks_are_all_objects() {
    let line = |i: u32| match i % 3 {
        0 => format!("{{\"a\": {i}, \"b\": \"x\\n{}\"}}\r\n", "y".repeat(2000)),
        1 => format!("\n  {{\"b\": null, \"a\": {i}}}\n"),
        _ => format!("{{\"c\": [{i}], \"a\": 0, \"a\": {i}}}\n"),
    };
    let text: String = (0..9000).map(line).collect();
    let file = Counted::open("a.jsonl", text.clone());
    assert!(file.data.blocks().len() > 2);
    let names: Vec<&str> = file.data.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    file.read();
    assert!(file.column(0) == (0..9000).map(|i: u32| i.to_string()).collect::<Vec<_>>());
    assert!(file.read() <= text.len() as u64);
    let cells = file.cells(file.data.blocks()[0], &[2, 1]);
    assert_eq!((cells[0][2].as_str(), cells[0][0].as_str(), cells[1][1].as_str()), ("[2]", "-", "-"));
    assert!(cells[1][3].starts_with("x\nyy"));
}

/// A quote that is never closed must not be read into memory to the end of the file.
#[test]
fn a_row_without_end() {
    let text = [&b"a,b\n1,2\n3,\"4\n"[..], &vec![b'x'; 70 << 20]].concat();
    let stamp = Stamp { path: "a.csv".into(), length: text.len() as u64, modified: None, etag: None };
    let opened = Opened { stamp, blob: Arc::new(Memory::new("a.csv", text)), packed: false };
    let opened = Opener::new(&Reading::default()).open(opened, "a.csv", None);
    assert_eq!(
        opened.map(|data| data.rows()).unwrap_err().to_string(),
        "a.csv, line 3: the row that begins here has more than 67108864 bytes; is a quote never closed?"
    );
}

const COLUMNS: usize = 20;

fn numbers(rows: usize) -> RecordBatch {
    let column = |c: usize| -> (String, ArrayRef) {
        let value = |r| ((r * 2_654_435_761_usize + c) % 1_000_003) as f64;
        (format!("c{c}"), Arc::new(Float64Array::from_iter_values((0..rows).map(value))))
    };
    RecordBatch::try_from_iter((0..COLUMNS).map(column)).unwrap()
}

fn grouped(batch: &RecordBatch, group: usize, index: bool) -> Vec<u8> {
    let statistics = if index { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(!index)
        .set_data_page_row_count_limit(4096)
        .set_write_batch_size(1024)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parts_of_a_row_group() {
    let (rows, batch) = (40_000, numbers(40_000));
    let whole = |column| spelled(&Values::of(batch.column(column)).unwrap());
    for index in [true, false] {
        let bytes = grouped(&batch, 36_000, index);
        let all = (rows * COLUMNS * 8) as u64;
        let file = Counted::open("a.parquet", bytes);
        let blocks = file.data.blocks().to_vec();
        let sizes: Vec<u64> = blocks.iter().map(|block| block.rows).collect();
        assert_eq!(sizes, [16_384, 16_384, 36_000 - 32_768, 4000]);
        assert!(file.read() < all / 10, "opening reads the footer");
        // In order, everything is read once, or nearly so: a reader goes on where it was.
        let mut found: Vec<Vec<String>> = vec![Vec::new(); COLUMNS];
        let columns: Vec<usize> = (0..COLUMNS).rev().collect();
        for block in &blocks {
            for (column, mut cells) in columns.iter().zip(file.cells(*block, &columns)) {
                found[*column].append(&mut cells);
            }
        }
        let read = file.read();
        assert!(read < all + all / 10, "{read} of {all}");
        assert!((0..COLUMNS).all(|column| found[column] == whole(column)));
        // One column of many.
        assert!(file.column(3) == whole(3));
        let read = file.read();
        let most = if index { all / COLUMNS as u64 * 12 / 10 } else { all / COLUMNS as u64 * 3 };
        assert!(read < most, "{read}, {most}");
        // One part of many, by the index: its own pages.
        if index {
            file.cells(blocks[1], &columns);
            let read = file.read();
            let own = 16_384 * COLUMNS as u64 * 8;
            assert!(read < own + own / 10, "{read} of {own}");
        }
        assert_eq!(file.data.read(blocks[2], &[]).unwrap().values.len(), 0);
        assert!(file.data.read(blocks[0], &[99]).is_err());
        assert!(file.data.read(Block { first: 1, rows: 9 }, &[0]).is_err());
    }
}

#[test]
fn batches_of_an_arrow_file_and_stream() {
    let batch = numbers(20_000);
    let whole = |column| spelled(&Values::of(batch.column(column)).unwrap());
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    let mut streamer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    for part in [batch.slice(0, 500), batch.slice(500, 0), batch.slice(500, 19_500)] {
        writer.write(&part).unwrap();
        streamer.write(&part).unwrap();
    }
    for (name, bytes) in
        [("a.arrow", writer.into_inner().unwrap()), ("a.arrows", streamer.into_inner().unwrap())]
    {
        let file = Counted::open(name, bytes);
        let sizes: Vec<u64> = file.data.blocks().iter().map(|block| block.rows).collect();
        assert_eq!(sizes, [500, 16_384, 19_500 - 16_384]);
        assert!(file.read() < 20_000, "opening reads headers");
        file.cells(file.data.blocks()[0], &[0]);
        assert!(file.read() < 500 * 8 * COLUMNS as u64 + 8000);
        assert!(file.column(5) == whole(5));
    }
}

/// A stream may exchange its dictionaries on the way.
#[test]
fn dictionaries_that_change() {
    use arrow_array::types::Int32Type;
    let batch = |texts: &[&str]| {
        let array: arrow_array::DictionaryArray<Int32Type> = texts.iter().copied().collect();
        RecordBatch::try_from_iter([("a", Arc::new(array) as ArrayRef)]).unwrap()
    };
    let (first, second) = (batch(&["red", "blue"]), batch(&["green", "red", "green"]));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &first.schema()).unwrap();
    writer.write(&first).unwrap();
    writer.write(&second).unwrap();
    let file = Counted::open("a.arrows", writer.into_inner().unwrap());
    assert_eq!(file.column(0), ["red", "blue", "green", "red", "green"]);
    assert_eq!(file.column(0), ["red", "blue", "green", "red", "green"]);
}

#[test]
fn rows_of_an_array() {
    let header = |descr: &str, fortran: &str, shape: &str, data: Vec<u8>| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()
    };
    let rows: Vec<u16> = (0..10_000u16).collect();
    let half: Vec<u8> =
        rows.iter().flat_map(|x| [x.to_le_bytes(), 0x3e00u16.to_le_bytes()].concat()).collect();
    let file = Counted::open("a.npy", header("<f2", "False", "(10000, 2)", half));
    assert_eq!(file.data.blocks().len(), 3);
    file.read();
    // 16-bit floats: the smallest there is, and one and a half.
    let cells = file.cells(file.data.blocks()[0], &[1, 0]);
    assert_eq!(file.read(), 4096 * 4);
    assert_eq!(
        (cells[0][7].as_str(), cells[1][0].as_str(), cells[1][1].as_str()),
        ("1.5", "0", "0.00000005960464477539063")
    );
    // By columns: only those asked for.
    let columns: Vec<u8> = rows.iter().chain(&rows).flat_map(|x| x.to_be_bytes()).collect();
    let file = Counted::open("a.npy", header(">u2", "True", "(10000, 2)", columns));
    file.read();
    assert!(file.column(1) == rows.iter().map(u16::to_string).collect::<Vec<_>>());
    assert_eq!(file.read(), 20_000);
    // Wide rows make small blocks.
    let file = Counted::open("a.npy", header("<f8", "False", "(8, 1000000)", vec![0; 64_000_000]));
    assert_eq!(file.data.blocks().iter().map(|block| block.rows).collect::<Vec<_>>(), [2, 2, 2, 2]);
}

#[test]
fn extensions() {
    for (name, format) in [
        ("a.csv", Some(Format::Csv)),
        ("A.CSV.GZ", Some(Format::Csv)),
        ("a.b.tsv.zst", Some(Format::Tsv)),
        ("x.parquet.brotli", Some(Format::Parquet)),
        ("x.feather", Some(Format::Arrow)),
        ("train-images.gz", None),
        ("csv", None),
        ("a.csv.txt", None),
        ("", None),
    ] {
        assert_eq!(by_name(name), format, "{name}");
    }
}
