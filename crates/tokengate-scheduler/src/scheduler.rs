//! Starts the workers and ends them.
//!
//! `start` makes a plan, its domains, and a pinned thread for each worker; `shutdown` and `Drop`
//! end them. Keeps: after the end no thread of it is left and every handle has resolved. What
//! happens in between is the workers' and the handles' affair.

use std::any::Any;
use std::convert::Infallible;
use std::iter;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokengate_anchor::StickyRegistry;
use tokengate_token::{GateNumber, set_clock};

use crate::anchors::Anchors;
use crate::batch;
use crate::clock;
use crate::config::{Config, Hooks, Timing, WorkerInfo};
use crate::contain::contain;
use crate::control::Control;
use crate::domain::Domain;
use crate::error::StartError;
use crate::handle::Handle;
use crate::lane::Lane;
use crate::local::LocalQueue;
use crate::on_worker::OnWorker;
use crate::permits::Permits;
use crate::pin;
use crate::shared::{Shared, lock};
use crate::shutdown::{self, DrainReport, OpenBatches, ShutdownReport};
use crate::sleep::Sleeper;
use crate::thread;
use crate::topology::{Machine, Plan, PlannedDomain};
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
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a worker's thread is given.
struct Seed {
    info: WorkerInfo,
    core: usize,
    sleeper: Sleeper,
    /// None for spares.
    queue: Option<LocalQueue>,
    domain: Arc<Domain>,
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
        let number = GateNumber::take().ok_or(StartError::TooMany)?;
        set_clock(clock::now_ns);
        let hooks = Arc::new(config.hooks.clone());
        let permits = Permits::new(number.get());
        let anchors = Arc::new(Anchors::new(
            registry(&config),
            permits,
            plan.domains().len(),
        ));
        let control = Arc::<Control>::default();
        let planned = plan.domains().iter().enumerate();
        let (domains, seeds): (Vec<_>, Vec<_>) = planned
            .map(|(index, planned)| {
                let gate = (&anchors, &control, &hooks);
                make_domain(index, planned, config.max_spares.0, gate)
            })
            .unzip();
        let weak = domains.iter().map(Arc::downgrade);
        anchors.permits.set_domains(weak);
        let shared = Arc::new(Shared::new(
            &config, number, plan, domains, anchors, control, hooks,
        ));
        let keeper = Arc::downgrade(&shared);
        shared.number.keep(keeper);
        let scheduler = Self {
            handle: Handle { shared },
            threads: Mutex::default(),
        };
        scheduler.start_workers(seeds.into_iter().flatten().collect())?;
        Ok(scheduler)
    }

    fn start_workers(&self, seeds: Vec<Seed>) -> Result<(), StartError> {
        let (ready, started) = channel();
        let mut failed = None;
        for seed in seeds {
            let domain = seed.domain.clone();
            if failed.is_none() {
                match start_thread(&self.handle.shared, seed, Some(ready.clone())) {
                    Ok(thread) => {
                        lock(&self.threads).push(thread);
                        continue;
                    }
                    Err((error, _)) => failed = Some(error),
                }
            }
            self.handle.shared.thread_ended(&domain);
        }
        drop(ready);
        if let Some(source) = failed {
            let started = lock(&self.threads).len();
            // Dropping `self` stops those that did start.
            return Err(StartError::Thread { started, source });
        }
        // Nothing is sent: it ends when the last worker has dropped its end.
        let _: Result<Infallible, _> = started.recv();
        Ok(())
    }

    /// A way in, to clone and to send to other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Refuses new root calls, and waits until everything has finished, for at most this long.
    ///
    /// Calls from bodies are taken, and open batches of other threads are waited for. It ends early when only paused tokens are left, since those do not
    /// finish by themselves; both are in the report. The scheduler takes no root calls from then on:
    /// resume what is paused, drain again, and shut it down. Publishes what this thread has deferred
    /// first. From a body of this scheduler it does not wait, as that would be for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler};
    /// static OP: Operation = Operation::new("resize");
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let token = scheduler.handle().submit(&OP, Plain::new(|| 1));
    /// let report = scheduler.drain(Duration::from_secs(60));
    /// assert!(report.finished && report.paused == 0);
    /// assert!(token.is_finished());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self, limit: Duration) -> DrainReport {
        batch::flush();
        let limit = if self.is_on_own_thread() {
            Duration::ZERO
        } else {
            limit
        };
        // A limit beyond what the clock can say is no limit.
        let deadline = Instant::now().checked_add(limit);
        self.handle.shared.drain(deadline, OpenBatches::Awaited)
    }

    /// Lets everything finish, for at most this long, then kills the rest and ends the threads.
    ///
    /// In three stages, none of which is skipped by a body that never returns:
    ///
    /// 1. *Drain*: new root calls are refused; calls from bodies are taken, everything finishes.
    /// 2. *Purge*, when the time is over: what has not started is killed, and suspended async
    ///    bodies are dropped.
    /// 3. *Cancel*: tokens whose bodies execute are killed, so that the bodies see
    ///    [`cancelled`](crate::cancelled). For [a second](crate::SHUTDOWN_GRACE) more it waits for
    ///    them to return; threads that have not ended by then are named in the report and left.
    ///
    /// Every handle has resolved when it returns, except for calls in an open batch of another
    /// thread, which resolve as rejected when it publishes them. Publishes what this thread has
    /// deferred first. From a body of this scheduler it purges and returns.
    pub fn shutdown(self, limit: Duration) -> ShutdownReport {
        self.shutdown_in_place(limit)
    }

    /// As [`shutdown`](Self::shutdown), for a scheduler that cannot be given up, such as a static.
    ///
    /// A second call finds everything ended, or stuck.
    pub fn shutdown_in_place(&self, limit: Duration) -> ShutdownReport {
        batch::flush();
        // A limit beyond what the clock can say is no limit.
        let deadline = Instant::now().checked_add(limit);
        let on_own_thread = self.is_on_own_thread();
        let shared = self.handle.shared.clone();
        let drained = !on_own_thread && {
            let drain = shared.drain(deadline, OpenBatches::Left);
            // Whoever waits behind a call that another thread has not published is purged next.
            drain.finished && drain.paused == 0 && shared.anchors.waiting_in_lanes() == 0
        };
        let threads = std::mem::take(&mut *lock(&self.threads));
        let report = shutdown::end(&shared, drained, on_own_thread);
        // With a stuck thread among them all are left: to wait for one could take for ever.
        if report.stuck.is_empty() && !on_own_thread {
            join(&shared, threads);
        }
        report
    }

    /// Whether the present thread is one that the end would wait for.
    fn is_on_own_thread(&self) -> bool {
        let shared = &self.handle.shared;
        thread::on_worker().is_some_and(|worker| worker.shared.id == shared.id)
            || shared.alarms.is_this_thread()
    }
}

/// Waits for the ends of all threads.
fn join(shared: &Shared, workers: Vec<JoinHandle<()>>) {
    // Workers first: after them only spares can start spares.
    let spares = std::iter::from_fn(|| lock(&shared.spare_threads).pop());
    let timer = iter::once_with(|| shared.alarms.take_thread()).flatten();
    for thread in workers.into_iter().chain(spares).chain(timer) {
        // A worker contains all panics of its bodies and hooks; one of its own is our bug, and was
        // printed.
        let _: Result<(), Box<dyn Any + Send>> = thread.join();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        if shared.is_stopping() {
            return;
        }
        batch::flush();
        let on_own_thread = self.is_on_own_thread();
        shutdown::end_patiently(shared, on_own_thread);
        // A thread cannot wait for itself; it ends after the body that dropped us.
        if !on_own_thread {
            join(shared, std::mem::take(&mut *lock(&self.threads)));
        }
    }
}

/// The registry of keys.
fn registry(config: &Config) -> StickyRegistry<Lane> {
    match config.linger {
        None => StickyRegistry::new(),
        Some(linger) => StickyRegistry::lingering(tokengate_anchor::Linger {
            time: linger.time,
            most: linger.most_keys,
            now_ns: clock::now_ns,
        }),
    }
}

/// Makes a domain, and what each of its workers needs.
fn make_domain(
    index: usize,
    planned: &PlannedDomain,
    max_spares: usize,
    (anchors, control, hooks): (&Arc<Anchors>, &Arc<Control>, &Arc<Hooks>),
) -> (Arc<Domain>, Vec<Seed>) {
    let cores = planned.cores.iter().enumerate();
    let workers: Vec<(usize, Option<usize>)> = cores
        .flat_map(|(core, planned)| planned.workers.iter().map(move |worker| (core, worker.cpu)))
        .collect();
    let (domain, each) = Domain::new(
        // A plan has at most `MAX_CPUS` domains.
        index as u16,
        planned.cores.len(),
        workers.len(),
        max_spares,
        anchors.clone(),
        control.clone(),
        hooks.clone(),
    );
    let seeds = workers.into_iter().zip(each).enumerate();
    let seeds = seeds.map(|(worker, ((core, cpu), (sleeper, queue)))| Seed {
        info: WorkerInfo {
            domain: index,
            worker,
            cpu,
        },
        core,
        sleeper,
        queue: Some(queue),
        domain: domain.clone(),
    });
    let seeds = seeds.collect();
    (domain, seeds)
}

/// Gives a fresh spare a thread, on the CPU of the worker that needs it; gives it back if the system
/// refuses one.
pub(crate) fn start_spare(worker: &OnWorker, sleeper: Sleeper) -> Result<(), Sleeper> {
    let (shared, domain) = (&worker.shared, &worker.domain);
    let index = sleeper.index();
    let seed = Seed {
        info: WorkerInfo {
            worker: index,
            ..worker.info
        },
        core: worker.core,
        sleeper,
        queue: None,
        domain: domain.clone(),
    };
    domain.thread_starts();
    match start_thread(shared, seed, None) {
        Ok(thread) => lock(&shared.spare_threads).push(thread),
        Err((_, seed)) => {
            shared.thread_ended(domain);
            return Err(seed.sleeper);
        }
    }
    Ok(())
}

/// Gives the seed a thread; gives it back if the system refuses one.
fn start_thread(
    shared: &Arc<Shared>,
    seed: Seed,
    ready: Option<Sender<Infallible>>,
) -> Result<JoinHandle<()>, (std::io::Error, Seed)> {
    let shared = shared.clone();
    let name = contain(|| (shared.hooks.thread_name)(seed.info)).unwrap_or_default();
    // A NUL cannot be in a thread's name.
    let mut thread = std::thread::Builder::new().name(name.replace('\0', ""));
    if let Some(size_bytes) = shared.stack_size_bytes {
        thread = thread.stack_size(size_bytes);
    }
    // Handed over afterwards, as a spawn that fails drops what it was given.
    let (give, take) = channel();
    let run = move || {
        if let Ok(seed) = take.recv() {
            run_worker(shared, seed, ready);
        }
    };
    match thread.spawn(run) {
        Ok(thread) => {
            // The thread waits for it.
            let _ = give.send(seed);
            Ok(thread)
        }
        Err(error) => Err((error, seed)),
    }
}

/// The life of a worker's thread, or a spare's.
fn run_worker(shared: Arc<Shared>, seed: Seed, ready: Option<Sender<Infallible>>) {
    let mut info = seed.info;
    if info.cpu.is_some_and(|cpu| !pin::pin_current(cpu)) {
        shared.pin_refused(info);
        info.cpu = None;
    }
    let on = Rc::new(OnWorker::new(
        shared.clone(),
        seed.domain,
        info,
        seed.core,
        seed.sleeper.index(),
        seed.queue,
    ));
    on.note_role();
    thread::set_worker(Some(on.clone()));
    let handle = Handle {
        shared: shared.clone(),
    };
    let _entered = handle.enter();
    contain(|| (shared.hooks.thread_start)(info));
    drop(ready);
    Worker::new(on, seed.sleeper).run();
}
