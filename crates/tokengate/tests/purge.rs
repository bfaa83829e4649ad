//! A purge ends what has not started before it returns, and nothing else.

mod common;

use common::{Held, Latch, elsewhere, lone_workers, outcome, small_gate, value, wait_until};
use tokengate::{
    Call, Gate, Handle, Key, Operation, Token, TokenError, TokenState, Weight, get_all,
};

static OP: Operation = Operation::new("test.operation");
static OTHER: Operation = Operation::new("test.other");
static SERIAL: Operation = Operation::new("test.serial").serial();
static HEAVY: Operation = Operation::new("test.heavy").with_weight(Weight::Heavy);

fn serial(key: u64) -> Call {
    Call::new(&SERIAL).with_key(Key::of("test", &key))
}

/// Waits until a worker has set the token aside.
fn wait_until_aside<T>(token: &Token<T>) {
    wait_until("a worker sets the token aside", || {
        token.state() == TokenState::Waiting
    });
}

fn reason_of<T: std::fmt::Debug>(token: Token<T>) -> String {
    match outcome(token) {
        Err(TokenError::Killed { reason }) => reason.as_str().to_owned(),
        other => panic!("not killed: {other:?}"),
    }
}

#[test]
fn a_purge_ends_what_has_not_started_before_it_returns() {
    let gate = small_gate();
    gate.pause_operation("test.other");
    let aside: Vec<_> = (0..10).map(|_| gate.spawn(&OTHER, || ())).collect();
    aside.iter().for_each(wait_until_aside);
    let held = Held::new(&gate.handle(), &HEAVY);
    let in_lane: Vec<_> = (0..100).map(|_| gate.spawn(serial(1), || ())).collect();
    let queued: Vec<_> = (0..1_000).map(|_| gate.spawn(&OP, || ())).collect();
    assert_eq!(gate.purge("test"), 1_110);
    for token in aside.into_iter().chain(in_lane).chain(queued) {
        assert!(token.is_finished(), "it is ended before the purge returns");
        assert_eq!(reason_of(token), "test");
    }
    assert!(gate.sticky().snapshot().is_empty());
    let later = gate.spawn(&OP, || 5);
    held.release();
    assert_eq!(value(later), 5);
}

#[test]
fn a_purge_leaves_what_has_started() {
    let gate = small_gate();
    let polled = Latch::new();
    let (go_on, told) = smol::channel::bounded(1);
    let started = {
        let polled = polled.clone();
        gate.spawn_async(&OP, async move {
            polled.open();
            let () = told.recv().await.expect("it is told to go on");
            9
        })
    };
    polled.wait();
    let held = Held::new(&gate.handle(), &HEAVY);
    // Woken: its runnable is queued behind the held worker.
    go_on.send_blocking(()).expect("it listens");
    assert_eq!(gate.purge("test"), 0);
    held.release();
    assert_eq!(value(started), 9);
}

#[test]
fn a_purge_reaches_the_batches_of_its_own_thread() {
    let gate = small_gate();
    let tokens = gate.batch(|| {
        let tokens: Vec<_> = (0..10).map(|_| gate.spawn(&OP, || ())).collect();
        gate.purge("test");
        tokens
    });
    // A worker may have been quicker.
    for result in get_all(tokens) {
        assert!(matches!(result, Ok(()) | Err(TokenError::Killed { .. })));
    }
}

/// Calls more than one when it is dropped.
struct CallsInDrop(Handle);

impl Drop for CallsInDrop {
    fn drop(&mut self) {
        (0..2).for_each(|_| self.0.spawn(&OTHER, || ()).detach());
    }
}

#[test]
fn a_destructor_that_a_purge_runs_needs_no_room_to_call() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(1)
        .start()
        .unwrap();
    gate.pause();
    let calls = CallsInDrop(gate.handle());
    let token = gate.spawn(&OP, move || drop(calls));
    let handle = gate.handle();
    // Nobody else gives room back.
    elsewhere(move || handle.purge("test"));
    assert_eq!(reason_of(token), "test");
}
