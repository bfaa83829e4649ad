//! Spares that serve under the model checker: what is handed over runs, whatever the others do.
//!
//! Run by `cargo xtask loom`. Domain, sleepers and spares are the real ones, see `src/model.rs`; who
//! sleeps for ever is reported as a deadlock. Counters are plain atomics of std: they add no steps.

#![cfg(tokengate_loom)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex as StdMutex};

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::{Domain, Engaged, HandedOver, Next, Worker};
use tokengate_scheduler::{NoHome, Operation, Plain, Runnable, create};

static PLAIN: Operation = Operation::new("loom.plain");
static BLOCKING: Operation = Operation::new("loom.blocking").blocking();

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

#[derive(Clone)]
struct Gate {
    domain: Domain,
    stopping: Arc<AtomicBool>,
    spares: Arc<StdMutex<Vec<JoinHandle<()>>>>,
    left: Arc<AtomicUsize>,
}

impl Gate {
    /// `calls` of its calls have to run before it stops.
    fn new(spares: usize, calls: usize) -> (Self, Worker) {
        let (domain, mut workers) = Domain::with_spares(1, 1, spares);
        let gate = Self {
            domain,
            stopping: Arc::new(AtomicBool::new(false)),
            spares: Arc::default(),
            left: Arc::new(AtomicUsize::new(calls)),
        };
        (gate, workers.remove(0))
    }

    /// A call that does `body`; the last of them stops the gate.
    fn call(
        &self,
        operation: &'static Operation,
        body: impl FnOnce(&Self) + Send + 'static,
    ) -> Runnable {
        let gate = self.clone();
        let body = move || {
            body(&gate);
            if gate.left.fetch_sub(1, SeqCst) == 1 {
                gate.stopping.store(true, Release);
                gate.domain.stop();
            }
        };
        create(operation, Plain::new(body)).1
    }

    fn post(&self, runnable: Runnable) {
        self.domain.post(0, runnable).expect("open");
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Acquire)
    }

    /// As the hook of a worker.
    fn execute(&self, runnable: Runnable) {
        if !runnable.operation().is_blocking() {
            let _ = runnable.run(&NoHome::shared());
            return;
        }
        match self.domain.hand_over(runnable) {
            HandedOver::Done => {}
            HandedOver::Start(spare) => self.start(spare),
            HandedOver::Here(runnable, leaves) => {
                let _ = runnable.run(&NoHome::shared());
                if leaves {
                    self.domain.leave();
                }
            }
            HandedOver::Closed(_) => panic!("all calls have to run before the stop"),
        }
    }

    fn work(&self, worker: &mut Worker) {
        while !self.is_stopping() {
            if worker.serves() {
                if let Next::Run(runnable) = worker.next_served(|| ()) {
                    let _ = runnable.run(&NoHome::shared());
                }
            } else if worker.retire(|| ()) {
            } else if let Some(runnable) = worker.next() {
                self.execute(runnable);
            } else if !worker.sleep(|| self.is_stopping()) {
                thread::yield_now();
            }
        }
    }

    fn work_to_the_end(&self, mut worker: Worker) {
        self.work(&mut worker);
        worker.end();
    }

    fn start(&self, spare: Worker) {
        let gate = self.clone();
        let thread = thread::spawn(move || gate.work_to_the_end(spare));
        self.spares.lock().unwrap().push(thread);
    }

    /// As a body on a worker that blocks on a token.
    fn block(&self, door: &Door) {
        match self.domain.engage() {
            Engaged::Done | Engaged::Closed => {}
            Engaged::Start(spare) => self.start(spare),
            Engaged::Exhausted => panic!("there are spares enough"),
        }
        door.wait();
        self.domain.disengage();
    }

    fn end(&self, worker: Worker) {
        self.work_to_the_end(worker);
        while let Some(spare) = { self.spares.lock().unwrap().pop() } {
            spare.join().unwrap();
        }
        assert_eq!(self.left.load(SeqCst), 0);
    }
}

#[test]
fn a_spare_that_goes_idle_misses_nothing_that_is_handed_over() {
    loom::model(|| {
        let (gate, worker) = Gate::new(1, 2);
        gate.post(gate.call(&BLOCKING, |_| ()));
        gate.post(gate.call(&BLOCKING, |_| ()));
        gate.end(worker);
    });
}

#[test]
fn one_that_waits_for_another_gets_it_though_there_is_one_spare() {
    loom::model(|| {
        let (gate, worker) = Gate::new(1, 2);
        let first = gate.call(&BLOCKING, |gate| {
            let door = Door::default();
            let opens = door.clone();
            gate.post(gate.call(&BLOCKING, move |_| opens.open()));
            // As a spare that blocks: the worker runs the other one.
            gate.domain.leave();
            door.wait();
            gate.domain.come_back();
        });
        gate.post(first);
        gate.end(worker);
    });
}

#[test]
fn a_spare_that_retires_serves_what_was_handed_over_meanwhile() {
    loom::model(|| {
        let (gate, worker) = Gate::new(1, 2);
        let door = Door::default();
        let opens = door.clone();
        gate.post(gate.call(&PLAIN, move |_| opens.open()));
        gate.post(gate.call(&BLOCKING, |_| ()));
        // Its only spare takes the place of the worker, hands over or stands in, and retires.
        gate.block(&door);
        gate.end(worker);
    });
}
