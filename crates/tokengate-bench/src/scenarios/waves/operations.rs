//! The four operations of the waves, a quarter of the tokens each.
//!
//! A job is a kind and a seed; its body makes its input from the seed, does the work and gives a digest
//! of the result that depends on the seed too, so that results which change places are noticed.

use sha2::{Digest, Sha256};
use tokengate::Weight;

use crate::contender::Job;
use crate::random::{Random, mix};

/// The seed of everything random in this scenario.
const SEED: u64 = 0x7065_726d_6974;

/// One token of a wave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaveJob {
    kind: Kind,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Primes,
    Letters,
    Sort,
    Hashes,
}

/// The job at a place of a wave.
#[inline]
pub(crate) fn wave_job(wave: usize, index: usize) -> WaveJob {
    let kind = match index % 4 {
        0 => Kind::Primes,
        1 => Kind::Letters,
        2 => Kind::Sort,
        _ => Kind::Hashes,
    };
    let seed = mix(SEED ^ ((wave as u64) << 32 | index as u64));
    WaveJob { kind, seed }
}

impl Job for WaveJob {
    type Output = u64;

    fn weight(&self) -> Weight {
        match self.kind {
            Kind::Primes | Kind::Letters => Weight::Light,
            Kind::Sort => Weight::Medium,
            Kind::Hashes => Weight::Heavy,
        }
    }

    fn run(self) -> u64 {
        let mut random = Random::new(self.seed);
        let result = match self.kind {
            Kind::Primes => sum_of_primes(60 + random.below(26)),
            Kind::Letters => fold(letters(&mut random).bytes().map(u64::from)),
            Kind::Sort => fold(sorted(&mut random).into_iter().map(u64::from)),
            Kind::Hashes => fold(hash_chain(&mut random).into_iter().map(u64::from)),
        };
        mix(self.seed ^ result)
    }
}

/// The sum of the primes below `bound`, found by trial division.
fn sum_of_primes(bound: u32) -> u64 {
    let is_prime = |n: u32| {
        (2..n)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
    };
    (2..bound).filter(|n| is_prime(*n)).map(u64::from).sum()
}

/// 300 random letters, reversed, in upper case, three vowels replaced.
fn letters(random: &mut Random) -> String {
    let text: String = (0..300)
        .map(|_| char::from(b'a' + random.below(26) as u8))
        .collect();
    let reversed: String = text.chars().rev().collect();
    reversed
        .to_uppercase()
        .replace('A', "4")
        .replace('E', "3")
        .replace('I', "1")
}

/// 400 to 700 random integers, sorted.
fn sorted(random: &mut Random) -> Vec<u32> {
    let count = 400 + random.below(301);
    let mut numbers: Vec<u32> = (0..count).map(|_| random.below(1_000_000)).collect();
    numbers.sort();
    numbers
}

/// A chain of 120 to 200 SHA-256, each over the digest before it.
fn hash_chain(random: &mut Random) -> [u8; 32] {
    let links = 120 + random.below(81);
    let first = Sha256::digest(random.next().to_le_bytes());
    (1..links)
        .fold(first, |digest, _| Sha256::digest(digest))
        .into()
}

/// One number that depends on each of the numbers and on their order.
fn fold(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, |sum: u64, number| sum.rotate_left(5) ^ number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_do_what_they_say() {
        assert_eq!(sum_of_primes(60), 440);
        let text = letters(&mut Random::new(1));
        assert_eq!(text.len(), 300);
        assert!(
            text.chars()
                .all(|c| !"AEI".contains(c) && !c.is_lowercase())
        );
        let numbers = sorted(&mut Random::new(1));
        assert!((400..=700).contains(&numbers.len()));
        assert!(numbers.is_sorted());
        assert_ne!(hash_chain(&mut Random::new(1)), [0; 32]);
    }

    #[test]
    fn the_same_place_gives_the_same_result_and_another_place_another() {
        assert_eq!(wave_job(3, 7).run(), wave_job(3, 7).run());
        assert_ne!(wave_job(3, 7).run(), wave_job(3, 11).run());
        assert_ne!(wave_job(3, 7).run(), wave_job(4, 7).run());
    }

    #[test]
    fn weights_are_light_light_medium_heavy() {
        let weights: Vec<_> = (0..4).map(|index| wave_job(0, index).weight()).collect();
        assert_eq!(
            weights,
            [Weight::Light, Weight::Light, Weight::Medium, Weight::Heavy]
        );
    }
}
