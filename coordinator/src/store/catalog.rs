//! `data.json`: what a run's data were when it began, block by block.

use std::path::Path;

use lockstep_data::Catalog;

use super::error::StoreError;
use super::{RunDirectory, files, names};

impl RunDirectory {
    /// Stores what the run's data are.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write_catalog(&self, catalog: &Catalog) -> Result<(), StoreError> {
        let path = self.path().join(names::DATA);
        let text = serde_json::to_vec(catalog).map_err(|error| StoreError::damaged(&path, error))?;
        files::replace(&path, &text)
    }
}

/// What the data of a directory's run were; none before its first start.
///
/// # Errors
/// The file cannot be read, or is no catalog that can be used.
pub fn read_catalog(directory: &Path) -> Result<Option<Catalog>, StoreError> {
    let path = directory.join(names::DATA);
    let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
    Catalog::from_json(text.as_bytes()).map(Some).map_err(|error| StoreError::damaged(&path, error))
}
