//! Datasets: where rows come from, and what they are turned into.
//!
//! ```text
//! file ──open──▶ Dataset (columns, blocks) ──fit──▶ Encoder ──encode──▶ Table ──part──▶ a worker's Table
//!                 csv, idx                  training rows    any rows      numbers        by Receiver
//! ```
//!
//! A [`Dataset`] gives what a file holds, an [`Encoder`] says what a model sees of it and is stored with
//! the model, a [`Table`] holds the numbers. Nothing here depends on the clock, on threads or on the
//! order in which a system lists files.

mod csv;
mod dataset;
mod encode;
mod encoder;
mod error;
mod file;
mod fit;
mod idx;
mod load;
mod moments;
mod part;
mod table;
#[cfg(test)]
mod tests;

pub use dataset::{Block, Column, Dataset, Kind, Text, Values, open};
pub use encode::TargetUse;
pub use encoder::{Bad, Encoder, Inputs, Scale, Target};
pub use error::{DataError, Place, Wrong};
pub use load::{Prepared, load};
pub use part::{PartError, Receiver};
pub use table::{FeatureType, Features, GatherError, Shape, Table, TargetType, Targets, TargetsMut};
