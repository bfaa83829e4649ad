//! The crate `threadpool` with a oneshot channel a token.

use threadpool::ThreadPool;

use crate::contender::{Contender, Job, Outcome, Unable};
use crate::machine;

/// The pool: one locked queue for all its threads.
pub(crate) struct Threadpool(ThreadPool);

impl Threadpool {
    pub(crate) fn start() -> Result<Self, Unable> {
        Ok(Self(ThreadPool::new(machine::workers())))
    }
}

impl Contender for Threadpool {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        super::through_oneshots(jobs, take, |work| self.0.execute(|| work.run()));
    }
}
