//! When something rare happened, by the clock of whoever has one.
//!
//! Tokens have no clock. A scheduler lends its own, and kills and blocking waits are stamped by it,
//! for others to say how old they are. Without one nothing is stamped.

use std::num::NonZeroU64;
use std::sync::OnceLock;

static CLOCK: OnceLock<fn() -> u64> = OnceLock::new();

/// Stamps rare events of the process by this clock, which is never 0; the first one stays.
pub fn set_clock(now: fn() -> u64) {
    let _ = CLOCK.set(now);
}

/// The present moment, if there is a clock.
pub(crate) fn now() -> Option<NonZeroU64> {
    CLOCK.get().and_then(|now| NonZeroU64::new(now()))
}
