//! The stop against suspended async bodies under the model checker: each resolves and is dropped once.
//!
//! Run by `cargo xtask loom`. The domains and workers are the real ones, see `src/model.rs`; the races
//! are those of `src/SHUTDOWN.md`. Counters are plain atomics of std: they add no steps to the model.

#![cfg(tokengate_loom)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Poll, Waker};

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::{Domain, Worker};
use tokengate_scheduler::{Async, Operation, Runnable, Token, create};

static OP: Operation = Operation::new("loom.operation");

/// A domain with the flag of its scheduler.
#[derive(Clone)]
struct Gate {
    domain: Domain,
    stopping: Arc<AtomicBool>,
}

impl Gate {
    fn new(workers: usize) -> (Self, Vec<Worker>) {
        let (domain, workers) = Domain::new(1, workers);
        let stopping = Arc::new(AtomicBool::new(false));
        (Self { domain, stopping }, workers)
    }

    /// As `Shared::stop`.
    fn stop(&self) {
        self.stopping.store(true, Release);
        self.domain.stop();
    }

    fn post(&self, runnable: Runnable) {
        self.domain.post(0, runnable).expect("open");
    }

    /// Works as a worker does, until the stop, and tells when it is about to park.
    fn start(&self, mut worker: Worker, tell: impl Fn() + Send + 'static) -> JoinHandle<()> {
        let gate = self.clone();
        thread::spawn(move || {
            let stopping = || gate.stopping.load(Acquire);
            while !stopping() {
                if let Some(runnable) = worker.next() {
                    worker.run(runnable);
                } else if !worker.sleep(|| {
                    tell();
                    stopping()
                }) {
                    thread::yield_now();
                }
            }
            worker.end();
        })
    }
}

/// What a body waits for.
#[derive(Clone, Default)]
struct Door(Arc<Mutex<(bool, Option<Waker>)>>);

impl Door {
    fn open(&self) {
        let waker = {
            let mut inside = self.0.lock().unwrap();
            inside.0 = true;
            inside.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Opens it on a thread of its own.
    fn open_elsewhere(self) -> JoinHandle<()> {
        thread::spawn(move || self.open())
    }
}

/// An async call that waits at a door.
struct Call {
    door: Door,
    drops: Arc<AtomicUsize>,
    token: Token<()>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Call {
    fn new() -> (Self, Runnable) {
        let (door, drops) = (Door::default(), Arc::<AtomicUsize>::default());
        let (at, argument) = (door.clone(), Counted(drops.clone()));
        let body = poll_fn(move |context| {
            let _argument = &argument;
            let mut inside = at.0.lock().unwrap();
            if inside.0 {
                return Poll::Ready(());
            }
            inside.1 = Some(context.waker().clone());
            Poll::Pending
        });
        let (token, runnable) = create(&OP, Async::new(body));
        (Self { door, drops, token }, runnable)
    }

    /// One that a worker has polled and suspended.
    fn suspended(gate: &Gate, worker: &mut Worker) -> Self {
        let (call, runnable) = Self::new();
        gate.post(runnable);
        let runnable = worker.next().expect("posted");
        worker.run(runnable);
        assert!(!call.token.is_finished());
        call
    }

    /// It has resolved; its body may have been queued again when its worker had looked for the last
    /// time, or when another thread had the drain role: then the next purge drops it.
    fn assert_gone_after_a_purge(&self, gate: &Gate) {
        assert!(self.token.is_finished());
        gate.domain.purge();
        self.assert_gone();
    }

    fn assert_gone(&self) {
        assert!(self.token.is_finished());
        assert_eq!(self.drops.load(SeqCst), 1);
    }
}

#[test]
fn a_worker_that_ends_leaves_nothing_suspended() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(2);
        // In a body, and for long: nobody closes the domain.
        let stuck = workers.remove(0);
        let worker = gate.start(workers.remove(0), || ());
        let (call, runnable) = Call::new();
        gate.post(runnable);
        gate.stop();
        worker.join().unwrap();
        call.assert_gone();
        stuck.end();
    });
}

#[test]
fn a_body_that_is_polled_during_the_purge_is_ended_by_its_worker() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(2);
        let stuck = workers.remove(0);
        let worker = gate.start(workers.remove(0), || ());
        let (call, runnable) = Call::new();
        gate.post(runnable);
        gate.stop();
        gate.domain.purge();
        worker.join().unwrap();
        call.assert_gone_after_a_purge(&gate);
        stuck.end();
    });
}

#[test]
fn a_body_that_is_woken_during_the_stop_is_ended_though_a_worker_is_stuck() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(2);
        let stuck = workers.remove(0);
        let call = Call::suspended(&gate, &mut workers[0]);
        let worker = gate.start(workers.remove(0), || ());
        let opener = call.door.clone().open_elsewhere();
        gate.stop();
        worker.join().unwrap();
        opener.join().unwrap();
        call.assert_gone_after_a_purge(&gate);
        stuck.end();
    });
}

#[test]
fn a_purge_resolves_what_is_suspended_while_all_workers_are_stuck() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1);
        let mut stuck = workers.remove(0);
        let call = Call::suspended(&gate, &mut stuck);
        let opener = call.door.clone().open_elsewhere();
        gate.stop();
        gate.domain.purge();
        assert!(call.token.is_finished(), "its body may be in a queue");
        opener.join().unwrap();
        stuck.end();
        call.assert_gone();
    });
}

#[test]
fn a_wake_up_that_finds_its_domain_closed_ends_its_body() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1);
        let call = Call::suspended(&gate, &mut workers[0]);
        let opener = call.door.clone().open_elsewhere();
        gate.stop();
        // The last thread of the domain.
        workers.remove(0).end();
        opener.join().unwrap();
        call.assert_gone();
    });
}

#[test]
fn a_drain_waits_for_what_is_suspended_and_hears_of_its_end() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1);
        let call = Call::suspended(&gate, &mut workers[0]);
        let parks = Arc::new((Mutex::new(0), Condvar::new()));
        let told = parks.clone();
        let worker = gate.start(workers.remove(0), move || {
            *told.0.lock().unwrap() += 1;
            told.1.notify_all();
        });
        let opener = call.door.clone().open_elsewhere();
        // As `Shared::drain`: looks again whenever a worker has told that it parks.
        let mut seen = 0;
        while !Domain::all_quiet(std::slice::from_ref(&gate.domain)) {
            let mut count = parks.0.lock().unwrap();
            while *count == seen {
                count = parks.1.wait(count).unwrap();
            }
            seen = *count;
        }
        call.assert_gone();
        gate.stop();
        worker.join().unwrap();
        opener.join().unwrap();
    });
}
