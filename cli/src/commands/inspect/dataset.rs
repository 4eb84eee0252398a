//! A dataset: its columns, and what stands in them.

use std::collections::BTreeSet;
use std::path::Path;

use lockstep_core::run::spec::Source;
use lockstep_data::{Column, Kind, Values, open};
use serde_json::{Value, json};

use super::Description;
use crate::failure::Failure;
use crate::print::{count, table};

/// Different values that are counted.
const MOST: usize = 1000;
/// Different values that are named.
const FEW: usize = 20;

/// # Errors
/// There is no such data, or they cannot be read.
pub(super) fn describe(source: &Source) -> Result<Description, Failure> {
    let data = open(source, Path::new("")).map_err(Failure::bad)?;
    let mut columns: Vec<Summary> = data.columns().iter().map(|_| Summary::default()).collect();
    let all: Vec<usize> = (0..columns.len()).collect();
    for block in data.blocks() {
        let values = data.read(*block, &all).map_err(Failure::bad)?;
        columns.iter_mut().zip(&values).for_each(|(summary, values)| summary.add(values));
    }
    let columns: Vec<(&Column, Summary)> = data.columns().iter().zip(columns).collect();
    let json = json!({
        "kind": "dataset",
        "file": data.file(),
        "rows": data.rows(),
        "columns": columns.iter().map(|(column, summary)| summary.json(column)).collect::<Vec<_>>(),
    });
    let header = ["column", "kind", "least", "greatest", "different", "empty"].map(String::from).to_vec();
    let lines = columns.iter().map(|(column, summary)| summary.cells(column));
    let text = format!(
        "{}: {} rows, {} columns\n\n{}",
        data.file(),
        count(data.rows()),
        columns.len(),
        table(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
    );
    Ok(Description { json, text })
}

/// What stands in a column.
#[derive(Default)]
struct Summary {
    /// Cells that are no finite number.
    texts: u64,
    empty: u64,
    range: Option<(f64, f64)>,
    different: BTreeSet<String>,
}

impl Summary {
    fn add(&mut self, values: &Values) {
        match values {
            Values::Text(texts) => texts.iter().for_each(|text| self.cell(text)),
            Values::Bytes(bytes) => {
                for byte in bytes {
                    self.number(f64::from(*byte));
                }
                let new: BTreeSet<u8> = bytes.iter().copied().collect();
                self.different.extend(new.iter().map(ToString::to_string));
            }
        }
    }

    fn cell(&mut self, text: &str) {
        match text.parse::<f64>() {
            _ if text.is_empty() => self.empty += 1,
            Ok(number) if number.is_finite() => self.number(number),
            _ => self.texts += 1,
        }
        if self.different.len() < MOST && !text.is_empty() && !self.different.contains(text) {
            self.different.insert(text.to_owned());
        }
    }

    fn number(&mut self, number: f64) {
        let (least, greatest) = self.range.unwrap_or((number, number));
        self.range = Some((least.min(number), greatest.max(number)));
    }

    /// A range of numbers, if all are numbers.
    fn numbers(&self) -> Option<(f64, f64)> {
        self.range.filter(|_| self.texts == 0)
    }

    fn kind(&self, column: &Column) -> String {
        match &column.kind {
            Kind::Bytes(sample) if sample.is_empty() => "byte".into(),
            Kind::Bytes(sample) => format!("bytes {sample:?}"),
            Kind::Text if self.numbers().is_some() => "number".into(),
            Kind::Text => "text".into(),
        }
    }

    fn different(&self) -> String {
        match (self.different.len(), self.few()) {
            (MOST, _) => format!("{MOST} or more"),
            (_, Some(few)) if self.numbers().is_none() => few.into_iter().collect::<Vec<_>>().join(", "),
            (len, _) => len.to_string(),
        }
    }

    fn few(&self) -> Option<BTreeSet<&str>> {
        let all = self.different.iter().map(String::as_str);
        (self.different.len() <= FEW).then(|| all.collect())
    }

    fn json(&self, column: &Column) -> Value {
        let (least, greatest) = self.numbers().unzip();
        let different = (self.different.len() < MOST).then_some(self.different.len());
        json!({
            "name": column.name, "kind": self.kind(column), "least": least, "greatest": greatest,
            "different": different, "empty": self.empty, "values": self.few(),
        })
    }

    fn cells(&self, column: &Column) -> Vec<String> {
        let (least, greatest) = self.numbers().unzip();
        let shown = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (least, greatest) = (shown(least), shown(greatest));
        let empty = if self.empty == 0 { String::new() } else { count(self.empty) };
        vec![column.name.clone(), self.kind(column), least, greatest, self.different(), empty]
    }
}
