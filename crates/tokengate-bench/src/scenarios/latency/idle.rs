//! What workers cost that have nothing to do: CPU time of the process over a rest.
//!
//! Measured with one worker and with 64, after tokens have run on them. The caller sleeps meanwhile, and no
//! other contender is there.

use std::thread;
use std::time::{Duration, Instant};

use tokengate::{Domains, Gate, Token};

use super::one_worker;
use crate::cpu_time::{process_cpu_time, process_cpu_time_since};

/// What idle workers took.
pub(super) struct Idle {
    pub(super) workers: usize,
    /// Of one CPU.
    pub(super) cpu_percent: f64,
}

/// Watches each layout for `rest`; a layout that does not start here, or whose CPU time is not known, is
/// left out.
pub(super) fn watch(rest: Duration) -> Vec<Idle> {
    let layouts = one_worker().into_iter().chain([Domains::Count(64)]);
    layouts
        .filter_map(|domains| {
            let gate = Gate::builder().domains(domains).start().ok()?;
            let workers = gate.plan().worker_count();
            Some(Idle {
                workers,
                cpu_percent: percent(&gate, rest)?,
            })
        })
        .collect()
}

fn percent(gate: &Gate, rest: Duration) -> Option<f64> {
    let tokens: Vec<Token<()>> = (0..1_000)
        .map(|_| gate.spawn("bench.idle", || ()))
        .collect();
    tokengate::get_all(tokens);
    // Workers that look around for a moment before they park are done by then.
    thread::sleep(rest / 10);
    let began = Instant::now();
    let cpu = process_cpu_time();
    thread::sleep(rest);
    let cpu = process_cpu_time_since(cpu)?;
    Some(cpu.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_workers_are_watched() {
        let idle = watch(Duration::from_millis(1));
        assert!(idle.iter().any(|idle| idle.workers == 64));
        assert!(idle.iter().all(|idle| idle.cpu_percent >= 0.0));
    }
}
