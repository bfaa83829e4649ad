//! What binds a token: an entry of a key registry, its turn in the lane there, a chain, a limit.
//!
//! Set by the scheduler before anybody else can end the token; taken exactly once, when the token has
//! exited, by whoever claimed its start or its end: see "The bond" in `STATE.md`. What the numbers
//! mean, and who counts, is the scheduler's affair.

use std::num::{NonZeroU16, NonZeroU32};

use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Relaxed;

/// The entry, the chain and the limit that a token is counted in, and its turn; none by default.
///
/// The numbers count inside of the gate that is in the token's [`Place`](crate::Place). A scheduler
/// that binds tokens has a [`Keeper`](crate::Keeper) to hear of exits on threads of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// The entry of its key. At most [`Bond::MAX_NUMBER`].
    pub entry: Option<NonZeroU32>,
    /// Its turn in the lane of its entry, if it takes part in that.
    pub turn: Option<u64>,
    /// The chain that it belongs to. At most [`Bond::MAX_NUMBER`].
    pub chain: Option<NonZeroU32>,
    /// The limit that it needs a permit of, from its start to its exit. At most [`Bond::MAX_LIMIT`].
    ///
    /// Given back with the rest if the body has run. Of a token that had not started, the
    /// [`Place`](crate::Place) of its runnable says whether it holds a permit.
    pub limit: Option<NonZeroU16>,
}

impl Bond {
    /// Neither entry nor chain nor limit.
    pub const NONE: Self = Self {
        entry: None,
        turn: None,
        chain: None,
        limit: None,
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

    /// All but the turn, of which only that there is one.
    #[inline]
    fn pack(self) -> u64 {
        let number = |part: Option<NonZeroU32>| part.map_or(0, NonZeroU32::get);
        let (entry, chain) = (number(self.entry), number(self.chain));
        // Some ten GiB of tokens, if each has a key of its own.
        let fits = entry.max(chain) <= Self::MAX_NUMBER;
        assert!(fits, "there are 67 million keys or chains in flight");
        let limit = self.limit.map_or(0, NonZeroU16::get);
        debug_assert!(limit <= Self::MAX_LIMIT);
        let turn = if self.turn.is_some() { HAS_TURN } else { 0 };
        turn | u64::from(limit) << LIMIT_SHIFT | u64::from(entry) << ENTRY_SHIFT | u64::from(chain)
    }

    #[inline]
    fn unpack(word: u64, turn: u64) -> Self {
        let number = |word: u64| NonZeroU32::new(word as u32 & Self::MAX_NUMBER);
        Self {
            entry: number(word >> ENTRY_SHIFT),
            turn: (word & HAS_TURN != 0).then_some(turn),
            chain: number(word),
            limit: NonZeroU16::new((word >> LIMIT_SHIFT) as u16 & Self::MAX_LIMIT),
        }
    }
}

const NUMBER_BITS: u32 = 26;
const LIMIT_BITS: u32 = 10;
const ENTRY_SHIFT: u32 = NUMBER_BITS;
const LIMIT_SHIFT: u32 = 2 * NUMBER_BITS;
const HAS_TURN: u64 = 1 << 63;

/// The bond in the header of a cell.
///
/// Relaxed throughout: whoever can end the token learns of it after the bond was set, and of those one
/// takes it. Others only look.
#[derive(Debug)]
pub(crate) struct BondWord {
    word: AtomicU64,
    /// Means nothing unless the word says that there is a turn.
    turn: AtomicU64,
}

impl BondWord {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            turn: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Bond {
        Bond::unpack(self.word.load(Relaxed), self.turn.load(Relaxed))
    }

    /// The entry, if there is a turn.
    #[inline]
    pub(crate) fn lane(&self) -> Option<NonZeroU32> {
        let word = self.word.load(Relaxed);
        NonZeroU32::new((word >> ENTRY_SHIFT) as u32 & Bond::MAX_NUMBER)
            .filter(|_| word & HAS_TURN != 0)
    }

    #[inline]
    pub(crate) fn set(&self, bond: Bond) {
        self.turn.store(bond.turn.unwrap_or(0), Relaxed);
        self.word.store(bond.pack(), Relaxed);
    }

    /// Takes all of it: for whoever claimed the start or the end.
    #[inline(always)]
    pub(crate) fn take(&self) -> Bond {
        let word = self.word.load(Relaxed);
        if word == 0 {
            return Bond::NONE;
        }
        self.word.store(0, Relaxed);
        Bond::unpack(word, self.turn.load(Relaxed))
    }
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use super::*;

    const ENTRY: Option<NonZeroU32> = NonZeroU32::new(Bond::MAX_NUMBER);
    const CHAIN: Option<NonZeroU32> = NonZeroU32::new(Bond::MAX_NUMBER - 1);
    const LIMIT: Option<NonZeroU16> = NonZeroU16::new(Bond::MAX_LIMIT);

    #[test]
    fn what_is_set_is_taken_once() {
        for entry in [None, NonZeroU32::new(1), ENTRY] {
            for chain in [None, NonZeroU32::new(1), CHAIN] {
                for turn in [None, Some(0), Some(u64::MAX)] {
                    for limit in [None, NonZeroU16::new(1), LIMIT] {
                        let (word, bond) = (
                            BondWord::new(),
                            Bond {
                                entry,
                                turn,
                                chain,
                                limit,
                            },
                        );
                        word.set(bond);
                        assert_eq!((word.load(), word.take()), (bond, bond));
                        assert_eq!((word.load(), word.take()), (Bond::NONE, Bond::NONE));
                    }
                }
            }
        }
        assert_eq!(Bond::NONE.pack(), 0);
    }
}
