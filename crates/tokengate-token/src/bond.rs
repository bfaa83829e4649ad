//! What binds a token: an entry of a key registry, its turn in the lane there, a chain, a limit.
//!
//! Set by the scheduler before anybody else can end the token; given back exactly once, when the
//! token has exited. The word of it says who gives back what: see "The bond" in `STATE.md`. What the
//! numbers mean, and who counts, is the scheduler's affair.

use std::num::{NonZeroU16, NonZeroU32};

use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// The entry, the chain and the limit that a token is counted in, and its turn; none by default.
///
/// The numbers count inside of the gate that is in the token's [`Place`](crate::Place). A scheduler
/// that binds tokens has a [`Keeper`](crate::Keeper) to hear of exits on threads of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// The entry of its key. At most [`Bond::MAX_NUMBER`].
    pub entry: Option<NonZeroU32>,
    /// The chain that it belongs to. At most [`Bond::MAX_NUMBER`].
    pub chain: Option<NonZeroU32>,
    /// The limit that it needs a permit of, from its start to its exit. At most [`Bond::MAX_LIMIT`].
    ///
    /// Given back with the rest if the body has run. Of a token that had not started, the
    /// [`Place`](crate::Place) of its runnable says whether it holds a permit.
    pub limit: Option<NonZeroU16>,
    /// How it stands in the lane of its entry.
    pub turn: Turn,
}

/// How a token stands in a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// It takes no part.
    #[default]
    None,
    /// It is about to join, or behind others.
    Waits,
    /// The lane is its own, until it exits.
    Holds,
}

impl Bond {
    /// Neither entry nor chain nor limit.
    pub const NONE: Self = Self {
        entry: None,
        chain: None,
        limit: None,
        turn: Turn::None,
    };

    /// The largest number of an entry, and of a chain.
    pub const MAX_NUMBER: u32 = (1 << NUMBER_BITS) - 1;

    /// The largest number of a limit.
    pub const MAX_LIMIT: u16 = (1 << LIMIT_BITS) - 1;

    /// Whether there is neither entry nor chain nor limit.
    #[inline]
    pub fn is_none(self) -> bool {
        self.entry.is_none() && self.chain.is_none() && self.limit.is_none()
    }

    #[inline]
    fn pack(self) -> u64 {
        let number = |part: Option<NonZeroU32>| part.map_or(0, NonZeroU32::get);
        let (entry, chain) = (number(self.entry), number(self.chain));
        // Some ten GiB of tokens, if each has a key of its own.
        let fits = entry.max(chain) <= Self::MAX_NUMBER;
        assert!(fits, "there are 67 million keys or chains in flight");
        let limit = self.limit.map_or(0, NonZeroU16::get);
        debug_assert!(limit <= Self::MAX_LIMIT);
        let turn = match self.turn {
            Turn::None => 0,
            Turn::Waits => WAITS,
            Turn::Holds => HOLDS,
        };
        turn | u64::from(limit) << LIMIT_SHIFT | u64::from(entry) << ENTRY_SHIFT | u64::from(chain)
    }

    #[inline]
    fn unpack(word: u64) -> Self {
        let number = |word: u64| NonZeroU32::new(word as u32 & Self::MAX_NUMBER);
        Self {
            entry: number(word >> ENTRY_SHIFT),
            chain: number(word),
            limit: NonZeroU16::new((word >> LIMIT_SHIFT) as u16 & Self::MAX_LIMIT),
            turn: match word & TURN {
                0 => Turn::None,
                HOLDS => Turn::Holds,
                _ => Turn::Waits,
            },
        }
    }
}

const NUMBER_BITS: u32 = 26;
const LIMIT_BITS: u32 = 10;
const ENTRY_SHIFT: u32 = NUMBER_BITS;
const LIMIT_SHIFT: u32 = 2 * NUMBER_BITS;
const ENTRY: u64 = (Bond::MAX_NUMBER as u64) << ENTRY_SHIFT;
const WAITS: u64 = 1 << 63;
const HOLDS: u64 = 1 << 62;
/// Ended while it waited: the lane has yet to come to it.
const GONE: u64 = WAITS | HOLDS;
const TURN: u64 = WAITS | HOLDS;

/// The bond in the header of a cell.
#[derive(Debug)]
pub(crate) struct BondWord(AtomicU64);

impl BondWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Acquire: pairs with `give_turn`, so that a waiter which finds that the token has its turn, and
    /// runs it, sees what the one before has written. For all else publication is the order.
    #[inline]
    pub(crate) fn load(&self) -> Bond {
        Bond::unpack(self.0.load(Acquire))
    }

    /// Whether its turn has not come. Acquire, as [`load`](Self::load).
    #[inline(always)]
    pub(crate) fn waits(&self) -> bool {
        self.0.load(Acquire) & WAITS != 0
    }

    /// Relaxed: whoever can end the token learns of it later.
    #[inline]
    pub(crate) fn set(&self, bond: Bond) {
        self.0.store(bond.pack(), Relaxed);
    }

    /// Takes all of it: for whoever claimed the start, or holds the runnable and claimed the end.
    ///
    /// Relaxed, both: nobody else changes it then. What was written before came with the runnable,
    /// or by the Acquire of `load`.
    #[inline(always)]
    pub(crate) fn take(&self) -> Bond {
        let word = self.0.load(Relaxed);
        if word == 0 {
            return Bond::NONE;
        }
        self.0.store(0, Relaxed);
        Bond::unpack(word)
    }

    /// Takes what can be given back now: for an outsider who claimed the end of a token that had not
    /// started, when the body is gone.
    ///
    /// AcqRel: pairs with `give_turn` and `unlink`. Whoever finds it gone sees the body gone; whoever
    /// has its turn sees what the one before has written.
    pub(crate) fn leave(&self) -> Bond {
        let left = |word: u64| {
            if word & TURN == WAITS {
                GONE | word & ENTRY
            } else {
                0
            }
        };
        let before = self
            .0
            .fetch_update(AcqRel, Relaxed, |word| Some(left(word)));
        match before.map(Bond::unpack) {
            Ok(bond) if bond.turn == Turn::Waits => Bond {
                chain: bond.chain,
                ..Bond::NONE
            },
            Ok(bond) => bond,
            Err(_) => Bond::NONE,
        }
    }

    /// The lane has come to it: for the one who passes, or joins a free lane.
    ///
    /// # Errors
    ///
    /// What is left of it, with the lane, if the token was ended while it waited.
    #[inline]
    pub(crate) fn give_turn(&self) -> Result<(), Bond> {
        self.end_wait(HOLDS)
    }

    /// It was taken out of the lane without a turn; gives what is left of it if it was ended while
    /// it waited. Else, if somebody is about to end it, that one takes all, and no lane with it.
    pub(crate) fn unlink(&self) -> Bond {
        self.end_wait(0).err().unwrap_or_default()
    }

    /// AcqRel: as [`leave`](Self::leave).
    #[inline]
    fn end_wait(&self, turn: u64) -> Result<(), Bond> {
        let next = |word: u64| match word & TURN {
            WAITS => Some(word & !TURN | turn),
            GONE => Some(0),
            _ => None,
        };
        match self.0.fetch_update(AcqRel, Relaxed, next) {
            Ok(before) if before & TURN == GONE => Err(Bond::unpack(before & !TURN | turn)),
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use super::*;

    const ENTRY: Option<NonZeroU32> = NonZeroU32::new(Bond::MAX_NUMBER);
    const CHAIN: Option<NonZeroU32> = NonZeroU32::new(Bond::MAX_NUMBER - 1);
    const LIMIT: Option<NonZeroU16> = NonZeroU16::new(Bond::MAX_LIMIT);

    fn bond(entry: Option<NonZeroU32>, chain: Option<NonZeroU32>, turn: Turn) -> Bond {
        Bond {
            entry,
            chain,
            turn,
            limit: None,
        }
    }

    /// All of a bond.
    fn full(turn: Turn) -> Bond {
        Bond {
            limit: LIMIT,
            ..bond(ENTRY, CHAIN, turn)
        }
    }

    fn word(turn: Turn) -> BondWord {
        let word = BondWord::new();
        word.set(full(turn));
        word
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let entries = [None, NonZeroU32::new(1), ENTRY];
        let chains = [None, NonZeroU32::new(1), CHAIN];
        for entry in entries {
            for chain in chains {
                for turn in [Turn::None, Turn::Waits, Turn::Holds] {
                    for limit in [None, NonZeroU16::new(1), LIMIT] {
                        let bond = Bond {
                            limit,
                            ..bond(entry, chain, turn)
                        };
                        assert_eq!(Bond::unpack(bond.pack()), bond);
                    }
                }
            }
        }
        assert_eq!(Bond::NONE.pack(), 0);
    }

    #[test]
    fn an_outsider_takes_all_of_one_that_does_not_wait() {
        for turn in [Turn::None, Turn::Holds] {
            let word = word(turn);
            assert_eq!(word.leave(), full(turn));
            assert_eq!(word.load(), Bond::NONE);
            assert_eq!(word.give_turn(), Ok(()));
            assert_eq!((word.unlink(), word.take()), (Bond::NONE, Bond::NONE));
        }
    }

    #[test]
    fn of_one_that_waits_an_outsider_takes_the_chain_and_the_lane_the_rest() {
        let passed = word(Turn::Waits);
        assert_eq!(passed.leave(), bond(None, CHAIN, Turn::None));
        assert_eq!(passed.load(), bond(ENTRY, None, Turn::Waits));
        assert_eq!(passed.give_turn(), Err(bond(ENTRY, None, Turn::Holds)));
        assert_eq!(passed.load(), Bond::NONE);
        let unlinked = word(Turn::Waits);
        let _ = unlinked.leave();
        assert_eq!(unlinked.unlink(), bond(ENTRY, None, Turn::None));
        assert_eq!(unlinked.load(), Bond::NONE);
    }

    #[test]
    fn one_that_was_given_its_turn_or_unlinked_leaves_as_such() {
        let passed = word(Turn::Waits);
        assert_eq!(passed.give_turn(), Ok(()));
        assert_eq!(passed.leave(), full(Turn::Holds));
        let unlinked = word(Turn::Waits);
        assert_eq!(unlinked.unlink(), Bond::NONE);
        assert_eq!(unlinked.leave(), full(Turn::None));
    }
}
