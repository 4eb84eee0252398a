//! How R rows are divided among S shards and steps of B rows.

use std::ops::Range;

/// R rows, S shards, B rows a step. All counts follow from ⌊(n+s)/S⌋, which sums to n over the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    rows: u64,
    shards: u32,
    batch: u64,
}

impl Plan {
    /// With `batch` ≥ `shards` every shard has a row in every step but the last. Both are at least 1.
    pub fn new(rows: u64, shards: u32, batch: u64) -> Self {
        Self { rows, shards: shards.max(1), batch: batch.max(1) }
    }

    /// R
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// S
    pub const fn shards(&self) -> u32 {
        self.shards
    }

    /// B
    pub const fn batch(&self) -> u64 {
        self.batch
    }

    /// ⌈R/B⌉
    pub const fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.batch)
    }

    /// The rows that the epoch's k-th step takes: B, in the last step what remains.
    pub fn rows_of_step(&self, k: u64) -> u64 {
        self.rows.saturating_sub(k.saturating_mul(self.batch)).min(self.batch)
    }

    /// The rows of span s: ⌊(R+s)/S⌋.
    pub fn span_len(&self, s: u32) -> u64 {
        self.share(u128::from(self.rows), s)
    }

    /// Where span s starts in the epoch's list: Σ ⌊(R+i)/S⌋ over i < s.
    pub fn span_start(&self, s: u32) -> u64 {
        let (s, shards) = (u64::from(s.min(self.shards)), u64::from(self.shards));
        // The last R mod S spans have one row more.
        s * (self.rows / shards) + (s + self.rows % shards).saturating_sub(shards)
    }

    /// What the epoch's k-th step takes of span s, counted from the span's start:
    /// ⌊(kB+s)/S⌋..⌊((k+1)B+s)/S⌋, cut at the span's end.
    pub fn microbatch(&self, k: u64, s: u32) -> Range<u64> {
        let (k, batch, len) = (u128::from(k), u128::from(self.batch), self.span_len(s));
        self.share(k * batch, s).min(len)..self.share((k + 1) * batch, s).min(len)
    }

    /// ⌊(n+s)/S⌋; none for a shard that does not exist.
    fn share(&self, n: u128, s: u32) -> u64 {
        if s >= self.shards {
            return 0;
        }
        u64::try_from((n + u128::from(s)) / u128::from(self.shards)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1,437 rows in steps of 128 over 8 shards: 11 whole steps and one of 29.
    #[test]
    fn the_last_step_takes_what_remains() {
        let plan = Plan::new(1437, 8, 128);
        assert_eq!(plan.steps_per_epoch(), 12);
        assert_eq!([0, 10, 11, 12].map(|k| plan.rows_of_step(k)), [128, 128, 29, 0]);
        let spans: Vec<u64> = (0..8).map(|s| plan.span_len(s)).collect();
        assert_eq!(spans, [179, 179, 179, 180, 180, 180, 180, 180]);
        assert_eq!([0, 3, 4, 8].map(|s| plan.span_start(s)), [0, 537, 717, 1437]);
        assert_eq!([0, 7].map(|s| plan.microbatch(11, s)), [176..179, 176..180]);
        assert_eq!([plan.microbatch(12, 0), plan.microbatch(0, 8)], [179..179, 0..0]);
    }

    #[test]
    fn no_number_overflows() {
        let plan = Plan::new(u64::MAX, u32::MAX, u64::MAX);
        assert_eq!(plan.microbatch(u64::MAX, 0).len_u64(), 0);
        assert_eq!(plan.span_start(u32::MAX), u64::MAX);
        assert_eq!(Plan::new(0, 0, 0).steps_per_epoch(), 0);
    }

    trait Len {
        fn len_u64(&self) -> u64;
    }
    impl Len for Range<u64> {
        fn len_u64(&self) -> u64 {
            self.end - self.start
        }
    }

    proptest! {
        #[test]
        fn spans_and_microbatches_divide_the_rows(rows in 0u64..3000, shards in 1u32..40, more in 0u64..300) {
            let plan = Plan::new(rows, shards, u64::from(shards) + more);
            let steps = plan.steps_per_epoch();
            let mut list = 0;
            for s in 0..shards {
                prop_assert_eq!(plan.span_start(s), list);
                list += plan.span_len(s);
                let mut end = 0;
                for k in 0..steps {
                    let microbatch = plan.microbatch(k, s);
                    prop_assert_eq!(microbatch.start, end);
                    prop_assert!(k + 1 == steps || microbatch.end > end, "an empty microbatch");
                    end = microbatch.end;
                }
                prop_assert_eq!(end, plan.span_len(s));
            }
            prop_assert_eq!(list, rows);
            for k in 0..steps {
                let taken: u64 = (0..shards).map(|s| plan.microbatch(k, s).len_u64()).sum();
                prop_assert_eq!(taken, plan.rows_of_step(k));
                prop_assert_eq!(taken, plan.batch().min(rows - k * plan.batch()));
            }
        }
    }
}
