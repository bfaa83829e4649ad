//! The load of `keyed`: the state of a key is one cache line, and a token adds to every word of it.
//!
//! The scenario draws one for each condition. Sums that differ are lost updates.

use std::sync::{Arc, Mutex};

use crate::contender::Job;
use crate::keyed::{KeyedJob, Sequence, Slot, Word};
use crate::random::Random;
use crate::scenarios::load::Load;
use crate::spin::Spin;
use crate::tally::Tally;
use crate::zipf::Zipf;

/// Sums of one account.
const SUMS: usize = 6;

/// The state of a key: 64 bytes.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Account {
    sequence: Sequence,
    sums: [Word; SUMS],
}

/// Adds a number to the account of a key.
pub(crate) struct Add {
    key: usize,
    slot: &'static Slot<Account>,
    /// The number of the draw, from 0 on.
    number: u64,
    spin: Spin,
}

impl Job for Add {
    type Output = u64;

    #[inline]
    fn run(self) -> u64 {
        self.spin.run();
        let account = &self.slot.state;
        account.sequence.see(self.number + 1);
        for sum in &account.sums {
            sum.add(self.number);
        }
        self.number
    }
}

impl KeyedJob for Add {
    #[inline]
    fn key(&self) -> usize {
        self.key
    }

    #[inline]
    fn lock(&self) -> &'static Mutex<()> {
        &self.slot.lock
    }
}

/// Additions to the accounts of drawn keys.
#[derive(Clone)]
pub(crate) struct Additions {
    slots: &'static [Slot<Account>],
    /// The key of each token.
    draws: Arc<[u32]>,
    spin: Spin,
}

impl Additions {
    /// Draws the key of each token; keys are more than none and at most as many as slots.
    pub(super) fn draw(
        slots: &'static [Slot<Account>],
        keys: &Zipf,
        tokens: usize,
        spin: Spin,
        random: &mut Random,
    ) -> Self {
        Self {
            slots,
            draws: (0..tokens).map(|_| keys.draw(random) as u32).collect(),
            spin,
        }
    }
}

impl Load for Additions {
    type Job = Add;

    fn jobs(&self) -> impl ExactSizeIterator<Item = Add> + Send + use<> {
        let Self { slots, draws, spin } = self.clone();
        (0..draws.len()).map(move |number| {
            let key = draws[number] as usize;
            Add {
                key,
                slot: &slots[key],
                number: number as u64,
                spin,
            }
        })
    }

    fn reset(&self) {
        for slot in self.slots {
            slot.state.sequence.reset();
            slot.state.sums.iter().for_each(|sum| sum.set(0));
        }
    }

    fn check(&self, tally: &mut Tally) {
        let sum = |i: usize| self.slots.iter().map(|slot| slot.state.sums[i].get()).sum();
        let sums: [u64; SUMS] = std::array::from_fn(sum);
        let expected = (0..self.draws.len() as u64).sum();
        tally.check(&sums, &[expected; SUMS], |sums| format!("{sums:?}"));
    }

    fn steps_back(&self) -> u64 {
        let steps_back = |slot: &Slot<Account>| slot.state.sequence.steps_back();
        self.slots.iter().map(steps_back).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyed;
    use crate::scenarios::load::tests::{assert_all_sound, assert_strict};

    fn additions(tokens: usize) -> Additions {
        let slots = keyed::slots(100, |_| Account::default());
        let mut random = Random::new(7);
        let keys = Zipf::new(100, 1.1, &mut random);
        Additions::draw(slots, &keys, tokens, Spin::NONE, &mut random)
    }

    #[test]
    fn an_account_fills_a_cache_line() {
        assert_eq!(size_of::<Account>(), 64);
    }

    #[test]
    fn contenders_lose_no_addition_and_keep_the_order_that_they_promise() {
        assert_all_sound(&additions(5_000));
    }

    #[test]
    fn a_lost_addition_and_a_lost_order_are_seen() {
        assert_strict(&additions(1_000));
    }
}
