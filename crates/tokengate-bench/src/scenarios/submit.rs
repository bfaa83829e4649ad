//! `submit`: what an empty token costs, each result taken through its own token.
//!
//! The cost comes from [`cost`]; this file says with how many tokens outstanding it is promised, and
//! against whom.

use crate::allocator;
use crate::contender::Handles;
use crate::effort::{Effort, Peers};
use crate::progress::Progress;
use crate::report::{Chart, Ratio, ScenarioReport, thousands};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::cost::{self, Point};
use crate::scenarios::{OURS, TOKIO, best, skipped, started};

/// Take microseconds a token when a million are outstanding: one on the way, one for its 512 threads.
const SLOW: [&str; 2] = ["tokio-spawn-pinned", "tokio-spawn-blocking"];

/// We promise nothing beside these when a million are outstanding.
const WITHOUT_A_PROMISE: [&str; 4] = [
    "rayon-spawn",
    "threadpool",
    "async-executor",
    "bounded-channel",
];

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let (mut running, absent) = roster::start(entries.iter().copied());
    let in_time = |name: &str, outstanding| {
        let left_out = match effort.peers {
            _ if outstanding < 100_000 => false,
            Peers::Promised => SLOW.contains(&name) || WITHOUT_A_PROMISE.contains(&name),
            Peers::InTime => SLOW.contains(&name),
            Peers::All => false,
        };
        !left_out
    };
    let points = cost::measure(&mut running, &effort.outstanding, in_time, effort, progress);
    report(entries, &points, absent)
}

fn report(entries: &[&Entry], points: &[Point], absent: Vec<Skipped>) -> ScenarioReport {
    let started = started(entries, &absent);
    let contenders = started
        .iter()
        .map(|entry| cost::contender(&entry.name, points))
        .chain(absent.into_iter().map(skipped));
    ScenarioReport {
        name: "submit",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: points.iter().flat_map(|p| ratios(&started, p)).collect(),
        limits: vec![],
        grids: vec![cost::grid(&started, points)],
        charts: points.iter().map(|point| chart(&started, point)).collect(),
    }
}

fn ratios(started: &[&Entry], point: &Point) -> Vec<Ratio> {
    let with_handle = started
        .iter()
        .filter(|entry| entry.handles == Handles::Each && !entry.name.starts_with("tokengate"))
        .map(|entry| entry.name.as_str());
    let cost = |name: &str| point.series.median_ns(name);
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

fn chart(started: &[&Entry], point: &Point) -> Chart {
    let title = format!(
        "submit: {} tokens outstanding, median with smallest and largest",
        thousands(point.outstanding as u64)
    );
    point.series.chart(title, started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_are_for_the_promised_points() {
        assert_eq!(bar("system", 10_000, "batch", "tokio_best"), Some(16.0));
        assert_eq!(bar("system", 1_000, "batch", "tokio_best"), None);
        assert_eq!(bar("mimalloc", 10_000, "batch", "tokio_best"), Some(9.0));
    }
}
