//! Runs bodies again that have failed: whether, when, and where.
//!
//! Called by the worker whose attempt failed, and by the cell through its home. Keeps: a token that
//! backs off has not started, holds its lane, pin and chain, and neither worker nor room; it goes to
//! the tail of a mailbox of its own domain when it is due, at once if it was ended meanwhile, and is
//! ended with its gate. The policy is its operation's; the alarms are those of `deadlines/`.

mod backing_off;
mod budget;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;

use tokengate_token::{Operation, Runnable, TokenId};

use crate::deadlines::{Alarm, nanoseconds};
use crate::domain::{Domain, SHUT_DOWN};
use crate::shared::Shared;
use backing_off::{BackingOff, set_ready};
use budget::Budgets;

/// What a gate knows about retries.
#[derive(Default)]
pub(crate) struct Retries {
    budgets: Budgets,
    pub(crate) backing_off: BackingOff,
}

impl Retries {
    /// An attempt has ended; whether it may be followed by another one, if it has to be.
    pub(crate) fn attempted(
        &self,
        operation: &'static Operation,
        attempt: u32,
        again: bool,
    ) -> bool {
        self.budgets.attempted(operation, attempt == 1, again)
    }
}

/// Lets a token wait for its next attempt; posts it at once if there is nothing to wait for.
#[cold]
pub(crate) fn back_off(gate: &Arc<Shared>, runnable: Runnable) {
    let (id, pause) = (runnable.id(), pause(&runnable));
    let backing_off = &gate.control.retries.backing_off;
    let waits = match pause {
        // Without a timer it is better to go on than to wait for ever: the budget bounds it.
        Some(_) if !gate.is_stopping() && gate.alarms.start(gate).is_ok() => {
            backing_off.put(runnable, |token| gate.is_to_end(token))
        }
        _ => Err(runnable),
    };
    if let Err(runnable) = waits {
        set_ready(&runnable);
        return end(gate, gate.post_again(runnable).err());
    }
    // After the token is there: an alarm that finds nothing would be lost.
    if let Some(pause) = pause {
        gate.alarms.set(pause, || Alarm::Retry(id));
    }
    // A purge at the stop either found it, or the stop is seen here.
    if gate.is_stopping() {
        gate.retry_now(id);
    }
}

/// How long the token waits for its next attempt, in nanoseconds; none if not at all.
fn pause(runnable: &Runnable) -> Option<NonZeroU64> {
    let policy = runnable.operation().retry()?;
    let longest = policy.pause_before(runnable.attempt());
    if longest.is_zero() {
        return None;
    }
    let longest = nanoseconds(longest);
    if !policy.has_jitter() {
        return Some(longest);
    }
    // Random keys for each call: tokens that failed together draw apart.
    let random = RandomState::new().hash_one(runnable.id());
    NonZeroU64::new(((u128::from(longest.get()) * u128::from(random)) >> 64) as u64)
}

impl Shared {
    /// The next attempt of this token is due, if it still waits for it.
    pub(crate) fn retry_now(&self, id: TokenId) {
        let backing_off = &self.control.retries.backing_off;
        end(self, backing_off.post(id, |token| self.post_again(token)));
    }
}

/// Ends a token that could not be posted, as its gate has ended.
fn end(gate: &Shared, refused: Option<Runnable>) {
    if let Some(runnable) = refused {
        let killed = gate.anchors.kill(runnable, SHUT_DOWN);
        gate.count_purged(killed);
    }
}

impl Domain {
    /// A token of this domain was ended while it backed off: a worker finds its tombstone now.
    pub(crate) fn stop_backing_off(&self, id: TokenId) {
        let backing_off = &self.control.retries.backing_off;
        if let Some(runnable) = backing_off.post(id, |token| self.post(0, token)) {
            self.anchors.kill(runnable, SHUT_DOWN);
        }
    }
}
