//! What an empty token costs, by how many are outstanding: nanoseconds a token, elapsed time over tokens.
//!
//! The scenarios `submit` and `scale` measure with it. A contender submits as many tokens as may be
//! outstanding, takes all their results, and begins again until all tokens have run. It judges nothing:
//! ratios and bars are the scenarios'.

use std::hint::black_box;
use std::time::Instant;

use serde_json::Map;

use crate::contender::{Contender, Handles, Job};
use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::{ContenderReport, Grid, Verdict, spread, thousands};
use crate::roster::{Entry, Running};
use crate::scenarios::{Sample, Summary, put, retire};
use crate::spread::Spread;
use crate::tally::Tally;

/// From so many outstanding on a repetition takes seconds.
const LARGE: usize = 5_000_000;

/// Repetitions with so many outstanding, at most.
const LARGE_REPETITIONS: usize = 7;

/// A token that does nothing but give its number back.
pub(super) struct Empty(pub(super) u64);

impl Job for Empty {
    type Output = u64;

    #[inline]
    fn run(self) -> u64 {
        // Otherwise a loop of empty bodies is nothing at all.
        black_box(self.0)
    }
}

/// One repetition with one number of outstanding tokens.
pub(crate) struct CostSample {
    elapsed_s: f64,
    tally: Tally,
}

impl Sample for CostSample {
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
) -> CostSample {
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
    CostSample { elapsed_s, tally }
}

/// All contenders with one number of outstanding tokens.
pub(super) struct Point {
    pub(super) outstanding: usize,
    pub(super) tokens: usize,
    pub(super) found: Vec<Summary>,
}

impl Point {
    fn summary(&self, name: &str) -> Option<&Summary> {
        self.found.iter().find(|found| found.name == name)
    }

    /// Nanoseconds a token.
    pub(super) fn cost_ns(&self, name: &str) -> Option<Spread> {
        let elapsed_s = self.summary(name)?.elapsed_s?;
        Some(elapsed_s.times(1e9 / self.tokens as f64))
    }

    pub(super) fn median_ns(&self, name: &str) -> Option<f64> {
        Some(self.cost_ns(name)?.median)
    }
}

/// Measures what runs at each size, which is a number of outstanding tokens and one of tokens in all.
///
/// `takes_part` tells whether a contender is measured with so many outstanding.
pub(super) fn measure(
    running: &mut Vec<Running>,
    sizes: &[(usize, usize)],
    takes_part: impl Fn(&str, usize) -> bool,
    effort: &Effort,
    progress: &Progress,
) -> Vec<Point> {
    let mut points = Vec::new();
    for &(outstanding, tokens) in sizes {
        let repetitions = if outstanding >= LARGE {
            effort.repetitions.min(LARGE_REPETITIONS)
        } else {
            effort.repetitions
        };
        let taking_part = running
            .iter_mut()
            .filter(|running| takes_part(&running.name, outstanding));
        let entrants = taking_part.map(|running| {
            let contender = &mut running.contender;
            Entrant::new(&running.name, || contender.submit(outstanding, tokens))
        });
        let records = record(entrants.collect(), repetitions, effort, progress);
        retire(running, &records);
        points.push(Point {
            outstanding,
            tokens,
            found: records.iter().map(Summary::of).collect(),
        });
    }
    points
}

/// The figures of one contender at all points.
pub(super) fn contender(name: &str, points: &[Point]) -> ContenderReport {
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
        verdict: Verdict::worst(
            points
                .iter()
                .filter_map(|point| Some(&point.summary(name)?.verdict)),
        ),
    }
}

/// The cost of each contender at each point.
pub(super) fn grid(started: &[&Entry], points: &[Point]) -> Grid {
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
            samples: vec![CostSample {
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
}
