//! Fire and forget: a call without a handle goes on, and its failure is never silent.

mod common;

use std::sync::mpsc;

use common::{Drops, OP, Queue};
use tokengate_token::{
    Async, FailureKind, Fallible, FallibleAsync, NoHome, Plain, Ran, TokenError, create,
};

#[test]
fn a_detached_body_runs_and_its_result_is_dropped_once() {
    let drops = Drops::new();
    let (sent, received) = mpsc::channel();
    let result = drops.counted();
    let (token, runnable) = create(
        &OP,
        Plain::new(move || {
            sent.send(1).unwrap();
            result
        }),
    );
    token.detach();
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
    assert_eq!(received.recv(), Ok(1));
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_unread_result_is_dropped_with_its_token() {
    let drops = Drops::new();
    let result = drops.counted();
    let (token, runnable) = create(&OP, Plain::new(move || result));
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(drops.count(), 0);
    drop(token);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_result_that_is_read_is_the_readers() {
    let drops = Drops::new();
    let result = drops.counted();
    let (token, runnable) = create(&OP, Fallible::new(move || Err::<(), _>(result)));
    let _ = runnable.run(&NoHome::shared());
    let Err(TokenError::Failed(result)) = token.get() else {
        panic!("it failed");
    };
    assert_eq!(drops.count(), 0);
    drop(result);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_failure_that_nobody_reads_is_reported_once() {
    for drop_first in [true, false] {
        let queue = Queue::shared();
        let error = queue.spawn(Fallible::new(|| Err::<(), _>(1)));
        let panic = queue.spawn(Plain::new(|| panic!("expected")));
        let future = queue.spawn(FallibleAsync::new(async { Err::<(), _>(1) }));
        let ids = [error.id(), panic.id(), future.id()];
        let tokens: (_, tokengate_token::Token<()>, _) = (error, panic, future);
        if drop_first {
            drop(tokens);
            queue.run_all();
        } else {
            queue.run_all();
            assert_eq!(queue.failures().len(), 0);
            drop(tokens);
        }
        let failures = queue.failures();
        assert_eq!(failures.len(), 3);
        for id in ids {
            assert_eq!(
                failures.iter().filter(|failure| failure.id() == id).count(),
                1
            );
        }
        let of = |id| failures.iter().find(|failure| failure.id() == id).unwrap();
        assert_eq!(of(ids[0]).kind(), &FailureKind::Error);
        assert_eq!(of(ids[1]).kind(), &FailureKind::Panic("expected".into()));
        assert_eq!(of(ids[2]).kind(), &FailureKind::Error);
        let text = of(ids[1]).to_string();
        assert!(
            text.contains("`test.operation` panicked: expected"),
            "{text}"
        );
        assert!(text.contains("ask for its result"), "{text}");
        assert_eq!(of(ids[0]).operation().label(), "test.operation");
    }
}

#[test]
fn what_is_read_or_killed_is_not_reported() {
    let queue = Queue::shared();
    let read = queue.spawn(Fallible::new(|| Err::<(), _>(1)));
    let killed = queue.spawn(Fallible::new(|| Err::<(), _>(1)));
    let fine = queue.spawn(Async::new(async { 1 }));
    assert!(killed.kill("no"));
    queue.run_all();
    assert!(read.get().is_err());
    drop((killed, fine));
    assert_eq!(queue.failures().len(), 0);
}
