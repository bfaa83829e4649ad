//! One limit: how many permits are taken, and who waits for one.
//!
//! Called by workers before a token starts and when it has exited, through `Permits`. Keeps: while a
//! token that could start is set aside, no permit is free; they go on in the order of setting aside.
//! Who posts is the caller's affair.

use std::collections::VecDeque;

use tokengate_token::{Place, Runnable};

use crate::sync::{Mutex, MutexGuard, lock};

/// See the page of the folder.
pub(crate) struct Limit {
    state: Mutex<State>,
}

struct State {
    /// At least one.
    size: usize,
    /// It was set by a call: what operations declare does not count any more.
    set: bool,
    /// May be more than the size, after that was lowered.
    taken: usize,
    /// Oldest first.
    aside: VecDeque<Runnable>,
    /// The gate ends: nothing is set aside any more.
    closed: bool,
}

/// What came of a token that a worker has taken.
#[must_use]
pub(crate) enum Taken {
    /// With a permit, or as a tombstone.
    GoesOn(Runnable),
    SetAside,
    /// It would have been set aside, but somebody wants it to end.
    Ends(Runnable),
}

/// What a limit looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) size: usize,
    pub(crate) taken: usize,
    pub(crate) aside: usize,
}

impl Limit {
    pub(crate) fn new(size: usize, closed: bool) -> Self {
        Self {
            state: Mutex::new(State {
                size,
                set: false,
                taken: 0,
                aside: VecDeque::new(),
                closed,
            }),
        }
    }

    /// Takes a permit for a token that has not started, or sets it aside.
    pub(crate) fn take(&self, runnable: Runnable, ends: impl FnOnce(&Runnable) -> bool) -> Taken {
        if runnable.place().permit {
            return Taken::GoesOn(runnable);
        }
        let mut state = self.lock();
        if runnable.has_ended() {
            return Taken::GoesOn(runnable);
        }
        if state.has_room() {
            state.give_to(&runnable);
            return Taken::GoesOn(runnable);
        }
        // Under the lock: an order that comes later finds it among those that are set aside.
        if state.closed || ends(&runnable) {
            return Taken::Ends(runnable);
        }
        note(&runnable, true, false);
        state.aside.push_back(runnable);
        Taken::SetAside
    }

    /// Takes a permit for a token that its waiter is about to run; whether one was free.
    pub(crate) fn take_in_place(&self) -> bool {
        let mut state = self.lock();
        let free = state.has_room();
        state.taken += usize::from(free);
        free
    }

    /// Gives a permit back, and grants what is free; gives back the tokens that `post` does.
    #[must_use = "they are to be ended"]
    pub(crate) fn release(
        &self,
        post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        let mut state = self.lock();
        debug_assert!(state.taken > 0, "a permit is given back once");
        state.taken -= 1;
        state.grant(post)
    }

    /// Changes the size, by a call or as an operation declares it; grants as [`release`](Self::release).
    #[must_use = "they are to be ended"]
    pub(crate) fn resize(
        &self,
        change: Change,
        resized: impl FnOnce(usize),
        post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        let mut state = self.lock();
        match change {
            Change::Set(size) => (state.size, state.set) = (size, true),
            Change::Declared(size) if !state.set => state.size = state.size.min(size),
            Change::Declared(_) => {}
        }
        resized(state.size);
        state.grant(post)
    }

    /// Posts those that are set aside and chosen, without a permit: they do not start any more.
    #[must_use = "they are to be ended"]
    pub(crate) fn post_if(
        &self,
        choose: impl Fn(&Runnable) -> bool,
        mut post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        let mut refused = Vec::new();
        let mut state = self.lock();
        for runnable in std::mem::take(&mut state.aside) {
            if choose(&runnable) {
                note(&runnable, false, false);
                refused.extend(post(runnable).err());
            } else {
                state.aside.push_back(runnable);
            }
        }
        refused
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

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            size: state.size,
            taken: state.taken,
            aside: state.aside.len(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Where a new size comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// From a call.
    Set(usize),
    /// From an operation.
    Declared(usize),
}

impl State {
    /// Whether a permit is free. Then nobody waits for one, apart from tombstones: whatever made it free
    /// has granted it.
    fn has_room(&self) -> bool {
        self.taken < self.size
    }

    fn give_to(&mut self, runnable: &Runnable) {
        self.taken += 1;
        note(runnable, false, true);
    }

    fn grant(&mut self, mut post: impl FnMut(Runnable) -> Result<(), Runnable>) -> Vec<Runnable> {
        let mut refused = Vec::new();
        while self.has_room()
            && let Some(next) = self.aside.pop_front()
        {
            if next.has_ended() {
                note(&next, false, false);
            } else {
                self.give_to(&next);
            }
            refused.extend(post(next).err());
        }
        refused
    }
}

fn note(runnable: &Runnable, aside: bool, permit: bool) {
    runnable.set_place(Place {
        aside,
        permit,
        ..runnable.place()
    });
}
