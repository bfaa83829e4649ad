//! Empties the queues of a gate: for a purge that does not wait for the workers.
//!
//! Called after an order was given that no such token starts. Keeps: what has started stays queued.
//! It reaches what nobody holds; what a worker has in hand the order ends.

use crossbeam_utils::Backoff;
use tokengate_token::{Keeper, Runnable};

use crate::domain::{Domain, SHUT_DOWN};
use crate::shared::Shared;

impl Shared {
    /// Ends what is queued and has not started; how many.
    pub(super) fn purge_queues(&self, reason: &str) -> usize {
        // What it has in hand, and what that lets go on, is in no queue for a moment; and no worker
        // parks after it for a drain to look again.
        self.entered();
        let mut ended = 0;
        let mut end = |runnable: Runnable| {
            let credit = runnable.place().credit;
            let permit = runnable.place().permit.then(|| runnable.operation());
            ended += usize::from(!runnable.has_ended());
            // Whoever is next in its lane came after the purge, and is posted.
            let bond = self
                .anchors
                .give_up(runnable, |it| it.kill(reason.to_owned()));
            self.exited(bond);
            self.admission.give(usize::from(credit));
            // Whoever is granted it is in a mailbox, or was ended before.
            permit
                .into_iter()
                .for_each(|operation| self.domains[0].give_back(operation));
        };
        self.anchors.take_waiting(&mut end);
        self.control
            .pauses
            .take_all()
            .into_iter()
            .for_each(&mut end);
        self.anchors.permits.take_all().for_each(&mut end);
        self.control
            .retries
            .backing_off
            .take_all()
            .for_each(&mut end);
        for domain in &self.domains {
            domain.purge_unstarted(&mut end);
        }
        self.left();
        ended
    }
}

impl Domain {
    /// Gives all that is queued and has not started to `end`; the others are queued again.
    fn purge_unstarted(&self, mut end: impl FnMut(Runnable)) {
        let mut started = Vec::new();
        let backoff = Backoff::new();
        // What is posted meanwhile need not be taken.
        let mut left = self.queued();
        while left > 0 && self.has_work() {
            let Some(runnable) = self.take_one(0) else {
                // A worker is draining, which is short: no body runs meanwhile.
                backoff.snooze();
                continue;
            };
            left -= 1;
            if runnable.has_started() {
                started.push(runnable);
            } else {
                end(runnable);
            }
        }
        let handed_over = self.spares.take_queued(|token| !token.has_started());
        handed_over.into_iter().for_each(&mut end);
        for runnable in started {
            if let Err(runnable) = self.post(0, runnable) {
                self.anchors.kill(runnable, SHUT_DOWN);
            }
        }
    }
}
