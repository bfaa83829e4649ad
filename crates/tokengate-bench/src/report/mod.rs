//! What a run found, free of any form: filled by the scenarios, shown by table, JSON and page.
//!
//! Figures carry their unit at the end of their name (`_ns`, `_s`, `_bytes`, `_per_s`); a name without
//! one is a count or a ratio. The forms only read; nothing is computed in them.

mod chart;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod table;

use serde_json::{Map, Value};

use crate::spread::Spread;

/// What one scenario found.
#[derive(Debug)]
pub(crate) struct ScenarioReport {
    pub(crate) name: &'static str,
    pub(crate) contenders: Vec<ContenderReport>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) grids: Vec<Grid>,
    pub(crate) charts: Vec<Chart>,
    /// CPUs that other processes kept busy meanwhile, on average.
    pub(crate) busy_elsewhere_cpus: f64,
}

/// With this many CPUs busy elsewhere the figures come with a warning.
const DISTURBED_CPUS: f64 = 0.1;

/// What one contender reached.
#[derive(Debug)]
pub(crate) struct ContenderReport {
    pub(crate) name: String,
    pub(crate) figures: Map<String, Value>,
    pub(crate) verdict: Verdict,
}

/// How a contender came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All tokens gave the right results.
    Flawless(String),
    /// Tokens failed, a digest differs, or the contender broke.
    Failed(String),
    /// This machine cannot run it.
    Skipped(String),
    /// Figures published by others, not measured here.
    Published(String),
}

/// How many times better than its peers a contender of ours was, in this run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The value that we promise, where we promise one.
    pub(crate) bar: Option<f64>,
}

/// A figure of ours, and the most that we promise it to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) most: f64,
    pub(crate) unit: &'static str,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A plot.
#[derive(Debug)]
pub(crate) enum Chart {
    /// A bar for each name, with the smallest and the largest value as a whisker.
    Bars {
        title: String,
        unit: &'static str,
        bars: Vec<(String, Spread)>,
    },
    /// A line for each name, both axes logarithmic.
    Lines {
        title: String,
        x: &'static str,
        y: &'static str,
        lines: Vec<(String, Vec<(f64, f64)>)>,
    },
}

impl ScenarioReport {
    /// Warns if other processes disturbed the measurement.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.busy_elsewhere_cpus > DISTURBED_CPUS).then(|| {
            format!(
                "WARNING: other processes kept {:.1} CPUs busy meanwhile; measure again on a quiet machine",
                self.busy_elsewhere_cpus
            )
        })
    }

    /// True if no contender failed; a skipped one has not failed.
    pub(crate) fn is_sound(&self) -> bool {
        let failed = |c: &ContenderReport| matches!(c.verdict, Verdict::Failed(_));
        !self.contenders.iter().any(failed)
    }
}

impl Verdict {
    /// The first that failed, or else the last one.
    pub(crate) fn worst<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mut failed = all
            .clone()
            .filter(|verdict| matches!(verdict, Self::Failed(_)));
        failed
            .next()
            .or_else(|| all.last())
            .cloned()
            .unwrap_or_else(|| Self::Failed("nothing was measured".to_owned()))
    }

    /// The verdict as a remark.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Flawless(text) | Self::Published(text) => text.clone(),
            Self::Failed(text) => format!("FAILED: {text}"),
            Self::Skipped(text) => format!("skipped: {text}"),
        }
    }
}

impl Ratio {
    /// What the bar says: `>= 8.00, met`; empty without a bar.
    pub(crate) fn judgement(&self) -> String {
        self.bar.map_or_else(String::new, |bar| {
            let met = if self.value >= bar { "met" } else { "missed" };
            format!(">= {bar:.2}, {met}")
        })
    }
}

impl Limit {
    /// What the limit says: `<= 176.00 bytes, met`.
    pub(crate) fn judgement(&self) -> String {
        let met = if self.value <= self.most {
            "met"
        } else {
            "missed"
        };
        format!("<= {:.2} {}, {met}", self.most, self.unit)
    }
}

impl Grid {
    /// A table without rows.
    pub(crate) fn new(title: &str, header: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }
}

/// A count with commas: `131,068`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A spread as text: `304.1 (302.6..309.8)`.
pub(crate) fn spread(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.1} ({min:.1}..{max:.1})")
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A small report with one contender for each verdict.
    pub(crate) fn example() -> ScenarioReport {
        let contender = |name: &str, verdict| ContenderReport {
            name: name.into(),
            figures: Map::from_iter([("elapsed_s".to_owned(), json!(0.5))]),
            verdict,
        };
        let bar = Spread::of([1.0, 2.0]).unwrap();
        ScenarioReport {
            name: "waves",
            busy_elsewhere_cpus: 0.5,
            contenders: vec![
                contender(
                    "good",
                    Verdict::Flawless("4 of 4 tokens, 0 failures".into()),
                ),
                contender("gone", Verdict::Skipped("no io_uring".into())),
            ],
            ratios: vec![Ratio {
                name: "vs_serial".into(),
                value: 1.9,
                bar: Some(1.5),
            }],
            limits: vec![Limit {
                name: "resident a token".into(),
                value: 81.0,
                most: 176.0,
                unit: "bytes",
            }],
            grids: vec![Grid {
                title: "Contenders".into(),
                header: vec!["contender".into(), "elapsed ms".into()],
                rows: vec![vec!["good".into(), "<0.5>".into()]],
            }],
            charts: vec![
                Chart::Bars {
                    title: "Elapsed".into(),
                    unit: "ms",
                    bars: vec![("good".into(), bar)],
                },
                Chart::Lines {
                    title: "Rate".into(),
                    x: "tokens",
                    y: "tokens per second",
                    lines: vec![("good".into(), vec![(4.0, 10.0), (8.0, 20.0)])],
                },
            ],
        }
    }

    #[test]
    fn a_failed_contender_makes_the_report_unsound_and_a_skipped_one_does_not() {
        let mut report = example();
        assert!(report.is_sound());
        report.contenders[0].verdict = Verdict::Failed("panicked".into());
        assert!(!report.is_sound());
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(131_068), "131,068");
        assert_eq!(thousands(1_000_000), "1,000,000");
    }

    #[test]
    fn ratios_are_judged_by_their_bar() {
        let ratio = |value, bar| Ratio {
            name: String::new(),
            value,
            bar,
        };
        assert_eq!(ratio(8.0, Some(8.0)).judgement(), ">= 8.00, met");
        assert_eq!(ratio(7.9, Some(8.0)).judgement(), ">= 8.00, missed");
        assert_eq!(ratio(7.9, None).judgement(), "");
    }

    #[test]
    fn limits_are_upper_bounds() {
        let limit = |value| Limit {
            name: String::new(),
            value,
            most: 176.0,
            unit: "bytes",
        };
        assert_eq!(limit(176.0).judgement(), "<= 176.00 bytes, met");
        assert_eq!(limit(177.0).judgement(), "<= 176.00 bytes, missed");
    }
}
