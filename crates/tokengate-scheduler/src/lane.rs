//! The lane of a serial key: first in, first out, one at a time.
//!
//! Each token has drawn its turn at its call. Workers ask whether it has come, each exit says that one
//! is over. Keeps: the token whose turn it is may start, all others wait, here or in their queues. It
//! posts nothing: what a turn that is over gives is the caller's affair.
#![doc = include_str!("LANES.md")]

use tokengate_token::Runnable;

use self::places::{Backlogs, Places, Turn};
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{Mutex, lock};

pub(crate) mod places;

/// See the page above.
#[derive(Default)]
pub(crate) struct Lane {
    /// Whose turn it is, times two; and one more if there are places. Written without the lock by the
    /// one whose turn is over, if there are none; else under the lock.
    word: AtomicU64,
    places: Mutex<Places>,
}

const HAS_PLACES: u64 = 1;

/// What is to be done after a turn is over.
#[must_use = "a runnable that is dropped is killed, and its turn is never over"]
#[derive(Default)]
pub(crate) struct Over {
    /// The one whose turn it is now, if a worker came upon it before.
    pub(crate) next: Option<Runnable>,
    /// The runnable of the turn itself, if it waited here: a tombstone. Only of one that was ended from
    /// outside; whoever else ends a turn has the runnable, or runs it in its turn.
    pub(crate) tombstone: Option<Runnable>,
}

impl Lane {
    /// Whether this turn has come: it is served now, or over.
    ///
    /// Acquire: pairs with the Release of each end of a turn, so the body sees what the one before it
    /// has written.
    #[inline]
    pub(crate) fn has_come(&self, turn: u64) -> bool {
        turn_of(self.word.load(Acquire)) >= turn
    }

    /// For a worker that came upon the token before its turn: it waits here. Gives it back if its turn has
    /// come meanwhile, or is over, or if it is to be ended, as `refused` says.
    pub(crate) fn set_aside(
        &self,
        turn: u64,
        runnable: Runnable,
        backlogs: &Backlogs,
        refused: impl FnOnce(&Runnable) -> bool,
    ) -> Option<Runnable> {
        let mut places = lock(&self.places);
        let before = self.word.load(Acquire);
        let now = turn_of(before);
        // Asked under the lock: an order to end all that wait, which comes later, finds it here. And before
        // there is a place: who makes one sets the bit.
        if now >= turn || refused(&runnable) || matches!(places.of(now, turn), Turn::Over) {
            return Some(runnable);
        }
        places.put(now, turn, runnable, backlogs);
        if before & HAS_PLACES != 0 {
            return None;
        }
        // Acquire: as in `has_come`. From here on the end of each turn takes the lock.
        let before = self.word.fetch_or(HAS_PLACES, Acquire);
        if turn_of(before) < turn {
            return None;
        }
        // It came in between, and its holder is this one.
        places.take(now, turn, backlogs)
    }

    /// The turn is over: its token has exited. In whatever order; once for each turn.
    #[inline]
    pub(crate) fn end(&self, turn: u64, backlogs: &Backlogs) -> Over {
        // Relaxed, and Release: the next body sees what this one has written.
        let alone = self.word.load(Relaxed) == word(turn)
            && self
                .word
                .compare_exchange(word(turn), word(turn + 1), Release, Relaxed)
                .is_ok();
        if alone {
            return Over::default();
        }
        self.end_among_others(turn, backlogs)
    }

    fn end_among_others(&self, turn: u64, backlogs: &Backlogs) -> Over {
        let mut places = lock(&self.places);
        let mut tombstone = None;
        // Acquire, and below: if the turn before came to its end in between, what its body has written is
        // seen by the next one too.
        let now = turn_of(self.word.load(Acquire));
        if now != turn {
            tombstone = places.take(now, turn, backlogs);
            *places.of(now, turn) = Turn::Over;
            let before = self.word.fetch_or(HAS_PLACES, Acquire);
            if turn_of(before) != turn {
                return Over {
                    next: None,
                    tombstone,
                };
            }
        }
        let (now, next) = places.advance(turn, backlogs);
        let has_places = if places.is_empty() { 0 } else { HAS_PLACES };
        // Release: as in `end`. A store: while this turn lasts, and the lock is held, nobody else writes.
        self.word.store(word(now) | has_places, Release);
        Over { next, tombstone }
    }

    /// How many wait here.
    pub(crate) fn waiting(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        lock(&self.places).waiting()
    }

    /// Takes all that wait here, oldest first. Their turns are not over.
    pub(crate) fn take_waiting(&self, backlogs: &Backlogs) -> Vec<Runnable> {
        // Without a look before: nobody that waits is missed.
        lock(&self.places).take_all(backlogs)
    }

    /// Whether nothing is known of turns to come, so nobody waits here; as far as can be seen.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a look.
        self.word.load(Relaxed) & HAS_PLACES == 0
    }
}

/// The word for a turn, without places.
fn word(turn: u64) -> u64 {
    turn << 1
}

fn turn_of(word: u64) -> u64 {
    word >> 1
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use tokengate_token::{Operation, Plain, create};

    use super::*;

    static OP: Operation = Operation::new("test.operation");

    fn runnable() -> Runnable {
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        token.detach();
        runnable
    }

    #[test]
    fn a_lane_leaves_an_entry_of_the_registry_in_128_bytes() {
        // See the registry for what else is in an entry.
        assert!(size_of::<Lane>() <= 104);
    }

    #[test]
    fn a_token_that_is_to_be_ended_leaves_no_place_behind() {
        let (lane, backlogs) = (Lane::default(), Backlogs::new(1));
        let goes_on = lane.set_aside(5, runnable(), &backlogs, |_| true);
        assert!(goes_on.is_some());
        assert!(lane.is_empty() && lock(&lane.places).is_empty());
        for turn in 0..5 {
            assert!(lane.end(turn, &backlogs).next.is_none());
        }
        assert!(lane.has_come(5) && lock(&lane.places).is_empty());
    }

    #[test]
    fn those_that_wait_are_told_to_the_router_some_at_a_time() {
        let (lane, backlogs) = (Lane::default(), Backlogs::new(1));
        for turn in 1..=40 {
            let goes_on = lane.set_aside(turn, runnable(), &backlogs, |_| false);
            assert!(goes_on.is_none());
        }
        assert_eq!((lane.waiting(), backlogs.of(0)), (40, 32));
        for turn in 0..40 {
            assert!(lane.end(turn, &backlogs).next.is_some());
        }
        assert_eq!((lane.waiting(), backlogs.of(0)), (0, 0));
        assert!(lane.end(40, &backlogs).next.is_none() && lane.is_empty());
    }
}
