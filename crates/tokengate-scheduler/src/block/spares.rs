//! The spares of a domain: who is fresh, engaged, idle, or serves.
//!
//! Called by blocked workers and by the spares themselves. Keeps the table in `README.md`. It starts
//! no thread; the answer says when one is to be started. What those that serve do is `serving.rs`.

use super::serving::Serving;
use crate::sleep::{Sleeper, Sleepers};
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{Mutex, MutexGuard, lock};

/// The spares of one domain.
pub(crate) struct Spares {
    /// Retirements that no spare has seen yet; written under the lock.
    retirements: AtomicUsize,
    /// How many are engaged; written under the lock.
    engaged: AtomicUsize,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) fresh: Vec<Sleeper>,
    engaged: Vec<usize>,
    pub(super) idle: Vec<usize>,
    pub(super) serving: Serving,
    pub(super) closed: bool,
}

/// What came of an engagement.
#[must_use]
pub(crate) enum Engaged {
    /// A spare takes part that did not before, or one that would have gone idle stays.
    Done,
    /// This one is engaged, and needs its thread.
    Start(Sleeper),
    /// All are engaged.
    Exhausted,
    /// The scheduler stops.
    Closed,
}

/// What came of a retirement.
#[must_use]
pub(crate) enum Retired {
    /// There was none: the spare goes on.
    No,
    /// It is idle.
    Idle,
    /// It is idle no more than a moment: it serves.
    Serves,
}

impl Spares {
    /// With the sleepers of threads that may be started.
    pub(crate) fn new(fresh: Vec<Sleeper>) -> Self {
        Self {
            retirements: AtomicUsize::new(0),
            engaged: AtomicUsize::new(0),
            state: Mutex::new(State {
                serving: Serving::new(fresh.len()),
                fresh,
                engaged: Vec::new(),
                idle: Vec::new(),
                closed: false,
            }),
        }
    }

    /// How many spares are engaged.
    #[inline]
    pub(crate) fn engaged(&self) -> usize {
        // Relaxed: a hint.
        self.engaged.load(Relaxed)
    }

    /// Whether all workers, so many, and all engaged spares sleep, and none serves.
    ///
    /// Both locks: else a spare that is engaged or goes idle between the two looks could be taken
    /// for a worker that is blocked.
    pub(crate) fn all_sleep(&self, workers: usize, sleepers: &Sleepers) -> bool {
        let state = self.lock();
        state.serving.is_quiet() && sleepers.are_all(workers + state.engaged.len())
    }

    /// Whether a spare that takes part should see if it is to go idle.
    #[inline]
    pub(crate) fn has_retirement(&self) -> bool {
        // Relaxed: `retire` decides, under the lock.
        self.retirements.load(Relaxed) > 0
    }

    /// A thread of the domain is about to block.
    pub(crate) fn engage(&self, sleepers: &Sleepers) -> Engaged {
        let mut state = self.lock();
        if state.closed {
            return Engaged::Closed;
        }
        let retirements = self.retirements.load(Relaxed);
        if retirements > 0 {
            self.retirements.store(retirements - 1, Relaxed);
            return Engaged::Done;
        }
        if let Some(index) = state.idle.pop() {
            self.enlist(&mut state, index);
            sleepers.unpark(index);
            return Engaged::Done;
        }
        match state.fresh.pop() {
            Some(sleeper) => {
                self.enlist(&mut state, sleeper.index());
                Engaged::Start(sleeper)
            }
            None => Engaged::Exhausted,
        }
    }

    /// The thread of a fresh spare could not be started: it stays fresh.
    pub(crate) fn not_started(&self, sleeper: Sleeper) {
        let mut state = self.lock();
        self.discharge(&mut state, sleeper.index());
        state.fresh.push(sleeper);
    }

    /// A wait is over.
    pub(crate) fn disengage(&self, sleepers: &Sleepers) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let asleep = state
            .engaged
            .iter()
            .rposition(|&index| sleepers.withdraw(index));
        match asleep {
            Some(place) => {
                let index = state.engaged[place];
                if self.make_idle(&mut state, index) {
                    sleepers.unpark(index);
                }
            }
            None => {
                let retirements = self.retirements.load(Relaxed);
                self.retirements.store(retirements + 1, Relaxed);
            }
        }
    }

    /// Makes this spare idle, if there is a retirement. Then it passes on what it was unparked for, and
    /// parks, unless it serves.
    pub(crate) fn retire(&self, index: usize) -> Retired {
        let mut state = self.lock();
        let retirements = self.retirements.load(Relaxed);
        if state.closed || retirements == 0 {
            return Retired::No;
        }
        self.retirements.store(retirements - 1, Relaxed);
        if self.make_idle(&mut state, index) {
            Retired::Serves
        } else {
            Retired::Idle
        }
    }

    /// The scheduler stops: idle spares are unparked to end, and none goes idle any more.
    pub(crate) fn close(&self, sleepers: &Sleepers) {
        let mut state = self.lock();
        state.closed = true;
        for index in std::mem::take(&mut state.idle) {
            sleepers.unpark(index);
        }
    }

    /// This spare does not take part any more; whether it serves instead.
    fn make_idle(&self, state: &mut State, index: usize) -> bool {
        self.discharge(state, index);
        let serves = state.serving.wants_more();
        if serves {
            state.serving.enlist(index);
        } else {
            state.idle.push(index);
        }
        serves
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn enlist(&self, state: &mut State, index: usize) {
        state.engaged.push(index);
        self.engaged.store(state.engaged.len(), Relaxed);
    }

    fn discharge(&self, state: &mut State, index: usize) {
        state.engaged.retain(|&engaged| engaged != index);
        self.engaged.store(state.engaged.len(), Relaxed);
    }
}
