//! A domain with its workers and spares, a lane, and a limit, for the model checker: no threads, no clock, no
//! admission.
//!
//! Used by `tests/loom_*.rs` and compiled for them only. Everything that takes part in a protocol
//! is the real thing; this file only gives it a public face.

use std::sync::Arc;

use tokengate_anchor::StickyRegistry;
use tokengate_token::{Home, Ran, Runnable, RunnableList};

use crate::anchors::Anchors;
use crate::block;
use crate::config::Hooks;
use crate::domain::{self, SHUT_DOWN};
use crate::lane;
use crate::lane::places::Backlogs;
use crate::local::LocalQueue;
use crate::permits::{self, Permits};
use crate::sleep::Sleeper;

/// A domain of some cores.
#[derive(Clone)]
pub struct Domain(Arc<domain::Domain>);

/// A worker or spare of a domain; the test gives it a thread.
pub struct Worker {
    domain: Arc<domain::Domain>,
    core: usize,
    sleeper: Sleeper,
    /// None for spares.
    queue: Option<LocalQueue>,
}

/// What came of an engagement: see `block::Engaged`.
pub enum Engaged {
    Done,
    /// This spare needs its thread.
    Start(Worker),
    Exhausted,
    Closed,
}

impl Domain {
    /// The workers belong to the cores in turn; there are no spares.
    pub fn new(cores: usize, workers: usize) -> (Self, Vec<Worker>) {
        Self::with_spares(cores, workers, 0)
    }

    /// With spares, which are fresh.
    pub fn with_spares(cores: usize, workers: usize, spares: usize) -> (Self, Vec<Worker>) {
        let hooks = Arc::new(Hooks::default());
        let anchors = Arc::new(Anchors::new(StickyRegistry::new(), Permits::new(0), 1));
        let (domain, each) =
            domain::Domain::new(0, cores, workers, spares, anchors, Arc::default(), hooks);
        let each = each.into_iter().map(|(sleeper, queue)| Worker {
            domain: domain.clone(),
            core: sleeper.index() % cores,
            sleeper,
            queue: Some(queue),
        });
        let workers = each.collect();
        (Self(domain), workers)
    }

    pub fn post(&self, core: usize, runnable: Runnable) -> Result<(), Runnable> {
        self.0.post(core, runnable)
    }

    pub fn post_list(&self, core: usize, list: RunnableList) -> Result<(), RunnableList> {
        self.0.post_list(core, list)
    }

    /// As `Shared::stop`, after the flag is set.
    pub fn stop(&self) {
        self.0.sleepers.unpark_all();
        self.0.spares.close(&self.0.sleepers);
    }

    /// How many are parked or about to park.
    pub fn parked(&self) -> usize {
        self.0.sleepers.count()
    }

    /// A thread of the domain is about to block.
    pub fn engage(&self) -> Engaged {
        match self.0.spares.engage(&self.0.sleepers) {
            block::Engaged::Done => Engaged::Done,
            block::Engaged::Start(sleeper) => {
                self.0.thread_starts();
                Engaged::Start(Worker {
                    domain: self.0.clone(),
                    core: 0,
                    sleeper,
                    queue: None,
                })
            }
            block::Engaged::Exhausted => Engaged::Exhausted,
            block::Engaged::Closed => Engaged::Closed,
        }
    }

    /// Its wait is over.
    pub fn disengage(&self) {
        self.0.spares.disengage(&self.0.sleepers);
    }

    /// As the purge of a shutdown, from outside.
    pub fn purge(&self) {
        self.0.purge();
    }

    /// As the end of a shutdown with a thread that does not end.
    pub fn close(&self) {
        self.0.close();
    }

    pub fn all_quiet(domains: &[Self]) -> bool {
        let domains: Vec<_> = domains.iter().map(|domain| domain.0.clone()).collect();
        domain::all_quiet(&domains)
    }
}

impl Worker {
    /// The next runnable: own queue, mailboxes, siblings.
    #[expect(clippy::should_implement_trait, reason = "as the worker's own")]
    pub fn next(&mut self) -> Option<Runnable> {
        let Some(queue) = &self.queue else {
            return self.domain.take_one(self.core);
        };
        if let Some(own) = queue.pop() {
            return Some(own);
        }
        self.domain.drain(self.core, queue);
        let drained = queue.pop();
        drained.or_else(|| self.domain.steal(self.sleeper.index(), queue))
    }

    /// As a body's call that stays in the domain.
    pub fn push(&mut self, runnable: Runnable) {
        let queue = self.queue.as_ref().expect("a worker");
        self.domain.push_own(queue, runnable);
    }

    /// Goes idle, if it is a spare that is one too many; whether it was.
    pub fn retire(&self, idle: impl FnOnce()) -> bool {
        self.queue.is_none()
            && self.domain.spares.has_retirement()
            && self.domain.retire(&self.sleeper, idle)
    }

    /// Sleeps, unless there is work or it is `stopping`; whether it slept.
    pub fn sleep(&self, stopping: impl FnOnce() -> bool) -> bool {
        let has_work = || self.domain.has_work() || stopping();
        self.domain.sleepers.sleep(&self.sleeper, has_work)
    }

    /// Runs it, in this domain.
    pub fn run(&self, runnable: Runnable) {
        let home: Arc<dyn Home> = self.domain.clone();
        if let Ran::Again(runnable) = runnable.run(&home) {
            home.post(runnable);
        }
    }

    /// Kills what is left, and closes the domain if it is the last worker.
    pub fn end(mut self) {
        let domain = self.domain.clone();
        domain.end_all(|| {
            while let Some(runnable) = self.next() {
                domain.anchors.kill(runnable, SHUT_DOWN);
            }
        });
        domain.thread_ended();
    }
}

/// What came of a token that is handed over: see `block::HandedOver`.
pub enum HandedOver {
    Done,
    /// This spare needs its thread.
    Start(Worker),
    /// To be run by the caller; if `true`, [`Domain::leave`] comes after it.
    Here(Runnable, bool),
    Closed(Runnable),
}

/// What a spare that serves does next: see `block::Next`.
pub enum Next {
    Run(Runnable),
    /// It was idle, and may serve or take part by now.
    WasIdle,
    Closed,
}

impl Domain {
    /// As a worker that has taken a token whose body may block.
    pub fn hand_over(&self, runnable: Runnable) -> HandedOver {
        match self.0.spares.hand_over(runnable, &self.0.sleepers) {
            block::HandedOver::Done => HandedOver::Done,
            block::HandedOver::Start(sleeper) => {
                self.0.thread_starts();
                HandedOver::Start(Worker {
                    domain: self.0.clone(),
                    core: 0,
                    sleeper,
                    queue: None,
                })
            }
            block::HandedOver::Here(runnable) => HandedOver::Here(runnable, false),
            block::HandedOver::HereForNow(runnable) => HandedOver::Here(runnable, true),
            block::HandedOver::Closed(runnable) => HandedOver::Closed(runnable),
        }
    }

    /// A body that was run in place of a spare has returned, or blocks in a wait.
    pub fn leave(&self) {
        for runnable in self.0.spares.leave() {
            self.0.post(0, runnable).expect("open");
        }
    }

    /// The wait of such a body is over.
    pub fn come_back(&self) {
        self.0.spares.come_back();
    }
}

impl Worker {
    /// Whether it is a spare that serves.
    pub fn serves(&self) -> bool {
        self.queue.is_none() && self.domain.spares.serves(self.sleeper.index())
    }

    /// The next one for a spare that serves.
    pub fn next_served(&self, idle: impl FnOnce()) -> Next {
        match self.domain.spares.next_served(self.sleeper.index()) {
            block::Next::Run(runnable) => Next::Run(runnable),
            block::Next::Closed => Next::Closed,
            block::Next::Idle => {
                idle();
                self.sleeper.park();
                Next::WasIdle
            }
        }
    }
}

/// A limit without a gate.
pub struct Limit(permits::Limit);

/// What came of a token that needs a permit.
pub enum Taken {
    GoesOn(Runnable),
    SetAside,
    Ends(Runnable),
}

impl Limit {
    pub fn new(size: usize) -> Self {
        Self(permits::Limit::new(size, false))
    }

    pub fn take(&self, runnable: Runnable) -> Taken {
        match self.0.take(runnable, |_| false) {
            permits::Taken::GoesOn(runnable) => Taken::GoesOn(runnable),
            permits::Taken::SetAside => Taken::SetAside,
            permits::Taken::Ends(runnable) => Taken::Ends(runnable),
        }
    }

    /// As a waiter that is about to run a token in place.
    pub fn take_in_place(&self) -> bool {
        self.0.take_in_place()
    }

    /// As the exit of a token that holds a permit.
    pub fn release(&self, mut post: impl FnMut(Runnable)) {
        let refused = self.0.release(|runnable| {
            post(runnable);
            Ok(())
        });
        assert!(refused.is_empty());
    }

    pub fn resize(&self, size: usize, mut post: impl FnMut(Runnable)) {
        let refused = self.0.resize(
            permits::Change::Set(size),
            |_| (),
            |runnable| {
                post(runnable);
                Ok(())
            },
        );
        assert!(refused.is_empty());
    }

    /// As a shutdown.
    pub fn close(&self) -> impl Iterator<Item = Runnable> {
        self.0.close().into_iter()
    }

    /// How many permits are taken, and how many tokens are set aside.
    pub fn state(&self) -> (usize, usize) {
        let now = self.0.snapshot();
        (now.taken, now.aside)
    }
}

/// A lane without a registry.
#[derive(Clone)]
pub struct Lane(Arc<(lane::Lane, Backlogs)>);

/// What is to be done after a turn is over: see `lane::Over`.
#[must_use]
pub struct Over {
    pub next: Option<Runnable>,
    pub tombstone: Option<Runnable>,
}

impl Lane {
    #[expect(clippy::new_without_default, reason = "as the others here")]
    pub fn new() -> Self {
        Self(Arc::new((lane::Lane::default(), Backlogs::new(1))))
    }

    pub fn has_come(&self, turn: u64) -> bool {
        self.0.0.has_come(turn)
    }

    /// As `Anchors::arrive`; `refused` says whether an order ends the token.
    pub fn arrive(&self, turn: u64, runnable: Runnable, refused: bool) -> Option<Runnable> {
        let (lane, backlogs) = &*self.0;
        if lane.has_come(turn) {
            return Some(runnable);
        }
        lane.set_aside(turn, runnable, backlogs, |_| refused)
    }

    pub fn end(&self, turn: u64) -> Over {
        let (lane, backlogs) = &*self.0;
        let lane::Over { next, tombstone } = lane.end(turn, backlogs);
        Over { next, tombstone }
    }

    /// As the purge of a shutdown.
    pub fn take_waiting(&self) -> Vec<Runnable> {
        let (lane, backlogs) = &*self.0;
        lane.take_waiting(backlogs)
    }

    pub fn waiting(&self) -> usize {
        self.0.0.waiting()
    }

    /// Whether nothing is known of turns to come.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}
