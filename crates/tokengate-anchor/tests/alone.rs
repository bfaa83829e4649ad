//! The registry and the conductor used alone: a router of connections to numbered targets.
//!
//! Everything is asked through the public interface. No test depends on time: the clock of those
//! that linger is set by hand.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tokengate_anchor::{ChainId, Conductor, Key, Linger, Mark, StickyRegistry};

const TARGETS: u32 = 4;
const KEYS: u64 = 16;

/// Twice as many as the registry keeps idle: passing through makes it sweep.
const MANY: u64 = 2 * 16 * 1024;

fn key(number: u64) -> Key {
    Key::from_hash(number)
}

/// How many entries there are in memory, in use or not.
fn entries<V: Default>(registry: &StickyRegistry<V>) -> usize {
    let mut entries = 0;
    registry.each_value(|_| entries += 1);
    entries
}

/// Marks and releases other keys one after the other.
fn pass_through<V: Default>(registry: &StickyRegistry<V>, keys: u64) {
    for other in 0..keys {
        registry.release(registry.mark(key(1_000_000 + other), || 99).entry);
    }
}

/// A generator of Marsaglia, "Xorshift RNGs", for choices that can be repeated.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % limit
    }
}

/// Sends connections of one key to one target, else to the one with the fewest.
#[derive(Default)]
struct Router {
    registry: StickyRegistry<AtomicUsize>,
    load: [AtomicUsize; TARGETS as usize],
    /// What is open of each key: the target and how many. A part of what the registry counts.
    open: [Mutex<(u32, usize)>; KEYS as usize],
}

impl Router {
    fn connect(&self, number: u64) -> Mark {
        let mark = self.registry.mark(key(number), || {
            let fewest = (0..TARGETS).min_by_key(|&slot| self.load[slot as usize].load(Relaxed));
            fewest.expect("there are targets")
        });
        self.load[mark.slot as usize].fetch_add(1, Relaxed);
        self.registry.value(mark.entry).fetch_add(1, Relaxed);
        let mut open = self.open[number as usize].lock().unwrap();
        if open.1 > 0 {
            assert_eq!(open.0, mark.slot, "the others of this key are elsewhere");
        }
        *open = (mark.slot, open.1 + 1);
        mark
    }

    fn disconnect(&self, number: u64, mark: Mark) {
        self.open[number as usize].lock().unwrap().1 -= 1;
        let others = self.registry.value(mark.entry).fetch_sub(1, Relaxed);
        assert_ne!(others, 0, "the value is another key's");
        self.load[mark.slot as usize].fetch_sub(1, Relaxed);
        self.registry.release(mark.entry);
    }

    /// Opens and closes at random; what is left at the end is closed.
    fn hammer(&self, seed: u64, steps: usize) {
        let mut choices = Choices(seed);
        let mut held = Vec::new();
        for _ in 0..steps {
            if held.is_empty() || held.len() < 8 && choices.below(2) == 0 {
                // The last key is the test's.
                let number = choices.below(KEYS - 1);
                held.push((number, self.connect(number)));
            } else {
                let at = choices.below(held.len() as u64) as usize;
                let (number, mark) = held.swap_remove(at);
                self.disconnect(number, mark);
            }
            if choices.below(512) == 0 {
                pass_through(&self.registry, MANY);
            }
        }
        for (number, mark) in held {
            self.disconnect(number, mark);
        }
    }
}

#[test]
fn threads_that_open_and_close_find_each_key_at_one_target() {
    let router = Router::default();
    let kept = router.connect(KEYS - 1);
    thread::scope(|scope| {
        for seed in 1..=3 {
            let router = &router;
            scope.spawn(move || router.hammer(seed, 5_000));
        }
        for _ in 0..200 {
            let pins = router.registry.snapshot();
            let mut keys: Vec<_> = pins.iter().map(|pin| pin.key.hash()).collect();
            keys.sort_unstable();
            assert!(keys.is_sorted_by(|a, b| a < b), "a key is shown twice");
            assert!(pins.iter().all(|pin| pin.count > 0));
            for pin in pins.iter().filter(|pin| pin.key.hash() < KEYS) {
                assert!(pin.slot < TARGETS && pin.count <= 3 * 8 + 1);
            }
            let found = pins.iter().find(|pin| pin.key == key(KEYS - 1));
            assert_eq!(found.map(|pin| (pin.slot, pin.count)), Some((kept.slot, 1)));
            thread::yield_now();
        }
    });
    router.disconnect(KEYS - 1, kept);
    assert!(router.registry.snapshot().is_empty());
    assert!(router.load.iter().all(|load| load.load(Relaxed) == 0));
    router
        .registry
        .each_value(|value| assert_eq!(value.load(Relaxed), 0));
}

#[test]
fn ten_million_keys_one_after_the_other_leave_few_entries() {
    let registry = StickyRegistry::<()>::new();
    let kept: Vec<_> = (0..100)
        .map(|n| registry.mark(key(n), || n as u32))
        .collect();
    pass_through(&registry, 10_000_000);
    assert!(entries(&registry) < 17_000, "{}", entries(&registry));
    assert_eq!(registry.snapshot().len(), 100);
    for (n, mark) in (0..).zip(kept) {
        assert_eq!(registry.find(key(n)), Some(n as u32));
        registry.release(mark.entry);
    }
}

#[test]
fn entries_are_as_many_as_were_pinned_at_one_time() {
    const AT_A_TIME: u64 = 50_000;
    let registry = StickyRegistry::<()>::new();
    let mut most = 0;
    for round in 0..4 {
        let numbers = round * AT_A_TIME..(round + 1) * AT_A_TIME;
        let marks: Vec<_> = numbers.map(|n| registry.mark(key(n), || 1)).collect();
        most = most.max(entries(&registry));
        marks.iter().for_each(|mark| registry.release(mark.entry));
    }
    assert!(most >= AT_A_TIME as usize);
    assert!(most <= 2 * AT_A_TIME as usize + 17_000, "{most}");
}

#[test]
fn a_key_keeps_its_slot_if_that_is_agreed_to_though_it_is_free() {
    let registry = StickyRegistry::<()>::new();
    let fresh = || unreachable!("it keeps its slot");
    let first = registry.mark_or_keep(key(7), |_| unreachable!("it is new"), || 1);
    registry.release(first.entry);
    assert_eq!(registry.find(key(7)), None);
    let kept = registry.mark_or_keep(key(7), |slot| slot == 1, fresh);
    assert_eq!(kept, first);
    assert_eq!(registry.find(key(7)), Some(1));
    // Pinned, it stays without being asked; free, it goes.
    let pinned = registry.mark_or_keep(key(7), |_| false, fresh);
    assert_eq!(pinned, first);
    for mark in [kept, pinned] {
        registry.release(mark.entry);
    }
    let moved = registry.mark_or_keep(key(7), |_| false, || 2);
    assert_eq!(moved.slot, 2);
    registry.release(moved.entry);
    assert!(registry.snapshot().is_empty());
}

/// Marks in turn a key that may be anywhere.
fn in_turn<V: Default>(registry: &StickyRegistry<V>, number: u64) -> Mark {
    registry.mark_in_turn(key(number), |_| true, || 1)
}

#[test]
fn turns_of_a_key_are_consecutive_whatever_other_marks_and_keys_do() {
    let registry = StickyRegistry::<()>::new();
    for turn in 0..5 {
        let seven = in_turn(&registry, 7);
        let eight = [(); 2].map(|()| in_turn(&registry, 8));
        assert_eq!(seven.turn, turn);
        assert_eq!(eight.map(|mark| mark.turn), [2 * turn, 2 * turn + 1]);
        // These take no turn, and tell how many there were.
        let others = [
            registry.mark(key(7), || 1),
            registry.mark_or_keep(key(7), |_| true, || 1),
        ];
        assert_eq!(others.map(|mark| mark.turn), [turn + 1; 2]);
        // With and without a time in which nothing is counted.
        for mark in eight.into_iter().chain(others) {
            registry.release(mark.entry);
        }
        if turn % 2 == 0 {
            registry.release(seven.entry);
        }
    }
    assert_eq!(registry.find(key(8)), None);
}

#[test]
fn a_mark_in_turn_pins_as_any_other_does() {
    let registry = StickyRegistry::<()>::new();
    let first = registry.mark_in_turn(key(7), |_| unreachable!("it is new"), || 1);
    let second = registry.mark_in_turn(key(7), |_| false, || unreachable!("it is pinned"));
    assert_eq!((first.slot, second.slot), (1, 1));
    assert_eq!(registry.snapshot()[0].count, 2);
    registry.release(first.entry);
    registry.release(second.entry);
    let moved = registry.mark_in_turn(key(7), |_| false, || 2);
    assert_eq!((moved.slot, moved.turn), (2, 2));
}

#[test]
fn turns_go_on_when_an_entry_is_given_to_another_key() {
    // The value counts the turns served, and is never reset.
    let registry = StickyRegistry::<AtomicU64>::new();
    let serve = |number| {
        let mark = in_turn(&registry, number);
        let served = registry.value(mark.entry).fetch_add(1, Relaxed);
        assert_eq!(mark.turn, served, "of key {number}");
        registry.release(mark.entry);
        // Takes no turn.
        registry.release(registry.mark(key(number), || 1).entry);
        mark
    };
    let first = [(); 3].map(|()| serve(7))[0];
    // More than the registry keeps idle, so that entries go from key to key.
    let heirs = (1_000_000..1_000_000 + MANY).filter(|&number| {
        let mark = serve(number);
        mark.entry == first.entry && mark.turn >= 3
    });
    assert!(heirs.count() > 0, "no other key had the entry");
}

#[test]
fn threads_that_mark_in_turn_get_each_turn_of_a_key_once() {
    const EACH: usize = 2_000;
    let registry = StickyRegistry::<AtomicU64>::new();
    let mark_many = || {
        let mut own = Vec::new();
        for _ in 0..EACH {
            let mark = in_turn(&registry, 7);
            own.push(mark.turn);
            registry.release(mark.entry);
        }
        assert!(
            own.is_sorted_by(|a, b| a < b),
            "a later mark, an earlier turn"
        );
        own
    };
    let mut turns: Vec<_> = thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(mark_many));
        threads
            .into_iter()
            .flat_map(|own| own.join().unwrap())
            .collect()
    });
    turns.sort_unstable();
    assert!(turns.into_iter().eq(0..3 * EACH as u64));
}

/// One step of a caller; keys are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Mark(u64),
    /// Of those that are not released, this one, counted round.
    Release(usize),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..5u64).prop_map(Step::Mark),
        20 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_registry_does_what_a_table_of_counts_does(steps in steps()) {
        let registry = StickyRegistry::<()>::new();
        let mut held: Vec<(u64, Mark)> = Vec::new();
        let mut table = BTreeMap::<u64, (u32, usize)>::new();
        for (fresh, step) in (0..).zip(steps) {
            match step {
                Step::Mark(number) => {
                    let mark = registry.mark(key(number), || fresh);
                    let row = table.entry(number).or_insert((fresh, 0));
                    row.1 += 1;
                    prop_assert_eq!(mark.slot, row.0);
                    held.push((number, mark));
                }
                Step::Release(at) if !held.is_empty() => {
                    let (number, mark) = held.swap_remove(at % held.len());
                    registry.release(mark.entry);
                    let row = table.get_mut(&number).expect("it was marked");
                    row.1 -= 1;
                    if row.1 == 0 {
                        table.remove(&number);
                    }
                }
                Step::Release(_) => {}
                Step::Sweep => pass_through(&registry, MANY),
            }
            let pins = registry.snapshot().into_iter();
            let shown: BTreeMap<_, _> =
                pins.map(|pin| (pin.key.hash(), (pin.slot, pin.count))).collect();
            prop_assert_eq!(&shown, &table);
            for number in 0..5 {
                let slot = table.get(&number).map(|row| row.0);
                prop_assert_eq!(registry.find(key(number)), slot);
            }
        }
    }
}

/// The clock of [`lingering`], which one test alone may use.
static NOW_NS: AtomicU64 = AtomicU64::new(1);

fn lingering(most: usize) -> StickyRegistry<()> {
    StickyRegistry::lingering(Linger {
        time: Duration::from_nanos(100),
        most,
        now_ns: || NOW_NS.load(SeqCst),
    })
}

#[test]
fn a_key_that_lingers_stays_for_its_time_and_no_longer() {
    let registry = lingering(usize::MAX);
    let use_once = |slot| {
        let mark = registry.mark(key(7), || slot);
        registry.release(mark.entry);
        mark.slot
    };
    assert_eq!(use_once(1), 1);
    assert!(registry.snapshot().is_empty(), "nothing is counted");
    for _ in 0..3 {
        // Each use starts its time anew.
        NOW_NS.fetch_add(99, SeqCst);
        assert_eq!(registry.find(key(7)), Some(1));
        assert_eq!(use_once(2), 1);
    }
    NOW_NS.fetch_add(100, SeqCst);
    assert_eq!(registry.find(key(7)), None);
    assert_eq!(use_once(3), 3);

    // Of more than the most, some are let go at the next sweep.
    let registry = lingering(10);
    pass_through(&registry, MANY);
    let others = (0..MANY).filter(|other| registry.find(key(1_000_000 + other)).is_some());
    let stayed = others.count();
    assert!((10..MANY as usize).contains(&stayed), "{stayed}");
    // An entry that another key had before lingers for that one only.
    for other in 0..MANY {
        let mark = registry.mark(key(other), || 4);
        assert_eq!(mark.slot, 4);
        registry.release(mark.entry);
    }
}

/// One step at random: opens a chain under another, joins one, or leaves one.
fn grow(conductor: &Conductor, choices: &mut Choices, lead: &AtomicU64, held: &mut Vec<ChainId>) {
    let parent = held.last().copied();
    match choices.below(4) {
        0 => {
            let lead = lead.fetch_add(1, Relaxed);
            held.push(conductor.open(lead, &["child_op"], lead as u32, parent));
        }
        1 => {
            if let Some(chain) = parent {
                conductor.join(chain);
                held.push(chain);
            }
        }
        _ if !held.is_empty() => {
            let at = choices.below(held.len() as u64) as usize;
            conductor.leave(held.swap_remove(at));
        }
        _ => {}
    }
}

#[test]
fn chains_that_grow_at_random_are_all_released_and_use_slots_again() {
    const THREADS: u64 = 3;
    let (conductor, lead) = (Conductor::new(), AtomicU64::new(1));
    let highest = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (conductor, lead, highest) = (&conductor, &lead, &highest);
            scope.spawn(move || {
                let (mut choices, mut held) = (Choices(seed), Vec::new());
                for _ in 0..3_000 {
                    grow(conductor, &mut choices, lead, &mut held);
                    for &chain in &held {
                        highest.fetch_max(u64::from(chain.number().get()), Relaxed);
                    }
                    // Now and then all end: what is nested keeps those around it.
                    if choices.below(64) == 0 {
                        held.drain(..).for_each(|chain| conductor.leave(chain));
                    }
                }
                held.drain(..).for_each(|chain| conductor.leave(chain));
            });
        }
        for _ in 0..200 {
            for view in conductor.snapshot() {
                assert!(view.count > 0 && u64::from(view.slot) == view.lead);
            }
            thread::yield_now();
        }
    });
    assert!(conductor.snapshot().is_empty());
    let (opened, highest) = (lead.into_inner() - 1, highest.into_inner());
    assert!(opened > 2 * highest, "{opened} chains in {highest} slots");
}
