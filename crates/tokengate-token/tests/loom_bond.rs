//! What a token is bound to is given back once, after its body, whoever ends it; under the model checker.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`. Each model has one bound token, whose body is a cell
//! of the model: a bond that is given back without an order after the end of the body is reported as a
//! race. What becomes of the turn in it is the scheduler's `loom_lanes.rs` and `loom_kills.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use loom_common::{Door, OP, block_on};
use tokengate_token::{
    Async, Bond, GateNumber, Home, Keeper, Operation, Phase, Place, Plain, Ran, RejectCause,
    Retried, Retry, Runnable, Token, create,
};

static TWICE: Operation = Operation::new("loom.twice").with_retry(Retry::new(2));

const BOND: Bond = Bond {
    entry: NonZeroU32::new(3),
    turn: Some(7),
    chain: NonZeroU32::new(4),
    limit: NonZeroU16::new(5),
};

/// What one thread at a time may touch, in an order that all agree upon; the model reports others.
#[derive(Default)]
struct Alone(UnsafeCell<()>);

#[expect(unsafe_code, reason = "the model checks who touches it, and when")]
// SAFETY: there is nothing in it.
unsafe impl Sync for Alone {}

impl Alone {
    fn touch(&self) {
        self.0.with_mut(|_| ());
    }

    /// Others may look too, and nobody touches it.
    fn look(&self) {
        self.0.with(|_| ());
    }
}

/// What belongs to the token until it has exited.
#[derive(Default)]
struct Body {
    content: Alone,
    drops: AtomicUsize,
}

struct Argument(Arc<Body>);

impl Drop for Argument {
    fn drop(&mut self) {
        self.0.content.touch();
        self.0.drops.fetch_add(1, SeqCst);
    }
}

impl Body {
    /// To be called where it must be gone.
    fn assert_gone(&self) {
        self.content.look();
        assert_eq!(self.drops.load(SeqCst), 1);
    }
}

/// Who gave the bond back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Runner,
    Owner,
    Outsider,
}

/// A scheduler with one token.
struct Gate {
    number: GateNumber,
    body: Arc<Body>,
    given_back: StdMutex<Vec<By>>,
    posted: Mutex<Vec<Runnable>>,
    /// Those whose exits the keeper is told of, less those who have left.
    outsiders: AtomicUsize,
}

impl Gate {
    fn shared() -> Arc<Self> {
        let gate = Arc::new(Self {
            number: GateNumber::take().unwrap(),
            body: Arc::default(),
            given_back: StdMutex::default(),
            posted: Mutex::default(),
            outsiders: AtomicUsize::new(0),
        });
        let keeper = Arc::downgrade(&gate);
        gate.number.keep(keeper);
        gate
    }

    /// A gate with a call of a sync body.
    fn with_call() -> (Arc<Self>, Token<()>, Runnable) {
        let gate = Self::shared();
        let argument = gate.argument();
        let (token, runnable) = create(&OP, Plain::new(move || argument.0.content.touch()));
        gate.bind(&runnable);
        (gate, token, runnable)
    }

    /// Nothing that would keep the scheduler alive.
    fn argument(&self) -> Argument {
        Argument(self.body.clone())
    }

    fn bind(&self, runnable: &Runnable) {
        runnable.set_place(Place {
            gate: self.number.get(),
            domain: Some(0),
            ..Place::default()
        });
        runnable.set_bond(BOND);
    }

    fn run(self: &Arc<Self>, runnable: Runnable) -> Ran {
        let home: Arc<dyn Home> = self.clone();
        runnable.run(&home)
    }

    fn give_back(&self, by: By, bond: Bond) {
        assert_eq!(bond, BOND);
        self.body.assert_gone();
        self.given_back.lock().unwrap().push(by);
    }

    /// As the owner of a runnable that was given up.
    fn give_back_if_any(&self, bond: Bond) {
        if bond != Bond::NONE {
            self.give_back(By::Owner, bond);
        }
    }

    /// The one who gave the bond back; all that saw to it have left.
    fn exited_by(&self) -> By {
        assert_eq!(self.outsiders.load(SeqCst), 0);
        let given_back = self.given_back.lock().unwrap();
        assert_eq!(given_back.len(), 1, "{given_back:?}");
        given_back[0]
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.exited_by();
        }
    }
}

impl Keeper for Gate {
    fn entered(&self) {
        self.outsiders.fetch_add(1, SeqCst);
    }

    fn exited(&self, bond: Bond) {
        assert_ne!(self.outsiders.load(SeqCst), 0);
        self.give_back(By::Outsider, bond);
    }

    fn left(&self) {
        self.outsiders.fetch_sub(1, SeqCst);
    }
}

impl Home for Gate {
    fn post(&self, runnable: Runnable) {
        self.posted.lock().unwrap().push(runnable);
    }

    fn exited(&self, _: &'static Operation, bond: Bond) {
        self.give_back(By::Runner, bond);
    }
}

/// Kills on a thread of its own; gives the token back, with whether that ended it.
fn kill<T: 'static>(token: Token<T>) -> JoinHandle<(Token<T>, bool)> {
    thread::spawn(move || {
        let killed = token.kill("test");
        (token, killed)
    })
}

#[test]
fn kills_against_the_start_give_back_once() {
    loom::model(|| {
        let (gate, token, runnable) = Gate::with_call();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("too"));
        let handle = kill(token);
        let ran = gate.run(runnable);
        let (token, killed) = handle.join().unwrap();
        let killed_too = other.join().unwrap();
        assert!(token.is_finished() && !(killed && killed_too));
        // A body that was started is the runner's, though it may have been killed meanwhile.
        let by = match ran {
            Ran::Tombstone(_) => By::Outsider,
            _ => By::Runner,
        };
        assert_eq!(gate.exited_by(), by);
        assert!(by == By::Runner || killed || killed_too);
    });
}

#[test]
fn a_time_that_is_over_against_the_owner_of_the_runnable_gives_back_once() {
    loom::model(|| {
        let (gate, token, runnable) = Gate::with_call();
        let deadline = runnable.deadline();
        let timer = thread::spawn(move || deadline.pass(Phase::Waiting));
        gate.give_back_if_any(runnable.reject(RejectCause::ShutDown).bond);
        let timed_out = timer.join().unwrap();
        assert!(token.is_finished());
        let by = if timed_out { By::Outsider } else { By::Owner };
        assert_eq!(gate.exited_by(), by);
    });
}

#[test]
fn the_owner_of_a_runnable_reads_a_whole_bond_or_none() {
    loom::model(|| {
        let (gate, token, runnable) = Gate::with_call();
        let killer = kill(token);
        let lane = runnable.lane();
        let bond = runnable.bond();
        assert!(bond == BOND || bond == Bond::NONE, "{bond:?}");
        // It is not bound again.
        assert!(lane == BOND.entry || bond == Bond::NONE);
        let ran = gate.run(runnable);
        assert!(bond == BOND || matches!(ran, Ran::Tombstone(_)));
        let _ = killer.join().unwrap();
    });
}

#[test]
fn a_token_that_is_seen_to_have_returned_has_given_back() {
    loom::model(|| {
        let (gate, token, runnable) = Gate::with_call();
        let runner = {
            let gate = gate.clone();
            thread::spawn(move || gate.run(runnable))
        };
        block_on(token).unwrap();
        assert_eq!(gate.exited_by(), By::Runner);
        gate.body.assert_gone();
        assert!(matches!(runner.join().unwrap(), Ran::Completed));
    });
}

#[test]
fn a_kill_of_a_suspended_body_against_its_wake_up_gives_back_once() {
    loom::model(|| {
        let (gate, door) = (Gate::shared(), Door::shared());
        let (argument, wait) = (gate.argument(), door.wait());
        let body = async move {
            wait.await;
            argument.0.content.touch();
        };
        let (token, runnable) = create(&OP, Async::new(body));
        gate.bind(&runnable);
        assert!(matches!(gate.run(runnable), Ran::Suspended));
        let killer = kill(token);
        door.open();
        let woken = gate.posted.lock().unwrap().pop();
        woken.into_iter().for_each(|it| drop(gate.run(it)));
        let (token, _) = killer.join().unwrap();
        // The killer has posted it, if the wake-up has not.
        let killed = gate.posted.lock().unwrap().pop();
        killed.into_iter().for_each(|it| drop(gate.run(it)));
        assert!(token.is_finished());
        assert_eq!(gate.exited_by(), By::Runner);
    });
}

#[test]
fn a_kill_of_a_woken_body_against_the_owner_of_its_runnable_gives_back_once() {
    loom::model(|| {
        let (gate, door) = (Gate::shared(), Door::shared());
        let (argument, wait) = (gate.argument(), door.wait());
        let body = async move {
            wait.await;
            argument.0.content.touch();
        };
        let (token, runnable) = create(&OP, Async::new(body));
        gate.bind(&runnable);
        assert!(matches!(gate.run(runnable), Ran::Suspended));
        door.open();
        let killer = kill(token);
        let woken = gate.posted.lock().unwrap().pop().unwrap();
        gate.give_back_if_any(woken.kill("its gate ends").bond);
        let (token, _) = killer.join().unwrap();
        assert!(token.is_finished());
        assert_eq!(gate.exited_by(), By::Owner);
    });
}

#[test]
fn a_kill_before_during_or_between_attempts_gives_back_once() {
    loom::model(|| {
        let gate = Gate::shared();
        let argument = gate.argument();
        let body = Retried::fallible(move |attempt| {
            argument.0.content.touch();
            if attempt.is_last() { Ok(()) } else { Err(()) }
        });
        let (token, runnable) = create(&TWICE, body);
        gate.bind(&runnable);
        let killer = {
            let killer = token.killer();
            thread::spawn(move || killer.kill("test"))
        };
        let mut next = Some(runnable);
        let mut is_tombstone = false;
        while let Some(runnable) = next.take() {
            match gate.run(runnable) {
                Ran::Retry(again) => next = Some(again),
                ran => is_tombstone = matches!(ran, Ran::Tombstone(_)),
            }
        }
        let killed = killer.join().unwrap();
        assert!(token.is_finished() && (killed || !is_tombstone));
        let by = if is_tombstone {
            By::Outsider
        } else {
            By::Runner
        };
        assert_eq!(gate.exited_by(), by);
    });
}

#[test]
fn a_kill_against_the_end_of_the_scheduler_finds_it_or_nothing_to_do() {
    loom::model(|| {
        let (gate, token, runnable) = Gate::with_call();
        let killer = kill(token);
        // As whoever takes it out of a queue; it lets the model put the look of the killer after it.
        runnable.set_place(runnable.place());
        let bond = runnable.kill("its gate ends").bond;
        gate.give_back_if_any(bond);
        // The last one to hold it sees that it was given back: perhaps the killer.
        drop(gate);
        // It may have the number before the killer has seen to the exit.
        let (next, _token, other) = Gate::with_call();
        let (_, killed) = killer.join().unwrap();
        assert_eq!(killed, bond == Bond::NONE);
        next.give_back_if_any(other.kill("test").bond);
    });
}
