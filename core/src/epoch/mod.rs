//! The epoch: which rows each shard takes in each step.
//!
//! ```text
//! list    the epoch's order of all R rows: blocks permuted and laid end to end
//! span s  of the list, ⌊(R+s)/S⌋ rows, one for each of S shards, shuffled in windows
//!         ├ microbatch 0 ┼ microbatch 1 ┼ … ┤   step k takes the k-th of every span
//! ```
//!
//! It depends on (seed, epoch, blocks, shards, batch, shuffle_rows) alone, and any step is found
//! without replaying those before it.

mod order;
mod plan;
mod split;

pub use order::{Arrangement, Order};
pub use plan::Plan;
pub use split::held_out;
