//! A worker's side of bodies that may block: hand them over, or stand in for a spare.
//!
//! Called by the worker's loop and by blocking waits. Keeps: a thread that runs such a body counts as
//! active, except while it is blocked in a wait.

use tokengate_token::Runnable;

use super::serving::HandedOver;
use crate::domain::SHUT_DOWN;
use crate::on_worker::OnWorker;
use crate::scheduler;

/// A blocked wait of a thread at a body that may block; ends with this.
pub(super) struct Away<'a>(Option<&'a OnWorker>);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.0 {
            worker.domain.spares.come_back();
        }
    }
}

impl OnWorker {
    /// Gives the runnable back if it is to be run here; else a spare does that, or it was ended.
    #[inline]
    pub(crate) fn hand_over(&self, runnable: Runnable) -> Option<Runnable> {
        if !runnable.operation().is_blocking() || self.serves.get() {
            return Some(runnable);
        }
        self.hand_to_spare(runnable)
    }

    fn hand_to_spare(&self, runnable: Runnable) -> Option<Runnable> {
        if runnable.has_ended() && !runnable.has_started() {
            // A tombstone.
            return Some(runnable);
        }
        let spares = &self.domain.spares;
        let mut handed_over = spares.hand_over(runnable, &self.domain.sleepers);
        if let HandedOver::Start(sleeper) = handed_over {
            handed_over = match scheduler::start_spare(self, sleeper) {
                Ok(()) => HandedOver::Done,
                Err(sleeper) => spares.cannot_serve(sleeper),
            };
        }
        match handed_over {
            HandedOver::Done | HandedOver::Start(_) => None,
            HandedOver::Here(runnable) => Some(runnable),
            HandedOver::HereForNow(runnable) => {
                self.stands_in.set(true);
                Some(runnable)
            }
            HandedOver::Closed(runnable) => {
                let killed = self.domain.anchors.kill(runnable, SHUT_DOWN);
                self.shared.count_purged(killed);
                None
            }
        }
    }

    /// A body that was run here has returned.
    #[inline]
    pub(crate) fn stand_down(&self) {
        if self.stands_in.get() {
            self.stands_in.set(false);
            self.leave();
        }
    }

    /// Blocks now, in a wait; if this is at a body that may block, others come to what is queued.
    pub(super) fn away(&self) -> Away<'_> {
        let active = self.serves.get() || self.stands_in.get();
        if active {
            self.leave();
        }
        Away(active.then_some(self))
    }

    #[cold]
    fn leave(&self) {
        for runnable in self.domain.spares.leave() {
            if let Err(runnable) = self.domain.post(0, runnable) {
                self.domain.anchors.kill(runnable, SHUT_DOWN);
            }
        }
    }

    /// Looks what this spare does: it has been parked, or has just been started.
    pub(crate) fn note_role(&self) {
        if self.queue.is_none() {
            self.serves.set(self.domain.spares.serves(self.index));
        }
    }

    /// Whether this is the affair of those who take part, while this spare serves.
    pub(crate) fn is_not_served(&self, next: &Runnable) -> bool {
        self.serves.get() && !next.operation().is_blocking()
    }

    /// This spare goes idle.
    pub(crate) fn is_idle(&self) {
        self.return_credits();
        self.shared.worker_parks();
    }
}
