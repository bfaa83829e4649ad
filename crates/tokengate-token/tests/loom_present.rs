//! Bodies run by their waiter, and the tokens of a thread reached from others, under the model.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::AcqRel;
use loom::thread;
use loom_common::{Call, Counted, Door, OP, Queue, nowhere};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokengate_token::{
    Async, Deadlock, Operation, Plain, Present, Ran, Token, TokenError, Wait, create, set_wait_hook,
};

static WAITER: Operation = Operation::new("loom.waiter");

thread_local! {
    /// What the hook below runs bodies with; one thread of the model at a time uses it.
    static PRESENT: RefCell<Option<Rc<Present>>> = const { RefCell::new(None) };
}

/// Runs what is awaited here, if it has not started; else waits in the model.
fn run_here(wait: &mut Wait<'_>) -> Result<(), Deadlock> {
    let present = PRESENT.with_borrow(|present| present.clone());
    wait.each_startable(|startable| {
        let present = present.clone().unwrap_or_default();
        let _ = startable.run(&nowhere(), &present);
    });
    while !wait.is_over() {
        thread::yield_now();
    }
    Ok(())
}

/// A token whose body blocks on `awaited`; run at once, with the hook in place.
fn wait_in_a_body(awaited: Token<Counted>) -> Result<(), TokenError> {
    set_wait_hook(Some(run_here));
    let (token, runnable) = create(&WAITER, Plain::new(move || awaited.get().map(drop)));
    assert!(matches!(runnable.run(&nowhere()), Ran::Completed));
    loom_common::block_on(token).expect("nobody killed it")
}

#[test]
fn a_waiter_and_a_runner_start_a_body_once() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let runner = loom_common::spawn(runnable);
        wait_in_a_body(token).unwrap();
        let ran = runner.join().unwrap();
        assert!(matches!(ran, Ran::Completed | Ran::Elsewhere));
        call.assert_ran();
    });
}

#[test]
fn a_waiter_and_a_killer_and_an_abandoned_runnable_end_a_body_once() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let owner = thread::spawn(move || drop(runnable));
        let result = wait_in_a_body(token);
        let killed = other.join().unwrap();
        owner.join().unwrap();
        match result {
            Ok(()) => {
                assert!(!killed);
                call.assert_ran();
            }
            Err(TokenError::Killed { reason }) if reason.as_str() == "other" => assert!(killed),
            Err(_) => {
                assert!(!killed);
                call.assert_never_ran();
            }
        }
        call.assert_gone();
    });
}

#[test]
fn an_abandoned_runnable_leaves_a_body_to_its_waiter() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let owner = thread::spawn(move || drop(runnable));
        match wait_in_a_body(token) {
            Ok(()) => call.assert_ran(),
            Err(_) => call.assert_never_ran(),
        }
        owner.join().unwrap();
        call.assert_gone();
    });
}

#[test]
fn a_token_is_reached_only_while_its_body_runs() {
    loom::model(|| {
        let present = Present::new();
        let others = present.watcher();
        let other = thread::spawn(move || others.kill("shut down").claimed);
        let mut calls = Vec::new();
        let mut resolved = 0;
        for _ in 0..2 {
            let (call, token, runnable) = Call::sync();
            let ran = runnable.run_present(&nowhere(), &present);
            assert!(matches!(ran, Ran::Completed | Ran::Late(_)));
            resolved += usize::from(loom_common::block_on(token).is_ok());
            calls.push(call);
        }
        assert_eq!(other.join().unwrap(), 2 - resolved);
        for call in calls {
            call.assert_ran();
        }
    });
}

#[test]
fn an_async_body_is_reached_in_its_polls() {
    loom::model(|| {
        let (queue, door) = (Queue::shared(), Door::shared());
        let wait = door.wait();
        let (token, runnable) = create(&OP, Async::new(wait));
        let present = Present::new();
        let others = present.watcher();
        let other = thread::spawn(move || others.kill("shut down").claimed);
        let ran = runnable.run_present(&queue.home(), &present);
        let suspended = matches!(ran, Ran::Suspended);
        assert!(suspended || matches!(ran, Ran::Dropped(_)));
        // Of a suspended body the kill comes too late, or it posted it home.
        let killed = other.join().unwrap() == 1;
        assert_eq!(killed, token.is_finished());
        if suspended && !killed {
            token.kill("over");
        }
        if suspended {
            assert!(matches!(queue.run_next(), Ran::Dropped(_)));
        }
        door.forget();
        queue.assert_left();
    });
}

#[test]
fn a_body_stays_reachable_while_another_runs_on_top_of_it() {
    loom::model(|| {
        let present = Rc::new(Present::new());
        let watcher = present.watcher();
        PRESENT.set(Some(present));
        set_wait_hook(Some(run_here));
        let inside = Arc::new(AtomicUsize::new(0));
        let (call, inner, inner_runnable) = Call::sync();
        let body = {
            let inside = inside.clone();
            move || {
                inside.swap(1, AcqRel);
                let result = inner.get().map(drop);
                inside.swap(2, AcqRel);
                result
            }
        };
        let (token, runnable) = create(&WAITER, Plain::new(body));
        let other = thread::spawn(move || {
            // All steps on it are read-modify-writes, so each is before or after the kill.
            let before = inside.fetch_add(0, AcqRel);
            let killed = watcher.kill("shut down");
            let after = inside.fetch_add(0, AcqRel);
            if (before, after) == (1, 1) {
                let of = |label| move |operation: &&&Operation| operation.label() == label;
                let waiters = killed.present.iter().filter(of("loom.waiter")).count();
                assert_eq!(waiters, 1, "its body ran all the time");
            }
            killed.claimed
        });
        let present = PRESENT.with_borrow(|present| present.clone()).unwrap();
        let ran = runnable.run_present(&nowhere(), &present);
        assert!(matches!(ran, Ran::Completed | Ran::Late(_)));
        drop(inner_runnable);
        let killed = other.join().unwrap();
        let waiter = loom_common::block_on(token);
        let ended = match waiter {
            Ok(inner) => usize::from(inner.is_err()),
            // The inner one's outcome went with the late result.
            Err(_) => killed,
        };
        assert_eq!(ended, killed);
        call.assert_ran();
        PRESENT.set(None);
    });
}
