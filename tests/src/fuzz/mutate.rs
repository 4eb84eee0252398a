//! What is done to a valid input.

/// Numbers from a case's seed (splitmix64), and mutations made of them.
pub(super) struct Mutate(u64);

/// Numbers that readers get wrong.
const AWKWARD: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

impl Mutate {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Small, or awkward, or anything.
    pub(super) fn awkward(&mut self) -> u64 {
        match self.below(4) {
            0 => self.number(),
            1 => AWKWARD[self.below(AWKWARD.len())],
            _ => self.number() % 8,
        }
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A few changes of bytes.
    pub(super) fn bytes(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 if at < bytes.len() => bytes[at] = self.number() as u8,
                3 => {
                    let number = self.awkward();
                    let number = if self.one_in(2) { number.to_le_bytes() } else { number.to_be_bytes() };
                    let places = bytes.get_mut(at..to).unwrap_or_default();
                    places.iter_mut().zip(number).for_each(|(place, byte)| *place = byte);
                }
                4 => drop(bytes.drain(at..to)),
                5 => {
                    let part = bytes[at..to].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    let part: Vec<u8> = (0..self.below(9)).map(|_| self.number() as u8).collect();
                    bytes.splice(at..at, part);
                }
            }
        }
    }

    /// Changes of a text: words of it repeated, left out, exchanged for others.
    pub(super) fn text(&mut self, text: &str, words: &[&str]) -> String {
        if self.one_in(4) {
            let mut bytes = text.as_bytes().to_vec();
            self.bytes(&mut bytes);
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let mut parts: Vec<&str> =
            text.split_inclusive([' ', '\n', ',', '=', '{', '}', '[', ']', '"']).collect();
        for _ in 0..=self.below(3) {
            let (at, other) = (self.below(parts.len()), self.below(parts.len()));
            if parts.is_empty() {
                break;
            }
            match self.below(4) {
                0 => drop(parts.remove(at)),
                1 => parts.insert(at, parts[other]),
                2 => parts.swap(at, other),
                _ => parts[at] = *self.one(words),
            }
        }
        parts.concat()
    }
}
