//! A lane under the model checker: its tokens run one at a time, in the order of their turns, and each sees
//! what the one before has written.
//!
//! Run by `cargo xtask loom`. Workers come upon the tokens in any order; waiters and purges take part.
//! Those that are killed from outside are in `loom_kills.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use loom_common::{Line, join, spawn};

#[test]
fn a_token_that_comes_before_its_turn_waits_or_finds_that_it_has_come() {
    loom::model(|| {
        let (line, [first, second]) = Line::with();
        let worker = spawn(&line, |line| line.work([second]));
        line.work([first]);
        join([worker]);
        assert_eq!(line.count_ran(), 2);
        line.assert_done();
    });
}

#[test]
fn tokens_of_three_workers_run_in_the_order_of_their_turns() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let workers = [
            spawn(&line, |line| line.work([third])),
            spawn(&line, |line| line.work([second])),
        ];
        line.work([first]);
        join(workers);
        assert_eq!(line.count_ran(), 3);
        line.assert_done();
    });
}

#[test]
fn tokens_that_are_queued_in_the_wrong_order_run_in_that_of_their_turns() {
    loom::model(|| {
        let (line, [first, second, third, fourth]) = Line::with();
        let worker = spawn(&line, |line| line.work([third, first]));
        line.work([fourth, second]);
        join([worker]);
        assert_eq!(line.count_ran(), 4);
        line.assert_done();
    });
}

#[test]
fn a_lane_in_which_some_wait_goes_on_against_one_that_comes() {
    loom::model(|| {
        let (line, [first, second, third, fourth]) = Line::with();
        line.work([second]);
        let workers = [
            spawn(&line, |line| line.work([fourth])),
            spawn(&line, |line| line.work([third])),
        ];
        line.work([first]);
        join(workers);
        assert_eq!(line.count_ran(), 4);
        line.assert_done();
    });
}

#[test]
fn a_waiter_that_finds_the_turn_come_sees_what_was_written_before() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let others = [
            spawn(&line, |line| line.wait_in_place(1)),
            spawn(&line, |line| line.work([second])),
        ];
        line.work([first, third]);
        join(others);
        assert_eq!(line.count_ran(), 3);
        line.assert_done();
    });
}

#[test]
fn a_purge_against_ends_takes_each_that_waits_once() {
    loom::model(|| {
        let (line, first) = Line::with_waiting::<4>();
        let purger = spawn(&line, |line| line.purge());
        line.work([first]);
        join([purger]);
        line.assert_done();
    });
}

#[test]
fn two_purges_against_ends_take_each_that_waits_once() {
    loom::model(|| {
        let (line, first) = Line::with_waiting::<3>();
        let purgers = [(); 2].map(|()| spawn(&line, |line| line.purge()));
        line.work([first]);
        join(purgers);
        line.assert_done();
    });
}

#[test]
fn a_purge_against_one_that_comes_leaves_it_to_its_turn_or_ends_it() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        line.work([second]);
        let others = [
            spawn(&line, |line| line.purge()),
            spawn(&line, |line| line.work([third])),
        ];
        line.work([first]);
        join(others);
        assert_ne!(line.count_ran(), 0);
        line.assert_done();
    });
}
