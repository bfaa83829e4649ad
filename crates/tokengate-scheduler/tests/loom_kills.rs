//! A lane with its backlog while its tokens are killed, under the model checker.
//!
//! Run by `cargo xtask loom`. The lane is the real one, see `src/model.rs`; each pass is the act of a
//! runner or of a killer, and whoever is posted is run at last. What a kill gives back is the token
//! crate's `loom_bond.rs`.

#![cfg(tokengate_loom)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::Lane;
use tokengate_scheduler::{
    Bond, GateNumber, Home, Joined, Keeper, Operation, Place, Plain, Ran, Runnable, Token, TokenId,
    Turn, create,
};

static OP: Operation = Operation::new("loom.operation");

/// A scheduler with one key.
struct Gate {
    number: GateNumber,
    lane: Lane,
    posted: Mutex<Vec<Runnable>>,
    /// Bound tokens that have not given back their entry.
    counted: AtomicUsize,
    ran: Mutex<Vec<TokenId>>,
}

impl Gate {
    /// So many tokens; the first one holds the lane, and is posted.
    fn with<const N: usize>() -> (Arc<Self>, [Token<()>; N]) {
        let gate = Arc::new(Self {
            number: GateNumber::take().unwrap(),
            lane: Lane::default(),
            posted: Mutex::default(),
            counted: AtomicUsize::new(N),
            ran: Mutex::default(),
        });
        let keeper = Arc::downgrade(&gate);
        gate.number.keep(keeper);
        let tokens = [(); N].map(|()| gate.call());
        (gate, tokens)
    }

    fn call(&self) -> Token<()> {
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        runnable.set_place(Place {
            gate: self.number.get(),
            domain: Some(0),
            ..Place::default()
        });
        runnable.set_bond(Bond {
            entry: NonZeroU32::new(1),
            chain: None,
            turn: Turn::Waits,
            limit: None,
        });
        match self.lane.join(runnable) {
            Ok(Joined::Holds(runnable)) => {
                runnable.give_turn().unwrap();
                self.posted.lock().unwrap().push(runnable);
            }
            Ok(Joined::Waits) => {}
            Err(_) => panic!("it is not closed"),
        }
        token
    }

    /// Runs the oldest that is posted; whether there was one.
    fn work(self: &Arc<Self>) -> bool {
        let home: Arc<dyn Home> = self.clone();
        let next = {
            let mut posted = self.posted.lock().unwrap();
            (!posted.is_empty()).then(|| posted.remove(0))
        };
        let Some(runnable) = next else { return false };
        let id = runnable.id();
        if matches!(runnable.run(&home), Ran::Completed) {
            self.ran.lock().unwrap().push(id);
        }
        true
    }

    /// As `Anchors::exit`.
    fn give_back(&self, bond: Bond) {
        if bond.turn == Turn::Holds {
            let next = self.lane.pass(|gone| {
                assert!(gone.bond().is_none());
                self.counted.fetch_sub(1, SeqCst);
            });
            if let Some(next) = next {
                assert_eq!(next.place().gate, self.number.get());
                self.posted.lock().unwrap().push(next);
            }
        }
        self.counted.fetch_sub(1, SeqCst);
    }

    /// Those that ran did so in this order, among them all that were not killed; nothing is held.
    fn assert_done(&self, tokens: &[(Token<()>, bool)]) {
        let ran = self.ran.lock().unwrap();
        let place = |token: &Token<()>| ran.iter().position(|&id| id == token.id());
        assert!(
            tokens
                .iter()
                .filter_map(|(token, _)| place(token))
                .is_sorted()
        );
        for (token, killed) in tokens {
            assert!(token.is_finished() && (*killed || place(token).is_some()));
        }
        assert_eq!(self.counted.load(SeqCst), 0);
        assert!(self.posted.lock().unwrap().is_empty());
        // The lane is free: the next one is posted.
        drop(self.call());
        assert!(self.posted.lock().unwrap().pop().is_some());
    }
}

impl Keeper for Gate {
    fn exited(&self, bond: Bond) {
        self.give_back(bond);
    }
}

impl Home for Gate {
    fn post(&self, _: Runnable) {
        unreachable!("nothing here is async");
    }

    fn exited(&self, _: &'static Operation, bond: Bond) {
        self.give_back(bond);
    }
}

fn kill(token: Token<()>) -> JoinHandle<(Token<()>, bool)> {
    thread::spawn(move || {
        let killed = token.kill("test");
        (token, killed)
    })
}

fn joined(killer: JoinHandle<(Token<()>, bool)>) -> (Token<()>, bool) {
    killer.join().unwrap()
}

#[test]
fn passes_go_over_those_that_are_killed_in_the_backlog() {
    loom::model(|| {
        let (gate, [first, second, third, fourth]) = Gate::with();
        let killers = [second, third].map(kill);
        while gate.work() {}
        let [second, third] = killers.map(joined);
        while gate.work() {}
        gate.assert_done(&[(first, false), second, third, (fourth, false)]);
    });
}

#[test]
fn a_killer_passes_a_lane_with_a_backlog_on_beside_a_worker() {
    loom::model(|| {
        let (gate, [first, second, third, fourth]) = Gate::with();
        // The others are in the backlog then.
        assert!(gate.work());
        let killers = [second, third].map(kill);
        while gate.work() {}
        let [second, third] = killers.map(joined);
        while gate.work() {}
        gate.assert_done(&[(first, false), second, third, (fourth, false)]);
    });
}

#[test]
fn a_killer_that_leaves_a_lane_free_against_a_call_loses_nobody() {
    loom::model(|| {
        let (gate, [first]) = Gate::with();
        let killer = kill(first);
        let caller = {
            let gate = gate.clone();
            gate.counted.fetch_add(1, SeqCst);
            thread::spawn(move || gate.call())
        };
        let (first, killed) = joined(killer);
        let second = caller.join().unwrap();
        assert!(killed);
        while gate.work() {}
        gate.assert_done(&[(first, true), (second, false)]);
    });
}
