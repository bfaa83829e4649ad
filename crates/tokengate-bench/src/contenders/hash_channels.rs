//! Pinned threads that own the keys by their hash, each behind a bounded crossbeam channel, with a oneshot
//! channel a token.
//!
//! For each run the threads get a channel of the jobs' own type, so that no job is boxed.

use crossbeam_channel::{Sender, bounded};

use super::{Boxed, WithOneshot};
use crate::contender::{Outcome, Unable};
use crate::keyed::{KeyedContender, KeyedJob};

/// Jobs that one channel holds.
const CAPACITY: usize = 4096;

/// The threads that take the channels.
pub(crate) struct HashChannels {
    workers: Vec<Sender<Boxed>>,
}

impl HashChannels {
    pub(crate) fn start() -> Result<Self, Unable> {
        let workers = super::pinned_threads("hash-channels", 1)?;
        Ok(Self { workers })
    }
}

impl KeyedContender for HashChannels {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        let channels: Vec<_> = self
            .workers
            .iter()
            .map(|worker| {
                let (sender, jobs) = bounded::<WithOneshot<J>>(CAPACITY);
                let run = move || jobs.into_iter().for_each(|work| work.run());
                // If the thread has panicked, its channel is closed and the receivers of its jobs tell.
                let _ = worker.send(Box::new(run));
                sender
            })
            .collect();
        super::through_oneshots(jobs, take, |work| {
            // Keys are numbers without gaps: no hash spreads them more evenly than the remainder.
            let owner = work.job.key() % channels.len();
            let _ = channels[owner].send(work);
        });
    }
}
