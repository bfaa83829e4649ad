//! rayon's parallel iterator: the whole set at once, no handle a token.

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::contender::{Contender, Job, Outcome, Unable};

/// The pool that splits the jobs.
pub(crate) struct RayonParIter(ThreadPool);

impl RayonParIter {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::rayon_pool().map(Self)
    }
}

impl Contender for RayonParIter {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let jobs: Vec<J> = jobs.collect();
        let outputs: Vec<J::Output> = self
            .0
            .install(|| jobs.into_par_iter().map(Job::run).collect());
        outputs.into_iter().for_each(|output| take(Ok(output)));
    }
}
