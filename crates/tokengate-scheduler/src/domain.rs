//! A core domain: its mailboxes, its workers' stealers, its suspended bodies.
//!
//! The router and the wakers post to it, its workers take from it. Keeps: a stealer is reachable
//! only through its domain, so stealing across domains cannot be written; whoever leaves something
//! that a sibling could take unparks one; a closed domain keeps no runnable. It runs nothing.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use slab::Slab;
use tokengate_token::{
    Bond, Failure, Home, Operation, Posted, Runnable, RunnableList, TaskRef, TokenView,
};

use crate::anchors::Anchors;
use crate::block::{Retired, Spares};
use crate::config::Hooks;
use crate::control::Control;
use crate::local::{LocalQueue, Stealer};
use crate::mailbox::Mailbox;
use crate::sleep::{Sleeper, Sleepers};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicBool, AtomicUsize};
use crate::sync::{Mutex, lock};
use crate::thread;

/// How many runnables a worker takes from a mailbox at a time.
///
/// Under the model checker small enough to leave something in a mailbox.
pub(crate) const BATCH: usize = if cfg!(tokengate_loom) { 3 } else { 64 };

/// Why what is left in a gate that ends is killed.
pub(crate) const SHUT_DOWN: &str = "its gate was shut down before it was done";

/// What the workers of one domain share.
pub(crate) struct Domain {
    /// From 0.
    pub(crate) index: u16,
    /// One for each core.
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) sleepers: Sleepers,
    pub(crate) spares: Spares,
    /// One for each worker.
    stealers: Box<[Stealer]>,
    /// The async bodies that have been suspended and are not gone.
    seats: Mutex<Slab<TaskRef>>,
    /// Workers and spares that have not ended; the last one closes the domain.
    live_threads: AtomicUsize,
    /// The last of them has ended.
    ended: AtomicBool,
    pub(crate) unparks: CachePadded<AtomicUsize>,
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) control: Arc<Control>,
    hooks: Arc<Hooks>,
}

impl Domain {
    /// Makes the domain with a sleeper and a queue for each of its workers.
    pub(crate) fn new(
        index: u16,
        cores: usize,
        workers: usize,
        max_spares: usize,
        anchors: Arc<Anchors>,
        control: Arc<Control>,
        hooks: Arc<Hooks>,
    ) -> (Arc<Self>, Vec<(Sleeper, LocalQueue)>) {
        let (sleepers, mut sleeper_of_each) = Sleepers::new(workers + max_spares);
        let fresh = sleeper_of_each.split_off(workers);
        let (queues, stealers): (Vec<_>, Vec<_>) = (0..workers).map(|_| LocalQueue::new()).unzip();
        let domain = Self {
            index,
            mailboxes: (0..cores).map(|_| Mailbox::new()).collect(),
            sleepers,
            spares: Spares::new(fresh),
            stealers: stealers.into(),
            seats: Mutex::new(Slab::new()),
            live_threads: AtomicUsize::new(workers),
            ended: AtomicBool::new(false),
            unparks: CachePadded::new(AtomicUsize::new(0)),
            anchors,
            control,
            hooks,
        };
        let each = sleeper_of_each.into_iter().zip(queues).collect();
        (Arc::new(domain), each)
    }

    /// Posts to the mailbox of a core; gives the runnable back if the domain is closed.
    #[inline]
    pub(crate) fn post(&self, core: usize, runnable: Runnable) -> Result<(), Runnable> {
        if self.mailboxes[core].post(runnable)? == Posted::Edge {
            self.unpark_one();
        }
        Ok(())
    }

    /// Posts a list, newest at the front; gives it back if the domain is closed.
    pub(crate) fn post_list(&self, core: usize, list: RunnableList) -> Result<(), RunnableList> {
        if self.mailboxes[core].post_list(list)? == Posted::Edge {
            self.unpark_one();
        }
        Ok(())
    }

    /// Moves a batch from a mailbox into a worker's queue; how many. The core with index `first`
    /// comes first.
    pub(crate) fn drain(&self, first: usize, queue: &LocalQueue) -> usize {
        self.drain_into(first, BATCH, |runnable| queue.push(runnable))
    }

    /// Takes one to run, from the mailboxes or from a worker's queue: for those without a queue.
    pub(crate) fn take_one(&self, first: usize) -> Option<Runnable> {
        let mut one = None;
        self.drain_into(first, 1, |runnable| one = Some(runnable));
        one.or_else(|| self.steal_one())
    }

    /// Takes one to run from a worker's queue: for those without a queue.
    pub(crate) fn steal_one(&self) -> Option<Runnable> {
        self.stealers.iter().find_map(|worker| {
            let stolen = worker.steal_one()?;
            if !worker.is_empty() {
                self.unpark_one();
            }
            Some(stolen)
        })
    }

    fn drain_into(&self, first: usize, limit: usize, mut take: impl FnMut(Runnable)) -> usize {
        for turn in 0..self.mailboxes.len() {
            let mailbox = &self.mailboxes[(first + turn) % self.mailboxes.len()];
            let taken = mailbox.drain(limit, &mut take);
            if taken > 0 {
                // Siblings: there is more than this worker runs next, in its queue or, after a
                // full batch, in the mailbox.
                if !self.is_alone() && (taken > 1 || limit == 1) {
                    self.unpark_one();
                }
                return taken;
            }
        }
        0
    }

    /// Takes from the queue of a sibling of worker `me`, the next one first: one to run, and some
    /// for its own queue.
    pub(crate) fn steal(&self, me: usize, queue: &LocalQueue) -> Option<Runnable> {
        for turn in 1..self.stealers.len() {
            let sibling = &self.stealers[(me + turn) % self.stealers.len()];
            if let Some(runnable) = queue.steal_from(sibling) {
                if !queue.is_empty() || !sibling.is_empty() {
                    self.unpark_one();
                }
                return Some(runnable);
            }
        }
        None
    }

    /// Puts a runnable into the queue of a worker, on that worker.
    #[inline]
    pub(crate) fn push_own(&self, queue: &LocalQueue, runnable: Runnable) {
        queue.push(runnable);
        // Not at the edge only: a thief may take what was there at the same moment, and the sibling
        // that it left nothing to parks.
        if !self.is_alone() {
            self.unpark_one();
        }
    }

    /// Whether no thread but one can take part: there is one worker, and no spare is engaged.
    ///
    /// Only a thread of the domain that blocks engages a spare, so for the one that asks the answer
    /// cannot become wrong while it goes on.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.stealers.len() == 1 && self.spares.engaged() == 0
    }

    /// Unparks a worker after something was made visible to it.
    #[inline]
    pub(crate) fn unpark_one(&self) {
        if self.sleepers.unpark_one() {
            self.unparks.fetch_add(1, Relaxed);
        }
    }

    /// Makes a spare idle, if there is one too many, until it is engaged again or the scheduler
    /// stops; whether it was. Calls `idle` before it parks: it may have been the last one awake.
    pub(crate) fn retire(&self, spare: &Sleeper, idle: impl FnOnce()) -> bool {
        let retired = self.spares.retire(spare.index());
        if matches!(retired, Retired::No) {
            return false;
        }
        // A post may have unparked this spare: somebody else has to see to it.
        if self.has_work() {
            self.unpark_one();
        }
        if matches!(retired, Retired::Idle) {
            idle();
            spare.park();
        }
        true
    }

    /// Whether a worker that looks around would find something. Fence before, to miss nothing.
    pub(crate) fn has_work(&self) -> bool {
        self.mailboxes.iter().any(|mailbox| !mailbox.is_empty())
            || self.stealers.iter().any(|sibling| !sibling.is_empty())
    }

    /// Whether its mailboxes are empty and a worker is parked: then it may be lent.
    pub(crate) fn is_idle(&self) -> bool {
        self.sleepers.count() > 0 && self.mailboxes.iter().all(Mailbox::is_empty)
    }

    /// About how many runnables are before the next one: those in its mailboxes and lanes, and one if no
    /// worker is parked, for what they run.
    pub(crate) fn load(&self) -> usize {
        let queued = self.mailboxes.iter().map(Mailbox::queued).sum::<usize>();
        queued + self.waiting_in_lanes() + usize::from(self.sleepers.count() == 0)
    }

    /// As [`load`](Self::load), with what is in its workers' queues: costs a line that each of them writes.
    pub(crate) fn work(&self) -> usize {
        let in_queues = self.stealers.iter().map(Stealer::len).sum::<usize>();
        self.load() + in_queues
    }

    /// About how many of its tokens wait in lanes.
    pub(crate) fn waiting_in_lanes(&self) -> usize {
        self.anchors.backlogs.of(self.index)
    }

    /// About how many are in its mailboxes and in its workers' queues.
    pub(crate) fn queued(&self) -> usize {
        let in_mailboxes = self.mailboxes.iter().map(Mailbox::queued);
        let in_queues = self.stealers.iter().map(Stealer::len);
        in_mailboxes.chain(in_queues).sum()
    }

    /// How many were ever posted to it.
    fn posted(&self) -> usize {
        self.mailboxes.iter().map(Mailbox::posted).sum()
    }

    /// Whether nothing is queued, running or suspended, as far as can be seen.
    fn is_quiet(&self) -> bool {
        // In this order: what its workers did before they parked is seen then.
        self.spares.all_sleep(self.stealers.len(), &self.sleepers)
            && !self.has_work()
            && lock(&self.seats).is_empty()
    }

    /// Ends every suspended body: their runnables come to the mailbox, to be dropped.
    ///
    /// Not those that are polled at the moment: whoever polls them after the stop calls this then.
    pub(crate) fn kill_suspended(&self) {
        // Outside of the lock: a kill wakes the caller, which is user code.
        let tasks: Vec<TaskRef> = lock(&self.seats)
            .iter()
            .map(|(_, task)| task.clone())
            .collect();
        for task in tasks {
            task.kill_suspended(SHUT_DOWN);
        }
    }

    /// Ends the chosen ones of those that were ever suspended and are not gone; how many.
    pub(crate) fn kill_suspended_if(
        &self,
        choose: impl Fn(&TokenView) -> bool,
        reason: impl Fn() -> String,
    ) -> usize {
        // Outside of the lock: a kill wakes the caller, which is user code.
        let tasks: Vec<TaskRef> = lock(&self.seats)
            .iter()
            .map(|(_, task)| task)
            .filter(|task| choose(&task.view()))
            .cloned()
            .collect();
        let killed = tasks.into_iter().map(|task| task.kill(reason()));
        killed.filter(|&killed| killed).count()
    }

    /// Calls `look` with each body that was ever suspended and is not gone; for some at a time
    /// nothing else can be suspended or go.
    pub(crate) fn each_seated(&self, mut look: impl FnMut(&TokenView)) {
        const AT_A_TIME: usize = 256;
        let mut first = 0;
        loop {
            let seats = lock(&self.seats);
            if first >= seats.capacity() {
                return;
            }
            let some = first..first + AT_A_TIME;
            let tasks = some.filter_map(|seat| seats.get(seat));
            tasks.for_each(|task| look(&task.view()));
            first += AT_A_TIME;
        }
    }

    /// Ends what is suspended and what `end_queued` finds, for a thread that polls nothing any more.
    pub(crate) fn end_all(&self, mut end_queued: impl FnMut()) {
        end_queued();
        self.kill_suspended();
        // Those come back as runnables, so that this domain drops them.
        end_queued();
    }

    /// Ends what is suspended and what is queued, from outside; how many were queued.
    pub(crate) fn purge(&self) -> usize {
        self.kill_suspended();
        let mut killed = 0;
        while let Some(runnable) = self.take_one(0) {
            killed += self.anchors.kill(runnable, SHUT_DOWN);
        }
        killed + self.end_handed_over()
    }

    /// Ends what was handed over to spares and is queued, for a scheduler that stops; how many.
    pub(crate) fn end_handed_over(&self) -> usize {
        let queued = self.spares.take_queued(|_| true).into_iter();
        queued
            .map(|runnable| self.anchors.kill(runnable, SHUT_DOWN))
            .sum()
    }

    /// A spare gets a thread. Called by a thread of the domain, so it is not the first.
    pub(crate) fn thread_starts(&self) {
        // Relaxed: ordered by the caller's own end.
        self.live_threads.fetch_add(1, Relaxed);
    }

    /// A thread has ended, or was not started; the last one closes the domain and ends what is left in it.
    pub(crate) fn thread_ended(&self) {
        // AcqRel: the last one sees what the others left.
        if self.live_threads.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        self.close();
        self.ended.store(true, Release);
    }

    /// Whether its last thread has ended. Acquire: with all that they did.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Refuses what is posted from now on, and ends what is left.
    pub(crate) fn close(&self) {
        for mut rest in self.mailboxes.iter().flat_map(Mailbox::close) {
            while let Some(runnable) = rest.pop_front() {
                self.anchors.kill(runnable, SHUT_DOWN);
            }
        }
        // What is still suspended can be posted no more: its kill drops it here.
        self.kill_suspended();
    }
}

/// Whether nothing is left to do in any of them: seen twice, with nothing posted in between.
pub(crate) fn all_quiet(domains: &[Arc<Domain>]) -> bool {
    let posted = || domains.iter().map(|domain| domain.posted()).sum::<usize>();
    let before = posted();
    let quiet = || domains.iter().all(|domain| domain.is_quiet());
    quiet() && quiet() && posted() == before
}

impl Domain {
    /// Lets the one whose turn it is in a lane go on: after the present body, if this is a worker.
    pub(crate) fn hand_on(&self, next: Runnable) {
        if let Err(next) = thread::hand_on(self, next) {
            Home::post(self, next);
        }
    }

    /// Gives back the permit of a token of this operation that was not run; whoever has waited longest
    /// for one goes on.
    pub(crate) fn give_back(&self, operation: &Operation) {
        let limit = self.anchors.permits.number(operation);
        limit.into_iter().for_each(|limit| self.release(limit));
    }

    fn release(&self, limit: NonZeroU16) {
        for refused in self.anchors.permits.release(limit) {
            self.anchors.kill(refused, SHUT_DOWN);
        }
    }
}

impl Home for Domain {
    fn post(&self, runnable: Runnable) {
        let Err(runnable) = thread::push_local(self, runnable) else {
            return;
        };
        let core = runnable.id().get() as usize % self.mailboxes.len();
        if let Err(runnable) = Domain::post(self, core, runnable) {
            self.anchors.kill(runnable, SHUT_DOWN);
        }
    }

    fn refuses(&self, token: &TokenView, started: bool) -> Option<Cow<'static, str>> {
        self.control.refuses(token, started, &self.anchors.chains)
    }

    fn attempted(&self, operation: &'static Operation, attempt: u32, again: bool) -> bool {
        let retries = &self.control.retries;
        retries.attempted(operation, attempt, again)
    }

    fn ended_between_attempts(&self, token: &TokenView) {
        self.stop_backing_off(token.id);
    }

    fn exited(&self, _: &'static Operation, bond: Bond) {
        // It has started: so it held a permit.
        bond.limit.into_iter().for_each(|limit| self.release(limit));
        let over = self.anchors.exit(bond);
        // Its runnable was in hand, or it was its turn, and so its runnable does not wait.
        debug_assert!(over.tombstone.is_none());
        over.next.into_iter().for_each(|it| self.hand_on(it));
    }

    fn seat(&self, task: TaskRef) -> usize {
        lock(&self.seats).insert(task)
    }

    fn leave(&self, seat: usize) {
        let task = lock(&self.seats).remove(seat);
        // Outside of the lock: it may be the last reference, which frees the cell.
        drop(task);
    }

    fn unobserved(&self, failure: &Failure) {
        (self.hooks.unobserved)(failure);
    }
}
