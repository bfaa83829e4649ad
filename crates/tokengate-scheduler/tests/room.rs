//! Room for root calls: who waits for it, who is refused, and who needs none.

mod common;

use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use common::{Door, LONG, OP, OnDrop, block_on, door, get, lone_workers, one_worker, start};
use tokengate_scheduler::{Config, Full, Handle, Plain, RejectCause, Scheduler, Token, TokenError};

/// One worker that is held in a body, and room for so many tokens besides.
fn held_worker(capacity: usize, full: Full) -> (Scheduler, Door, Token<()>) {
    let scheduler = start(Config {
        capacity: Some(capacity),
        full,
        ..one_worker()
    });
    let (door, held) = door();
    let running = scheduler.handle().spawn(&OP, move || held.wait());
    door.wait_for_body();
    (scheduler, door, running)
}

fn is_full(error: &TokenError) -> bool {
    matches!(error, TokenError::Rejected(_)) && error.to_string().contains("places")
}

#[test]
fn a_full_scheduler_that_rejects_says_so_and_has_room_again_when_a_token_starts() {
    let (scheduler, door, running) = held_worker(2, Full::Reject);
    let handle = scheduler.handle();
    let queued = [(); 2].map(|()| handle.spawn(&OP, || ()));
    let rejected = get(handle.spawn(&OP, || ())).unwrap_err();
    assert!(is_full(&rejected), "{rejected}");
    door.open();
    get(running).unwrap();
    assert!(queued.into_iter().all(|token| get(token).is_ok()));
    // A token gives its room back when it is taken, which was before it resolved.
    assert!(get(handle.spawn(&OP, || ())).is_ok());
}

#[test]
fn refused_calls_give_their_bodies_back() {
    let (scheduler, door, _running) = held_worker(1, Full::Wait);
    let handle = scheduler.handle();
    let _queued = handle.spawn(&OP, || ());
    let refused = handle.try_submit(&OP, Plain::new(|| 7)).unwrap_err();
    assert_eq!(refused.cause, RejectCause::Full { capacity: 1 });
    let soon = Duration::from_millis(1);
    let refused = handle.submit_timeout(&OP, refused.body, soon).unwrap_err();
    assert_eq!(refused.cause, RejectCause::Full { capacity: 1 });
    door.open();
    let token = handle.submit_timeout(&OP, refused.body, LONG).unwrap();
    assert_eq!(get(token).unwrap(), 7);
}

#[test]
fn calls_wait_for_room_on_their_threads_and_none_is_forgotten() {
    let (scheduler, door, _running) = held_worker(1, Full::Wait);
    let handle = scheduler.handle();
    let callers = [(); 6].map(|()| {
        let handle = handle.clone();
        thread::spawn(move || {
            let token = handle.spawn(&OP, || ());
            get(token).unwrap();
        })
    });
    door.open();
    assert!(callers.into_iter().all(|caller| caller.join().is_ok()));
}

#[test]
fn an_async_call_waits_for_room_without_blocking() {
    let (scheduler, door, _running) = held_worker(1, Full::Wait);
    let handle = scheduler.handle();
    let queued = handle.spawn(&OP, || ());
    let mut waiting = Box::pin(handle.submit_async(&OP, Plain::new(|| 7)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let mut dropped = Box::pin(handle.submit_async(&OP, Plain::new(|| 8)));
    assert!(dropped.as_mut().poll(&mut context).is_pending());
    drop(dropped);
    door.open();
    assert!(get(queued).is_ok());
    let token = block_on(waiting);
    assert_eq!(get(token).unwrap(), 7);
}

#[test]
fn an_async_call_may_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let scheduler = start(one_worker());
    let handle = scheduler.handle().clone();
    let call = assert_send(async move { handle.submit_async(&OP, Plain::new(|| 7)).await.await });
    assert_eq!(
        thread::spawn(move || block_on(call))
            .join()
            .unwrap()
            .unwrap(),
        7
    );
}

#[test]
fn a_dropped_wait_takes_no_room() {
    let (scheduler, door, running) = held_worker(1, Full::Reject);
    let handle = scheduler.handle();
    let queued = handle.spawn(&OP, || ());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10 {
        let mut waiting = Box::pin(handle.submit_async(&OP, Plain::new(|| ())));
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
    }
    door.open();
    assert!(get(running).is_ok() && get(queued).is_ok());
    assert!(get(handle.spawn(&OP, || ())).is_ok());
}

#[test]
fn plain_calls_in_bodies_need_no_room() {
    let (scheduler, door, running) = held_worker(1, Full::Reject);
    let handle = scheduler.handle();
    let caller = handle.clone();
    let parent = handle.spawn(&OP, move || {
        let children = [(); 100].map(|()| caller.spawn(&OP, || ()));
        let refused = (0..2).map(|_| caller.try_submit(&OP, Plain::new(|| ())).is_err());
        (Vec::from(children), refused.collect::<Vec<_>>())
    });
    door.open();
    get(running).unwrap();
    let (children, refused) = get(parent).unwrap();
    assert!(children.into_iter().all(|child| get(child).is_ok()));
    assert_eq!(
        refused,
        [false, true],
        "try_submit respects room in bodies too"
    );
}

/// A call made by something that a worker runs beside bodies, while all room is taken.
fn call_outside_a_body<R>(leave: impl FnOnce(&Handle, Box<dyn FnOnce() + Send>) -> R) {
    let scheduler = start(Config {
        capacity: Some(1),
        ..one_worker()
    });
    let handle = scheduler.handle().clone();
    let (sender, tokens) = channel();
    let from_worker = handle.clone();
    let _kept = leave(
        &handle,
        Box::new(move || sender.send(from_worker.spawn(&OP, || 7)).unwrap()),
    );
    let token = tokens
        .recv_timeout(LONG)
        .expect("the call does not wait for room");
    assert_eq!(get(token).unwrap(), 7);
}

#[test]
fn a_call_from_the_destructor_of_a_result_does_not_block_its_worker() {
    call_outside_a_body(|handle, call| {
        let (door, held) = door();
        let result = OnDrop::new(call);
        let token = handle.spawn(&OP, move || {
            held.wait();
            result
        });
        door.wait_for_body();
        token.detach();
        // Takes the only credit, and only the worker in question could give it back.
        handle.spawn(&OP, || ()).detach();
        door.open();
    });
}

#[test]
fn a_call_from_a_waker_does_not_block_its_worker() {
    struct Calls(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);
    impl std::task::Wake for Calls {
        fn wake(self: std::sync::Arc<Self>) {
            let call = self.0.lock().unwrap().take();
            call.expect("woken once")();
        }
    }
    call_outside_a_body(|handle, call| {
        let (door, held) = door();
        let mut token = handle.spawn(&OP, move || held.wait());
        door.wait_for_body();
        let waker = std::sync::Arc::new(Calls(std::sync::Mutex::new(Some(call)))).into();
        let polled = std::pin::Pin::new(&mut token).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        handle.spawn(&OP, || ()).detach();
        door.open();
        token
    });
}

#[test]
fn killed_tokens_give_their_room_back_when_a_worker_reaches_them() {
    let (scheduler, door, running) = held_worker(2, Full::Reject);
    let handle = scheduler.handle();
    for token in [(); 2].map(|()| handle.spawn(&OP, || ())) {
        assert!(token.kill("not needed"));
    }
    let rejected = get(handle.spawn(&OP, || ())).unwrap_err();
    assert!(is_full(&rejected), "tombstones hold their room: {rejected}");
    door.open();
    get(running).unwrap();
    for _ in 0..10 {
        let refused = match handle.submit_timeout(&OP, Plain::new(|| ()), LONG) {
            Ok(token) => get(token).err().map(|error| error.to_string()),
            Err(refused) => Some(refused.cause.to_string()),
        };
        assert_eq!(refused, None);
    }
}

#[test]
fn threads_that_end_give_their_unused_credits_back() {
    let scheduler = start(Config {
        capacity: Some(4_096),
        full: Full::Reject,
        ..one_worker()
    });
    let handle = scheduler.handle();
    // Each draws a block and uses one credit of it.
    for _ in 0..200 {
        let handle = handle.clone();
        thread::spawn(move || get(handle.spawn(&OP, || ())).unwrap())
            .join()
            .unwrap();
    }
    let (door, held) = door();
    let running = handle.spawn(&OP, move || held.wait());
    door.wait_for_body();
    // What is understated: less than a block each by the worker that is in a body.
    let admitted = (0..4_096)
        .map_while(|_| handle.try_submit(&OP, Plain::new(|| ())).ok())
        .count();
    assert!(admitted >= 4_096 - 64, "only {admitted} found room");
    door.open();
    get(running).unwrap();
}

#[test]
fn a_thread_that_calls_two_schedulers_takes_no_room_of_either_away() {
    let schedulers = [(); 2].map(|()| {
        start(Config {
            capacity: Some(4_096),
            full: Full::Reject,
            ..lone_workers(1)
        })
    });
    for _ in 0..10_000 {
        for scheduler in &schedulers {
            assert!(get(scheduler.handle().spawn(&OP, || ())).is_ok());
        }
    }
}
