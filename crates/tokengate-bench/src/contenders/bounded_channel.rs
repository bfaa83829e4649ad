//! Pinned threads, each behind a bounded crossbeam channel, with a oneshot channel a token.

use crossbeam_channel::Sender;

use super::Boxed;
use crate::contender::{Contender, Job, Outcome, Unable};

/// Jobs that one channel holds.
const CAPACITY: usize = 4096;

/// The channels, filled in turn.
pub(crate) struct BoundedChannel {
    workers: Vec<Sender<Boxed>>,
}

impl BoundedChannel {
    pub(crate) fn start() -> Result<Self, Unable> {
        let workers = super::pinned_threads("bounded-channel", CAPACITY)?;
        Ok(Self { workers })
    }
}

impl Contender for BoundedChannel {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        let workers = self.workers.len();
        let mut turn = 0;
        super::through_oneshots(jobs, take, |work| {
            turn = (turn + 1) % workers;
            // If the thread has panicked, the work is dropped and its receiver tells.
            let _ = self.workers[turn].send(Box::new(|| work.run()));
        });
    }
}
