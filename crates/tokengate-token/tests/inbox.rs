//! The inbox and its lists: nothing lost, order kept, the edge reported.

mod common;

use std::sync::Arc;
use std::thread;

use common::{Drops, OP};
use tokengate_token::{
    Inbox, NoHome, Plain, Posted, Runnable, RunnableList, Token, TokenError, TokenId, create,
};

fn call(drops: &Drops) -> (Token<()>, Runnable) {
    let argument = drops.counted();
    create(&OP, Plain::new(move || drop(argument)))
}

fn ids(mut list: RunnableList) -> Vec<TokenId> {
    std::iter::from_fn(|| list.pop_front())
        .map(|runnable| runnable.id())
        .collect()
}

#[test]
fn the_edge_is_reported_when_the_inbox_was_empty() {
    let (inbox, drops) = (Inbox::new(), Drops::new());
    assert!(inbox.is_empty());
    for _ in 0..2 {
        assert_eq!(inbox.post(call(&drops).1).unwrap(), Posted::Edge);
        assert!(!inbox.is_empty());
        assert_eq!(inbox.post(call(&drops).1).unwrap(), Posted::Joined);
        assert_eq!(inbox.take().len(), 2);
        assert!(inbox.is_empty());
        assert!(inbox.take().is_empty());
    }
}

#[test]
fn runnables_come_out_oldest_first() {
    let (inbox, drops) = (Inbox::default(), Drops::new());
    let mut expected = Vec::new();
    for _ in 0..5 {
        let (token, runnable) = call(&drops);
        expected.push(token.id());
        let _ = inbox.post(runnable).unwrap();
    }
    assert_eq!(ids(inbox.take()), expected);
}

#[test]
fn a_list_is_posted_as_one_whose_front_is_the_newest() {
    let (inbox, drops) = (Inbox::new(), Drops::new());
    let mut expected = Vec::new();
    let (token, runnable) = call(&drops);
    expected.push(token.id());
    let _ = inbox.post(runnable).unwrap();
    for round in 0..2 {
        let mut list = RunnableList::default();
        for _ in 0..3 {
            let (token, runnable) = call(&drops);
            expected.push(token.id());
            list.push_front(runnable);
        }
        assert_eq!(inbox.post_list(list).unwrap(), Posted::Joined, "{round}");
    }
    assert_eq!(
        inbox.post_list(RunnableList::new()).unwrap(),
        Posted::Joined
    );
    assert_eq!(ids(inbox.take()), expected);
    assert_eq!(
        inbox.post_list(RunnableList::new()).unwrap(),
        Posted::Joined
    );
    assert!(inbox.is_empty());
}

#[test]
fn a_closed_inbox_gives_everything_back() {
    let (inbox, drops) = (Inbox::new(), Drops::new());
    let (kept, runnable) = call(&drops);
    let _ = inbox.post(runnable).unwrap();
    assert_eq!(ids(inbox.close()), [kept.id()]);
    assert!(inbox.is_empty());
    let (token, runnable) = call(&drops);
    let refused = inbox.post(runnable).unwrap_err();
    assert_eq!(refused.id(), token.id());
    let mut list = RunnableList::new();
    list.push_front(refused);
    list.push_front(call(&drops).1);
    let refused = inbox.post_list(list).unwrap_err();
    assert_eq!(refused.len(), 2);
    assert_eq!(ids(refused)[1], token.id());
    assert!(inbox.take().is_empty());
    assert!(inbox.close().is_empty());
    assert!(format!("{inbox:?}").contains("is_empty: true"));
}

#[test]
fn what_is_left_behind_is_abandoned() {
    let drops = Drops::new();
    let inbox = Inbox::new();
    let tokens: Vec<_> = (0..3)
        .map(|_| {
            let (token, runnable) = call(&drops);
            let _ = inbox.post(runnable).unwrap();
            token
        })
        .collect();
    drop(inbox);
    assert_eq!(drops.count(), 3);
    for token in tokens {
        assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
    }
    let mut list = RunnableList::new();
    list.push_front(call(&drops).1);
    drop(list);
    assert_eq!(drops.count(), 4);
}

#[test]
fn a_list_keeps_its_count_and_its_ends() {
    let drops = Drops::new();
    let mut list = RunnableList::new();
    assert!(list.is_empty() && list.pop_front().is_none());
    let made: Vec<_> = (0..3).map(|_| call(&drops)).collect();
    let mut expected: Vec<_> = made.iter().map(|(token, _)| token.id()).collect();
    for (_, runnable) in made {
        list.push_front(runnable);
    }
    assert_eq!(list.len(), 3);
    assert!(format!("{list:?}").contains("len: 3"));
    list.reverse();
    assert_eq!(list.pop_front().unwrap().id(), expected.remove(0));
    assert_eq!(list.len(), 2);
    // Emptied and filled again: the back is the new one.
    while list.pop_front().is_some() {}
    let (token, runnable) = call(&drops);
    list.push_front(runnable);
    let inbox = Inbox::new();
    assert_eq!(inbox.post_list(list).unwrap(), Posted::Edge);
    assert_eq!(ids(inbox.take()), [token.id()]);
}

#[test]
fn many_producers_and_one_consumer_lose_nothing() {
    const PRODUCERS: usize = 3;
    const EACH: usize = 2_000;
    let inbox = Arc::new(Inbox::new());
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let inbox = inbox.clone();
            thread::spawn(move || -> Vec<Token<(usize, usize)>> {
                let mut list = RunnableList::new();
                let mut tokens = Vec::new();
                for n in 0..EACH {
                    let (token, runnable) = create(&OP, Plain::new(move || (producer, n)));
                    tokens.push(token);
                    list.push_front(runnable);
                    if n % 7 == 0 || n + 1 == EACH {
                        let _ = inbox.post_list(std::mem::take(&mut list)).unwrap();
                    }
                }
                tokens
            })
        })
        .collect();
    let home = NoHome::shared();
    let mut order = Vec::new();
    while order.len() < PRODUCERS * EACH {
        let mut taken = inbox.take();
        while let Some(runnable) = taken.pop_front() {
            order.push(runnable.id());
            let _ = runnable.run(&home);
        }
        thread::yield_now();
    }
    let place: std::collections::HashMap<_, _> = order.iter().zip(0..).collect();
    for producer in producers {
        let tokens = producer.join().unwrap();
        assert!(tokens.is_sorted_by_key(|token| -> i32 { place[&token.id()] }));
        for (n, token) in tokens.into_iter().enumerate() {
            assert_eq!(token.get().unwrap().1, n);
        }
    }
}
