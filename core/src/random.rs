//! Random numbers, each from a named stream.
//!
//! A stream's name says what its numbers are for, so that no number depends on which others were drawn
//! before it, on which machine or in which order. Bits are those of ChaCha8 in a pinned version; what
//! is made of them is defined here and held by golden tests.

use std::convert::Infallible;
use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng, TryRng};
use sha2::{Digest, Sha256};

/// What a stream's numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Where parameters start; item: the tensor's number.
    Init,
    /// Which values are dropped; item: the layer, time: the step, and the shard.
    Dropout,
    /// The order of blocks; time: the epoch.
    ShuffleBlocks,
    /// The order of rows; item: the window within the span, time: the epoch, and the shard.
    ShuffleRows,
    /// The rows on which a machine's arithmetic is tried.
    Fingerprint,
    /// Which nodes are computed twice; item: the node's level, time: the step, and its position.
    Audit,
}

impl Purpose {
    /// Part of a stream's key: another name is another run.
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Dropout => "dropout",
            Self::ShuffleBlocks => "shuffle blocks",
            Self::ShuffleRows => "shuffle rows",
            Self::Fingerprint => "fingerprint",
            Self::Audit => "audit",
        }
    }
}

/// The stream of this name. What a purpose does not use is 0.
pub fn stream(seed: u64, purpose: Purpose, item: u64, time: u64, shard: u64) -> Stream {
    let mut key = Sha256::new();
    let mut part = |bytes: &[u8]| {
        key.update((bytes.len() as u64).to_le_bytes());
        key.update(bytes);
    };
    part(b"lockstep");
    part(purpose.name().as_bytes());
    for number in [seed, item, time, shard] {
        part(&number.to_le_bytes());
    }
    Stream { bits: ChaCha8Rng::from_seed(key.finalize().into()) }
}

/// An endless sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    bits: ChaCha8Rng,
}

/// For whoever needs plain bits in order.
impl TryRng for Stream {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.bits.try_next_u32()
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.bits.try_next_u64()
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.bits.try_fill_bytes(bytes)
    }
}

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// Fills `out` with random bits, faster than one number after the other.
    pub fn fill(&mut self, out: &mut [u32]) {
        self.bits.fill_bytes(bytemuck::cast_slice_mut(out));
        if cfg!(target_endian = "big") {
            out.iter_mut().for_each(|word| *word = u32::from_le(*word));
        }
    }

    /// Uniform in \[0, 1): a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.bits() >> 11) as f64 * UNIT
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Normal with mean 0 and deviation 1, by Box and Muller: √(-2 ln u) cos(2πv).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        (-2.0 * libm::log(u)).sqrt() * libm::cos(TAU * v)
    }

    /// Uniform in 0..`bound` without bias, as Lemire, "Fast random integer generation in an interval"
    /// (2019); 0 if there is nothing to choose from.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Of the 2⁶⁴ products' low halves, those below 2⁶⁴ mod bound are one too many.
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if product as u64 >= surplus {
                return (product >> 64) as u64;
            }
        }
    }

    /// Fisher and Yates's shuffle, from the end.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Stream {
        stream(7, Purpose::Init, 1, 2, 3)
    }

    /// Another value here makes every existing run another run.
    ///
    /// ```python
    /// import hashlib, math, struct
    /// def stream(seed, purpose, item, time, shard):
    ///     parts = [b"lockstep", purpose] + [struct.pack("<Q", n) for n in (seed, item, time, shard)]
    ///     key = hashlib.sha256(b"".join(struct.pack("<Q", len(p)) + p for p in parts)).digest()
    ///     for block in range(1 << 60):
    ///         x = first = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), block, 0, 0, 0]
    ///         x = list(x)
    ///         def turn(a, b, c, d):
    ///             for into, add, xor, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
    ///                 x[into] = (x[into] + x[add]) % 2**32
    ///                 v = x[xor] ^ x[into]
    ///                 x[xor] = (v << by | v >> 32 - by) % 2**32
    ///         for _ in range(4):
    ///             for i in range(4): turn(i, 4 + i, 8 + i, 12 + i)
    ///             for i in range(4): turn(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    ///         words = [(a + b) % 2**32 for a, b in zip(x, first)]
    ///         yield from (low | high << 32 for low, high in zip(words[::2], words[1::2]))
    /// def below(bits, n):
    ///     while True:
    ///         product = next(bits) * n
    ///         if product % 2**64 >= 2**64 % n: return product >> 64
    /// new = lambda: stream(7, b"init", 1, 2, 3)
    /// s = new(); print([next(s) for _ in range(10)])
    /// uniform = lambda s: (next(s) >> 11) / 2**53
    /// print(uniform(new()), -2 + 4 * uniform(new()))
    /// s = new(); u = 1 - uniform(s); print(math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * uniform(s)))
    /// s = new(); print([below(s, n) for n in (6, 6, 6, 1000, 2**63 + 1)])
    /// s = new(); items = list(range(8))
    /// for last in range(7, 0, -1):
    ///     other = below(s, last + 1); items[last], items[other] = items[other], items[last]
    /// print(items)
    /// ```
    #[test]
    fn values_are_pinned() {
        let mut s = any();
        let bits: Vec<u64> = (0..10).map(|_| s.bits()).collect();
        assert_eq!(
            bits,
            [
                11577136153690358848,
                13757070525270311717,
                8254551668596384340,
                10339478542931761874,
                6952166627854221626,
                699526100318890523,
                9505135053482577846,
                12128277915007716100,
                5654077166485141123,
                14296067603253603273,
            ]
        );
        assert_eq!([any().uniform(), any().between(-2.0, 2.0)], [0.6275978084495781, 0.5103912337983125]);
        assert_eq!(any().normal(), -0.037331851934510246);
        let mut s = any();
        assert_eq!(
            [6, 6, 6, 1000, (1 << 63) + 1].map(|bound| s.below(bound)),
            [3, 4, 2, 560, 349763050159445261]
        );
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        any().shuffle(&mut items);
        assert_eq!(items, [4, 3, 0, 1, 6, 2, 7, 5]);
    }

    #[test]
    fn each_part_of_the_name_makes_another_stream() {
        let mut firsts = vec![
            stream(7, Purpose::Init, 1, 2, 3).bits(),
            stream(8, Purpose::Init, 1, 2, 3).bits(),
            stream(7, Purpose::Init, 2, 2, 3).bits(),
            stream(7, Purpose::Init, 1, 3, 3).bits(),
            stream(7, Purpose::Init, 1, 2, 4).bits(),
            stream(7, Purpose::Dropout, 1, 2, 3).bits(),
            stream(7, Purpose::ShuffleBlocks, 1, 2, 3).bits(),
            stream(7, Purpose::ShuffleRows, 1, 2, 3).bits(),
            stream(7, Purpose::Fingerprint, 1, 2, 3).bits(),
            stream(7, Purpose::Audit, 1, 2, 3).bits(),
        ];
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 10);
    }

    #[test]
    fn filling_draws_the_same_bits() {
        let mut words = [0; 7];
        any().fill(&mut words);
        let mut s = any();
        let (low, high) = (u64::from(words[2]), u64::from(words[3]));
        s.bits();
        assert_eq!(s.bits(), low | high << 32);
        let mut parts = any();
        let mut again = [0; 7];
        parts.fill(&mut again[..3]);
        parts.fill(&mut again[3..]);
        assert_eq!(words, again);
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let mut s = any();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let normals: Vec<f64> = (0..20_000).map(|_| s.normal()).collect();
        let squares: Vec<f64> = normals.iter().map(|x| x * x).collect();
        assert!(mean(&normals).abs() < 0.03 && (mean(&squares) - 1.0).abs() < 0.04);
        let uniforms: Vec<f64> = (0..20_000).map(|_| s.uniform()).collect();
        assert!((mean(&uniforms) - 0.5).abs() < 0.01 && uniforms.iter().all(|u| (0.0..1.0).contains(u)));
        let mut counts = [0_u32; 6];
        (0..60_000).for_each(|_| counts[s.below(6) as usize] += 1);
        assert!(counts.iter().all(|n| n.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!((s.below(0), s.below(1)), (0, 0));
    }
}
