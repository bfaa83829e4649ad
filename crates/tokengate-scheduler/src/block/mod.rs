//! What a worker does when a body blocks on tokens: run them, or let a spare take its place.
//!
//! Called by the token crate's waits through a hook that each worker's thread installs. Keeps: only
//! the awaited tokens run on the waiter's stack, and a domain has as many hands as before.
#![doc = include_str!("README.md")]

mod hand_over;
mod serving;
mod spares;

use tokengate_token::{Deadlock, DeadlockCause, Ran, Startable, Wait};

#[cfg(tokengate_loom)]
pub(crate) use serving::HandedOver;
pub(crate) use serving::Next;
pub(crate) use spares::{Engaged, Retired, Spares};

use crate::batch;
use crate::on_worker::OnWorker;
use crate::scheduler;
use crate::thread;

/// How many inline bodies may be on one stack.
const MAX_FRAMES: u32 = 128;

/// The hook of a worker's thread.
pub(crate) fn wait_on_worker(wait: &mut Wait<'_>) -> Result<(), Deadlock> {
    match thread::on_worker() {
        Some(worker) => worker.wait(wait),
        // The worker has ended; what is left runs no bodies.
        None => {
            wait.park();
            Ok(())
        }
    }
}

impl OnWorker {
    fn wait(&self, wait: &mut Wait<'_>) -> Result<(), Deadlock> {
        // Of a body that has exited, and whose result's destructor or waker waits here.
        self.queue_next_in_lane();
        if !wait.has_limit() {
            wait.each_startable(|token| self.run_inline(token));
            // Their calls, if a batch is open below them: the others may wait for these.
            batch::flush();
        }
        if wait.is_over() || wait.linger() {
            return Ok(());
        }
        // Others can see it meanwhile, and the last one of a cycle of such waits is refused.
        let waiting = &self.member.waiting;
        wait.announced(|wait| waiting.during(wait, |wait| self.block(wait)))
    }

    /// Parks, with a spare in this worker's place.
    fn block(&self, wait: &mut Wait<'_>) -> Result<(), Deadlock> {
        // Callers may wait for the room, however long this takes.
        self.return_credits();
        let _away = self.away();
        if self.serves.get() {
            // It takes no part, so nobody has to take its place.
            if self.domain.spares.are_closed() {
                self.end_all();
            }
            wait.park();
            return Ok(());
        }
        let engaged = match self.domain.spares.engage(&self.domain.sleepers) {
            Engaged::Done => true,
            Engaged::Start(sleeper) => match scheduler::start_spare(self, sleeper) {
                Ok(()) => true,
                Err(sleeper) => {
                    self.domain.spares.not_started(sleeper);
                    false
                }
            },
            Engaged::Exhausted => false,
            Engaged::Closed => {
                self.end_all();
                wait.park();
                return Ok(());
            }
        };
        if !engaged {
            return Err(DeadlockCause::SparesExhausted.into());
        }
        wait.park();
        self.domain.spares.disengage(&self.domain.sleepers);
        Ok(())
    }

    fn run_inline(&self, token: Startable<'_>) {
        let place = token.place();
        let here =
            place.gate == self.shared.number.get() && place.domain == Some(self.domain.index);
        let frames = self.frames.get();
        // After the stop nothing starts any more.
        if !here || frames >= MAX_FRAMES || self.shared.is_stopping() {
            return;
        }
        let view = token.view();
        if view.operation.is_blocking() {
            return;
        }
        if !self.domain.anchors.has_turn(view.bond) {
            return;
        }
        if self.present.is_controlled() && self.shared.control.holds_back(&view) {
            return;
        }
        let limit = self.domain.anchors.permits.limit(view.bond);
        if limit.is_some_and(|limit| !limit.take_in_place()) {
            return;
        }
        self.frames.set(frames + 1);
        let noted = token
            .times()
            .map(|times| self.prepare_inline(times, &token));
        let ran = self.observe(noted, || match token.run(&self.home, &self.present) {
            // Whoever comes upon its runnable counts it.
            Ran::Tombstone(_) => Ran::Elsewhere,
            ran => ran,
        });
        self.frames.set(frames);
        self.counts.count(view.operation, &ran);
        if let (Ran::Elsewhere, Some(_)) = (&ran, limit) {
            // Its runnable has, or had, a permit of its own.
            self.domain.give_back(view.operation);
        }
        // Only what is awaited runs on this stack.
        self.queue_next_in_lane();
    }

    /// Lets others run the next one of a lane, which this thread does not come to now.
    fn queue_next_in_lane(&self) {
        if let Some(next) = self.take_next_in_lane() {
            self.queue(next);
        }
    }
}
