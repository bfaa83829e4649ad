//! `submit`: what an empty token costs, each result taken through its own token.
//!
//! A contender submits as many tokens as may be outstanding, takes all their results, and begins again
//! until all tokens have run. The figure is nanoseconds a token, elapsed time over tokens.

use std::hint::black_box;
use std::time::Instant;

use serde_json::Map;

use crate::allocator;
use crate::contender::{Contender, Handles, Job};
use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::{
    Chart, ContenderReport, Grid, Ratio, ScenarioReport, Verdict, spread, thousands,
};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::{Sample, Summary, best, put, skipped};
use crate::spread::Spread;
use crate::tally::Tally;

/// The two forms of ours that are promised, as the ratios and as the roster name them.
const OURS: [(&str, &str); 2] = [("one_by_one", "tokengate"), ("batch", "tokengate-batch")];

/// tokio with a handle a token, in both its forms.
const TOKIO: [&str; 2] = ["tokio", "tokio-inside"];

/// Takes some 2 µs a token when a million are outstanding.
const SLOW: &str = "tokio-spawn-pinned";

/// A token that does nothing but give its number back.
struct Empty(u64);

impl Job for Empty {
    type Output = u64;

    #[inline]
    fn run(self) -> u64 {
        // Otherwise a loop of empty bodies is nothing at all.
        black_box(self.0)
    }
}

/// One repetition with one number of outstanding tokens.
pub(crate) struct SubmitSample {
    elapsed_s: f64,
    tally: Tally,
}

impl Sample for SubmitSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Runs `tokens` on a contender, `outstanding` at a time.
pub(crate) fn repetition<C: Contender>(
    contender: &mut C,
    outstanding: usize,
    tokens: usize,
) -> SubmitSample {
    let mut tally = Tally::expecting(tokens);
    let mut sum = 0_u64;
    let started = Instant::now();
    for first in (0..tokens).step_by(outstanding) {
        let last = tokens.min(first + outstanding);
        let jobs = (first..last).map(|number| Empty(number as u64));
        contender.run(jobs, |outcome| {
            sum = sum.wrapping_add(tally.count(outcome).unwrap_or(0));
        });
    }
    let elapsed_s = started.elapsed().as_secs_f64();
    let expected = (0..tokens as u64).sum();
    tally.check(&sum, &expected, u64::to_string);
    SubmitSample { elapsed_s, tally }
}

/// All contenders with one number of outstanding tokens.
struct Point {
    outstanding: usize,
    tokens: usize,
    found: Vec<Summary>,
}

impl Point {
    fn summary(&self, name: &str) -> Option<&Summary> {
        self.found.iter().find(|found| found.name == name)
    }

    /// Nanoseconds a token.
    fn cost_ns(&self, name: &str) -> Option<Spread> {
        let elapsed_s = self.summary(name)?.elapsed_s?;
        Some(elapsed_s.times(1e9 / self.tokens as f64))
    }

    fn median_ns(&self, name: &str) -> Option<f64> {
        Some(self.cost_ns(name)?.median)
    }
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let (mut running, absent) = roster::start(entries.iter().copied());
    let mut points: Vec<Point> = Vec::new();
    for &(outstanding, tokens) in &effort.outstanding {
        let in_time = |name: &str| effort.all_peers || outstanding < 100_000 || name != SLOW;
        let taking_part = running.iter_mut().filter(|r| in_time(&r.name));
        let entrants = taking_part.map(|running| {
            let contender = &mut running.contender;
            Entrant::new(&running.name, || contender.submit(outstanding, tokens))
        });
        let records = record(entrants.collect(), effort.repetitions, effort, progress);
        // What has panicked may be half changed: it does not run again.
        let broken = |name: &str| records.iter().any(|r| r.name == name && r.panic.is_some());
        running.retain(|running| !broken(&running.name));
        points.push(Point {
            outstanding,
            tokens,
            found: records.iter().map(Summary::of).collect(),
        });
    }
    report(entries, &points, absent)
}

fn report(entries: &[&Entry], points: &[Point], absent: Vec<Skipped>) -> ScenarioReport {
    let started: Vec<&Entry> = entries
        .iter()
        .copied()
        .filter(|entry| absent.iter().all(|skipped| skipped.name != entry.name))
        .collect();
    let mut contenders: Vec<_> = started.iter().map(|e| contender(&e.name, points)).collect();
    contenders.extend(absent.into_iter().map(skipped));
    ScenarioReport {
        name: "submit",
        busy_elsewhere_cpus: 0.0,
        contenders,
        ratios: points.iter().flat_map(|p| ratios(&started, p)).collect(),
        grids: vec![grid(&started, points)],
        charts: points.iter().map(|point| chart(&started, point)).collect(),
    }
}

fn contender(name: &str, points: &[Point]) -> ContenderReport {
    let mut figures = Map::new();
    for point in points {
        let at = format!("at_{}", point.outstanding);
        if let Some(cost) = point.cost_ns(name) {
            put(&mut figures, &format!("{at}_token"), "ns", cost);
        }
        if let Some(summary) = point.summary(name) {
            figures.extend(
                summary
                    .basis()
                    .into_iter()
                    .map(|(k, v)| (format!("{at}_{k}"), v)),
            );
        }
    }
    ContenderReport {
        name: name.to_owned(),
        figures,
        verdict: verdict(name, points),
    }
}

/// The worst of all points, or else the last.
fn verdict(name: &str, points: &[Point]) -> Verdict {
    let of_points = || points.iter().filter_map(|point| point.summary(name));
    of_points()
        .find(|summary| matches!(summary.verdict, Verdict::Failed(_)))
        .or_else(|| of_points().next_back())
        .map_or_else(
            || Verdict::Failed("nothing was measured".to_owned()),
            |summary| summary.verdict.clone(),
        )
}

fn ratios(started: &[&Entry], point: &Point) -> Vec<Ratio> {
    let with_handle = started
        .iter()
        .filter(|entry| entry.handles == Handles::Each && !entry.name.starts_with("tokengate"))
        .map(|entry| entry.name.as_str());
    let cost = |name: &str| point.median_ns(name);
    let peers = [
        ("tokio_best", best(cost, TOKIO)),
        ("fastest_peer", best(cost, with_handle)),
        ("spawn_pinned", cost("tokio-spawn-pinned")),
    ];
    let mut ratios = Vec::new();
    for (form, ours) in OURS {
        let Some(ours) = cost(ours) else { continue };
        for (peer, theirs) in peers {
            ratios.extend(theirs.map(|theirs| Ratio {
                name: format!("at_{}_{form}_vs_{peer}", point.outstanding),
                value: theirs / ours,
                bar: bar(allocator::NAME, point.outstanding, form, peer),
            }));
        }
    }
    ratios
}

/// What we promise, by allocator, tokens outstanding and form of submission. A fast allocator lifts those
/// who use it for each token, so the bars beside it are lower.
fn bar(allocator: &str, outstanding: usize, form: &str, peer: &str) -> Option<f64> {
    if allocator != "system" {
        return match (outstanding, form, peer) {
            (10_000, "one_by_one", "tokio_best") => Some(4.5),
            (10_000, "batch", "tokio_best") => Some(9.0),
            _ => None,
        };
    }
    match (outstanding, form, peer) {
        (1_000, "one_by_one", "tokio_best") => Some(4.0),
        (10_000, "one_by_one", "tokio_best") => Some(8.0),
        (10_000, "batch", "tokio_best") => Some(16.0),
        (1_000_000, "one_by_one", "tokio_best") => Some(3.5),
        (1_000_000, "batch", "tokio_best") => Some(7.0),
        (10_000, "one_by_one", "spawn_pinned") => Some(18.0),
        (10_000, "one_by_one", "fastest_peer") => Some(3.0),
        _ => None,
    }
}

fn grid(started: &[&Entry], points: &[Point]) -> Grid {
    let mut grid = Grid::new(
        "Nanoseconds a token by tokens outstanding; contenders without a handle a token are no equals",
        &["contender", "handle a token"],
    );
    let columns = points
        .iter()
        .map(|point| format!("{} outstanding", thousands(point.outstanding as u64)));
    grid.header.extend(columns);
    grid.header.push("results".to_owned());
    for entry in started {
        let handle = match entry.handles {
            Handles::Each => "yes",
            Handles::None => "no",
        };
        let mut row = vec![entry.name.clone(), handle.to_owned()];
        row.extend(points.iter().map(|point| {
            let cost = point.cost_ns(&entry.name);
            cost.map_or_else(|| "-".to_owned(), spread)
        }));
        let last = points.iter().rev().find_map(|p| p.summary(&entry.name));
        row.push(last.map_or_else(String::new, Summary::remark));
        grid.rows.push(row);
    }
    grid
}

fn chart(started: &[&Entry], point: &Point) -> Chart {
    let bars = started
        .iter()
        .filter_map(|entry| Some((entry.name.clone(), point.cost_ns(&entry.name)?)))
        .collect();
    Chart::Bars {
        title: format!(
            "submit: {} tokens outstanding, median with smallest and largest",
            thousands(point.outstanding as u64)
        ),
        unit: "ns a token",
        bars,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::serial::Serial;
    use crate::contenders::tokio_outside::TokioOutside;
    use crate::recorder::Record;

    #[test]
    fn every_token_is_run_once_in_every_window() {
        for outstanding in [1, 7, 20, 100] {
            let sample = repetition(&mut TokioOutside::start().unwrap(), outstanding, 20);
            assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
        }
    }

    #[test]
    fn costs_are_per_token() {
        let sample = repetition(&mut Serial, 10, 20);
        let record = Record {
            name: "serial".into(),
            samples: vec![SubmitSample {
                elapsed_s: 1e-6,
                ..sample
            }],
            dropped: vec![],
            stolen: 0,
            panic: None,
        };
        let point = Point {
            outstanding: 10,
            tokens: 20,
            found: vec![Summary::of(&record)],
        };
        let cost = point.median_ns("serial").unwrap();
        assert!((cost - 50.0).abs() < 1e-6, "{cost}");
    }

    #[test]
    fn the_bars_are_for_the_promised_points() {
        assert_eq!(bar("system", 10_000, "batch", "tokio_best"), Some(16.0));
        assert_eq!(bar("system", 1_000, "batch", "tokio_best"), None);
        assert_eq!(bar("mimalloc", 10_000, "batch", "tokio_best"), Some(9.0));
    }
}
