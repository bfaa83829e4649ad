//! A limit under the model checker: no more execute than it lets, no permit is lost, nobody is forgotten.
//!
//! Run by `cargo xtask loom`. The limit is the real one, see `src/model.rs`. What is granted goes to one
//! mailbox, which each thread of the model empties when it has done its own. Counters are plain atomics of std:
//! they add no steps.

#![cfg(tokengate_loom)]

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex as StdMutex};

use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::{Limit, Taken};
use tokengate_scheduler::{NoHome, Operation, Plain, Ran, Runnable, Token, TokenId, create};

static OP: Operation = Operation::new("loom.operation");

struct Gate {
    limit: Limit,
    /// Of which no more than the size may be at work.
    most: usize,
    executing: AtomicUsize,
    granted: Mutex<VecDeque<Runnable>>,
    /// Those that ran, in order.
    ran: StdMutex<Vec<TokenId>>,
}

impl Gate {
    fn new(size: usize, most: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: Limit::new(size),
            most,
            executing: AtomicUsize::new(0),
            granted: Mutex::default(),
            ran: StdMutex::default(),
        })
    }

    fn call() -> (Token<()>, Runnable) {
        // A step of the model, so that others come between.
        create(&OP, Plain::new(thread::yield_now))
    }

    fn post(&self, runnable: Runnable) {
        self.granted.lock().unwrap().push_back(runnable);
    }

    /// As a worker that has taken this token.
    fn take(&self, runnable: Runnable) {
        match self.limit.take(runnable) {
            Taken::GoesOn(runnable) => self.run(runnable),
            Taken::SetAside => {}
            Taken::Ends(runnable) => drop(runnable),
        }
    }

    fn run(&self, runnable: Runnable) {
        let (permit, id) = (runnable.place().permit, runnable.id());
        if permit {
            let executing = self.executing.fetch_add(1, SeqCst) + 1;
            assert!(executing <= self.most, "too many at once");
        }
        let ran = runnable.run(&NoHome::shared());
        if matches!(ran, Ran::Completed) {
            assert!(permit, "nobody executes without a permit");
            self.ran.lock().unwrap().push(id);
        }
        if permit {
            self.executing.fetch_sub(1, SeqCst);
            self.limit.release(|runnable| self.post(runnable));
        }
    }

    /// Takes what is granted, until there is nothing more.
    fn work(&self) {
        while let Some(runnable) = { self.granted.lock().unwrap().pop_front() } {
            self.take(runnable);
        }
    }

    /// When all threads have ended, each after its last look.
    fn assert_done(&self, tokens: &[Token<()>]) {
        self.work();
        assert!(tokens.iter().all(Token::is_finished));
        assert_eq!(self.limit.state(), (0, 0));
    }

    /// Whether these ran in this order, as far as they ran.
    fn assert_in_order(&self, tokens: &[Token<()>]) {
        let ran = self.ran.lock().unwrap();
        let place = |token: &Token<()>| ran.iter().position(|&id| id == token.id());
        assert!(tokens.iter().filter_map(place).is_sorted());
    }
}

fn spawn(gate: &Arc<Gate>, run: impl FnOnce(&Gate) + 'static) -> JoinHandle<()> {
    let gate = gate.clone();
    thread::spawn(move || run(&gate))
}

#[test]
fn a_release_finds_who_is_set_aside_or_leaves_a_permit() {
    loom::model(|| {
        let gate = Gate::new(1, 1);
        let (tokens, calls): (Vec<_>, Vec<_>) = (0..3).map(|_| Gate::call()).unzip();
        let threads: Vec<_> = calls
            .into_iter()
            .map(|runnable| {
                spawn(&gate, |gate| {
                    gate.take(runnable);
                    gate.work();
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        gate.assert_done(&tokens);
        assert_eq!(gate.ran.lock().unwrap().len(), 3);
    });
}

/// A holder that is about to exit, and some that are set aside.
fn with_waiting(gate: &Gate, waiting: usize) -> (Runnable, Vec<Token<()>>) {
    let (first, holder) = Gate::call();
    let Taken::GoesOn(holder) = gate.limit.take(holder) else {
        panic!("a permit was free");
    };
    let waiting = (0..waiting).map(|_| {
        let (token, runnable) = Gate::call();
        assert!(matches!(gate.limit.take(runnable), Taken::SetAside));
        token
    });
    (holder, [first].into_iter().chain(waiting).collect())
}

#[test]
fn a_kill_against_a_grant_loses_no_permit() {
    loom::model(|| {
        let gate = Gate::new(1, 1);
        let (holder, mut tokens) = with_waiting(&gate, 2);
        let killed = tokens.remove(1);
        let killer = spawn(&gate, move |_| {
            killed.kill("not needed");
        });
        gate.run(holder);
        gate.work();
        killer.join().unwrap();
        gate.assert_done(&tokens);
        gate.assert_in_order(&tokens);
    });
}

#[test]
fn a_greater_size_against_a_release_forgets_nobody() {
    loom::model(|| {
        let gate = Gate::new(1, 2);
        let (holder, tokens) = with_waiting(&gate, 2);
        let resizer = spawn(&gate, |gate| {
            gate.limit.resize(2, |runnable| gate.post(runnable));
            gate.work();
        });
        gate.run(holder);
        gate.work();
        resizer.join().unwrap();
        gate.assert_done(&tokens);
    });
}

#[test]
fn a_smaller_size_against_a_call_lets_no_more_start() {
    loom::model(|| {
        let gate = Gate::new(2, 2);
        let (holder, mut tokens) = with_waiting(&gate, 0);
        let (token, runnable) = Gate::call();
        tokens.push(token);
        let caller = spawn(&gate, |gate| {
            gate.take(runnable);
            gate.work();
        });
        gate.limit.resize(1, |runnable| gate.post(runnable));
        gate.run(holder);
        gate.work();
        caller.join().unwrap();
        gate.assert_done(&tokens);
    });
}

#[test]
fn a_waiter_in_place_overtakes_nobody_who_is_set_aside() {
    loom::model(|| {
        let gate = Gate::new(1, 1);
        let (holder, tokens) = with_waiting(&gate, 1);
        let waiter = spawn(&gate, |gate| {
            if gate.limit.take_in_place() {
                assert_eq!(gate.limit.state(), (1, 0), "nobody waited");
                assert_eq!(gate.executing.fetch_add(1, SeqCst), 0);
                thread::yield_now();
                gate.executing.fetch_sub(1, SeqCst);
                gate.limit.release(|runnable| gate.post(runnable));
                gate.work();
            }
        });
        gate.run(holder);
        gate.work();
        waiter.join().unwrap();
        gate.assert_done(&tokens);
    });
}

#[test]
fn what_is_set_aside_against_a_shutdown_resolves() {
    loom::model(|| {
        let gate = Gate::new(1, 1);
        let (holder, mut tokens) = with_waiting(&gate, 1);
        let (token, runnable) = Gate::call();
        tokens.push(token);
        let caller = spawn(&gate, |gate| {
            gate.take(runnable);
            gate.work();
        });
        for waiting in gate.limit.close() {
            drop(waiting);
        }
        gate.run(holder);
        gate.work();
        caller.join().unwrap();
        gate.assert_done(&tokens);
    });
}
