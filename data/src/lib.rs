//! Datasets: where rows come from, and what they are turned into.
//!
//! ```text
//! file ──open──▶ Dataset (columns, blocks) ──fit──▶ Encoder ──encode──▶ Table ──part──▶ a worker's Table
//! places/        formats/                 training rows    any rows      numbers        by Receiver
//! ```
//!
//! A [`Dataset`] gives what files hold, in Arrow's columns and in blocks; a `Pass` goes through its rows
//! cell by cell; an [`Encoder`] says what a model sees of them and is stored with the model; a [`Table`]
//! holds the numbers. Nothing here depends on the clock, on threads or on the order in which a system
//! lists files.

mod again;
mod coder;
mod dataset;
mod encode;
mod encoded;
mod encoder;
mod error;
mod feature;
mod fit;
mod fitter;
mod formats;
mod infer;
mod load;
mod moments;
mod part;
mod pass;
mod places;
mod receiver;
mod rows;
mod sketch;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod values;
mod watch;
mod weigh;

pub use again::again;
pub use dataset::{Block, Chunk, Column, Dataset, Outline};
pub use encoded::{EncodedFile, Taking, TargetUse};
pub use encoder::{Bad, Encoder, Inputs, Target};
pub use error::{DataError, Place, Wrong};
pub use feature::{Code, Feature, Number};
pub use formats::{open, reopen};
pub use infer::Profile;
pub use load::{Prepared, Skipped, find_change, load, load_watched};
pub use part::PartError;
pub use places::{FileEntry, TextEntry, cache_folder};
pub use receiver::Receiver;
pub use rows::{
    BadCatalog, BlockCache, BlockDigest, Blocks, Catalog, Changed, Entry, Held, Listing, Roots, Rows,
    RowsError, Source, memory,
};
pub use table::{FeatureType, Features, GatherError, Shape, Table, TargetType, Targets, TargetsMut};
pub use values::{Cell, Kind, Values};
pub use watch::{Stage, Watch, unwatched};
pub use weigh::{Goal, RowWeights};
