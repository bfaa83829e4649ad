//! The command line: which scenarios and contenders, how much of it, and where the results go.
//!
//! The bench reads it. Every option here has its effect in this build; a name that does not exist is an
//! error that lists the valid ones.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::allocator;
use crate::effort::Effort;
use crate::scenarios::Scenario;
use crate::scenarios::flights::{Data, Key};
use crate::scenarios::scale::resident::Held;

/// Measures tokengate beside its peers.
#[derive(Debug, Default, Parser)]
#[command(name = "tokengate-bench", version, long_about = None)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,

    /// Scenarios to run; none means all
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<Scenario>,

    /// Take fewer repetitions, in less than a minute
    #[arg(long, conflicts_with = "full")]
    quick: bool,

    /// Take more repetitions and tokens, for reports
    #[arg(long)]
    full: bool,

    /// Write the figures to a file as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write index.html, a page with plots, and results.json into a directory
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,

    /// Run this contender only; can be given more than once
    #[arg(long = "contender", value_name = "NAME")]
    pub(crate) contenders: Vec<String>,

    /// Take flight legs from a CSV file, plain or gzip; its digest is that of the serial loop
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Run flight legs in order within a key, and by this key only
    #[arg(long, value_name = "COLUMN")]
    key: Option<Key>,

    /// The allocator of all contenders: a build has one, `cargo xtask bench` builds the one asked for
    #[arg(long, value_name = "NAME", value_parser = ["system", "mimalloc"])]
    allocator: Option<String>,
}

/// What a run asks of another process of this binary.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Part {
    /// Print the resident memory of one contender that holds tokens
    #[command(hide = true)]
    Resident {
        contender: String,
        tokens: usize,
        held: Held,
    },
}

impl Options {
    /// How much is to be taken.
    pub(crate) fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::quick(),
            (_, true) => Effort::full(),
            _ => Effort::standard(),
        }
    }

    /// The scenarios to run, each once.
    pub(crate) fn scenarios(&self) -> impl Iterator<Item = Scenario> {
        let all = Scenario::ALL.iter().copied();
        all.filter(|scenario| self.scenarios.is_empty() || self.scenarios.contains(scenario))
    }

    /// The data of `flights`.
    pub(crate) fn data(&self) -> Data<'_> {
        Data {
            input: self.input.as_deref(),
            key: self.key,
        }
    }

    /// Refuses options that would have no effect.
    ///
    /// # Errors
    ///
    /// With the remedy, if this build has another allocator, or no chosen scenario reads the data.
    pub(crate) fn check(&self) -> Result<(), String> {
        let about_data = [
            ("--input", self.input.is_some()),
            ("--key", self.key.is_some()),
        ];
        if let Some((option, _)) = about_data.iter().find(|(_, given)| *given)
            && !self.scenarios().any(|s| s == Scenario::Flights)
        {
            return Err(format!(
                "only flights reads {option}: add it to the scenarios"
            ));
        }
        match self.allocator.as_deref() {
            None | Some(allocator::NAME) => Ok(()),
            Some(other) => Err(format!(
                "this build uses the {} allocator: run `cargo xtask bench --allocator {other}`, which \
                 builds the other",
                allocator::NAME
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        Options::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn no_scenario_means_all() {
        let chosen = |line| parse(line).unwrap().scenarios().collect::<Vec<_>>();
        assert_eq!(chosen(""), Scenario::ALL);
        assert_eq!(chosen("submit submit"), [Scenario::Submit]);
    }

    #[test]
    fn an_input_that_nobody_reads_is_refused() {
        assert!(parse("waves --input legs.csv").unwrap().check().is_err());
        assert_eq!(parse("flights --input legs.csv").unwrap().check(), Ok(()));
        assert_eq!(parse("--input legs.csv").unwrap().check(), Ok(()));
        let error = parse("waves --key origin").unwrap().check().unwrap_err();
        assert!(error.starts_with("only flights reads --key"), "{error}");
        assert_eq!(parse("flights --key origin").unwrap().check(), Ok(()));
        assert!(parse("flights --key dest").unwrap_err().contains("tailnum"));
    }

    #[test]
    fn an_unknown_scenario_lists_the_valid_ones() {
        let error = parse("wavs").unwrap_err();
        assert!(error.contains("waves, submit, latency"), "{error}");
    }

    #[test]
    fn parts_are_for_the_bench_alone() {
        assert!(parse("waves --quick").unwrap().part.is_none());
        let options = parse("resident tokio 10 executed").unwrap();
        let Some(Part::Resident {
            contender,
            tokens,
            held,
        }) = options.part
        else {
            panic!("{options:?}");
        };
        assert_eq!(
            (contender.as_str(), tokens, held),
            ("tokio", 10, Held::Executed)
        );
        let help = parse("--help").unwrap_err();
        assert!(
            !help.contains("resident") && !help.contains("COMMAND"),
            "{help}"
        );
    }

    #[test]
    fn efforts_exclude_each_other() {
        assert_eq!(parse("--quick").unwrap().effort().name, "quick");
        assert_eq!(parse("--full").unwrap().effort().name, "full");
        assert_eq!(parse("").unwrap().effort().name, "default");
        assert!(parse("--quick --full").is_err());
    }

    #[test]
    fn an_allocator_that_is_not_built_in_is_refused() {
        let other = if allocator::NAME == "system" {
            "mimalloc"
        } else {
            "system"
        };
        let options = parse(&format!("--allocator {other}")).unwrap();
        let error = options.check().unwrap_err();
        assert!(error.contains("cargo xtask bench --allocator"), "{error}");
        let options = parse(&format!("--allocator {}", allocator::NAME)).unwrap();
        assert_eq!(options.check(), Ok(()));
    }
}
