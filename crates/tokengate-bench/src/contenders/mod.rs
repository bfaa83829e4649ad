//! The built-in contenders, one file each.
//!
//! The roster starts them. Every peer runs in the form its documentation advises, with as many
//! workers as CPUs are allowed; none of them is held back, and nothing is shared between them but the
//! allocator.

pub(crate) mod async_executor;
pub(crate) mod bounded_channel;
pub(crate) mod chain;
pub(crate) mod glommio_local;
pub(crate) mod hash_channels;
pub(crate) mod rayon_par_iter;
pub(crate) mod rayon_spawn;
pub(crate) mod serial;
pub(crate) mod static_split;
pub(crate) mod threadpool;
pub(crate) mod tokengate;
mod tokengate_lanes;
pub(crate) mod tokio_actors;
pub(crate) mod tokio_chunks;
pub(crate) mod tokio_dashmap;
pub(crate) mod tokio_inside;
pub(crate) mod tokio_join_set;
pub(crate) mod tokio_outside;
pub(crate) mod tokio_spawn_blocking;
pub(crate) mod tokio_spawn_pinned;

use std::any::Any;
use std::thread;

use crossbeam_channel::{Sender, bounded};

use crate::contender::{Failed, Job, Outcome, Unable};
use crate::machine;

/// The multi-threaded tokio runtime that the tokio forms share the settings of.
pub(crate) fn tokio_runtime() -> Result<tokio::runtime::Runtime, Unable> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(machine::workers())
        .build()
        .map_err(|error| Unable(format!("tokio does not start: {error}")))
}

/// The rayon pool that the rayon forms share the settings of.
///
/// A panic must not abort the process: the handle that is never filled reports it.
fn rayon_pool() -> Result<rayon::ThreadPool, Unable> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(machine::workers())
        .panic_handler(ignore_panic)
        .build()
        .map_err(|error| Unable(format!("rayon does not start: {error}")))
}

fn ignore_panic(_payload: Box<dyn Any + Send>) {}

/// What a pinned thread takes from its channel.
type Boxed = Box<dyn FnOnce() + Send>;

/// A pinned std thread for each worker, behind a bounded channel; it ends with its sender.
///
/// Where pins are refused the threads run unpinned.
fn pinned_threads(name: &str, capacity: usize) -> Result<Vec<Sender<Boxed>>, Unable> {
    machine::worker_cpus()
        .into_iter()
        .map(|cpu| {
            let (sender, work) = bounded::<Boxed>(capacity);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    machine::pin(cpu);
                    work.into_iter().for_each(|work| work());
                })
                .map_err(|error| Unable(format!("no thread: {error}")))?;
            Ok(sender)
        })
        .collect()
}

/// A job with the sending half of its oneshot channel.
struct WithOneshot<J: Job> {
    job: J,
    done: oneshot::Sender<J::Output>,
}

impl<J: Job> WithOneshot<J> {
    /// Runs the job and sends its result; a panic drops the sender, and the receiver tells.
    fn run(self) {
        // The receiver is kept until its result is taken.
        let _ = self.done.send(self.job.run());
    }
}

/// Submits each job with a oneshot channel of its own, then takes each result through it.
fn through_oneshots<J: Job>(
    jobs: impl Iterator<Item = J>,
    take: impl FnMut(Outcome<J::Output>),
    mut submit: impl FnMut(WithOneshot<J>),
) {
    results_of(jobs, take, |job, done| submit(WithOneshot { job, done }));
}

/// Submits each item with the sender of its result, then takes each result.
fn results_of<I, T>(
    items: impl Iterator<Item = I>,
    mut take: impl FnMut(Outcome<T>),
    mut submit: impl FnMut(I, oneshot::Sender<T>),
) {
    let results: Vec<_> = items
        .map(|item| {
            let (done, result) = oneshot::channel();
            submit(item, done);
            result
        })
        .collect();
    for result in results {
        take(result.recv().map_err(Failed::because));
    }
}
