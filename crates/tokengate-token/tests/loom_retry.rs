//! Retries under the model checker: against kills, late wakers, and a handle that waits or lets go.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Mutex;
use loom::thread;
use loom_common::{Counted, Door, Drops, Queue, Wakes, block_on, nowhere, poll_with};
use tokengate_token::{
    Home, Operation, Phase, Ran, Retried, Retry, Runnable, Token, TokenError, TokenView, create,
};

static TWICE: Operation = Operation::new("loom.twice").with_retry(Retry::new(2));

/// A body that fails once, with a counted argument and counted results.
fn twice(drops: &Drops) -> (Token<Counted, Counted>, Runnable) {
    let (mut argument, made) = (drops.counted(), drops.clone());
    let body = Retried::fallible(move |attempt| {
        argument.touch();
        let result = made.counted();
        if attempt.is_last() {
            Ok(result)
        } else {
            Err(result)
        }
    });
    create(&TWICE, body)
}

/// Runs all attempts; how many ended in a retry, and what came last.
fn run(mut runnable: Runnable, home: &Arc<dyn Home>) -> (usize, Ran) {
    let mut retries = 0;
    loop {
        match runnable.run(home) {
            Ran::Retry(again) => {
                retries += 1;
                runnable = again;
            }
            ran => return (retries, ran),
        }
    }
}

#[test]
fn a_kill_comes_before_during_or_between_attempts_and_is_final() {
    loom::model(|| {
        let drops = Drops::default();
        let (token, runnable) = twice(&drops);
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let (retries, ran) = run(runnable, &nowhere());
        let killed = other.join().unwrap();
        let results = match (retries, &ran) {
            (0, Ran::Tombstone(_)) => 0,
            // Killed in the first attempt, or after it.
            (0, Ran::Late(_) | Ran::Dropped(_)) | (1, Ran::Tombstone(_)) => 1,
            // Killed in the second attempt, or not at all.
            (1, Ran::Completed | Ran::Late(_)) => 2,
            other => panic!("{other:?}"),
        };
        match block_on(token) {
            Ok(_) => assert!(!killed && matches!(ran, Ran::Completed)),
            Err(_) => assert!(killed),
        }
        assert_eq!(drops.count(), 1 + results);
    });
}

#[test]
fn a_runnable_that_waits_comes_out_when_its_token_is_killed() {
    /// Keeps what is between attempts until it is told to let it go.
    #[derive(Default)]
    struct Waits(Mutex<Option<Runnable>>);
    impl Home for Waits {
        fn post(&self, _: Runnable) {}
        fn ended_between_attempts(&self, _: &TokenView) {
            let waiting = self.0.lock().unwrap().take();
            drop(waiting);
        }
    }
    loom::model(|| {
        let drops = Drops::default();
        let (token, runnable) = twice(&drops);
        let waits = Arc::new(Waits::default());
        let home: Arc<dyn Home> = waits.clone();
        let runner = thread::spawn(move || {
            let Ran::Retry(again) = runnable.run(&home) else {
                return;
            };
            let mut waiting = waits.0.lock().unwrap();
            if again.has_ended() {
                drop(waiting);
                drop(again);
            } else {
                *waiting = Some(again);
            }
        });
        assert!(token.kill("mine"));
        runner.join().unwrap();
        drop(token);
        // All of it is gone: the runnable was not left waiting, which would hold the cell.
        assert!(drops.count() == 1 || drops.count() == 2);
    });
}

#[test]
fn a_time_limit_of_an_attempt_does_not_end_the_next_one() {
    loom::model(|| {
        let drops = Drops::default();
        let (token, runnable) = twice(&drops);
        let deadline = runnable.deadline();
        let timer = thread::spawn(move || deadline.pass(Phase::Executing));
        let (retries, _) = run(runnable, &nowhere());
        let passed = timer.join().unwrap();
        match block_on(token) {
            Ok(_) => assert!(!passed && retries == 1),
            Err(TokenError::TimedOut { attempt, .. }) => {
                assert!(passed && retries == 0 && attempt == 1);
            }
            Err(_) => panic!("nobody else ends it"),
        }
    });
}

#[test]
fn a_waiter_is_woken_by_the_last_attempt() {
    loom::model(|| {
        let drops = Drops::default();
        let (mut token, runnable) = twice(&drops);
        let (wakes, waker) = Wakes::new();
        let runner = thread::spawn(move || run(runnable, &nowhere()).0);
        let ready = poll_with(&mut token, &waker).map(drop);
        assert_eq!(runner.join().unwrap(), 1);
        assert_eq!(wakes.count(), usize::from(ready.is_pending()));
        drop((token, waker));
        assert!(wakes.is_last());
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_handle_lets_go_while_the_body_runs_again() {
    loom::model(|| {
        let drops = Drops::default();
        let (token, runnable) = twice(&drops);
        let runner = thread::spawn(move || run(runnable, &nowhere()).0);
        drop(token);
        assert_eq!(runner.join().unwrap(), 1);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_waker_of_a_failed_attempt_does_no_harm_in_the_next_one() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (waits, made) = (door.clone(), drops.clone());
        let body = Retried::fallible_future(move |attempt| {
            let (wait, mut counted) = (waits.wait(), made.counted());
            async move {
                wait.await;
                counted.touch();
                if attempt.is_last() { Ok(()) } else { Err(()) }
            }
        });
        let (token, runnable) = create(&TWICE, body);
        queue.put(runnable);
        let _ = queue.run_next();
        // Open from now on: the attempts need no further wake-up.
        let waker = door.open_silently();
        let late = waker.clone();
        let other = thread::spawn(move || late.wake());
        waker.wake();
        let mut last = queue.run_next();
        while let Ran::Retry(again) = last {
            queue.put(again);
            last = queue.run_next();
        }
        assert!(matches!(last, Ran::Completed));
        other.join().unwrap();
        block_on(token).unwrap();
        assert_eq!(drops.count(), 2);
        queue.assert_left();
    });
}

#[test]
fn a_seat_is_left_though_its_token_is_killed_between_attempts() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (waits, made) = (door.clone(), drops.clone());
        let (begun, mut argument) = (Arc::new(AtomicUsize::new(0)), drops.counted());
        let counts = begun.clone();
        let body = Retried::fallible_future(move |_| {
            counts.fetch_add(1, SeqCst);
            argument.touch();
            let (wait, mut counted) = (waits.wait(), made.counted());
            async move {
                wait.await;
                counted.touch();
                Err::<(), _>(())
            }
        });
        let (token, runnable) = create(&TWICE, body);
        queue.put(runnable);
        let _ = queue.run_next();
        door.open();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let mut last = queue.run_next();
        while let Ran::Retry(again) = last {
            queue.put(again);
            last = queue.run_next();
        }
        let killed = other.join().unwrap();
        match last {
            Ran::Failed => {}
            Ran::Late(_) | Ran::Dropped(_) | Ran::Tombstone(_) => assert!(killed),
            other => panic!("{other:?}"),
        }
        drop(token);
        assert_eq!(drops.count(), 1 + begun.load(SeqCst));
        queue.assert_left();
    });
}
