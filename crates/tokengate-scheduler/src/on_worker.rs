//! What a worker's thread knows while a body runs: reachable from the calls of that body.
//!
//! Shared by the worker's loop, the submit path and blocking waits, all on the same thread. The loop
//! itself is `worker.rs`.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;

use tokengate_token::{Home, Posted, Present, Runnable};

use crate::config::WorkerInfo;
use crate::domain::{Domain, SHUT_DOWN};
use crate::local::LocalQueue;
use crate::shared::{Member, Shared};
use crate::stats::{CpuSampling, WorkCounts};

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
    pub(crate) counts: WorkCounts,
    /// Inline bodies on this stack.
    pub(crate) frames: Cell<u32>,
    /// This spare runs nothing but bodies that may block.
    pub(crate) serves: Cell<bool>,
    /// This thread runs such a body in place of a spare, which counts as active.
    pub(crate) stands_in: Cell<bool>,
    /// How often a lane has rested here.
    rests: Cell<usize>,
    /// Credits of tokens taken, not yet given back.
    credits: Cell<usize>,
    pub(crate) cpu_sampling: CpuSampling,
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
        let member = shared.join(present.watcher(), Some(info));
        let counts = WorkCounts::new(&domain.anchors.ledger, domain.index);
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
            counts,
            frames: Cell::new(0),
            serves: Cell::new(false),
            stands_in: Cell::new(false),
            rests: Cell::new(0),
            credits: Cell::new(0),
            cpu_sampling: CpuSampling::default(),
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

    /// Gives the runnable back if it may go on as far as lanes are concerned; else it waits in its own.
    #[inline]
    pub(crate) fn arrive(&self, runnable: Runnable) -> Option<Runnable> {
        let refused = |token: &Runnable| self.refusal(token).is_some();
        self.domain.anchors.arrive(runnable, refused)
    }

    /// Whether all that is queued in the domain is of this lane. Drains the mailbox to see that, as far as
    /// it is so.
    pub(crate) fn has_only(&self, lane: NonZeroU32) -> bool {
        let Some(queue) = &self.queue else {
            // A spare is to look whether it is one too many, or others wait for it.
            return false;
        };
        if !self.domain.is_alone() || self.domain.mailboxes.len() > 1 {
            return !self.domain.has_work();
        }
        // Not what is posted meanwhile: there may be no end of it.
        let mut left = self.domain.mailboxes[self.core].queued();
        while left > 0 && queue.is_all_of(lane) {
            match self.domain.drain(self.core, queue) {
                0 => break,
                drained => left = left.saturating_sub(drained),
            }
        }
        queue.is_all_of(lane)
    }

    /// Queues a runnable of the domain behind all that is queued for a core: for each one in its turn, as
    /// a mailbox that is looked at first must not always have something.
    pub(crate) fn post_behind(&self, runnable: Runnable) {
        let rests = self.rests.get();
        self.rests.set(rests.wrapping_add(1));
        let core = self.core.wrapping_add(rests) % self.domain.mailboxes.len();
        if let Err(runnable) = self.domain.post(core, runnable) {
            let killed = self.domain.anchors.kill(runnable, SHUT_DOWN);
            self.shared.count_purged(killed);
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
}
