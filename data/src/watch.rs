//! What is seen of long work on data.

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Columns are measured.
    Fit,
    /// Blocks are encoded and listed.
    List,
}

/// Hears how far a pass is: rows gone through, of how many. It may be called from several threads.
pub type Watch<'a> = &'a (dyn Fn(Stage, u64, u64) + Sync);

/// Sees nothing.
pub fn unwatched(_: Stage, _: u64, _: u64) {}
