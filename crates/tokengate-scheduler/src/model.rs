//! A domain with its workers for the model checker: no threads, no clock, no admission.
//!
//! Used by `tests/loom_*.rs` and compiled for them only. Everything that takes part in a protocol
//! is the real thing; this file only gives it a public face.

use std::sync::Arc;

use tokengate_token::{Runnable, RunnableList};

use crate::config::Hooks;
use crate::domain::{self, SHUT_DOWN};
use crate::local::LocalQueue;
use crate::sleep::Sleeper;

/// A domain of some cores.
#[derive(Clone)]
pub struct Domain(Arc<domain::Domain>);

/// A worker of a domain; the test gives it a thread.
pub struct Worker {
    domain: Arc<domain::Domain>,
    core: usize,
    sleeper: Sleeper,
    queue: LocalQueue,
}

impl Domain {
    /// The workers belong to the cores in turn; there are no spares.
    pub fn new(cores: usize, workers: usize) -> (Self, Vec<Worker>) {
        let hooks = Arc::new(Hooks::default());
        let (domain, each) = domain::Domain::new(0, cores, workers, 0, hooks);
        let each = each.into_iter().map(|(sleeper, queue)| Worker {
            domain: domain.clone(),
            core: sleeper.index() % cores,
            sleeper,
            queue,
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

    pub fn unpark_all(&self) {
        self.0.sleepers.unpark_all();
    }

    pub fn all_quiet(domains: &[Self]) -> bool {
        let domains: Vec<_> = domains.iter().map(|domain| domain.0.clone()).collect();
        domain::all_quiet(&domains)
    }
}

impl Worker {
    /// The next runnable: own queue, mailboxes, siblings.
    pub fn next(&mut self) -> Option<Runnable> {
        if let Some(own) = self.queue.pop() {
            return Some(own);
        }
        self.domain.drain(self.core, &self.queue);
        let drained = self.queue.pop();
        drained.or_else(|| self.domain.steal(self.sleeper.index(), &self.queue))
    }

    /// As a body's call that stays in the domain.
    pub fn push(&mut self, runnable: Runnable) {
        self.domain.push_own(&self.queue, runnable);
    }

    /// Sleeps, unless there is work or it is `stopping`; whether it slept.
    pub fn sleep(&self, stopping: impl FnOnce() -> bool) -> bool {
        let has_work = || self.domain.has_work() || stopping();
        self.domain.sleepers.sleep(&self.sleeper, has_work)
    }

    /// Kills what is left, and closes the domain if it is the last worker.
    pub fn end(mut self) {
        while let Some(runnable) = self.next() {
            runnable.kill(SHUT_DOWN);
        }
        self.domain.thread_ended();
    }
}
