//! The policy of a body that runs again when it fails.
//!
//! Part of an operation, read by the cell at the end of each attempt, and by whoever waits between
//! two of them. It is plain data: it draws no random number, waits for nothing and counts nothing.

use std::time::Duration;

use crate::state::MAX_ATTEMPTS;

/// How often a body that fails runs in all, and how long it waits before it runs again.
///
/// The wait doubles from one attempt to the next, up to [`MAX_PAUSE`](Self::MAX_PAUSE). Part of an
/// [`Operation`](crate::Operation); bodies that can run again are [`Retried`](crate::Retried).
///
/// ```
/// use std::time::Duration;
/// use tokengate_token::{Operation, Retry};
/// const RETRY: Retry = Retry::new(4).with_backoff(Duration::from_millis(20)).with_jitter();
/// static FETCH: Operation = Operation::new("fetch").with_retry(RETRY);
/// assert_eq!(FETCH.retry(), Some(RETRY));
/// assert_eq!(RETRY.pause_before(2), Duration::from_millis(20));
/// assert_eq!(RETRY.pause_before(4), Duration::from_millis(80));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    attempts: u32,
    backoff: Duration,
    jitter: bool,
    on_panic: bool,
}

impl Retry {
    /// The most attempts that a policy may allow.
    pub const MAX_ATTEMPTS: u32 = 1_000_000;

    /// The wait before the second attempt, unless another is given.
    pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(100);

    /// The longest wait between two attempts, unless the first one is longer.
    pub const MAX_PAUSE: Duration = Duration::from_secs(60);

    /// So many attempts in all, the first one included, and a doubling wait between them.
    ///
    /// # Panics
    ///
    /// With fewer than 2 attempts, or more than [`MAX_ATTEMPTS`](Self::MAX_ATTEMPTS); in a `static`
    /// that is a compile error.
    pub const fn new(attempts: u32) -> Self {
        assert!(
            attempts >= 2,
            "the first attempt counts: allow at least 2, or no retry"
        );
        assert!(
            attempts <= Self::MAX_ATTEMPTS,
            "at most a million attempts: call again from outside for more"
        );
        Self {
            attempts,
            backoff: Self::DEFAULT_BACKOFF,
            jitter: false,
            on_panic: false,
        }
    }

    /// The same with this wait before the second attempt; none at all if it is zero.
    #[must_use]
    pub const fn with_backoff(mut self, first: Duration) -> Self {
        self.backoff = first;
        self
    }

    /// The same with waits drawn at random, each from nothing to its whole length.
    ///
    /// Tokens that failed together do not come back together then.
    #[must_use]
    pub const fn with_jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// The same for bodies that panic, too.
    #[must_use]
    pub const fn on_panic(mut self) -> Self {
        self.on_panic = true;
        self
    }

    /// How many attempts there are in all.
    pub const fn attempts(self) -> u32 {
        self.attempts
    }

    /// The wait before the second attempt.
    pub const fn backoff(self) -> Duration {
        self.backoff
    }

    /// Whether waits are drawn at random.
    pub const fn has_jitter(self) -> bool {
        self.jitter
    }

    /// Whether a panic is followed by another attempt.
    pub const fn is_on_panic(self) -> bool {
        self.on_panic
    }

    /// The wait before the attempt with this number; with jitter, the longest one.
    pub fn pause_before(self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(2));
        let pause = doubled.map(|factor| self.backoff.saturating_mul(factor));
        let longest = Self::MAX_PAUSE.max(self.backoff);
        match pause {
            Some(pause) => pause.min(longest),
            None if self.backoff.is_zero() => Duration::ZERO,
            None => longest,
        }
    }
}

const _: () = assert!(Retry::MAX_ATTEMPTS < MAX_ATTEMPTS);

/// Which attempt of a body this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    of: u32,
}

impl Attempt {
    pub(crate) fn new(number: u32, of: u32) -> Self {
        Self { number, of }
    }

    /// Its number, counted from 1.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Whether no other will follow, so that the body may give away what it keeps for one.
    pub fn is_last(self) -> bool {
        self.number >= self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let retry = Retry::new(100).with_backoff(Duration::from_millis(250));
        let pauses: Vec<u64> = (2..14)
            .map(|attempt| retry.pause_before(attempt).as_millis() as u64)
            .collect();
        let doubling = [
            250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000,
        ];
        assert_eq!(pauses, doubling);
        assert_eq!(retry.pause_before(40), Retry::MAX_PAUSE);
        assert_eq!(retry.pause_before(u32::MAX), Retry::MAX_PAUSE);
    }

    #[test]
    fn a_first_wait_beyond_a_minute_stays_and_none_stays_none() {
        let hour = Duration::from_secs(3_600);
        let retry = Retry::new(3).with_backoff(hour);
        assert_eq!([2, 3].map(|attempt| retry.pause_before(attempt)), [hour; 2]);
        let at_once = Retry::new(3).with_backoff(Duration::ZERO);
        for attempt in [2, 3, 33, 34, 1_000] {
            assert_eq!(at_once.pause_before(attempt), Duration::ZERO);
        }
        let longest = Retry::new(3).with_backoff(Duration::MAX);
        assert_eq!(longest.pause_before(3), Duration::MAX);
    }
}
