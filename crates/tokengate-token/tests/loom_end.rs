//! The end of suspended bodies by their home, under the model checker.
//!
//! A gate that ends kills what is suspended, through the references that it keeps, while wakers are
//! used and handles are polled or dropped. Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use loom::thread::{self, JoinHandle};
use loom_common::{Door, Drops, OP, Queue, Wakes, block_on, poll_with};
use tokengate_token::{Async, Ran, TaskRef, Token, TokenError, cancelled, create};

/// A suspended body that waits at a door, and counts its drop.
struct Suspended {
    queue: Arc<Queue>,
    door: Arc<Door>,
    drops: Drops,
    token: Token<()>,
}

fn suspended() -> Suspended {
    let (queue, door, drops) = (Queue::shared(), Door::shared(), Drops::default());
    let (mut body, mut wait) = (drops.counted(), door.wait());
    let body = poll_fn(move |context| {
        let polled = Pin::new(&mut wait).poll(context);
        body.touch();
        assert!(!cancelled(), "ended by its home while it is polled");
        polled
    });
    let (token, runnable) = create(&OP, Async::new(body));
    queue.put(runnable);
    assert!(matches!(queue.run_next(), Ran::Suspended));
    Suspended {
        queue,
        door,
        drops,
        token,
    }
}

fn kill_elsewhere(task: TaskRef) -> JoinHandle<bool> {
    thread::spawn(move || task.kill_suspended("its home ends"))
}

/// One runnable came out of it, and the body is gone, once, with all that belonged to it.
fn assert_gone(queue: &Arc<Queue>, drops: &Drops) {
    assert_eq!(queue.len(), 0);
    assert_eq!(drops.count(), 1);
    queue.assert_left();
    assert_eq!(Arc::strong_count(queue), 1, "the home went with the cell");
}

#[test]
fn its_waker_and_its_end_give_one_runnable_while_the_handle_lets_go() {
    loom::model(|| {
        let Suspended {
            queue,
            door,
            drops,
            token,
        } = suspended();
        let killer = kill_elsewhere(queue.seated());
        let opener = thread::spawn(move || door.open());
        drop(token);
        let ran = queue.run_next();
        opener.join().unwrap();
        match (killer.join().unwrap(), ran) {
            (true, Ran::Dropped(_)) | (false, Ran::Completed) => {}
            other => panic!("{other:?}"),
        }
        assert_gone(&queue, &drops);
    });
}

#[test]
fn its_end_against_its_waker_wakes_the_last_waiter() {
    loom::model(|| {
        let Suspended {
            queue,
            door,
            drops,
            mut token,
        } = suspended();
        let (first, waker) = Wakes::new();
        assert!(poll_with(&mut token, &waker).is_pending());
        drop(waker);
        let killer = kill_elsewhere(queue.seated());
        let (last, waker) = Wakes::new();
        let polled = poll_with(&mut token, &waker);
        drop(waker);
        door.open();
        let ran = queue.run_next();
        let killed = killer.join().unwrap();
        let result = match polled {
            Poll::Ready(result) => result,
            Poll::Pending => {
                assert_eq!((first.count(), last.count()), (0, 1));
                block_on(token)
            }
        };
        assert!(first.count() <= 1);
        match (killed, ran, result) {
            (true, Ran::Dropped(_), Err(TokenError::Killed { .. }))
            | (false, Ran::Completed, Ok(())) => {}
            other => panic!("{other:?}"),
        }
        assert!(first.is_last() && last.is_last());
        assert_gone(&queue, &drops);
    });
}

#[test]
fn a_body_that_is_being_polled_is_left_alone_and_ended_by_the_next_look() {
    loom::model(|| {
        let Suspended {
            queue,
            door,
            drops,
            token,
        } = suspended();
        let seated = queue.seated();
        // Woken, but it has to wait again: the door stays shut.
        door.knock();
        let runner = {
            let (queue, seated) = (queue.clone(), seated.clone());
            thread::spawn(move || {
                let ran = queue.run_next();
                // As a worker that sees the stop after the poll.
                (ran, seated.kill_suspended("its home ends"))
            })
        };
        let killed = seated.kill_suspended("its home ends");
        let (ran, killed_after) = runner.join().unwrap();
        drop(seated);
        match (killed, killed_after, ran) {
            // Queued by the waker, and killed there: whoever takes it drops it.
            (true, false, Ran::Dropped(_)) => {}
            (true, false, Ran::Suspended) | (false, true, Ran::Suspended) => {
                assert!(matches!(queue.run_next(), Ran::Dropped(_)));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(block_on(token), Err(TokenError::Killed { .. })));
        door.forget();
        assert_gone(&queue, &drops);
    });
}

#[test]
fn a_home_that_ends_and_a_handle_that_kills_give_one_runnable() {
    loom::model(|| {
        let Suspended {
            queue,
            door,
            drops,
            token,
        } = suspended();
        // No waker keeps the cell while its runnable is posted.
        door.forget();
        let handle = thread::spawn(move || (token.kill("mine"), token));
        let killer = kill_elsewhere(queue.seated());
        assert!(matches!(queue.run_next(), Ran::Dropped(_)));
        let (killed_by_handle, token) = handle.join().unwrap();
        assert_ne!(killer.join().unwrap(), killed_by_handle);
        assert!(matches!(block_on(token), Err(TokenError::Killed { .. })));
        assert_gone(&queue, &drops);
    });
}
