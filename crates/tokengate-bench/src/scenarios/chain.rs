//! `chain`: what a child costs that a lead creates and takes the result of, leads included.
//!
//! 100,000 leads with four empty children each: all leads are submitted, then the results of all are taken.
//! The unit is the child, so that the figure of an executor holds the fifth task of each lead too.

use std::time::Instant;

use crate::contenders::chain::{CHILDREN, Chains};
use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::{Ratio, ScenarioReport, thousands};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::series::{self, Series};
use crate::scenarios::{Sample, TOKIO, best, skipped, started};
use crate::tally::Tally;

/// Our forms, as the ratios and as the roster name them.
const FORMS: [(&str, &str); 3] = [
    ("one_by_one", "tokengate"),
    ("batch", "tokengate-batch"),
    ("async", "tokengate-async"),
];

/// One repetition.
struct ChainSample {
    elapsed_s: f64,
    tally: Tally,
}

impl Sample for ChainSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Runs so many leads on a contender.
fn repetition(contender: &mut dyn Chains, leads: usize) -> ChainSample {
    let mut tally = Tally::expecting(leads);
    let mut sum = 0_u64;
    let started = Instant::now();
    contender.run_chains(leads as u64, &mut |outcome| {
        sum = sum.wrapping_add(tally.count(outcome).unwrap_or(0));
    });
    let elapsed_s = started.elapsed().as_secs_f64();
    let expected = (0..(leads * CHILDREN) as u64).sum();
    tally.check(&sum, &expected, u64::to_string);
    ChainSample { elapsed_s, tally }
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let (mut running, absent) = roster::start_chains(entries.iter().copied());
    let entrants = running.iter_mut().map(|running| {
        let contender = &mut *running.contender;
        Entrant::new(&running.name, || repetition(contender, effort.leads))
    });
    let records = record(entrants.collect(), effort.repetitions, effort, progress);
    let children = effort.leads * CHILDREN;
    let column = format!("{} leads", thousands(effort.leads as u64));
    let series = Series::of("child".into(), column, children, &records);
    report(entries, &series, absent)
}

fn report(entries: &[&Entry], series: &Series, absent: Vec<Skipped>) -> ScenarioReport {
    let started = started(entries, &absent);
    let contenders = started
        .iter()
        .map(|entry| series::contender(&entry.name, [series].into_iter()))
        .chain(absent.into_iter().map(skipped));
    ScenarioReport {
        name: "chain",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: ratios(series),
        limits: vec![],
        grids: vec![series::grid(
            "Nanoseconds a child, with four children a lead, leads included",
            &[],
            &started,
            [series].into_iter(),
        )],
        charts: vec![series.chart("chain: a child, leads included".into(), &started)],
    }
}

fn ratios(series: &Series) -> Vec<Ratio> {
    let cost = |name: &str| series.median_ns(name);
    let peers = [
        ("tokio_best", best(cost, TOKIO)),
        ("rayon_join", cost("rayon-join")),
        ("rayon_scope", cost("rayon-scope")),
        ("local_set", cost("tokio-local-set")),
    ];
    let mut ratios = Vec::new();
    for (form, ours) in FORMS {
        for (peer, theirs) in peers {
            ratios.extend(cost(ours).zip(theirs).map(|(ours, theirs)| Ratio {
                name: format!("{form}_vs_{peer}"),
                value: theirs / ours,
                bar: bar(form, peer),
            }));
        }
    }
    ratios
}

/// What we promise.
fn bar(form: &str, peer: &str) -> Option<f64> {
    match (form, peer) {
        ("async", "tokio_best") => Some(5.0),
        ("async", _) => None,
        (_, "tokio_best") => Some(10.0),
        (_, "rayon_join") => Some(2.5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Failed, Outcome};
    use crate::contenders::chain::{
        local_executor::LocalExecutors,
        local_set::LocalSets,
        nested::Nested,
        rayon_join::RayonJoin,
        rayon_scope::RayonScope,
        tokengate::{Lead, TokengateChains},
        tokio_inside::TokioInsideChains,
        tokio_outside::TokioOutsideChains,
    };
    use crate::contenders::tokengate::Form;

    #[track_caller]
    fn assert_sound(mut contender: impl Chains) {
        // More than a part a worker, in parts that are not equal.
        let sample = repetition(&mut contender, 1_001);
        assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
    }

    #[test]
    fn contenders_take_every_child() {
        assert_sound(Nested);
        assert_sound(TokioOutsideChains::start().unwrap());
        assert_sound(TokioInsideChains::start().unwrap());
        assert_sound(RayonJoin::start().unwrap());
        assert_sound(RayonScope::start().unwrap());
        assert_sound(LocalSets::start().unwrap());
        assert_sound(LocalExecutors::start().unwrap());
        for form in [Form::OneByOne, Form::Batch] {
            assert_sound(TokengateChains::start(form, Lead::Blocking).unwrap());
            assert_sound(TokengateChains::start(form, Lead::Async).unwrap());
        }
    }

    /// Loses a child of each lead.
    struct Careless;

    impl Chains for Careless {
        fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
            (0..leads).for_each(|lead| take(Ok(12 * lead)));
        }
    }

    /// Loses a lead.
    struct Forgetful;

    impl Chains for Forgetful {
        fn run_chains(&mut self, _leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
            take(Err(Failed("forgotten".into())));
        }
    }

    #[test]
    fn lost_children_and_lost_leads_are_flaws() {
        assert!(!repetition(&mut Careless, 10).tally.is_flawless());
        assert!(!repetition(&mut Forgetful, 1).tally.is_flawless());
    }

    #[test]
    fn the_bars_are_for_the_promised_pairs() {
        assert_eq!(bar("one_by_one", "tokio_best"), Some(10.0));
        assert_eq!(bar("batch", "rayon_join"), Some(2.5));
        assert_eq!(bar("async", "tokio_best"), Some(5.0));
        assert_eq!(bar("async", "rayon_join"), None);
    }
}
