//! What all handles, workers and batches of one scheduler share.
//!
//! Made by `Scheduler::start`, kept alive by whoever can still post to it. Holds the parts and the
//! life cycle; each part has its own file.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event_listener::{Event, Listener, listener};
use tokengate_token::{GateNumber, Inbox, Place, RejectCause, RunnableList, Watcher};

use crate::admission::Admission;
use crate::anchors::Anchors;
use crate::config::{Config, Full, Hooks, Reactor, WorkerInfo};
use crate::contain::contain;
use crate::control::Control;
use crate::deadlines::{Alarms, TimeLimits};
use crate::domain::{Domain, all_quiet};
use crate::outsiders::Outsiders;
use crate::router::{Position, Router};
use crate::sampling;
use crate::shutdown::{DrainReport, OpenBatches};
use crate::stats::{Recent, Tracking, Waiting, WorkTimes};
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
    /// Unique among those that live.
    pub(crate) number: GateNumber,
    pub(crate) domains: Box<[Arc<Domain>]>,
    /// Each core of all domains.
    positions: Box<[Position]>,
    pub(crate) router: Router,
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) control: Arc<Control>,
    pub(crate) admission: Admission,
    pub(crate) full: Full,
    pub(crate) default_limits: TimeLimits,
    /// Each token has something rare: limits, a companion, or it is tracked. One look for all of them.
    pub(crate) equips_all: bool,
    pub(crate) tracking: Option<Tracking>,
    pub(crate) alarms: Alarms,
    pub(crate) stride: u32,
    /// How many of the last executions are kept.
    pub(crate) recent: usize,
    /// From when on a wait is named.
    pub(crate) old_wait: Duration,
    /// See [`sampling::step`].
    pub(crate) sample_step: u64,
    /// One for each worker and spare that was ever started.
    members: Mutex<Vec<Arc<Member>>>,
    /// There are orders that members must ask for; changed with the members locked.
    controlled: AtomicBool,
    /// Spares' threads, to be waited for at the end.
    pub(crate) spare_threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) stack_size_bytes: Option<usize>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) reactor: Option<Arc<dyn Reactor>>,
    pub(crate) started: Instant,
    /// Changed only by threads that start.
    pub(crate) plan: Mutex<Plan>,
    lifecycle: AtomicU8,
    /// Tokens killed at the end before they started.
    purged: AtomicUsize,
    /// How many calls each open batch holds.
    open_batches: Mutex<Vec<Weak<AtomicUsize>>>,
    /// Those who end tokens of it from outside.
    pub(crate) outsiders: Outsiders,
    /// Notified when a thread ends, when a worker parks while draining, when an outsider leaves, and
    /// when deferred calls were published.
    progress: Event,
}

/// What others see of a worker's thread.
pub(crate) struct Member {
    pub(crate) thread_name: String,
    /// None for the timer's thread.
    pub(crate) worker: Option<WorkerInfo>,
    /// Written by the thread, as `parks`, read by anybody.
    pub(crate) times: WorkTimes,
    pub(crate) recent: Recent,
    pub(crate) waiting: Waiting,
    parks: AtomicU64,
    pub(crate) watcher: Watcher,
    /// The next one of the lane whose holder has just exited on this thread: one at most. Put in
    /// and taken by the thread; taken by a purge too, as a destructor or waker may hold the thread.
    pub(crate) next_in_lane: Inbox,
    ended: AtomicBool,
}

impl Member {
    /// Its thread has done all that it will.
    pub(crate) fn end(&self) {
        // Relaxed, and the read: a figure for a report.
        self.ended.store(true, Relaxed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Its thread has parked. Relaxed, and the read: a figure.
    pub(crate) fn parked(&self) {
        self.parks.fetch_add(1, Relaxed);
    }

    pub(crate) fn parks(&self) -> u64 {
        self.parks.load(Relaxed)
    }
}

impl Shared {
    pub(crate) fn new(
        config: &Config,
        number: GateNumber,
        plan: Plan,
        domains: Vec<Arc<Domain>>,
        anchors: Arc<Anchors>,
        control: Arc<Control>,
        hooks: Arc<Hooks>,
    ) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let cores = domains.iter().enumerate().flat_map(|(domain, shared)| {
            (0..shared.mailboxes.len()).map(move |core| (domain, core))
        });
        let positions = cores.enumerate();
        let positions = positions.map(|(flat, (domain, core))| Position::new(domain, core, flat));
        let capacity = config
            .capacity
            .unwrap_or(crate::config::CAPACITY_PER_DOMAIN * domains.len());
        let default_limits = TimeLimits::new(config.default_ttl, config.default_timeout);
        Self {
            // Relaxed: only uniqueness is asked for.
            id: IDS.fetch_add(1, Relaxed),
            number,
            positions: positions.collect(),
            router: Router::new(&plan),
            anchors,
            control,
            admission: Admission::new(capacity),
            full: config.full,
            default_limits,
            equips_all: !default_limits.is_none()
                || config.tracking
                || config.hooks.companion.is_some(),
            tracking: config.tracking.then(Tracking::default),
            alarms: Alarms::new(plan.machine()),
            stride: config.timing.stride(),
            recent: config.recent.0,
            old_wait: config.old_wait.0,
            sample_step: sampling::step(config.timing.stride()),
            members: Mutex::default(),
            controlled: AtomicBool::new(false),
            spare_threads: Mutex::default(),
            stack_size_bytes: config.thread_stack_size_bytes,
            hooks,
            reactor: config.reactor.clone(),
            started: Instant::now(),
            plan: Mutex::new(plan),
            lifecycle: AtomicU8::new(RUNNING),
            purged: AtomicUsize::new(0),
            open_batches: Mutex::default(),
            outsiders: Outsiders::default(),
            progress: Event::new(),
            domains: domains.into(),
        }
    }

    /// The present thread becomes a member: a worker or spare.
    pub(crate) fn join(&self, watcher: Watcher, worker: Option<WorkerInfo>) -> Arc<Member> {
        let member = Arc::new(Member {
            thread_name: thread::current().name().unwrap_or_default().to_owned(),
            worker,
            times: WorkTimes::default(),
            recent: Recent::new(self.recent),
            waiting: Waiting::default(),
            parks: AtomicU64::new(0),
            watcher,
            next_in_lane: Inbox::new(),
            ended: AtomicBool::new(false),
        });
        let mut members = lock(&self.members);
        member.watcher.control(self.controlled.load(Relaxed));
        members.push(member.clone());
        member
    }

    /// The system does not pin the present thread, which is this worker or spare.
    pub(crate) fn pin_refused(&self, info: WorkerInfo) {
        let reason = "the system refused to pin the thread to this CPU";
        lock(&self.plan).pin_refused(info.domain, info.worker, reason);
        contain(|| (self.hooks.pin_refused)(info));
    }

    /// Has all members, and those to come, ask for orders; gives them.
    pub(crate) fn control_members(&self) -> Vec<Arc<Member>> {
        let members = lock(&self.members);
        // Relaxed, and in `join`: under the lock.
        self.controlled.store(true, Relaxed);
        members
            .iter()
            .for_each(|member| member.watcher.control(true));
        members.clone()
    }

    /// Has the members not ask any more, if there is nothing to ask for.
    pub(crate) fn stop_controlling(&self) {
        let members = lock(&self.members);
        // Under the lock: who gives an order after this look controls the members after it too.
        if self.control.is_idle() {
            self.controlled.store(false, Relaxed);
            members
                .iter()
                .for_each(|member| member.watcher.control(false));
        }
    }

    /// All workers and spares that were ever started.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.members).clone()
    }

    pub(crate) fn core_count(&self) -> usize {
        self.positions.len()
    }

    /// The core with this index among those of all domains.
    #[inline]
    pub(crate) fn position(&self, flat: usize) -> Position {
        self.positions[flat]
    }

    /// The cores of a domain.
    #[inline]
    pub(crate) fn cores_of(&self, domain: usize) -> &[Position] {
        let is_before = |position: &Position| usize::from(position.domain) < domain;
        let first = self.positions.partition_point(is_before);
        &self.positions[first..][..self.domains[domain].mailboxes.len()]
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
        let position = self.positions[core];
        let domain = &self.domains[usize::from(position.domain)];
        if let Err(mut list) = domain.post_list(usize::from(position.core), list) {
            while let Some(runnable) = list.pop_front() {
                self.anchors.reject(runnable, &RejectCause::ShutDown);
            }
        }
    }

    /// Called by a worker that announces its sleep, and by a spare that has gone idle.
    pub(crate) fn worker_parks(&self) {
        if self.lifecycle.load(Acquire) == DRAINING {
            self.progress.notify(usize::MAX);
        }
    }

    /// Refuses new roots, and waits until nothing is queued, running or suspended, at most until
    /// the deadline.
    pub(crate) fn drain(&self, deadline: Option<Instant>, batches: OpenBatches) -> DrainReport {
        // Release pairs with the Acquire in `worker_parks`; a worker that parked before that is
        // seen by the first look below.
        let _ = self
            .lifecycle
            .compare_exchange(RUNNING, DRAINING, AcqRel, Relaxed);
        self.admission.wake_all();
        loop {
            listener!(self.progress => listener);
            // Before and after: what goes on meanwhile is in one of the counts, or not quiet.
            let paused = self.control.pauses.len();
            let outsiders = self.outsiders.none_inside();
            // What is deferred comes to a worker, which parks after it.
            let published = batches == OpenBatches::Left || self.unpublished() == 0;
            let backing_off = &self.control.retries.backing_off;
            let look = backing_off.look();
            let quiet = published
                && outsiders.is_some()
                && look.is_empty()
                && self.anchors.permits.is_idle()
                && all_quiet(&self.domains)
                && self.control.pauses.len() == paused
                && backing_off.look() == look
                && self.outsiders.none_inside() == outsiders;
            if quiet || self.is_stopping() || !wait_until(listener, deadline) {
                return DrainReport {
                    finished: quiet,
                    paused,
                };
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
            domain.spares.close(&domain.sleepers);
        }
    }
}

impl Shared {
    /// Tokens are killed at the end before they started.
    pub(crate) fn count_purged(&self, tokens: usize) {
        // Relaxed, both: read when the threads have ended, or as a figure.
        self.purged.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn purged(&self) -> usize {
        self.purged.load(Relaxed)
    }

    /// The counter of a batch that opens; dropping it closes the batch.
    pub(crate) fn batch_opened(&self) -> Arc<AtomicUsize> {
        let deferred = Arc::new(AtomicUsize::new(0));
        let mut open = lock(&self.open_batches);
        open.retain(|batch| batch.strong_count() > 0);
        open.push(Arc::downgrade(&deferred));
        deferred
    }

    /// How many calls wait in open batches, about.
    pub(crate) fn unpublished(&self) -> usize {
        let open = lock(&self.open_batches);
        let open = open.iter().filter_map(Weak::upgrade);
        // Acquire: pairs with the Release of a publication.
        open.map(|deferred| deferred.load(Acquire)).sum()
    }

    /// A thread of this domain has ended, or was not started.
    pub(crate) fn thread_ended(&self, domain: &Domain) {
        domain.thread_ended();
        if self.domains.iter().all(|domain| domain.has_ended()) {
            self.alarms.close();
        }
        self.note_progress();
    }

    /// A thread has ended, an outsider has left, or deferred calls were published. Whoever waits for
    /// that looks again.
    pub(crate) fn note_progress(&self) {
        self.progress.notify(usize::MAX);
    }

    /// Waits until no outsider is at an exit, at most until then.
    pub(crate) fn wait_for_exits(&self, deadline: Instant) {
        loop {
            listener!(self.progress => listener);
            if self.outsiders.none_exiting() || !wait_until(listener, Some(deadline)) {
                return;
            }
        }
    }

    /// Waits until all threads have ended, at most until then; whether they have.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        loop {
            listener!(self.progress => listener);
            let domains_ended = self.domains.iter().all(|domain| domain.has_ended());
            if domains_ended && self.alarms.has_ended() {
                return true;
            }
            if !wait_until(listener, Some(deadline)) {
                return false;
            }
        }
    }
}

/// Locks what the model checker does not see. Nothing panics under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
