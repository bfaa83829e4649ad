//! Suspension, wake-ups and kills of async bodies under the model checker.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use std::sync::Arc;

use loom::thread;
use loom_common::{Door, Drops, OP, Queue, Wakes, block_on, poll_with};
use tokengate_token::{Async, Ran, TokenError, create};

#[test]
fn no_wake_up_is_lost_against_a_suspension() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, made) = (drops.counted(), drops.maker());
        let wait = door.wait();
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
                made()
            }),
        );
        queue.put(runnable);
        let opener = thread::spawn(move || door.open());
        // Blocks until something is ready: a lost wake-up is a deadlock that the model reports.
        while !token.is_finished() {
            let _ = queue.run_next();
        }
        drop(block_on(token).unwrap());
        opener.join().unwrap();
        assert_eq!(drops.count(), 2);
        queue.assert_left();
    });
}

#[test]
fn a_body_may_suspend_again_while_its_waker_is_still_posting() {
    loom::model(|| {
        let (queue, first, second) = (Queue::shared(), Door::shared(), Door::shared());
        let (waits, then) = (first.wait(), second.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                waits.await;
                then.await;
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        let opener = thread::spawn(move || first.open());
        let _ = queue.run_next();
        assert!(!token.is_finished());
        second.open();
        let _ = queue.run_next();
        assert!(token.is_finished());
        opener.join().unwrap();
        drop(token);
        queue.assert_left();
    });
}

#[test]
fn wake_ups_of_several_threads_give_one_runnable() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        // Opened without a wake-up: it goes on when it is polled next.
        let waker = door.open_silently();
        let other = waker.clone();
        let others = [
            thread::spawn(move || other.wake()),
            thread::spawn(move || waker.wake_by_ref()),
        ];
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(queue.len(), 1);
        let _ = queue.run_next();
        assert!(token.is_finished());
        drop(token);
        assert_eq!(drops.count(), 1);
        queue.assert_left();
    });
}

#[test]
fn late_wakers_do_nothing_but_keep_the_cell() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        let late = door.open_silently();
        late.wake_by_ref();
        let other = thread::spawn(move || {
            let clone = late.clone();
            clone.wake();
            drop(late);
        });
        let _ = queue.run_next();
        assert!(token.is_finished());
        assert_eq!(drops.count(), 1);
        drop(token);
        other.join().unwrap();
        assert_eq!(queue.len(), 0);
        queue.assert_left();
    });
}

#[test]
fn a_kill_during_poll_or_suspension_drops_the_future_once_by_its_owner() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        let home = queue.home();
        let runner = thread::spawn(move || runnable.run(&home));
        assert!(token.kill("mine"));
        let ran = runner.join().unwrap();
        match ran {
            Ran::Tombstone(_) | Ran::Dropped(_) => assert_eq!(queue.len(), 0),
            Ran::Suspended => assert!(matches!(queue.run_next(), Ran::Dropped(_))),
            other => panic!("{other:?}"),
        }
        assert_eq!(drops.count(), 1);
        let result = block_on(token);
        assert!(matches!(result, Err(TokenError::Killed { .. })));
        door.forget();
        queue.assert_left();
    });
}

#[test]
fn a_kill_against_a_wake_up_gives_one_runnable() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (mut token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut token, &waker).is_pending());
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        let opener = thread::spawn(move || door.open());
        let ran = queue.run_next();
        opener.join().unwrap();
        let killed = other.join().unwrap();
        assert_eq!(queue.len(), 0);
        assert_eq!((drops.count(), wakes.count()), (1, 1));
        match (ran, block_on(token)) {
            (Ran::Completed, Ok(())) => assert!(!killed),
            (Ran::Late(_) | Ran::Dropped(_), Err(TokenError::Killed { .. })) => assert!(killed),
            other => panic!("{other:?}"),
        }
        queue.assert_left();
    });
}

#[test]
fn the_last_reference_may_go_anywhere() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        drop(token);
        let seated = queue.seated();
        let killer = thread::spawn(move || seated.kill("by its domain"));
        let opener = thread::spawn(move || door.open());
        let ran = queue.run_next();
        opener.join().unwrap();
        if killer.join().unwrap() {
            assert!(matches!(ran, Ran::Dropped(_) | Ran::Late(_)));
        }
        assert_eq!(queue.len(), 0);
        assert_eq!(drops.count(), 1);
        queue.assert_left();
    });
}

#[test]
fn a_queued_body_may_be_abandoned_and_killed_at_once() {
    loom::model(|| {
        let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
        let (mut body, wait) = (drops.counted(), door.wait());
        let (token, runnable) = create(
            &OP,
            Async::new(async move {
                wait.await;
                body.touch();
            }),
        );
        queue.put(runnable);
        let _ = queue.run_next();
        door.open();
        let runnable = queue.take();
        let killer = token.killer();
        let other = thread::spawn(move || killer.kill("other"));
        drop(runnable);
        other.join().unwrap();
        let result = block_on(token);
        assert!(matches!(result, Err(TokenError::Killed { .. })));
        assert_eq!(drops.count(), 1);
        queue.assert_left();
        assert_eq!(Arc::strong_count(&queue), 1, "the home went with the cell");
    });
}
