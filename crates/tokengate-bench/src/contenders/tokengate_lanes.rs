//! tokengate with keys: each call in the serial lane of its key, in the forms of the plain contender.

use tokengate::task_token_guard;

use super::tokengate::Tokengate;
use crate::contender::Outcome;
use crate::keyed::{KeyedContender, KeyedJob};

#[task_token_guard(operation_type = "bench.keyed", tags(serial, key(job.key())))]
fn keyed<J: KeyedJob>(job: J) -> J::Output {
    job.run()
}

impl KeyedContender for Tokengate {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        self.take_all(jobs.map(keyed), take);
    }
}
