//! The lane under the model checker: one holder at a time, nothing lost, order kept for each caller.
//!
//! Run by `cargo xtask loom`; see `loom_state.rs`. The bodies of a lane run inside of one cell of the
//! model: two holders at a time, or two without an order between them, are reported as a race.

#![cfg(tokengate_loom)]

mod loom_common;

use std::sync::{Arc, Mutex as StdMutex};

use loom::cell::UnsafeCell;
use loom::thread;
use loom_common::{Call, Counted, nowhere};
use tokengate_token::{Joined, LaneQueue, Ran, Runnable, RunnableList, Token, TokenId};

/// A lane, with what its holder alone may touch.
#[derive(Default)]
struct Lane {
    queue: LaneQueue,
    holders: UnsafeCell<()>,
    order: StdMutex<Vec<TokenId>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It held the lane, and others that came meanwhile after it.
    Held,
    /// Whoever holds the lane runs it.
    Waits,
    Refused,
}

impl Lane {
    fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Makes a call and joins; runs it and those behind it if that holds the lane.
    fn call(&self) -> (Ended, Call, Token<Counted>) {
        let (call, token, runnable) = Call::sync();
        let ended = match self.queue.join(runnable) {
            Ok(Joined::Holds(runnable)) => {
                self.hold(runnable);
                Ended::Held
            }
            Ok(Joined::Waits) => Ended::Waits,
            Err(refused) => {
                drop(refused);
                Ended::Refused
            }
        };
        (ended, call, token)
    }

    /// Makes a call that holds the lane, and is not run yet.
    fn first(&self) -> (Runnable, Call, Token<Counted>) {
        let (call, token, runnable) = Call::sync();
        match self.queue.join(runnable) {
            Ok(Joined::Holds(runnable)) => (runnable, call, token),
            _ => panic!("nobody was there"),
        }
    }

    /// Makes a call that waits.
    fn behind(&self) -> (Call, Token<Counted>) {
        let (call, token, runnable) = Call::sync();
        assert!(matches!(self.queue.join(runnable), Ok(Joined::Waits)));
        (call, token)
    }

    /// Runs the holder, and passes on until nobody waits.
    fn hold(&self, holder: Runnable) {
        let mut turns = RunnableList::new();
        turns.push_front(holder);
        while let Some(runnable) = turns.pop_front() {
            self.holders.with_mut(|_| {
                self.order.lock().unwrap().push(runnable.id());
                let ran = runnable.run(&nowhere());
                let is_over = matches!(ran, Ran::Completed | Ran::Late(_) | Ran::Tombstone(_));
                assert!(is_over, "{ran:?}");
            });
            if turns.is_empty() {
                turns = self.queue.pass();
            }
        }
    }

    /// The place of each in the order of their turns; none for those that had no turn.
    fn turns(&self, tokens: &[&Token<Counted>]) -> Vec<Option<usize>> {
        let order = self.order.lock().unwrap();
        let turn = |token: &&Token<Counted>| order.iter().position(|&id| id == token.id());
        tokens.iter().map(turn).collect()
    }

    fn count(&self) -> usize {
        self.order.lock().unwrap().len()
    }
}

/// Drops all that a purge has found; how many.
fn kill(mut list: RunnableList) -> usize {
    let mut killed = 0;
    while let Some(runnable) = list.pop_front() {
        let _ = runnable.kill("purged");
        killed += 1;
    }
    killed
}

#[test]
fn joins_against_passes_have_one_holder_at_a_time_and_lose_nothing() {
    loom::model(|| {
        let lane = Lane::shared();
        let callers = [2, 1].map(|calls| {
            let lane = lane.clone();
            thread::spawn(move || -> Vec<_> { (0..calls).map(|_| lane.call()).collect() })
        });
        let mine = vec![lane.call()];
        let theirs = callers.map(|caller| caller.join().unwrap());
        assert!(lane.queue.is_free());
        assert_eq!(lane.count(), 4);
        for calls in theirs.into_iter().chain([mine]) {
            let tokens: Vec<_> = calls.iter().map(|(_, _, token)| token).collect();
            let turns = lane.turns(&tokens);
            assert!(turns.iter().all(Option::is_some) && turns.is_sorted());
            for (ended, call, token) in calls {
                assert_ne!(ended, Ended::Refused);
                drop(token);
                call.assert_ran();
            }
        }
    });
}

#[test]
fn a_lane_that_is_left_free_is_held_by_one_of_two() {
    loom::model(|| {
        let lane = Lane::shared();
        let (holder, first, first_token) = lane.first();
        let callers = [(); 2].map(|()| {
            let lane = lane.clone();
            thread::spawn(move || lane.call())
        });
        lane.hold(holder);
        let calls = callers.map(|caller| caller.join().unwrap());
        assert!(lane.queue.is_free());
        assert_eq!(lane.turns(&[&first_token]), [Some(0)]);
        drop(first_token);
        first.assert_ran();
        for (ended, call, token) in calls {
            assert_ne!(ended, Ended::Refused);
            drop(token);
            call.assert_ran();
        }
    });
}

#[test]
fn a_join_against_a_close_has_a_turn_or_is_taken_or_given_back() {
    loom::model(|| {
        let lane = Lane::shared();
        let (holder, first, first_token) = lane.first();
        let caller = {
            let lane = lane.clone();
            thread::spawn(move || lane.call())
        };
        let closer = {
            let lane = lane.clone();
            thread::spawn(move || kill(lane.queue.close()))
        };
        lane.hold(holder);
        let (ended, call, token) = caller.join().unwrap();
        let taken = closer.join().unwrap();
        assert!(!lane.queue.is_free());
        drop((first_token, token));
        first.assert_ran();
        match (ended, taken) {
            (Ended::Held, 0) => call.assert_ran(),
            (Ended::Waits, 0) => call.assert_ran(),
            (Ended::Waits, 1) | (Ended::Refused, 0) => call.assert_never_ran(),
            wrong => panic!("{wrong:?}"),
        }
        let (ended, late, _) = lane.call();
        assert_eq!(ended, Ended::Refused);
        late.assert_never_ran();
    });
}

#[test]
fn a_take_against_passes_shares_those_who_wait_and_leaves_the_lane_held() {
    loom::model(|| {
        let lane = Lane::shared();
        let (holder, first, first_token) = lane.first();
        let (second, second_token) = lane.behind();
        let caller = {
            let lane = lane.clone();
            thread::spawn(move || lane.call())
        };
        let purger = {
            let lane = lane.clone();
            thread::spawn(move || kill(lane.queue.take()))
        };
        lane.hold(holder);
        let (ended, third, third_token) = caller.join().unwrap();
        let taken = purger.join().unwrap();
        assert!(lane.queue.is_free());
        assert_ne!(ended, Ended::Refused);
        assert_eq!(lane.count() + taken, 3);
        let turns = lane.turns(&[&first_token, &second_token, &third_token]);
        assert!(turns.iter().flatten().is_sorted());
        drop((first_token, second_token, third_token));
        first.assert_ran();
        for (call, turn) in [(second, turns[1]), (third, turns[2])] {
            match turn {
                Some(_) => call.assert_ran(),
                None => call.assert_never_ran(),
            }
        }
    });
}

#[test]
fn a_take_against_a_close_leaves_the_lane_closed() {
    loom::model(|| {
        let lane = Lane::shared();
        let (holder, first, first_token) = lane.first();
        let (second, second_token) = lane.behind();
        let purger = {
            let lane = lane.clone();
            thread::spawn(move || kill(lane.queue.take()))
        };
        let closed = kill(lane.queue.close());
        assert_eq!(closed + purger.join().unwrap(), 1);
        lane.hold(holder);
        let (ended, late, _) = lane.call();
        assert_eq!(ended, Ended::Refused);
        drop((first_token, second_token));
        first.assert_ran();
        second.assert_never_ran();
        late.assert_never_ran();
    });
}

#[test]
fn one_that_is_killed_while_it_waits_is_passed_over() {
    loom::model(|| {
        let lane = Lane::shared();
        let (holder, first, first_token) = lane.first();
        let (second, second_token) = lane.behind();
        let caller = {
            let lane = lane.clone();
            thread::spawn(move || lane.call())
        };
        let killer = thread::spawn(move || second_token.kill("not wanted"));
        lane.hold(holder);
        let (ended, third, third_token) = caller.join().unwrap();
        let killed = killer.join().unwrap();
        assert!(lane.queue.is_free());
        assert_ne!(ended, Ended::Refused);
        // The tombstone has a turn too.
        assert_eq!(lane.count(), 3);
        drop((first_token, third_token));
        first.assert_ran();
        if killed {
            second.assert_gone();
        } else {
            second.assert_ran();
        }
        third.assert_ran();
    });
}

#[test]
fn what_waits_in_a_lane_goes_with_it() {
    loom::model(|| {
        // The model's own counter: who lets go last is part of the model.
        let lane = loom::sync::Arc::new(LaneQueue::new());
        let callers = [(); 2].map(|()| {
            let lane = lane.clone();
            thread::spawn(move || {
                let (call, token, runnable) = Call::sync();
                // The holder ends without a pass: the lane is blocked, as `join` says.
                drop(lane.join(runnable));
                drop(lane);
                (call, token)
            })
        });
        drop(lane);
        for (call, token) in callers.map(|caller| caller.join().unwrap()) {
            drop(token);
            call.assert_never_ran();
        }
    });
}
