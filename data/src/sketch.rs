//! The median of a column in bounded memory, the same however its rows are cut into blocks.
//!
//! Manku, Rajagopalan and Lindsay 1998: values are collected; a full buffer is sorted and every other
//! value of it, first the odd and next time the even ones, goes on with twice the weight. What comes out
//! depends on the values in their order alone. A buffer of 16,384 values is exact up to as many rows, and
//! its rank is off by less than 1/1000 up to 10⁹ rows: at each level a buffer shifts ranks by at most its
//! weight, which is one in 16,384 rows a level, over 16 levels.

/// Values in a buffer.
const ROOM: usize = 16_384;

/// Values seen, thinned out.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    /// Level k holds values of weight 2^k.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    values: Vec<f64>,
    /// Whether the even ones go on next time.
    even: bool,
}

impl Sketch {
    /// Adds one more; it must not be NaN.
    pub(crate) fn add(&mut self, value: f64) {
        let mut rising = vec![value];
        for index in 0.. {
            if self.levels.len() == index {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(index) else { return };
            level.values.append(&mut rising);
            if level.values.len() < ROOM {
                return;
            }
            level.values.sort_unstable_by(f64::total_cmp);
            let start = usize::from(level.even);
            level.even = !level.even;
            rising = level.values.iter().copied().skip(start).step_by(2).collect();
            level.values.clear();
        }
    }

    /// The mean of the two values in the middle; `None` if there are none.
    pub(crate) fn median(&self) -> Option<f64> {
        let weighted = |(level, weight): (&Level, u32)| {
            level.values.iter().map(move |value| (*value, 1u64 << weight.min(63))).collect::<Vec<_>>()
        };
        let mut all: Vec<(f64, u64)> = self.levels.iter().zip(0..).flat_map(weighted).collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let total: u64 = all.iter().map(|(_, weight)| weight).sum();
        let at = |rank: u64| {
            let mut passed = 0;
            all.iter().find_map(|(value, weight)| {
                passed += weight;
                (rank < passed).then_some(*value)
            })
        };
        // Halved before they are added: a sum may be too large.
        Some(at(total.checked_sub(1)? / 2)? / 2.0 + at(total / 2)? / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut sketch = Sketch::default();
        values.into_iter().for_each(|value| sketch.add(value));
        sketch.median()
    }

    #[test]
    fn small_columns_are_exact() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    /// Ranks are within 1/1000, for rising, falling and mixed rows.
    #[test]
    fn large_columns_are_near() {
        let rows = 1_000_000u64;
        let orders: [&dyn Fn(u64) -> u64; 3] = [&|i| i, &|i| rows - 1 - i, &|i| i * 611_953 % rows];
        for order in orders {
            let found = median((0..rows).map(|i| order(i) as f64)).unwrap();
            assert!((found / rows as f64 - 0.5).abs() < 0.001, "{found}");
        }
    }
}
