//! The arithmetic on one chunk, block by block, so that what one operation leaves in the cache the next
//! one finds there.
//!
//! ```text
//! payload + sum + … + sum, divided, looked through   one pass: in and out of memory once
//! gradient ─▶ moments, weights ─▶ bytes              another, since nothing may be updated by a
//!                                                    chunk that is not finite to its end
//! ```

use std::sync::atomic::{AtomicBool, Ordering};

use lockstep_core::optimizer::Part;
use lockstep_core::run::spec::Wire;
use lockstep_core::threads::Threads;
use lockstep_core::{bf16, simd, wire};

/// Values of a block: with moments and weights, it fits into a core's first cache.
const BLOCK: usize = 1 << 11;

/// Values of which a thread's part pays for its waking.
const SHARE: usize = 1 << 15;

/// What is added to a payload.
#[derive(Debug)]
pub(super) struct Addend {
    pub(super) values: Vec<f32>,
    /// That it is over.
    pub(super) rows: u64,
    /// Whether the sum so far is rounded after it, because it is a node below the root.
    pub(super) rounded: bool,
}

/// One chunk of a node, and the siblings that waited for it.
pub(super) struct Sum<'a> {
    pub(super) payload: &'a [u8],
    pub(super) encoding: Wire,
    /// The first sibling's values are in `out` already; whether their sum with the payload is rounded.
    pub(super) first: Option<bool>,
    pub(super) others: &'a [Addend],
    /// At the root, what the sum is divided by.
    pub(super) weight: Option<f64>,
}

impl Sum<'_> {
    /// Overwrites all of `out`; whether it is finite, if it was divided. Addition of two is
    /// commutative, so the payload is added to what waits.
    pub(super) fn compute(&self, threads: &Threads, out: &mut [f32]) -> bool {
        let finite = AtomicBool::new(true);
        let width = wire::width(self.encoding);
        let one = Threads::one();
        let threads = if out.len() > SHARE { threads } else { &one };
        threads.blocks(out, SHARE, |start, share| {
            for (index, block) in share.chunks_mut(BLOCK).enumerate() {
                let start = start + index * BLOCK;
                let end = start + block.len();
                // The lengths were compared before the ledger took the chunk.
                let payload = self.payload.get(start * width..end * width).unwrap_or_default();
                match self.first {
                    None => wire::decode(payload, self.encoding, block).unwrap_or_default(),
                    Some(rounded) => {
                        wire::add(payload, self.encoding, block).unwrap_or_default();
                        if rounded {
                            bf16::round(block);
                        }
                    }
                }
                for Addend { values, rounded, .. } in self.others {
                    add(block, values.get(start..end).unwrap_or_default());
                    if *rounded {
                        bf16::round(block);
                    }
                }
                if let Some(weight) = self.weight
                    && !mean(block, weight)
                {
                    finite.store(false, Ordering::Relaxed);
                }
            }
        });
        finite.into_inner()
    }
}

/// One chunk of an update.
pub(super) struct Update<'a> {
    pub(super) part: Part<'a, f32>,
    pub(super) gradient: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) next: &'a mut [f32],
    /// As many as the encoding of `next` takes.
    pub(super) bytes: &'a mut [u8],
    pub(super) encoding: Wire,
}

impl Update<'_> {
    /// Overwrites `next` and `bytes`.
    pub(super) fn compute(self, threads: &Threads) {
        let len = self.next.len();
        if len <= BLOCK {
            self.part.update(self.gradient, self.weights, self.next);
            return wire::write(self.next, self.encoding, self.bytes);
        }
        let (before, after) = self.split_at((len / 2).next_multiple_of(BLOCK));
        if len > SHARE {
            threads.join(|| before.compute(threads), || after.compute(threads));
        } else {
            before.compute(threads);
            after.compute(threads);
        }
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let Self { part, gradient, weights, next, bytes, encoding } = self;
        let (part, part_after) = part.split_at(middle);
        let (gradient, gradient_after) = gradient.split_at(middle);
        let (weights, weights_after) = weights.split_at(middle);
        let (next, next_after) = next.split_at_mut(middle);
        let (bytes, bytes_after) = bytes.split_at_mut(middle * wire::width(encoding));
        let after = Self {
            part: part_after,
            gradient: gradient_after,
            weights: weights_after,
            next: next_after,
            bytes: bytes_after,
            encoding,
        };
        (Self { part, gradient, weights, next, bytes, encoding }, after)
    }
}

/// Divides by the rows' weight; whether all values are finite.
pub(super) fn mean(sum: &mut [f32], weight: f64) -> bool {
    let weight = weight as f32;
    // A product with zero is zero, or NaN if the factor is not finite; lanes keep the loop wide.
    let mut lanes = [0.0f32; 32];
    simd::wide(
        #[inline(always)]
        || {
            let (blocks, rest) = sum.as_chunks_mut::<32>();
            for block in blocks {
                for (value, lane) in block.iter_mut().zip(&mut lanes) {
                    *value /= weight;
                    *lane += *value * 0.0;
                }
            }
            for (value, lane) in rest.iter_mut().zip(&mut lanes) {
                *value /= weight;
                *lane += *value * 0.0;
            }
        },
    );
    lanes.iter().all(|lane| *lane == 0.0)
}

/// sum += other
fn add(sum: &mut [f32], other: &[f32]) {
    simd::wide(
        #[inline(always)]
        || {
            for (sum, other) in sum.iter_mut().zip(other) {
                *sum += *other;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::optimizer::Optimizer;
    use lockstep_core::run::spec;

    const LEN: usize = 3 * SHARE + BLOCK + 17;

    fn some(seed: u32) -> Vec<f32> {
        let value = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 * 1e-7 - 0.8;
        (0..LEN as u32).map(value).collect()
    }

    #[test]
    fn blocks_and_threads_give_the_bits_of_one_loop() {
        let (payload, first, second) = (some(1), some(2), some(3));
        for encoding in [Wire::F32, Wire::Bf16] {
            let mut bytes = Vec::new();
            wire::encode(&payload, encoding, &mut bytes);
            let rounded = encoding == Wire::Bf16;
            let round = |value: f32| if rounded { bf16::value(bf16::bits(value)) } else { value };
            let expected: Vec<f32> =
                (0..LEN).map(|i| (round(round(payload[i]) + first[i]) + second[i]) / 7.0).collect();
            for threads in [1, 3] {
                let threads = Threads::new(threads).unwrap();
                let others = [Addend { values: second.clone(), rows: 1, rounded: false }];
                let sum = Sum {
                    payload: &bytes,
                    encoding,
                    first: Some(rounded),
                    others: &others,
                    weight: Some(7.0),
                };
                let mut out = first.clone();
                assert!(sum.compute(&threads, &mut out));
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn one_value_that_is_not_finite_is_found_wherever_it_is() {
        let threads = Threads::new(2).unwrap();
        for place in [0, BLOCK, SHARE + 1, LEN - 1] {
            for value in [f32::NAN, f32::NEG_INFINITY] {
                let mut payload = some(1);
                payload[place] = value;
                let bytes = wire::bytes(&payload);
                let encoding = Wire::F32;
                let sum = Sum { payload: &bytes, encoding, first: None, others: &[], weight: Some(2.0) };
                assert!(!sum.compute(&threads, &mut vec![0.0; LEN]), "{value} at {place}");
            }
        }
    }

    #[test]
    fn an_update_in_parts_gives_the_bits_of_one() {
        let adam = spec::Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01 };
        let sgd = |momentum| spec::Optimizer::Sgd { lr: 0.1, momentum, nesterov: false, weight_decay: 0.1 };
        for spec in [sgd(0.0), sgd(0.9), spec::Optimizer::Adam(adam), spec::Optimizer::AdamW(adam)] {
            for (encoding, threads) in [(Wire::F32, 1), (Wire::F32, 3), (Wire::Bf16, 3)] {
                let threads = Threads::new(threads).unwrap();
                let (gradient, weights) = (some(4), some(5));
                let (mut whole, mut parts) = (Optimizer::new(spec, LEN), Optimizer::new(spec, LEN));
                let (mut expected, mut next) = (vec![0.0; LEN], vec![0.0; LEN]);
                let mut bytes = vec![0; LEN * wire::width(encoding)];
                for step in 0..2 {
                    whole.update(0..LEN, step, 0.1, &gradient, &weights, &mut expected);
                    let part = parts.part(0..LEN, step, 0.1);
                    let (gradient, weights) = (&gradient, &weights);
                    let (next, bytes) = (&mut next, &mut bytes);
                    Update { part, gradient, weights, next, bytes, encoding }.compute(&threads);
                }
                let mut sent = Vec::new();
                wire::encode(&expected, encoding, &mut sent);
                assert!(next == expected && parts == whole && bytes == sent);
            }
        }
    }
}
