//! The loop on the caller's thread: what the work costs without any executor.

use crate::contender::{Contender, Job, Outcome};
use crate::keyed::{KeyedContender, KeyedJob};

/// Runs each job where it is submitted.
pub(crate) struct Serial;

impl Contender for Serial {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        for job in jobs {
            take(Ok(job.run()));
        }
    }
}

impl KeyedContender for Serial {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        self.run(jobs, take);
    }
}
