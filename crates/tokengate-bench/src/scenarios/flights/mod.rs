//! `flights`: real data, one token for each of 80,789 flight legs, checked against known digests.
//!
//! Once as the rows come, in any order ([`rows`]), and once with a serial lane for each tail number, carrier
//! or origin ([`keys`]). Reading the file, and numbering keys, is not measured.

mod keys;
mod legs;
mod rows;

use std::path::Path;

pub(crate) use self::keys::{Key, KeyedLegs};
pub(crate) use self::legs::Leg;
pub(crate) use self::rows::{FlightSample, repetition};

use self::legs::Table;
use self::rows::Rows;
use crate::effort::Effort;
use crate::keyed::Order;
use crate::progress::Progress;
use crate::report::{ContenderReport, ScenarioReport, Verdict};
use crate::roster::{self, Entry, Skipped};
use crate::scenarios::load::{self, Load};
use crate::scenarios::series::{self, Series};
use crate::scenarios::{skipped, started};

/// What the command line says of the data.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Data<'a> {
    /// Where it is, if it is not the built-in data.
    pub(crate) input: Option<&'a Path>,
    /// The only key that is wanted; none means the rows as they come, and every key that there is.
    pub(crate) key: Option<Key>,
}

/// Measures the entries over the data.
///
/// # Errors
///
/// If the file cannot be read, or lacks the column of the key that is wanted.
pub(crate) fn run(
    entries: &[&Entry],
    effort: &Effort,
    data: Data<'_>,
    progress: &Progress,
) -> Result<ScenarioReport, String> {
    let table = legs::read(data.input)?;
    let loads = loads(&table, data.key)?;
    let (rows, mut absent) = match data.key {
        None => {
            let (mut running, absent) = roster::start(entries.iter().copied());
            let rows = rows::measure(&mut running, &table, effort, progress);
            (Some(rows), absent)
        }
        Some(_) => (None, without_order(entries)),
    };
    let keyed = entries.iter().filter(|entry| entry.order == Order::Kept);
    let (mut running, absent_here) = roster::start_keyed(keyed.copied());
    for skipped in absent_here {
        if absent.iter().all(|absent| absent.name != skipped.name) {
            absent.push(skipped);
        }
    }
    let by_key: Vec<Series> = loads
        .iter()
        .map(|(key, load)| {
            let records = load::measure(
                &mut running,
                |_| true,
                load,
                |contender, load| contender.keyed_flights(load),
                effort,
                progress,
            );
            let tokens = load.jobs().len();
            Series::of(key.name().into(), load.column(), tokens, &records)
        })
        .collect();
    Ok(report(entries, rows.as_ref(), &by_key, absent))
}

/// The legs by the key that is wanted, or by every key that the table has.
fn loads(table: &Table, wanted: Option<Key>) -> Result<Vec<(Key, KeyedLegs)>, String> {
    let load = |key| Some((key, KeyedLegs::of(table, key)?));
    match wanted {
        None => Ok(Key::ALL.into_iter().filter_map(load).collect()),
        Some(key) => {
            let missing = || format!("the first line names no column {}", key.name());
            Ok(vec![load(key).ok_or_else(missing)?])
        }
    }
}

/// Those who would come to another digest.
fn without_order(entries: &[&Entry]) -> Vec<Skipped> {
    let free = entries.iter().filter(|entry| entry.order == Order::Free);
    free.map(|entry| Skipped {
        name: entry.name.clone(),
        reason: "keeps no order of the rows of a key".to_owned(),
    })
    .collect()
}

fn report(
    entries: &[&Entry],
    rows: Option<&Rows>,
    by_key: &[Series],
    absent: Vec<Skipped>,
) -> ScenarioReport {
    let started = started(entries, &absent);
    let keyed: Vec<&Entry> = started
        .iter()
        .copied()
        .filter(|entry| entry.order == Order::Kept)
        .collect();
    let contenders = started
        .iter()
        .map(|entry| contender(&entry.name, rows, by_key))
        .chain(absent.into_iter().map(skipped));
    let chart = |series: &Series| series.chart(format!("flights: {}", series.column), &keyed);
    let mut grids: Vec<_> = rows.map(Rows::grid).into_iter().collect();
    if !by_key.is_empty() {
        grids.push(series::grid(
            "Nanoseconds a row, in order within each key; digests are those expected",
            &[series::HANDLE],
            &keyed,
            by_key.iter(),
        ));
    }
    ScenarioReport {
        name: "flights",
        busy_elsewhere_cpus: 0.0,
        contenders: contenders.collect(),
        ratios: rows
            .map(Rows::ratios)
            .into_iter()
            .flatten()
            .chain(by_key.iter().flat_map(keys::ratios))
            .collect(),
        limits: vec![],
        grids,
        charts: rows
            .map(Rows::chart)
            .into_iter()
            .chain(by_key.iter().map(chart))
            .collect(),
    }
}

/// The figures of one contender, with and without keys.
fn contender(name: &str, rows: Option<&Rows>, by_key: &[Series]) -> ContenderReport {
    let (mut figures, verdict) = rows.and_then(|rows| rows.contender(name)).unzip();
    let mut report = series::contender(name, by_key.iter());
    if let Some(figures) = &mut figures {
        figures.append(&mut report.figures);
        report.figures = std::mem::take(figures);
    }
    let keyed = by_key.iter().filter_map(|series| series.verdict(name));
    report.verdict = Verdict::worst(verdict.iter().chain(keyed));
    report
}
