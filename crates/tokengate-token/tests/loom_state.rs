//! The token-state protocol under the model checker: every interleaving of its parties, bounded.
//!
//! Run by `cargo xtask loom`. The real cell is driven through the public API. Freed cells are
//! checked by loom itself: each is an allocation that it tracks, and its parts end with it.

#![cfg(tokengate_loom)]

mod loom_common;

use std::task::Poll;

use loom::thread;
use loom_common::{Call, Drops, Flag, Queue, Wakes, block_on, poll_with, spawn};
use tokengate_token::{
    Async, Fallible, Outcome, Plain, Ran, TokenError, TokenState, cancelled, create, join_all,
};

#[test]
fn a_waiter_gets_the_result_of_a_run() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let runner = spawn(runnable);
        let result = block_on(token);
        drop(result.expect("nobody killed it"));
        assert!(matches!(runner.join().unwrap(), Ran::Completed));
        call.assert_ran();
    });
}

#[test]
fn a_handle_that_looks_without_waiting_frees_or_leaves_the_cell() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let runner = spawn(runnable);
        if token.is_finished() {
            drop(block_on(token));
        } else {
            drop(token);
        }
        assert!(matches!(runner.join().unwrap(), Ran::Completed));
        call.assert_ran();
    });
}

#[test]
fn halves_let_go_in_any_order() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let runner = thread::spawn(move || drop(runnable));
        drop(token);
        runner.join().unwrap();
        call.assert_never_ran();
    });
}

#[test]
fn a_start_is_claimed_by_the_runner_or_by_the_killer() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        let runner = spawn(runnable);
        let other = thread::spawn(move || killer.kill("other"));
        drop(token);
        let ran = runner.join().unwrap();
        let killed = other.join().unwrap();
        match ran {
            Ran::Completed => {
                assert!(!killed);
                call.assert_ran();
            }
            Ran::Late(Outcome::Killed) => {
                assert!(killed);
                call.assert_ran();
            }
            Ran::Tombstone(Outcome::Killed) => {
                assert!(killed);
                call.assert_never_ran();
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_killers_word_or_the_result_is_what_the_handle_finds() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        let runner = spawn(runnable);
        let other = thread::spawn(move || killer.kill("other"));
        let result = block_on(token);
        let ran = runner.join().unwrap();
        let killed = other.join().unwrap();
        match result {
            Ok(value) => {
                assert!(!killed && matches!(ran, Ran::Completed));
                drop(value);
            }
            Err(TokenError::Killed { reason }) => {
                assert!(killed);
                assert_eq!(reason.as_str(), "other");
            }
            Err(error) => panic!("{error}"),
        }
        match ran {
            Ran::Completed | Ran::Late(_) => call.assert_ran(),
            _ => call.assert_never_ran(),
        }
    });
}

#[test]
fn of_two_kills_and_an_abandoned_runnable_one_wins() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let owner = thread::spawn(move || drop(runnable));
        let mine = token.kill("mine");
        let Err(TokenError::Killed { reason }) = block_on(token) else {
            panic!("nobody ran it");
        };
        let theirs = other.join().unwrap();
        owner.join().unwrap();
        assert!(!(mine && theirs));
        match reason.as_str() {
            "mine" => assert!(mine),
            "other" => assert!(theirs),
            _ => assert!(!mine && !theirs),
        }
        call.assert_never_ran();
    });
}

#[test]
fn a_killer_never_reaches_a_freed_cell() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let ran = runnable.run(&loom_common::nowhere());
        let resolved = block_on(token).is_ok();
        let killed = other.join().unwrap();
        assert_eq!(resolved, !killed);
        match ran {
            Ran::Completed | Ran::Late(_) => call.assert_ran(),
            _ => call.assert_never_ran(),
        }
    });
}

#[test]
fn a_killer_and_a_runner_may_be_the_last_ones() {
    loom::model(|| {
        let (call, token, runnable) = Call::sync();
        let killer = token.killer();
        drop(token);
        let other = thread::spawn(move || killer.kill("other"));
        let ran = runnable.run(&loom_common::nowhere());
        let killed = other.join().unwrap();
        match ran {
            Ran::Completed | Ran::Late(_) => call.assert_ran(),
            _ => {
                assert!(killed);
                call.assert_never_ran();
            }
        }
    });
}

#[test]
fn a_running_body_sees_its_kill() {
    loom::model(|| {
        let seen = std::sync::Arc::new(Flag::default());
        let flag = seen.clone();
        let (token, runnable) = create(
            &loom_common::OP,
            Plain::new(move || {
                if cancelled() {
                    flag.set();
                }
            }),
        );
        let runner = spawn(runnable);
        let killed = token.kill("mine");
        let state = token.state();
        assert_eq!(killed, state == TokenState::Killed);
        let ran = runner.join().unwrap();
        // Cancelled is seen by a body that ran while the kill was done before it looked.
        if seen.is_set() {
            assert!(killed && matches!(ran, Ran::Late(Outcome::Killed)));
        }
        drop(token);
    });
}

#[test]
fn the_last_waker_is_woken_while_the_token_completes() {
    loom::model(|| {
        let (call, mut token, runnable) = Call::sync();
        let (first, first_waker) = Wakes::new();
        let (last, last_waker) = Wakes::new();
        let runner = spawn(runnable);
        let mut ready = poll_with(&mut token, &first_waker).map(drop);
        if ready.is_pending() {
            ready = poll_with(&mut token, &last_waker).map(drop);
        }
        assert!(matches!(runner.join().unwrap(), Ran::Completed));
        if ready.is_pending() {
            assert_eq!((first.count(), last.count()), (0, 1));
            let Poll::Ready(result) = poll_with(&mut token, &last_waker) else {
                panic!("it was woken");
            };
            drop(result);
        } else {
            assert_eq!(last.count(), 0);
        }
        drop((first_waker, last_waker, token));
        assert!(first.is_last() && last.is_last());
        call.assert_ran();
    });
}

#[test]
fn the_last_waker_is_woken_while_the_token_is_killed() {
    loom::model(|| {
        let (call, mut token, runnable) = Call::sync();
        let (first, first_waker) = Wakes::new();
        let (last, last_waker) = Wakes::new();
        let killer = token.killer();
        let other = thread::spawn(move || assert!(killer.kill("other")));
        let mut ready = poll_with(&mut token, &first_waker).map(drop);
        if ready.is_pending() {
            ready = poll_with(&mut token, &last_waker).map(drop);
        }
        other.join().unwrap();
        if ready.is_pending() {
            assert_eq!((first.count(), last.count()), (0, 1));
        }
        drop((first_waker, last_waker, token, runnable));
        assert!(first.is_last() && last.is_last());
        call.assert_never_ran();
    });
}

#[test]
fn the_waker_of_a_handle_that_lets_go_is_dropped_once() {
    loom::model(|| {
        let (call, mut token, runnable) = Call::sync();
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut token, &waker).is_pending());
        let killer = token.killer();
        let runner = spawn(runnable);
        let other = thread::spawn(move || killer.kill("other"));
        drop((token, waker));
        let ran = runner.join().unwrap();
        other.join().unwrap();
        assert!(wakes.is_last());
        assert!(wakes.count() <= 1);
        match ran {
            Ran::Completed | Ran::Late(_) => call.assert_ran(),
            _ => call.assert_never_ran(),
        }
    });
}

#[test]
fn a_failure_is_read_or_reported_and_never_both() {
    loom::model(|| {
        let queue = Queue::shared();
        let (mut token, runnable) =
            create(&loom_common::OP, Fallible::new(|| Err::<(), _>("expected")));
        let home = queue.home();
        let runner = thread::spawn(move || runnable.run(&home));
        let (_wakes, waker) = Wakes::new();
        let read = poll_with(&mut token, &waker).is_ready();
        drop(token);
        assert!(matches!(runner.join().unwrap(), Ran::Failed));
        assert_eq!(queue.failures(), usize::from(!read));
    });
}

#[test]
fn join_all_is_woken_once_when_all_have_resolved() {
    loom::model(|| {
        let drops = Drops::default();
        let (first, first_runnable) = create(&loom_common::OP, Plain::new(drops.maker()));
        let (second, second_runnable) = create(&loom_common::OP, Plain::new(drops.maker()));
        let mut all = join_all([first, second]);
        let runners = [spawn(first_runnable), spawn(second_runnable)];
        let (wakes, waker) = Wakes::new();
        let ready = poll_with(&mut all, &waker).map(|results| results.len());
        for runner in runners {
            let _ = runner.join().unwrap();
        }
        match ready {
            Poll::Ready(count) => assert_eq!((count, wakes.count()), (2, 0)),
            Poll::Pending => {
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(results) = poll_with(&mut all, &waker) else {
                    panic!("it was woken");
                };
                assert!(results.iter().all(Result::is_ok) && results.len() == 2);
            }
        }
        drop((all, waker));
        assert!(wakes.is_last());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn join_all_polled_again_wakes_its_last_waker() {
    loom::model(|| {
        let (token, runnable) = create(&loom_common::OP, Plain::new(|| 1));
        let (killed, killed_runnable) = create(&loom_common::OP, Plain::new(|| 2));
        let mut all = join_all([token, killed]);
        let (first, first_waker) = Wakes::new();
        let (last, last_waker) = Wakes::new();
        assert!(poll_with(&mut all, &first_waker).is_pending());
        let runner = spawn(runnable);
        drop(killed_runnable);
        let ready = poll_with(&mut all, &last_waker).map(drop);
        let _ = runner.join().unwrap();
        assert!(ready.is_ready() || last.count() == 1);
        assert!(last.count() <= 1 && first.count() <= 1);
        drop(all);
    });
}

#[test]
fn an_async_body_that_is_not_suspended_resolves_like_a_sync_one() {
    loom::model(|| {
        let drops = Drops::default();
        let body = drops.maker();
        let (token, runnable) = create(&loom_common::OP, Async::new(async { body() }));
        let killer = token.killer();
        let runner = spawn(runnable);
        let other = thread::spawn(move || killer.kill("other"));
        let ran = runner.join().unwrap();
        let killed = other.join().unwrap();
        assert_eq!(block_on(token).is_ok(), !killed);
        let made = !matches!(ran, Ran::Tombstone(_));
        assert_eq!(drops.count(), usize::from(made));
    });
}
