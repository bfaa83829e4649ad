//! The loop on the caller's thread: what the work costs without any executor.

use crate::contender::{Contender, Job, Outcome};

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
