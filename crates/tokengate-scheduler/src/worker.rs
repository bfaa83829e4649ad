//! A worker: a loop around `step`, on a thread pinned to one CPU of its domain.
//!
//! Takes from its own queue, the mailboxes of its domain, and its siblings, in this order; parks
//! when there is nothing. Keeps: the drain role is never held while a body runs; a worker takes
//! from its own domain only; it ends with nothing left behind.

use std::num::NonZeroU32;
use std::rc::Rc;

use crossbeam_utils::Backoff;
use tokengate_token::{Operation, Outcome, Ran, Runnable};

use crate::block::Next;
use crate::contain::contain;
use crate::domain::{BATCH, SHUT_DOWN};
use crate::on_worker::OnWorker;
use crate::permits;
use crate::retry;
use crate::sleep::Sleeper;
use crate::thread;

/// After so many tokens a worker looks into the mailboxes though its own queue is not empty, and a
/// spare into the queues of the workers.
const LOOK_EVERY: u32 = 61;

/// A drain that gave fewer than this came too soon after the one before.
const PACE_BELOW: usize = BATCH / 2;

/// How many tokens of one lane run in a row before what else is queued in the domain goes on.
const LANE_RUN: u32 = 16;

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
    /// Was an idle spare: the scheduler may stop by now.
    WasIdle,
    /// Found an async body, which needs the reactor around it.
    NeedsReactor,
    /// The scheduler stops.
    Stop,
}

pub(crate) struct Worker {
    on: Rc<OnWorker>,
    sleeper: Sleeper,
    until_look: u32,
    /// How many the last look gave; a wake-up counts as a full batch.
    last_drained: usize,
    /// The entry of the lane that the last token was of, if it was of one.
    lane: Option<NonZeroU32>,
    /// How many of that lane have run in a row.
    lane_run: u32,
    inside_reactor: bool,
    /// An async body that waits for the reactor.
    held: Option<Runnable>,
}

impl Worker {
    pub(crate) fn new(on: Rc<OnWorker>, sleeper: Sleeper) -> Self {
        Self {
            inside_reactor: on.shared.reactor.is_none(),
            on,
            sleeper,
            until_look: LOOK_EVERY,
            last_drained: 0,
            lane: None,
            lane_run: 0,
            held: None,
        }
    }

    /// Steps until the scheduler stops, then ends.
    pub(crate) fn run(mut self) {
        while !self.work() {
            // The reactor takes the rest of this worker's life inside.
            self.inside_reactor = true;
            if let Some(reactor) = self.on.shared.reactor.clone() {
                let mut stopped = false;
                // A panic of its own leaves this worker outside of it, and at work.
                contain(|| reactor.run_inside(&mut || stopped = self.work()));
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
        if !self.on.shared.is_stopping()
            && let Some(held) = self.held.take()
        {
            self.execute(held);
        }
        loop {
            match self.step() {
                Step::Ran | Step::WasIdle => {}
                Step::Idle => self.sleep(),
                Step::NeedsReactor => return false,
                Step::Stop => return true,
            }
        }
    }

    #[inline]
    fn step(&mut self) -> Step {
        if self.on.shared.is_stopping() {
            return Step::Stop;
        }
        if self.on.queue.is_none() {
            if self.on.serves.get() {
                return self.serve();
            }
            if self.on.domain.spares.has_retirement() && self.retire() {
                return Step::WasIdle;
            }
        }
        let Some(runnable) = self.next() else {
            return Step::Idle;
        };
        self.run_inside(runnable)
    }

    /// The step of a spare that serves.
    #[cold]
    fn serve(&mut self) -> Step {
        match self.on.domain.spares.next_served(self.sleeper.index()) {
            Next::Run(runnable) => self.run_inside(runnable),
            Next::Idle => {
                self.on.is_idle();
                self.sleeper.park();
                self.on.note_role();
                Step::WasIdle
            }
            // The next step sees it.
            Next::Closed => Step::WasIdle,
        }
    }

    #[inline]
    fn run_inside(&mut self, runnable: Runnable) -> Step {
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
            return self.look_elsewhere();
        }
        match &self.on.queue {
            Some(queue) => queue.pop().or_else(|| self.look_around()),
            None => self.on.find(),
        }
    }

    /// As [`next`](Self::next), for once not from where it always looks first: bodies that yield could
    /// fill that for ever. For a worker this is its own queue, for a spare the mailboxes.
    #[cold]
    fn look_elsewhere(&mut self) -> Option<Runnable> {
        self.until_look = LOOK_EVERY;
        match &self.on.queue {
            Some(queue) => {
                self.on.domain.drain(self.on.core, queue);
                queue.pop().or_else(|| self.look_around())
            }
            None => self.on.domain.steal_one().or_else(|| self.on.find()),
        }
    }

    #[cold]
    fn look_around(&mut self) -> Option<Runnable> {
        let queue = self.on.queue.as_ref()?;
        if self.last_drained < PACE_BELOW {
            for _ in 0..PACE_PAUSES {
                std::hint::spin_loop();
            }
        }
        self.until_look = LOOK_EVERY;
        self.last_drained = self.on.domain.drain(self.on.core, queue);
        let drained = queue.pop();
        drained.or_else(|| self.on.domain.steal(self.on.index, queue))
    }

    /// Runs it, if it may go on, and those that follow in its lane.
    #[inline]
    fn execute(&mut self, runnable: Runnable) {
        let operation = runnable.operation();
        if operation.is_plain() && !self.on.present.is_controlled() {
            self.lane = None;
            return self.execute_one(runnable, false);
        }
        self.execute_if_let(runnable);
        // Another body that may block was run in its place, maybe.
        if operation.is_serial() || operation.is_blocking() {
            self.go_on_in_lane();
        }
    }

    fn execute_if_let(&mut self, runnable: Runnable) {
        let in_turn = self.on.arrive(runnable).and_then(|it| self.rest(it));
        let goes_on = if self.on.present.is_controlled() {
            in_turn.and_then(|runnable| self.on.let_through(runnable))
        } else {
            in_turn
        };
        let admitted = goes_on.and_then(|runnable| self.on.admit(runnable));
        if let Some(runnable) = admitted.and_then(|runnable| self.on.hand_over(runnable)) {
            let permit = runnable.place().permit;
            self.execute_one(runnable, permit);
            self.on.stand_down();
        }
    }

    /// Runs the next ones of the lane whose turn has just been over here.
    fn go_on_in_lane(&mut self) {
        while let Some(next) = self.on.take_next_in_lane() {
            let stops = self.on.shared.is_stopping();
            if stops || !self.inside_reactor && next.is_async() || self.on.is_not_served(&next) {
                return self.on.queue(next);
            }
            self.execute_if_let(next);
        }
    }

    /// Gives the token back, unless its lane has run for long enough and others are queued: then it goes
    /// behind all of them, and those of its lane that are found on the way wait for it.
    #[inline]
    fn rest(&mut self, runnable: Runnable) -> Option<Runnable> {
        let lane = runnable.lane();
        if lane.is_none() || lane != self.lane {
            (self.lane, self.lane_run) = (lane, 1);
            return Some(runnable);
        }
        self.lane_run += 1;
        if self.lane_run <= LANE_RUN {
            return Some(runnable);
        }
        if lane.is_some_and(|lane| self.on.has_only(lane)) {
            self.lane_run = 1;
            return Some(runnable);
        }
        self.lane = None;
        self.on.post_behind(runnable);
        None
    }

    /// Runs it; `permit` says whether it holds one. Always inline: for plain tokens that is known, and
    /// costs them nothing then.
    #[inline(always)]
    fn execute_one(&mut self, runnable: Runnable, permit: bool) {
        // Once: a body that is queued again has no credit any more.
        if runnable.take_credit() {
            self.on.take_credit();
        }
        let on = &self.on;
        let noted = runnable.times().map(|times| on.prepare(times, &runnable));
        let operation = runnable.operation();
        let ran = on.observe(noted, || runnable.run_present(&on.home, &on.present));
        match ran {
            Ran::Completed => on.counts.ended(operation, Outcome::Value),
            Ran::Elsewhere if !permit => {}
            ran => self.after(ran, operation, permit),
        }
    }

    /// What is left to do when a body did not just return.
    #[inline(never)]
    fn after(&self, ran: Ran, operation: &'static Operation, permit: bool) {
        let on = &self.on;
        on.counts.count(operation, &ran);
        match ran {
            Ran::Again(runnable) => on.home.post(runnable),
            Ran::Retry(runnable) => {
                if permit {
                    permits::take_from(&runnable);
                    on.domain.give_back(operation);
                }
                retry::back_off(&on.shared, runnable);
            }
            Ran::Tombstone(_) | Ran::Elsewhere if permit => on.domain.give_back(operation),
            _ => {}
        }
    }

    #[cold]
    fn sleep(&mut self) {
        self.on.return_credits();
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            backoff.snooze();
            if self.on.domain.has_work() {
                self.last_drained = BATCH;
                return;
            }
        }
        let (shared, domain) = (&self.on.shared, &self.on.domain);
        let parked = domain.sleepers.sleep(&self.sleeper, || {
            shared.worker_parks();
            domain.has_work() || shared.is_stopping()
        });
        if parked {
            self.on.member.parked();
        }
        self.on.note_role();
        self.last_drained = BATCH;
    }

    /// Makes this spare idle, if its domain has one too many, until it is engaged again or the
    /// scheduler stops; whether it was.
    #[cold]
    fn retire(&self) -> bool {
        let retired = self.on.domain.retire(&self.sleeper, || self.on.is_idle());
        self.on.note_role();
        retired
    }

    /// Ends everything that is left in the domain, then this worker.
    fn end(mut self) {
        self.on.return_credits();
        if let Some(held) = self.held.take() {
            self.on.domain.anchors.kill(held, SHUT_DOWN);
        }
        let on = &self.on;
        on.end_all();
        // From here what is posted to the domain goes to its mailboxes, and nothing to this thread.
        thread::set_worker(None);
        on.end_queued();
        on.member.end();
        on.shared.thread_ended(&on.domain);
    }
}
