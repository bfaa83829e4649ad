//! The stats: each token is counted once, gauges return to zero, and what is wrong is named.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{
    HANG, Held, Latch, elsewhere, lone_workers, outcome, small_gate, value, wait_until, wide_gate,
};
use smol::future::yield_now;
use tokengate::{
    Call, Domains, Figures, Full, Gate, Handle, Key, Operation, Outcome, Stats, Timing, Token,
    TokenError, WeightRanges, get_all,
};

static PLAIN: Operation = Operation::new("test.plain");
static ASYNC: Operation = Operation::new("test.async");
static NEVER: Operation = Operation::new("test.never");
static FAILS: Operation = Operation::new("test.fails");
static PANICS: Operation = Operation::new("test.panics");
static SERIAL: Operation = Operation::new("test.serial").serial();
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.child"]);
static CHILD: Operation = Operation::new("test.child");
static LATE: Operation = Operation::new("test.late").with_timeout(Duration::from_millis(1));
static HOLD: Operation = Operation::new("test.hold");

fn current() -> Handle {
    Handle::current().expect("in a body")
}

/// How the handles say that tokens ended.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

impl Tally {
    fn take<T, E>(&self, token: Token<T, E>) {
        let label = token.operation().label();
        let how = match outcome(token) {
            Ok(_) => "completed",
            Err(TokenError::Failed(_)) => "failed",
            Err(TokenError::Panicked(_)) => "panicked",
            Err(TokenError::Killed { .. }) => "killed",
            Err(TokenError::TimedOut { .. }) => "timed out",
            Err(TokenError::Rejected(_)) => "rejected",
            Err(_) => panic!("not the outcome of a token"),
        };
        *self.0.lock().unwrap().entry((label, how)).or_default() += 1;
    }

    fn of(&self, label: &'static str, how: &'static str) -> u64 {
        let tally = self.0.lock().unwrap();
        tally.get(&(label, how)).copied().unwrap_or(0)
    }

    fn total(&self) -> u64 {
        self.0.lock().unwrap().values().sum()
    }

    /// The stats say the same of each operation.
    #[track_caller]
    fn assert_same(&self, stats: &Stats) {
        for (label, figures) in stats.operations() {
            let expected = |how| self.of(label, how);
            let counts = [
                (figures.completed(), "completed"),
                (figures.failed(), "failed"),
                (figures.panicked(), "panicked"),
                (figures.killed(), "killed"),
                (figures.timed_out(), "timed out"),
                (figures.rejected(), "rejected"),
            ];
            for (count, how) in counts {
                assert_eq!(count, expected(how), "{label} {how}\n{stats}");
            }
        }
        assert_eq!(stats.total().ended(), self.total(), "{stats}");
    }
}

/// Nothing is in flight, and nothing is held.
#[track_caller]
fn assert_at_zero(stats: &Stats) {
    let all = stats.operations().map(|(_, figures)| figures);
    for figures in all.chain(stats.domains()).chain([stats.total()]) {
        let gauges = [
            figures.in_flight(),
            figures.waiting(),
            figures.executing(),
            figures.suspended(),
            figures.zombies(),
        ];
        assert_eq!(gauges, [0; 5], "{figures:?}\n{stats}");
        assert_eq!(figures.created(), figures.ended(), "{stats}");
    }
    assert_eq!(
        (
            stats.pins(),
            stats.waiting_in_lanes(),
            stats.chains(),
            stats.paused()
        ),
        (0, 0, 0, 0),
        "{stats}"
    );
    assert_eq!(stats.zombies().count(), 0);
}

/// The sums over domains, and over operations, are those of the gate.
#[track_caller]
fn assert_sums(stats: &Stats, unrouted: u64) {
    let sum =
        |figures: &mut dyn Iterator<Item = &Figures>| -> u64 { figures.map(Figures::ended).sum() };
    let operations = sum(&mut stats.operations().map(|(_, figures)| figures));
    let domains = sum(&mut stats.domains().iter());
    assert_eq!(operations, stats.total().ended(), "{stats}");
    assert_eq!(domains + unrouted, stats.total().ended(), "{stats}");
}

/// Calls of all kinds, some of them killed before they start.
fn calls_of_all_kinds(gate: &Handle, tally: &Tally) {
    let killed_at_once = |token: Token<()>| {
        token.kill("test");
        tally.take(token);
    };
    for n in 0..30 {
        killed_at_once(gate.spawn(&PLAIN, || ()));
        killed_at_once(gate.spawn_async(&ASYNC, async {}));
        let serial = Call::new(&SERIAL).with_key(Key::of("test", &(n % 3)));
        let plain = gate.batch(|| [(); 3].map(|()| gate.spawn(&PLAIN, || ())));
        let serial = [(); 3].map(|()| gate.spawn(serial, || ()));
        serial[1].kill("test");
        plain
            .into_iter()
            .chain(serial)
            .for_each(|it| tally.take(it));
        tally.take(gate.spawn_async(&ASYNC, async {
            yield_now().await;
            yield_now().await;
        }));
        tally.take(gate.try_spawn(&FAILS, || Err::<(), _>("as asked")));
        tally.take(gate.spawn(&PANICS, || panic!("as asked")));
        tally.take(gate.spawn_async(&LATE, std::future::pending::<()>()));
        let children = tally.clone();
        let lead = gate.spawn(&LEAD, move || {
            let tokens: Vec<_> = (0..4).map(|_| current().spawn(&CHILD, || ())).collect();
            tokens[2].kill("test");
            // Run in place, or by a spare.
            tokens.into_iter().for_each(|it| children.take(it));
        });
        tally.take(lead);
    }
}

#[test]
fn the_outcomes_are_those_that_the_handles_gave_and_all_gauges_return_to_zero() {
    for timing in [Timing::Off, Timing::Every] {
        let gate = Gate::builder().domains(lone_workers(3)).timing(timing);
        let gate = gate.start().unwrap();
        let (handle, tally) = (gate.handle(), Tally::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (handle, tally) = (handle.clone(), tally.clone());
                std::thread::spawn(move || calls_of_all_kinds(&handle, &tally))
            })
            .collect();
        // Looked at all the time.
        while !threads.iter().all(|thread| thread.is_finished()) {
            let stats = handle.stats();
            assert!(stats.total().ended() <= stats.total().created(), "{stats}");
            handle.executing();
        }
        threads.into_iter().for_each(|it| it.join().unwrap());
        assert!(elsewhere(move || gate.shutdown(HANG)).drained);
        let stats = handle.stats();
        assert_at_zero(&stats);
        tally.assert_same(&stats);
        assert_sums(&stats, 0);
        let late = stats.operation("test.late").unwrap();
        assert_eq!((late.created(), late.timed_out()), (90, 90));
    }
}

#[test]
fn a_shutdown_in_the_middle_counts_what_it_ends() {
    let gate = small_gate();
    let (handle, tally) = (gate.handle(), Tally::default());
    let mut tokens = Vec::new();
    let held = Held::new(&handle, &HOLD);
    for n in 0..100_u64 {
        tokens.push(handle.spawn_async(&NEVER, std::future::pending::<()>()));
        tokens.push(handle.spawn(&PLAIN, || ()));
        let serial = Call::new(&SERIAL).with_key(Key::of("test", &(n % 3)));
        tokens.push(handle.spawn(serial, || ()));
    }
    tokens[0].kill("test");
    let before = handle.stats();
    assert_eq!(before.total().in_flight(), 301, "{before}");
    assert_eq!(before.total().executing(), 1, "{before}");
    assert_eq!(before.total().waiting(), 300, "{before}");
    assert_eq!(before.pins(), 3, "{before}");
    let ender = std::thread::spawn(move || gate.shutdown(Duration::ZERO));
    wait_until("the purge", || tokens.iter().all(Token::is_finished));
    drop(held);
    assert!(ender.join().unwrap().stuck.is_empty());
    // Calls that come too late.
    tokens.extend((0..7).map(|_| handle.spawn(&PLAIN, || ())));
    tokens.into_iter().for_each(|token| tally.take(token));
    let stats = handle.stats();
    assert_at_zero(&stats);
    assert_eq!(stats.operation("test.hold").unwrap().ended(), 1);
    let total = stats.total();
    assert_eq!((total.created(), total.ended()), (308, 308), "{stats}");
    assert_eq!(tally.of("test.plain", "rejected"), 7);
    for label in ["test.plain", "test.never", "test.serial"] {
        let figures = stats.operation(label).unwrap();
        assert_eq!(figures.killed(), tally.of(label, "killed"), "{stats}");
        assert_eq!(figures.rejected(), tally.of(label, "rejected"), "{stats}");
    }
    assert_sums(&stats, 7);
}

#[test]
fn refused_calls_are_counted_as_rejected_and_requests_given_back_are_not() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(1)
        .on_full(Full::Reject)
        .start()
        .unwrap();
    let held = Held::new(&gate.handle(), &HOLD);
    let first = gate.spawn(&PLAIN, || ());
    let refused: Vec<_> = (0..5).map(|_| gate.spawn(&PLAIN, || ())).collect();
    let back = gate
        .handle()
        .try_submit(&PLAIN, tokengate_scheduler::Plain::new(|| ()));
    assert!(back.is_err());
    assert!(get_all(refused).iter().all(Result::is_err));
    held.release();
    value(first);
    let handle = gate.handle();
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    let stats = handle.stats();
    let plain = stats.operation("test.plain").unwrap();
    assert_eq!(
        (plain.created(), plain.rejected(), plain.completed()),
        (6, 5, 1)
    );
    assert_at_zero(&stats);
    assert_sums(&stats, 5);
}

#[test]
fn a_batch_of_another_thread_that_is_published_too_late_is_counted() {
    let gate = small_gate();
    let handle = gate.handle();
    let (deferred, ended) = (Latch::new(), Latch::new());
    let caller = {
        let (handle, deferred, ended) = (handle.clone(), deferred.clone(), ended.clone());
        std::thread::spawn(move || {
            let tokens = handle.batch(|| {
                let tokens = [(); 3].map(|()| handle.spawn(&PLAIN, || ()));
                deferred.open();
                ended.wait();
                tokens
            });
            tokens.map(|token| outcome(token).is_err())
        })
    };
    deferred.wait();
    assert_eq!(handle.stats().total().waiting(), 3);
    assert_eq!(elsewhere(move || gate.shutdown(HANG)).unpublished, 3);
    ended.open();
    assert_eq!(caller.join().unwrap(), [true; 3]);
    let stats = handle.stats();
    assert_eq!(stats.total().rejected(), 3);
    assert_at_zero(&stats);
    assert_sums(&stats, 0);
}

#[test]
fn what_executes_is_listed_and_what_is_killed_is_a_zombie_until_its_body_returns() {
    let gate = Gate::builder()
        .domains(lone_workers(2))
        .timing(Timing::Every);
    let gate = gate.start().unwrap();
    assert!(gate.executing().is_empty());
    let (entered, release) = (Latch::new(), Latch::new());
    let token = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(&HOLD, move || {
            entered.open();
            release.wait();
        })
    };
    entered.wait();
    let executing = gate.executing();
    assert_eq!(executing.len(), 1);
    let [found] = executing[..] else {
        unreachable!()
    };
    assert_eq!((found.id, found.operation), (token.id(), &HOLD));
    assert_eq!(Some(found.domain), token.status().domain);
    assert!(found.started.is_some() && found.zombie.is_none());
    let stats = gate.stats();
    assert_eq!((stats.total().executing(), stats.total().zombies()), (1, 0));

    assert!(token.kill("test"));
    let stats = gate.stats();
    let zombies: Vec<_> = stats.zombies().collect();
    assert_eq!(zombies.len(), 1, "{stats}");
    let zombie = zombies[0].zombie.unwrap();
    assert_eq!(zombie.outcome, Outcome::Killed);
    assert!(Some(zombie.age) <= zombies[0].started);
    assert_eq!(stats.operation("test.hold").unwrap().zombies(), 1);
    assert_eq!(stats.domains()[zombies[0].domain].zombies(), 1);
    let text = stats.to_string();
    assert!(text.contains("ZOMBIE: test.hold"), "{text}");
    assert!(
        text.contains("killed") && text.contains("still running"),
        "{text}"
    );
    // In flight, as it has not exited.
    assert_eq!((stats.total().in_flight(), stats.total().killed()), (1, 0));

    release.open();
    wait_until("it exits", || gate.stats().total().killed() == 1);
    let stats = gate.stats();
    assert_at_zero(&stats);
    assert!(gate.executing().is_empty());
}

#[test]
fn bodies_that_wait_for_others_on_their_stack_execute_too() {
    let gate = small_gate();
    let inner = gate.spawn(&LEAD, || {
        let child = current().spawn(&CHILD, || current().executing());
        child.get().unwrap()
    });
    let labels: Vec<_> = value(inner).iter().map(|it| it.operation.label()).collect();
    assert_eq!(labels, ["test.child", "test.lead"]);
}

#[test]
fn suspended_bodies_and_waiting_tokens_are_told_apart() {
    let gate = wide_gate();
    let suspended: Vec<_> = (0..300)
        .map(|_| gate.spawn_async(&NEVER, std::future::pending::<()>()))
        .collect();
    wait_until("all are suspended", || {
        gate.stats().total().suspended() == 300
    });
    gate.pause_operation("test.plain");
    let paused: Vec<_> = (0..10).map(|_| gate.spawn(&PLAIN, || ())).collect();
    wait_until("all are set aside", || gate.stats().paused() == 10);
    let stats = gate.stats();
    let never = stats.operation("test.never").unwrap();
    assert_eq!((never.suspended(), never.waiting()), (300, 0), "{stats}");
    let plain = stats.operation("test.plain").unwrap();
    assert_eq!((plain.suspended(), plain.waiting()), (0, 10), "{stats}");
    assert_eq!(stats.total().in_flight(), 310);
    gate.resume_operation("test.plain");
    assert!(get_all(paused).iter().all(Result::is_ok));
    assert!(suspended.iter().all(|token| token.kill("test")));
    wait_until("all are gone", || gate.stats().total().in_flight() == 0);
    assert_eq!(gate.stats().operation("test.never").unwrap().killed(), 300);
}

#[test]
fn tokens_outside_of_their_range_and_undeclared_children_are_counted() {
    static HEAVY_LEAD: Operation = Operation::new("test.heavy_lead")
        .with_weight(tokengate::Weight::Heavy)
        .with_external_calls(&["test.declared"]);
    static LIGHT: Operation = Operation::new("test.light").with_weight(tokengate::Weight::Light);
    let gate = Gate::builder()
        .domains(Domains::Count(3))
        .weight_ranges(WeightRanges::strict())
        .start()
        .unwrap();
    // A heavy lead may be in any domain, a light token in the third only.
    let mut outside = 0;
    for _ in 0..30 {
        let lead = gate.spawn(&HEAVY_LEAD, || {
            let child = current().spawn(&LIGHT, || ());
            let domain = child.status().domain.unwrap();
            child.get().unwrap();
            domain
        });
        outside += u64::from(value(lead) != 2);
    }
    let stats = gate.stats();
    assert!(outside > 0);
    assert_eq!(
        stats.operation("test.light").unwrap().outside_range(),
        outside
    );
    assert_eq!(
        stats.operation("test.heavy_lead").unwrap().outside_range(),
        0
    );
    assert_eq!(stats.total().outside_range(), outside);
    assert_eq!(stats.undeclared().get("test.light"), Some(&30));
    let text = stats.to_string();
    assert!(text.contains("test.light was called 30 times"), "{text}");
    assert!(
        text.contains(&format!("{outside} tokens were bound outside")),
        "{text}"
    );
}

#[test]
fn threads_that_come_and_go_and_call_several_gates_lose_no_count() {
    let gates = [small_gate(), wide_gate()];
    for _ in 0..20 {
        let handles = gates.each_ref().map(Gate::handle);
        let caller = std::thread::spawn(move || {
            for n in 0..100 {
                let handle = &handles[n % 2];
                let operation = if n % 3 == 0 { &PLAIN } else { &CHILD };
                value(handle.spawn(operation, || ()));
            }
        });
        caller.join().unwrap();
    }
    for gate in gates {
        let handle = gate.handle();
        assert!(elsewhere(move || gate.shutdown(HANG)).drained);
        let stats = handle.stats();
        assert_eq!(stats.total().created(), 1_000);
        assert_eq!(stats.operation("test.plain").unwrap().completed(), 340);
        assert_at_zero(&stats);
    }
}

#[test]
fn operations_of_one_label_are_counted_together() {
    static ONE: Operation = Operation::new("test.same");
    static OTHER: Operation = Operation::new("test.same");
    let gate = small_gate();
    value(gate.spawn(&ONE, || ()));
    value(gate.spawn(&OTHER, || ()));
    value(gate.spawn("test.same", || ()));
    let handle = gate.handle();
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    assert_eq!(
        handle.stats().operation("test.same").unwrap().completed(),
        3
    );
    assert_eq!(handle.stats().operations().count(), 1);
}

#[test]
fn waits_and_runs_have_quantiles_by_operation() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .timing(Timing::Every);
    let gate = gate.start().unwrap();
    let pause = Duration::from_millis(5);
    let held = Held::new(&gate.handle(), &HOLD);
    let waits = gate.spawn(&PLAIN, || ());
    std::thread::sleep(pause);
    held.release();
    value(waits);
    value(gate.spawn_async(&ASYNC, async move { tokio::time::sleep(pause).await }));
    let handle = gate.handle();
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    let stats = handle.stats();
    let [hold, plain, suspends] =
        ["test.hold", "test.plain", "test.async"].map(|label| stats.operation(label).unwrap());
    // Two digits are kept.
    let pause = pause.mul_f64(0.98);
    assert!(hold.run(0.5).unwrap() >= pause, "{stats}");
    assert!(plain.wait(0.5).unwrap() >= pause, "{stats}");
    assert!(suspends.run(0.5).unwrap() >= pause, "{stats}");
    assert!(plain.latency(0.5).unwrap() >= plain.wait(0.5).unwrap().mul_f64(0.98));
    assert!(suspends.occupancy() < hold.occupancy(), "{stats}");
    assert_eq!(stats.total().timed_tokens(), 3);
    assert!(plain.wait(0.0) <= plain.wait(1.0));
}
