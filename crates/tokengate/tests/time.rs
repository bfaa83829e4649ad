//! Tokens whose `ttl` or `timeout` is over end then, and all others are left alone.
//!
//! No test depends on how long anything takes: what ends has a millisecond, what lives has an hour.

mod common;

use std::future::pending;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{
    Census, HANG, Held, Latch, elsewhere, lone_workers, outcome, small_gate, value, wait_until,
};
use tokengate::{
    Call, Gate, Handle, Key, Operation, Phase, Token, TokenError, TokenState, cancelled, get_all,
    task_token_guard,
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

static PLAIN: Operation = Operation::new("test.plain");
static SERIAL: Operation = Operation::new("test.serial").serial();
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&[]);

/// In which phase the token ran out of time.
#[track_caller]
fn timed_out_in<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, TokenError<E>>,
    operation: &str,
) -> Phase {
    match result {
        Err(TokenError::TimedOut {
            phase,
            attempt: 1,
            operation: label,
            ..
        }) if label == operation => phase,
        other => panic!("it did not run out of time: {other:?}"),
    }
}

fn wait_until_cancelled() {
    wait_until("the body is cancelled", cancelled);
}

/// A body that is cancelled and goes on: the latch that ends it, and the token.
fn zombie(gate: &Handle, call: impl Into<Call>) -> (Latch, Token<()>) {
    let release = Latch::new();
    let until = release.clone();
    let token = gate.spawn(call, move || {
        wait_until_cancelled();
        until.wait();
    });
    wait_until("its time is over", || token.is_finished());
    (release, token)
}

#[test]
fn a_token_that_waits_too_long_never_starts() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let census = Census::new();
    let argument = census.member();
    let late = gate.spawn(Call::new(&PLAIN).with_ttl(SHORT), move || drop(argument));
    wait_until("its time is over", || late.is_finished());
    assert_eq!(late.state(), TokenState::TimedOut);
    assert!(late.state().is_terminal());
    // The body is gone though the worker has not come upon the token yet.
    wait_until("the body is dropped", || census.alive() == 0);
    let late = outcome(late);
    let text = late.as_ref().unwrap_err().to_string();
    assert!(
        text.contains("`test.plain`") && text.contains("`ttl`"),
        "{text}"
    );
    assert_eq!(timed_out_in(late, "test.plain"), Phase::Waiting);
    held.release();
    assert_eq!(value(gate.spawn(&PLAIN, || 7)), 7);
}

#[test]
fn a_body_that_takes_too_long_is_cancelled_and_keeps_its_worker() {
    let gate = small_gate();
    let census = Census::new();
    let release = Latch::new();
    let (late_result, until) = (census.member(), release.clone());
    let long = gate.spawn(Call::new(&PLAIN).with_timeout(SHORT), move || {
        wait_until_cancelled();
        until.wait();
        late_result
    });
    let behind = gate.spawn(&PLAIN, || 7);
    let long = outcome(long);
    let text = long.as_ref().unwrap_err().to_string();
    assert!(
        text.contains("`test.plain`") && text.contains("`timeout`"),
        "{text}"
    );
    assert_eq!(timed_out_in(long, "test.plain"), Phase::Executing);
    assert_eq!(behind.state(), TokenState::Admitted);
    assert_eq!(census.alive(), 1);
    release.open();
    assert_eq!(value(behind), 7);
    wait_until("the late result is dropped", || census.alive() == 0);
}

#[test]
fn a_suspended_body_is_dropped_in_its_domain() {
    struct SaysWhere(std::sync::mpsc::Sender<Option<String>>);
    impl Drop for SaysWhere {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().map(str::to_owned));
        }
    }
    let gate = small_gate();
    let worker = value(gate.spawn(&PLAIN, || thread::current().name().map(str::to_owned)));
    let (sender, dropped) = channel();
    let says_where = SaysWhere(sender);
    let never = gate.spawn_async(Call::new(&PLAIN).with_timeout(SHORT), async move {
        let _says_where = says_where;
        pending::<()>().await;
    });
    assert_eq!(timed_out_in(outcome(never), "test.plain"), Phase::Executing);
    assert_eq!(dropped.recv_timeout(HANG).unwrap(), worker);
}

#[test]
fn a_body_whose_time_is_over_in_a_poll_is_dropped_after_it() {
    let gate = small_gate();
    let census = Census::new();
    let argument = census.member();
    let long = gate.spawn_async(Call::new(&PLAIN).with_timeout(SHORT), async move {
        wait_until_cancelled();
        pending::<()>().await;
        drop(argument);
    });
    assert_eq!(timed_out_in(outcome(long), "test.plain"), Phase::Executing);
    wait_until("the future is dropped", || census.alive() == 0);
}

#[test]
fn the_time_of_an_async_body_goes_on_from_poll_to_poll() {
    let gate = small_gate();
    let busy = gate.spawn_async(Call::new(&PLAIN).with_timeout(SHORT), async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let busy: Result<(), _> = outcome(busy);
    assert_eq!(timed_out_in(busy, "test.plain"), Phase::Executing);
}

#[test]
fn a_token_that_is_done_in_time_is_left_alone() {
    let gate = small_gate();
    let limited = Call::new(&PLAIN).with_ttl(LONG).with_timeout(LONG);
    let tokens: Vec<_> = (0..1_000).map(|n| gate.spawn(limited, move || n)).collect();
    let values: Result<Vec<_>, _> = get_all(tokens).into_iter().collect();
    assert_eq!(values.unwrap(), (0..1_000).collect::<Vec<_>>());
    let slept = gate.spawn_async(limited, async {
        tokio::time::sleep(SHORT).await;
        7
    });
    assert_eq!(value(slept), 7);
    // Started in time, and then it may take as long as it does.
    let (entered, release) = (Latch::new(), Latch::new());
    let (entering, until) = (entered.clone(), release.clone());
    let started = gate.spawn(Call::new(&PLAIN).with_ttl(HANG), move || {
        entering.open();
        until.wait();
        cancelled()
    });
    entered.wait();
    release.open();
    assert!(!value(started));
}

#[test]
fn a_kill_and_a_timeout_end_a_token_once() {
    let gate = small_gate();
    for _ in 0..200 {
        let long = gate.spawn(
            Call::new(&PLAIN).with_timeout(Duration::from_micros(50)),
            wait_until_cancelled,
        );
        thread::yield_now();
        let killed = long.kill("not needed");
        match outcome(long) {
            Err(TokenError::Killed { .. }) => assert!(killed),
            other => {
                assert!(!killed);
                assert_eq!(timed_out_in(other, "test.plain"), Phase::Executing);
            }
        }
    }
}

#[test]
fn a_lane_passes_on_when_the_body_has_exited() {
    let gate = small_gate();
    let call = Call::new(&SERIAL).with_key(Key::of("test.serial", &1));
    let (release, first) = zombie(&gate.handle(), call.with_timeout(SHORT));
    let second = gate.spawn(call, || 7);
    assert_eq!(
        timed_out_in(outcome(first), "test.serial"),
        Phase::Executing
    );
    assert_eq!(second.state(), TokenState::Waiting);
    release.open();
    assert_eq!(value(second), 7);
}

#[test]
fn the_wait_in_a_lane_counts() {
    let gate = small_gate();
    let call = Call::new(&SERIAL).with_key(Key::of("test.serial", &1));
    let held = Held::new(&gate.handle(), call);
    let second = gate.spawn(call.with_ttl(SHORT), || 2);
    let third = gate.spawn(call, || 3);
    assert_eq!(timed_out_in(outcome(second), "test.serial"), Phase::Waiting);
    assert_eq!(third.state(), TokenState::Waiting);
    held.release();
    assert_eq!(value(third), 3);
}

#[test]
fn a_chain_is_released_when_the_body_has_exited() {
    let gate = small_gate();
    let (release, lead) = zombie(&gate.handle(), Call::new(&LEAD).with_timeout(SHORT));
    assert_eq!(timed_out_in(outcome(lead), "test.lead"), Phase::Executing);
    assert_eq!(gate.conductor().snapshot().len(), 1);
    release.open();
    wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
}

#[test]
fn a_body_that_its_waiter_runs_has_its_time_too() {
    let gate = small_gate();
    let handle = gate.handle();
    let parent = gate.spawn("parent", move || {
        let here = thread::current().id();
        let (sender, ran_on) = channel();
        let child = handle.spawn(Call::new(&PLAIN).with_timeout(SHORT), move || {
            sender.send(thread::current().id()).unwrap();
            wait_until_cancelled();
        });
        (child.get(), ran_on.recv().unwrap() == here)
    });
    let (child, ran_here) = value(parent);
    assert_eq!(timed_out_in(child, "test.plain"), Phase::Executing);
    assert!(ran_here);
}

#[task_token_guard(operation_type = "test.tagged", tags(ttl = "1h", timeout = "1h"))]
fn tagged(body: Box<dyn FnOnce() + Send>) {
    body();
}

#[test]
fn a_request_goes_before_a_tag_and_a_tag_before_the_gate() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .default_ttl(SHORT)
        .default_timeout(SHORT)
        .start()
        .unwrap();
    let handle = gate.handle();
    assert_eq!(tagged::operation().ttl(), Some(LONG));
    assert_eq!(tagged::operation().timeout(), Some(LONG));
    let request = |body: fn()| tagged::request(Box::new(body)).on(&handle);
    let unlimited = Call::new(&PLAIN)
        .with_ttl(Duration::MAX)
        .with_timeout(Duration::MAX);

    let held = Held::new(&handle, unlimited);
    let by_the_gate = gate.spawn(&PLAIN, || ());
    let by_the_request = request(|| ()).ttl(SHORT).submit();
    let by_the_tag = request(|| ()).submit();
    let by_nobody = gate.spawn(unlimited, || ());
    assert_eq!(
        timed_out_in(outcome(by_the_gate), "test.plain"),
        Phase::Waiting
    );
    assert_eq!(
        timed_out_in(outcome(by_the_request), "test.tagged"),
        Phase::Waiting
    );
    held.release();
    value(by_the_tag);
    value(by_nobody);

    let waits = Call::new(&PLAIN).with_ttl(LONG);
    let by_the_gate = gate.spawn(waits, wait_until_cancelled);
    assert_eq!(
        timed_out_in(outcome(by_the_gate), "test.plain"),
        Phase::Executing
    );
    let by_the_request = request(wait_until_cancelled).timeout(SHORT).submit();
    assert_eq!(
        timed_out_in(outcome(by_the_request), "test.tagged"),
        Phase::Executing
    );
}

#[test]
fn the_time_of_a_call_in_an_open_batch_runs() {
    let gate = small_gate();
    let late = gate.batch(|| {
        let late = gate.spawn(Call::new(&PLAIN).with_ttl(SHORT), || ());
        wait_until("its time is over", || late.is_finished());
        late
    });
    assert_eq!(timed_out_in(outcome(late), "test.plain"), Phase::Waiting);
}

#[test]
fn a_drain_waits_for_bodies_that_run_out_of_time() {
    let gate = small_gate();
    let long = gate.spawn(
        Call::new(&PLAIN).with_timeout(Duration::from_millis(20)),
        wait_until_cancelled,
    );
    let never = gate.spawn_async(
        Call::new(&PLAIN).with_timeout(Duration::from_millis(20)),
        pending::<()>(),
    );
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    for token in [long, never] {
        assert_eq!(timed_out_in(outcome(token), "test.plain"), Phase::Executing);
    }
}

#[test]
fn a_gate_that_is_dropped_gives_running_bodies_their_time() {
    let gate = small_gate();
    let entered = Latch::new();
    let entering = entered.clone();
    let long = gate.spawn(
        Call::new(&PLAIN).with_timeout(Duration::from_millis(20)),
        move || {
            entering.open();
            wait_until_cancelled();
        },
    );
    entered.wait();
    elsewhere(move || drop(gate));
    assert_eq!(timed_out_in(outcome(long), "test.plain"), Phase::Executing);
}

#[test]
fn a_gate_ends_without_waiting_for_the_time_of_its_tokens() {
    let gate = small_gate();
    let handle = gate.handle();
    let suspended = gate.spawn_async(Call::new(&PLAIN).with_timeout(LONG), pending::<()>());
    let held = Held::new(&handle, "hold");
    let waiting = gate.spawn(Call::new(&PLAIN).with_ttl(LONG), || ());
    drop(held);
    elsewhere(move || drop(gate));
    assert!(matches!(outcome(suspended), Err(TokenError::Killed { .. })));
    let waiting = outcome(waiting);
    assert!(matches!(waiting, Ok(()) | Err(TokenError::Killed { .. })));
    let rejected = outcome(handle.spawn(Call::new(&PLAIN).with_ttl(SHORT), || ()));
    assert!(matches!(rejected, Err(TokenError::Rejected(_))));
}

#[test]
fn a_shutdown_names_the_body_that_is_stuck_and_not_the_timer() {
    let gate = small_gate();
    let release = Latch::new();
    let until = release.clone();
    let stuck = gate.spawn(Call::new(&PLAIN).with_timeout(LONG), move || until.wait());
    wait_until("it executes", || stuck.state() == TokenState::Executing);
    let report = elsewhere(move || gate.shutdown(Duration::ZERO));
    let named: Vec<_> = report
        .stuck
        .into_iter()
        .map(|stuck| stuck.operations)
        .collect();
    assert_eq!(named, [["test.plain"]]);
    release.open();
}

#[test]
fn the_last_owner_of_a_gate_may_be_an_argument_that_runs_out_of_time() {
    let gate = small_gate();
    let handle = gate.handle();
    let held = Held::new(&handle, "hold");
    let late = handle.spawn(Call::new(&PLAIN).with_ttl(SHORT), move || drop(gate));
    assert_eq!(timed_out_in(outcome(late), "test.plain"), Phase::Waiting);
    wait_until("the gate has ended", || handle.is_closed());
    held.release();
}

#[cfg(target_os = "linux")]
#[test]
fn what_runs_out_of_time_is_dropped_on_any_cpu() {
    use common::threads;
    struct SaysWhere(std::sync::mpsc::Sender<Vec<usize>>);
    impl Drop for SaysWhere {
        fn drop(&mut self) {
            let _ = self.0.send(threads::allowed_here());
        }
    }
    let gate = small_gate();
    let handle = gate.handle();
    let (sender, dropped) = channel();
    let argument = SaysWhere(sender);
    // The call that starts the timer comes from a pinned worker.
    let parent = gate.spawn("parent", move || {
        let late = handle.spawn(Call::new(&PLAIN).with_ttl(SHORT), move || drop(argument));
        wait_until("its time is over", || late.is_finished());
        late
    });
    let late = outcome(value(parent));
    assert_eq!(timed_out_in(late, "test.plain"), Phase::Waiting);
    assert_eq!(dropped.recv_timeout(HANG).unwrap(), threads::cpus());
}
