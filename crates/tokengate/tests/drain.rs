//! A drain lets everything finish, and says what it could not wait for.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{HANG, Held, Latch, outcome, small_gate, value, wait_until, wide_gate};
use tokengate::{
    Attempt, Call, Handle, Key, Operation, Retried, Retry, Token, TokenError, TokenState,
};

static OP: Operation = Operation::new("test.operation");
static OTHER: Operation = Operation::new("test.other");
static SERIAL: Operation = Operation::new("test.serial").serial();
static LATER: Operation =
    Operation::new("test.later").with_retry(Retry::new(2).with_backoff(Duration::from_secs(3_600)));

fn current() -> Handle {
    Handle::current().expect("in a body")
}

#[test]
fn a_drain_ends_with_what_is_paused_and_says_so() {
    let gate = small_gate();
    gate.pause_operation("test.operation");
    let paused: Vec<_> = (0..5).map(|_| gate.spawn(&OP, || ())).collect();
    let other = gate.spawn(&OTHER, || 3);
    let report = gate.drain(HANG);
    assert!(report.finished);
    assert_eq!(report.paused, 5);
    assert!(other.is_finished());
    let refused = gate.spawn(&OTHER, || ());
    assert!(matches!(outcome(refused), Err(TokenError::Rejected(_))));
    gate.resume_operation("test.operation");
    paused.into_iter().for_each(value);
    let report = gate.drain(HANG);
    assert!(report.finished && report.paused == 0);
}

#[test]
fn a_drain_is_over_when_its_time_is() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &OP);
    let report = gate.drain(Duration::ZERO);
    assert!(!report.finished);
    held.release();
    assert!(gate.drain(HANG).finished);
}

#[test]
fn a_drain_lets_bodies_call() {
    let gate = small_gate();
    let go_on = Latch::new();
    let parent = {
        let go_on = go_on.clone();
        gate.spawn(&OP, move || {
            go_on.wait();
            current().spawn(&OTHER, || 4).get()
        })
    };
    let drained = std::thread::scope(|scope| {
        let drain = scope.spawn(|| gate.drain(HANG));
        go_on.open();
        drain.join().expect("a drain does not panic")
    });
    assert!(drained.finished);
    assert_eq!(value(parent).expect("a value"), 4);
}

#[test]
fn a_drain_in_a_body_of_its_own_does_not_wait_for_itself() {
    let gate = Arc::new(small_gate());
    let token = {
        let gate = gate.clone();
        gate.clone().spawn(&OP, move || gate.drain(HANG).finished)
    };
    assert!(!value(token));
}

#[test]
fn a_drain_waits_for_the_open_batches_of_other_threads() {
    let gate = wide_gate();
    let serial = || Call::new(&SERIAL).with_key(Key::of("test", &1));
    let (made, close) = (Latch::new(), Latch::new());
    let (holder, behind, report) = std::thread::scope(|scope| {
        let batch = {
            let (gate, made, close) = (&gate, made.clone(), close.clone());
            scope.spawn(move || {
                gate.batch(|| {
                    let holder = gate.spawn(serial(), || 1);
                    made.open();
                    close.wait();
                    holder
                })
            })
        };
        made.wait();
        // In the lane of a token that is not published.
        let behind = gate.spawn(serial(), || 2);
        assert_eq!(behind.state(), TokenState::Waiting);
        assert!(!gate.drain(Duration::ZERO).finished);
        let drain = scope.spawn(|| gate.drain(HANG));
        close.open();
        let holder = batch.join().expect("a batch does not panic");
        (
            holder,
            behind,
            drain.join().expect("a drain does not panic"),
        )
    });
    assert!(report.finished);
    assert!(holder.is_finished() && behind.is_finished());
    assert_eq!((value(holder), value(behind)), (1, 2));
}

/// Fails, and waits an hour for its second attempt; when its body is dropped it says so, and waits.
fn backing_off(gate: &Handle, dropped: &Latch, go_on: &Latch) -> Token<(), ()> {
    struct WaitsInDrop(Latch, Latch);
    impl Drop for WaitsInDrop {
        fn drop(&mut self) {
            self.0.open();
            self.1.wait();
        }
    }
    let argument = WaitsInDrop(dropped.clone(), go_on.clone());
    let body = Retried::fallible(move |_: Attempt| {
        let _ = &argument;
        Err(())
    });
    let token = gate.submit(&LATER, body);
    wait_until("its first attempt has failed", || {
        token.status().attempt == 2
    });
    // On the same worker: the token backs off when this has run.
    value(gate.spawn(&OTHER, || ()));
    token
}

#[test]
fn a_drain_waits_for_a_purge_and_ends_with_it() {
    let gate = small_gate();
    let (dropped, go_on) = (Latch::new(), Latch::new());
    let token = backing_off(&gate.handle(), &dropped, &go_on);
    let report = std::thread::scope(|scope| {
        // Nothing but the purge ends it: all workers are parked by then, or about to be.
        let drain = scope.spawn(|| gate.drain(HANG));
        wait_until("the drain refuses calls", || {
            outcome(gate.spawn(&OTHER, || ())).is_err()
        });
        let purge = scope.spawn(|| gate.purge("test"));
        dropped.wait();
        assert!(!gate.drain(Duration::ZERO).finished);
        go_on.open();
        assert_eq!(purge.join().expect("a purge does not panic"), 1);
        drain.join().expect("a drain does not panic")
    });
    assert!(report.finished);
    assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
}
