//! A child and its result, from inside a body: what a call costs where no thread has to be woken.
//!
//! Ours has a single worker, as the domain of a lead has where cores are domains, and gets each child before
//! it calls the next. A tokio task that spawns and awaits another stands beside
//! it, for orientation. The times contain one
//! reading of the clock.

use std::time::Instant;

use tokengate::{Gate, task_token_guard};

use super::{LatencySample, one_worker};
use crate::contender::Failed;
use crate::cpu_time::{process_cpu_time, process_cpu_time_since};
use crate::recorder::Entrant;
use crate::roster::Entry;
use crate::tally::Tally;

/// Latencies in nanoseconds and the sum of what the children gave back.
type Children = (Vec<u64>, u64);

#[task_token_guard(operation_type = "bench.parent")]
fn parent(children: usize) -> Result<Children, String> {
    let mut latencies_ns = Vec::with_capacity(children);
    let mut sum = 0;
    for number in 0..children as u64 {
        let started = Instant::now();
        let output = child(number).get();
        latencies_ns.push(started.elapsed().as_nanos() as u64);
        sum += output.map_err(|error| error.to_string())?;
    }
    Ok((latencies_ns, sum))
}

#[task_token_guard(operation_type = "bench.child")]
fn child(number: u64) -> u64 {
    number
}

/// The same inside tokio.
async fn task(children: usize) -> Result<Children, String> {
    let mut latencies_ns = Vec::with_capacity(children);
    let mut sum = 0;
    for number in 0..children as u64 {
        let started = Instant::now();
        let output = tokio::spawn(async move { number }).await;
        latencies_ns.push(started.elapsed().as_nanos() as u64);
        sum += output.map_err(|error| error.to_string())?;
    }
    Ok((latencies_ns, sum))
}

/// Those of the two that are among the entries.
pub(super) fn entrants(
    entries: &[&Entry],
    children: usize,
) -> Vec<Entrant<'static, LatencySample>> {
    let takes_part = |name: &str| entries.iter().any(|entry| entry.name == name);
    let mut entrants = Vec::new();
    if takes_part("tokio") {
        let runtime = crate::contenders::tokio_runtime();
        entrants.push(Entrant::new("tokio", move || {
            sample(children, || match &runtime {
                Ok(runtime) => runtime
                    .block_on(runtime.spawn(task(children)))
                    .map_err(|error| error.to_string())?,
                Err(unable) => Err(unable.0.clone()),
            })
        }));
    }
    if takes_part(super::OURS) {
        let gate = Gate::builder().domains(one_worker().unwrap_or_default());
        let gate = gate.start();
        entrants.push(Entrant::new(super::OURS, move || {
            sample(children, || {
                let gate = gate.as_ref().map_err(|error| error.to_string())?;
                let _entered = gate.enter();
                parent(children).get().map_err(|error| error.to_string())
            })
        }));
    }
    entrants
}

/// Takes one repetition.
fn sample(children: usize, run: impl FnOnce() -> Result<Children, String>) -> LatencySample {
    let mut tally = Tally::expecting(children);
    let cpu = process_cpu_time();
    let outcome = run();
    let cpu = process_cpu_time_since(cpu);
    let latencies_ns = match outcome {
        Ok((latencies_ns, sum)) => {
            tally.completed = latencies_ns.len() as u64;
            tally.check(&sum, &(0..children as u64).sum(), u64::to_string);
            latencies_ns
        }
        Err(reason) => {
            tally.count::<()>(Err(Failed(reason)));
            Vec::new()
        }
    };
    LatencySample::of(latencies_ns, vec![], cpu, tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_gets_every_child() {
        let gate = Gate::builder().start().unwrap();
        let _entered = gate.enter();
        let (latencies_ns, sum) = parent(100).get().unwrap();
        assert_eq!((latencies_ns.len(), sum), (100, 4950));
    }

    #[test]
    fn a_child_that_fails_is_a_flaw() {
        let sample = sample(2, || Err("gone".to_owned()));
        assert!(
            sample.tally.line().contains("gone"),
            "{}",
            sample.tally.line()
        );
    }
}
