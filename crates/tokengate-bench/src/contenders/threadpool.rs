//! The crate `threadpool` with a oneshot channel a token.

use threadpool::ThreadPool;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};
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
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let results: Vec<_> = jobs
            .map(|job| {
                let (done, result) = oneshot::channel();
                self.0.execute(move || {
                    // The receiver is kept until its result is taken.
                    let _ = done.send(job.run());
                });
                result
            })
            .collect();
        for result in results {
            take(result.recv().map_err(Failed::because));
        }
    }
}
