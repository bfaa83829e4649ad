//! What does it cost to post runnables to an inbox and to take them out, one by one and as a list?
//!
//! `cargo bench -p benches --bench mailbox`. The inbox is the queue under each core's mailbox; producer
//! and consumer are one thread here, so the figures hold no cache line transfer and no unpark.

use criterion::{BatchSize, Criterion, Throughput};
use tokengate_token::{Inbox, NoHome, Operation, Plain, Runnable, RunnableList, create};

/// Runnables in one round: what a batch publishes at most.
const ROUND: u64 = 64;

static EMPTY: Operation = Operation::new("bench.empty");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(ROUND));
    let inbox = Inbox::new();

    group.bench_function("post one by one, take all", |bencher| {
        bencher.iter_batched(
            runnables,
            |runnables| {
                for runnable in runnables {
                    let _ = inbox.post(runnable).expect("nobody closes it");
                }
                inbox.take()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("post a list, take all", |bencher| {
        bencher.iter_batched(
            runnables,
            |runnables| {
                let mut list = RunnableList::new();
                runnables.into_iter().for_each(|r| list.push_front(r));
                let _ = inbox.post_list(list).expect("nobody closes it");
                inbox.take()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("post, take and run each", |bencher| {
        let home = NoHome::shared();
        bencher.iter_batched(
            runnables,
            |runnables| {
                for runnable in runnables {
                    let _ = inbox.post(runnable).expect("nobody closes it");
                    while let Some(next) = inbox.take().pop_front() {
                        let _ = next.run(&home);
                    }
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
    criterion.final_summary();
}

fn runnables() -> Vec<Runnable> {
    (0..ROUND)
        .map(|number| {
            let (token, runnable) = create(&EMPTY, Plain::new(move || number));
            token.detach();
            runnable
        })
        .collect()
}
