//! One pinned std thread a CPU, each with an equal part of the jobs: no scheduling at all.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};
use crate::machine;

type Part = Box<dyn FnOnce() + Send>;

/// The threads that take the parts; they end when the value is dropped.
pub(crate) struct StaticSplit {
    workers: Vec<Sender<Part>>,
}

impl StaticSplit {
    /// Starts and pins the threads; where pins are refused they run unpinned.
    pub(crate) fn start() -> Result<Self, Unable> {
        let workers = machine::worker_cpus()
            .into_iter()
            .map(|cpu| {
                let (sender, parts) = channel::<Part>();
                thread::Builder::new()
                    .name("static-split".into())
                    .spawn(move || {
                        machine::pin(cpu);
                        parts.into_iter().for_each(|part| part());
                    })
                    .map_err(|error| Unable(format!("no thread: {error}")))?;
                Ok(sender)
            })
            .collect::<Result<_, Unable>>()?;
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
                    // The receiver is gone only if the run was given up; then nobody misses it.
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
