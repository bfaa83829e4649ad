//! Pauses: tokens of a gate, or of an operation, that do not start for now.
//!
//! Set and ended by users, asked by workers that have taken a token and not started it. Keeps: the
//! tokens that are set aside go on in the order in which they were; who ends a pause and who sets a
//! token aside agree under one lock, so none is forgotten.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard};

use tokengate_token::{Place, Runnable};

use crate::handle::Handle;
use crate::shared::{Shared, lock};

/// The pauses of a gate, and what they hold back.
#[derive(Default)]
pub(crate) struct Pauses {
    state: Mutex<State>,
    /// Whether anything is paused; written under the lock.
    any: AtomicBool,
}

#[derive(Default)]
struct State {
    gate: bool,
    operations: HashSet<Box<str>>,
    /// Oldest first.
    aside: VecDeque<Runnable>,
    /// The gate ends: nothing is set aside any more.
    closed: bool,
}

impl State {
    fn holds_back(&self, label: &str) -> bool {
        self.gate || self.operations.contains(label)
    }
}

/// What came of a token that a worker has taken.
pub(super) enum Taken {
    GoesOn(Runnable),
    SetAside {
        /// It held a permit, which is to be given back.
        permit: bool,
    },
    /// It would have been set aside, but the gate ends.
    Closed(Runnable),
}

impl Pauses {
    /// Sets the token aside if it is paused, unless it is to be ended.
    pub(super) fn take(
        &self,
        runnable: Runnable,
        refused: impl FnOnce(&Runnable) -> bool,
    ) -> Taken {
        let mut state = self.lock();
        let label = runnable.operation().label();
        // Under the lock: an order that comes later finds it among those that are set aside.
        if !state.holds_back(label) || runnable.has_ended() || refused(&runnable) {
            return Taken::GoesOn(runnable);
        }
        if state.closed {
            return Taken::Closed(runnable);
        }
        let permit = runnable.place().permit;
        set_aside(&runnable, true);
        state.aside.push_back(runnable);
        Taken::SetAside { permit }
    }

    /// Whether tokens of this operation do not start for now.
    pub(super) fn holds_back(&self, label: &str) -> bool {
        self.lock().holds_back(label)
    }

    /// Whether nothing is paused.
    pub(super) fn is_none(&self) -> bool {
        // Relaxed: who is to see a pause came by a token that was posted after it.
        !self.any.load(Relaxed)
    }

    /// How many tokens are set aside and have not been ended.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state
            .aside
            .iter()
            .filter(|token| !token.has_ended())
            .count()
    }

    /// Posts those that are set aside and chosen, oldest first; gives back those that `post` does. With
    /// them go those that have ended: a worker buries them, and their room comes back.
    #[must_use = "they are to be ended"]
    pub(super) fn post_if(
        &self,
        choose: impl Fn(&Runnable) -> bool,
        post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        self.lock().post_if(choose, post)
    }

    /// Takes all that are set aside, oldest first.
    pub(crate) fn take_all(&self) -> VecDeque<Runnable> {
        std::mem::take(&mut self.lock().aside)
    }

    /// As [`take_all`](Self::take_all); nothing is set aside from now on.
    pub(crate) fn close(&self) -> VecDeque<Runnable> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.aside)
    }

    /// Changes what is paused; gives the lock, for those that go on.
    fn change(&self, change: impl FnOnce(&mut State)) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        change(&mut state);
        self.any
            .store(state.gate || !state.operations.is_empty(), Relaxed);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Posts those that are chosen or have ended, oldest first; gives back those that `post` does.
    fn post_if(
        &mut self,
        choose: impl Fn(&Runnable) -> bool,
        mut post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        let mut refused = Vec::new();
        for runnable in std::mem::take(&mut self.aside) {
            if runnable.has_ended() || choose(&runnable) {
                set_aside(&runnable, false);
                refused.extend(post(runnable).err());
            } else {
                self.aside.push_back(runnable);
            }
        }
        refused
    }

    /// Posts those that nothing holds back any more.
    fn go_on(&mut self, gate: &Shared) -> Vec<Runnable> {
        let (all, operations) = (self.gate, self.operations.clone());
        let goes_on = |token: &Runnable| !all && !operations.contains(token.operation().label());
        self.post_if(goes_on, |token| gate.post_again(token))
    }
}

fn set_aside(runnable: &Runnable, aside: bool) {
    runnable.set_place(Place {
        aside,
        permit: false,
        ..runnable.place()
    });
}

impl Handle {
    /// Holds back all tokens of the gate that have not started, until [`resume`](Self::resume).
    ///
    /// A token that a worker is about to start may still do so; bodies that have started go on, the
    /// suspended async ones too. Calls are taken as before: a root token keeps its room while it is held
    /// back, so the gate may fill up. A token that is held back can be killed, and its `ttl` runs.
    ///
    /// While anything is paused, each start in this gate costs a look-up.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler, TokenState};
    /// static OP: Operation = Operation::new("resize");
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle();
    /// handle.pause_operation("resize");
    /// let token = handle.submit(&OP, Plain::new(|| 1));
    /// assert!(!token.state().is_terminal());
    /// handle.resume_operation("resize");
    /// assert_eq!(token.get()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&self) {
        self.shared.pause(|state| state.gate = true);
    }

    /// Ends the [`pause`](Self::pause) of the gate; operations that are paused stay so.
    ///
    /// Tokens go on in the order in which they were held back, behind those that are queued.
    pub fn resume(&self) {
        self.shared.end_pause(|state| state.gate = false);
    }

    /// As [`pause`](Self::pause), for the tokens of one operation, whether it was ever called or not.
    ///
    /// In a lane only the token whose turn it is can be held back, and with it those behind it.
    pub fn pause_operation(&self, label: &str) {
        self.shared.pause(|state| {
            state.operations.insert(label.into());
        });
    }

    /// Ends [`pause_operation`](Self::pause_operation); a gate that is paused stays so.
    pub fn resume_operation(&self, label: &str) {
        self.shared.end_pause(|state| {
            state.operations.remove(label);
        });
    }
}

impl Shared {
    fn pause(&self, pause: impl FnOnce(&mut State)) {
        drop(self.control.pauses.change(pause));
        self.control_members();
    }

    fn end_pause(&self, end: impl FnOnce(&mut State)) {
        let refused = self.control.pauses.change(end).go_on(self);
        self.end_refused(refused);
        self.stop_controlling();
    }
}
