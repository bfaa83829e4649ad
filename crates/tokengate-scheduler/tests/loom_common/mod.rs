//! What the loom suites of lanes share: a lane with its tokens, and those who do something about them.
//!
//! The lane is the real one, see `src/model.rs`; the claim of a start or an end is a bit of the model in
//! place of a token's state word, which is the token crate's `loom_state.rs`. Each body writes one cell of
//! the model: two holders at a time, or two without an order between them, are reported as a race. Notes are
//! under a mutex of std, and all is counted by an `Rc`, as the threads of a model are one thread: neither adds
//! steps, nor orders anything.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::rc::Rc;
use std::sync::Mutex as StdMutex;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::AcqRel;
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::Lane;
use tokengate_scheduler::{NoHome, Operation, Plain, Ran, Runnable, TokenId, create};

static OP: Operation = Operation::new("loom.operation");

/// A lane with tokens for the turns from 0 on.
pub(crate) struct Line {
    lane: Lane,
    /// By turn.
    tokens: Vec<TokenId>,
    claims: Vec<AtomicBool>,
    /// What the bodies write.
    written: UnsafeCell<()>,
    notes: StdMutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The turns of those that ran, and of those that were ended without that, in this order.
    ran: Vec<u64>,
    ended: Vec<u64>,
    /// The runnables that nobody has a use for any more.
    spent: Vec<Runnable>,
}

impl Line {
    /// The tokens are queued nowhere yet.
    pub(crate) fn with<const N: usize>() -> (Rc<Self>, [Runnable; N]) {
        let runnables = [(); N].map(|()| create(&OP, Plain::new(|| ())).1);
        let line = Self {
            lane: Lane::new(),
            tokens: runnables.iter().map(Runnable::id).collect(),
            claims: runnables.iter().map(|_| AtomicBool::new(false)).collect(),
            written: UnsafeCell::new(()),
            notes: StdMutex::default(),
        };
        (Rc::new(line), runnables)
    }

    /// As [`with`](Self::with); all but the first one wait in the lane.
    pub(crate) fn with_waiting<const N: usize>() -> (Rc<Self>, Runnable) {
        let (line, runnables) = Self::with::<N>();
        let mut runnables = runnables.into_iter();
        let first = runnables.next().unwrap();
        for (runnable, turn) in runnables.zip(1..) {
            assert!(line.lane.arrive(turn, runnable, false).is_none());
        }
        (line, first)
    }

    fn turn_of(&self, runnable: &Runnable) -> u64 {
        let turn = self.tokens.iter().position(|&id| id == runnable.id());
        turn.expect("it is one of the line") as u64
    }

    /// Whether the start or the end of this token is the caller's.
    fn claim(&self, turn: u64) -> bool {
        !self.claims[turn as usize].swap(true, AcqRel)
    }

    /// As a worker that takes these out of its queue, in this order.
    pub(crate) fn work<const N: usize>(&self, queue: [Runnable; N]) {
        for runnable in queue {
            let turn = self.turn_of(&runnable);
            let arrived = self.lane.arrive(turn, runnable, false);
            self.go_on(arrived);
        }
    }

    /// As a worker with a token that may start, and with those that its end gives.
    fn go_on(&self, mut next: Option<Runnable>) {
        while let Some(runnable) = next {
            next = self.start(self.turn_of(&runnable));
            self.spend(runnable);
        }
    }

    /// As a body that waits for this token, and runs it in place if it can.
    pub(crate) fn wait_in_place(&self, turn: u64) {
        if self.lane.has_come(turn) {
            let next = self.start(turn);
            self.go_on(next);
        }
    }

    /// As whoever kills this token before its start, and the worker whom the next one is posted to.
    pub(crate) fn kill(&self, turn: u64) {
        if self.claim(turn) {
            let next = self.end_unstarted(turn);
            self.go_on(next);
        }
    }

    /// As a worker that takes this one out of its queue, which an order ends.
    pub(crate) fn refuse(&self, runnable: Runnable) {
        let turn = self.turn_of(&runnable);
        let arrived = self.lane.arrive(turn, runnable, true);
        let claimed = self.claim(turn);
        let next = claimed.then(|| self.end_unstarted(turn)).flatten();
        self.spend(arrived.expect("it goes on to its end"));
        self.go_on(next);
    }

    /// As the purge of a shutdown.
    pub(crate) fn purge(&self) {
        for runnable in self.lane.take_waiting() {
            let mut next = Some(runnable);
            while let Some(runnable) = next {
                let turn = self.turn_of(&runnable);
                next = self.claim(turn).then(|| self.end_unstarted(turn)).flatten();
                self.spend(runnable);
            }
        }
    }

    /// Runs it, unless it has ended or runs elsewhere; gives the one whose turn it is then.
    fn start(&self, turn: u64) -> Option<Runnable> {
        if !self.claim(turn) {
            return None;
        }
        self.written.with_mut(|_| self.note(|it| it.ran.push(turn)));
        self.end(turn)
    }

    fn end_unstarted(&self, turn: u64) -> Option<Runnable> {
        self.note(|it| it.ended.push(turn));
        self.end(turn)
    }

    fn end(&self, turn: u64) -> Option<Runnable> {
        let over = self.lane.end(turn);
        if let Some(tombstone) = over.tombstone {
            assert_eq!(self.turn_of(&tombstone), turn);
            self.spend(tombstone);
        }
        over.next
    }

    fn spend(&self, runnable: Runnable) {
        self.note(|it| it.spent.push(runnable));
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.lock().unwrap());
    }

    /// How many ran.
    pub(crate) fn count_ran(&self) -> usize {
        self.notes.lock().unwrap().ran.len()
    }

    /// Each was run or ended, once; those that ran did so in the order of their turns. Nobody is left, and
    /// who comes next goes on at once, and leaves nothing.
    pub(crate) fn assert_done(&self) {
        let Notes { ran, ended, spent } = std::mem::take(&mut *self.notes.lock().unwrap());
        assert!(ran.is_sorted(), "{ran:?}");
        let after = self.tokens.len() as u64;
        let mut over = [ran, ended].concat();
        over.sort_unstable();
        assert!(over.iter().copied().eq(0..after), "{over:?}");
        let mut gone: Vec<_> = spent.iter().map(|it| self.turn_of(it)).collect();
        gone.sort_unstable();
        assert_eq!(gone, over);
        for runnable in spent {
            assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
        }
        assert_eq!(self.lane.waiting(), 0);
        assert!(self.lane.has_come(after) && !self.lane.has_come(after + 1));
        self.written.with_mut(|_| ());
        let last = self.lane.end(after);
        assert!(last.next.is_none() && last.tombstone.is_none());
        assert!(self.lane.has_come(after + 1) && self.lane.is_empty());
    }
}

/// Does it on a thread of its own.
pub(crate) fn spawn(line: &Rc<Line>, act: impl FnOnce(&Line) + 'static) -> JoinHandle<()> {
    let line = line.clone();
    thread::spawn(move || act(&line))
}

/// Waits for all of them.
pub(crate) fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}
