//! Batches: when deferred calls are published, and what happens if the scope does not just end.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{LONG, OP, OnDrop, Trace, block_on, door, get, lone_workers, one_worker, start};
use tokengate_scheduler::{
    Config, Handle, Token, TokenError, TokenState, before_wait, flush, get_all, join_all,
    set_before_wait,
};

/// How many calls for one core are published at once.
const PUBLISHED_AT: usize = 64;

fn calls(handle: &Handle, count: usize) -> Vec<Token<usize>> {
    (0..count).map(|n| handle.spawn(&OP, move || n)).collect()
}

fn are_deferred<T>(tokens: &[Token<T>]) -> bool {
    tokens
        .iter()
        .all(|token| token.state() == TokenState::Created)
}

fn are_published<T>(tokens: &[Token<T>]) -> bool {
    tokens
        .iter()
        .all(|token| token.state() != TokenState::Created)
}

fn assert_all_run(tokens: Vec<Token<usize>>) {
    for (n, token) in tokens.into_iter().enumerate() {
        assert_eq!(get(token).unwrap(), n);
    }
}

#[test]
fn calls_are_published_at_64_for_a_core() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle();
    let tokens = handle.batch(|| {
        let mut tokens = calls(handle, PUBLISHED_AT - 1);
        assert!(are_deferred(&tokens));
        tokens.push(handle.spawn(&OP, || PUBLISHED_AT - 1));
        assert!(are_published(&tokens));
        let one_more = handle.spawn(&OP, || PUBLISHED_AT);
        assert_eq!(one_more.state(), TokenState::Created);
        tokens.push(one_more);
        tokens
    });
    assert!(are_published(&tokens));
    assert_all_run(tokens);
}

#[test]
fn calls_run_in_the_order_in_which_they_were_made() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle();
    let trace = Trace::default();
    let note = |n: usize| {
        let trace = trace.clone();
        handle.spawn(&OP, move || trace.note(n.to_string()))
    };
    let (door, held) = door();
    let _running = handle.spawn(&OP, move || held.wait());
    door.wait_for_body();
    let mut tokens = vec![note(0)];
    tokens.extend(handle.batch(|| (1..200).map(note).collect::<Vec<_>>()));
    tokens.push(note(200));
    door.open();
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    let expected: Vec<_> = (0..=200).map(|n| n.to_string()).collect();
    assert_eq!(trace.noted(), expected);
}

#[test]
fn a_scope_that_unwinds_publishes() {
    let scheduler = start(lone_workers(3));
    let handle = scheduler.handle();
    let mut tokens = Vec::new();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        handle.batch(|| {
            tokens = calls(handle, 10);
            panic!("on purpose");
        });
    }));
    assert!(unwound.is_err());
    assert_all_run(tokens);
    // The scope is over: the next call is not deferred.
    assert_ne!(handle.spawn(&OP, || ()).state(), TokenState::Created);
}

#[test]
fn every_kind_of_wait_publishes_first() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle();
    let published_by = |wait: &dyn Fn(Token<usize>)| {
        handle.batch(|| {
            let others = calls(handle, 10);
            assert!(are_deferred(&others));
            wait(handle.spawn(&OP, || 0));
            assert!(are_published(&others));
            assert_all_run(others);
        });
    };
    published_by(&|token| assert!(token.get().is_ok()));
    published_by(&|mut token| assert!(token.get_timeout(LONG).is_some()));
    published_by(&|token| assert!(block_on(token).is_ok()));
    published_by(&|token| assert!(get_all([token])[0].is_ok()));
    published_by(&|token| assert!(block_on(join_all([token]))[0].is_ok()));
    published_by(&|token| assert!(token.kill("not needed") || token.is_finished()));
    published_by(&|token| {
        flush();
        assert_ne!(token.state(), TokenState::Created);
    });
}

#[test]
fn a_call_that_waits_for_room_publishes_what_holds_it() {
    let scheduler = start(Config {
        capacity: Some(4),
        ..lone_workers(2)
    });
    let handle = scheduler.handle();
    let tokens = handle.batch(|| calls(handle, 100));
    assert_all_run(tokens);
    let tokens = block_on(handle.batch(|| {
        let handle = handle.clone();
        async move {
            let mut tokens = calls(&handle, 4);
            for n in 4..20 {
                let body = tokengate_scheduler::Plain::new(move || n);
                tokens.push(handle.submit_async(&OP, body).await);
            }
            tokens
        }
    }));
    assert_all_run(tokens);
}

#[test]
fn the_inner_of_two_batches_publishes_both() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle();
    let tokens = handle.batch(|| {
        let outer = calls(handle, 3);
        let inner = handle.batch(|| calls(handle, 3));
        assert!(are_published(&outer) && are_published(&inner));
        assert_all_run(inner);
        let later = handle.spawn(&OP, || 3);
        assert_eq!(
            later.state(),
            TokenState::Created,
            "the outer one is still open"
        );
        outer.into_iter().chain([later]).collect::<Vec<_>>()
    });
    assert_all_run(tokens);
}

#[test]
fn a_batch_defers_calls_of_its_own_scheduler_only() {
    let [ours, other] = [(); 2].map(|()| start(one_worker()));
    let tokens = ours.handle().batch(|| {
        let token = other.handle().spawn(&OP, || 7);
        assert_ne!(token.state(), TokenState::Created);
        assert_eq!(get(token).unwrap(), 7);
        let tokens = other.handle().batch(|| {
            let tokens = [&ours, &other].map(|scheduler| scheduler.handle().spawn(&OP, || 7));
            assert!(are_deferred(&tokens));
            tokens
        });
        assert!(are_published(&tokens));
        tokens
    });
    for token in tokens {
        assert_eq!(get(token).unwrap(), 7);
    }
}

#[test]
fn a_batch_in_a_body_ends_with_its_scope() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle();
    let caller = handle.clone();
    let parent = handle.spawn(&OP, move || {
        let children = caller.batch(|| calls(&caller, 10));
        (are_published(&children), children)
    });
    let (published, children) = get(parent).unwrap();
    assert!(published);
    assert_all_run(children);
}

#[test]
fn rejected_bodies_may_call_when_they_are_dropped_at_the_end_of_the_scope() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle().clone();
    let rejected = Arc::new(AtomicUsize::new(0));
    let tokens = handle.batch(|| {
        let tokens: Vec<_> = (0..10)
            .map(|_| {
                let (caller, rejected) = (handle.clone(), rejected.clone());
                let on_drop = OnDrop::new(move || {
                    let token = caller.batch(|| caller.spawn(&OP, || ()));
                    if matches!(token.get(), Err(TokenError::Rejected(_))) {
                        rejected.fetch_add(1, SeqCst);
                    }
                });
                handle.spawn(&OP, move || drop(on_drop))
            })
            .collect();
        std::thread::spawn(move || drop(scheduler)).join().unwrap();
        tokens
    });
    assert_eq!(rejected.load(SeqCst), 10);
    for token in tokens {
        assert!(matches!(get(token), Err(TokenError::Rejected(_))));
    }
}

#[test]
fn killed_bodies_may_call_into_the_open_batch_when_they_are_dropped() {
    let scheduler = start(one_worker());
    let handle = scheduler.handle();
    let (sender, tokens) = channel();
    handle.batch(|| {
        let caller = handle.clone();
        let on_drop = OnDrop::new(move || sender.send(caller.spawn(&OP, || 7)).unwrap());
        let token = handle.spawn(&OP, move || drop(on_drop));
        assert!(token.kill("not needed"));
    });
    let token = tokens
        .recv_timeout(Duration::ZERO)
        .expect("dropped by the kill");
    assert_eq!(get(token).unwrap(), 7);
}

#[test]
fn a_hook_of_somebody_else_is_back_after_the_batch() {
    static CALLED: AtomicUsize = AtomicUsize::new(0);
    fn hook() {
        CALLED.fetch_add(1, SeqCst);
    }
    let scheduler = start(one_worker());
    set_before_wait(Some(hook));
    let handle = scheduler.handle();
    handle.batch(|| {
        handle.batch(|| ());
        let tokens = calls(handle, 3);
        before_wait();
        assert!(
            are_published(&tokens),
            "the outer batch still hears of waits"
        );
    });
    let before = CALLED.load(SeqCst);
    before_wait();
    assert_eq!(CALLED.load(SeqCst), before + 1);
    set_before_wait(None);
}
