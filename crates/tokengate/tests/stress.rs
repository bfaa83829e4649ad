//! Many gates, one after another, each ended at a random moment of its load.
//!
//! Keeps: no handle is lost and no thread stays. The rounds are drawn from a seed that a failure
//! names. In a binary of its own: it counts the threads of the process.

mod common;

use std::time::Duration;

use common::{HANG, elsewhere, wait_until};
use tokengate::{Domains, Gate, Handle, Token, TokenError, get_all};

/// A generator of numbers that look random: xorshift, after Marsaglia.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// The threads of this process that are a gate's; of the runtime of async bodies too.
#[cfg(target_os = "linux")]
fn gate_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    let names = tasks.filter_map(|task| name(task.ok()?).ok());
    names.filter(|name| name.starts_with("tokengate-")).count()
}

#[cfg(not(target_os = "linux"))]
fn gate_threads() -> usize {
    0
}

/// A body that blocks on children of all kinds.
fn blocking(handle: &Handle, depth: u64) -> u64 {
    let deeper = {
        let inner = handle.clone();
        handle.spawn("blocking", move || match depth {
            0 => 0,
            _ => blocking(&inner, depth - 1),
        })
    };
    let yields = handle.spawn_async("yields", async {
        tokio::task::yield_now().await;
        1
    });
    let children = get_all([deeper, yields]);
    children.into_iter().map(|child| child.unwrap_or(0)).sum()
}

/// Submits one call of a random kind.
fn submit(gate: &Gate, random: &mut Random, tokens: &mut Vec<Token<u64>>) {
    let handle = gate.handle();
    match random.below(6) {
        0 => tokens.push(gate.spawn("sync", || 1)),
        1 => tokens.push(gate.spawn_async("yields", async {
            tokio::task::yield_now().await;
            1
        })),
        2 => tokens.push(gate.spawn_async("suspended", std::future::pending())),
        3 => {
            let depth = random.below(4);
            tokens.push(gate.spawn("blocking", move || blocking(&handle, depth)));
        }
        4 => {
            let (depth, inner) = (random.below(3), handle.clone());
            tokens.push(gate.spawn_async("blocking poll", async move { blocking(&inner, depth) }));
        }
        _ => gate
            .batch(|| tokens.extend((0..random.below(40)).map(|n| gate.spawn("batch", move || n)))),
    }
}

fn round(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let gate = Gate::builder()
        .domains(Domains::Count(1 + random.below(3) as usize))
        .max_spares(1 + random.below(4) as usize)
        .start()
        .unwrap();
    let mut tokens = Vec::new();
    for _ in 0..random.below(30) {
        submit(&gate, &mut random, &mut tokens);
    }
    for _ in 0..random.below(200) {
        std::thread::yield_now();
    }
    let limit = Duration::from_micros(random.below(300));
    match random.below(3) {
        0 => {
            let report = gate.shutdown(limit);
            assert!(report.stuck.is_empty(), "seed {seed}: {report:?}");
        }
        1 => drop(gate),
        // On one of its own workers.
        _ => {
            let (give, take) = std::sync::mpsc::channel();
            let ends = gate.spawn("ends its gate", move || drop::<Gate>(take.recv().unwrap()));
            give.send(gate).unwrap();
            let ended: Result<(), TokenError> = ends.get();
            assert!(ended.is_ok(), "seed {seed}: {ended:?}");
        }
    }
    for mut token in tokens {
        let resolved = token.get_timeout(HANG).is_some();
        assert!(resolved, "seed {seed}: a handle was lost");
    }
}

fn rounds(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        // A hang ends the test, and its last line names the seed.
        eprint!("\rseed {seed}");
        elsewhere(move || round(seed));
    }
    wait_until("all threads end", || gate_threads() == 0);
}

#[test]
fn no_thread_and_no_handle_is_lost_in_200_gates() {
    rounds(0..200);
}

#[test]
#[ignore = "minutes"]
fn no_thread_and_no_handle_is_lost_in_10_000_gates() {
    rounds(1_000..11_000);
}
