//! What an empty token costs, by how many are outstanding: nanoseconds a token, elapsed time over tokens.
//!
//! The scenarios `submit` and `scale` measure with it. A contender submits as many tokens as may be
//! outstanding, takes all their results, and begins again until all tokens have run. It judges nothing:
//! ratios and bars are the scenarios'.

use std::hint::black_box;
use std::time::Instant;

use crate::contender::{Contender, Job};
use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::{ContenderReport, Grid, thousands};
use crate::roster::{Entry, Running};
use crate::scenarios::series::{self, Series};
use crate::scenarios::{Sample, retire};
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
    pub(super) series: Series,
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
        let key = format!("at_{outstanding}");
        let column = format!("{} outstanding", thousands(outstanding as u64));
        points.push(Point {
            outstanding,
            series: Series::of(key, column, tokens, &records),
        });
    }
    points
}

/// The figures of one contender at all points.
pub(super) fn contender(name: &str, points: &[Point]) -> ContenderReport {
    series::contender(name, points.iter().map(|point| &point.series))
}

/// The cost of each contender at each point.
pub(super) fn grid(started: &[&Entry], points: &[Point]) -> Grid {
    series::grid(
        "Nanoseconds a token by tokens outstanding; contenders without a handle a token are no equals",
        &[series::HANDLE],
        started,
        points.iter().map(|point| &point.series),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::tokio_outside::TokioOutside;

    #[test]
    fn every_token_is_run_once_in_every_window() {
        for outstanding in [1, 7, 20, 100] {
            let sample = repetition(&mut TokioOutside::start().unwrap(), outstanding, 20);
            assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
        }
    }
}
