//! Tokens are awaited anywhere: under tokio, under smol, by hand, and by blocking.
//!
//! Also what a wait that was given up leaves behind, and how often a waiter for many is woken.

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{Held, Latch, Wakes, elsewhere, outcome, small_gate, value, wait_until, wide_gate};
use tokengate::{Gate, Token, TokenError, get_all, join_all};

/// Calls of all kinds, and the sum that their tokens should give.
fn calls(gate: &Gate) -> (Vec<Token<u64>>, u64) {
    let tokens = (0..100).map(|n| match n % 3 {
        0 => gate.spawn("sync", move || n),
        1 => gate.spawn_async("async", async move { n }),
        _ => gate.spawn_async("slow", async move {
            tokio::time::sleep(Duration::from_micros(100)).await;
            n
        }),
    });
    (tokens.collect(), 99 * 100 / 2)
}

async fn sum(tokens: Vec<Token<u64>>) -> u64 {
    let mut sum = 0;
    for token in tokens {
        sum += token.await.unwrap();
    }
    sum
}

#[test]
fn under_tokio() {
    let gate = wide_gate();
    let (tokens, expected) = calls(&gate);
    let summed = elsewhere(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(sum(tokens))
    });
    assert_eq!(summed, expected);
    let (tokens, expected) = calls(&gate);
    let summed = elsewhere(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        runtime.block_on(async { tokio::spawn(sum(tokens)).await.unwrap() })
    });
    assert_eq!(summed, expected);
}

#[test]
fn under_smol() {
    let gate = wide_gate();
    let (tokens, expected) = calls(&gate);
    assert_eq!(elsewhere(|| smol::block_on(sum(tokens))), expected);
}

#[test]
fn by_hand() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let mut token = gate.spawn("watched", || 7);
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    // Polled again with the same waker it is still woken once.
    for _ in 0..3 {
        assert!(Pin::new(&mut token).poll(&mut context).is_pending());
    }
    assert_eq!(wakes.count(), 0);
    held.release();
    wait_until("it is woken", || wakes.count() > 0);
    let Poll::Ready(outcome) = Pin::new(&mut token).poll(&mut context) else {
        panic!("woken before it was resolved");
    };
    assert_eq!(outcome.unwrap(), 7);
    assert_eq!(wakes.count(), 1);
    assert_eq!(Arc::strong_count(&wakes), 2, "the token let its waker go");
}

#[test]
fn the_last_waker_is_woken() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let mut token = gate.spawn("watched", || 7);
    let (first, first_waker) = Wakes::new();
    let (last, last_waker) = Wakes::new();
    for waker in [&first_waker, &last_waker] {
        let polled = Pin::new(&mut token).poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    held.release();
    wait_until("it is woken", || last.count() > 0);
    assert_eq!((first.count(), last.count()), (0, 1));
    assert_eq!(value(token), 7);
}

#[test]
fn join_all_gives_all_results_in_order_and_wakes_once() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let (tokens, _) = calls(&gate);
    let mut all = pin!(join_all(tokens));
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    assert!(all.as_mut().poll(&mut context).is_pending());
    held.release();
    wait_until("it is woken", || wakes.count() > 0);
    let Poll::Ready(results) = all.as_mut().poll(&mut context) else {
        panic!("woken before all were resolved");
    };
    let values: Vec<u64> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    assert_eq!(wakes.count(), 1);
}

#[test]
fn waiting_for_many_gives_each_outcome() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let body = |n: u32| {
        gate.try_spawn("mixed", move || match n % 3 {
            0 => Ok(n),
            1 => Err("odd one out"),
            _ => panic!("as asked"),
        })
    };
    let tokens: Vec<_> = (0..90).map(body).collect();
    assert!(tokens[89].kill("not needed"));
    let waiter = std::thread::spawn(|| get_all(tokens));
    held.release();
    let results = elsewhere(|| waiter.join().unwrap());
    assert_eq!(results.len(), 90);
    assert!(matches!(results[89], Err(TokenError::Killed { .. })));
    for (n, result) in results.into_iter().take(89).enumerate() {
        match (n % 3, result) {
            (0, Ok(value)) => assert_eq!(value as usize, n),
            (1, Err(TokenError::Failed("odd one out"))) => {}
            (2, Err(TokenError::Panicked(panic))) => assert_eq!(panic.message(), "as asked"),
            (_, other) => panic!("token {n}: {other:?}"),
        }
    }
    assert!(get_all(Vec::<Token<u32>>::new()).is_empty());
}

#[test]
fn a_wait_that_timed_out_leaves_the_token_usable() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let mut token = gate.spawn("slow", || 7);
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(token.get_timeout(limit).is_none());
    }
    // Awaited for a while, too.
    let (wakes, waker) = Wakes::new();
    let polled = Pin::new(&mut token).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    assert!(token.get_timeout(Duration::from_millis(1)).is_none());
    held.release();
    let result = elsewhere(move || token.get_timeout(Duration::MAX));
    assert_eq!(result.unwrap().unwrap(), 7);
    assert_eq!(wakes.count(), 0, "the later wait took its place");
}

#[test]
fn a_select_that_lost_loses_nothing() {
    let gate = small_gate();
    let release = Latch::new();
    let mut token = {
        let release = release.clone();
        gate.spawn("slow", move || {
            release.wait();
            7
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = &mut token => panic!("its body is held"),
                () = tokio::task::yield_now() => {}
            }
            let short = tokio::time::timeout(Duration::from_millis(1), &mut token);
            assert!(short.await.is_err());
        }
        release.open();
        tokio::time::timeout(common::HANG, token).await
    });
    assert_eq!(result.expect("it resolves").unwrap(), 7);
}

#[test]
fn kill_on_drop_kills_only_what_was_dropped_unresolved() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let dropped = gate
        .spawn("never", || unreachable!("it was killed"))
        .kill_on_drop();
    let kept = gate.spawn("kept", || 7).kill_on_drop();
    drop(dropped);
    held.release();
    assert_eq!(smol::block_on(kept).unwrap(), 7);
    // Resolved and dropped: nothing is left to kill.
    let resolved = gate.spawn("resolved", || ()).kill_on_drop();
    wait_until("it ran", || resolved.token().is_finished());
    drop(resolved);
    assert_eq!(value(gate.spawn("after", || 8)), 8);
}

#[test]
fn a_resolved_token_gives_its_result_once() {
    let gate = small_gate();
    let mut token = gate.spawn("once", || 7);
    assert_eq!(token.get_timeout(common::HANG).unwrap().unwrap(), 7);
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        token.get_timeout(common::HANG)
    }));
    assert!(again.is_err(), "a second reading is the caller's mistake");
    assert_eq!(outcome(gate.spawn("after", || 8)).unwrap(), 8);
}
