//! `locality`: tokens that go through the whole state of their key, which is as large as caches are.
//!
//! Keys are drawn evenly beforehand. Each token reads and writes every cache line of its key's state, in
//! sequence or by a chase of pointers. Where a key stays with a core its state stays in that core's cache;
//! where any worker may take the token, the lines wander.

mod region;

pub(crate) use self::region::Visits;

use self::region::{Access, Region};
use crate::effort::Effort;
use crate::keyed;
use crate::progress::Progress;
use crate::random::Random;
use crate::report::{Ratio, ScenarioReport};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::load::{self, Load};
use crate::scenarios::series::{self, Series};
use crate::scenarios::{TOKIO_MUTEX, best, skipped, started};

/// Visits of a key in one repetition, at least: the first one finds the state in another's cache.
const VISITS: usize = 8;

/// A sweep visits so many times the lines of a chase: it is so much faster, or more.
const SWEEP: usize = 4;

/// One condition: the size of a state, the number of keys, and the way through the state.
struct Condition {
    state_kib: usize,
    keys: usize,
    access: Access,
}

impl Condition {
    fn key(&self) -> String {
        let access = match self.access {
            Access::Sequence => "sequence",
            Access::Chase => "chase",
        };
        format!("{access}_{}kib_x_{}", self.state_kib, self.keys)
    }

    fn column(&self) -> String {
        let access = match self.access {
            Access::Sequence => "in sequence",
            Access::Chase => "chased",
        };
        format!("{} KiB x {}, {access}", self.state_kib, self.keys)
    }

    /// Tokens of a repetition that is to chase through so many lines.
    fn tokens(&self, chased_lines: usize) -> usize {
        let lines = match self.access {
            Access::Sequence => SWEEP * chased_lines,
            Access::Chase => chased_lines,
        };
        let lines_of_state = (self.state_kib << 10) / region::LINE;
        (lines / lines_of_state).max(VISITS * self.keys)
    }
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let (mut running, absent) = roster::start_keyed(entries.iter().copied());
    let mut all = Vec::new();
    for &(state_kib, keys) in &effort.states {
        let mut random = Random::new(11);
        let slots = keyed::slots(keys, |_| Region::new(state_kib << 10, &mut random));
        for access in [Access::Sequence, Access::Chase] {
            let condition = Condition {
                state_kib,
                keys,
                access,
            };
            let tokens = condition.tokens(effort.chased_lines);
            let visits = Visits::draw(slots, access, tokens, &mut random);
            let records = load::measure(
                &mut running,
                |_| true,
                &visits,
                |contender, load| contender.locality(load),
                effort,
                progress,
            );
            let series = Series::of(
                condition.key(),
                condition.column(),
                visits.jobs().len(),
                &records,
            );
            all.push((condition, series));
        }
    }
    report(entries, &all, absent)
}

fn report(entries: &[&Entry], all: &[(Condition, Series)], absent: Vec<Skipped>) -> ScenarioReport {
    let started = started(entries, &absent);
    let series = || all.iter().map(|(_, series)| series);
    let contenders = started
        .iter()
        .map(|entry| series::contender(&entry.name, series()))
        .chain(absent.into_iter().map(skipped));
    let chart = |series: &Series| series.chart(format!("locality: {}", series.column), &started);
    let grid = |access: Access, title: &str| {
        let of_access = all.iter().filter(move |(c, _)| c.access == access);
        let of_access = of_access.map(|(_, series)| series);
        series::grid(title, &[series::ORDER], &started, of_access)
    };
    ScenarioReport {
        name: "locality",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: all
            .iter()
            .flat_map(|(c, series)| ratios(c, series))
            .collect(),
        limits: vec![],
        grids: vec![
            grid(
                Access::Sequence,
                "Nanoseconds a token that goes through its key's state in sequence, by size of the states",
            ),
            grid(
                Access::Chase,
                "Nanoseconds a token that chases pointers through its key's state, by size of the states",
            ),
        ],
        charts: series().map(chart).collect(),
    }
}

/// Of single calls; the larger a state, the less it matters how its tokens are submitted.
fn ratios(condition: &Condition, series: &Series) -> Vec<Ratio> {
    let cost = |name: &str| series.median_ns(name);
    let peers = [
        ("tokio_mutex", best(cost, TOKIO_MUTEX)),
        ("rayon_mutex", cost("rayon-mutex")),
        ("hash_channels", cost("hash-channels")),
        ("free_routing", cost("tokengate-mutex")),
    ];
    let ours = cost("tokengate");
    let ratio = |(peer, theirs): (&str, Option<f64>)| {
        let (ours, theirs) = ours.zip(theirs)?;
        Some(Ratio {
            name: format!("{}_vs_{peer}", series.key),
            value: theirs / ours,
            bar: bar(condition, peer),
        })
    };
    peers.into_iter().filter_map(ratio).collect()
}

/// What we promise.
fn bar(condition: &Condition, peer: &str) -> Option<f64> {
    let Condition {
        state_kib,
        keys,
        access,
    } = *condition;
    let fits = (state_kib, keys) == (256, 6);
    match (access, peer) {
        (_, "free_routing") if state_kib * keys <= 4 << 10 => Some(0.97),
        (_, "free_routing") if state_kib * keys == 16 << 10 => Some(0.9),
        (Access::Chase, "tokio_mutex" | "rayon_mutex") if fits => Some(4.0),
        (Access::Chase, "hash_channels") if fits => Some(0.95),
        (Access::Sequence, "tokio_mutex") if fits => Some(1.9),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(state_kib: usize, keys: usize, access: Access) -> Condition {
        Condition {
            state_kib,
            keys,
            access,
        }
    }

    #[test]
    fn the_bars_are_for_the_promised_conditions() {
        let fits = condition(256, 6, Access::Chase);
        assert_eq!(bar(&fits, "rayon_mutex"), Some(4.0));
        assert_eq!(bar(&fits, "free_routing"), Some(0.97));
        let large = condition(256, 64, Access::Chase);
        assert_eq!(bar(&large, "free_routing"), Some(0.9));
        assert_eq!(bar(&large, "tokio_mutex"), None);
    }

    #[test]
    fn every_key_is_visited_more_than_once() {
        assert_eq!(condition(256, 6, Access::Chase).tokens(1 << 20), 256);
        assert_eq!(condition(256, 64, Access::Chase).tokens(1 << 20), 512);
        assert_eq!(condition(32, 48, Access::Chase).key(), "chase_32kib_x_48");
    }
}
