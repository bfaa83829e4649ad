//! The inbox under the model checker: nothing lost, the edge exact, order kept per producer.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use std::collections::HashMap;
use std::sync::Arc;

use loom::thread;
use loom_common::{Call, Counted, nowhere};
use tokengate_token::{Inbox, Posted, Ran, Runnable, RunnableList, Token, TokenId};

type Calls = Vec<(Call, Token<Counted>, Runnable)>;
type Posts = Vec<(TokenId, Posted)>;
type Kept = Vec<(Call, Token<Counted>)>;

/// Runs a list, which asserts that the bodies are seen; gives the order.
fn run(mut list: RunnableList) -> Vec<TokenId> {
    let mut order = Vec::new();
    while let Some(runnable) = list.pop_front() {
        order.push(runnable.id());
        assert!(matches!(runnable.run(&nowhere()), Ran::Completed));
    }
    order
}

/// Posts each from a thread that makes them there; gives what is needed to judge.
fn produce(inbox: &Inbox, count: usize) -> (Posts, Kept) {
    let mut posted = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..count {
        let (call, token, runnable) = Call::sync();
        posted.push((runnable.id(), inbox.post(runnable).expect("open")));
        kept.push((call, token));
    }
    (posted, kept)
}

/// Each taken list begins with the post that found the inbox empty, and no other did.
fn assert_edges(taken: &[Vec<TokenId>], posted: &[(TokenId, Posted)]) {
    let posted: HashMap<_, _> = posted.iter().copied().collect();
    for list in taken {
        for (at, id) in list.iter().enumerate() {
            let expected = if at == 0 {
                Posted::Edge
            } else {
                Posted::Joined
            };
            assert_eq!(posted[id], expected);
        }
    }
    assert_eq!(taken.iter().map(Vec::len).sum::<usize>(), posted.len());
}

fn assert_order(taken: &[Vec<TokenId>], posted: &[(TokenId, Posted)]) {
    let all: Vec<_> = taken.iter().flatten().collect();
    let at = |id: &TokenId| all.iter().position(|&other| other == id).unwrap();
    assert!(
        posted
            .windows(2)
            .all(|pair| at(&pair[0].0) < at(&pair[1].0))
    );
}

#[test]
fn posts_against_takes_lose_nothing() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let producers = [2, 1].map(|count| {
            let inbox = inbox.clone();
            thread::spawn(move || produce(&inbox, count))
        });
        let mut taken = vec![run(inbox.take())];
        let produced = producers.map(|producer| producer.join().unwrap());
        taken.push(run(inbox.take()));
        assert!(inbox.is_empty());
        taken.retain(|list| !list.is_empty());
        let mut all = Vec::new();
        for (posted, kept) in produced {
            assert_order(&taken, &posted);
            all.extend(posted);
            for (call, token) in kept {
                drop(token);
                call.assert_ran();
            }
        }
        assert_edges(&taken, &all);
    });
}

#[test]
fn two_takers_share_what_was_posted() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let taker = {
            let inbox = inbox.clone();
            thread::spawn(move || run(inbox.take()))
        };
        let (posted, kept) = produce(&inbox, 2);
        let mine = run(inbox.take());
        let theirs = taker.join().unwrap();
        let mut taken = vec![theirs, mine];
        assert_order(&taken, &posted);
        taken.retain(|list| !list.is_empty());
        assert_edges(&taken, &posted);
        for (call, token) in kept {
            drop(token);
            call.assert_ran();
        }
    });
}

#[test]
fn a_post_against_a_close_is_taken_or_given_back() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let (early, early_token, runnable) = Call::sync();
        assert_eq!(inbox.post(runnable).unwrap(), Posted::Edge);
        let producer = {
            let inbox = inbox.clone();
            thread::spawn(move || {
                let (call, token, runnable) = Call::sync();
                let refused = inbox.post(runnable).err();
                (call, token, refused)
            })
        };
        let taken = run(inbox.close());
        let (call, token, refused) = producer.join().unwrap();
        assert!(inbox.is_empty());
        assert_eq!(run(inbox.take()), []);
        assert_eq!(taken[0], early_token.id());
        match refused {
            None => assert_eq!(taken[1], token.id()),
            Some(runnable) => {
                assert_eq!(taken.len(), 1);
                assert!(matches!(runnable.run(&nowhere()), Ran::Completed));
            }
        }
        drop((token, early_token));
        call.assert_ran();
        early.assert_ran();
    });
}

#[test]
fn a_take_against_a_close_leaves_it_closed() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let (call, token, runnable) = Call::sync();
        assert_eq!(inbox.post(runnable).unwrap(), Posted::Edge);
        let taker = {
            let inbox = inbox.clone();
            thread::spawn(move || run(inbox.take()).len())
        };
        let closed = run(inbox.close()).len();
        assert_eq!(closed + taker.join().unwrap(), 1);
        let (late, late_token, runnable) = Call::sync();
        drop(inbox.post(runnable).expect_err("it is closed"));
        drop((token, late_token));
        call.assert_ran();
        late.assert_never_ran();
    });
}

#[test]
fn a_post_between_a_take_and_a_close_is_not_lost() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let (early, early_token, runnable) = Call::sync();
        assert_eq!(inbox.post(runnable).unwrap(), Posted::Edge);
        let taker = {
            let inbox = inbox.clone();
            thread::spawn(move || run(inbox.take()).len())
        };
        let closer = {
            let inbox = inbox.clone();
            thread::spawn(move || run(inbox.close()).len())
        };
        let (late, late_token, runnable) = Call::sync();
        let refused = inbox.post(runnable).err();
        let taken = taker.join().unwrap() + closer.join().unwrap();
        assert_eq!(taken, 2 - refused.iter().count());
        drop((refused, early_token, late_token));
        early.assert_ran();
        late.assert_gone();
    });
}

#[test]
fn a_list_is_posted_in_one_step() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new());
        let producer = {
            let inbox = inbox.clone();
            thread::spawn(move || {
                let mut list = RunnableList::new();
                let mut kept: Calls = Vec::new();
                kept.extend([Call::sync(), Call::sync()]);
                let kept: Vec<_> = kept
                    .into_iter()
                    .map(|(call, token, runnable)| {
                        list.push_front(runnable);
                        (call, token)
                    })
                    .collect();
                let posted = inbox.post_list(list).unwrap();
                (posted, kept)
            })
        };
        let (posted, kept) = produce(&inbox, 1);
        let mut taken = run(inbox.take());
        let (list_posted, list_kept) = producer.join().unwrap();
        taken.extend(run(inbox.take()));
        let at = |id| taken.iter().position(|&other| other == id).unwrap();
        assert_eq!(at(list_kept[0].1.id()) + 1, at(list_kept[1].1.id()));
        assert!(posted[0].1 == Posted::Edge || list_posted == Posted::Edge);
        for (call, token) in kept.into_iter().chain(list_kept) {
            drop(token);
            call.assert_ran();
        }
    });
}

#[test]
fn what_is_left_in_an_inbox_goes_with_it() {
    loom::model(|| {
        // The model's own counter: who lets go last is part of the model.
        let inbox = loom::sync::Arc::new(Inbox::new());
        let producer = {
            let inbox = inbox.clone();
            thread::spawn(move || produce(&inbox, 2).1)
        };
        drop(inbox);
        for (call, token) in producer.join().unwrap() {
            drop(token);
            call.assert_never_ran();
        }
    });
}
