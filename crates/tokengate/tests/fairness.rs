//! No token is starved: not the first async body, not a woken one, not what waits in the mailbox.
//!
//! One worker, kept busy without end by bodies that call themselves again; what else is there must
//! get its turn.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use common::{small_gate, value};
use tokengate::{Gate, Handle};

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
