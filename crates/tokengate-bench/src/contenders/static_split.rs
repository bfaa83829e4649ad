//! One pinned std thread a CPU, each with an equal part of the jobs: no scheduling at all.
//!
//! KeyedContender jobs are split by key, so that each thread has keys of its own; how many jobs a key has is known
//! beforehand, and the keys are shared out by it, the one with the most jobs first.

use crossbeam_channel::Sender;

use super::Boxed;
use crate::contender::{Contender, Failed, Job, Outcome, Unable};
use crate::keyed::{KeyedContender, KeyedJob};

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

impl StaticSplit {
    /// Gives each thread its part, and takes all outputs of a part together.
    fn run_parts<J: Job>(
        &self,
        parts: impl Iterator<Item = Vec<J>>,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let running: Vec<_> = std::iter::zip(&self.workers, parts)
            .map(|(worker, part)| {
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
        for results in running {
            match results.recv() {
                Ok(outputs) => outputs.into_iter().for_each(|output| take(Ok(output))),
                Err(error) => take(Err(Failed::because(error))),
            }
        }
    }
}

impl Contender for StaticSplit {
    fn run<J: Job>(
        &mut self,
        mut jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        let size = jobs.len().div_ceil(self.workers.len());
        let parts = (0..self.workers.len()).map(|_| jobs.by_ref().take(size).collect());
        self.run_parts(parts, take);
    }
}

impl KeyedContender for StaticSplit {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        let jobs: Vec<J> = jobs.collect();
        let owners = owners(jobs.iter().map(J::key), self.workers.len());
        let mut parts: Vec<_> = self.workers.iter().map(|_| Vec::new()).collect();
        jobs.into_iter()
            .for_each(|job| parts[owners[job.key()]].push(job));
        self.run_parts(parts.into_iter(), take);
    }
}

/// Gives each key, the most frequent first, to the worker with the fewest jobs.
fn owners(keys: impl Iterator<Item = usize>, workers: usize) -> Vec<usize> {
    let mut jobs_of_key: Vec<usize> = Vec::new();
    for key in keys {
        if jobs_of_key.len() <= key {
            jobs_of_key.resize(key + 1, 0);
        }
        jobs_of_key[key] += 1;
    }
    let mut by_jobs: Vec<usize> = (0..jobs_of_key.len()).collect();
    by_jobs.sort_by_key(|&key| std::cmp::Reverse(jobs_of_key[key]));
    let mut jobs_of_worker = vec![0; workers];
    let mut owners = vec![0; jobs_of_key.len()];
    for key in by_jobs {
        let fewest = (0..workers).min_by_key(|&worker| jobs_of_worker[worker]);
        owners[key] = fewest.unwrap_or(0);
        jobs_of_worker[owners[key]] += jobs_of_key[key];
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shared_out_by_their_jobs() {
        // Six jobs of key 2 weigh as much as the three each of keys 0 and 1.
        let keys = [0, 0, 0, 1, 1, 1].into_iter().chain([2; 6]);
        let owners = owners(keys, 2);
        assert_eq!(owners[0], owners[1]);
        assert_ne!(owners[0], owners[2]);
    }
}
