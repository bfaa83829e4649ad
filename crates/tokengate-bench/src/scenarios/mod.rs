//! The scenarios: what each measures, with which contenders, and what it says at the end.
//!
//! The bench runs the chosen ones one after the other. Each starts its contenders, takes the
//! repetitions with the recorder and gives a [`ScenarioReport`]; none prints.

pub(crate) mod chain;
pub(crate) mod cost;
pub(crate) mod flights;
pub(crate) mod keyed;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod locality;
pub(crate) mod scale;
mod series;
pub(crate) mod skew;
pub(crate) mod submit;
pub(crate) mod waves;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::effort::Effort;
use crate::progress::Progress;
use crate::recorder::Record;
use crate::report::{ContenderReport, ScenarioReport, Verdict};
use crate::roster::{Entry, Running, Skipped};
use crate::spread::Spread;
use crate::tally::Tally;

/// A scenario's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Mixed work in 15 waves that double from 4 to 65,536 tokens
    Waves,
    /// Empty tokens: what one token costs, by how many are outstanding
    Submit,
    /// One token and back: quantiles and CPU time, back to back and after the caller's rest
    Latency,
    /// Additions to the state of a key: lanes, mutexes and owner threads
    Keyed,
    /// Tokens that go through states as large as caches
    Locality,
    /// Leads that create children and take their results
    Chain,
    /// What a hot key does to the latency of the others
    Skew,
    /// Cost and memory of a token with 1,000 to 10,000,000 outstanding
    Scale,
    /// Real data: one token for each row, with and without keys, checked against published digests
    Flights,
}

impl Scenario {
    /// Every scenario, in the order of running.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Waves,
        Self::Submit,
        Self::Latency,
        Self::Keyed,
        Self::Locality,
        Self::Chain,
        Self::Skew,
        Self::Scale,
        Self::Flights,
    ];

    /// Those that any executor can take part in; in `chain` bodies create tasks, each executor in its own way.
    pub(crate) const OPEN: &'static [Self] = &[
        Self::Waves,
        Self::Submit,
        Self::Latency,
        Self::Keyed,
        Self::Locality,
        Self::Skew,
        Self::Scale,
        Self::Flights,
    ];

    /// The name on the command line and in the reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waves => "waves",
            Self::Submit => "submit",
            Self::Latency => "latency",
            Self::Keyed => "keyed",
            Self::Locality => "locality",
            Self::Chain => "chain",
            Self::Skew => "skew",
            Self::Scale => "scale",
            Self::Flights => "flights",
        }
    }

    /// Measures the entries, all of which take part in this scenario.
    ///
    /// # Errors
    ///
    /// If the data of `flights` cannot be read; the message names what is missing.
    pub(crate) fn run(
        self,
        entries: &[&Entry],
        effort: &Effort,
        data: flights::Data<'_>,
    ) -> Result<ScenarioReport, String> {
        let progress = Progress::new(self.name());
        Ok(match self {
            Self::Waves => waves::run(entries, effort, &progress),
            Self::Submit => submit::run(entries, effort, &progress),
            Self::Latency => latency::run(entries, effort, &progress),
            Self::Keyed => keyed::run(entries, effort, &progress),
            Self::Locality => locality::run(entries, effort, &progress),
            Self::Chain => chain::run(entries, effort, &progress),
            Self::Skew => skew::run(entries, effort, &progress),
            Self::Scale => scale::run(entries, effort, &progress),
            Self::Flights => flights::run(entries, effort, data, &progress)?,
        })
    }
}

/// The two forms of ours that are promised, as the ratios and as the roster name them.
const OURS: [(&str, &str); 2] = [("one_by_one", "tokengate"), ("batch", "tokengate-batch")];

/// tokio with a handle a token, in both its forms.
const TOKIO: [&str; 2] = ["tokio", "tokio-inside"];

/// tokio with a handle a token and a mutex a key, in both its forms.
const TOKIO_MUTEX: [&str; 2] = ["tokio-mutex", "tokio-mutex-inside"];

/// What one repetition gives.
trait Sample {
    /// Seconds from the first submission to the last result.
    fn elapsed_s(&self) -> f64;
    /// What came back.
    fn tally(&self) -> &Tally;
}

/// What all repetitions of a contender come to.
struct Summary {
    name: String,
    /// Seconds of one repetition; none if no repetition was completed.
    elapsed_s: Option<Spread>,
    /// The worst repetition, those that are in no figure included.
    tally: Tally,
    verdict: Verdict,
    repetitions: usize,
    stolen: usize,
}

impl Summary {
    fn of<S: Sample>(record: &Record<S>) -> Self {
        let all = record.samples.iter().chain(&record.dropped);
        let tally = all
            .map(Sample::tally)
            .cloned()
            .reduce(Tally::worse)
            .unwrap_or_default();
        let verdict = match &record.panic {
            Some(panic) => Verdict::Failed(panic.clone()),
            None if tally.is_flawless() => Verdict::Flawless(tally.line()),
            None => Verdict::Failed(tally.line()),
        };
        Self {
            name: record.name.clone(),
            elapsed_s: Spread::of(record.samples.iter().map(Sample::elapsed_s)),
            tally,
            verdict,
            repetitions: record.samples.len(),
            stolen: record.stolen,
        }
    }

    /// Says how the figures came about.
    fn basis(&self) -> Map<String, Value> {
        let counts = [
            ("tokens", json!(self.tally.expected)),
            ("completed", json!(self.tally.completed)),
            ("failures", json!(self.tally.failed)),
            ("repetitions", json!(self.repetitions)),
            ("stolen_repetitions", json!(self.stolen)),
        ];
        counts
            .map(|(name, count)| (name.to_owned(), count))
            .into_iter()
            .collect()
    }

    /// A remark for the table: the verdict, and what disturbed the figures.
    fn remark(&self) -> String {
        let stolen = match self.stolen {
            0 => String::new(),
            n => format!("; {n} of {} with stolen CPU time", self.repetitions),
        };
        format!("{}{stolen}", self.verdict.text())
    }
}

/// Writes a spread as three figures.
fn put(figures: &mut Map<String, Value>, name: &str, unit: &str, spread: Spread) {
    figures.insert(format!("{name}_{unit}"), json!(spread.median));
    figures.insert(format!("{name}_min_{unit}"), json!(spread.min));
    figures.insert(format!("{name}_max_{unit}"), json!(spread.max));
}

/// The entries that run here.
fn started<'a>(entries: &[&'a Entry], absent: &[Skipped]) -> Vec<&'a Entry> {
    let runs = |entry: &&Entry| absent.iter().all(|skipped| skipped.name != entry.name);
    entries.iter().copied().filter(runs).collect()
}

/// Lets those go that have panicked: what may be half changed does not run again.
fn retire<S, C: ?Sized>(running: &mut Vec<Running<C>>, records: &[Record<S>]) {
    let broken = |name: &str| records.iter().any(|r| r.name == name && r.panic.is_some());
    running.retain(|running| !broken(&running.name));
}

/// The report of a contender that did not run.
fn skipped(skipped: Skipped) -> ContenderReport {
    ContenderReport {
        name: skipped.name,
        figures: Map::new(),
        verdict: Verdict::Skipped(skipped.reason),
    }
}

/// The smallest median among the named contenders, `None` if none of them ran.
fn best<'a>(
    median: impl Fn(&str) -> Option<f64>,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<f64> {
    names.into_iter().filter_map(median).min_by(f64::total_cmp)
}
