//! The data of a run that goes on: opened as its catalog describes them, without a pass over all rows.

use std::path::Path;
use std::sync::Arc;

use lockstep_core::run::spec::{Data, Source, Validation};

use crate::formats::expand;
use crate::load::{Maker, held};
use crate::places::{Location, is_as_described};
use crate::{
    BlockCache, Catalog, DataError, Dataset, FileEntry, Held, Listing, Prepared, Rows, reopen, unwatched,
};

/// The data of a run with this catalog, if they are in blocks and their files are those of then by name,
/// length and time; `None` if only [`crate::load`] can tell. Rows that have changed all the same are found
/// when their block is read.
///
/// # Errors
/// The files cannot be opened.
pub fn again(catalog: Catalog, data: &Data, seed: u64, base: &Path) -> Result<Option<Prepared>, DataError> {
    if !catalog.in_blocks() || !is_as_then(&data.train, &catalog.train_files, data, base) {
        return Ok(None);
    }
    let open = |source: &Source, files: &[FileEntry]| {
        let data = reopen(files, source, &data.reading, &|entry| Some(entry.path.clone()))?;
        Ok::<Arc<dyn Dataset>, DataError>(data.into())
    };
    let (trained, out) = held(data, seed);
    let maker = Maker {
        data,
        encoder: Arc::new(catalog.encoder.clone()),
        cache: BlockCache::of_user().map(Arc::new),
        watch: &unwatched,
    };
    let files = open(&data.train, &catalog.train_files)?;
    let Some(train) = maker.again(&files, trained, &catalog.train)? else { return Ok(None) };
    let validation = match (&catalog.validation, &data.validation, out) {
        (None, ..) => None,
        (Some(listing), Validation::Source(source), _) => {
            if !is_as_then(source, &catalog.validation_files, data, base) {
                return Ok(None);
            }
            let files = open(source, &catalog.validation_files)?;
            let Some(rows) = maker.again(&files, Held::All, listing)? else { return Ok(None) };
            Some(rows)
        }
        (Some(listing), _, Some(out)) => {
            let Some(rows) = maker.again(&files, out, listing)? else { return Ok(None) };
            Some(rows)
        }
        (Some(_), ..) => return Ok(None),
    };
    Ok(Some(Prepared { train, validation, catalog }))
}

impl Maker<'_> {
    /// What is held whole is encoded again, and must be what it was.
    fn again(
        &self,
        files: &Arc<dyn Dataset>,
        held: Held,
        listing: &Listing,
    ) -> Result<Option<Rows>, DataError> {
        if !listing.whole {
            return Ok(Some(self.blocks(files.clone(), held, listing.clone())));
        }
        let (rows, now, _) = self.make(files.clone(), held, listing.shape.rows)?;
        Ok((now == *listing).then_some(rows))
    }
}

/// Whether a path means the same files, as far as can be seen without reading them.
fn is_as_then(source: &Source, then: &[FileEntry], data: &Data, base: &Path) -> bool {
    let now = match source {
        Source::Idx { images, labels } => {
            [images, labels].into_iter().map(|path| Location::of(path, base)).collect()
        }
        Source::File(path) => expand(path, base, data.reading.format),
    };
    let same = |(location, entry)| is_as_described(location, entry);
    now.is_ok_and(|now: Vec<Location>| now.len() == then.len() && now.into_iter().zip(then).all(same))
}
