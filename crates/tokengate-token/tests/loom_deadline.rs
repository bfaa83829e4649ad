//! A token whose time is over while it starts or ends, under the model checker.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use loom::thread;
use loom_common::{Call, block_on, spawn};
use tokengate_token::{Phase, Ran, TokenError};

#[test]
fn the_end_of_a_wait_competes_with_the_start_and_never_reaches_a_freed_cell() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let deadline = runnable.deadline();
        let timer = thread::spawn(move || deadline.pass(Phase::Waiting));
        let runner = spawn(runnable);
        drop(token);
        let ran = runner.join().unwrap();
        if timer.join().unwrap() {
            assert!(matches!(ran, Ran::Tombstone(_)));
            call.assert_never_ran();
        } else {
            assert!(matches!(ran, Ran::Completed));
            call.assert_ran();
        }
    });
}

#[test]
fn the_end_of_a_time_or_the_result_is_what_the_handle_finds() {
    loom::model(|| {
        let (_call, token, runnable) = Call::sync();
        let deadline = runnable.deadline();
        let timer = thread::spawn(move || deadline.pass(Phase::Executing));
        let runner = spawn(runnable);
        let result = block_on(token);
        let _ = runner.join().unwrap();
        let passed = timer.join().unwrap();
        let timed_out = matches!(result, Err(TokenError::TimedOut { .. }));
        assert!(passed == timed_out && passed == result.is_err());
    });
}
