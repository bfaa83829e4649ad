//! The end of a gate, by shutdown or drop: every handle resolves, and nothing of a body is left.
//!
//! Tokens of all kinds are outstanding: queued, suspended without a waker, asleep, deferred by
//! another thread's batch. What each case submits is counted when it is made and when it is dropped.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{
    Census, HANG, Held, Latch, Member, elsewhere, lone_workers, outcome, small_gate, value,
    wait_until, wide_gate,
};
use tokengate::{
    Full, Gate, Handle, RejectCause, ShutdownReport, Token, TokenError, get_all, task_token_guard,
};

#[task_token_guard(operation_type = "keep")]
fn keep(member: Member) {
    drop(member);
}

fn rejected<T, E>(result: &Result<T, TokenError<E>>) -> bool {
    match result {
        Err(TokenError::Rejected(rejection)) => *rejection.cause() == RejectCause::ShutDown,
        _ => false,
    }
}

fn killed<T, E>(result: &Result<T, TokenError<E>>) -> bool {
    matches!(result, Err(TokenError::Killed { .. }))
}

/// Checks that a body which executed at the end has returned, or was cancelled by a shutdown.
fn ended(token: Token<()>) {
    let result = outcome(token);
    assert!(result.is_ok() || killed(&result), "{result:?}");
}

/// Holds every worker until its gate stops: then the calls of a body are rejected.
fn hold_until_the_stop(gate: &Gate) -> Vec<Token<()>> {
    let plan = gate.plan();
    let workers = plan.domains().iter().map(|domain| domain.workers().count());
    let mut free: Vec<usize> = workers.collect();
    let mut held = Vec::new();
    wait_until("all workers are held", || {
        let (entered, handle) = (Latch::new(), gate.handle());
        let entering = entered.clone();
        let token = gate.spawn("hold", move || {
            entering.open();
            wait_until("the stop", || {
                rejected(&outcome_now(handle.spawn("probe", || ())))
            });
        });
        let domain = token.status().domain.unwrap();
        if free[domain] == 0 {
            // It is queued behind one of them.
            token.kill("not needed");
        } else {
            free[domain] -= 1;
            entered.wait();
            held.push(token);
        }
        held.len() == plan.worker_count()
    });
    held
}

/// The outcome, if it is there.
fn outcome_now<T>(mut token: Token<T>) -> Result<Option<T>, TokenError> {
    token.get_timeout(Duration::ZERO).transpose()
}

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
    let tokens: Vec<Token<Token<Member>>> = (0..1_000)
        .map(|n| {
            let (member, handle) = (census.member(), gate.handle());
            let child = move || handle.spawn("child", || member);
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
        drop(value(value(token)));
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
        assert!(handle.timing().tokens() >= 1);
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
    every_call_is_rejected(&handle);
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
