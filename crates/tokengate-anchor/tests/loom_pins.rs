//! The registry of keys under the model checker: one slot for a pin, and an order from pin to pin.
//!
//! Run by `cargo xtask loom`. The map is a stand-in over the model's lock, with one shard for each
//! key; the registry is the real one, and sweeps when few entries are idle. What hands out the slots
//! of entries is in the model but for `boxcar`, which only appends. Notes of the test are under a
//! mutex of std: they add no steps.

#![cfg(tokengate_loom)]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex as StdMutex};

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use tokengate_anchor::{EntryId, Key, Mark, Row, ShardMap, StickyRegistry};

/// The shards of the model's map: key `n` is in shard `n`.
const SHARDS: usize = 4;

/// A map of few keys, with a lock for each.
#[derive(Default)]
struct Shards([Mutex<Option<Row>>; SHARDS]);

impl ShardMap for Shards {
    fn with<R>(&self, hash: u64, f: impl FnOnce(&mut Option<Row>) -> R) -> R {
        f(&mut self.0[hash as usize].lock().unwrap())
    }

    fn retain(&self, mut keep: impl FnMut(&Row) -> bool) {
        for shard in &self.0 {
            let mut shard = shard.lock().unwrap();
            *shard = shard.filter(|row| keep(row));
        }
    }

    fn for_each(&self, mut look: impl FnMut(u64, &Row)) {
        for (hash, shard) in (0..).zip(&self.0) {
            let shard = shard.lock().unwrap();
            shard.iter().for_each(|row| look(hash, row));
        }
    }
}

/// The value beside a key.
#[derive(Default)]
struct Value {
    /// Touched by those who are counted.
    touched: UnsafeCell<()>,
    /// How many turns of the entry were served; no step of the model, and never reset.
    served: AtomicU64,
}

/// The registry, and what the test knows of it.
struct Pins {
    registry: StickyRegistry<Value, Shards>,
    /// Written by whoever finds the pin of key 0 ended, under its lock; read under the pin.
    beside: UnsafeCell<()>,
    /// The keys whose marks are not released.
    counted: StdMutex<Vec<(u64, Mark)>>,
}

impl Pins {
    #[expect(
        clippy::arc_with_non_send_sync,
        reason = "the threads of the model share it, and the model checks how"
    )]
    fn shared() -> Arc<Self> {
        Arc::new(Self {
            registry: StickyRegistry::with_map(Shards::default(), None),
            beside: UnsafeCell::default(),
            counted: StdMutex::default(),
        })
    }

    /// Marks a key, with the wish for a slot; whether it was asked for.
    fn mark(&self, key: u64, slot: u32) -> (Mark, bool) {
        let mut chosen = false;
        let mark = self.registry.mark(Key::from_hash(key), || {
            chosen = true;
            if key == 0 {
                self.beside.with_mut(|_| ());
            }
            slot
        });
        self.note(key, mark);
        (mark, chosen)
    }

    /// Marks a key that is content where it is.
    fn keep(&self, key: u64, slot: u32) -> Mark {
        let mark = self
            .registry
            .mark_or_keep(Key::from_hash(key), |_| true, || slot);
        self.note(key, mark);
        mark
    }

    /// Serves a turn of key 0, which others are marked for as well. Who finds it free is told so by
    /// all turns before.
    fn serve_one_of_many(&self, served: &AtomicU64) -> u64 {
        let mut found_served = None;
        let place = || {
            self.beside.with_mut(|_| ());
            found_served = Some(served.load(SeqCst));
            1
        };
        let mark = self
            .registry
            .mark_in_turn(Key::from_hash(0), |_| false, place);
        self.note(0, mark);
        if let Some(served) = found_served {
            assert_eq!(served, mark.turn, "free, with a turn that was not served");
        }
        served.fetch_add(1, SeqCst);
        self.release(0, mark);
        mark.turn
    }

    /// Serves a turn of a key that nobody else is marked for.
    fn serve_alone(&self, key: u64) -> EntryId {
        let key_of = Key::from_hash(key);
        let mark = self.registry.mark_in_turn(key_of, |_| false, || 1);
        self.note(key, mark);
        let value = self.registry.value(mark.entry);
        value.touched.with_mut(|_| ());
        let served = value.served.fetch_add(1, SeqCst);
        assert_eq!(served, mark.turn, "turns of an entry go on");
        self.release(key, mark);
        mark.entry
    }

    fn note(&self, key: u64, mark: Mark) {
        let mut counted = self.counted.lock().unwrap();
        for (other, held) in counted.iter() {
            if *other == key {
                let (held, new) = ((held.entry, held.slot), (mark.entry, mark.slot));
                assert_eq!(held, new, "one key has one entry and one slot");
            } else {
                assert_ne!(held.entry, mark.entry, "two keys have two entries");
            }
        }
        counted.push((key, mark));
    }

    /// What a token does under its pin, then its exit.
    fn release(&self, key: u64, mark: Mark) {
        if key == 0 {
            self.beside.with(|_| ());
        }
        self.registry.value(mark.entry).touched.with(|_| ());
        {
            let mut counted = self.counted.lock().unwrap();
            let at = counted.iter().position(|&held| held == (key, mark));
            let _ = counted.remove(at.expect("it was marked"));
        }
        self.registry.release(mark.entry);
    }

    /// A token that is alone with its key: what it writes comes before the next use of the entry.
    fn alone(&self, key: u64, slot: u32) -> EntryId {
        let (mark, chosen) = self.mark(key, slot);
        assert!(chosen && mark.slot == slot);
        self.registry.value(mark.entry).touched.with_mut(|_| ());
        self.release(key, mark);
        mark.entry
    }

    fn pinned(&self) -> BTreeMap<u64, (u32, usize)> {
        let pins = self.registry.snapshot().into_iter();
        pins.map(|pin| (pin.key.hash(), (pin.slot, pin.count)))
            .collect()
    }
}

/// Which of two outcomes there were among all runs: a model that knows one only shows nothing.
#[derive(Clone, Default)]
struct Seen(Arc<[AtomicBool; 2]>);

impl Seen {
    fn note(&self, outcome: bool) {
        self.0[usize::from(outcome)].store(true, SeqCst);
    }

    fn assert_both(&self) {
        assert!(self.0.iter().all(|seen| seen.load(SeqCst)));
    }
}

fn spawn<R: 'static>(pins: &Arc<Pins>, run: impl FnOnce(&Pins) -> R + 'static) -> JoinHandle<R> {
    let pins = pins.clone();
    thread::spawn(move || run(&pins))
}

#[test]
fn marks_of_one_key_that_are_not_released_have_one_slot() {
    loom::model(|| {
        let pins = Pins::shared();
        let callers = [1, 3].map(|slot| {
            spawn(&pins, move |pins| {
                for slot in [slot, slot + 1] {
                    let (mark, _) = pins.mark(0, slot);
                    pins.release(0, mark);
                }
            })
        });
        let (mark, _) = pins.mark(0, 5);
        pins.release(0, mark);
        for caller in callers {
            caller.join().unwrap();
        }
        assert!(pins.pinned().is_empty());
        assert_eq!(pins.mark(0, 6).0.slot, 6);
    });
}

#[test]
fn the_release_that_ends_a_pin_happens_before_the_next_pin() {
    let seen = Seen::default();
    let note = seen.clone();
    loom::model(move || {
        let pins = Pins::shared();
        let marks = [pins.mark(0, 1).0, pins.mark(0, 2).0];
        let exits = marks.map(|mark| spawn(&pins, move |pins| pins.release(0, mark)));
        // Either the pin still holds, or whoever chooses anew comes after both.
        let (mark, chosen) = pins.mark(0, 3);
        assert_eq!(mark.slot, if chosen { 3 } else { 1 });
        for exit in exits {
            exit.join().unwrap();
        }
        assert_eq!(pins.pinned(), [(0, (mark.slot, 1))].into());
        pins.release(0, mark);
        assert_eq!(pins.registry.find(Key::from_hash(0)), None);
        note.note(chosen);
    });
    seen.assert_both();
}

#[test]
fn a_key_that_keeps_its_slot_is_pinned_again_whatever_is_released_meanwhile() {
    loom::model(|| {
        let pins = Pins::shared();
        let (mark, _) = pins.mark(1, 1);
        let exit = spawn(&pins, move |pins| pins.release(1, mark));
        // Does not look; the exit before or after it is no matter.
        let kept = pins.keep(1, 2);
        assert_eq!(kept, mark);
        let arrival = spawn(&pins, |pins| pins.mark(1, 3));
        let (other, chosen) = arrival.join().unwrap();
        assert!(!chosen && other == kept);
        exit.join().unwrap();
        assert_eq!(pins.pinned(), [(1, (1, 2))].into());
        pins.release(1, kept);
        assert_eq!(pins.pinned(), [(1, (1, 1))].into());
        pins.release(1, other);
        assert!(pins.pinned().is_empty());
        assert_eq!(pins.keep(1, 4).slot, 1);
    });
}

#[test]
fn a_sweep_against_a_key_that_keeps_its_slot_gives_no_pin_away() {
    loom::model(|| {
        let pins = Pins::shared();
        pins.alone(1, 11);
        pins.alone(0, 10);
        let kept = spawn(&pins, |pins| pins.keep(1, 21));
        // The third entry: this one sweeps.
        let (third, _) = pins.mark(2, 12);
        let (fourth, _) = pins.mark(0, 20);
        let kept = kept.join().unwrap();
        assert!([11, 21].contains(&kept.slot));
        for (key, mark) in [(0, fourth), (1, kept), (2, third)] {
            pins.release(key, mark);
        }
        assert!(pins.pinned().is_empty());
    });
}

#[test]
fn a_sweep_against_an_arrival_and_a_release_takes_no_pin_away() {
    loom::model(|| {
        let pins = Pins::shared();
        // Key 0 is pinned and about to be left, key 1 is idle.
        let (left, _) = pins.mark(0, 10);
        pins.alone(1, 11);
        let exit = spawn(&pins, move |pins| pins.release(0, left));
        let arrival = spawn(&pins, |pins| pins.mark(1, 21).0);
        // The third entry: this one sweeps.
        let (third, _) = pins.mark(2, 12);
        let arrived = arrival.join().unwrap();
        exit.join().unwrap();
        assert_eq!(pins.pinned(), [(1, (21, 1)), (2, (12, 1))].into());
        // The next one finds its entry, or has another: in any case its own.
        let (again, chosen) = pins.mark(0, 20);
        assert!(chosen && again.slot == 20);
        for (key, mark) in [(0, again), (1, arrived), (2, third)] {
            pins.release(key, mark);
        }
    });
}

#[test]
fn two_keys_use_one_entry_one_after_the_other() {
    let seen = Seen::default();
    let note = seen.clone();
    loom::model(move || {
        let pins = Pins::shared();
        let (first, _) = pins.mark(1, 11);
        pins.alone(0, 10);
        let exit = spawn(&pins, move |pins| {
            pins.registry.value(first.entry).touched.with_mut(|_| ());
            pins.release(1, first);
        });
        // Sweeps, and the next one takes what was given back last.
        pins.alone(2, 12);
        let second = pins.alone(0, 20);
        exit.join().unwrap();
        pins.alone(1, 21);
        assert!(pins.pinned().is_empty());
        note.note(first.entry == second);
    });
    seen.assert_both();
}

#[test]
fn marks_in_turn_have_each_turn_once_and_are_all_served_when_the_key_is_free() {
    loom::model(|| {
        let (pins, served) = (Pins::shared(), Arc::new(AtomicU64::new(0)));
        let serve_two = |pins: &Pins, served: &AtomicU64| {
            let turns = [(); 2].map(|()| pins.serve_one_of_many(served));
            assert!(turns[0] < turns[1], "a later mark has a later turn");
            turns
        };
        let other = spawn(&pins, {
            let served = served.clone();
            move |pins| serve_two(pins, &served)
        });
        let own = serve_two(&pins, &served);
        let mut turns = [own, other.join().unwrap()].concat();
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2, 3]);
    });
}

#[test]
fn turns_go_on_when_an_entry_goes_from_key_to_key() {
    let seen = Seen::default();
    let note = seen.clone();
    loom::model(move || {
        let pins = Pins::shared();
        let first = pins.serve_alone(0);
        pins.serve_alone(1);
        // Its entry may be one that the sweep gives back meanwhile.
        let heir = spawn(&pins, |pins| pins.serve_alone(3));
        // The third entry: this one or the heir's sweeps.
        pins.serve_alone(2);
        pins.serve_alone(0);
        note.note(heir.join().unwrap() == first);
        pins.serve_alone(1);
    });
    seen.assert_both();
}

#[test]
fn two_sweeps_give_each_entry_back_once() {
    loom::model(|| {
        let pins = Pins::shared();
        pins.alone(0, 10);
        let other = spawn(&pins, |pins| {
            pins.alone(1, 11);
            pins.mark(1, 21).0
        });
        let (third, _) = pins.mark(2, 12);
        let second = other.join().unwrap();
        // Not the entry of another.
        let (first, chosen) = pins.mark(0, 20);
        assert!(chosen);
        for (key, mark) in [(0, first), (1, second), (2, third)] {
            pins.release(key, mark);
        }
    });
}

#[test]
fn a_snapshot_shows_keys_with_their_own_slots() {
    loom::model(|| {
        let pins = Pins::shared();
        pins.alone(0, 10);
        pins.alone(1, 11);
        let other = spawn(&pins, |pins| {
            // Sweeps; then an entry is used again that the snapshot may be looking at.
            pins.alone(2, 12);
            pins.alone(0, 10);
        });
        for (key, pinned) in pins.pinned() {
            assert_eq!(pinned, (10 + key as u32, 1));
        }
        other.join().unwrap();
    });
}
