//! What does one token cost without any scheduler: to make it, run it and take its result?
//!
//! `cargo bench -p benches --bench cell`. All on one thread, so that no cache line moves: this is the
//! floor under every other figure. What the call costs on a gate is the question of `call`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use tokengate_token::{NoHome, Operation, Plain, create};

static EMPTY: Operation = Operation::new("bench.empty");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("cell");
    let home = NoHome::shared();

    group.bench_function("make, run, take", |bencher| {
        bencher.iter(|| {
            let (token, runnable) = create(&EMPTY, Plain::new(|| black_box(7_u64)));
            let _ = runnable.run(&home);
            token.get()
        });
    });
    group.bench_function("make, abandon, take the rejection", |bencher| {
        bencher.iter(|| {
            let (token, runnable) = create(&EMPTY, Plain::new(|| black_box(7_u64)));
            drop(runnable);
            token.get()
        });
    });
    group.bench_function("make, run, detached", |bencher| {
        bencher.iter(|| {
            let (token, runnable) = create(&EMPTY, Plain::new(|| black_box(7_u64)));
            token.detach();
            let _ = runnable.run(&home);
        });
    });
    // A thousand at once: the cells no longer stay in the first-level cache.
    group.bench_function("a thousand made, then run, then taken", |bencher| {
        bencher.iter_batched(
            || Vec::with_capacity(1000),
            |mut tokens| {
                let runnables: Vec<_> = (0..1000_u64)
                    .map(|number| {
                        let (token, runnable) = create(&EMPTY, Plain::new(move || number));
                        tokens.push(token);
                        runnable
                    })
                    .collect();
                for runnable in runnables {
                    let _ = runnable.run(&home);
                }
                tokens
                    .into_iter()
                    .map(|t| t.get().unwrap_or(0))
                    .sum::<u64>()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
    criterion.final_summary();
}
