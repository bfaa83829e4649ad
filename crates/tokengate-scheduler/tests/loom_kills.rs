//! A lane whose tokens are killed before their turns, under the model checker: it goes on without them.
//!
//! Run by `cargo xtask loom`. A killer has claimed the token before it ends the turn, out of order and on
//! any thread; the runnable is a tombstone, which may still arrive. What a kill gives back is the token
//! crate's `loom_bond.rs`; a lane without kills is `loom_lanes.rs`.

#![cfg(tokengate_loom)]

mod loom_common;

use loom_common::{Line, join, spawn};

#[test]
fn a_kill_against_the_start_of_a_holder_lets_the_next_one_go_on_once() {
    loom::model(|| {
        let (line, [first, second]) = Line::with();
        let others = [
            spawn(&line, |line| line.kill(0)),
            spawn(&line, |line| line.work([second])),
        ];
        line.work([first]);
        join(others);
        line.assert_done();
    });
}

#[test]
fn a_kill_against_the_arrival_of_its_own_runnable_and_the_end_before_loses_neither() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let others = [
            spawn(&line, |line| line.kill(1)),
            spawn(&line, |line| line.work([second])),
        ];
        line.work([first, third]);
        join(others);
        line.assert_done();
    });
}

#[test]
fn one_that_an_order_ends_on_its_arrival_lets_the_lane_go_on_from_the_end_before() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let others = [
            spawn(&line, |line| line.refuse(second)),
            spawn(&line, |line| line.work([third])),
        ];
        line.work([first]);
        join(others);
        line.assert_done();
    });
}

#[test]
fn a_body_behind_one_that_was_killed_sees_what_was_written_before_that() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let others = [
            spawn(&line, |line| line.kill(1)),
            spawn(&line, |line| line.work([third])),
        ];
        line.work([first]);
        join(others);
        // Late, as one that was queued far behind.
        line.work([second]);
        line.assert_done();
    });
}

#[test]
fn a_kill_of_one_that_waits_against_the_end_before_gives_its_runnable_out_once() {
    loom::model(|| {
        let (line, first) = Line::with_waiting::<3>();
        let killer = spawn(&line, |line| line.kill(1));
        line.work([first]);
        join([killer]);
        line.assert_done();
    });
}

#[test]
fn kills_of_two_that_wait_one_behind_the_other_let_the_third_go_on() {
    loom::model(|| {
        let (line, first) = Line::with_waiting::<4>();
        let killers = [2, 1].map(|turn| spawn(&line, move |line| line.kill(turn)));
        line.work([first]);
        join(killers);
        line.assert_done();
    });
}

#[test]
fn kills_of_a_holder_and_of_the_one_behind_it_let_the_third_go_on() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let killers = [0, 1].map(|turn| spawn(&line, move |line| line.kill(turn)));
        line.work([third]);
        join(killers);
        assert_eq!(line.count_ran(), 1);
        line.work([second, first]);
        line.assert_done();
    });
}

#[test]
fn a_kill_far_behind_the_holder_against_ends_holds_nobody_up_in_its_turn() {
    loom::model(|| {
        let (line, [first, second, third, fourth]) = Line::with();
        let others = [
            spawn(&line, |line| line.kill(2)),
            spawn(&line, |line| line.work([fourth, third])),
        ];
        line.work([first, second]);
        join(others);
        line.assert_done();
    });
}

#[test]
fn a_kill_against_a_purge_and_the_end_before_ends_each_once() {
    loom::model(|| {
        let (line, first) = Line::with_waiting::<3>();
        let others = [
            spawn(&line, |line| line.purge()),
            spawn(&line, |line| line.kill(1)),
        ];
        line.work([first]);
        join(others);
        line.assert_done();
    });
}

#[test]
fn a_kill_against_a_waiter_that_runs_it_in_place_decides_who_ends_the_turn() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        let others = [
            spawn(&line, |line| line.kill(1)),
            spawn(&line, |line| line.wait_in_place(1)),
        ];
        line.work([first, third]);
        join(others);
        line.work([second]);
        line.assert_done();
    });
}

#[test]
fn a_tombstone_that_comes_late_holds_up_nobody_of_the_next_key() {
    loom::model(|| {
        let (line, [first, second, third]) = Line::with();
        // The turns of an entry go on from key to key.
        let worker = spawn(&line, |line| line.work([second]));
        line.kill(0);
        line.kill(1);
        line.work([third]);
        join([worker]);
        line.work([first]);
        assert!(line.count_ran() >= 1);
        line.assert_done();
    });
}
