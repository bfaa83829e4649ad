//! What a token is bound to is given back once, after its body, whoever ends it; under the model checker.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`. The tokens of each model are of one key, and go
//! through its lane. What the holder of the lane alone may touch is a cell of the model, and so is
//! each body: two holders at a time, or an exit that is not ordered after the end of the body, are
//! reported as a race.

#![cfg(tokengate_loom)]

mod loom_common;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use loom_common::{OP, nowhere};
use tokengate_token::{
    Bond, Deadline, GateNumber, Home, Joined, Keeper, LaneQueue, Operation, Phase, Place, Plain,
    Ran, RejectCause, Runnable, RunnableList, Token, TokenId, Turn, create,
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

/// A scheduler with one key, and a chain for each token.
struct Gate {
    number: GateNumber,
    lane: LaneQueue,
    /// Those that the holder has taken out of the lane.
    backlog: StdMutex<RunnableList>,
    holders: Arc<Alone>,
    posted: Mutex<VecDeque<Runnable>>,
    bodies: StdMutex<Vec<(TokenId, Arc<Body>)>>,
    /// Tokens that are counted in the key, and in chains.
    in_key: AtomicUsize,
    in_chains: AtomicUsize,
    /// Those whose exits the keeper is told of, less those who have left.
    outsiders: AtomicUsize,
    ran: StdMutex<Vec<TokenId>>,
}

/// What belongs to one token until it has exited.
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
    /// To be called where it must be gone, by any who see to a part of its exit.
    fn assert_gone(&self) {
        self.content.look();
        assert_eq!(self.drops.load(SeqCst), 1);
    }
}

/// A call that is not published yet.
struct Call {
    token: Token<()>,
    runnable: Runnable,
}

impl Gate {
    fn shared() -> Arc<Self> {
        let gate = Arc::new(Self {
            number: GateNumber::take().unwrap(),
            lane: LaneQueue::new(),
            backlog: StdMutex::default(),
            holders: Arc::default(),
            posted: Mutex::default(),
            bodies: StdMutex::default(),
            in_key: AtomicUsize::new(0),
            in_chains: AtomicUsize::new(0),
            outsiders: AtomicUsize::new(0),
            ran: StdMutex::default(),
        });
        let keeper = Arc::downgrade(&gate);
        gate.number.keep(keeper);
        gate
    }

    /// Makes a call, and binds it.
    fn call(self: &Arc<Self>) -> Call {
        let body = Arc::<Body>::default();
        // Nothing that would keep the scheduler alive.
        let (argument, holders) = (Argument(body.clone()), self.holders.clone());
        let run = move || {
            holders.touch();
            drop(argument);
        };
        let (token, runnable) = create(&OP, Plain::new(run));
        let chain = {
            let mut bodies = self.bodies.lock().unwrap();
            bodies.push((token.id(), body));
            NonZeroU32::new(bodies.len() as u32)
        };
        runnable.set_place(Place {
            gate: self.number.get(),
            domain: Some(0),
            ..Place::default()
        });
        self.in_key.fetch_add(1, SeqCst);
        self.in_chains.fetch_add(1, SeqCst);
        runnable.set_bond(Bond {
            entry: NonZeroU32::new(1),
            chain,
            turn: Turn::Waits,
            limit: None,
        });
        Call { token, runnable }
    }

    /// Joins the lane; posts it if that holds the lane.
    fn join(&self, runnable: Runnable) {
        match self.lane.join(runnable) {
            Ok(Joined::Holds(runnable)) => {
                if let Err(gone) = runnable.give_turn() {
                    self.give_back(gone);
                }
                self.post(runnable);
            }
            Ok(Joined::Waits) => {}
            Err(refused) => self.give_back(refused.reject(RejectCause::ShutDown).bond),
        }
    }

    /// Calls of one thread, in order; the first one holds the lane and is posted.
    fn calls<const N: usize>(self: &Arc<Self>) -> [Token<()>; N] {
        [(); N].map(|()| {
            let Call { token, runnable } = self.call();
            self.join(runnable);
            token
        })
    }

    fn post(&self, runnable: Runnable) {
        self.posted.lock().unwrap().push_back(runnable);
    }

    /// Runs what is posted until there is nothing.
    fn work(self: &Arc<Self>) {
        let home: Arc<dyn Home> = self.clone();
        loop {
            let next = self.posted.lock().unwrap().pop_front();
            let Some(runnable) = next else { return };
            let id = runnable.id();
            if matches!(runnable.run(&home), Ran::Completed) {
                self.ran.lock().unwrap().push(id);
            }
        }
    }

    fn body(&self, of: &Runnable) -> Arc<Body> {
        let bodies = self.bodies.lock().unwrap();
        let found = bodies.iter().find(|(id, _)| *id == of.id());
        found.expect("it is a call of this gate").1.clone()
    }

    /// For the holder.
    fn pass(&self) -> Option<Runnable> {
        loop {
            self.holders.touch();
            let kept = self.backlog.lock().unwrap().pop_front();
            let next = kept.or_else(|| {
                let mut list = self.lane.pass();
                let next = list.pop_front();
                if !list.is_empty() {
                    self.holders.touch();
                    *self.backlog.lock().unwrap() = list;
                }
                next
            })?;
            match next.give_turn() {
                Ok(()) => return Some(next),
                Err(gone) => {
                    assert_eq!((gone.turn, gone.chain), (Turn::Holds, None));
                    self.body(&next).assert_gone();
                    assert!(next.bond().is_none());
                    self.in_key.fetch_sub(1, SeqCst);
                    // Its body is gone by now, and its chain was left before.
                    assert!(matches!(next.run(&nowhere()), Ran::Tombstone(_)));
                }
            }
        }
    }

    /// At an exit, whoever sees to it.
    fn give_back(&self, bond: Bond) {
        if let Some(chain) = bond.chain {
            let (_, body) = self.bodies.lock().unwrap()[chain.get() as usize - 1].clone();
            body.assert_gone();
            self.in_chains.fetch_sub(1, SeqCst);
        }
        if bond.turn == Turn::Holds
            && let Some(next) = self.pass()
        {
            self.post(next);
        }
        if bond.entry.is_some() {
            self.in_key.fetch_sub(1, SeqCst);
        }
    }

    /// Nothing is held any more, and no body is left.
    fn assert_all_exited(&self) {
        assert_eq!(self.in_key.load(SeqCst), 0);
        assert_eq!(self.in_chains.load(SeqCst), 0);
        assert_eq!(self.outsiders.load(SeqCst), 0);
        assert!(self.lane.is_free());
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().for_each(|(_, body)| body.assert_gone());
    }

    /// All have resolved; those that ran did so once and in this order, among them these that must.
    fn assert_ran(&self, tokens: &[(&Token<()>, bool)]) {
        let ran = self.ran.lock().unwrap();
        let place = |token: &Token<()>| ran.iter().position(|&id| id == token.id());
        let places = tokens.iter().filter_map(|(token, _)| place(token));
        assert!(places.clone().is_sorted() && places.count() == ran.len());
        for (token, must) in tokens {
            assert!(token.is_finished() && (!must || place(token).is_some()));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.in_key.load(SeqCst) + self.in_chains.load(SeqCst), 0);
        }
    }
}

impl Keeper for Gate {
    fn entered(&self) {
        self.outsiders.fetch_add(1, SeqCst);
    }

    fn exited(&self, bond: Bond) {
        self.give_back(bond);
    }

    fn left(&self) {
        self.outsiders.fetch_sub(1, SeqCst);
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

fn spawn<R: 'static>(
    gate: &Arc<Gate>,
    run: impl FnOnce(&Arc<Gate>) -> R + 'static,
) -> JoinHandle<R> {
    let gate = gate.clone();
    thread::spawn(move || run(&gate))
}

/// Kills on a thread of its own; gives the token back, with whether that ended it.
fn kill(token: Token<()>) -> JoinHandle<(Token<()>, bool)> {
    thread::spawn(move || {
        let killed = token.kill("test");
        (token, killed)
    })
}

fn time_out(deadline: Deadline) -> JoinHandle<bool> {
    thread::spawn(move || deadline.pass(Phase::Waiting))
}

#[test]
fn a_kill_against_the_start_of_a_holder_passes_the_lane_on_once() {
    loom::model(|| {
        let gate = Gate::shared();
        let [first, second] = gate.calls();
        let killer = kill(first);
        gate.work();
        let (first, killed) = killer.join().unwrap();
        gate.work();
        gate.assert_ran(&[(&first, !killed), (&second, true)]);
        gate.assert_all_exited();
    });
}

#[test]
fn a_kill_against_the_pass_that_gives_the_turn_loses_no_one_behind_it() {
    loom::model(|| {
        let gate = Gate::shared();
        let [first, second, third] = gate.calls();
        let killer = kill(second);
        gate.work();
        let (second, killed) = killer.join().unwrap();
        gate.work();
        gate.assert_ran(&[(&first, true), (&second, !killed), (&third, true)]);
        gate.assert_all_exited();
    });
}

#[test]
fn kills_of_a_holder_and_of_the_one_behind_it_pass_on_to_the_third() {
    loom::model(|| {
        let gate = Gate::shared();
        let [first, second, third] = gate.calls();
        let killers = [first, second].map(kill);
        let killed = killers.map(|killer| killer.join().unwrap());
        assert!(killed.iter().all(|(_, killed)| *killed));
        // Its turn has come, though no worker was there.
        let posted = gate.posted.lock().unwrap();
        let mut bound = posted.iter().filter(|runnable| !runnable.bond().is_none());
        let holder = bound.next().unwrap();
        assert_eq!((holder.id(), holder.bond().turn), (third.id(), Turn::Holds));
        assert!(bound.next().is_none());
        drop(posted);
        assert_eq!(gate.in_key.load(SeqCst), 1);
        gate.work();
        gate.assert_ran(&[(&third, true)]);
        gate.assert_all_exited();
    });
}

#[test]
fn two_kills_of_one_token_against_its_start_give_it_back_once() {
    loom::model(|| {
        let gate = Gate::shared();
        let [first] = gate.calls();
        let killer = first.killer();
        let killers = [kill(first), thread_of(move || killer.kill("too"))];
        let worker = spawn(&gate, Gate::work);
        let [first, other] = killers.map(|killer| killer.join().unwrap());
        worker.join().unwrap();
        assert!(!(first.1 && other.1));
        gate.assert_all_exited();
    });
}

/// As [`kill`], without a token of its own.
fn thread_of(kill: impl FnOnce() -> bool + 'static) -> JoinHandle<(Token<()>, bool)> {
    thread::spawn(move || (create(&OP, Plain::new(|| ())).0, kill()))
}

#[test]
fn a_kill_against_a_purge_of_the_lane_gives_all_back_without_a_turn() {
    loom::model(|| {
        let gate = Gate::shared();
        let [first, second] = gate.calls();
        let killer = kill(second);
        let worker = spawn(&gate, Gate::work);
        let mut purged = gate.lane.take();
        while let Some(runnable) = purged.pop_front() {
            gate.give_back(runnable.kill("purged").bond);
        }
        let (second, _) = killer.join().unwrap();
        worker.join().unwrap();
        gate.work();
        assert!(first.is_finished() && second.is_finished());
        gate.assert_all_exited();
    });
}

#[test]
fn a_time_that_is_over_while_the_call_joins_leaves_the_lane_to_others() {
    loom::model(|| {
        let gate = Gate::shared();
        let Call { token, runnable } = gate.call();
        let timer = time_out(runnable.deadline());
        let caller = spawn(&gate, |gate| gate.calls::<1>());
        gate.join(runnable);
        let timed_out = timer.join().unwrap();
        let [other] = caller.join().unwrap();
        gate.work();
        assert!(token.is_finished() && other.is_finished());
        let ran = gate.ran.lock().unwrap();
        assert_eq!(ran.contains(&token.id()), !timed_out);
        assert!(ran.contains(&other.id()));
        drop(ran);
        gate.assert_all_exited();
    });
}

#[test]
fn a_time_that_is_over_while_the_lane_is_refused_gives_all_back() {
    loom::model(|| {
        let gate = Gate::shared();
        let Call { token, runnable } = gate.call();
        let timer = time_out(runnable.deadline());
        assert!(gate.lane.close().is_empty());
        gate.join(runnable);
        timer.join().unwrap();
        assert!(token.is_finished());
        assert_eq!(gate.in_key.load(SeqCst) + gate.in_chains.load(SeqCst), 0);
        gate.bodies.lock().unwrap()[0].1.assert_gone();
    });
}

#[test]
fn a_kill_against_the_end_of_the_scheduler_finds_it_or_nothing_to_do() {
    loom::model(|| {
        let gate = Gate::shared();
        let [token] = gate.calls();
        let killer = kill(token);
        let runnable = gate.posted.lock().unwrap().pop_front().unwrap();
        // As whoever takes it out of a queue; it lets the model put the look of the killer after it.
        runnable.set_place(runnable.place());
        let bond = runnable.kill("its gate ends").bond;
        gate.give_back(bond);
        // The last one to hold it sees that nothing is held: perhaps the killer.
        drop(gate);
        // It may have the number before the killer has seen to the exit.
        let next = Gate::shared();
        let (_, killed) = killer.join().unwrap();
        assert_eq!(killed, bond.is_none());
        next.assert_all_exited();
    });
}
