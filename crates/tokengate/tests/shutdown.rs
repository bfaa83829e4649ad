//! The end of a gate, by shutdown or drop: every handle resolves, and nothing of a body is left.
//!
//! Tokens of all kinds are outstanding: queued, suspended without a waker, asleep. What each case
//! submits is counted when it is made and when it is dropped. Calls that come too late are in
//! `late_calls.rs`.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::stop::{ended, hold_until_the_stop, killed, rejected};
use common::{
    Census, HANG, Held, Latch, Member, elsewhere, outcome, small_gate, value, wait_until, wide_gate,
};
use tokengate::{Call, Gate, Key, Operation, ShutdownReport, Token, get_all};

/// What is outstanding when the gate ends.
struct Outstanding {
    census: Census,
    held: Vec<Token<()>>,
    queued: Vec<Token<Member>>,
    suspended: Vec<Token<Member>>,
}

impl Outstanding {
    /// 10,000 tokens; when this returns the async ones are suspended and the workers are held.
    fn fill(gate: &Gate) -> Self {
        let census = Census::new();
        let (started, starts) = mpsc::channel();
        let suspended: Vec<_> = (0..6_000)
            .map(|n| {
                let (member, started) = (census.member(), started.clone());
                gate.spawn_async("suspended", async move {
                    started.send(()).unwrap();
                    match n % 2 {
                        0 => std::future::pending::<()>().await,
                        _ => tokio::time::sleep(Duration::from_secs(1_000_000)).await,
                    }
                    member
                })
            })
            .collect();
        for _ in 0..suspended.len() {
            starts.recv_timeout(HANG).expect("each is polled");
        }
        let held = hold_until_the_stop(gate);
        let queued = (0..4_000).map(|n| {
            let member = census.member();
            if n % 4 == 0 {
                gate.spawn_async("queued", async move { member })
            } else {
                gate.spawn("queued", move || member)
            }
        });
        Self {
            queued: queued.collect(),
            census,
            held,
            suspended,
        }
    }

    fn check(self) {
        assert_eq!(self.census.made(), 10_000);
        self.held.into_iter().for_each(ended);
        for (what, tokens) in [("queued", self.queued), ("suspended", self.suspended)] {
            let unresolved = tokens.iter().filter(|token| !token.is_finished()).count();
            assert_eq!(unresolved, 0, "{what} tokens without an outcome");
            let results = get_all(tokens);
            let wrong = results.iter().filter(|result| !killed(result)).count();
            assert_eq!(wrong, 0, "{what} tokens that were not killed");
        }
        assert_eq!(self.census.alive(), 0, "bodies that were not dropped");
    }
}

#[test]
fn a_shutdown_resolves_ten_thousand_tokens() {
    let gate = wide_gate();
    let outstanding = Outstanding::fill(&gate);
    let report: ShutdownReport = elsewhere(move || gate.shutdown(Duration::ZERO));
    assert!(!report.drained);
    outstanding.check();
}

#[test]
fn a_drop_resolves_ten_thousand_tokens() {
    let gate = wide_gate();
    let outstanding = Outstanding::fill(&gate);
    elsewhere(move || drop(gate));
    outstanding.check();
}

#[test]
fn two_workers_of_a_domain_end_together() {
    let gate = Gate::builder()
        .domains(tokengate::Domains::Count(1))
        .start()
        .unwrap();
    let outstanding = Outstanding::fill(&gate);
    elsewhere(move || drop(gate));
    outstanding.check();
}

#[test]
fn a_shutdown_with_time_lets_everything_finish() {
    let gate = wide_gate();
    let census = Census::new();
    let tokens: Vec<Token<[Token<Member>; 1]>> = (0..1_000)
        .map(|n| {
            let (member, handle) = (census.member(), gate.handle());
            let child = move || [handle.spawn("child", || member)];
            if n % 2 == 0 {
                gate.spawn("parent", child)
            } else {
                gate.spawn_async("parent", async move {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                    child()
                })
            }
        })
        .collect();
    let report = elsewhere(move || gate.shutdown(HANG));
    assert!(report.drained);
    for token in tokens {
        drop(value(token).map(value));
    }
    assert_eq!(census.alive(), 0);
}

/// Begins a shutdown on another thread, with a body that is held; gives both.
fn shutting_down(gate: Gate) -> (Held, std::thread::JoinHandle<ShutdownReport>) {
    let handle = gate.handle();
    let held = Held::new(&handle, "hold");
    let ending = std::thread::spawn(move || gate.shutdown(HANG));
    wait_until("the shutdown begins", || handle.is_closed());
    (held, ending)
}

#[test]
fn a_gate_may_be_dropped_on_its_own_worker() {
    let gate = wide_gate();
    let handle = gate.handle();
    let census = Census::new();
    let slot = Arc::new(Mutex::new(Some(gate)));
    let suspended: Vec<_> = (0..100)
        .map(|_| {
            let member = census.member();
            handle.spawn_async("suspended", async move {
                std::future::pending::<()>().await;
                drop(member);
            })
        })
        .collect();
    // Sync and async bodies may do it.
    let token = handle.spawn_async("drops its gate", async move {
        tokio::task::yield_now().await;
        drop(slot.lock().unwrap().take());
        7
    });
    assert_eq!(value(token), 7, "the body goes on after it");
    for token in suspended {
        assert!(killed(&outcome(token)));
    }
    wait_until("all bodies are dropped", || census.alive() == 0);
    assert!(rejected(&outcome(handle.spawn("late", || ()))));
}

#[test]
fn a_gate_may_be_dropped_on_the_worker_of_another() {
    let (inner, outer) = (wide_gate(), small_gate());
    let suspended = inner.spawn_async("suspended", std::future::pending::<()>());
    value(outer.spawn("drops the other", move || drop(inner)));
    assert!(killed(&outcome(suspended)));
    assert_eq!(value(outer.spawn("after", || 7)), 7);
}

#[test]
fn a_gate_may_be_dropped_in_async_code() {
    let gate = wide_gate();
    let asleep = gate.spawn_async("asleep", async { tokio::time::sleep(HANG).await });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { drop(gate) });
    assert!(killed(&outcome(asleep)));
}

#[test]
fn a_waiting_thread_is_woken_by_the_end() {
    let gate = wide_gate();
    let waiting = [0, 1, 2].map(|form| {
        let token = gate.spawn_async("suspended", std::future::pending::<()>());
        std::thread::spawn(move || match form {
            0 => killed(&token.get()),
            1 => killed(&get_all([token])[0]),
            _ => killed(&smol::block_on(token)),
        })
    });
    drop(gate);
    for thread in waiting {
        assert!(elsewhere(|| thread.join().unwrap()));
    }
}

#[test]
fn wakers_that_fire_after_the_end_do_no_harm() {
    let gate = wide_gate();
    let (sender, wakers) = mpsc::channel();
    let tokens = [(); 10].map(|()| {
        let sender = sender.clone();
        gate.spawn_async(
            "suspended",
            std::future::poll_fn(move |context| {
                sender.send(context.waker().clone()).unwrap();
                std::task::Poll::<()>::Pending
            }),
        )
    });
    let wakers: Vec<_> = (0..10)
        .map(|_| wakers.recv_timeout(HANG).unwrap())
        .collect();
    drop(gate);
    for waker in &wakers {
        waker.wake_by_ref();
    }
    for token in tokens {
        assert!(killed(&outcome(token)));
    }
    for waker in wakers {
        waker.wake();
    }
}

#[test]
fn a_shutdown_ends_when_its_time_is_over() {
    let gate = small_gate();
    let asleep = gate.spawn_async("suspended", std::future::pending::<()>());
    let report = elsewhere(move || gate.shutdown(Duration::from_millis(2)));
    assert!(!report.drained);
    assert!(killed(&outcome(asleep)));
    // And as soon as there is nothing left to do.
    let (held, ending) = shutting_down(small_gate());
    held.release();
    assert!(elsewhere(|| ending.join().unwrap()).drained);
}

#[test]
fn a_shutdown_that_purges_a_lane_behind_an_open_batch_has_not_drained() {
    static SERIAL: Operation = Operation::new("test.serial").serial();
    let serial = || Call::new(&SERIAL).with_key(Key::of("test", &1));
    let gate = small_gate();
    let handle = gate.handle();
    let (called, publish) = (Latch::new(), Latch::new());
    let batch = {
        let (handle, called, publish) = (handle.clone(), called.clone(), publish.clone());
        thread::spawn(move || {
            handle.batch(|| {
                let first = handle.spawn(serial(), || ());
                called.open();
                publish.wait();
                first
            })
        })
    };
    called.wait();
    let behind = handle.spawn(serial(), || ());
    wait_until("it waits in its lane", || {
        handle.stats().waiting_in_lanes() == 1
    });
    let report = elsewhere(move || gate.shutdown(HANG));
    assert_eq!((report.drained, report.purged), (false, 1));
    assert!(killed(&outcome(behind)));
    publish.open();
    assert!(rejected(&outcome(batch.join().unwrap())));
}
