//! Bodies that may block: handed over by the workers, run by spares that do nothing else meanwhile.
//!
//! Called by whoever takes such a token, by the spares that serve, and by those that go idle. Keeps:
//! while one is queued, somebody who is not blocked in a wait is at such a body, and comes to the queue
//! after it; at most three quarters of the spares serve.

use std::collections::VecDeque;

use tokengate_token::Runnable;

use super::spares::{Spares, State};
use crate::sleep::{Sleeper, Sleepers};

/// The bodies of a domain that may block.
#[derive(Default)]
pub(super) struct Serving {
    /// The spares that serve, by index.
    by: Vec<usize>,
    /// Who is at such a body, or comes to the next one: spares that serve, and threads that run one in
    /// place, without those that are blocked in a wait.
    active: usize,
    /// Oldest first.
    queue: VecDeque<Runnable>,
    /// How many spares may serve.
    most: usize,
}

/// What came of a token that is handed over.
#[must_use]
pub(crate) enum HandedOver {
    /// A spare runs it, when it is its turn.
    Done,
    /// This spare serves, and needs its thread.
    Start(Sleeper),
    /// There are no spares: it is run by whoever took it.
    Here(Runnable),
    /// No spare is free, and none serves: as `Here`, and [`Spares::leave`] comes after it.
    HereForNow(Runnable),
    /// The scheduler stops.
    Closed(Runnable),
}

/// What a spare that serves does next.
#[must_use]
pub(crate) enum Next {
    Run(Runnable),
    /// It is idle, and parks.
    Idle,
    /// The scheduler stops.
    Closed,
}

impl Serving {
    /// With so many spares in all.
    pub(super) fn new(spares: usize) -> Self {
        let most = (spares * 3 / 4).max(spares.min(1));
        Self {
            most,
            ..Self::default()
        }
    }

    /// Whether nobody serves, and nothing is queued.
    pub(super) fn is_quiet(&self) -> bool {
        self.by.is_empty() && self.queue.is_empty()
    }

    /// Whether a spare that would go idle is to serve.
    pub(super) fn wants_more(&self) -> bool {
        !self.queue.is_empty() && self.by.len() < self.most
    }

    /// This spare serves from now on.
    pub(super) fn enlist(&mut self, index: usize) {
        self.by.push(index);
        self.active += 1;
    }

    fn discharge(&mut self, index: usize) {
        self.by.retain(|&serving| serving != index);
        self.active -= 1;
    }

    /// What is queued, if nobody comes to it.
    fn abandoned(&mut self) -> VecDeque<Runnable> {
        if self.active > 0 {
            return VecDeque::new();
        }
        std::mem::take(&mut self.queue)
    }
}

impl Spares {
    /// Hands a token over whose body may block.
    pub(crate) fn hand_over(&self, runnable: Runnable, sleepers: &Sleepers) -> HandedOver {
        let mut state = self.lock();
        if state.closed {
            return HandedOver::Closed(runnable);
        }
        let serving = &mut state.serving;
        if serving.most == 0 {
            return HandedOver::Here(runnable);
        }
        serving.queue.push_back(runnable);
        if !serving.wants_more() {
            return state.queue_or_take();
        }
        if let Some(index) = state.idle.pop() {
            state.serving.enlist(index);
            sleepers.unpark(index);
            return HandedOver::Done;
        }
        match state.fresh.pop() {
            Some(sleeper) => {
                state.serving.enlist(sleeper.index());
                HandedOver::Start(sleeper)
            }
            None => state.queue_or_take(),
        }
    }

    /// The thread of a fresh spare could not be started to serve: it stays fresh, and what it would have
    /// run is run here or by others.
    pub(crate) fn cannot_serve(&self, sleeper: Sleeper) -> HandedOver {
        let mut state = self.lock();
        state.serving.discharge(sleeper.index());
        state.fresh.push(sleeper);
        if state.serving.queue.is_empty() {
            return HandedOver::Done;
        }
        state.queue_or_take()
    }

    /// Whether this spare serves.
    pub(crate) fn serves(&self, index: usize) -> bool {
        self.lock().serving.by.contains(&index)
    }

    /// What a spare that serves does next: the oldest that is queued, or it goes idle.
    pub(crate) fn next_served(&self, index: usize) -> Next {
        let mut state = self.lock();
        if state.closed {
            return Next::Closed;
        }
        match state.serving.queue.pop_front() {
            Some(runnable) => Next::Run(runnable),
            None => {
                state.serving.discharge(index);
                state.idle.push(index);
                Next::Idle
            }
        }
    }

    /// Somebody at such a body is not any more, or is blocked in a wait: what is queued then has to be
    /// posted again, if nobody else comes to it.
    #[must_use = "they are to be posted"]
    pub(crate) fn leave(&self) -> VecDeque<Runnable> {
        let mut state = self.lock();
        state.serving.active -= 1;
        state.serving.abandoned()
    }

    /// The wait is over.
    pub(crate) fn come_back(&self) {
        self.lock().serving.active += 1;
    }

    /// Takes what is queued and chosen.
    pub(crate) fn take_queued(&self, choose: impl Fn(&Runnable) -> bool) -> Vec<Runnable> {
        let mut state = self.lock();
        let queue = std::mem::take(&mut state.serving.queue);
        let (taken, left): (Vec<_>, Vec<_>) = queue.into_iter().partition(choose);
        state.serving.queue = left.into();
        taken
    }

    /// Whether the scheduler stops.
    pub(crate) fn are_closed(&self) -> bool {
        self.lock().closed
    }
}

impl State {
    /// There is no spare for what is queued: somebody else comes to it, or the oldest is run by whoever
    /// asks.
    fn queue_or_take(&mut self) -> HandedOver {
        if self.serving.active > 0 {
            return HandedOver::Done;
        }
        match self.serving.queue.pop_front() {
            Some(runnable) => {
                self.serving.active += 1;
                HandedOver::HereForNow(runnable)
            }
            None => HandedOver::Done,
        }
    }
}
