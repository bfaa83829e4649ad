//! The report in words: what an operator looks for first comes first.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use tokengate_token::Outcome;

use crate::stats::figures::Figures;
use crate::stats::report::Stats;

const OUTCOMES: [Outcome; 6] = [
    Outcome::Value,
    Outcome::Error,
    Outcome::Panicked,
    Outcome::Killed,
    Outcome::TimedOut,
    Outcome::Rejected,
];

const HEADINGS: [&str; 13] = [
    "in flight",
    "waiting",
    "executing",
    "suspended",
    "completed",
    "failed",
    "panicked",
    "killed",
    "timed out",
    "rejected",
    "wait p50/p99",
    "run p50/p99",
    "occupancy",
];

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        self.troubles(f)?;
        let domains = self.domains().iter().enumerate();
        let domains = domains.map(|(index, it)| (format!("domain {}", index + 1), it));
        table(f, domains.collect())?;
        let operations = self.operations();
        table(
            f,
            operations
                .map(|(label, it)| (label.to_owned(), it))
                .collect(),
        )
    }
}

impl Stats {
    fn headline(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let total = self.total();
        writeln!(
            f,
            "{} tokens in {:.3?}, {:.0}/s: {}",
            total.ended(),
            self.elapsed(),
            total.tokens_per_s(),
            outcomes(total),
        )?;
        writeln!(
            f,
            "in flight {}: {} waiting ({} paused), {} executing, {} suspended",
            total.in_flight(),
            total.waiting(),
            self.paused(),
            total.executing(),
            total.suspended(),
        )?;
        if let (Some(wait), Some(run), Some(latency)) = (
            spread(|q| total.wait(q)),
            spread(|q| total.run(q)),
            spread(|q| total.latency(q)),
        ) {
            writeln!(
                f,
                "wait {wait}, run {run}, latency {latency} (p50/p99 of {} timed)",
                total.timed_tokens()
            )?;
            write!(f, "occupancy {:.2}", total.occupancy())?;
            if let Some(parallelism) = total.cpu_parallelism() {
                write!(f, ", CPU parallelism {parallelism:.2}")?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "{} keys pinned, {} tokens waiting in lanes, {} chains; {} parks, {} unparks",
            self.pins(),
            self.waiting_in_lanes(),
            self.chains(),
            self.parks(),
            self.unparks(),
        )
    }

    /// What somebody should look at; nothing if there is nothing.
    fn troubles(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for zombie in self.zombies() {
            writeln!(f, "ZOMBIE: {zombie}")?;
        }
        for wait in self.old_waits() {
            writeln!(f, "OLD WAIT: {wait}")?;
        }
        for limit in self.limits().iter().filter(|limit| limit.waiting > 0) {
            writeln!(
                f,
                "limit {}: {} tokens wait behind {} of {}",
                limit.name, limit.waiting, limit.executing, limit.size
            )?;
        }
        let outside = self.total().outside_range();
        if outside > 0 {
            writeln!(
                f,
                "{outside} tokens were bound outside of the range of their weight"
            )?;
        }
        for (label, count) in self.undeclared() {
            writeln!(
                f,
                "{label} was called {count} times by leads that do not declare it"
            )?;
        }
        Ok(())
    }
}

/// The outcomes that there were.
fn outcomes(figures: &Figures) -> String {
    let counts = OUTCOMES.map(|outcome| (outcome, figures.ended_as(outcome)));
    let seen = counts
        .into_iter()
        .filter(|&(outcome, count)| count > 0 || outcome == Outcome::Value)
        .map(|(outcome, count)| format!("{count} {outcome}"));
    seen.collect::<Vec<_>>().join(", ")
}

fn spread(quantile: impl Fn(f64) -> Option<Duration>) -> Option<String> {
    let (half, most) = (quantile(0.5)?, quantile(0.99)?);
    Some(format!("{half:.1?}/{most:.1?}"))
}

/// A line for each, with the columns that have anything in them.
fn table(f: &mut Formatter<'_>, lines: Vec<(String, &Figures)>) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = lines.iter().map(|(_, figures)| cells(figures)).collect();
    let is_used = |column: &usize| rows.iter().any(|row| !row[*column].is_empty());
    let columns: Vec<usize> = (0..HEADINGS.len()).filter(is_used).collect();
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(HEADINGS[column].len())
    };
    let name_width = lines
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    write!(f, "\n{:name_width$}", "")?;
    for &column in &columns {
        write!(f, "  {:>1$}", HEADINGS[column], widest(column))?;
    }
    writeln!(f)?;
    for ((name, _), row) in lines.iter().zip(&rows) {
        write!(f, "{name:name_width$}")?;
        for &column in &columns {
            write!(f, "  {:>1$}", row[column], widest(column))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// What is under the headings; zeros are left out.
fn cells(figures: &Figures) -> [String; HEADINGS.len()] {
    let count = |count: u64| {
        if count == 0 {
            String::new()
        } else {
            count.to_string()
        }
    };
    let [completed, failed, panicked, killed, timed_out, rejected] =
        OUTCOMES.map(|outcome| count(figures.ended_as(outcome)));
    let occupancy = figures.occupancy();
    [
        count(figures.in_flight()),
        count(figures.waiting()),
        count(figures.executing()),
        count(figures.suspended()),
        completed,
        failed,
        panicked,
        killed,
        timed_out,
        rejected,
        spread(|share| figures.wait(share)).unwrap_or_default(),
        spread(|share| figures.run(share)).unwrap_or_default(),
        if occupancy > 0.0 {
            format!("{occupancy:.2}")
        } else {
            String::new()
        },
    ]
}
