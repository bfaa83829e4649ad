//! A token resolves once, and whoever waits for it gets its result: by polls, by blocking, by asking.

mod common;

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use common::{Drops, Gate, OP, Queue, Wakes, poll_with};
use tokengate_token::{
    AlarmId, Async, Fallible, FallibleAsync, NoHome, Place, Plain, Ran, RejectCause, Times, Token,
    TokenError, TokenState, create,
};

#[test]
fn a_call_runs_nothing_until_its_runnable_is_run() {
    let ran = Arc::new(AtomicBool::new(false));
    let seen = ran.clone();
    let (token, runnable) = create(&OP, Plain::new(move || seen.store(true, SeqCst)));
    assert!(!ran.load(SeqCst));
    assert!(!token.is_finished());
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
    assert!(ran.load(SeqCst));
    assert!(token.is_finished());
    token.get().unwrap();
}

#[test]
fn each_form_gives_its_own_token_type() {
    let queue = Queue::shared();
    let plain: Token<u8> = queue.spawn(Plain::new(|| 1));
    let fallible: Token<u8, String> = queue.spawn(Fallible::new(|| Err("no".to_owned())));
    let future: Token<u8> = queue.spawn(Async::new(async { 3 }));
    let both: Token<u8, String> = queue.spawn(FallibleAsync::new(async { Ok(4) }));
    queue.run_all();
    assert_eq!(plain.get().unwrap(), 1);
    assert!(matches!(fallible.get(), Err(TokenError::Failed(error)) if error == "no"));
    assert_eq!(future.get().unwrap(), 3);
    assert_eq!(both.get().unwrap(), 4);
}

#[test]
fn a_run_says_what_came_of_it() {
    let queue = Queue::shared();
    let _ok = queue.spawn(Plain::new(|| ()));
    let _error = queue.spawn(Fallible::new(|| Err::<(), _>(())));
    let _panic = queue.spawn(Plain::new(|| panic!("expected")));
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert!(matches!(queue.run_one(), Some(Ran::Failed)));
    assert!(matches!(queue.run_one(), Some(Ran::Panicked)));
}

#[test]
fn a_poller_is_woken_once_and_finds_the_result() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 42));
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    assert!(poll_with(&mut token, &waker).is_pending());
    assert_eq!(wakes.count(), 0);
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(wakes.count(), 1);
    let Poll::Ready(result) = poll_with(&mut token, &waker) else {
        panic!("woken, so it is ready");
    };
    assert_eq!(result.unwrap(), 42);
}

#[test]
fn any_executor_can_await_a_token() {
    let (token, runnable) = create(&OP, Plain::new(|| 42));
    let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
    assert_eq!(smol::block_on(token).unwrap(), 42);
    runner.join().unwrap();

    let (token, runnable) = create(&OP, Async::new(async { 43 }));
    let awaited = async {
        let _ = runnable.run(&NoHome::shared());
        token.await
    };
    assert_eq!(smol::block_on(awaited).unwrap(), 43);
}

#[test]
fn get_blocks_until_another_thread_has_run_the_body() {
    for _ in 0..200 {
        let (token, runnable) = create(&OP, Plain::new(|| "done"));
        let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
        assert_eq!(token.get().unwrap(), "done");
        runner.join().unwrap();
    }
}

#[test]
fn a_wait_that_is_over_leaves_the_token_usable() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    assert!(token.get_timeout(Duration::ZERO).is_none());
    assert!(token.get_timeout(Duration::from_millis(1)).is_none());
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(wakes.count(), 1);
    let result = token.get_timeout(Duration::from_secs(3600));
    assert_eq!(result.expect("it is resolved").unwrap(), 7);
}

#[test]
fn a_timed_wait_ends_when_the_token_resolves() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
    let result = token.get_timeout(Duration::from_secs(3600));
    assert_eq!(result.expect("it resolves long before").unwrap(), 7);
    runner.join().unwrap();
}

#[test]
#[should_panic(expected = "taken only once")]
fn a_result_is_taken_once() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let _ = runnable.run(&NoHome::shared());
    assert!(token.get_timeout(Duration::ZERO).is_some());
    let _ = token.get();
}

#[test]
fn dropping_a_future_that_borrows_the_token_loses_nothing() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let (wakes, waker) = Wakes::new();
    {
        let mut waiting = pin!(async { (&mut token).await });
        let pending = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(pending.is_pending());
    }
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(wakes.count(), 1);
    assert_eq!(token.get().unwrap(), 7);
}

#[test]
fn the_state_follows_the_life_of_a_token() {
    let gate = Gate::shared();
    let wait = gate.wait();
    let (token, runnable) = create(&OP, Async::new(wait));
    assert_eq!(token.state(), TokenState::Created);
    assert_eq!(token.status().domain, None);
    let place = Place {
        gate: 7,
        domain: Some(Place::MAX_DOMAIN),
        published: true,
        credit: true,
        ..Place::default()
    };
    runnable.set_place(place);
    assert_eq!(runnable.place(), place);
    assert_eq!(token.state(), TokenState::Admitted);
    assert_eq!(token.status().domain, Some(usize::from(Place::MAX_DOMAIN)));
    let queue = Queue::shared();
    assert!(matches!(
        runnable.run(&(queue.clone() as _)),
        Ran::Suspended
    ));
    assert_eq!(token.state(), TokenState::Executing);
    assert!(!token.state().is_terminal());
    gate.open();
    gate.waker().wake();
    queue.run_all();
    assert_eq!(token.state(), TokenState::Completed);
    assert!(token.status().state.is_terminal());
}

#[test]
fn each_ending_has_its_state() {
    let home = NoHome::shared();
    let (failed, runnable) = create(&OP, Fallible::new(|| Err::<(), _>(1)));
    let _ = runnable.run(&home);
    let (panicked, runnable) = create(&OP, Plain::new(|| panic!("expected")));
    let _ = runnable.run(&home);
    let (killed, runnable) = create(&OP, Plain::new(|| ()));
    runnable.kill("no");
    let (rejected, runnable) = create(&OP, Plain::new(|| ()));
    runnable.reject(RejectCause::ShutDown);
    assert_eq!(failed.state(), TokenState::Failed);
    assert_eq!(panicked.state(), TokenState::Failed);
    assert_eq!(killed.state(), TokenState::Killed);
    assert_eq!(rejected.state(), TokenState::Rejected);
    let Err(TokenError::Rejected(rejection)) = rejected.get() else {
        panic!("it was rejected");
    };
    assert_eq!(rejection.cause(), &RejectCause::ShutDown);
}

#[test]
fn arguments_are_dropped_before_the_token_is_seen_as_resolved() {
    let drops = Drops::new();
    for form in 0..2 {
        let argument = drops.counted();
        let body = move || drop(argument);
        let (token, runnable) = if form == 0 {
            create(&OP, Plain::new(body))
        } else {
            create(&OP, Async::new(async move { body() }))
        };
        let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
        while !token.is_finished() {
            thread::yield_now();
        }
        assert_eq!(drops.count(), form + 1);
        runner.join().unwrap();
    }
}

#[test]
fn what_the_body_wrote_is_seen_by_whoever_sees_it_resolved() {
    let cell = Arc::new(AtomicBool::new(false));
    let written = cell.clone();
    let (token, runnable) = create(&OP, Plain::new(move || written.store(true, Relaxed)));
    let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
    token.get().unwrap();
    assert!(cell.load(Relaxed));
    runner.join().unwrap();
}

const NOTED: Times = Times {
    submitted: NonZeroU64::new(9),
    started: None,
    timeout: None,
    alarm: Some(AlarmId {
        due: 7,
        number: NonZeroU64::MIN,
    }),
};

#[test]
fn both_halves_name_the_same_call() {
    let (token, runnable) = create(&OP, Plain::new(|| ()));
    assert_eq!(token.id(), runnable.id());
    assert_eq!(token.operation().label(), "test.operation");
    assert!(std::ptr::eq(runnable.operation(), &OP));
    assert!(!runnable.is_async());
    assert_eq!(runnable.times(), None);
    runnable.set_times(NOTED);
    assert_eq!(runnable.times(), Some(NOTED));
    assert!(format!("{token:?}").contains("test.operation"));
    assert!(format!("{runnable:?}").contains(&token.id().to_string()));
    drop(runnable);
    let (_token, runnable) = create(&OP, Async::new(async {}));
    assert!(runnable.is_async());
}

#[test]
fn halves_may_cross_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    let (token, runnable) = create(&OP, Plain::new(|| std::cell::Cell::new(1)));
    check(&token);
    check(&runnable);
    check(&token.killer());
    assert!(size_of_val(&token) <= 2 * size_of::<usize>());
    assert_eq!(
        size_of::<Option<tokengate_token::Runnable>>(),
        size_of::<usize>()
    );
}

#[test]
#[should_panic(expected = "taken only once")]
fn a_poll_after_the_result_panics() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let _ = runnable.run(&NoHome::shared());
    assert!(poll_with(&mut token, Waker::noop()).is_ready());
    let _ = poll_with(&mut token, Waker::noop());
}
