//! The box for everything rare: times, endings from outside, killers, the failure hook.
//!
//! A header points to at most one, made at first need; a token that uses none of it has a null
//! pointer and pays one load where the box is asked for.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError};

use crate::error::RejectCause;
use crate::killer::KillerSlot;
use crate::runnable::Home;
use crate::sync::{Mutex, MutexGuard};

/// How a token was ended from outside.
#[derive(Debug)]
pub(crate) enum Ending {
    Killed(Cow<'static, str>),
    Rejected(RejectCause),
}

pub(crate) struct Extras {
    /// Written under the lock by whoever claims with `Killed` or `Rejected`, which happens under
    /// the same lock: so the handle that sees the outcome and takes the lock finds the ending.
    ending: Mutex<Option<Ending>>,
    /// Made by the first `killer()`.
    killer: OnceLock<Arc<KillerSlot>>,
    /// Who hears of a failure that nobody reads; set before such a token resolves.
    home: OnceLock<Arc<dyn Home>>,
    /// Whatever number the scheduler keeps as the time of submission; 0 means none.
    submitted: AtomicU64,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            ending: Mutex::new(None),
            killer: OnceLock::new(),
            home: OnceLock::new(),
            submitted: AtomicU64::new(0),
        }
    }
}

impl Extras {
    /// The ending, under its lock.
    pub(crate) fn ending(&self) -> MutexGuard<'_, Option<Ending>> {
        // Nothing that can panic runs under this lock.
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn killer(&self) -> &OnceLock<Arc<KillerSlot>> {
        &self.killer
    }

    pub(crate) fn home(&self) -> &OnceLock<Arc<dyn Home>> {
        &self.home
    }

    pub(crate) fn submitted(&self) -> Option<u64> {
        // Relaxed: written by the creator before publication, which orders it.
        Some(self.submitted.load(Relaxed)).filter(|&time| time != 0)
    }

    pub(crate) fn set_submitted(&self, time: u64) {
        self.submitted.store(time, Relaxed);
    }
}
