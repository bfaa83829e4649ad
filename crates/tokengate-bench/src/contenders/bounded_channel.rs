//! Pinned threads, each behind a bounded crossbeam channel, with a oneshot channel a token.

use std::thread;

use crossbeam_channel::{Sender, bounded};

use crate::contender::{Contender, Failed, Job, Outcome, Unable};
use crate::machine;

/// Jobs that one channel holds.
const CAPACITY: usize = 4096;

type Boxed = Box<dyn FnOnce() + Send>;

/// The channels; the threads end when the value is dropped.
pub(crate) struct BoundedChannel {
    workers: Vec<Sender<Boxed>>,
}

impl BoundedChannel {
    /// Starts and pins the threads; where pins are refused they run unpinned.
    pub(crate) fn start() -> Result<Self, Unable> {
        let workers = machine::worker_cpus()
            .into_iter()
            .map(|cpu| {
                let (sender, jobs) = bounded::<Boxed>(CAPACITY);
                thread::Builder::new()
                    .name("bounded-channel".into())
                    .spawn(move || {
                        machine::pin(cpu);
                        jobs.into_iter().for_each(|job| job());
                    })
                    .map_err(|error| Unable(format!("no thread: {error}")))?;
                Ok(sender)
            })
            .collect::<Result<_, Unable>>()?;
        Ok(Self { workers })
    }
}

impl Contender for BoundedChannel {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let results: Vec<_> = jobs
            .zip(self.workers.iter().cycle())
            .map(|(job, worker)| {
                let (done, result) = oneshot::channel();
                let run = move || {
                    // The receiver is kept until its result is taken.
                    let _ = done.send(job.run());
                };
                // If the thread has panicked, the job is dropped and `result` tells.
                let _ = worker.send(Box::new(run));
                result
            })
            .collect();
        for result in results {
            take(result.recv().map_err(Failed::because));
        }
    }
}
