//! Loops over elements, each compiled for each function.

use super::Function;
use crate::{Float, simd};

/// A loop that applies a function.
pub(super) trait Pass<T> {
    fn run(self, f: impl Function<T>);
}

pub(super) struct Forward<'a, T> {
    pub(super) values: &'a mut [T],
}

impl<T: Float> Pass<T> for Forward<'_, T> {
    fn run(self, f: impl Function<T>) {
        simd::wide(
            #[inline(always)]
            || {
                for v in self.values {
                    *v = f.value(*v);
                }
            },
        );
    }
}

pub(super) struct ForwardBiased<'a, T> {
    pub(super) bias: &'a [T],
    pub(super) values: &'a mut [T],
}

impl<T: Float> Pass<T> for ForwardBiased<'_, T> {
    fn run(self, f: impl Function<T>) {
        simd::wide(
            #[inline(always)]
            || {
                for row in self.values.chunks_exact_mut(self.bias.len().max(1)) {
                    for (v, b) in row.iter_mut().zip(self.bias) {
                        *v = f.value(*v + *b);
                    }
                }
            },
        );
    }
}

pub(super) struct Backward<'a, T> {
    pub(super) side: &'a [T],
    pub(super) dy: &'a mut [T],
}

impl<T: Float> Pass<T> for Backward<'_, T> {
    fn run(self, f: impl Function<T>) {
        simd::wide(
            #[inline(always)]
            || {
                for (dy, side) in self.dy.iter_mut().zip(self.side) {
                    *dy = f.backward(*side, *dy);
                }
            },
        );
    }
}

pub(super) struct BackwardBiased<'a, T> {
    pub(super) y: &'a [T],
    pub(super) dy: &'a mut [T],
    pub(super) db: &'a mut [T],
}

impl<T: Float> Pass<T> for BackwardBiased<'_, T> {
    fn run(self, f: impl Function<T>) {
        simd::wide(
            #[inline(always)]
            || {
                self.db.fill(T::zero());
                let width = self.db.len().max(1);
                for (dy, y) in self.dy.chunks_exact_mut(width).zip(self.y.chunks_exact(width)) {
                    for ((dy, y), db) in dy.iter_mut().zip(y).zip(self.db.iter_mut()) {
                        *dy = f.backward(*y, *dy);
                        *db += *dy;
                    }
                }
            },
        );
    }
}
