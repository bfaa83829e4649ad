//! Draws keys: evenly, or by Zipf's law, under which the k-th most frequent of n keys is drawn with a
//! probability in proportion to 1 / k^s.
//!
//! The keyed scenarios draw their keys with it before anything is measured. Which key has which rank is
//! random too, so that neighbouring numbers are not alike.
//!
//! The method is inversion by a search in the table of cumulated weights (L. Devroye, Non-Uniform Random
//! Variate Generation, 1986, chapter III.2): exact, with a table of n numbers.

use crate::random::Random;

/// How often each key is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    /// For each rank the weights up to it, its own included.
    cumulated: Vec<f64>,
    /// The key of each rank.
    keys: Vec<u32>,
}

impl Zipf {
    /// Keys from 0 to `keys` - 1 under the exponent `s`; 0 draws them evenly.
    pub(crate) fn new(keys: usize, s: f64, random: &mut Random) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=keys)
            .map(|rank| {
                sum += (rank as f64).powf(-s);
                sum
            })
            .collect();
        let mut keys: Vec<u32> = (0..keys as u32).collect();
        random.shuffle(&mut keys);
        Self { cumulated, keys }
    }

    /// The next key.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let last = self.keys.len() - 1;
        let point = random.fraction() * self.cumulated[last];
        let rank = self.cumulated.partition_point(|&upto| upto <= point);
        // Rounding may carry a point to the very end.
        self.keys[rank.min(last)] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each key came, most frequent first.
    fn frequencies(keys: usize, s: f64, draws: usize) -> Vec<usize> {
        let mut random = Random::new(7);
        let zipf = Zipf::new(keys, s, &mut random);
        let mut counts = vec![0; keys];
        (0..draws).for_each(|_| counts[zipf.draw(&mut random)] += 1);
        counts.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
        counts
    }

    #[track_caller]
    fn assert_near(count: usize, expected: f64) {
        let off = (count as f64 / expected - 1.0).abs();
        assert!(off < 0.05, "{count} is not near {expected}");
    }

    #[test]
    fn the_k_th_key_comes_as_often_as_the_law_says() {
        let (keys, draws) = (1000, 200_000);
        for s in [1.0, 1.1] {
            let counts = frequencies(keys, s, draws);
            let weights: f64 = (1..=keys).map(|k| (k as f64).powf(-s)).sum();
            for rank in [1, 2, 3, 10] {
                let share = (rank as f64).powf(-s) / weights;
                assert_near(counts[rank - 1], share * draws as f64);
            }
        }
    }

    #[test]
    fn without_skew_all_keys_come_alike() {
        let counts = frequencies(10, 0.0, 100_000);
        assert_near(counts[0], 10_000.0);
        assert_near(counts[9], 10_000.0);
    }

    #[test]
    fn the_most_frequent_key_is_any() {
        let hottest = |seed| {
            let mut random = Random::new(seed);
            Zipf::new(1000, 1.1, &mut random).keys[0]
        };
        assert_ne!(hottest(1), hottest(2));
    }
}
