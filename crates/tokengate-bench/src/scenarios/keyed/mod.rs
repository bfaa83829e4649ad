//! `keyed`: what a token costs that adds to the state of its key, a cache line that it must have to itself.
//!
//! Keys are drawn beforehand: 10,000 of them evenly and by Zipf's law, then a single one, then by Zipf's law
//! with bodies of 5 µs. All tokens are submitted, then all results taken. Lost updates fail a contender, and
//! so does a token that overtakes an earlier one of its key, if the contender keeps order.

mod account;

use std::time::Duration;

pub(crate) use self::account::Additions;

use self::account::Account;
use crate::effort::Effort;
use crate::keyed::{self, Slot};
use crate::progress::Progress;
use crate::random::Random;
use crate::report::{Ratio, ScenarioReport};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::load::{self, Load};
use crate::scenarios::series::{self, Series};
use crate::scenarios::{OURS, TOKIO_MUTEX, best, skipped, started};
use crate::spin::Spin;
use crate::zipf::Zipf;

/// Keys, where there is more than one.
const KEYS: usize = 10_000;

/// Who takes part with a single key: the others say nothing about lanes there.
const HOT: [&str; 6] = [
    "serial",
    "tokio-mutex",
    "hash-channels",
    "tokengate",
    "tokengate-batch",
    "tokengate-mutex",
];

/// How keys are drawn, and how long bodies are.
struct Condition {
    key: &'static str,
    column: &'static str,
    keys: usize,
    skew: f64,
    body: Duration,
}

const UNIFORM: &str = "uniform";
const ZIPF: &str = "zipf_1_1";
const ONE_KEY: &str = "one_key";
const BODY_5US: &str = "zipf_1_0_body_5us";

const CONDITIONS: [Condition; 4] = [
    Condition {
        key: UNIFORM,
        column: "10,000 keys, even",
        keys: KEYS,
        skew: 0.0,
        body: Duration::ZERO,
    },
    Condition {
        key: ZIPF,
        column: "10,000 keys, Zipf 1.1",
        keys: KEYS,
        skew: 1.1,
        body: Duration::ZERO,
    },
    Condition {
        key: ONE_KEY,
        column: "1 key",
        keys: 1,
        skew: 0.0,
        body: Duration::ZERO,
    },
    Condition {
        key: BODY_5US,
        column: "10,000 keys, Zipf 1.0, bodies of 5 µs",
        keys: KEYS,
        skew: 1.0,
        body: Duration::from_micros(5),
    },
];

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let slots = keyed::slots(KEYS, |_| Account::default());
    let (mut running, absent) = roster::start_keyed(entries.iter().copied());
    let mut all = Vec::new();
    for condition in &CONDITIONS {
        let takes_part = |name: &str| condition.key != ONE_KEY || HOT.contains(&name);
        let additions = condition.draw(slots, effort);
        let records = load::measure(
            &mut running,
            takes_part,
            &additions,
            |contender, load| contender.keyed(load),
            effort,
            progress,
        );
        all.push(Series::of(
            condition.key.into(),
            condition.column.into(),
            additions.jobs().len(),
            &records,
        ));
    }
    report(entries, &all, absent)
}

impl Condition {
    /// Draws the tokens of a repetition; all contenders get the same.
    fn draw(&self, slots: &'static [Slot<Account>], effort: &Effort) -> Additions {
        let mut random = Random::new(7);
        let keys = Zipf::new(self.keys, self.skew, &mut random);
        let (tokens, spin) = if self.body.is_zero() {
            (effort.keyed, Spin::NONE)
        } else {
            (effort.keyed_with_bodies, Spin::taking(self.body))
        };
        Additions::draw(slots, &keys, tokens, spin, &mut random)
    }
}

fn report(entries: &[&Entry], all: &[Series], absent: Vec<Skipped>) -> ScenarioReport {
    let started = started(entries, &absent);
    let contenders = started
        .iter()
        .map(|entry| series::contender(&entry.name, all.iter()))
        .chain(absent.into_iter().map(skipped));
    let chart = |series: &Series| series.chart(format!("keyed: {}", series.column), &started);
    ScenarioReport {
        name: "keyed",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: ratios(all),
        limits: vec![],
        grids: vec![series::grid(
            "Nanoseconds a token that adds to the 64-byte state of its key; contenders that keep no order, \
             or have no handle a token, are no equals",
            &[series::ORDER, series::HANDLE],
            &started,
            all.iter(),
        )],
        charts: all.iter().map(chart).collect(),
    }
}

fn ratios(all: &[Series]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for series in all {
        let cost = |name: &str| series.median_ns(name);
        let peers = [
            ("tokio_mutex", best(cost, TOKIO_MUTEX)),
            ("hash_channels", cost("hash-channels")),
            ("free_routing", cost("tokengate-mutex")),
        ];
        for (form, ours) in OURS {
            for (peer, theirs) in peers {
                ratios.extend(cost(ours).zip(theirs).map(|(ours, theirs)| Ratio {
                    name: format!("{}_{form}_vs_{peer}", series.key),
                    value: theirs / ours,
                    bar: bar(&series.key, form, peer),
                }));
            }
        }
    }
    let batch = |key: &str| {
        let series = all.iter().find(|series| series.key == key)?;
        series.median_ns("tokengate-batch")
    };
    ratios.extend(batch(UNIFORM).zip(batch(ONE_KEY)).map(|(many, one)| Ratio {
        name: "one_key_batch_vs_many_keys".to_owned(),
        value: many / one,
        bar: Some(0.5),
    }));
    ratios
}

/// What we promise.
fn bar(condition: &str, form: &str, peer: &str) -> Option<f64> {
    match (condition, form, peer) {
        (UNIFORM | ZIPF, "one_by_one", "tokio_mutex") => Some(3.5),
        (UNIFORM | ZIPF, "batch", "tokio_mutex") => Some(5.0),
        (UNIFORM | ZIPF, _, "hash_channels") => Some(1.5),
        (BODY_5US, "one_by_one", "tokio_mutex") => Some(0.95),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_are_for_the_promised_conditions() {
        assert_eq!(bar(UNIFORM, "one_by_one", "tokio_mutex"), Some(3.5));
        assert_eq!(bar(ZIPF, "batch", "tokio_mutex"), Some(5.0));
        assert_eq!(bar(ONE_KEY, "batch", "tokio_mutex"), None);
        assert_eq!(bar(BODY_5US, "one_by_one", "tokio_mutex"), Some(0.95));
    }
}
