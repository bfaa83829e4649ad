//! `latency`: one token and back, in quantiles, with the CPU time that it costs the process.
//!
//! The caller submits a token, takes its result, rests, and does it again: without a rest, and after
//! rests in which workers fall asleep. Beside it a body that calls and gets a child, and what idle workers
//! cost. Each contender runs in the same form as in `submit`, with a single token in flight.

mod child;
mod idle;
mod summary;

use std::iter;
use std::thread;
use std::time::{Duration, Instant};

use tokengate::Domains;

use crate::contender::Contender;
use crate::cpu_time::{process_cpu_time, process_cpu_time_since};
use crate::effort::Effort;
use crate::machine::{self, SharpSleep};
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::ScenarioReport;
use crate::roster::{self, Entry};
use crate::scenarios::cost::Empty;
use crate::scenarios::{Sample, retire};
use crate::spread::quantile;
use crate::tally::Tally;

use summary::Series;

/// How many rests of the caller are tried.
pub(crate) const RESTS: usize = 4;

/// Microseconds that the caller rests before each token.
const RESTS_US: [u64; RESTS] = [0, 20, 100, 1_000];

/// Tokens before the first one that counts: the other contenders have had the caches.
const WARM_UP: usize = 16;

/// The built-in contender that `child` and `idle` are about.
const OURS: &str = "tokengate";

/// One repetition with one rest.
pub(crate) struct LatencySample {
    elapsed_s: f64,
    p50_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    /// How long the rests really were, in the middle.
    rest_p50_ns: Option<u64>,
    /// CPU time of the whole process over the tokens, where the system tells it.
    cpu_per_token_ns: Option<f64>,
    tally: Tally,
}

impl Sample for LatencySample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl LatencySample {
    /// Forms the quantiles.
    fn of(
        mut latencies_ns: Vec<u64>,
        mut rests_ns: Vec<u64>,
        cpu: Option<Duration>,
        tally: Tally,
    ) -> Self {
        latencies_ns.sort_unstable();
        rests_ns.sort_unstable();
        let at = |share| quantile(&latencies_ns, share).unwrap_or(0);
        Self {
            elapsed_s: Duration::from_nanos(latencies_ns.iter().sum()).as_secs_f64(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            rest_p50_ns: quantile(&rests_ns, 0.5),
            cpu_per_token_ns: cpu.map(|cpu| cpu.as_nanos() as f64 / latencies_ns.len() as f64),
            tally,
        }
    }
}

/// Sends `tokens` on their way and back, one after the other, each after a rest of the caller.
pub(crate) fn repetition<C: Contender>(
    contender: &mut C,
    rest: Duration,
    tokens: usize,
) -> LatencySample {
    let mut tally = Tally::expecting(WARM_UP + tokens);
    let mut sum = 0_u64;
    let mut round_trip = |number: usize| {
        let started = Instant::now();
        contender.run(iter::once(Empty(number as u64)), |outcome| {
            sum = sum.wrapping_add(tally.count(outcome).unwrap_or(0));
        });
        started.elapsed().as_nanos() as u64
    };
    for number in 0..WARM_UP {
        round_trip(number);
    }
    let mut latencies_ns = Vec::with_capacity(tokens);
    let mut rests_ns = Vec::with_capacity(tokens);
    let cpu = process_cpu_time();
    for number in WARM_UP..WARM_UP + tokens {
        if !rest.is_zero() {
            let began = Instant::now();
            thread::sleep(rest);
            rests_ns.push(began.elapsed().as_nanos() as u64);
        }
        latencies_ns.push(round_trip(number));
    }
    let cpu = process_cpu_time_since(cpu);
    let expected = (0..tally.expected).sum();
    tally.check(&sum, &expected, u64::to_string);
    LatencySample::of(latencies_ns, rests_ns, cpu, tally)
}

/// A single domain of a single worker; none where the system does not tell the CPUs.
fn one_worker() -> Option<Domains> {
    let cpu = machine::worker_cpus().into_iter().flatten().next()?;
    Some(Domains::Custom(vec![vec![cpu.id]]))
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    // First, while no other contender has threads.
    let idle = if entries.iter().any(|entry| entry.name == OURS) {
        idle::watch(effort.idle_rest)
    } else {
        Vec::new()
    };
    let (mut running, absent) = roster::start(entries.iter().copied());
    let mut all = Vec::new();
    {
        // After the start: workers keep the timers that they have elsewhere.
        let _sharp = SharpSleep::begin();
        for (rest_us, tokens) in iter::zip(RESTS_US, effort.round_trips) {
            let entrants = running.iter_mut().map(|running| {
                let contender = &mut running.contender;
                Entrant::new(&running.name, move || {
                    contender.latency(Duration::from_micros(rest_us), tokens)
                })
            });
            let records = record(entrants.collect(), effort.repetitions, effort, progress);
            retire(&mut running, &records);
            all.push(Series::of_rest(rest_us, &records));
        }
    }
    drop(running);
    let records = record(
        child::entrants(entries, effort.children),
        effort.repetitions,
        effort,
        progress,
    );
    all.push(Series::of_children(&records));
    summary::report(entries, &all, &idle, absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::serial::Serial;
    use crate::contenders::threadpool::Threadpool;

    #[test]
    fn every_token_comes_back_with_and_without_a_rest() {
        for rest in [Duration::ZERO, Duration::from_micros(1)] {
            let sample = repetition(&mut Threadpool::start().unwrap(), rest, 20);
            assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
            assert_eq!(sample.tally.completed, (WARM_UP + 20) as u64);
        }
    }

    #[test]
    fn rests_are_not_part_of_the_latency() {
        let rest = Duration::from_millis(2);
        let sample = repetition(&mut Serial, rest, 3);
        assert!(Duration::from_nanos(sample.rest_p50_ns.unwrap()) >= rest);
        assert_eq!(repetition(&mut Serial, Duration::ZERO, 3).rest_p50_ns, None);
    }

    #[test]
    fn quantiles_and_cpu_time_are_those_of_the_tokens() {
        let latencies = (0..=1000).rev().collect();
        let cpu = Some(Duration::from_nanos(2002));
        let sample = LatencySample::of(latencies, vec![7, 5, 6], cpu, Tally::default());
        assert_eq!(
            (sample.p50_ns, sample.p99_ns, sample.p99_9_ns),
            (500, 990, 999)
        );
        assert_eq!(sample.rest_p50_ns, Some(6));
        assert_eq!(sample.cpu_per_token_ns, Some(2.0));
    }
}
