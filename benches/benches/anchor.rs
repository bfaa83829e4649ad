//! What does it cost to pin a key and to let it go, and to open a chain and to join it?
//!
//! `cargo bench -p benches --bench anchor`. One thread, so the figures hold no cache line transfer; a
//! scheduler marks on one core and releases on another.

use criterion::Criterion;
use tokengate_anchor::{Conductor, Key, StickyRegistry};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    keys(&mut criterion);
    chains(&mut criterion);
    criterion.final_summary();
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("anchor/key");
    let registry = StickyRegistry::<()>::new();
    group.bench_function("hash", |bencher| {
        let mut account = 0_u64;
        bencher.iter(|| {
            account += 1;
            Key::of("accounts", &account)
        });
    });
    let pinned = Key::of("accounts", &0);
    let held = registry.mark(pinned, || 0);
    group.bench_function("mark and release, pinned", |bencher| {
        bencher.iter(|| registry.release(registry.mark(pinned, || 0).entry));
    });
    registry.release(held.entry);
    group.bench_function("mark and release, free", |bencher| {
        bencher.iter(|| registry.release(registry.mark(pinned, || 0).entry));
    });
    group.bench_function("mark and release, a new key each time", |bencher| {
        let mut hash = 0_u64;
        bencher.iter(|| {
            hash += 1;
            registry.release(registry.mark(Key::from_hash(hash), || 0).entry);
        });
    });
    group.finish();
}

fn chains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("anchor/chain");
    let conductor = Conductor::new();
    group.bench_function("open and release, with its seed", |bencher| {
        let mut token_id = 0_u64;
        bencher.iter(|| {
            token_id += 1;
            conductor.leave(conductor.open(token_id, &["child"], 0, None));
        });
    });
    let chain = conductor.open(1, &["child"], 0, None);
    group.bench_function("join and leave", |bencher| {
        bencher.iter(|| {
            conductor.join(chain);
            conductor.leave(chain);
        });
    });
    conductor.leave(chain);
    group.finish();
}
