//! A dataset: its columns, what stands in them, and how a model would see them.

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::run::spec::{Column as Seen, Reading, Source};
use lockstep_data::{Cell, Column, Dataset, Kind, Profile, Values, Wrong, open};
use serde_json::{Value, json};

use super::Description;
use crate::failure::Failure;
use crate::print::{count, table};

/// Different values that are counted.
const MOST: usize = 1000;
/// Different values that are named.
const FEW: usize = 20;
/// Letters of their names that are shown.
const WIDEST: usize = 40;
/// Rows that are shown.
const PREVIEW: usize = 5;
/// Bars of a histogram.
const BARS: usize = 8;

/// # Errors
/// There is no such data, or they cannot be read.
pub(super) fn describe(source: &Source) -> Result<Description, Failure> {
    let data = open(source, &Reading::default(), Path::new("")).map_err(Failure::bad)?;
    let (summaries, torn) = summaries(&*data)?;
    let columns: Vec<(&Column, Summary)> = data.columns().iter().zip(summaries).collect();
    let preview: Vec<Vec<String>> = (0..PREVIEW.min(usize::try_from(data.rows()).unwrap_or(PREVIEW)))
        .map(|row| {
            columns.iter().map(|(_, summary)| summary.preview.get(row).cloned().unwrap_or_default()).collect()
        })
        .collect();
    let json = json!({
        "kind": "dataset",
        "file": data.file(),
        "rows": data.rows(),
        "blocks": data.blocks().len(),
        "torn": torn.rows,
        "columns": columns.iter().map(|(column, summary)| summary.json(column)).collect::<Vec<_>>(),
        "preview": preview,
    });
    let header = ["column", "kind", "seen as", "least", "greatest", "histogram", "different", "empty"];
    let lines = columns.iter().map(|(column, summary)| summary.cells(column));
    let names = data.columns().iter().map(|column| column.name.clone()).collect();
    let mut text = format!(
        "{}: {} rows, {} columns\n\n{}\n",
        data.file(),
        count(data.rows()),
        columns.len(),
        table(&std::iter::once(header.map(String::from).to_vec()).chain(lines).collect::<Vec<_>>()),
    );
    if columns.len() <= FEW {
        text += &table(&std::iter::once(names).chain(preview).collect::<Vec<_>>());
    }
    if let Some((row, why)) = torn.first {
        text += &format!("\n{} torn rows; the first: {}\n", torn.rows, data.wrong(row, None, why));
    }
    Ok(Description { json, text })
}

/// Rows that are none.
#[derive(Default)]
pub struct Torn {
    rows: u64,
    first: Option<(u64, Wrong)>,
}

/// What stands in each column, and the rows that are torn; the bars of histograms need a pass of their own.
///
/// # Errors
/// The data cannot be read.
pub fn summaries(data: &dyn Dataset) -> Result<(Vec<Summary>, Torn), Failure> {
    let mut summaries: Vec<Summary> = data.columns().iter().map(|_| Summary::default()).collect();
    let mut torn = Torn::default();
    let all: Vec<usize> = (0..summaries.len()).collect();
    let mut each = |take: &mut dyn FnMut(usize, Cell<'_>)| -> Result<(), Failure> {
        torn = Torn::default();
        for block in data.blocks() {
            let chunk = data.read(*block, &all).map_err(Failure::bad)?;
            torn.rows += chunk.torn.len() as u64;
            torn.first = torn.first.take().or(chunk.torn.into_iter().next());
            for (column, values) in chunk.values.iter().enumerate() {
                if !matches!(values, Values::Bytes(_)) {
                    values.cells().for_each(|cell| take(column, cell));
                }
            }
        }
        Ok(())
    };
    each(&mut |column, cell| {
        summaries.get_mut(column).into_iter().for_each(|summary| summary.add(cell));
    })?;
    each(&mut |column, cell| {
        summaries.get_mut(column).into_iter().for_each(|summary| summary.bar(cell));
    })?;
    Ok((summaries, torn))
}

/// What stands in a column.
#[derive(Default)]
pub struct Summary {
    /// What it would be taken for.
    pub profile: Profile,
    /// Of its numbers.
    pub range: Option<(f64, f64)>,
    bars: [u64; BARS],
    /// Rows of each value, up to [`MOST`] different ones.
    pub values: BTreeMap<String, u64>,
    preview: Vec<String>,
}

impl Summary {
    fn add(&mut self, cell: Cell<'_>) {
        let cell = if cell == Cell::Text("") { Cell::Missing } else { cell };
        self.profile.add(cell);
        if let Some(number) = cell.number() {
            let (least, greatest) = self.range.unwrap_or((number, number));
            self.range = Some((least.min(number), greatest.max(number)));
        }
        let text = cell.spelled();
        if self.preview.len() < PREVIEW {
            self.preview.push(text.clone().into_owned());
        }
        if cell == Cell::Missing {
            return;
        }
        if let Some(count) = self.values.get_mut(text.as_ref()) {
            *count += 1;
        } else if self.values.len() < MOST {
            self.values.insert(text.into_owned(), 1);
        }
    }

    fn bar(&mut self, cell: Cell<'_>) {
        let (Some(number), Some((least, greatest))) = (cell.number(), self.range) else { return };
        // Halved: the span of the largest numbers is beyond f64.
        let share = (number / 2.0 - least / 2.0) / (greatest / 2.0 - least / 2.0);
        let bar = (share * BARS as f64) as usize;
        self.bars.iter_mut().skip(bar.min(BARS - 1)).take(1).for_each(|count| *count += 1);
    }

    /// How a model would see it.
    pub fn seen(&self) -> Seen {
        self.profile.column()
    }

    /// Whether there may be more different values than were counted.
    pub fn has_many(&self) -> bool {
        self.values.len() == MOST
    }

    /// Whether a value stands in several rows, as far as values were counted.
    pub fn repeats(&self, rows: u64) -> bool {
        let counted = if self.has_many() { self.values.values().sum() } else { rows };
        counted >= 2 * self.values.len() as u64
    }

    fn numbers(&self) -> Option<(f64, f64)> {
        self.range.filter(|_| matches!(self.seen(), Seen::Numeric { .. }))
    }

    fn kind(&self, column: &Column) -> String {
        match &column.kind {
            Kind::Bytes(sample) => format!("bytes {sample:?}"),
            Kind::Whole | Kind::Real => "number".into(),
            Kind::Text if self.numbers().is_some() => "number".into(),
            Kind::Text => "text".into(),
            Kind::Bool => "true or false".into(),
            Kind::Time => "date".into(),
            Kind::Other(name) => name.clone(),
        }
    }

    fn seen_as(&self, column: &Column) -> &'static str {
        match (&column.kind, self.seen()) {
            (Kind::Bytes(_), _) => "picture",
            (_, Seen::Numeric { .. }) => "numeric",
            (_, Seen::Categorical { .. }) => "categorical",
            (_, Seen::Boolean) => "boolean",
            (_, Seen::DateTime { .. }) => "date_time",
            (_, Seen::Ignore) => "ignore",
        }
    }

    /// The counts of few values, or how many there are.
    fn different(&self) -> String {
        match (self.values.len(), self.few()) {
            (MOST, _) => format!("{MOST} or more"),
            (len, Some(few)) if self.numbers().is_none() => {
                let names = few.keys().cloned().collect::<Vec<_>>().join(", ");
                if names.chars().count() <= WIDEST { names } else { len.to_string() }
            }
            (len, _) => len.to_string(),
        }
    }

    fn few(&self) -> Option<&BTreeMap<String, u64>> {
        (self.values.len() <= FEW).then_some(&self.values)
    }

    /// A histogram of numbers, or the balance of few values.
    fn sparkline(&self) -> String {
        const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let counts: Vec<u64> = match (self.numbers(), self.few()) {
            (Some(_), _) => self.bars.to_vec(),
            (None, Some(few)) => few.values().copied().collect(),
            _ => Vec::new(),
        };
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let height = |count: &u64| match count {
            0 => ' ',
            _ => HEIGHTS.get((count * 7 / most) as usize).copied().unwrap_or('█'),
        };
        counts.iter().map(height).collect()
    }

    fn json(&self, column: &Column) -> Value {
        let (least, greatest) = self.numbers().unzip();
        let different = (self.values.len() < MOST).then_some(self.values.len());
        json!({
            "name": column.name, "kind": self.kind(column), "seen_as": self.seen_as(column),
            "least": least, "greatest": greatest, "histogram": self.numbers().map(|_| self.bars),
            "different": different, "empty": self.profile.missing,
            "values": self.few().map(|few| few.keys().collect::<Vec<_>>()),
            "counts": self.few(),
        })
    }

    fn cells(&self, column: &Column) -> Vec<String> {
        let (least, greatest) = self.numbers().unzip();
        let shown = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let missing = self.profile.missing;
        vec![
            column.name.clone(),
            self.kind(column),
            self.seen_as(column).into(),
            shown(least),
            shown(greatest),
            self.sparkline(),
            self.different(),
            if missing == 0 { String::new() } else { count(missing) },
        ]
    }
}
