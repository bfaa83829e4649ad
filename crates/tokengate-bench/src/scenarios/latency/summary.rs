//! What the round trips come to: quantiles and CPU time by contender and rest, ratios, limits.
//!
//! The scenario calls it when everything is measured. Ratios are formed against rayon's `spawn`, which wakes
//! a thread and is woken as we do.

use serde_json::{Map, json};

use super::idle::Idle;
use super::{LatencySample, OURS};
use crate::recorder::Record;
use crate::report::{Chart, ContenderReport, Grid, Limit, Ratio, ScenarioReport, Verdict};
use crate::roster::{Entry, Skipped};
use crate::scenarios::{Summary, put, skipped, started};
use crate::spread::Spread;

/// Whose latency and CPU time ours are held against.
const PEER: &str = "rayon-spawn";

/// Ours may take so many times the peer's p50 and p99.
const TIMES_LATENCY: f64 = 1.1;

/// Ours may take so many times the peer's CPU time.
const TIMES_CPU: f64 = 1.5;

/// A child and its result, from inside a body, at p50.
const CHILD_LIMIT_NS: f64 = 150.0;

/// Idle workers take nothing: what is less than this is shown as 0.0 %.
const IDLE_LIMIT_PERCENT: f64 = 0.05;

/// All contenders with one rest of the caller, or with children.
pub(super) struct Series {
    /// How the keys of its figures begin.
    key: String,
    title: String,
    /// Whether ours is held against the peer here.
    compared: bool,
    found: Vec<Found>,
}

/// One contender in one series.
struct Found {
    summary: Summary,
    p50_ns: Option<Spread>,
    p99_ns: Option<Spread>,
    p99_9_ns: Option<Spread>,
    cpu_per_token_ns: Option<Spread>,
    rest_p50_ns: Option<Spread>,
}

impl Found {
    fn of(record: &Record<LatencySample>) -> Self {
        let of = |figure: fn(&LatencySample) -> f64| Spread::of(record.samples.iter().map(figure));
        let rests = record
            .samples
            .iter()
            .filter_map(|sample| sample.rest_p50_ns);
        Self {
            summary: Summary::of(record),
            p50_ns: of(|sample| sample.p50_ns as f64),
            p99_ns: of(|sample| sample.p99_ns as f64),
            p99_9_ns: of(|sample| sample.p99_9_ns as f64),
            cpu_per_token_ns: Spread::of(record.samples.iter().filter_map(|s| s.cpu_per_token_ns)),
            rest_p50_ns: Spread::of(rests.map(|rest_ns| rest_ns as f64)),
        }
    }

    /// The figures with the ends of their keys.
    fn figures(&self) -> [(&'static str, Option<Spread>); 5] {
        [
            ("p50", self.p50_ns),
            ("p99", self.p99_ns),
            ("p99_9", self.p99_9_ns),
            ("cpu_per_token", self.cpu_per_token_ns),
            ("rest_p50", self.rest_p50_ns),
        ]
    }
}

impl Series {
    /// Round trips after one rest of the caller.
    pub(super) fn of_rest(rest_us: u64, records: &[Record<LatencySample>]) -> Self {
        Self {
            key: format!("gap_{rest_us}us"),
            title: match rest_us {
                0 => "One token and back, back to back".to_owned(),
                _ => format!("One token and back, after the caller has rested for {rest_us} µs"),
            },
            compared: true,
            found: records.iter().map(Found::of).collect(),
        }
    }

    /// Children and their results, from inside a body.
    pub(super) fn of_children(records: &[Record<LatencySample>]) -> Self {
        Self {
            key: "child".to_owned(),
            title: "A child and its result on the same worker, from inside a body".to_owned(),
            compared: false,
            found: records.iter().map(Found::of).collect(),
        }
    }

    fn found(&self, name: &str) -> Option<&Found> {
        self.found.iter().find(|found| found.summary.name == name)
    }

    fn ratios(&self) -> Vec<Ratio> {
        let (Some(ours), Some(theirs), true) = (self.found(OURS), self.found(PEER), self.compared)
        else {
            return Vec::new();
        };
        let pairs = [
            ("p50", ours.p50_ns, theirs.p50_ns, TIMES_LATENCY),
            ("p99", ours.p99_ns, theirs.p99_ns, TIMES_LATENCY),
            (
                "cpu",
                ours.cpu_per_token_ns,
                theirs.cpu_per_token_ns,
                TIMES_CPU,
            ),
        ];
        pairs
            .into_iter()
            .filter_map(|(figure, ours, theirs, times)| {
                Some(Ratio {
                    name: format!("{}_{figure}_vs_rayon_spawn", self.key),
                    value: theirs?.median / ours?.median,
                    bar: Some(1.0 / times),
                })
            })
            .collect()
    }

    fn grid(&self) -> Grid {
        let mut grid = Grid::new(
            &format!("{}; µs, medians of repetitions", self.title),
            &[
                "contender",
                "p50",
                "p99",
                "p99.9",
                "CPU time a token",
                "rest",
                "results",
            ],
        );
        for found in &self.found {
            let mut row = vec![found.summary.name.clone()];
            row.extend(found.figures().map(|(_, figure)| {
                figure.map_or_else(
                    || "-".to_owned(),
                    |figure| format!("{:.2}", figure.median * 1e-3),
                )
            }));
            row.push(found.summary.remark());
            grid.rows.push(row);
        }
        grid
    }

    fn chart(&self) -> Chart {
        let bar = |found: &Found| Some((found.summary.name.clone(), found.p50_ns?.times(1e-3)));
        Chart::Bars {
            title: self.title.clone(),
            unit: "µs at p50, median with smallest and largest",
            bars: self.found.iter().filter_map(bar).collect(),
        }
    }
}

/// The report of the scenario.
pub(super) fn report(
    entries: &[&Entry],
    all: &[Series],
    idle: &[Idle],
    absent: Vec<Skipped>,
) -> ScenarioReport {
    let contenders = started(entries, &absent)
        .into_iter()
        .map(|entry| contender(&entry.name, all, idle))
        .chain(absent.into_iter().map(skipped));
    ScenarioReport {
        name: "latency",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: all.iter().flat_map(Series::ratios).collect(),
        limits: limits(all, idle),
        grids: all.iter().map(Series::grid).collect(),
        charts: all.iter().map(Series::chart).collect(),
    }
}

fn contender(name: &str, all: &[Series], idle: &[Idle]) -> ContenderReport {
    let mut figures = Map::new();
    for series in all {
        let Some(found) = series.found(name) else {
            continue;
        };
        for (figure, values) in found.figures() {
            if let Some(values) = values {
                put(
                    &mut figures,
                    &format!("{}_{figure}", series.key),
                    "ns",
                    values,
                );
            }
        }
        let basis = found.summary.basis().into_iter();
        figures.extend(basis.map(|(key, value)| (format!("{}_{key}", series.key), value)));
    }
    if name == OURS {
        for idle in idle {
            let key = format!("idle_{}_workers_cpu_percent", idle.workers);
            figures.insert(key, json!(idle.cpu_percent));
        }
    }
    ContenderReport {
        name: name.to_owned(),
        figures,
        verdict: Verdict::worst(
            all.iter()
                .filter_map(|series| Some(&series.found(name)?.summary.verdict)),
        ),
    }
}

fn limits(all: &[Series], idle: &[Idle]) -> Vec<Limit> {
    let child = all.iter().find(|series| !series.compared);
    let child = child.and_then(|series| series.found(OURS)?.p50_ns);
    let child = child.map(|p50_ns| Limit {
        name: "child and back, p50".to_owned(),
        value: p50_ns.median,
        most: CHILD_LIMIT_NS,
        unit: "ns",
    });
    let idle = idle.iter().map(|idle| Limit {
        name: format!("CPU time of idle workers, {} of them", idle.workers),
        value: idle.cpu_percent,
        most: IDLE_LIMIT_PERCENT,
        unit: "%",
    });
    child.into_iter().chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn record(name: &str, latency_ns: u64) -> Record<LatencySample> {
        Record {
            name: name.into(),
            samples: vec![LatencySample::of(
                vec![latency_ns; 3],
                vec![],
                None,
                Tally::default(),
            )],
            dropped: vec![],
            stolen: 0,
            panic: None,
        }
    }

    #[test]
    fn twice_the_peer_s_latency_is_a_ratio_of_a_half() {
        let series = Series::of_rest(20, &[record(OURS, 200), record(PEER, 100)]);
        let ratios = series.ratios();
        assert_eq!(ratios[0].name, "gap_20us_p50_vs_rayon_spawn");
        assert_eq!(ratios[0].value, 0.5);
        assert!(ratios[0].judgement().ends_with("missed"));
        // Without CPU time there is no third one.
        assert_eq!(ratios.len(), 2);
    }

    #[test]
    fn children_have_a_limit_and_no_peer() {
        let series = Series::of_children(&[record(OURS, 140), record(PEER, 100)]);
        assert!(series.ratios().is_empty());
        let limits = limits(&[series], &[]);
        assert_eq!(limits[0].judgement(), "<= 150.00 ns, met");
    }

    #[test]
    fn idle_workers_are_figures_of_ours_alone() {
        let idle = [Idle {
            workers: 64,
            cpu_percent: 0.01,
        }];
        let of = |name| contender(name, &[], &idle).figures;
        assert_eq!(of(OURS)["idle_64_workers_cpu_percent"], json!(0.01));
        assert!(of(PEER).is_empty());
    }
}
