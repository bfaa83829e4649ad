//! Sticky keys: 64 bits of a name and the chosen arguments, hashed once at the call.
//!
//! Made by whoever makes a call, before the arguments move. Keeps: equal names and arguments give
//! equal keys in one process, and nobody outside of it can tell which. It stores nothing.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

use foldhash::quality::RandomState;

/// What tokens with the same pin, and the same lane if serial, have in common.
///
/// Two keys with different arguments are equal with a chance of one in 2^64; then they share pin
/// and lane, and nothing else changes. The hash is seeded at random once in a process, so that
/// keys chosen from outside cannot be aimed at one core.
///
/// ```
/// use tokengate_anchor::Key;
/// let key = Key::of("accounts", &("alice", 7));
/// assert_eq!(key, Key::of("accounts", &("alice", 7)));
/// assert_ne!(key, Key::of("accounts", &("bob", 7)));
/// assert_ne!(key, Key::of("orders", &("alice", 7)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of a value under this name: an operation's label, or a sticky anchor.
    ///
    /// # Panics
    ///
    /// If the value's `Hash` does.
    #[inline]
    pub fn of<T: Hash + ?Sized>(scope: &str, value: &T) -> Self {
        Self::from_parts(scope, |hasher| value.hash(hasher))
    }

    /// The key of what `parts` feeds to the hasher, under this name.
    ///
    /// # Panics
    ///
    /// If `parts` does.
    #[inline]
    pub fn from_parts(scope: &str, parts: impl FnOnce(&mut KeyHasher)) -> Self {
        static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        let mut hasher = KeyHasher(SEED.build_hasher());
        scope.hash(&mut hasher);
        parts(&mut hasher);
        Self(hasher.0.finish())
    }

    /// A key with a hash of your own.
    pub const fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The 64 bits.
    pub const fn hash(self) -> u64 {
        self.0
    }
}

/// The hex digits of the hash, of no meaning beyond this process.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:016x})", self.0)
    }
}

/// What [`Key::from_parts`] feeds.
#[derive(Clone)]
pub struct KeyHasher(<RandomState as BuildHasher>::Hasher);

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.0.write_u8(value);
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.0.write_u32(value);
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0.write_u64(value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.0.write_usize(value);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_a_tuple_of_them_give_one_key() {
        let parts = Key::from_parts("scope", |hasher| {
            1_u64.hash(hasher);
            "text".hash(hasher);
        });
        assert_eq!(parts, Key::of("scope", &(1_u64, "text")));
    }

    #[test]
    fn name_and_arguments_are_told_apart() {
        assert_ne!(Key::of("ab", &"c"), Key::of("a", &"bc"));
        assert_eq!(Key::from_hash(7).hash(), 7);
    }

    #[test]
    fn small_numbers_are_spread_over_all_bits() {
        let (mut zeros, mut ones) = (!0, 0);
        for value in 0..64_u64 {
            let hash = Key::of("scope", &value).hash();
            zeros &= hash;
            ones |= hash;
        }
        assert_eq!((zeros, ones), (0, !0));
    }
}
