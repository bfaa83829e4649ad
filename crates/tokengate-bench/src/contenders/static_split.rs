//! One pinned std thread a CPU, each with an equal part of the jobs: no scheduling at all.

use crossbeam_channel::Sender;

use super::Boxed;
use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// The threads that take the parts.
pub(crate) struct StaticSplit {
    workers: Vec<Sender<Boxed>>,
}

impl StaticSplit {
    pub(crate) fn start() -> Result<Self, Unable> {
        let workers = super::pinned_threads("static-split", 1)?;
        Ok(Self { workers })
    }
}

impl Contender for StaticSplit {
    fn run<J: Job>(
        &mut self,
        mut jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let size = jobs.len().div_ceil(self.workers.len());
        let parts: Vec<_> = self
            .workers
            .iter()
            .map(|worker| {
                let part: Vec<J> = jobs.by_ref().take(size).collect();
                let (done, results) = oneshot::channel();
                let run = move || {
                    let outputs: Vec<_> = part.into_iter().map(Job::run).collect();
                    // The receiver is kept until its results are taken.
                    let _ = done.send(outputs);
                };
                // If the thread has panicked, the part is dropped and `results` tells.
                let _ = worker.send(Box::new(run));
                results
            })
            .collect();
        for part in parts {
            match part.recv() {
                Ok(outputs) => outputs.into_iter().for_each(|output| take(Ok(output))),
                Err(error) => take(Err(Failed::because(error))),
            }
        }
    }
}
