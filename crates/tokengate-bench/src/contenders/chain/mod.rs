//! The contenders of `chain`: leads whose bodies create children and take their results.
//!
//! Creating a task from inside a task is different in every executor, so each of them has a file here. All
//! of them do the same: lead n has the children 4n to 4n + 3, each gives its number back, and the lead
//! gives back their sum.

pub(crate) mod local_executor;
pub(crate) mod local_set;
pub(crate) mod nested;
pub(crate) mod rayon_join;
pub(crate) mod rayon_scope;
pub(crate) mod tokengate;
pub(crate) mod tokio_inside;
pub(crate) mod tokio_outside;

use std::hint::black_box;
use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::contender::{Failed, Outcome, Unable};
use crate::machine;

/// Children of a lead.
pub(crate) const CHILDREN: usize = 4;

/// An executor whose bodies create children.
pub(crate) trait Chains {
    /// Submits the leads from 0 on, then hands the outcome of each to `take`, in any order.
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>));
}

/// The body of a child.
#[inline]
fn child(number: u64) -> u64 {
    // Otherwise it is nothing at all.
    black_box(number)
}

/// The numbers of a lead's children.
#[inline]
fn children(lead: u64) -> [u64; CHILDREN] {
    std::array::from_fn(|child| lead * CHILDREN as u64 + child as u64)
}

/// The leads of one thread, and where their results go.
struct Part {
    leads: Range<u64>,
    done: oneshot::Sender<Vec<u64>>,
}

/// A pinned thread a worker, each with an executor of its own.
struct LocalThreads {
    workers: Vec<Sender<Part>>,
}

impl LocalThreads {
    /// Starts them; `serve` makes the thread's executor and runs what comes until the end.
    fn start(name: &str, serve: fn(&Receiver<Part>)) -> Result<Self, Unable> {
        let workers = machine::worker_cpus()
            .into_iter()
            .map(|cpu| {
                let (sender, parts) = unbounded();
                thread::Builder::new()
                    .name(name.to_owned())
                    .spawn(move || {
                        machine::pin(cpu);
                        serve(&parts);
                    })
                    .map_err(|error| Unable(format!("no thread: {error}")))?;
                Ok(sender)
            })
            .collect::<Result<_, Unable>>()?;
        Ok(Self { workers })
    }

    /// Gives each thread an equal part of the leads.
    fn run_chains(&self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        let size = leads.div_ceil(self.workers.len() as u64);
        let running: Vec<_> = (0_u64..)
            .zip(&self.workers)
            .map(|(part, worker)| {
                let (done, results) = oneshot::channel();
                let leads = (part * size).min(leads)..((part + 1) * size).min(leads);
                // If the thread has panicked, the part is dropped and `results` tells.
                let _ = worker.send(Part { leads, done });
                results
            })
            .collect();
        for results in running {
            match results.recv() {
                Ok(sums) => sums.into_iter().for_each(|sum| take(Ok(sum))),
                Err(error) => take(Err(Failed::because(error))),
            }
        }
    }
}
