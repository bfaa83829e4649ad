//! The end of a scheduler: every handle resolves, no thread stays, whoever ends it and when.

mod common;

use std::future::pending;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{LONG, OP, OnDrop, door, get, lone_workers, one_worker, start};
use tokengate_scheduler::topology::WeightRanges;
use tokengate_scheduler::{
    Async, Call, Config, Handle, Plain, Refused, RejectCause, Token, TokenError, Weight,
};

#[test]
fn a_shutdown_lets_everything_finish_that_was_called_before() {
    let scheduler = start(lone_workers(3));
    let handle = scheduler.handle().clone();
    let tokens: Vec<_> = (0..1_000).map(|n| handle.spawn(&OP, move || n)).collect();
    assert!(scheduler.shutdown(LONG).drained);
    for (n, token) in tokens.into_iter().enumerate() {
        assert_eq!(get(token).unwrap(), n);
    }
}

#[test]
fn a_drain_waits_for_what_bodies_call_in_other_lone_workers() {
    let scheduler = start(lone_workers(4));
    let (sender, receiver) = channel();
    let handle = scheduler.handle().clone();
    /// Calls itself `left` more times, each time in whatever domain the router takes.
    fn hop(handle: Handle, left: usize, done: std::sync::mpsc::Sender<usize>) {
        if left == 0 {
            return done.send(0).unwrap();
        }
        let next = handle.clone();
        handle
            .spawn(&OP, move || hop(next, left - 1, done))
            .detach();
    }
    handle
        .clone()
        .spawn(&OP, move || hop(handle, 500, sender))
        .detach();
    assert!(scheduler.shutdown(LONG).drained);
    // Nothing to wait for: it had happened when the drain ended.
    assert_eq!(receiver.try_recv(), Ok(0));
}

#[test]
fn roots_are_rejected_after_the_end_with_the_cause() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    scheduler.shutdown(LONG);
    assert!(handle.is_closed());
    let rejected = get(handle.spawn(&OP, || ())).unwrap_err();
    assert!(matches!(rejected, TokenError::Rejected(_)), "{rejected}");
    let refused = handle.try_submit(&OP, Plain::new(|| 7)).unwrap_err();
    assert_eq!(refused.cause, RejectCause::ShutDown);
    let refused = handle.submit_timeout(&OP, refused.body, LONG).unwrap_err();
    assert_eq!(refused.cause, RejectCause::ShutDown);
    let rejected = common::block_on(handle.submit_async(&OP, refused.body));
    assert!(matches!(get(rejected), Err(TokenError::Rejected(_))));
}

#[test]
fn a_shutdown_whose_time_is_over_kills_the_rest() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    let (door, held) = door();
    let running = handle.spawn(&OP, move || held.wait());
    door.wait_for_body();
    let queued = handle.spawn(&OP, || ());
    let ender = thread::spawn(move || scheduler.shutdown(Duration::ZERO));
    // Resolved though the body has not returned.
    for token in [running, queued] {
        assert!(matches!(get(token), Err(TokenError::Killed { .. })));
    }
    door.open();
    let report = ender.join().unwrap();
    assert!(!report.drained);
    assert_eq!((report.purged, report.cancelled), (1, 1));
}

#[test]
fn suspended_bodies_are_dropped_at_the_end_without_their_wakers() {
    let scheduler = start(lone_workers(2));
    let (dropped, drops) = channel();
    let (polled, polls) = channel();
    let tokens: Vec<_> = (0..8)
        .map(|_| {
            let (dropped, polled) = (dropped.clone(), polled.clone());
            scheduler.handle().spawn_async(&OP, async move {
                let _on_drop = OnDrop::new(move || dropped.send(()).unwrap());
                polled.send(()).unwrap();
                pending::<()>().await;
            })
        })
        .collect();
    (0..8).for_each(|_| polls.recv_timeout(LONG).unwrap());
    drop(scheduler);
    assert_eq!(drops.try_iter().count(), 8, "dropped before the end of it");
    for token in tokens {
        assert!(matches!(get(token), Err(TokenError::Killed { .. })));
    }
}

#[test]
fn a_body_that_is_suspended_while_the_scheduler_stops_is_dropped() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    let (door, held) = door();
    let token = handle.spawn_async(&OP, async move {
        held.wait();
        pending::<()>().await;
    });
    door.wait_for_body();
    let ender = thread::spawn(move || drop(scheduler));
    while !handle.is_closed() {
        thread::yield_now();
    }
    door.open();
    ender.join().unwrap();
    assert!(matches!(get(token), Err(TokenError::Killed { .. })));
}

#[test]
fn a_waker_that_comes_after_the_end_is_harmless() {
    let scheduler = start(one_worker());
    let (sender, wakers) = channel();
    let token = scheduler.handle().spawn_async(
        &OP,
        std::future::poll_fn(move |context| {
            sender.send(context.waker().clone()).unwrap();
            std::task::Poll::<()>::Pending
        }),
    );
    let waker = wakers.recv_timeout(LONG).unwrap();
    drop(scheduler);
    waker.wake_by_ref();
    waker.wake();
    assert!(matches!(get(token), Err(TokenError::Killed { .. })));
}

#[test]
fn a_batch_that_outlives_its_scheduler_is_rejected_when_it_is_published() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    let tokens = handle.batch(|| {
        let tokens: Vec<_> = (0..3).map(|_| handle.spawn(&OP, || ())).collect();
        // On another thread, so that it does not publish them first.
        thread::spawn(move || scheduler.shutdown(LONG))
            .join()
            .unwrap();
        tokens
    });
    for token in tokens {
        assert!(matches!(get(token), Err(TokenError::Rejected(_))));
    }
}

#[test]
fn a_call_made_while_a_rejected_body_is_dropped_is_rejected_too() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    let (sender, tokens) = channel();
    handle.batch(|| {
        let from_drop = handle.clone();
        let on_drop = OnDrop::new(move || {
            let token = from_drop.batch(|| from_drop.spawn(&OP, || ()));
            sender.send(token).unwrap();
        });
        handle.spawn(&OP, move || drop(on_drop)).detach();
        thread::spawn(move || drop(scheduler)).join().unwrap();
    });
    let token = tokens.recv_timeout(LONG).unwrap();
    assert!(matches!(get(token), Err(TokenError::Rejected(_))));
}

#[test]
fn a_scheduler_that_is_dropped_on_its_own_worker_ends() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle().clone();
    let (sender, receiver) = channel();
    let token = handle.spawn(&OP, move || {
        let scheduler = receiver.recv_timeout(LONG).unwrap();
        drop::<tokengate_scheduler::Scheduler>(scheduler);
    });
    sender.send(scheduler).unwrap();
    assert!(get(token).is_ok());
    assert!(handle.is_closed());
}

#[test]
fn a_shutdown_in_a_body_of_its_own_does_not_wait_for_that_body() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle().clone();
    let (sender, receiver) = channel();
    let token = handle.spawn(&OP, move || {
        let scheduler: tokengate_scheduler::Scheduler = receiver.recv_timeout(LONG).unwrap();
        scheduler.shutdown(Duration::MAX)
    });
    sender.send(scheduler).unwrap();
    assert!(!get(token).unwrap().drained);
}

#[test]
fn a_body_may_wait_for_room_while_the_scheduler_drains() {
    // Heavy calls lean to the first domain, medium ones use the second only.
    let scheduler = start(Config {
        capacity: Some(1),
        ranges: WeightRanges::strict(),
        ..lone_workers(2)
    });
    let handle = scheduler.handle().clone();
    let heavy = Call::new(&OP).with_weight(Weight::Heavy);
    let (parent_door, parent_held) = door();
    // A worker that has not parked yet counts as busy, so the first may go to the other domain.
    let (other, other_door) = loop {
        let (door, held) = door();
        let other = handle.spawn(heavy, move || held.wait());
        door.wait_for_body();
        if other.status().domain == Some(0) {
            break (other, door);
        }
        door.open();
        get(other).unwrap();
    };
    let caller = handle.clone();
    let parent = handle.spawn(&OP, move || {
        parent_held.wait();
        let Refused { body, cause } = caller.try_submit(&OP, Plain::new(|| 7)).unwrap_err();
        assert_eq!(cause, RejectCause::Full { capacity: 1 });
        let helper = thread::spawn(move || {
            // Gives the wait below a chance to begin; nothing depends on whether it does.
            thread::sleep(Duration::from_millis(30));
            other_door.open();
        });
        let child = caller.submit_timeout(&OP, body, LONG);
        helper.join().unwrap();
        child.map(Token::detach).map_err(|refused| refused.cause)
    });
    parent_door.wait_for_body();
    // Takes the only credit, and has to wait for the other body.
    let waiting = handle.spawn(heavy, || ());
    let ender = thread::spawn(move || scheduler.shutdown(LONG));
    while !handle.is_closed() {
        thread::yield_now();
    }
    parent_door.open();
    assert_eq!(get(parent).unwrap(), Ok(()));
    assert!(get(other).is_ok() && get(waiting).is_ok());
    assert!(ender.join().unwrap().drained);
}

#[test]
fn waiting_calls_are_refused_when_the_scheduler_ends() {
    let scheduler = start(Config {
        capacity: Some(1),
        ..one_worker()
    });
    let handle = scheduler.handle().clone();
    let (door, held) = door();
    let running = handle.spawn(&OP, move || held.wait());
    door.wait_for_body();
    let queued = handle.spawn(&OP, || ());
    let waiting = [(); 2].map(|()| {
        let handle = handle.clone();
        thread::spawn(move || get(handle.spawn(&OP, || ())))
    });
    let awaiting = {
        let handle = handle.clone();
        thread::spawn(move || {
            get(common::block_on(
                handle.submit_async(&OP, Async::new(async {})),
            ))
        })
    };
    let ender = thread::spawn(move || scheduler.shutdown(LONG));
    for thread in waiting.into_iter().chain([awaiting]) {
        assert!(matches!(
            thread.join().unwrap(),
            Err(TokenError::Rejected(_))
        ));
    }
    door.open();
    assert!(ender.join().unwrap().drained);
    assert!(get(running).is_ok() && get(queued).is_ok());
}
