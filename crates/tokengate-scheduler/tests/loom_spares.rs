//! Blocking waits, spares and the stop under the model checker: posts are run or killed, and nobody
//! sleeps for ever.
//!
//! Run by `cargo xtask loom`. Domain, sleepers and spares are the real ones, see `src/model.rs`; who
//! sleeps for ever is reported as a deadlock. Counters are plain atomics of std: they add no steps.

#![cfg(tokengate_loom)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex as StdMutex};

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::{Domain, Engaged, Worker};
use tokengate_scheduler::{NoHome, Operation, Plain, Runnable, Token, create};

static OP: Operation = Operation::new("loom.operation");

/// Opened once, for all who wait.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// A domain with what its scheduler has: the flags, the threads of its spares, who drains it.
#[derive(Clone)]
struct Gate {
    domain: Domain,
    stopping: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
    progress: Arc<(Mutex<usize>, Condvar)>,
    spares: Arc<StdMutex<Vec<JoinHandle<()>>>>,
    left: Arc<AtomicUsize>,
}

impl Gate {
    /// `calls` of its calls have to run before it stops.
    fn new(workers: usize, spares: usize, calls: usize) -> (Self, Vec<Worker>) {
        let (domain, workers) = Domain::with_spares(1, workers, spares);
        let gate = Self {
            domain,
            stopping: Arc::new(AtomicBool::new(false)),
            draining: Arc::new(AtomicBool::new(false)),
            progress: Arc::default(),
            spares: Arc::default(),
            left: Arc::new(AtomicUsize::new(calls)),
        };
        (gate, workers)
    }

    /// A call that does `body`; the last of them stops the gate.
    fn call(&self, body: impl FnOnce() + Send + 'static) -> Runnable {
        let gate = self.clone();
        let body = move || {
            body();
            if gate.left.fetch_sub(1, SeqCst) == 1 {
                gate.stop();
            }
        };
        create(&OP, Plain::new(body)).1
    }

    fn post(&self, runnable: Runnable) {
        self.domain.post(0, runnable).expect("open");
    }

    /// As `Shared::stop`.
    fn stop(&self) {
        self.stopping.store(true, Release);
        self.domain.stop();
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Acquire)
    }

    /// As `Shared::worker_parks`.
    fn parks(&self) {
        if self.draining.load(Acquire) {
            *self.progress.0.lock().unwrap() += 1;
            self.progress.1.notify_all();
        }
    }

    /// As `Shared::drain`, without a deadline.
    fn drain(&self) {
        self.draining.swap(true, AcqRel);
        loop {
            let seen = *self.progress.0.lock().unwrap();
            if Domain::all_quiet(std::slice::from_ref(&self.domain)) {
                return;
            }
            let mut progress = self.progress.0.lock().unwrap();
            while *progress == seen {
                progress = self.progress.1.wait(progress).unwrap();
            }
        }
    }

    /// As a body that blocks on a token: parks until the door is open.
    fn block(&self, door: &Door) {
        match self.domain.engage() {
            Engaged::Done | Engaged::Closed => {}
            Engaged::Start(spare) => {
                let started = self.start(spare);
                self.spares.lock().unwrap().push(started);
            }
            Engaged::Exhausted => panic!("there are spares enough"),
        }
        door.wait();
        self.domain.disengage();
    }

    /// Works as a worker or spare does, until it is stopped.
    fn work(&self, worker: &mut Worker) {
        while !self.is_stopping() {
            if worker.retire(|| self.parks()) {
                continue;
            }
            if let Some(runnable) = worker.next() {
                let _ = runnable.run(&NoHome::shared());
            } else {
                let slept = worker.sleep(|| {
                    self.parks();
                    self.is_stopping()
                });
                if !slept {
                    thread::yield_now();
                }
            }
        }
    }

    fn work_to_the_end(&self, mut worker: Worker) {
        self.work(&mut worker);
        worker.end();
    }

    fn start(&self, worker: Worker) -> JoinHandle<()> {
        let gate = self.clone();
        thread::spawn(move || gate.work_to_the_end(worker))
    }

    /// Waits for the spares, of which there are no more when the workers have ended.
    fn join_spares(&self) {
        while let Some(spare) = { self.spares.lock().unwrap().pop() } {
            spare.join().unwrap();
        }
    }

    fn assert_all_ran(&self) {
        assert_eq!(self.left.load(SeqCst), 0);
    }
}

#[test]
fn a_spare_runs_what_a_blocked_worker_waits_for() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1, 1, 2);
        let door = Door::default();
        let poster = {
            let (gate, door) = (gate.clone(), door.clone());
            thread::spawn(move || {
                gate.post(gate.call(move || door.open()));
                // Races with the end of the wait: the worker and the spare that goes idle.
                gate.post(gate.call(|| ()));
            })
        };
        gate.block(&door);
        gate.work_to_the_end(workers.remove(0));
        poster.join().unwrap();
        gate.join_spares();
        gate.assert_all_ran();
    });
}

#[test]
fn a_spare_that_is_made_idle_in_its_sleep_takes_no_post_with_it() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1, 1, 1);
        let door = Door::default();
        let poster = {
            let (gate, door) = (gate.clone(), door.clone());
            thread::spawn(move || {
                // Ended from outside the domain: the spare may sleep by then.
                door.open();
                gate.post(gate.call(|| ()));
            })
        };
        gate.block(&door);
        gate.work_to_the_end(workers.remove(0));
        poster.join().unwrap();
        gate.join_spares();
        gate.assert_all_ran();
    });
}

#[test]
fn an_engagement_after_a_wait_has_a_hand_again() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1, 1, 2);
        let mut worker = workers.remove(0);
        let doors = [Door::default(), Door::default()];
        // The spare of the first wait is on its way out of it, idle, or stays for the second one.
        for door in doors {
            let opens = door.clone();
            worker.push(gate.call(move || opens.open()));
            gate.block(&door);
        }
        gate.work_to_the_end(worker);
        gate.join_spares();
        gate.assert_all_ran();
    });
}

#[test]
fn two_workers_that_block_at_once_have_two_spares() {
    // Four threads and five locks: beyond one preemption it takes minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(1);
    model.check(|| {
        let (gate, mut workers) = Gate::new(2, 2, 1);
        let door = Door::default();
        let second = {
            let (gate, door, worker) = (gate.clone(), door.clone(), workers.remove(1));
            thread::spawn(move || {
                gate.block(&door);
                gate.work_to_the_end(worker);
            })
        };
        let opens = door.clone();
        gate.post(gate.call(move || opens.open()));
        gate.block(&door);
        gate.work_to_the_end(workers.remove(0));
        second.join().unwrap();
        gate.join_spares();
        gate.assert_all_ran();
    });
}

#[test]
fn a_drain_ends_when_the_last_awake_is_a_spare_that_goes_idle() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1, 1, usize::MAX);
        let door = Door::default();
        let worker = {
            let (gate, door, worker) = (gate.clone(), door.clone(), workers.remove(0));
            thread::spawn(move || {
                gate.block(&door);
                gate.work_to_the_end(worker);
            })
        };
        // From here the wait is over: the spare may not even have begun.
        door.open();
        gate.drain();
        gate.stop();
        worker.join().unwrap();
        gate.join_spares();
    });
}

/// A call that may be killed or refused, with its token.
fn fallible_call() -> (Token<()>, Runnable) {
    create(&OP, Plain::new(|| ()))
}

#[test]
fn a_stop_ends_spares_wherever_they_are_and_keeps_no_call() {
    loom::model(|| {
        let (gate, mut workers) = Gate::new(1, 1, usize::MAX);
        let door = Door::default();
        let (token, runnable) = fallible_call();
        let stopper = {
            let (gate, door) = (gate.clone(), door.clone());
            thread::spawn(move || {
                door.open();
                // Refused and dropped, or run, or killed.
                drop(gate.domain.post(0, runnable));
                gate.stop();
            })
        };
        gate.block(&door);
        gate.work_to_the_end(workers.remove(0));
        stopper.join().unwrap();
        gate.join_spares();
        assert!(token.is_finished());
    });
}

#[test]
fn what_is_posted_while_a_domain_with_a_stuck_thread_closes_is_resolved() {
    loom::model(|| {
        let (gate, workers) = Gate::new(1, 0, usize::MAX);
        let (token, runnable) = fallible_call();
        let poster = {
            let gate = gate.clone();
            thread::spawn(move || drop(gate.domain.post(0, runnable)))
        };
        // The worker is in a body that never returns: nobody but the shutdown takes anything.
        gate.stop();
        gate.domain.purge();
        gate.domain.close();
        poster.join().unwrap();
        assert!(token.is_finished());
        drop(workers);
    });
}
