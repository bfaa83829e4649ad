//! Starts the workers and ends them.
//!
//! `start` makes a plan, its domains, and a pinned thread for each worker; `shutdown` and `Drop`
//! end them. Keeps: after the end no thread of it is left and every handle has resolved. What
//! happens in between is the workers' and the handles' affair.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch;
use crate::config::{Config, Timing, WorkerInfo};
use crate::domain::Domain;
use crate::error::StartError;
use crate::handle::Handle;
use crate::local::LocalQueue;
use crate::pin;
use crate::shared::Shared;
use crate::sleep::{Sleeper, Sleepers};
use crate::thread::{self, WorkerQueue};
use crate::topology::{Machine, Plan};
use crate::worker::Worker;

/// Pinned workers, from start to shutdown. Owns the threads; not `Clone`, see [`handle`](Self::handle).
///
/// Dropping it purges: what has not started is killed, suspended async bodies are dropped, and the
/// drop waits for the bodies that execute.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tokengate_scheduler::{Config, Operation, Plain, Scheduler, Weight};
/// static HASH: Operation = Operation::new("hash").with_weight(Weight::Heavy);
///
/// let scheduler = Scheduler::start(Config::default())?;
/// let handle = scheduler.handle();
/// let tokens: Vec<_> = (0..100u64).map(|n| handle.submit(&HASH, Plain::new(move || n ^ 7))).collect();
/// let results = tokengate_scheduler::get_all(tokens);
/// assert!(results.into_iter().all(|result| result.is_ok()));
/// let report = scheduler.shutdown(Duration::from_secs(5));
/// assert!(report.drained);
/// # Ok::<(), tokengate_scheduler::StartError>(())
/// ```
#[derive(Debug)]
pub struct Scheduler {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Everything had finished in time; otherwise the rest was killed.
    pub drained: bool,
}

/// A worker's part of what `start` makes.
struct Seed {
    info: WorkerInfo,
    core: usize,
    sleeper: Sleeper,
    queue: LocalQueue,
    domain: Arc<Domain>,
}

/// What a worker says before its first step.
struct Ready {
    info: WorkerInfo,
    pinned: bool,
}

impl Scheduler {
    /// Starts one pinned thread for each worker of the plan, and waits until all are pinned.
    ///
    /// A pin that the system refuses is recorded in the [plan](Handle::plan), and the worker runs
    /// unpinned.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the options contradict the machine, or a thread cannot be started.
    pub fn start(config: Config) -> Result<Self, StartError> {
        if config.capacity == Some(0) {
            return Err(StartError::NoCapacity);
        }
        if config.timing == Timing::Sampled(0) {
            return Err(StartError::NoSample);
        }
        let plan = Plan::new(&Machine::detect(), &config.domains, &config.ranges)?;
        let hooks = Arc::new(config.hooks.clone());
        let (domains, seeds): (Vec<_>, Vec<_>) = plan
            .domains()
            .iter()
            .enumerate()
            .map(|(index, planned)| {
                let cores = planned.cores.iter();
                let workers: Vec<(usize, Option<usize>)> = cores
                    .enumerate()
                    .flat_map(|(core, planned)| {
                        planned.workers.iter().map(move |worker| (core, worker.cpu))
                    })
                    .collect();
                make_domain(index, planned.cores.len(), &workers, &hooks)
            })
            .unzip();
        let shared = Arc::new(Shared::new(&config, plan, domains, hooks));
        let mut scheduler = Self {
            handle: Handle { shared },
            threads: Vec::new(),
        };
        scheduler.start_workers(seeds.into_iter().flatten().collect())?;
        Ok(scheduler)
    }

    fn start_workers(&mut self, seeds: Vec<Seed>) -> Result<(), StartError> {
        let (ready, started) = channel();
        let mut failed = None;
        for (seed, recorder) in seeds.into_iter().zip(0..) {
            let domain = seed.domain.clone();
            if failed.is_none() {
                match self.start_worker(seed, recorder, ready.clone()) {
                    Ok(thread) => {
                        self.threads.push(thread);
                        continue;
                    }
                    Err(error) => failed = Some(error),
                }
            }
            domain.worker_ended();
        }
        drop(ready);
        if let Some(source) = failed {
            let started = self.threads.len();
            // Dropping `self` stops those that did start.
            return Err(StartError::Thread { started, source });
        }
        let plan = &self.handle.shared.plan;
        for Ready { info, pinned } in started {
            if !pinned {
                let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                let reason = "the system refused to pin the thread to this CPU";
                plan.pin_refused(info.domain, info.worker, reason);
            }
        }
        Ok(())
    }

    fn start_worker(
        &self,
        seed: Seed,
        recorder: usize,
        ready: Sender<Ready>,
    ) -> std::io::Result<JoinHandle<()>> {
        let shared = self.handle.shared.clone();
        let name_hook = || (shared.hooks.thread_name)(seed.info);
        let name = catch_unwind(AssertUnwindSafe(name_hook)).unwrap_or_default();
        // A NUL cannot be in a thread's name.
        let name = name.replace('\0', "");
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || run_worker(shared, seed, recorder, ready))
    }

    /// A way in, to clone and to send to other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Lets everything finish, for at most this long, then kills the rest and ends the threads.
    ///
    /// New root calls are refused from now on; calls from bodies are taken until the time is over.
    /// Then what has not started is killed, and suspended async bodies are dropped. It returns when
    /// the bodies that execute have ended. Publishes what this thread has deferred first. In a body
    /// of its own it kills the rest at once and returns: it would wait for that body.
    pub fn shutdown(mut self, limit: Duration) -> ShutdownReport {
        batch::flush();
        // A limit beyond what the clock can say is no limit.
        let deadline = Instant::now().checked_add(limit);
        let drained = !self.is_on_own_worker() && self.handle.shared.drain(deadline);
        self.end();
        ShutdownReport { drained }
    }

    fn is_on_own_worker(&self) -> bool {
        let me = std::thread::current().id();
        self.threads.iter().any(|thread| thread.thread().id() == me)
    }

    /// Stops the workers and waits for them, unless this thread is one of them.
    fn end(&mut self) {
        self.handle.shared.stop();
        let on_own_worker = self.is_on_own_worker();
        let threads = std::mem::take(&mut self.threads);
        if on_own_worker {
            // A worker cannot wait for itself; it ends after the body that dropped us.
            return;
        }
        for thread in threads {
            // A worker contains all panics of its bodies and hooks; one of its own is our bug, and
            // was printed.
            let _: Result<(), Box<dyn Any + Send>> = thread.join();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        batch::flush();
        self.end();
    }
}

/// Makes a domain, and what each of its workers needs.
fn make_domain(
    index: usize,
    cores: usize,
    workers: &[(usize, Option<usize>)],
    hooks: &Arc<crate::config::Hooks>,
) -> (Arc<Domain>, Vec<Seed>) {
    let (sleepers, sleeper_of_each) = Sleepers::new(workers.len());
    let (queues, stealers) = if workers.len() == 1 {
        (vec![LocalQueue::alone()], Vec::new())
    } else {
        workers.iter().map(|_| LocalQueue::shared()).unzip()
    };
    let domain = Arc::new(Domain::new(
        cores,
        workers.len(),
        sleepers,
        stealers,
        hooks.clone(),
    ));
    let seeds = workers.iter().zip(sleeper_of_each).zip(queues);
    let seeds = seeds
        .enumerate()
        .map(|(worker, ((&(core, cpu), sleeper), queue))| Seed {
            info: WorkerInfo {
                domain: index,
                worker,
                cpu,
            },
            core,
            sleeper,
            queue,
            domain: domain.clone(),
        })
        .collect();
    (domain, seeds)
}

/// The life of a worker's thread.
fn run_worker(shared: Arc<Shared>, seed: Seed, recorder: usize, ready: Sender<Ready>) {
    let info = seed.info;
    let pinned = info.cpu.is_none_or(pin::pin_current);
    let queue = Rc::new(WorkerQueue {
        domain: seed.domain.clone(),
        queue: std::cell::RefCell::new(seed.queue),
    });
    thread::set_worker(Some(queue.clone()));
    let handle = Handle {
        shared: shared.clone(),
    };
    let _entered = handle.enter();
    let hook = AssertUnwindSafe(|| (shared.hooks.thread_start)(info));
    if let Err(panic) = catch_unwind(hook) {
        drop(panic);
    }
    // Nobody listens if another worker could not be started.
    let _ = ready.send(Ready { info, pinned });
    drop(ready);
    let recorder = shared.recorders[recorder].clone();
    Worker::new(
        shared.clone(),
        seed.domain,
        seed.core,
        seed.sleeper,
        queue,
        recorder,
    )
    .run();
}
