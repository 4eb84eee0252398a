//! Wide instructions for loops over elements.

/// Runs `work` compiled for the widest vectors that this processor has.
///
/// The width never shows in a result: elements are independent, and Rust contracts no multiplication
/// and addition into one rounding. A sum must therefore spell out its own lanes. Closures inside
/// `work` must be `#[inline(always)]` or be inlined anyway, else they are compiled for the baseline.
#[inline]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}
