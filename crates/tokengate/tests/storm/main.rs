//! A bounded storm: bodies of all kinds from four threads, killed, dropped, awaited, shut down.
//!
//! What every thread does follows from the seed alone, what comes of it does not: the test checks
//! that each token has one outcome, that a value is the right one, and that nothing of a body is
//! left. `TOKENGATE_STORM_SEED` repeats one; the seed is in every message.

#[path = "../common/mod.rs"]
mod common;

mod caller;
mod outcomes;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use caller::{CALLS, Caller};
use common::{Census, HANG, Latch, elsewhere, lone_workers};
use outcomes::Outcomes;
use tokengate::{Domains, Full, Gate, Timing};

const THREADS: u64 = 4;

/// How the gate of a storm is made.
fn gate(seed: u64) -> Gate {
    let builder = Gate::builder().on_unobserved_failure(|_| {});
    let builder = match seed % 4 {
        0 => builder.domains(lone_workers(1)),
        1 => builder.domains(Domains::Count(1)),
        2 => builder.domains(lone_workers(5)).timing(Timing::Every),
        _ => builder,
    };
    match seed % 3 {
        0 => builder.capacity(300).on_full(Full::Reject),
        1 => builder.capacity(500),
        _ => builder,
    }
    .start()
    .unwrap()
}

/// Runs a storm; the gate ends in the middle of it, or after it.
fn storm(seed: u64, in_the_middle: bool) {
    let gate = gate(seed);
    let (census, outcomes) = (Census::new(), Arc::<Outcomes>::default());
    let begin = Latch::new();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(thread);
            let caller = Caller::new(seed, gate.handle(), census.clone(), outcomes.clone());
            let begin = begin.clone();
            std::thread::spawn(move || {
                begin.wait();
                caller.run();
            })
        })
        .collect();
    begin.open();
    if in_the_middle {
        let half = THREADS * CALLS / 2;
        common::wait_until("half of the calls are made", || outcomes.made() >= half);
        end(gate, seed, Duration::ZERO);
        join(threads, &outcomes, seed);
    } else {
        join(threads, &outcomes, seed);
        end(gate, seed, HANG);
    }
    println!("seed {seed}: {outcomes}");
    assert!(outcomes.made() >= THREADS * CALLS);
    outcomes.check(seed, in_the_middle);
    assert_eq!(
        census.alive(),
        0,
        "seed {seed}: something of a body is left"
    );
}

fn end(gate: Gate, seed: u64, limit: Duration) {
    elsewhere(move || {
        if seed.is_multiple_of(2) {
            gate.shutdown(limit);
        } else {
            drop(gate);
        }
    });
}

/// Waits for the threads, as long as they make calls.
fn join(threads: Vec<JoinHandle<()>>, outcomes: &Outcomes, seed: u64) {
    let (mut made, mut since) = (0, Instant::now());
    while !threads.iter().all(JoinHandle::is_finished) {
        let now = outcomes.made();
        if now != made {
            (made, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < HANG, "seed {seed}: a thread hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    for thread in threads {
        if let Err(panic) = thread.join() {
            eprintln!("a thread of seed {seed} panicked");
            std::panic::resume_unwind(panic);
        }
    }
}

/// The seeds to run: a few that are fixed, or the one that is asked for.
fn seeds(from: u64) -> Vec<u64> {
    match std::env::var("TOKENGATE_STORM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (from..from + 2).collect(),
    }
}

#[test]
fn every_token_of_a_storm_has_one_outcome() {
    seeds(0).into_iter().for_each(|seed| storm(seed, false));
}

#[test]
fn a_storm_that_the_gate_does_not_outlive_loses_nothing() {
    seeds(2).into_iter().for_each(|seed| storm(seed, true));
}
