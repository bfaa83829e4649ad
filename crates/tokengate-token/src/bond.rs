//! What binds a token to a place: an entry of a key registry and a chain, by number.
//!
//! Set by the scheduler before it publishes the token, read by whoever holds a part of it. It is
//! plain data: what the numbers mean, and who counts, is the scheduler's affair. The cell tells its
//! [`Home`](crate::Home) when a bound token has exited.

use std::num::NonZeroU32;

/// The entry and the chain that a token is counted in; both by number, none by default.
///
/// The numbers count inside of the gate that is in the token's [`Place`](crate::Place).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// The entry of its key.
    pub entry: Option<NonZeroU32>,
    /// The chain that it belongs to.
    pub chain: Option<NonZeroU32>,
}

impl Bond {
    /// Neither entry nor chain.
    pub const NONE: Self = Self {
        entry: None,
        chain: None,
    };

    /// Whether there is neither.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(crate) fn pack(self) -> u64 {
        let number = |part: Option<NonZeroU32>| part.map_or(0, |number| u64::from(number.get()));
        number(self.entry) << 32 | number(self.chain)
    }

    pub(crate) fn unpack(word: u64) -> Self {
        Self {
            entry: NonZeroU32::new((word >> 32) as u32),
            chain: NonZeroU32::new(word as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let numbers = [None, NonZeroU32::new(1), NonZeroU32::new(u32::MAX)];
        for (entry, chain) in numbers
            .into_iter()
            .flat_map(|entry| numbers.map(|chain| (entry, chain)))
        {
            let bond = Bond { entry, chain };
            assert_eq!(Bond::unpack(bond.pack()), bond);
            assert_eq!(bond.pack() == 0, bond.is_none());
        }
    }
}
