//! A storm of tokens under all controls at once: kills, pauses, purges, time limits, and the end.
//!
//! What every thread does follows from the seed, what comes of it does not: the test checks that each
//! token has one outcome, and that nothing is left of any: no pin, no chain, no argument, no thread.
//! `TOKENGATE_STORM_SEED` repeats one; `TOKENGATE_STORM_TOKENS` says how many tokens there are.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod caller;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use caller::{Caller, Tally};
use common::{Census, HANG, Member, count_panics, elsewhere, lone_workers, wait_until};
use tokengate::{Domains, Gate};

const THREADS: u64 = 4;

thread_local! {
    /// Dropped with the thread.
    static COUNTED: RefCell<Option<Member>> = const { RefCell::new(None) };
}

/// How many tokens a storm has.
fn tokens() -> u64 {
    match std::env::var("TOKENGATE_STORM_TOKENS") {
        Ok(tokens) => tokens.parse().expect("a number of tokens"),
        Err(_) if cfg!(debug_assertions) => 300_000,
        Err(_) => 2_000_000,
    }
}

fn gate(seed: u64, threads: &Census) -> Gate {
    let domains = match seed % 3 {
        0 => lone_workers(2),
        1 => Domains::Count(1),
        _ => lone_workers(3),
    };
    let threads = threads.clone();
    Gate::builder()
        .domains(domains)
        .on_unobserved_failure(|_| {})
        .on_thread_start(move |_| COUNTED.set(Some(threads.member())))
        .start()
        .expect("a gate starts")
}

/// Runs a storm; the gate ends when this part of it is over, in percent.
fn storm(seed: u64, ends_at: u64) {
    let panics = count_panics();
    let (threads, arguments) = (Census::new(), Census::new());
    let gate = gate(seed, &threads);
    let (handle, tally) = (gate.handle(), Arc::<Tally>::default());
    let calls = tokens() / THREADS;
    let callers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(thread);
            let caller = Caller::new(seed, gate.handle(), &tally, &arguments);
            std::thread::spawn(move || caller.run(calls))
        })
        .collect();
    if ends_at < 100 {
        let until = THREADS * calls / 100 * ends_at;
        wait_for(&tally, seed, || tally.made() >= until);
        end(gate, seed, Duration::ZERO);
    } else {
        wait_for(&tally, seed, || {
            callers.iter().all(|caller| caller.is_finished())
        });
        end(gate, seed, HANG);
    }
    wait_for(&tally, seed, || {
        callers.iter().all(|caller| caller.is_finished())
    });
    for caller in callers {
        caller.join().expect("a caller does not panic");
    }
    println!("seed {seed}: {tally}");
    tally.check(seed);
    assert!(handle.sticky().snapshot().is_empty(), "seed {seed}");
    assert!(handle.conductor().snapshot().is_empty(), "seed {seed}");
    let stats = handle.stats();
    let total = stats.total();
    assert_eq!(total.created(), tally.made(), "seed {seed}\n{stats}");
    assert_eq!(total.ended(), tally.made(), "seed {seed}\n{stats}");
    let present = [
        total.in_flight(),
        total.executing(),
        total.suspended(),
        total.zombies(),
    ];
    assert_eq!(present, [0; 4], "seed {seed}\n{stats}");
    assert_eq!(
        arguments.alive(),
        0,
        "seed {seed}: something of a body is left"
    );
    // A thread's own values are dropped a moment after it can be joined.
    wait_until("no thread is left", || threads.alive() == 0);
    assert_eq!(panics.load(SeqCst), 0, "seed {seed}: a panic of our own");
}

/// Waits until it holds, as long as tokens come to their ends.
fn wait_for(tally: &Tally, seed: u64, holds: impl Fn() -> bool) {
    let (mut last, mut since) = (0, std::time::Instant::now());
    while !holds() {
        let now = tally.made() + tally.ended();
        if now != last {
            (last, since) = (now, std::time::Instant::now());
        }
        assert!(since.elapsed() < HANG, "seed {seed} hangs: {tally}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end(gate: Gate, seed: u64, limit: Duration) {
    elsewhere(move || {
        if seed.is_multiple_of(2) {
            let report = gate.shutdown(limit);
            assert!(report.stuck.is_empty(), "seed {seed}: {report:?}");
        } else {
            drop(gate);
        }
    });
}

/// The seeds to run: those that are fixed, or the one that is asked for.
fn seeds(fixed: &[u64]) -> Vec<u64> {
    match std::env::var("TOKENGATE_STORM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => fixed.to_vec(),
    }
}

#[test]
fn every_token_of_a_storm_of_controls_has_one_outcome() {
    seeds(&[0]).into_iter().for_each(|seed| storm(seed, 100));
}

#[test]
fn a_storm_of_controls_that_its_gate_does_not_outlive_loses_nothing() {
    seeds(&[1, 2]).into_iter().for_each(|seed| storm(seed, 60));
}
