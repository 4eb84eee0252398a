//! A run's data, ready to train on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_core::epoch::Arrangement;
use lockstep_core::run::spec::{Data, Validation};
use serde::{Deserialize, Serialize};

use crate::fit::fit;
use crate::pass::Pass;
use crate::rows::{Files, list, memory, whole};
use crate::{
    BlockCache, Blocks, Catalog, Changed, DataError, Dataset, Encoder, Goal, Held, Listing, Rows, Stage,
    TargetUse, Watch, Wrong, open, unwatched,
};

/// A run's data.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The rows to train on, in the file's order.
    pub train: Rows,
    /// The rows to validate on, in the file's order.
    pub validation: Option<Rows>,
    /// What they are, with the encoder, fitted on the training rows.
    pub catalog: Catalog,
}

/// Bad rows that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Of the rows to train on.
    pub train: u64,
    /// Of the rows to validate on.
    pub validation: u64,
}

/// As [`load_watched`], unseen.
///
/// # Errors
/// As [`load_watched`].
pub fn load(data: &Data, goal: Goal<'_>, seed: u64, base: &Path) -> Result<Prepared, DataError> {
    load_watched(data, goal, seed, base, &unwatched)
}

/// Reads the data of a run; relative paths start at `base`, the run file's folder.
///
/// # Errors
/// The first thing that is wrong with the data, or with what the run file says of it.
pub fn load_watched(
    data: &Data,
    goal: Goal<'_>,
    seed: u64,
    base: &Path,
    watch: Watch<'_>,
) -> Result<Prepared, DataError> {
    let train: Arc<dyn Dataset> = open(&data.train, &data.reading, base)?.into();
    let (trained, out) = held(data, seed);
    if let (Validation::Fraction(share), Some(out)) = (&data.validation, out) {
        let rows = train.rows();
        // Two rows mostly tell: a file may announce more rows than can be counted.
        let [some, all] = [(0..rows).any(|row| out.has(row)), (0..rows).all(|row| out.has(row))];
        if !some || all {
            let held = if all { rows } else { 0 };
            let what = Wrong::Share { share: format!("{share:?}"), held, rows };
            return Err(DataError::whole(train.file(), what));
        }
    }
    let wanted = |row| trained.has(row);
    let done = counting(watch, Stage::Fit, train.rows());
    let (encoder, rows) = fit(Pass { done: &done, ..pass(&*train, data, &wanted) }, data, goal)?;
    let maker = Maker { data, encoder: Arc::new(encoder), cache: BlockCache::of_user().map(Arc::new), watch };
    let mut validation_files = Vec::new();
    let validation = match (&data.validation, out) {
        (Validation::Source(source), _) => {
            let files: Arc<dyn Dataset> = open(source, &data.reading, base)?.into();
            validation_files = files.files();
            let rows = files.rows();
            Some(maker.make(files, Held::All, rows)?)
        }
        (_, Some(out)) => Some(maker.make(train.clone(), out, train.rows())?),
        _ => None,
    };
    let train_files = train.files();
    let (train, listing, skipped) = maker.make(train, trained, rows)?;
    let mut skipped = Skipped { train: skipped, validation: 0 };
    let validation = validation.map(|(rows, listing, of_these)| {
        skipped.validation = of_these;
        (rows, listing)
    });
    let (validation, of_validation) = validation.unzip();
    let encoder = Arc::unwrap_or_clone(maker.encoder);
    let catalog = Catalog {
        encoder,
        train: listing,
        validation: of_validation,
        train_files,
        validation_files,
        skipped,
    };
    Ok(Prepared { train, validation, catalog })
}

/// Where the data differ from what a run began with, and in which file: rows are encoded as they were then,
/// so that one changed value does not show in all of them. `None` if they do not differ.
///
/// # Errors
/// A row that could be read then cannot be read now, which is the difference.
pub fn find_change(
    stored: &Catalog,
    data: &Data,
    seed: u64,
    base: &Path,
) -> Result<Option<(String, Changed)>, DataError> {
    let train: Arc<dyn Dataset> = open(&data.train, &data.reading, base)?.into();
    let (trained, out) = held(data, seed);
    let maker = Maker { data, encoder: Arc::new(stored.encoder.clone()), cache: None, watch: &unwatched };
    let found = |listing: &Listing, files: &Arc<dyn Dataset>, held| {
        let (_, now, _) = maker.make(files.clone(), held, listing.shape.rows)?;
        Ok(listing.changed(&now).map(|changed| (files.file().to_owned(), changed)))
    };
    if let Some(change) = found(&stored.train, &train, trained)? {
        return Ok(Some(change));
    }
    match (&stored.validation, &data.validation, out) {
        (Some(listing), Validation::Source(source), _) => {
            found(listing, &open(source, &data.reading, base)?.into(), Held::All)
        }
        (Some(listing), _, Some(out)) => found(listing, &train, out),
        _ => Ok(None),
    }
}

/// Which rows of the training files are trained on, and which are held out.
pub(crate) fn held(data: &Data, seed: u64) -> (Held, Option<Held>) {
    match data.validation {
        Validation::Fraction(share) => (Held::Trained { seed, share }, Some(Held::Out { seed, share })),
        _ => (Held::All, None),
    }
}

fn pass<'a>(dataset: &'a dyn Dataset, data: &'a Data, wanted: &'a (dyn Fn(u64) -> bool + Sync)) -> Pass<'a> {
    let Data { reading, on_bad_row, .. } = data;
    let blocks = dataset.blocks();
    Pass { data: dataset, blocks, reading, on_bad_row: *on_bad_row, done: &|_| (), wanted }
}

/// Adds up the rows that are done.
fn counting(watch: Watch<'_>, stage: Stage, all: u64) -> impl Fn(u64) + Sync + '_ {
    let so_far = AtomicU64::new(0);
    move |rows| watch(stage, so_far.fetch_add(rows, Ordering::Relaxed) + rows, all)
}

/// Makes rows of files.
pub(crate) struct Maker<'a> {
    pub(crate) data: &'a Data,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) cache: Option<Arc<BlockCache>>,
    pub(crate) watch: Watch<'a>,
}

impl Maker<'_> {
    /// Of about so many rows: held whole, or in blocks. Also gives the number of bad ones.
    pub(crate) fn make(
        &self,
        files: Arc<dyn Dataset>,
        held: Held,
        rows: u64,
    ) -> Result<(Rows, Listing, u64), DataError> {
        let Self { data, encoder, cache, watch } = self;
        let wanted = |row| held.has(row);
        let pass = pass(&*files, data, &wanted);
        let width = encoder.sample().iter().product::<usize>();
        if Arrangement::is_whole(data, rows, width) {
            let (table, skipped) = encoder.encode_some(pass, TargetUse::Required)?;
            let too_big = Wrong::TooBig { rows: table.rows(), width };
            let listing = whole(&table).map_err(|_| DataError::whole(files.file(), too_big))?;
            return Ok((Rows::Whole(Arc::new(table)), listing, skipped));
        }
        if let Some(cache) = cache {
            cache.make_room(rows.saturating_mul(4 * (width as u64 + 1)));
        }
        let done = counting(*watch, Stage::List, files.rows());
        let (listing, skipped) = list(Pass { done: &done, ..pass }, encoder, cache.as_deref())?;
        Ok((self.blocks(files, held, listing.clone()), listing, skipped))
    }

    /// Of files whose blocks are known.
    pub(crate) fn blocks(&self, files: Arc<dyn Dataset>, held: Held, listing: Listing) -> Rows {
        let Self { data, encoder, cache, .. } = self;
        let name = files.file().to_owned();
        let how = (data.reading.clone(), data.on_bad_row);
        let [memory, _] = memory(data);
        let source = Files::new(name, encoder.clone(), how, held, Box::new(move || Ok(files.clone())));
        Rows::Blocks(Arc::new(Blocks::new(listing, memory, cache.clone(), vec![Box::new(source)])))
    }
}
