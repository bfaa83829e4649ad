//! Ends a token whose time is over.
//!
//! Kept by a scheduler beside its clock; the token has none. As a `Killer` it does not keep the cell
//! alive, and competes with the start, the end and every kill of the token: one of them wins.

use std::fmt;
use std::ptr::NonNull;

use crate::cell::{Header, kill};
use crate::extras::Ending;
use crate::killer::Killer;

/// Ends one token as timed out, unless it is done by then; made by
/// [`Runnable::deadline`](crate::Runnable::deadline).
///
/// ```
/// use tokengate_token::{create, Operation, Phase, Plain, TokenError};
/// static OP: Operation = Operation::new("example");
/// let (token, runnable) = create(&OP, Plain::new(|| 1));
/// assert!(runnable.deadline().pass(Phase::Waiting));
/// assert!(matches!(token.get(), Err(TokenError::TimedOut { phase: Phase::Waiting, .. })));
/// ```
pub struct Deadline {
    killer: Killer,
    /// It was made in this attempt, or before it; later ones have deadlines of their own.
    attempt: u32,
}

/// What a token is at when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It waits for its start: its `ttl` is over.
    Waiting,
    /// It executes: its `timeout` is over.
    Executing,
}

impl Deadline {
    pub(crate) fn of(cell: NonNull<Header>, header: &Header) -> Self {
        Self {
            killer: Killer::of(cell, header),
            attempt: header.state().load().attempt(),
        }
    }

    /// The time for this phase is over; whether that ended the token.
    ///
    /// With `Waiting` only a token that has not started; its body is dropped here. With `Executing`
    /// as [`Token::kill`](crate::Token::kill) does. Neither touches a token that is at another
    /// attempt by now. Wakes the caller here: user code may run.
    pub fn pass(&self, phase: Phase) -> bool {
        let attempt = self.attempt;
        let ending = Ending::TimedOut { phase, attempt };
        self.killer.end(ending, kill::claim_in_attempt)
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").finish_non_exhaustive()
    }
}
