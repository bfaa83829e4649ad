//! Waiting for many tokens: results in order, one wake-up.

mod common;

use std::task::Poll;
use std::thread;

use common::{Drops, OP, Queue, Wakes, poll_with};
use tokengate_token::{Fallible, NoHome, Plain, Token, TokenError, create, get_all, join_all};

fn numbers(queue: &Queue, count: usize) -> Vec<Token<usize>> {
    (0..count)
        .map(|n| queue.spawn(Plain::new(move || n)))
        .collect()
}

#[test]
fn results_come_in_the_order_of_the_tokens() {
    let queue = Queue::shared();
    let tokens = numbers(&queue, 100);
    let mut runnables: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    runnables.reverse();
    let runner = thread::spawn(move || {
        for runnable in runnables {
            let _ = runnable.run(&NoHome::shared());
        }
    });
    let results: Result<Vec<_>, _> = get_all(tokens).into_iter().collect();
    assert_eq!(results.unwrap(), Vec::from_iter(0..100));
    runner.join().unwrap();
}

#[test]
fn the_waiter_is_woken_once_at_the_end() {
    let queue = Queue::shared();
    let mut all = join_all(numbers(&queue, 10));
    let _ = queue.run_one();
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut all, &waker).is_pending());
    for _ in 0..8 {
        let _ = queue.run_one();
    }
    assert_eq!(wakes.count(), 0);
    let _ = queue.run_one();
    assert_eq!(wakes.count(), 1);
    let Poll::Ready(results) = poll_with(&mut all, &waker) else {
        panic!("it was woken");
    };
    assert_eq!(results.len(), 10);
}

#[test]
fn a_waiter_that_polls_again_is_the_one_that_is_woken() {
    let queue = Queue::shared();
    let mut all = join_all(numbers(&queue, 4));
    let (first, first_waker) = Wakes::new();
    let (last, last_waker) = Wakes::new();
    assert!(poll_with(&mut all, &first_waker).is_pending());
    let _ = queue.run_one();
    assert!(poll_with(&mut all, &last_waker).is_pending());
    assert!(poll_with(&mut all, &last_waker).is_pending());
    queue.run_all();
    assert_eq!((first.count(), last.count()), (0, 1));
    assert!(poll_with(&mut all, &last_waker).is_ready());
    assert!(format!("{all:?}").contains("JoinAll"));
}

#[test]
fn each_token_gives_its_own_outcome() {
    let queue = Queue::shared();
    let tokens: Vec<_> = (0..4)
        .map(|n| {
            queue.spawn(Fallible::new(move || match n {
                0 => Ok(n),
                1 => Err("an error"),
                _ => panic!("a panic"),
            }))
        })
        .collect();
    assert!(tokens[3].kill("a kill"));
    queue.run_all();
    let results = get_all(tokens);
    assert!(matches!(results[0], Ok(0)));
    assert!(matches!(results[1], Err(TokenError::Failed("an error"))));
    assert!(matches!(results[2], Err(TokenError::Panicked(_))));
    assert!(matches!(results[3], Err(TokenError::Killed { .. })));
}

#[test]
fn nothing_to_wait_for_is_ready_at_once() {
    assert!(get_all(Vec::<Token<u8>>::new()).is_empty());
    assert!(smol::block_on(join_all(Vec::<Token<u8>>::new())).is_empty());
}

#[test]
fn any_executor_can_await_them() {
    let queue = Queue::shared();
    let tokens = numbers(&queue, 50);
    let runner = thread::spawn(move || queue.run_all());
    let results = smol::block_on(join_all(tokens));
    assert!(results.into_iter().map(Result::unwrap).eq(0..50));
    runner.join().unwrap();
}

#[test]
fn dropping_the_future_detaches_the_tokens() {
    let (queue, drops) = (Queue::shared(), Drops::new());
    let tokens: Vec<_> = (0..3)
        .map(|_| {
            let result = drops.counted();
            queue.spawn(Plain::new(move || result))
        })
        .collect();
    let mut all = join_all(tokens);
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut all, &waker).is_pending());
    let _ = queue.run_one();
    drop(all);
    queue.run_all();
    assert_eq!((drops.count(), wakes.count()), (3, 0));
}

#[test]
fn a_body_may_wait_for_others_on_the_thread_that_waits() {
    let queue = Queue::shared();
    let (inner, runnable) = create(&OP, Plain::new(|| 1));
    let (outer, outer_runnable) = create(&OP, Plain::new(move || get_all([inner]).remove(0)));
    let runner = thread::spawn(move || {
        let _ = runnable.run(&NoHome::shared());
    });
    let _ = outer_runnable.run(&(queue as _));
    runner.join().unwrap();
    assert_eq!(outer.get().unwrap().unwrap(), 1);
}
