//! Flight legs as they come: one token for each row, and any order will do.
//!
//! A token's result is the SHA-256 of its row; all results are XORed, and three columns are summed
//! beside. A lost, doubled or torn token changes the outcome.

use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::legs::{Leg, Table};
use crate::contender::{Contender, Job};
use crate::contenders::serial::Serial;
use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::{Chart, Grid, Ratio, Verdict, spread, thousands};
use crate::roster::Running;
use crate::scenarios::{OURS, Sample, Summary, put};
use crate::spread::Spread;
use crate::tally::Tally;

/// What all legs come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Outcome {
    xor: [u8; 32],
    dep_delay_min: i64,
    arr_delay_min: i64,
    distance_mi: i64,
}

/// What the built-in data comes to, computed once with another program.
const REFERENCE: Outcome = Outcome {
    xor: [
        0x7c, 0xe1, 0x1e, 0xb8, 0xf7, 0xf8, 0xbb, 0xa7, 0x58, 0x96, 0x49, 0x02, 0xcf, 0x97, 0x96,
        0x88, 0x71, 0x68, 0xa4, 0x14, 0x6e, 0xe0, 0x21, 0x58, 0x60, 0xac, 0x34, 0x44, 0x1f, 0xd0,
        0x6e, 0x27,
    ],
    dep_delay_min: 892_053,
    arr_delay_min: 456_391,
    distance_mi: 81_343_950,
};

/// One row's token.
struct HashRow(&'static Leg);

/// One row's result.
struct Hashed {
    digest: [u8; 32],
    leg: &'static Leg,
}

impl Job for HashRow {
    type Output = Hashed;

    fn run(self) -> Hashed {
        Hashed {
            digest: Sha256::digest(self.0.row).into(),
            leg: self.0,
        }
    }
}

impl Outcome {
    fn add(&mut self, hashed: &Hashed) {
        for (sum, byte) in self.xor.iter_mut().zip(hashed.digest) {
            *sum ^= byte;
        }
        self.dep_delay_min += i64::from(hashed.leg.dep_delay_min);
        self.arr_delay_min += i64::from(hashed.leg.arr_delay_min);
        self.distance_mi += i64::from(hashed.leg.distance_mi);
    }

    fn show(&self) -> String {
        format!(
            "{} (delays {} and {} min, distance {} mi)",
            self.hex(),
            self.dep_delay_min,
            self.arr_delay_min,
            self.distance_mi
        )
    }

    fn hex(&self) -> String {
        self.xor.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One repetition over all legs.
pub(crate) struct FlightSample {
    elapsed_s: f64,
    outcome: Outcome,
    tally: Tally,
}

impl Sample for FlightSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Runs a token for each leg on a contender.
pub(crate) fn repetition<C: Contender>(contender: &mut C, legs: &'static [Leg]) -> FlightSample {
    let mut tally = Tally::expecting(legs.len());
    let mut outcome = Outcome::default();
    let started = Instant::now();
    contender.run(legs.iter().map(HashRow), |result| {
        if let Some(hashed) = tally.count(result) {
            outcome.add(&hashed);
        }
    });
    FlightSample {
        elapsed_s: started.elapsed().as_secs_f64(),
        outcome,
        tally,
    }
}

/// What all contenders took for all rows.
pub(super) struct Rows {
    legs: usize,
    expected: Outcome,
    found: Vec<Summary>,
}

/// Measures what runs.
pub(super) fn measure(
    running: &mut [Running],
    table: &Table,
    effort: &Effort,
    progress: &Progress,
) -> Rows {
    let legs = table.legs;
    let expected = if table.is_built_in {
        REFERENCE
    } else {
        // Nobody knows what another file comes to: the serial loop says it.
        repetition(&mut Serial, legs).outcome
    };
    let entrants = running.iter_mut().map(|running| {
        Entrant::new(&running.name, || {
            let mut sample = running.contender.flights(legs);
            sample
                .tally
                .check(&sample.outcome, &expected, Outcome::show);
            sample
        })
    });
    let records = record(entrants.collect(), effort.repetitions, effort, progress);
    Rows {
        legs: legs.len(),
        expected,
        found: records.iter().map(Summary::of).collect(),
    }
}

impl Rows {
    /// The figures of one contender and how it came through; `None` if it did not take part.
    pub(super) fn contender(&self, name: &str) -> Option<(Map<String, Value>, Verdict)> {
        let found = self.found.iter().find(|found| found.name == name)?;
        let mut figures = found.basis();
        if let Some(elapsed) = found.elapsed_s {
            put(&mut figures, "elapsed", "s", elapsed);
            let rate = self.legs as f64 / elapsed.median;
            figures.insert("throughput_per_s".into(), json!(rate));
        }
        Some((figures, found.verdict.clone()))
    }

    /// Shown without a bar: the promise for this data is about keys.
    pub(super) fn ratios(&self) -> Vec<Ratio> {
        ratios(&self.found)
    }

    pub(super) fn grid(&self) -> Grid {
        grid(&self.found, self.legs, &self.expected)
    }

    pub(super) fn chart(&self) -> Chart {
        Chart::Bars {
            title: "flights: all legs, median with smallest and largest".into(),
            unit: "elapsed ms",
            bars: self.found.iter().filter_map(bar).collect(),
        }
    }
}

fn bar(found: &Summary) -> Option<(String, Spread)> {
    Some((found.name.clone(), found.elapsed_s?.times(1e3)))
}

fn ratios(found: &[Summary]) -> Vec<Ratio> {
    let elapsed = |name: &str| {
        let found = found.iter().find(|found| found.name == name)?;
        Some(found.elapsed_s?.median)
    };
    let peers = [
        ("serial", "serial"),
        ("static_split", "static-split"),
        ("tokio", "tokio"),
    ];
    let mut ratios = Vec::new();
    for (form, ours) in OURS {
        for (short, peer) in peers {
            let values = elapsed(ours).zip(elapsed(peer));
            ratios.extend(values.map(|(ours, peer)| Ratio {
                name: format!("{form}_vs_{short}"),
                value: peer / ours,
                bar: None,
            }));
        }
    }
    ratios
}

fn grid(found: &[Summary], legs: usize, expected: &Outcome) -> Grid {
    let mut grid = Grid::new(
        &format!("A token a row; expected {}", expected.show()),
        &["contender", "elapsed ms", "tokens/s", "results"],
    );
    for found in found {
        let mut row = vec![found.name.clone()];
        match found.elapsed_s {
            Some(elapsed) => row.extend([
                spread(elapsed.times(1e3)),
                thousands((legs as f64 / elapsed.median) as u64),
            ]),
            None => row.extend(["-"; 2].map(str::to_owned)),
        }
        row.push(found.remark());
        grid.rows.push(row);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::rayon_spawn::RayonSpawn;
    use crate::scenarios::flights::legs;

    #[test]
    fn the_built_in_data_comes_to_the_reference() {
        let legs = legs::read(None).unwrap().legs;
        assert_eq!(legs.len(), 80_789);
        assert_eq!(repetition(&mut Serial, legs).outcome, REFERENCE);
    }

    #[test]
    fn a_lost_token_changes_the_digest() {
        let legs = &legs::read(None).unwrap().legs[..100];
        let all = repetition(&mut RayonSpawn::start().unwrap(), legs).outcome;
        let fewer = repetition(&mut Serial, &legs[1..]).outcome;
        assert_ne!(all, fewer);
        assert_eq!(all, repetition(&mut Serial, legs).outcome);
    }
}
