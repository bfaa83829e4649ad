//! The box for everything rare: times, endings from outside, killers, the failure hook.
//!
//! A header points to at most one, made at first need; a token that uses none of it has a null
//! pointer and pays one load where the box is asked for.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError};

use crate::companion::Companion;
use crate::deadline::Phase;
use crate::error::RejectCause;
use crate::killer::KillerSlot;
use crate::runnable::Home;
use crate::sync::{Mutex, MutexGuard};

/// How a token was ended from outside.
#[derive(Debug)]
pub(crate) enum Ending {
    Killed(Cow<'static, str>),
    Rejected(RejectCause),
    TimedOut { phase: Phase, attempt: u32 },
}

/// What a scheduler notes with a token about time, in whatever units it uses.
///
/// The token itself has no clock and acts on none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When it was submitted, if that is to be measured.
    pub submitted: Option<NonZeroU64>,
    /// When its body was started, if that is to be measured.
    pub started: Option<NonZeroU64>,
    /// The longest time from its start to its end.
    pub timeout: Option<NonZeroU64>,
    /// The alarm that is set for it.
    pub alarm: Option<AlarmId>,
}

/// Names an alarm that a scheduler has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmId {
    /// When it goes off.
    pub due: u64,
    /// Tells it apart from others of that time.
    pub number: NonZeroU64,
}

pub(crate) struct Extras {
    /// Written under the lock by whoever ends the token from outside, which happens under the same
    /// lock: so the handle that sees the outcome and takes the lock finds the ending.
    ending: Mutex<Option<Ending>>,
    /// Made by the first `killer()` or `deadline()`.
    killer: OnceLock<Arc<KillerSlot>>,
    /// Who hears of a failure that nobody reads, and of a kill between two attempts; set before such
    /// a token resolves or waits for its next attempt.
    home: OnceLock<Arc<dyn Home>>,
    /// Set before publication, by the creator.
    companion: OnceLock<Arc<dyn Companion>>,
    times: StoredTimes,
    /// When it was ended from outside; 0 if nobody says. Written with the ending, read by anybody.
    ended_at: AtomicU64,
}

/// [`Times`], with 0 for none. Written by the creator before publication, later by the owner of the
/// runnable; read by that owner, and by a waiter before it tries to start the token.
#[derive(Default)]
struct StoredTimes {
    submitted: AtomicU64,
    /// Written by the first one that is about to start the body, and not changed by later ones.
    started: AtomicU64,
    timeout: AtomicU64,
    alarm_due: AtomicU64,
    alarm_number: AtomicU64,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            ending: Mutex::new(None),
            killer: OnceLock::new(),
            home: OnceLock::new(),
            companion: OnceLock::new(),
            times: StoredTimes::default(),
            ended_at: AtomicU64::new(0),
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

    pub(crate) fn companion(&self) -> &OnceLock<Arc<dyn Companion>> {
        &self.companion
    }

    /// Relaxed, as in `set_times`: publication, and later the hand-over of the runnable, is the order.
    pub(crate) fn times(&self) -> Times {
        let number = NonZeroU64::new(self.times.alarm_number.load(Relaxed));
        Times {
            submitted: NonZeroU64::new(self.times.submitted.load(Relaxed)),
            started: NonZeroU64::new(self.times.started.load(Relaxed)),
            timeout: NonZeroU64::new(self.times.timeout.load(Relaxed)),
            alarm: number.map(|number| AlarmId {
                due: self.times.alarm_due.load(Relaxed),
                number,
            }),
        }
    }

    pub(crate) fn set_times(&self, times: Times) {
        let number = |value: Option<NonZeroU64>| value.map_or(0, NonZeroU64::get);
        let stored = &self.times;
        stored.submitted.store(number(times.submitted), Relaxed);
        stored.started.store(number(times.started), Relaxed);
        stored.timeout.store(number(times.timeout), Relaxed);
        let due = times.alarm.map_or(0, |alarm| alarm.due);
        stored.alarm_due.store(due, Relaxed);
        let alarm = times.alarm.map(|alarm| alarm.number);
        stored.alarm_number.store(number(alarm), Relaxed);
    }

    /// Notes when the body is started, unless that was noted before; gives what is noted.
    ///
    /// Its runner and its waiter may both be about to start it.
    pub(crate) fn note_started(&self, now: NonZeroU64) -> NonZeroU64 {
        let stored = &self.times.started;
        // Relaxed: a figure.
        let before = stored.compare_exchange(0, now.get(), Relaxed, Relaxed);
        before.err().and_then(NonZeroU64::new).unwrap_or(now)
    }

    /// When the token was ended from outside. Relaxed, as in `set_ended_at`: a figure.
    pub(crate) fn ended_at(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.ended_at.load(Relaxed))
    }

    pub(crate) fn set_ended_at(&self, moment: Option<NonZeroU64>) {
        let moment = moment.map_or(0, NonZeroU64::get);
        self.ended_at.store(moment, Relaxed);
    }
}
