//! What all handles, workers and batches of one scheduler share.
//!
//! Made by `Scheduler::start`, kept alive by whoever can still post to it. Holds the parts and the
//! life cycle; each part has its own file.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_listener::{Event, Listener, listener};
use tokengate_token::{Place, RejectCause, RunnableList};

use crate::admission::Admission;
use crate::config::{Config, Full, Hooks, Reactor};
use crate::domain::{Domain, all_quiet};
use crate::router::Router;
use crate::timing::Recorder;
use crate::topology::Plan;

/// Takes calls.
const RUNNING: u8 = 0;
/// Refuses roots, takes children, lets everything finish.
const DRAINING: u8 = 1;
/// Refuses everything; workers end what is left, and themselves.
const STOPPING: u8 = 2;

pub(crate) struct Shared {
    /// Unique in the process.
    pub(crate) id: u64,
    pub(crate) domains: Box<[Arc<Domain>]>,
    /// The domain and the core in it, of each core of all domains.
    cores: Box<[(usize, usize)]>,
    pub(crate) router: Router,
    pub(crate) admission: Admission,
    pub(crate) full: Full,
    pub(crate) stride: u32,
    /// One for each worker.
    pub(crate) recorders: Box<[Arc<Recorder>]>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) reactor: Option<Arc<dyn Reactor>>,
    pub(crate) started: Instant,
    /// Changed only while the threads start.
    pub(crate) plan: Mutex<Plan>,
    lifecycle: AtomicU8,
    /// Notified when a worker parks while draining.
    progress: Event,
}

impl Shared {
    pub(crate) fn new(
        config: &Config,
        plan: Plan,
        domains: Vec<Arc<Domain>>,
        hooks: Arc<Hooks>,
    ) -> Self {
        static IDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let cores = domains.iter().enumerate().flat_map(|(domain, shared)| {
            (0..shared.mailboxes.len()).map(move |core| (domain, core))
        });
        let capacity = config
            .capacity
            .unwrap_or(crate::config::CAPACITY_PER_DOMAIN * domains.len());
        let workers = plan.worker_count();
        Self {
            // Relaxed: only uniqueness is asked for.
            id: IDS.fetch_add(1, Relaxed),
            cores: cores.collect(),
            router: Router::new(&plan),
            admission: Admission::new(capacity),
            full: config.full,
            stride: config.timing.stride(),
            recorders: (0..workers).map(|_| Arc::default()).collect(),
            hooks,
            reactor: config.reactor.clone(),
            started: Instant::now(),
            plan: Mutex::new(plan),
            lifecycle: AtomicU8::new(RUNNING),
            progress: Event::new(),
            domains: domains.into(),
        }
    }

    pub(crate) fn core_count(&self) -> usize {
        self.cores.len()
    }

    /// Whether a root call is refused. Relaxed, as all reads of the life cycle on the path: a call
    /// that comes too late finds its mailbox closed.
    #[inline]
    pub(crate) fn refuses_roots(&self) -> bool {
        self.lifecycle.load(Relaxed) != RUNNING
    }

    /// Whether workers end what is left.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.lifecycle.load(Relaxed) == STOPPING
    }

    /// Publishes a list, newest at the front, to a core; rejects it if that is closed.
    pub(crate) fn publish_list(&self, core: usize, list: RunnableList) {
        // Before the post: after it they are the workers'.
        list.for_each(|runnable| {
            runnable.set_place(Place {
                published: true,
                ..runnable.place()
            });
        });
        let (domain, core) = self.cores[core];
        if let Err(mut list) = self.domains[domain].post_list(core, list) {
            while let Some(runnable) = list.pop_front() {
                runnable.reject(RejectCause::ShutDown);
            }
        }
    }

    /// Called by a worker that announces its sleep.
    pub(crate) fn worker_parks(&self) {
        if self.lifecycle.load(Acquire) == DRAINING {
            self.progress.notify(usize::MAX);
        }
    }

    /// Refuses new roots, and waits until nothing is queued, running or suspended, at most until
    /// the deadline; whether that came to be.
    pub(crate) fn drain(&self, deadline: Option<Instant>) -> bool {
        // Release pairs with the Acquire in `worker_parks`; a worker that parked before that is
        // seen by the first look below.
        let _ = self
            .lifecycle
            .compare_exchange(RUNNING, DRAINING, AcqRel, Relaxed);
        self.admission.wake_all();
        loop {
            listener!(self.progress => listener);
            if all_quiet(&self.domains) {
                return true;
            }
            if self.is_stopping() || !wait_until(listener, deadline) {
                return false;
            }
        }
    }

    /// Makes the workers end what is left, and themselves.
    pub(crate) fn stop(&self) {
        self.lifecycle.store(STOPPING, Release);
        self.admission.wake_all();
        self.progress.notify(usize::MAX);
        for domain in &self.domains {
            domain.sleepers.unpark_all();
        }
    }
}

/// Waits for a notification; `false` if the deadline passed first.
fn wait_until(listener: impl Listener, deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        listener.wait();
        return true;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    left > Duration::ZERO && listener.wait_timeout(left).is_some()
}
