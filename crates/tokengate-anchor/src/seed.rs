//! The public name of a chain: SHA-256 over the lead's id and the calls that it declares.
//!
//! Made once for each lead by the conductor. The only file that knows sha2. Nothing is ever looked
//! up by a seed, so two equal ones could not mix chains up.

use std::fmt;

use sha2::{Digest, Sha256};

/// 32 bytes, shown as 64 hex characters.
///
/// `SHA256(token_id + ":" + calls)`: the id in decimal, the calls as a tuple of strings in single
/// quotes, in the order given: none `()`, one `('child_op',)`, more `('a', 'b')`.
///
/// ```
/// use tokengate_anchor::Seed;
/// let seed = Seed::of(1, &["child_op"]);
/// assert_eq!(
///     seed.to_string(),
///     "a39d2c844dc27f4a942afe88c0795ada6eab21b98e95e24e6713b4885a94b8d8",
/// );
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed of a lead with this id that declares these calls.
    pub fn of(token_id: u64, external_calls: &[&str]) -> Self {
        let mut hash = Sha256::new();
        let mut digits = [0; 20];
        hash.update(decimal(token_id, &mut digits));
        hash.update(":(");
        for (place, label) in external_calls.iter().enumerate() {
            hash.update(if place == 0 { "'" } else { ", '" });
            hash.update(label);
            hash.update("'");
        }
        hash.update(if external_calls.len() == 1 { ",)" } else { ")" });
        Self(hash.finalize().into())
    }

    /// As four numbers, and back.
    pub(crate) fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks();
        [0, 1, 2, 3].map(|index: usize| u64::from_ne_bytes(words[index]))
    }

    pub(crate) fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *chunk = word.to_ne_bytes();
        }
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The decimal digits of a number, without the formatting machinery: this runs for each lead.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[first..];
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids, calls joined by `|`, what is hashed, the seed.
    const VECTORS: &str = include_str!("../data/seed_vectors.csv");

    #[test]
    fn seeds_equal_the_golden_vectors_to_the_letter() {
        let rows = VECTORS.lines().skip(1);
        let checked = rows.map(|row| {
            let (id, rest) = row.split_once(',').expect("an id");
            let (calls, rest) = rest.split_once(',').expect("calls");
            let (_, seed) = rest.rsplit_once(',').expect("a seed");
            let calls: Vec<&str> = calls.split('|').filter(|call| !call.is_empty()).collect();
            assert_eq!(Seed::of(id.parse().unwrap(), &calls).to_string(), seed);
        });
        assert_eq!(checked.count(), 8);
    }

    #[test]
    fn numbers_of_any_length_are_written_in_full() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
    }
}
