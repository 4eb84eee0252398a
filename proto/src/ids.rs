//! Identities that must not be mistaken for one another.

use std::fmt;

/// One worker's connection from join to end, unique over all starts of the coordinator.
///
/// ```compile_fail
/// # use lockstep_proto::{Generation, Session};
/// let session: Session = Generation::new(1, 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Session(u64);

/// Number of an assignment: the coordinator's count of starts, then a counter. It never falls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(u64);

macro_rules! start_and_number {
    ($name:ident) => {
        impl $name {
            /// The `number`th of this start.
            pub const fn new(start: u32, number: u32) -> Self {
                Self((start as u64) << 32 | number as u64)
            }
            /// As it stands on the wire.
            pub const fn to_u64(self) -> u64 {
                self.0
            }
            /// From the wire.
            pub const fn from_u64(value: u64) -> Self {
                Self(value)
            }
            /// The next one of the same start.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{}", self.0 >> 32, self.0 & u64::from(u32::MAX))
            }
        }
    };
}
start_and_number!(Session);
start_and_number!(Generation);
