//! A bounded storm of keys, lanes and chains, from four threads over two gates.
//!
//! What every thread does follows from the seed, what comes of it does not: bodies check where they
//! run, after whom and beside whom, and at the end nothing is left of any of them.
//! `TOKENGATE_STORM_SEED` repeats one; the seed is in every message.

#[path = "../common/mod.rs"]
mod common;

mod caller;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use caller::Caller;
use common::{HANG, elsewhere, lone_workers, wait_until};
use tokengate::{Domains, Full, Gate, Handle};
use world::{World, set_here};

const THREADS: u64 = 4;

/// Calls of each thread; those of their bodies come on top.
const CALLS: u64 = 1_500;

/// One of the two gates of a storm.
fn gate(seed: u64, index: usize) -> Gate {
    let domains = match (seed as usize + index) % 4 {
        0 => lone_workers(1),
        1 => Domains::Count(1),
        2 => lone_workers(2),
        _ => lone_workers(3),
    };
    let builder = Gate::builder()
        .domains(domains)
        .on_unobserved_failure(|_| {})
        .on_thread_start(move |info| set_here(index, info.domain));
    let builder = match seed % 5 {
        0 => builder.capacity(100).on_full(Full::Reject),
        1 => builder.max_spares(2),
        2 => builder.sticky_linger(Duration::from_micros(100), 2),
        _ => builder,
    };
    builder.start().unwrap()
}

/// Runs a storm; the gates end in the middle of it, or after it.
fn storm(seed: u64, in_the_middle: bool) {
    let gates = [gate(seed, 0), gate(seed, 1)];
    let world = Arc::new(World::new(gates.iter().map(Gate::handle).collect()));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(thread);
            let mut caller = Caller::new(&world, seed, 0);
            std::thread::spawn(move || caller.rounds(CALLS))
        })
        .collect();
    let all_done = || threads.iter().all(std::thread::JoinHandle::is_finished);
    if in_the_middle {
        let half = THREADS * CALLS / 2;
        wait_until("half of the calls are made", || {
            world.calls.load(SeqCst) >= half
        });
        end(gates, seed, Duration::ZERO);
        wait_until("every token resolves", all_done);
    } else {
        wait_until("every token resolves", all_done);
        world.carried.lock().unwrap().clear();
        end(gates, seed, HANG);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    check(&world, seed);
}

fn end(gates: [Gate; 2], seed: u64, limit: Duration) {
    for (index, gate) in gates.into_iter().enumerate() {
        match (seed / 2 + index as u64) % 3 {
            0 => drop(elsewhere(move || gate.shutdown(limit))),
            1 => elsewhere(move || drop(gate)),
            _ => {
                // On one of its own workers, if it still takes calls.
                let handle = gate.handle();
                handle.spawn("ends the gate", move || drop(gate)).detach();
                wait_until("the gate ends", || handle.is_closed());
            }
        }
    }
}

fn check(world: &World, seed: u64) {
    world.carried.lock().unwrap().clear();
    let (calls, refused) = (world.calls.load(SeqCst), world.refused.load(SeqCst));
    println!("seed {seed}: {calls} calls, {refused} waits refused");
    let all_free = |gate: &Handle| {
        gate.sticky().snapshot().is_empty() && gate.conductor().snapshot().is_empty()
    };
    wait_until("no key is pinned, and no chain lives", || {
        world.gates.iter().all(all_free)
    });
    wait_until("nothing of a body is left", || world.census.alive() == 0);
    assert_eq!(world.faults(), Vec::<String>::new(), "seed {seed}");
}

/// The seeds to run: a few that are fixed, or the one that is asked for.
fn seeds(from: u64) -> Vec<u64> {
    match std::env::var("TOKENGATE_STORM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (from..from + 5).collect(),
    }
}

#[test]
fn keys_lanes_and_chains_of_a_storm_are_kept_and_given_back() {
    seeds(0).into_iter().for_each(|seed| storm(seed, false));
}

#[test]
fn a_keyed_storm_that_its_gates_do_not_outlive_leaves_nothing_behind() {
    seeds(5).into_iter().for_each(|seed| storm(seed, true));
}
