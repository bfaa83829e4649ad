//! A token whose time is over: ended in its phase or left alone, once, and never reached when gone.

mod common;

use std::sync::mpsc::channel;

use common::{Drops, OP};
use tokengate_token::{
    Deadline, NoHome, Outcome, Phase, Plain, Ran, TokenError, TokenState, cancelled, create,
};

#[test]
fn a_wait_that_is_over_drops_the_body_at_once() {
    let drops = Drops::new();
    let argument = drops.counted();
    let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
    let deadline = runnable.deadline();
    assert!(deadline.pass(Phase::Waiting));
    assert!(!deadline.pass(Phase::Waiting) && !token.kill("late"));
    assert_eq!((drops.count(), token.state()), (1, TokenState::TimedOut));
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Tombstone(_)));
    let Err(TokenError::TimedOut { phase, attempt, .. }) = token.get() else {
        panic!("its time was over");
    };
    assert_eq!((phase, attempt), (Phase::Waiting, 1));
}

#[test]
fn the_end_of_a_wait_leaves_a_started_body_alone_and_that_of_an_execution_does_not() {
    let (sender, receiver) = channel::<Deadline>();
    let body = move || {
        let own = receiver.recv().unwrap();
        let wait = own.pass(Phase::Waiting);
        let before = cancelled();
        let execution = own.pass(Phase::Executing);
        assert_eq!(
            [wait, before, execution, cancelled()],
            [false, false, true, true]
        );
    };
    let (token, runnable) = create(&OP, Plain::new(body));
    sender.send(runnable.deadline()).unwrap();
    // The late result would be that of a panic.
    assert!(matches!(
        runnable.run(&NoHome::shared()),
        Ran::Late(Outcome::TimedOut)
    ));
    let Err(TokenError::TimedOut { phase, .. }) = token.get() else {
        panic!("its time was over");
    };
    assert_eq!(phase, Phase::Executing);
}

#[test]
fn a_token_that_is_gone_is_not_reached() {
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let deadline = runnable.deadline();
    let _ = runnable.run(&NoHome::shared());
    assert!(!deadline.pass(Phase::Executing));
    assert_eq!(token.get().unwrap(), 1);
    assert!(!deadline.pass(Phase::Executing) && !deadline.pass(Phase::Waiting));
}
