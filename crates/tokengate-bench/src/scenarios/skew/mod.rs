//! `skew`: what one hot key does to the latency of the others, with arrivals that wait for nobody.
//!
//! First the capacity of each contender: how many tokens a second it runs when all are submitted at once.
//! Then tokens arrive at random at half of that rate, with bodies of 5 µs, over 1,000 keys: once with all keys
//! alike, once with half of all tokens for a single key. The two take turns in every repetition.

mod arrivals;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Map;

pub(crate) use self::arrivals::{ArrivalSample, Arrivals, repetition};

use crate::effort::Effort;
use crate::keyed::{self, Order, Sequence, Slot};
use crate::machine::SharpSleep;
use crate::progress::Progress;
use crate::recorder::{Entrant, Record, record};
use crate::report::{Chart, ContenderReport, Grid, Ratio, ScenarioReport, spread};
use crate::roster::{self, AnyKeyed, Entry, Running, Skipped};
use crate::scenarios::series::ORDER;
use crate::scenarios::{Sample, Summary, put, retire, skipped, started};
use crate::spin::Spin;
use crate::spread::{Spread, quantile};
use crate::tally::Tally;

/// Keys, the hot one included.
const KEYS: usize = 1_000;

/// CPU time of a body.
const BODY: Duration = Duration::from_micros(5);

/// Arrivals come at this share of the capacity.
const LOAD: f64 = 0.5;

/// Of ours: the others' p99 without the hot key over that with it.
const BAR: f64 = 0.5;

/// The contender that the bar is for.
const OURS: &str = "tokengate";

/// The figures of a repetition, without and with the hot key.
struct SkewSample {
    elapsed_s: f64,
    others_p99_without_ns: f64,
    others_p99_ns: f64,
    others_p50_without_ns: f64,
    others_p50_ns: f64,
    hot_p99_ns: f64,
    late_p50_ns: f64,
    tally: Tally,
}

impl Sample for SkewSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl SkewSample {
    fn of(without: ArrivalSample, with: ArrivalSample) -> Self {
        let at = |sorted: &[u64], share| quantile(sorted, share).unwrap_or(0) as f64;
        Self {
            elapsed_s: with.elapsed_s,
            others_p99_without_ns: at(&without.others_ns, 0.99),
            others_p99_ns: at(&with.others_ns, 0.99),
            others_p50_without_ns: at(&without.others_ns, 0.5),
            others_p50_ns: at(&with.others_ns, 0.5),
            hot_p99_ns: at(&with.hot_ns, 0.99),
            late_p50_ns: at(&with.late_ns, 0.5),
            tally: without.tally.worse(with.tally),
        }
    }
}

/// A repetition at capacity.
struct Closed {
    elapsed_s: f64,
    tally: Tally,
}

impl Sample for Closed {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let slots = keyed::slots(KEYS, |_| Sequence::default());
    let (mut running, absent) = roster::start_keyed(entries.iter().copied());
    let capacities = capacities(&mut running, slots, effort, progress);
    // After the start: workers keep the timers that they have elsewhere.
    let _sharp = SharpSleep::begin();
    let entrants = running.iter_mut().map(|running| {
        let rate = capacities.get(&running.name).map(|c| c.median * LOAD);
        let draw =
            |hot_key| Arrivals::draw(slots, effort.arrivals, rate, hot_key, Spin::taking(BODY));
        let (without, with) = (draw(false), draw(true));
        let (contender, order) = (&mut *running.contender, running.order);
        Entrant::new(&running.name, move || {
            SkewSample::of(
                take(contender, &without, order),
                take(contender, &with, order),
            )
        })
    });
    let records = record(entrants.collect(), effort.repetitions, effort, progress);
    let found: Vec<Found> = records
        .iter()
        .map(|record| Found::of(record, capacities.get(&record.name).copied()))
        .collect();
    report(entries, &found, absent)
}

/// One repetition, held to the order that the contender says it keeps.
fn take(contender: &mut dyn AnyKeyed, arrivals: &Arrivals, order: Order) -> ArrivalSample {
    let mut sample = contender.arrivals(arrivals);
    if order == Order::Kept {
        sample.tally.expect_order(sample.steps_back);
    }
    sample
}

/// Tokens a second that each contender runs if it gets all at once, all keys alike.
fn capacities(
    running: &mut Vec<Running<dyn AnyKeyed>>,
    slots: &'static [Slot<Sequence>],
    effort: &Effort,
    progress: &Progress,
) -> HashMap<String, Spread> {
    let all_at_once = Arrivals::draw(slots, effort.arrivals, None, false, Spin::taking(BODY));
    let entrants = running.iter_mut().map(|running| {
        let (contender, order) = (&mut *running.contender, running.order);
        let all_at_once = &all_at_once;
        Entrant::new(&running.name, move || {
            let sample = take(contender, all_at_once, order);
            Closed {
                elapsed_s: sample.elapsed_s,
                tally: sample.tally,
            }
        })
    });
    let repetitions = effort.figure_repetitions;
    let records = record(entrants.collect(), repetitions, effort, progress);
    retire(running, &records);
    let rate = |elapsed_s: f64| all_at_once.tokens() as f64 / elapsed_s;
    records
        .iter()
        .filter_map(|record| {
            let rates = record.samples.iter().map(|sample| rate(sample.elapsed_s));
            Some((record.name.clone(), Spread::of(rates)?))
        })
        .collect()
}

/// What one contender came to.
struct Found {
    summary: Summary,
    capacity_per_s: Option<Spread>,
    others_p99_without_ns: Option<Spread>,
    others_p99_ns: Option<Spread>,
    others_p50_without_ns: Option<Spread>,
    others_p50_ns: Option<Spread>,
    hot_p99_ns: Option<Spread>,
    late_p50_ns: Option<Spread>,
}

impl Found {
    fn of(record: &Record<SkewSample>, capacity_per_s: Option<Spread>) -> Self {
        let of = |figure: fn(&SkewSample) -> f64| Spread::of(record.samples.iter().map(figure));
        Self {
            summary: Summary::of(record),
            capacity_per_s,
            others_p99_without_ns: of(|sample| sample.others_p99_without_ns),
            others_p99_ns: of(|sample| sample.others_p99_ns),
            others_p50_without_ns: of(|sample| sample.others_p50_without_ns),
            others_p50_ns: of(|sample| sample.others_p50_ns),
            hot_p99_ns: of(|sample| sample.hot_p99_ns),
            late_p50_ns: of(|sample| sample.late_p50_ns),
        }
    }

    /// The times with the ends of their keys, in the order of the table.
    fn times(&self) -> [(&'static str, Option<Spread>); 6] {
        [
            ("others_p50_without_hot_key", self.others_p50_without_ns),
            ("others_p50", self.others_p50_ns),
            ("others_p99_without_hot_key", self.others_p99_without_ns),
            ("others_p99", self.others_p99_ns),
            ("hot_key_p99", self.hot_p99_ns),
            ("arrivals_late_p50", self.late_p50_ns),
        ]
    }

    fn ratio(&self) -> Option<Ratio> {
        let (without, with) = self.others_p99_without_ns.zip(self.others_p99_ns)?;
        Some(Ratio {
            name: format!("{}_others_p99_vs_without_hot_key", self.summary.name),
            value: without.median / with.median,
            bar: (self.summary.name == OURS).then_some(BAR),
        })
    }
}

fn report(entries: &[&Entry], found: &[Found], absent: Vec<Skipped>) -> ScenarioReport {
    let started = started(entries, &absent);
    let bars = |with: bool| {
        let bar = move |found: &Found| {
            let p99_ns = if with {
                found.others_p99_ns
            } else {
                found.others_p99_without_ns
            };
            Some((found.summary.name.clone(), p99_ns?.times(1e-3)))
        };
        let title = if with { "with" } else { "without" };
        Chart::Bars {
            title: format!("skew: p99 of the other keys, {title} a hot key"),
            unit: "µs from submission to the body's end",
            bars: found.iter().filter_map(bar).collect(),
        }
    };
    ScenarioReport {
        name: "skew",
        busy_elsewhere_cpus: 0.0,
        contenders: found
            .iter()
            .map(contender)
            .chain(absent.into_iter().map(skipped))
            .collect(),
        ratios: found.iter().filter_map(Found::ratio).collect(),
        limits: vec![],
        grids: vec![grid(&started, found)],
        charts: vec![bars(false), bars(true)],
    }
}

fn contender(found: &Found) -> ContenderReport {
    let mut figures = Map::new();
    if let Some(capacity) = found.capacity_per_s {
        put(&mut figures, "capacity", "per_s", capacity);
    }
    for (key, time) in found.times() {
        if let Some(time) = time {
            put(&mut figures, key, "ns", time);
        }
    }
    figures.extend(found.summary.basis());
    ContenderReport {
        name: found.summary.name.clone(),
        figures,
        verdict: found.summary.verdict.clone(),
    }
}

fn grid(started: &[&Entry], found: &[Found]) -> Grid {
    let (order, says) = ORDER;
    let mut grid = Grid::new(
        "Arrivals at half of each contender's capacity; µs from submission to the body's end, of the keys that \
         are not hot, without and with the hot key beside them",
        &[
            "contender",
            order,
            "capacity, 1,000 tokens/s",
            "p50 without",
            "p50 with",
            "p99 without",
            "p99 with",
            "p99 of the hot key",
            "arrivals late by, p50",
            "results",
        ],
    );
    for found in found {
        let name = &found.summary.name;
        let entry = started.iter().find(|entry| entry.name == *name);
        let mut row = vec![name.clone(), entry.map_or("", |e| says(e)).to_owned()];
        let capacity = found.capacity_per_s.map(|capacity| capacity.times(1e-3));
        let times = found.times().map(|(_, time)| time.map(|t| t.times(1e-3)));
        let figures = [capacity].into_iter().chain(times);
        row.extend(figures.map(|figure| figure.map_or_else(|| "-".to_owned(), spread)));
        row.push(found.summary.remark());
        grid.rows.push(row);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_p99_is_a_ratio_of_a_half_and_met() {
        let times = |others_ns: u64| ArrivalSample {
            elapsed_s: 1.0,
            others_ns: vec![others_ns; 3],
            hot_ns: vec![900],
            late_ns: vec![10],
            steps_back: 0,
            tally: Tally::default(),
        };
        let record = |name: &str| Record {
            name: name.into(),
            samples: vec![SkewSample::of(times(100), times(200))],
            dropped: vec![],
            stolen: 0,
            panic: None,
        };
        let ratio = Found::of(&record(OURS), None).ratio().unwrap();
        assert_eq!(ratio.judgement(), ">= 0.50, met");
        assert_eq!(ratio.value, 0.5);
        let peer = Found::of(&record("tokio-mutex"), None).ratio().unwrap();
        assert_eq!(peer.bar, None);
    }
}
