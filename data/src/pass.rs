//! One pass over the rows of a dataset: row by row, in order, bad ones refused or left out.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use lockstep_core::run::spec::{OnBadRow, Reading};

use crate::{Block, Cell, Chunk, DataError, Dataset, Wrong};

/// Which rows of a dataset are looked at, and how.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) data: &'a dyn Dataset,
    /// Those of its blocks that are gone through.
    pub(crate) blocks: &'a [Block],
    pub(crate) reading: &'a Reading,
    pub(crate) on_bad_row: OnBadRow,
    /// Hears of each block that is done, by its rows.
    pub(crate) done: &'a (dyn Fn(u64) + Sync),
    /// Rows for which it says no are passed over.
    pub(crate) wanted: &'a (dyn Fn(u64) -> bool + Sync),
}

/// What is wrong with a row, and with which of the columns asked for.
pub(crate) type Bad = (Option<usize>, Wrong);

impl Pass<'_> {
    /// Calls `take` for every wanted row with its cells in these columns. `take` must leave nothing
    /// behind when it says that a row is bad. Gives the number of rows that were left out.
    ///
    /// # Errors
    /// The data cannot be read; or a row is bad, unless bad rows are skipped.
    pub(crate) fn each(
        &self,
        columns: &[usize],
        mut take: impl FnMut(u64, &[Cell<'_>]) -> Result<(), Bad>,
    ) -> Result<u64, DataError> {
        let missing = Missing::new(&self.reading.missing_values);
        let mut skipped = 0;
        self.each_block(columns, |block, chunk| {
            let mut torn = chunk.torn.iter().peekable();
            let mut cells: Vec<_> = chunk.values.iter().map(|values| values.cells()).collect();
            let mut row_cells = Vec::with_capacity(cells.len());
            for row in block.first..block.first + block.rows {
                row_cells.clear();
                row_cells.extend(cells.iter_mut().map(|cells| missing.seen(cells.next())));
                let torn = torn.next_if(|(torn, _)| *torn == row);
                if !(self.wanted)(row) {
                    continue;
                }
                let taken = match torn {
                    Some((_, why)) => Err((None, why.clone())),
                    None => take(row, &row_cells),
                };
                match taken {
                    Ok(()) => {}
                    Err(_) if self.on_bad_row == OnBadRow::Skip => skipped += 1,
                    Err((column, why)) => {
                        let column = column.and_then(|column| columns.get(column).copied());
                        return Err(self.data.wrong(row, column, why));
                    }
                }
            }
            Ok(())
        })?;
        Ok(skipped)
    }

    /// Reads block after block, the next one while `take` has the one before.
    pub(crate) fn each_block(
        &self,
        columns: &[usize],
        mut take: impl FnMut(Block, Chunk) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        if let [block] = self.blocks {
            return take(*block, self.data.read(*block, columns)?);
        }
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(1);
            let (data, blocks) = (self.data, self.blocks);
            scope.spawn(move || {
                for block in blocks {
                    let values = data.read(*block, columns);
                    let failed = values.is_err();
                    // Nobody listens once something is wrong.
                    if sender.send((*block, values)).is_err() || failed {
                        return;
                    }
                }
            });
            receiver.into_iter().try_for_each(|(block, values)| {
                take(block, values?)?;
                (self.done)(block.rows);
                Ok(())
            })
        })
    }
}

/// What stands for a missing value.
struct Missing<'a> {
    texts: BTreeSet<&'a str>,
    numbers: Vec<f64>,
    nan: bool,
}

impl<'a> Missing<'a> {
    fn new(texts: &'a [String]) -> Self {
        let numbers: Vec<f64> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        Self {
            texts: texts.iter().map(|text| text.trim()).collect(),
            nan: numbers.iter().any(|number| number.is_nan()),
            numbers,
        }
    }

    fn seen<'c>(&self, cell: Option<Cell<'c>>) -> Cell<'c> {
        let cell = cell.unwrap_or(Cell::Missing);
        let missing = match cell {
            Cell::Text(text) => self.texts.contains(text),
            Cell::Whole(number) => self.numbers.contains(&(number as f64)),
            Cell::Real(number) => self.numbers.contains(&number) || self.nan && number.is_nan(),
            _ => false,
        };
        if missing { Cell::Missing } else { cell }
    }
}
