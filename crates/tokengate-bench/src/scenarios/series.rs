//! A series: all contenders at the same work, as nanoseconds a token.
//!
//! The scenarios that measure the same thing under several conditions have one for each condition, and
//! report them with these figures, this table and these plots. It judges nothing: ratios and bars are the
//! scenarios'.

use serde_json::Map;

use crate::contender::Handles;
use crate::keyed::Order;
use crate::recorder::Record;
use crate::report::{Chart, ContenderReport, Grid, Verdict, spread};
use crate::roster::Entry;
use crate::scenarios::{Sample, Summary, put};
use crate::spread::Spread;

/// What all contenders took under one condition.
pub(super) struct Series {
    /// How the keys of its figures begin.
    pub(super) key: String,
    /// The condition, as a column of the table.
    pub(super) column: String,
    /// Tokens of one repetition.
    tokens: usize,
    found: Vec<Summary>,
}

/// A column that says something about a contender itself: its header, and what it says.
pub(super) type Trait = (&'static str, fn(&Entry) -> &'static str);

/// Whether there is a handle for each token.
pub(super) const HANDLE: Trait = ("handle a token", |entry| match entry.handles {
    Handles::Each => "yes",
    Handles::None => "no",
});

/// Whether tokens of one key run in the order of their submission.
pub(super) const ORDER: Trait = ("keeps order", |entry| match entry.order {
    Order::Kept => "yes",
    Order::Free => "no",
});

impl Series {
    /// Summarises what was recorded with so many tokens a repetition.
    pub(super) fn of<S: Sample>(
        key: String,
        column: String,
        tokens: usize,
        records: &[Record<S>],
    ) -> Self {
        Self {
            key,
            column,
            tokens,
            found: records.iter().map(Summary::of).collect(),
        }
    }

    /// Nanoseconds a token.
    pub(super) fn cost_ns(&self, name: &str) -> Option<Spread> {
        let elapsed_s = self.summary(name)?.elapsed_s?;
        Some(elapsed_s.times(1e9 / self.tokens as f64))
    }

    /// The same without the ends of the spread.
    pub(super) fn median_ns(&self, name: &str) -> Option<f64> {
        Some(self.cost_ns(name)?.median)
    }

    /// A bar for each contender that was measured.
    pub(super) fn chart(&self, title: String, started: &[&Entry]) -> Chart {
        let bar = |entry: &&Entry| Some((entry.name.clone(), self.cost_ns(&entry.name)?));
        Chart::Bars {
            title,
            unit: "ns a token",
            bars: started.iter().filter_map(bar).collect(),
        }
    }

    /// How a contender came through; `None` if it did not take part.
    pub(super) fn verdict(&self, name: &str) -> Option<&Verdict> {
        Some(&self.summary(name)?.verdict)
    }

    fn summary(&self, name: &str) -> Option<&Summary> {
        self.found.iter().find(|found| found.name == name)
    }
}

/// The figures of one contender in all series.
pub(super) fn contender<'a>(
    name: &str,
    all: impl Iterator<Item = &'a Series> + Clone,
) -> ContenderReport {
    let mut figures = Map::new();
    for series in all.clone() {
        let key = &series.key;
        if let Some(cost) = series.cost_ns(name) {
            put(&mut figures, &format!("{key}_token"), "ns", cost);
        }
        if let Some(summary) = series.summary(name) {
            let basis = summary.basis().into_iter();
            figures.extend(basis.map(|(figure, value)| (format!("{key}_{figure}"), value)));
        }
    }
    ContenderReport {
        name: name.to_owned(),
        figures,
        verdict: Verdict::worst(all.filter_map(|series| series.verdict(name))),
    }
}

/// The cost of each contender in each series, and what became of its tokens in the last one.
pub(super) fn grid<'a>(
    title: &str,
    traits: &[Trait],
    started: &[&Entry],
    all: impl DoubleEndedIterator<Item = &'a Series> + Clone,
) -> Grid {
    let mut grid = Grid::new(title, &["contender"]);
    let headers = traits.iter().map(|(header, _)| (*header).to_owned());
    grid.header.extend(headers);
    grid.header.extend(all.clone().map(|s| s.column.clone()));
    grid.header.push("results".to_owned());
    for entry in started {
        let mut row = vec![entry.name.clone()];
        row.extend(traits.iter().map(|(_, says)| says(entry).to_owned()));
        row.extend(all.clone().map(|series| {
            let cost = series.cost_ns(&entry.name);
            cost.map_or_else(|| "-".to_owned(), spread)
        }));
        let last = all
            .clone()
            .rev()
            .find_map(|series| series.summary(&entry.name));
        row.push(last.map_or_else(String::new, Summary::remark));
        grid.rows.push(row);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    struct Microsecond(Tally);

    impl Sample for Microsecond {
        fn elapsed_s(&self) -> f64 {
            1e-6
        }

        fn tally(&self) -> &Tally {
            &self.0
        }
    }

    #[test]
    fn costs_are_per_token() {
        let record = Record {
            name: "serial".into(),
            samples: vec![Microsecond(Tally::default())],
            dropped: vec![],
            stolen: 0,
            panic: None,
        };
        let series = Series::of("at_10".into(), String::new(), 20, &[record]);
        let cost = series.median_ns("serial").unwrap();
        assert!((cost - 50.0).abs() < 1e-6, "{cost}");
        assert_eq!(series.median_ns("tokio"), None);
    }
}
