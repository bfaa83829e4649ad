//! What do a sticky key and a serial lane add to a call?
//!
//! `cargo bench -p benches --bench keys`. Rounds of 10,000 empty tokens that are outstanding at one time, with
//! one wait for all; the time is that of a round. Where each token has one of 10,000 keys in turn, a lane is
//! mostly free when the next token of its key comes; where all have one, it never is.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tokengate::{Gate, Token, get_all, task_token_guard};

const ROUND: u64 = 10_000;

#[task_token_guard(operation_type = "bench.plain")]
fn plain(number: u64) -> u64 {
    black_box(number)
}

#[task_token_guard(operation_type = "bench.sticky", tags(sticky, key(key)))]
fn sticky(key: u64, number: u64) -> u64 {
    black_box(key ^ number)
}

#[task_token_guard(operation_type = "bench.serial", tags(serial, key(key)))]
fn serial(key: u64, number: u64) -> u64 {
    black_box(key ^ number)
}

fn main() {
    let gate = Gate::builder().start().expect("a gate with its defaults");
    let _entered = gate.enter();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("keys");
    group.throughput(Throughput::Elements(ROUND));
    let mut bench = |name: &str, call: fn(u64) -> Token<u64>| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| take((0..ROUND).map(call).collect()));
        });
        group.bench_function(format!("{name}, in a batch"), |bencher| {
            bencher.iter(|| take(gate.batch(|| (0..ROUND).map(call).collect())));
        });
    };
    bench("no key", plain);
    bench("sticky, 10,000 keys", |number| sticky(number, number));
    bench("serial, 10,000 keys", |number| serial(number, number));
    bench("sticky, one key", |number| sticky(0, number));
    bench("serial, one key", |number| serial(0, number));
    group.finish();
    criterion.final_summary();
}

fn take(tokens: Vec<Token<u64>>) -> u64 {
    get_all(tokens).into_iter().map(|it| it.unwrap_or(0)).sum()
}
