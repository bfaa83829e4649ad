//! A small seeded generator: the same inputs on every machine and in every run.
//!
//! The `waves` scenario makes its inputs with it, the keyed scenarios draw their keys. It is splitmix64: every state differs from the
//! others, so neighbouring seeds give unrelated numbers. Not for secrets.

/// A deterministic source of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts at a seed; every seed is good.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, all 64 bits of it random.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next number below `bound`; the bias is below `bound` / 2^32.
    #[inline]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let high = self.next() >> 32;
        ((high * u64::from(bound)) >> 32) as u32
    }

    /// The next number from 0 up to 1, 1 excluded: as many bits as the type holds.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Brings the items into a random order, every order as likely as any other.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u32 + 1) as usize);
        }
    }
}

/// Spreads the bits of a number over all 64.
#[inline]
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_numbers() {
        // The first values of splitmix64 from seed 1234567, as published with the algorithm.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut random = Random::new(1);
        let drawn: Vec<u32> = (0..1000).map(|_| random.below(7)).collect();
        assert_eq!(drawn.iter().max(), Some(&6));
        assert_eq!(drawn.iter().min(), Some(&0));
    }

    #[test]
    fn fractions_stay_below_one_and_lie_evenly() {
        let mut random = Random::new(1);
        let drawn: Vec<f64> = (0..1000).map(|_| random.fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let low = drawn.iter().filter(|&&fraction| fraction < 0.5).count();
        assert!((450..550).contains(&low), "{low}");
    }

    #[test]
    fn shuffled_items_are_the_same_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(1).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
