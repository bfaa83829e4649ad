//! Which slot each sticky key is pinned to, for as long as any token of it is counted.
//!
//! A scheduler marks a key at the call and releases it at the exit. Keeps: all that are counted for
//! a key at one time have one slot. It has no threads and reads no clock but the one it is given.
#![doc = include_str!("PINS.md")]

use std::fmt;
use std::time::Duration;

use crate::Key;
use crate::shards::{DashShards, ShardMap};
use crate::slots::{Number, Slots};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// So many idle entries may stay in the map beside as many as there are pins.
const IDLE_KEPT: usize = if cfg!(tokengate_loom) { 1 } else { 16_384 };

/// Keys, each pinned to a slot while it is counted, with a value of yours beside.
///
/// A slot is a number that means something to you: a domain, a core, a queue. `V` is made by
/// `Default` for each entry, and is found again by its number as long as the key is counted; an
/// entry that is used again for another key keeps it, so leave it as you found it. `M` is the map;
/// the default is a dashmap.
///
/// # Consistency
///
/// All marks of a key that are not released have the same slot. The release that ends a pin happens
/// before the mark that finds it ended.
///
/// ```
/// use tokengate_anchor::{Key, StickyRegistry};
/// let registry = StickyRegistry::<()>::new();
/// let key = Key::of("accounts", &7);
/// let first = registry.mark(key, || 3);
/// let second = registry.mark(key, || unreachable!("it is pinned"));
/// assert_eq!((first.slot, second.slot), (3, 3));
/// registry.release(first.entry);
/// assert_eq!(registry.snapshot().len(), 1);
/// registry.release(second.entry);
/// assert!(registry.snapshot().is_empty());
/// assert_eq!(registry.mark(key, || 5).slot, 5);
/// ```
pub struct StickyRegistry<V, M = DashShards> {
    map: M,
    entries: Slots<Entry<V>>,
    /// How many entries the map has.
    mapped: AtomicUsize,
    /// At how many it is swept.
    sweep_at: AtomicUsize,
    sweeping: AtomicBool,
    linger: Option<Linger>,
}

/// How long a key stays where it was after nothing of it is counted any more.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// For so long.
    pub time: Duration,
    /// At most so many keys; of more, some are let go earlier.
    pub most: usize,
    /// Nanoseconds since some moment; never less than before.
    pub now_ns: fn() -> u64,
}

/// The number of an entry; counts in one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(Number);

impl EntryId {
    /// The entry with this number.
    pub const fn from_number(number: Number) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> Number {
        self.0
    }
}

/// What a mark gives: to be released once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a mark that is not released pins its key for ever"]
pub struct Mark {
    /// The entry of the key.
    pub entry: EntryId,
    /// The slot that the key is pinned to.
    pub slot: u32,
    /// How many marks in turn the entry had before: the place of this one among them, if it is one.
    pub turn: u64,
}

/// A key that is pinned, as [`StickyRegistry::snapshot`] saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// The key.
    pub key: Key,
    /// Its slot.
    pub slot: u32,
    /// How many are counted.
    pub count: usize,
}

/// What a map has for a key: yours to keep, and the registry's to read.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    entry: EntryId,
    slot: u32,
    /// How many marks the key has had, and what its entry had released before.
    marks: u64,
    /// How many marks in turn its entry has had, of all keys.
    turns: u64,
}

/// What those who leave write.
struct Entry<V> {
    /// How many marks were released, of all keys that had this entry; wraps. Read by looks.
    released: AtomicU64,
    /// When a release was last, on the clock of the linger; written before the release.
    left_ns: AtomicU64,
    /// How many marks in turn it had, while it is free. Written by the sweep that gives it back, and
    /// read by the one who takes it.
    turns: AtomicU64,
    value: V,
}

impl<V: Default> Default for Entry<V> {
    fn default() -> Self {
        Self {
            released: AtomicU64::new(0),
            left_ns: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            value: V::default(),
        }
    }
}

impl<V: Default> StickyRegistry<V> {
    /// A registry whose pins go with the last release.
    pub fn new() -> Self {
        Self::with_map(DashShards::default(), None)
    }

    /// A registry whose pins stay for some time after that.
    pub fn lingering(linger: Linger) -> Self {
        Self::with_map(DashShards::default(), Some(linger))
    }
}

impl<V: Default, M: ShardMap> StickyRegistry<V, M> {
    /// A registry over a map of yours, which is empty.
    pub fn with_map(map: M, linger: Option<Linger>) -> Self {
        Self {
            map,
            entries: Slots::new(),
            mapped: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(IDLE_KEPT),
            sweeping: AtomicBool::new(false),
            linger,
        }
    }

    /// Counts one for the key; a key that is not pinned is pinned to the slot that `place` gives.
    ///
    /// `place` runs under a lock: it must not panic, block, or touch the registry.
    #[inline]
    pub fn mark(&self, key: Key, place: impl FnOnce() -> u32) -> Mark {
        self.mark_or_keep(key, |_| false, place)
    }

    /// As [`mark`](Self::mark), but a key that came before keeps its slot if `keeps` agrees, pinned or not.
    ///
    /// Costs less where it agrees: nobody has to find out whether the key is pinned. `keeps` runs under
    /// the lock too.
    #[inline]
    pub fn mark_or_keep(
        &self,
        key: Key,
        keeps: impl FnOnce(u32) -> bool,
        place: impl FnOnce() -> u32,
    ) -> Mark {
        self.count_one(key, false, keeps, place)
    }

    /// As [`mark_or_keep`](Self::mark_or_keep), and gives the mark its place among those of its entry
    /// that were given one.
    ///
    /// # Consistency
    ///
    /// The turns of an entry are 0, 1, 2 and so on, without gaps, in the order of the marks: of two
    /// marks of a key, the one that happens before the other has the smaller turn. They go on when
    /// the entry is used again for another key, so a count of turns that `V` keeps is never reset. If
    /// each one finishes its turn before it is released, all turns are finished when nothing of the
    /// entry is counted.
    #[inline]
    pub fn mark_in_turn(
        &self,
        key: Key,
        keeps: impl FnOnce(u32) -> bool,
        place: impl FnOnce() -> u32,
    ) -> Mark {
        self.count_one(key, true, keeps, place)
    }

    #[inline]
    fn count_one(
        &self,
        key: Key,
        in_turn: bool,
        keeps: impl FnOnce(u32) -> bool,
        place: impl FnOnce() -> u32,
    ) -> Mark {
        let mut is_full = false;
        let mark = self.map.with(key.hash(), |found| {
            let row = match found {
                Some(row) => {
                    if !keeps(row.slot) && !self.is_pinned(row) {
                        row.slot = place();
                    }
                    row
                }
                None => {
                    // Relaxed, both: they decide when to sweep, and nothing else.
                    let mapped = self.mapped.fetch_add(1, Relaxed) + 1;
                    is_full = mapped >= self.sweep_at.load(Relaxed);
                    found.insert(self.new_row(place()))
                }
            };
            row.marks = row.marks.wrapping_add(1);
            let turn = row.turns;
            row.turns += u64::from(in_turn);
            Mark {
                entry: row.entry,
                slot: row.slot,
                turn,
            }
        });
        if is_full {
            self.sweep();
        }
        mark
    }

    /// Takes one off the count; the last one ends the pin.
    #[inline]
    pub fn release(&self, id: EntryId) {
        let entry = self.entry(id);
        if let Some(linger) = &self.linger {
            // Relaxed: ordered by the release.
            entry.left_ns.store((linger.now_ns)(), Relaxed);
        }
        // Release: whoever looks sees what was done under the pin.
        entry.released.fetch_add(1, Release);
    }

    /// The value beside a key that is counted.
    #[inline]
    pub fn value(&self, id: EntryId) -> &V {
        &self.entry(id).value
    }

    /// Where a key is pinned at the moment, if it is.
    pub fn find(&self, key: Key) -> Option<u32> {
        self.map.with(key.hash(), |row| {
            let row = row.as_ref()?;
            self.is_pinned(row).then_some(row.slot)
        })
    }

    /// About how many keys are known, pinned or not.
    #[inline]
    pub fn known(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    /// All keys that are counted, in no order.
    ///
    /// Not one moment's picture: shard after shard.
    pub fn snapshot(&self) -> Vec<Pin> {
        let mut pins = Vec::new();
        self.map.for_each(|hash, row| {
            let count = self.count(row);
            if count > 0 {
                pins.push(Pin {
                    key: Key::from_hash(hash),
                    slot: row.slot,
                    count,
                });
            }
        });
        pins
    }

    /// How many keys are counted. Costs a look at each, as [`snapshot`](Self::snapshot).
    pub fn pinned(&self) -> usize {
        let mut pinned = 0;
        self.map
            .for_each(|_, row| pinned += usize::from(self.count(row) > 0));
        pinned
    }

    /// Calls `look` with each value there is: counted, left by those who were, or as `Default` makes it.
    ///
    /// Entries are made some at a time, so there are values that were never in use.
    pub fn each_value(&self, look: impl FnMut(&V)) {
        let entries = self.entries.iter();
        entries.map(|entry| &entry.value).for_each(look);
    }

    fn entry(&self, id: EntryId) -> &Entry<V> {
        self.entries.get(id.0)
    }

    #[cold]
    fn new_row(&self, slot: u32) -> Row {
        let id = EntryId(self.entries.take());
        let entry = self.entry(id);
        // Not lingering: that was another key.
        entry.left_ns.store(0, Relaxed);
        Row {
            entry: id,
            slot,
            // Relaxed: all releases of the key before were seen by the sweep that gave the entry back.
            marks: entry.released.load(Relaxed),
            // Relaxed: stored before the entry was given back, and the number has come here through
            // the locks of the pools of free ones.
            turns: entry.turns.load(Relaxed),
        }
    }

    /// How many marks of the row's key are not released. For those who have the lock.
    #[inline]
    fn count(&self, row: &Row) -> usize {
        // Acquire: pairs with the Release of each release; they are a release sequence, so the last
        // one shows all of them.
        let released = self.entry(row.entry).released.load(Acquire);
        let count = row.marks.wrapping_sub(released);
        debug_assert!(count < u64::MAX / 2, "a mark is released once");
        count as usize
    }

    #[inline]
    fn is_pinned(&self, row: &Row) -> bool {
        self.count(row) > 0 || self.lingers(self.entry(row.entry))
    }

    /// Whether the key of this entry, which nobody counted a moment ago, stays where it was.
    #[inline]
    fn lingers(&self, entry: &Entry<V>) -> bool {
        let Some(linger) = &self.linger else {
            return false;
        };
        let left_ns = entry.left_ns.load(Relaxed);
        let since = Duration::from_nanos((linger.now_ns)().saturating_sub(left_ns));
        left_ns != 0 && since < linger.time
    }

    /// Takes entries that are not used out of the map. One thread at a time.
    #[cold]
    fn sweep(&self) {
        // AcqRel and Release: the next sweeper goes on from what this one has stored.
        if self.sweeping.swap(true, AcqRel) {
            return;
        }
        let (mut pinned, mut lingering) = (0, 0);
        let most = self.linger.map_or(0, |linger| linger.most);
        self.map.retain(|row| {
            // No mark comes between, under the lock; a release that does is seen next time.
            if self.count(row) > 0 {
                pinned += 1;
                return true;
            }
            if lingering < most && self.lingers(self.entry(row.entry)) {
                lingering += 1;
                return true;
            }
            self.mapped.fetch_sub(1, Relaxed);
            // Relaxed: pairs with the load in `new_row`, by the lock of the pool that the number goes to.
            self.entry(row.entry).turns.store(row.turns, Relaxed);
            self.entries.give(row.entry.0);
            false
        });
        self.sweep_at
            .store(2 * pinned + lingering + IDLE_KEPT, Relaxed);
        self.sweeping.store(false, Release);
    }
}

impl<V: Default> Default for StickyRegistry<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V, M> fmt::Debug for StickyRegistry<V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyRegistry")
            .field("mapped", &self.mapped.load(Relaxed))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_leaves_104_bytes_of_128_to_the_value() {
        assert_eq!(size_of::<Entry<[u64; 13]>>(), 128);
    }
}
