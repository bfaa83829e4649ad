//! The load of `locality`: the state of a key is many cache lines, and a token goes through all of them.
//!
//! The scenario draws one for each condition. A token reads and writes one word of each line, because it is
//! lines that caches move; visits that are missing are lost updates.

use std::hint::black_box;
use std::iter;
use std::sync::{Arc, Mutex};

use crate::contender::Job;
use crate::keyed::{KeyedJob, Sequence, Slot, Word};
use crate::random::Random;
use crate::scenarios::load::Load;
use crate::tally::Tally;

/// Bytes of a line.
pub(super) const LINE: usize = 64;

/// The way through the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// One line after the other, which the processor foresees.
    Sequence,
    /// Each line names the next one.
    Chase,
}

/// The state of a key.
#[derive(Debug)]
pub(super) struct Region {
    sequence: Sequence,
    lines: Box<[Line]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line {
    next: Word,
    visits: Word,
}

impl Region {
    /// Lines that name each other in one circle, in random order.
    pub(super) fn new(bytes: usize, random: &mut Random) -> Self {
        let lines: Box<[Line]> = (0..bytes / LINE).map(|_| Line::default()).collect();
        let mut circle: Vec<usize> = (0..lines.len()).collect();
        random.shuffle(&mut circle);
        for (place, &line) in circle.iter().enumerate() {
            let next = circle[(place + 1) % circle.len()];
            lines[line].next.set(next as u64);
        }
        Self {
            sequence: Sequence::default(),
            lines,
        }
    }

    /// Visits every line once.
    fn visit(&self, access: Access) {
        let mut sum = 0_u64;
        match access {
            Access::Sequence => {
                for line in &self.lines {
                    line.visits.add(1);
                    sum = sum.wrapping_add(line.visits.get());
                }
            }
            Access::Chase => {
                let mut place = 0;
                for _ in 0..self.lines.len() {
                    let line = &self.lines[place];
                    line.visits.add(1);
                    sum = sum.wrapping_add(line.visits.get());
                    place = line.next.get() as usize;
                }
            }
        }
        black_box(sum);
    }

    /// True if every line was visited so many times since the last reset.
    pub(super) fn was_visited(&self, times: u64) -> bool {
        self.lines.iter().all(|line| line.visits.get() == times)
    }

    /// Forgets all visits.
    pub(super) fn reset(&self) {
        self.sequence.reset();
        self.lines.iter().for_each(|line| line.visits.set(0));
    }
}

/// Goes through the region of a key.
pub(crate) struct Visit {
    key: usize,
    slot: &'static Slot<Region>,
    /// The number of the draw, from 0 on.
    number: u64,
    access: Access,
}

impl Job for Visit {
    type Output = ();

    fn run(self) {
        self.slot.state.sequence.see(self.number + 1);
        self.slot.state.visit(self.access);
    }
}

impl KeyedJob for Visit {
    fn key(&self) -> usize {
        self.key
    }

    fn lock(&self) -> &'static Mutex<()> {
        &self.slot.lock
    }
}

/// Visits of the regions of drawn keys.
#[derive(Clone)]
pub(crate) struct Visits {
    slots: &'static [Slot<Region>],
    /// The key of each token.
    draws: Arc<[u32]>,
    access: Access,
}

impl Visits {
    /// Draws the key of each token, all keys alike.
    pub(super) fn draw(
        slots: &'static [Slot<Region>],
        access: Access,
        tokens: usize,
        random: &mut Random,
    ) -> Self {
        let keys = slots.len() as u32;
        Self {
            slots,
            draws: (0..tokens).map(|_| random.below(keys)).collect(),
            access,
        }
    }
}

impl Load for Visits {
    type Job = Visit;

    fn jobs(&self) -> impl ExactSizeIterator<Item = Visit> + Send + use<> {
        let Self {
            slots,
            draws,
            access,
        } = self.clone();
        (0..draws.len()).map(move |number| {
            let key = draws[number] as usize;
            Visit {
                key,
                slot: &slots[key],
                number: number as u64,
                access,
            }
        })
    }

    fn reset(&self) {
        self.slots.iter().for_each(|slot| slot.state.reset());
    }

    fn check(&self, tally: &mut Tally) {
        let mut visits = vec![0; self.slots.len()];
        self.draws.iter().for_each(|&key| visits[key as usize] += 1);
        let mut regions = iter::zip(self.slots, visits);
        let all = regions.all(|(slot, times)| slot.state.was_visited(times));
        tally.check(&all, &true, |all| {
            if *all { "all visits" } else { "some lost" }.to_owned()
        });
    }

    fn steps_back(&self) -> u64 {
        let steps_back = |slot: &Slot<Region>| slot.state.sequence.steps_back();
        self.slots.iter().map(steps_back).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyed;
    use crate::scenarios::load::tests::{assert_all_sound, assert_strict};

    fn visits(access: Access) -> Visits {
        let mut random = Random::new(3);
        let slots = keyed::slots(4, |_| Region::new(64 * LINE, &mut random));
        Visits::draw(slots, access, 200, &mut random)
    }

    #[test]
    fn both_ways_visit_every_line_once() {
        assert_eq!(size_of::<Line>(), LINE);
        let region = Region::new(100 * LINE, &mut Random::new(1));
        assert!(region.was_visited(0));
        region.visit(Access::Sequence);
        assert!(region.was_visited(1));
        region.visit(Access::Chase);
        assert!(region.was_visited(2));
        region.reset();
        assert!(region.was_visited(0));
    }

    #[test]
    fn contenders_lose_no_visit_and_keep_the_order_that_they_promise() {
        assert_all_sound(&visits(Access::Sequence));
        assert_all_sound(&visits(Access::Chase));
    }

    #[test]
    fn a_lost_visit_and_a_lost_order_are_seen() {
        assert_strict(&visits(Access::Chase));
    }
}
