//! No token is starved: not the first async body, not a woken one, not what waits in the mailbox.
//!
//! One worker, kept busy without end by bodies that call themselves again; what else is there must
//! get its turn.

mod common;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use common::{Held, lone_workers, small_gate, value, wait_until};
use tokengate::{Call, Domains, Gate, Handle, Key, Operation, Token};

static PLAIN: Operation = Operation::new("test.plain");
static BLOCKING: Operation = Operation::new("test.blocking").blocking();
static HOT: Operation = Operation::new("test.hot").serial();
static HOT_BLOCKING: Operation = Operation::new("test.hot.blocking").serial().blocking();

/// Keeps a worker's own queue from running empty until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn new(gate: &Gate) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        for _ in 0..3 {
            again(gate.handle(), going.clone());
        }
        Self(going)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

fn again(gate: Handle, going: Arc<AtomicBool>) {
    let body = {
        let gate = gate.clone();
        move || {
            if going.load(SeqCst) {
                again(gate, going);
            }
        }
    };
    gate.spawn("again", body).detach();
}

#[test]
fn a_call_from_outside_gets_its_turn() {
    let gate = small_gate();
    let _busy = Busy::new(&gate);
    assert_eq!(value(gate.spawn("outside", || 7)), 7);
}

#[test]
fn the_first_async_body_gets_its_turn() {
    let gate = small_gate();
    let _busy = Busy::new(&gate);
    assert_eq!(value(gate.spawn_async("first", async { 7 })), 7);
}

#[test]
fn a_woken_body_gets_its_turn() {
    let gate = small_gate();
    // So that the worker has its runtime already.
    value(gate.spawn_async("first", async {}));
    let _busy = Busy::new(&gate);
    let token = gate.spawn_async("woken", async {
        for _ in 0..3 {
            tokio::time::sleep(std::time::Duration::from_micros(10)).await;
            tokio::task::yield_now().await;
        }
        7
    });
    assert_eq!(value(token), 7);
}

#[test]
fn a_body_that_yields_without_end_lets_others_run() {
    let gate = small_gate();
    let yields = gate.spawn_async("yields", async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(value(gate.spawn("sync", || 7)), 7);
    assert_eq!(value(gate.spawn_async("async", async { 8 })), 8);
    assert!(yields.kill("it never ends"));
    let killed: Result<std::convert::Infallible, _> = common::outcome(yields);
    assert!(killed.is_err());
}

/// What ran, in order.
type Order = Arc<Mutex<Vec<&'static str>>>;

/// Many tokens of one lane behind a first one, which is inside until it is released.
fn hot_lane(
    gate: &Gate,
    operation: &'static Operation,
    order: &Order,
    others: impl FnOnce() -> Vec<Token<()>>,
) -> (Held, Vec<Token<()>>) {
    let call = || Call::new(operation).with_key(Key::of("test.hot", &1));
    let first = Held::new(&gate.handle(), call());
    let hot = || {
        let order = order.clone();
        gate.spawn(call(), move || order.lock().unwrap().push("hot"))
    };
    let mut tokens: Vec<_> = (0..500).map(|_| hot()).collect();
    tokens.extend(others());
    tokens.extend((0..500).map(|_| hot()));
    (first, tokens)
}

fn assert_is_early(order: &Order) {
    let order = order.lock().unwrap();
    let last = order.iter().rposition(|&it| it == "other").unwrap();
    assert!(last < 100, "{last} bodies ran before");
}

#[test]
fn a_lane_of_bodies_that_block_gives_its_only_spare_to_others() {
    let one_worker = Gate::builder().domains(lone_workers(1));
    let gate = one_worker.max_spares(1).start().unwrap();
    let order = Order::default();
    let other = || {
        let order = order.clone();
        vec![gate.spawn(&BLOCKING, move || order.lock().unwrap().push("other"))]
    };
    let (first, tokens) = hot_lane(&gate, &HOT_BLOCKING, &order, other);
    wait_until("the worker has come upon all of them", || {
        gate.stats().waiting_in_lanes() == 1_000
    });
    first.release();
    tokens.into_iter().for_each(value);
    assert_is_early(&order);
}

#[test]
fn a_lane_gives_way_to_the_other_mailboxes_of_its_domain() {
    let cpus = tokengate_scheduler::topology::Machine::detect();
    let [one, another, ..] = cpus.cpus() else {
        println!("skipped: two workers of a domain need two CPUs");
        return;
    };
    let domains = Domains::Custom(vec![vec![one.id, another.id]]);
    let gate = Gate::builder().domains(domains).start().unwrap();
    if gate.plan().worker_count() < 2 {
        println!("skipped: the CPU quota leaves one worker");
        return;
    }
    // The other worker comes to nothing.
    let held = Held::new(&gate.handle(), &PLAIN);
    let order = Order::default();
    let others = || {
        let other = |_| {
            let order = order.clone();
            gate.spawn(&PLAIN, move || order.lock().unwrap().push("other"))
        };
        // In both mailboxes.
        (0..4).map(other).collect()
    };
    let (first, tokens) = hot_lane(&gate, &HOT, &order, others);
    first.release();
    tokens.into_iter().for_each(value);
    held.release();
    assert_is_early(&order);
}
