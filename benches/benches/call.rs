//! What does a guarded call cost on a gate: the call alone, and the way there and back?
//!
//! `cargo bench -p benches --bench call`. A round trip wakes a thread on another core twice, unless somebody
//! spins; the call alone is what the caller pays before it goes on.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use tokengate::{Gate, task_token_guard};

/// Calls in one round: what a batch publishes at most.
const ROUND: u64 = 64;

#[task_token_guard(operation_type = "bench.empty")]
fn empty(number: u64) -> u64 {
    black_box(number)
}

fn main() {
    let gate = Gate::builder().start().expect("a gate with its defaults");
    let _entered = gate.enter();
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("call");
    group.bench_function("one call and its result", |bencher| {
        bencher.iter(|| empty(7).get());
    });
    group.throughput(Throughput::Elements(ROUND));
    group.bench_function("64 calls alone", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| calls_alone()).sum());
    });
    group.bench_function("64 calls, then their results", |bencher| {
        bencher.iter(|| take(calls()));
    });
    group.bench_function("64 calls in a batch, then their results", |bencher| {
        bencher.iter(|| take(gate.batch(calls)));
    });
    group.bench_function("64 calls in a batch, one wait for all", |bencher| {
        bencher.iter(|| tokengate::get_all(gate.batch(calls)));
    });
    group.finish();
    criterion.final_summary();
}

fn calls() -> Vec<tokengate::Token<u64>> {
    (0..ROUND).map(empty).collect()
}

fn take(tokens: Vec<tokengate::Token<u64>>) -> u64 {
    tokens.into_iter().map(|t| t.get().unwrap_or(0)).sum()
}

/// The time of the calls without that of the results, which are taken so that no round meets a
/// queue left by the one before.
fn calls_alone() -> Duration {
    let started = Instant::now();
    let tokens = calls();
    let took = started.elapsed();
    black_box(take(tokens));
    took
}
