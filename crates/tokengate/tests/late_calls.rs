//! Calls to a gate that ends, or has ended: they are rejected, and drop what they were given.
//!
//! All forms of a call, from outside and from bodies, and those that were made before and not
//! published. What is outstanding at the end is in `shutdown.rs`.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::stop::{ended, hold_until_the_stop, killed, rejected};
use common::{
    Census, HANG, Latch, Member, elsewhere, lone_workers, outcome, small_gate, value, wait_until,
    wide_gate,
};
use tokengate::{Full, Gate, Handle, RejectCause, Token, get_all, task_token_guard};

#[task_token_guard(operation_type = "keep")]
fn keep(member: Member) {
    drop(member);
}

#[test]
fn roots_are_rejected_while_children_are_taken() {
    let gate = small_gate();
    let handle = gate.handle();
    let closed = Latch::new();
    let parent = {
        let (closed, handle) = (closed.clone(), gate.handle());
        gate.spawn("parent", move || {
            closed.wait();
            let deferred = handle.batch(|| handle.spawn("child", || 1));
            [deferred, handle.spawn("child", || 2)]
        })
    };
    let ending = std::thread::spawn(move || gate.shutdown(HANG));
    wait_until("the shutdown begins", || handle.is_closed());
    every_call_is_rejected(&handle);
    closed.open();
    assert_eq!(value(parent).map(value), [1, 2]);
    let report = elsewhere(|| ending.join().unwrap());
    assert!(report.drained);
}

/// All forms of a root call; each drops its argument.
fn every_call_is_rejected(gate: &Handle) {
    let census = Census::new();
    let request = || keep::request(census.member()).on(gate);
    assert!(rejected(&outcome(gate.spawn("late", || ()))));
    assert!(rejected(&outcome(gate.spawn_async("late", async {}))));
    let deferred = gate.batch(|| gate.spawn("late", || ()));
    assert!(rejected(&outcome(deferred)));
    assert!(rejected(&outcome(request().submit())));
    let entered = gate.enter();
    assert!(rejected(&outcome(keep(census.member()))));
    drop(entered);
    let asynchronous = elsewhere({
        let request = request();
        || outcome(smol::block_on(request.submit_async()))
    });
    assert!(rejected(&asynchronous), "{asynchronous:?}");
    let refused = request().try_submit().unwrap_err();
    assert_eq!(refused.cause, RejectCause::ShutDown);
    let refused = refused.request.submit_timeout(HANG).unwrap_err();
    assert_eq!(refused.cause, RejectCause::ShutDown);
    drop(refused);
    assert_eq!(census.alive(), 0);
}

#[test]
fn handles_that_are_kept_reject_and_still_tell() {
    for by_drop in [false, true] {
        let gate = wide_gate();
        let handle = gate.handle();
        let token = gate.spawn("before", || 7);
        wait_until("it ran", || token.is_finished());
        if by_drop {
            drop(gate);
        } else {
            assert!(gate.shutdown(HANG).drained);
        }
        every_call_is_rejected(&handle);
        assert!(handle.is_closed());
        assert_eq!(handle.plan().domains().len(), 3);
        assert!(handle.stats().total().ended() >= 1);
        assert_eq!(value(token), 7, "a result outlives its gate");
    }
}

#[test]
fn who_waits_for_room_is_rejected() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(1)
        .on_full(Full::Wait)
        .start()
        .unwrap();
    let handle = gate.handle();
    let held = hold_until_the_stop(&gate);
    let queued = gate.spawn("queued", || ());
    let (calling, called) = mpsc::channel();
    let waiting = [0, 1, 2].map(|form| {
        let (handle, calling) = (handle.clone(), calling.clone());
        std::thread::spawn(move || {
            calling.send(()).unwrap();
            match form {
                0 => rejected(&outcome(handle.spawn("late", || ()))),
                1 => {
                    let census = Census::new();
                    let request = keep::request(census.member()).on(&handle);
                    let refused = request.submit_timeout(Duration::MAX).unwrap_err();
                    refused.cause == RejectCause::ShutDown
                }
                _ => {
                    let body = tokengate_scheduler::Plain::new(|| ());
                    let token = smol::block_on(handle.submit_async("late", body));
                    rejected(&outcome(token))
                }
            }
        })
    });
    for _ in 0..3 {
        called.recv_timeout(HANG).unwrap();
    }
    std::thread::sleep(Duration::from_millis(5));
    elsewhere(move || gate.shutdown(Duration::ZERO));
    for (form, thread) in waiting.into_iter().enumerate() {
        assert!(elsewhere(|| thread.join().unwrap()), "form {form}");
    }
    assert!(killed(&outcome(queued)));
    held.into_iter().for_each(ended);
}

#[test]
fn a_batch_that_is_published_after_the_end_is_rejected() {
    let gate = wide_gate();
    let handle = gate.handle();
    let census = Census::new();
    let (deferred, publish) = (Latch::new(), Latch::new());
    let batch = {
        let (census, deferred, publish) = (census.clone(), deferred.clone(), publish.clone());
        std::thread::spawn(move || {
            handle.batch(|| {
                let tokens: Vec<_> = (0..50)
                    .map(|_| {
                        let member = census.member();
                        handle.spawn("deferred", move || drop(member))
                    })
                    .collect();
                deferred.open();
                publish.wait();
                tokens
            })
        })
    };
    deferred.wait();
    let report = gate.shutdown(HANG);
    assert!(report.drained, "nobody waits for an open batch");
    assert_eq!(report.unpublished, 50);
    assert_eq!(census.alive(), 50);
    publish.open();
    let tokens = elsewhere(|| batch.join().unwrap());
    assert!(get_all(tokens).iter().all(rejected));
    assert_eq!(census.alive(), 0);
}

#[test]
fn what_a_killed_body_calls_when_it_is_dropped_is_rejected() {
    /// Calls when it is dropped, and hands the token on.
    struct Caller(Handle, mpsc::Sender<Token<()>>);
    impl Drop for Caller {
        fn drop(&mut self) {
            let token = self.0.spawn("last wish", || ());
            self.1.send(token).unwrap();
        }
    }
    let gate = small_gate();
    let (sender, wishes) = mpsc::channel();
    let caller = || Caller(gate.handle(), sender.clone());
    let suspended = {
        let (caller, started) = (caller(), Latch::new());
        let starting = started.clone();
        let token = gate.spawn_async("suspended", async move {
            starting.open();
            std::future::pending::<()>().await;
            drop(caller);
        });
        started.wait();
        token
    };
    let held = hold_until_the_stop(&gate);
    let caller = caller();
    let queued = gate.spawn("queued", move || drop(caller));
    drop(sender);
    elsewhere(move || drop(gate));
    assert!(killed(&outcome(suspended)) && killed(&outcome(queued)));
    let wishes: Vec<_> = wishes.iter().collect();
    assert_eq!(wishes.len(), 2);
    for wish in wishes {
        assert!(rejected(&outcome(wish)));
    }
    held.into_iter().for_each(ended);
}
