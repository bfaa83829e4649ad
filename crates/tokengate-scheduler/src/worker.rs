//! A worker: a loop around `step`, on a thread pinned to one CPU of its domain.
//!
//! Takes from its own queue, the mailboxes of its domain, and its siblings, in this order; parks
//! when there is nothing. Keeps: the drain role is never held while a body runs; a worker takes
//! from its own domain only; it ends with nothing left behind.

use std::rc::Rc;
use std::sync::Arc;

use crossbeam_utils::Backoff;
use tokengate_token::{Home, Place, Ran, Runnable};

use crate::clock;
use crate::domain::{BATCH, Domain, SHUT_DOWN};
use crate::shared::Shared;
use crate::sleep::Sleeper;
use crate::thread::{self, WorkerQueue};
use crate::timing::Recorder;

/// After so many tokens a worker looks into the mailboxes though its own queue is not empty.
const LOOK_EVERY: u32 = 61;

/// With sampled timing the CPU time of one in so many timed tokens is measured.
const CPU_TIME_EVERY: u32 = 16;

/// A drain that gave fewer than this came too soon after the one before.
const PACE_BELOW: usize = BATCH / 2;

/// How many pauses a worker makes before it looks again, then: about a microsecond. Looking all the
/// time pulls the line that posters write to back and forth; see
/// `docs/decisions/0002-pace-the-drain.md`.
const PACE_PAUSES: u32 = 32;

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ran a body, or a poll of one.
    Ran,
    /// Found nothing.
    Idle,
    /// Found an async body, which needs the reactor around it.
    NeedsReactor,
    /// The scheduler stops.
    Stop,
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) domain: Arc<Domain>,
    pub(crate) home: Arc<dyn Home>,
    /// Index of its core's mailbox in the domain.
    pub(crate) core: usize,
    pub(crate) sleeper: Sleeper,
    pub(crate) queue: Rc<WorkerQueue>,
    pub(crate) recorder: Arc<Recorder>,
    /// Credits of tokens taken, not yet given back.
    credits: usize,
    until_look: u32,
    until_cpu: u32,
    /// How many the last look gave; a wake-up counts as a full batch.
    last_drained: usize,
    inside_reactor: bool,
    /// An async body that waits for the reactor.
    held: Option<Runnable>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        domain: Arc<Domain>,
        core: usize,
        sleeper: Sleeper,
        queue: Rc<WorkerQueue>,
        recorder: Arc<Recorder>,
    ) -> Self {
        Self {
            inside_reactor: shared.reactor.is_none(),
            shared,
            home: domain.clone(),
            domain,
            core,
            sleeper,
            queue,
            recorder,
            credits: 0,
            until_look: LOOK_EVERY,
            until_cpu: CPU_TIME_EVERY,
            last_drained: 0,
            held: None,
        }
    }

    /// Steps until the scheduler stops, then ends.
    pub(crate) fn run(mut self) {
        while !self.work() {
            // The reactor takes the rest of this worker's life inside.
            self.inside_reactor = true;
            if let Some(reactor) = self.shared.reactor.clone() {
                let mut stopped = false;
                reactor.run_inside(&mut || stopped = self.work());
                if stopped {
                    break;
                }
            }
        }
        self.end();
    }

    /// Steps until the scheduler stops (`true`), or until the reactor is needed.
    fn work(&mut self) -> bool {
        // First the body that asked for the reactor: what is queued behind it may never end.
        if !self.shared.is_stopping()
            && let Some(held) = self.held.take()
        {
            self.execute(held);
        }
        loop {
            match self.step() {
                Step::Ran => {}
                Step::Idle => self.sleep(),
                Step::NeedsReactor => return false,
                Step::Stop => return true,
            }
        }
    }

    #[inline]
    fn step(&mut self) -> Step {
        if self.shared.is_stopping() {
            return Step::Stop;
        }
        let Some(runnable) = self.next() else {
            return Step::Idle;
        };
        if !self.inside_reactor && runnable.is_async() {
            self.held = Some(runnable);
            return Step::NeedsReactor;
        }
        self.execute(runnable);
        Step::Ran
    }

    /// The next runnable: own queue, mailboxes, siblings.
    #[inline]
    fn next(&mut self) -> Option<Runnable> {
        self.until_look -= 1;
        if self.until_look == 0 {
            self.drain();
        }
        let own = self.queue.queue.borrow_mut().pop();
        own.or_else(|| self.look_around())
    }

    #[cold]
    fn look_around(&mut self) -> Option<Runnable> {
        if self.last_drained < PACE_BELOW {
            for _ in 0..PACE_PAUSES {
                std::hint::spin_loop();
            }
        }
        self.drain();
        if let Some(drained) = self.queue.queue.borrow_mut().pop() {
            return Some(drained);
        }
        self.steal()
    }

    /// Moves a batch from a mailbox of the domain, its own core's first, into its own queue.
    fn drain(&mut self) {
        self.until_look = LOOK_EVERY;
        let mut queue = self.queue.queue.borrow_mut();
        self.last_drained = self.domain.drain(self.core, &mut queue);
    }

    /// Takes from a sibling's queue, starting with the next one.
    fn steal(&mut self) -> Option<Runnable> {
        let mut queue = self.queue.queue.borrow_mut();
        self.domain.steal(self.sleeper.index(), &mut queue)
    }

    #[inline]
    fn execute(&mut self, runnable: Runnable) {
        let place = runnable.place();
        if place.credit {
            // Once: a body that is queued again has no credit any more.
            runnable.set_place(Place {
                credit: false,
                ..place
            });
            self.credits += 1;
            if self.credits >= self.shared.admission.batch() {
                self.return_credits();
            }
        }
        let ran = match runnable.submitted() {
            None => runnable.run(&self.home),
            Some(submitted_ns) => self.execute_timed(runnable, submitted_ns),
        };
        match ran {
            Ran::Completed => self.recorder.finished(false),
            Ran::Failed | Ran::Panicked => self.recorder.finished(true),
            Ran::Again(runnable) => self.queue.queue.borrow_mut().push(runnable),
            _ => {}
        }
    }

    #[cold]
    fn execute_timed(&mut self, runnable: Runnable, submitted_ns: u64) -> Ran {
        let cpu_before = self.is_time_for_cpu().then(clock::thread_cpu).flatten();
        let start_ns = clock::now_ns();
        let ran = runnable.run(&self.home);
        let end_ns = clock::now_ns();
        let cpu = cpu_before.and_then(|before| {
            let after = clock::thread_cpu()?;
            Some(after.saturating_sub(before))
        });
        if !matches!(ran, Ran::Tombstone) {
            let wall = std::time::Duration::from_nanos(end_ns - start_ns);
            self.recorder.ran(wall, cpu);
        }
        if matches!(ran, Ran::Completed | Ran::Failed | Ran::Panicked) {
            self.recorder.resolved(end_ns.saturating_sub(submitted_ns));
        }
        ran
    }

    /// Whether the CPU time of this timed token is measured: a system call, some 20 times what the
    /// other clock costs.
    fn is_time_for_cpu(&mut self) -> bool {
        self.until_cpu = self.until_cpu.checked_sub(1).unwrap_or(CPU_TIME_EVERY - 1);
        self.until_cpu == 0 || self.shared.stride == 1
    }

    fn return_credits(&mut self) {
        self.shared
            .admission
            .give(std::mem::take(&mut self.credits));
    }

    #[cold]
    fn sleep(&mut self) {
        self.return_credits();
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            backoff.snooze();
            if self.domain.has_work() {
                self.last_drained = BATCH;
                return;
            }
        }
        let (shared, domain) = (&self.shared, &self.domain);
        let parked = domain.sleepers.sleep(&self.sleeper, || {
            shared.worker_parks();
            domain.has_work() || shared.is_stopping()
        });
        if parked {
            self.recorder.parked();
        }
        self.last_drained = BATCH;
    }

    /// Ends everything that is left in the domain, then this worker.
    fn end(mut self) {
        self.return_credits();
        if let Some(held) = self.held.take() {
            held.kill(SHUT_DOWN);
        }
        self.end_queued();
        self.domain.kill_suspended();
        // Those come back as runnables, so that this domain drops them.
        self.end_queued();
        // From here what is posted to the domain goes to its mailboxes, and nothing to this thread.
        thread::set_worker(None);
        self.end_queued();
        self.domain.worker_ended();
    }

    fn end_queued(&mut self) {
        while let Some(runnable) = self.next() {
            runnable.kill(SHUT_DOWN);
        }
    }
}
