//! The map from keys to entries, in shards with a lock each: the only file that knows dashmap.
//!
//! Called by the registry. Keeps: while a function runs for a key, no other runs for the same key;
//! no lock is held across a call into the map, or code that is not this crate's. It counts nothing.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::Row;

/// A map from hashes to rows in which one key at a time can be looked at and filled.
pub trait ShardMap: Send + Sync {
    /// Calls `f` with the row of this hash, if there is one; what it puts there stays.
    ///
    /// No other call of `with` for the same hash, and no call of `retain`, runs at the same time.
    fn with<R>(&self, hash: u64, f: impl FnOnce(&mut Option<Row>) -> R) -> R;

    /// Takes out each row for which `keep` says `false`.
    fn retain(&self, keep: impl FnMut(&Row) -> bool);

    /// Calls `look` with each hash and row.
    fn for_each(&self, look: impl FnMut(u64, &Row));
}

/// A dashmap.
#[derive(Default)]
pub struct DashShards(DashMap<u64, Option<Row>, BuildHasherDefault<Spread>>);

impl ShardMap for DashShards {
    #[inline]
    fn with<R>(&self, hash: u64, f: impl FnOnce(&mut Option<Row>) -> R) -> R {
        if let Some(mut row) = self.0.get_mut(&hash) {
            return f(&mut row);
        }
        match self.0.entry(hash) {
            Entry::Occupied(mut row) => f(row.get_mut()),
            Entry::Vacant(place) => {
                let mut row = None;
                let result = f(&mut row);
                if row.is_some() {
                    place.insert(row);
                }
                result
            }
        }
    }

    fn retain(&self, mut keep: impl FnMut(&Row) -> bool) {
        self.0.retain(|_, row| row.as_ref().is_some_and(&mut keep));
    }

    fn for_each(&self, mut look: impl FnMut(u64, &Row)) {
        for row in &self.0 {
            row.iter().for_each(|found| look(*row.key(), found));
        }
    }
}

impl fmt::Debug for DashShards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashShards").finish_non_exhaustive()
    }
}

/// Keys are hashes already: only those that users made themselves may need their bits spread.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, 6.4); the high bits
        // choose the shard, the low ones the place in it.
        let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ spread >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
