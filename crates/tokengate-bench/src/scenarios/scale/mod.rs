//! `scale`: what a token costs, in time and memory, with 1,000 to 10,000,000 outstanding.
//!
//! The time is that of [`cost`]. Memory is measured in a process of its own for each contender, so that
//! nothing that another one has left behind counts: this binary, started again.

pub(crate) mod resident;

use crate::allocator;
use crate::contender::Handles;
use crate::effort::Effort;
use crate::machine;
use crate::progress::Progress;
use crate::report::{
    Chart, ContenderReport, Grid, Limit, Ratio, ScenarioReport, Verdict, spread, thousands,
};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::cost::{self, Point};
use crate::scenarios::{OURS, TOKIO, best, put, skipped, started};
use crate::spread::Spread;

use resident::{Held, Reading};

/// Resident bytes of a token of ours, handle included.
const RESIDENT_LIMIT_BYTES: f64 = 176.0;

/// What each thread may keep of the cells of tokens that are gone.
const KEPT_LIMIT_MIB: f64 = 2.0;

/// Other forms of submitting the same tasks and tokens, which take the same memory.
const SAME_MEMORY: [&str; 2] = ["tokio-inside", "tokengate-batch"];

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let (mut running, absent) = roster::start(entries.iter().copied());
    let points = cost::measure(&mut running, &effort.scale, |_, _| true, effort, progress);
    drop(running);
    let started = started(entries, &absent);
    let memories = match effort.resident {
        None => Vec::new(),
        Some(tokens) => memories(&started, tokens, effort, progress),
    };
    report(&started, &points, &memories, absent)
}

/// Memory of one contender.
struct Memory {
    name: String,
    held: Held,
    tokens: usize,
    /// Empty where the system does not tell.
    readings: Vec<Reading>,
    /// Why there is no reading.
    fault: Option<String>,
}

/// Measures those that give a handle for each token, held and, if they can be told how many to hold,
/// unstarted.
fn memories(
    started: &[&Entry],
    tokens: usize,
    effort: &Effort,
    progress: &Progress,
) -> Vec<Memory> {
    let all = started
        .iter()
        .filter(|entry| entry.handles == Handles::Each && !SAME_MEMORY.contains(&&*entry.name))
        .flat_map(|entry| {
            let unstarted = entry.makes_room().then_some((*entry, Held::Unstarted));
            [(*entry, Held::Executed)].into_iter().chain(unstarted)
        });
    all.map(|(entry, held)| {
        progress.expect(effort.figure_repetitions);
        let mut memory = Memory {
            name: entry.name.clone(),
            held,
            tokens,
            readings: Vec::new(),
            fault: None,
        };
        for _ in 0..effort.figure_repetitions {
            progress.running(&entry.name);
            match resident::in_a_fresh_process(&entry.name, tokens, held) {
                Ok(reading) => memory.readings.extend(reading),
                Err(fault) => memory.fault = Some(fault),
            }
            progress.done();
        }
        memory
    })
    .collect()
}

impl Memory {
    fn per_token_bytes(&self) -> Option<Spread> {
        let tokens = self.tokens as f64;
        Spread::of(self.readings.iter().map(|r| r.held_growth_bytes() / tokens))
    }

    fn left_behind_bytes(&self) -> Option<Spread> {
        Spread::of(self.readings.iter().map(Reading::left_behind_bytes))
    }

    fn put_into(&self, report: &mut ContenderReport) {
        let name = self.held.name();
        if let Some(bytes) = self.per_token_bytes() {
            let key = format!("{name}_resident_per_token");
            put(&mut report.figures, &key, "bytes", bytes);
        }
        if let Some(bytes) = self.left_behind_bytes() {
            let key = format!("{name}_left_behind");
            put(&mut report.figures, &key, "bytes", bytes);
        }
        if let Some(fault) = &self.fault {
            report.verdict = Verdict::Failed(format!("memory, {name}: {fault}"));
        }
    }
}

fn report(
    started: &[&Entry],
    points: &[Point],
    memories: &[Memory],
    absent: Vec<Skipped>,
) -> ScenarioReport {
    let contenders = started.iter().map(|entry| {
        let mut report = cost::contender(&entry.name, points);
        let own = memories.iter().filter(|memory| memory.name == entry.name);
        own.for_each(|memory| memory.put_into(&mut report));
        report
    });
    let mut grids = vec![cost::grid(started, points)];
    if !memories.is_empty() {
        grids.push(memory_grid(memories));
    }
    ScenarioReport {
        name: "scale",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.chain(absent.into_iter().map(skipped)).collect(),
        ratios: points.iter().flat_map(ratios).collect(),
        limits: memories.iter().flat_map(limits).collect(),
        grids,
        charts: charts(started, points, memories),
    }
}

fn ratios(point: &Point) -> Vec<Ratio> {
    let ratio = |form: &str, ours: &str| {
        Some(Ratio {
            name: format!("at_{}_{form}_vs_tokio_best", point.outstanding),
            value: best(|name| point.series.median_ns(name), TOKIO)?
                / point.series.median_ns(ours)?,
            bar: bar(allocator::NAME, point.outstanding, form),
        })
    };
    OURS.into_iter()
        .filter_map(|(form, ours)| ratio(form, ours))
        .collect()
}

/// What we promise from 10,000 outstanding tokens on.
fn bar(allocator: &str, outstanding: usize, form: &str) -> Option<f64> {
    match form {
        _ if allocator != "system" || outstanding < 10_000 => None,
        "one_by_one" => Some(3.5),
        _ => Some(7.0),
    }
}

/// What we promise of our own memory.
fn limits(memory: &Memory) -> Vec<Limit> {
    if memory.name != OURS[0].1 {
        return Vec::new();
    }
    let name = memory.held.name();
    let threads = machine::workers() + 1;
    let resident = memory.per_token_bytes().map(|bytes| Limit {
        name: format!("{name}: resident a token, with its handle"),
        value: bytes.median,
        most: RESIDENT_LIMIT_BYTES,
        unit: "bytes",
    });
    let left = memory.left_behind_bytes().map(|bytes| Limit {
        name: format!("{name}: left when all are dropped, {threads} threads"),
        value: bytes.median / f64::from(1 << 20),
        most: KEPT_LIMIT_MIB * threads as f64,
        unit: "MiB",
    });
    resident.into_iter().chain(left).collect()
}

fn memory_grid(memories: &[Memory]) -> Grid {
    let mut grid = Grid::new(
        "Resident memory, each in a process of its own",
        &[
            "contender",
            "tokens held",
            "number",
            "bytes a token",
            "left behind, MiB",
        ],
    );
    for memory in memories {
        let mut row = vec![
            memory.name.clone(),
            memory.held.name().to_owned(),
            thousands(memory.tokens as u64),
        ];
        let mib = memory
            .left_behind_bytes()
            .map(|b| b.times(1.0 / 1_048_576.0));
        row.extend([memory.per_token_bytes(), mib].map(|figure| {
            let missing = || memory.fault.clone().unwrap_or_else(|| "-".to_owned());
            figure.map_or_else(missing, spread)
        }));
        grid.rows.push(row);
    }
    grid
}

fn charts(started: &[&Entry], points: &[Point], memories: &[Memory]) -> Vec<Chart> {
    let line = |entry: &&Entry| {
        let at = |point: &Point| {
            Some((
                point.outstanding as f64,
                point.series.median_ns(&entry.name)?,
            ))
        };
        (entry.name.clone(), points.iter().filter_map(at).collect())
    };
    let mut charts = vec![Chart::Lines {
        title: "scale: cost of a token".into(),
        x: "tokens outstanding",
        y: "ns a token",
        lines: started.iter().map(line).collect(),
    }];
    let bar = |memory: &Memory| {
        let name = format!("{}, {}", memory.name, memory.held.name());
        Some((name, memory.per_token_bytes()?))
    };
    let bars: Vec<_> = memories.iter().filter_map(bar).collect();
    if !bars.is_empty() {
        charts.push(Chart::Bars {
            title: "scale: resident memory of a token with its handle".into(),
            unit: "bytes",
            bars,
        });
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(name: &str) -> Memory {
        Memory {
            name: name.into(),
            held: Held::Executed,
            tokens: 10,
            readings: vec![Reading {
                start_bytes: 1_000,
                held_bytes: 2_770,
                dropped_bytes: 900,
            }],
            fault: None,
        }
    }

    #[test]
    fn memory_is_what_grew_over_the_tokens() {
        let ours = memory("tokengate");
        assert_eq!(ours.per_token_bytes().unwrap().median, 177.0);
        assert_eq!(ours.left_behind_bytes().unwrap().median, 0.0);
        let limits = limits(&ours);
        assert!(limits[0].judgement().ends_with("missed"));
        assert!(limits[1].judgement().ends_with("met"));
    }

    #[test]
    fn limits_are_for_ours_alone() {
        assert!(limits(&memory("tokio")).is_empty());
    }

    #[test]
    fn a_process_that_fails_makes_its_contender_fail() {
        let mut broken = memory("tokio");
        broken.fault = Some("exit status 1".into());
        let mut report = cost::contender("tokio", &[]);
        broken.put_into(&mut report);
        assert!(matches!(&report.verdict, Verdict::Failed(why) if why.contains("exit status 1")));
    }

    #[test]
    fn the_bars_begin_at_ten_thousand() {
        assert_eq!(bar("system", 1_000, "batch"), None);
        assert_eq!(bar("system", 10_000, "batch"), Some(7.0));
        assert_eq!(bar("system", 10_000_000, "one_by_one"), Some(3.5));
        assert_eq!(bar("mimalloc", 10_000, "batch"), None);
    }
}
