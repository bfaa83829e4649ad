//! The lane of a serial key: who holds it, who waits, nothing lost, order kept.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use common::{Drops, OP, Queue};
use tokengate_token::{
    Async, Home, Joined, LaneQueue, NoHome, Plain, Ran, Runnable, RunnableList, Token, TokenError,
    TokenId, create,
};

fn call(drops: &Drops) -> (Token<()>, Runnable) {
    let argument = drops.counted();
    create(&OP, Plain::new(move || drop(argument)))
}

/// Joins with a call that holds the lane.
fn hold(lane: &LaneQueue, drops: &Drops) -> (Token<()>, Runnable) {
    let (token, runnable) = call(drops);
    match lane.join(runnable) {
        Ok(Joined::Holds(runnable)) => (token, runnable),
        other => panic!("somebody was there: {other:?}"),
    }
}

/// Joins with a call that waits.
fn wait(lane: &LaneQueue, drops: &Drops) -> Token<()> {
    let (token, runnable) = call(drops);
    assert!(matches!(lane.join(runnable), Ok(Joined::Waits)));
    token
}

fn ids(mut list: RunnableList) -> Vec<TokenId> {
    std::iter::from_fn(|| list.pop_front())
        .map(|runnable| runnable.id())
        .collect()
}

fn ids_of(tokens: &[Token<()>]) -> Vec<TokenId> {
    tokens.iter().map(Token::id).collect()
}

#[test]
fn the_first_holds_the_lane_until_it_passes_to_nobody() {
    let (lane, drops) = (LaneQueue::default(), Drops::new());
    for _ in 0..2 {
        assert!(lane.is_free());
        let (token, runnable) = hold(&lane, &drops);
        assert_eq!(runnable.id(), token.id());
        assert!(!lane.is_free());
        assert!(lane.pass().is_empty());
    }
    assert!(format!("{lane:?}").contains("is_free: true"));
}

#[test]
fn a_pass_gives_all_that_wait_oldest_first_and_keeps_the_lane() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    let _first = hold(&lane, &drops);
    for waiting in [3, 1] {
        let tokens: Vec<_> = (0..waiting).map(|_| wait(&lane, &drops)).collect();
        assert_eq!(ids(lane.pass()), ids_of(&tokens));
        assert!(!lane.is_free());
    }
    assert!(lane.pass().is_empty() && lane.is_free());
}

#[test]
fn a_take_leaves_the_lane_to_its_holder() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    assert!(lane.take().is_empty() && lane.is_free());
    let _first = hold(&lane, &drops);
    assert!(lane.take().is_empty());
    let waiting = [wait(&lane, &drops), wait(&lane, &drops)];
    assert_eq!(ids(lane.take()), ids_of(&waiting));
    let behind = wait(&lane, &drops);
    assert_eq!(ids(lane.pass()), [behind.id()]);
    assert!(lane.pass().is_empty() && lane.is_free());
}

#[test]
fn a_closed_lane_gives_everything_back() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    let _first = hold(&lane, &drops);
    let waiting = [wait(&lane, &drops), wait(&lane, &drops)];
    assert_eq!(ids(lane.close()), ids_of(&waiting));
    // The holder goes on, and finds nobody.
    assert!(lane.pass().is_empty() && lane.take().is_empty() && lane.close().is_empty());
    assert!(!lane.is_free());
    for _ in 0..2 {
        let (token, runnable) = call(&drops);
        assert_eq!(lane.join(runnable).unwrap_err().id(), token.id());
    }
}

#[test]
fn a_closed_lane_that_was_free_refuses_too() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    assert!(lane.close().is_empty());
    assert!(lane.join(call(&drops).1).is_err());
    assert_eq!(drops.count(), 1);
}

#[test]
fn what_waits_in_a_dropped_lane_is_abandoned() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    let (_first, runnable) = hold(&lane, &drops);
    let waiting = [wait(&lane, &drops), wait(&lane, &drops)];
    drop(lane);
    assert_eq!(drops.count(), 2);
    for token in waiting {
        assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
    }
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
}

#[test]
fn one_that_is_killed_while_it_waits_keeps_its_place_as_a_tombstone() {
    let (lane, drops) = (LaneQueue::new(), Drops::new());
    let _first = hold(&lane, &drops);
    let (killed, last) = (wait(&lane, &drops), wait(&lane, &drops));
    let killed_id = killed.id();
    killed.kill("not wanted");
    assert_eq!(drops.count(), 1, "its argument is gone at once");
    let mut list = lane.pass();
    let tombstone = list.pop_front().unwrap();
    assert_eq!(tombstone.id(), killed_id);
    assert!(matches!(
        tombstone.run(&NoHome::shared()),
        Ran::Tombstone(_)
    ));
    assert_eq!(ids(list), [last.id()]);
}

#[test]
fn an_async_body_waits_for_its_turn_like_any_other() {
    let (lane, queue) = (LaneQueue::new(), Queue::shared());
    let home: Arc<dyn Home> = queue.clone();
    let _first = hold(&lane, &Drops::new());
    let (token, runnable) = create(&OP, Async::new(async { 7 }));
    assert!(matches!(lane.join(runnable), Ok(Joined::Waits)));
    assert!(!token.is_finished());
    let next = lane.pass().pop_front().unwrap();
    assert!(matches!(next.run(&home), Ran::Completed));
    assert_eq!(token.get().unwrap(), 7);
}

#[test]
fn many_callers_of_one_lane_have_their_turns_one_at_a_time_and_in_order() {
    const CALLERS: usize = 3;
    const EACH: usize = 2_000;
    let lane = Arc::new(LaneQueue::new());
    // Read and written in two steps by each body: what two at a time did to it would show.
    let count = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (lane, count) = (lane.clone(), count.clone());
            thread::spawn(move || -> Vec<Token<usize>> {
                let calls = (0..EACH).map(|n| {
                    let count = count.clone();
                    let body = move || {
                        let turn = count.load(Relaxed);
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                        count.store(turn + 1, Relaxed);
                        turn
                    };
                    let (token, runnable) = create(&OP, Plain::new(body));
                    if let Joined::Holds(runnable) = lane.join(runnable).unwrap() {
                        run_turns(&lane, runnable);
                    }
                    token
                });
                calls.collect()
            })
        })
        .collect();
    // All have their turns before anybody waits for a token, which might run it out of turn.
    let tokens: Vec<_> = callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .collect();
    for tokens in tokens {
        let turns: Vec<_> = tokens
            .into_iter()
            .map(|token| token.get().unwrap())
            .collect();
        assert!(turns.is_sorted_by(|a, b| a < b));
    }
    assert!(lane.is_free());
    assert_eq!(count.load(Relaxed), CALLERS * EACH);
}

/// Runs the holder, and passes on until nobody waits.
fn run_turns(lane: &LaneQueue, holder: Runnable) {
    let home = NoHome::shared();
    let mut turns = RunnableList::new();
    turns.push_front(holder);
    while let Some(runnable) = turns.pop_front() {
        assert!(matches!(runnable.run(&home), Ran::Completed));
        if turns.is_empty() {
            turns = lane.pass();
        }
    }
}
