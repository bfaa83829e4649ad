//! What a worker's thread knows while a body runs: reachable from the calls of that body.
//!
//! Shared by the worker's loop, the submit path and blocking waits, all on the same thread. The loop
//! itself is `worker.rs`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokengate_token::{Home, Posted, Present, Ran, Runnable, Times};

use crate::clock;
use crate::config::WorkerInfo;
use crate::domain::{Domain, SHUT_DOWN};
use crate::local::LocalQueue;
use crate::shared::{Member, Shared};

/// With sampled timing the CPU time of one in so many timed tokens is measured.
const CPU_TIME_EVERY: u32 = 16;

/// A worker or spare, as its thread sees it.
pub(crate) struct OnWorker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) domain: Arc<Domain>,
    pub(crate) home: Arc<dyn Home>,
    pub(crate) info: WorkerInfo,
    /// Index of its core's mailbox in the domain.
    pub(crate) core: usize,
    /// Index of its sleeper: workers first, then spares.
    pub(crate) index: usize,
    /// None for spares.
    pub(crate) queue: Option<LocalQueue>,
    pub(crate) member: Arc<Member>,
    pub(crate) present: Present,
    /// Inline bodies on this stack.
    pub(crate) frames: Cell<u32>,
    /// This spare runs nothing but bodies that may block.
    pub(crate) serves: Cell<bool>,
    /// This thread runs such a body in place of a spare, which counts as active.
    pub(crate) stands_in: Cell<bool>,
    /// Credits of tokens taken, not yet given back.
    credits: Cell<usize>,
    until_cpu: Cell<u32>,
}

impl OnWorker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        domain: Arc<Domain>,
        info: WorkerInfo,
        core: usize,
        index: usize,
        queue: Option<LocalQueue>,
    ) -> Self {
        let present = Present::new();
        let member = shared.join(present.watcher());
        Self {
            home: domain.clone(),
            shared,
            domain,
            info,
            core,
            index,
            queue,
            member,
            present,
            frames: Cell::new(0),
            serves: Cell::new(false),
            stands_in: Cell::new(false),
            credits: Cell::new(0),
            until_cpu: Cell::new(CPU_TIME_EVERY),
        }
    }

    /// Puts a runnable of the domain into the own queue; gives it back if this is a spare.
    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) -> Result<(), Runnable> {
        match &self.queue {
            Some(queue) => self.domain.push_own(queue, runnable),
            None => return Err(runnable),
        }
        Ok(())
    }

    /// Keeps the next one of a lane until [`take_next_in_lane`](Self::take_next_in_lane).
    pub(crate) fn hand_on(&self, next: Runnable) -> Result<(), Runnable> {
        let kept = &self.member.next_in_lane;
        // No other thread puts one in.
        if !kept.is_empty() {
            return Err(next);
        }
        kept.post(next).map(|_: Posted| ())
    }

    /// The next one of the lane whose holder has just exited here.
    #[inline]
    pub(crate) fn take_next_in_lane(&self) -> Option<Runnable> {
        self.member.next_in_lane.take().pop_front()
    }

    /// Queues a runnable of the domain behind what is there.
    pub(crate) fn queue(&self, runnable: Runnable) {
        if let Err(runnable) = self.push(runnable) {
            self.home.post(runnable);
        }
    }

    /// From the mailboxes, then from siblings: one to run.
    pub(crate) fn find(&self) -> Option<Runnable> {
        match &self.queue {
            Some(queue) => {
                self.domain.drain(self.core, queue);
                let drained = queue.pop();
                drained.or_else(|| self.domain.steal(self.index, queue))
            }
            None => self.domain.take_one(self.core),
        }
    }

    /// Kills what is queued and what is suspended in the domain.
    pub(crate) fn end_all(&self) {
        self.domain.end_all(|| self.end_queued());
    }

    /// Kills all that can be found in the domain.
    pub(crate) fn end_queued(&self) {
        while let Some(runnable) = self
            .queue
            .as_ref()
            .and_then(LocalQueue::pop)
            .or_else(|| self.find())
        {
            let killed = self.domain.anchors.kill(runnable, SHUT_DOWN);
            self.shared.count_purged(killed);
        }
        self.shared.count_purged(self.domain.end_handed_over());
    }

    /// A token is taken; its credit goes back with others.
    #[inline]
    pub(crate) fn take_credit(&self) {
        self.credits.set(self.credits.get() + 1);
        if self.credits.get() >= self.shared.admission.batch() {
            self.return_credits();
        }
    }

    /// Gives back the credits of the tokens that were taken.
    pub(crate) fn return_credits(&self) {
        self.shared.admission.give(self.credits.take());
    }

    /// Counts what came of a token.
    #[inline]
    pub(crate) fn count(&self, ran: &Ran) {
        match ran {
            Ran::Completed | Ran::Late(_) => self.member.recorder.finished(false),
            Ran::Failed | Ran::Panicked => self.member.recorder.finished(true),
            _ => {}
        }
    }

    /// Sets the alarm of a token with these times, which this worker runs next.
    #[cold]
    pub(crate) fn prepare(&self, times: Times, runnable: &Runnable) -> Times {
        if runnable.has_started() {
            return times;
        }
        let prepared = self.set_alarm(times, || runnable.deadline());
        if runnable.is_async() && prepared != times {
            // For its next polls.
            runnable.set_times(prepared);
        }
        prepared
    }

    /// Calls `run`, and times it if the token is a timed one; then its alarm is done.
    #[inline]
    pub(crate) fn observe(&self, times: Option<Times>, run: impl FnOnce() -> Ran) -> Ran {
        match times {
            None => run(),
            Some(times) => self.run_noted(times, run),
        }
    }

    #[cold]
    fn run_noted(&self, times: Times, run: impl FnOnce() -> Ran) -> Ran {
        let ran = match times.submitted {
            None => run(),
            Some(submitted_ns) => self.time(submitted_ns.get(), run),
        };
        self.take_alarm_back(times, &ran);
        ran
    }

    fn time(&self, submitted_ns: u64, run: impl FnOnce() -> Ran) -> Ran {
        let cpu_before = self.is_time_for_cpu().then(clock::thread_cpu).flatten();
        let start_ns = clock::now_ns();
        let ran = run();
        let end_ns = clock::now_ns();
        let cpu = cpu_before.and_then(|before| {
            let after = clock::thread_cpu()?;
            Some(after.saturating_sub(before))
        });
        if !matches!(ran, Ran::Tombstone(_) | Ran::Elsewhere) {
            let recorder = &self.member.recorder;
            recorder.ran(Duration::from_nanos(end_ns - start_ns), cpu);
        }
        if matches!(
            ran,
            Ran::Completed | Ran::Failed | Ran::Panicked | Ran::Late(_)
        ) {
            let recorder = &self.member.recorder;
            recorder.resolved(end_ns.saturating_sub(submitted_ns));
        }
        ran
    }

    /// Whether the CPU time of this timed token is measured: a system call, some 20 times what the
    /// other clock costs.
    fn is_time_for_cpu(&self) -> bool {
        let left = self
            .until_cpu
            .get()
            .checked_sub(1)
            .unwrap_or(CPU_TIME_EVERY - 1);
        self.until_cpu.set(left);
        left == 0 || self.shared.stride == 1
    }
}
