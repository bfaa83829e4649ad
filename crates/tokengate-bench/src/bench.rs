//! A run: takes the options, runs the scenarios one after the other, prints and writes what they found.
//!
//! The binary and user programs call it. It is the only place that prints results and decides on the exit
//! code: success means that every token of every contender gave the right result.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use crate::cli::{Options, Part};
use crate::contender::{Contender, Handles, Unable};
use crate::cpu_time::Neighbours;
use crate::effort::Effort;
use crate::machine;
use crate::report::{ScenarioReport, html, json, table};
use crate::roster::{self, Entry};
use crate::scenarios::Scenario;
use crate::scenarios::scale::resident;

/// A benchmark run: the built-in contenders and yours.
pub struct Bench {
    entries: Vec<Entry>,
}

impl Bench {
    /// A run with the contenders of this crate.
    pub fn new() -> Self {
        Self {
            entries: roster::built_in(),
        }
    }

    /// Adds a contender to every scenario but `chain`, in which bodies create tasks of their own.
    ///
    /// `start` is called once for each scenario, before anything is measured; the contender is dropped
    /// at the scenario's end. Where tokens have keys it takes a mutex for each key, in its jobs, and keeps no
    /// order. A contender that has the name of a built-in one takes its place.
    #[must_use]
    pub fn contender<C: Contender + 'static>(
        mut self,
        name: &str,
        handles: Handles,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        self.entries.retain(|entry| entry.name != name);
        self.entries
            .push(Entry::new(name, handles, Scenario::OPEN, start));
        self
    }

    /// Reads the command line of this process, runs, prints, and gives the exit code.
    ///
    /// The code is 0 if every token gave the right result, 1 if one did not or a file could not be read
    /// or written, 2 for a fault on the command line.
    pub fn main(self) -> ExitCode {
        let options = Options::parse();
        if let Some(part) = &options.part {
            return self.run_part(part);
        }
        if let Err(error) = self.check(&options) {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
        if cfg!(debug_assertions) {
            eprintln!(
                "warning: this build is not optimised, its figures mean nothing; use --release"
            );
        }
        match self.run(&options, &options.effort()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Refuses names that do not exist.
    fn check(&self, options: &Options) -> Result<(), String> {
        options.check()?;
        let takes_part = |entry: &&Entry| {
            let mut scenarios = options.scenarios();
            scenarios.any(|scenario| entry.takes_part_in(scenario))
        };
        let valid: Vec<&str> = self
            .entries
            .iter()
            .filter(takes_part)
            .map(|entry| entry.name.as_str())
            .collect();
        match options
            .contenders
            .iter()
            .find(|c| !valid.contains(&c.as_str()))
        {
            None => Ok(()),
            Some(unknown) => Err(format!(
                "no contender {unknown} in these scenarios; there are: {}",
                valid.join(", ")
            )),
        }
    }

    /// Does what another process of this binary has asked for.
    fn run_part(&self, part: &Part) -> ExitCode {
        match self.part(part) {
            Ok(line) => {
                println!("{line}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn part(&self, part: &Part) -> Result<String, String> {
        let Part::Resident {
            contender,
            tokens,
            held,
        } = part;
        let entry = self.entries.iter().find(|entry| entry.name == *contender);
        let entry = entry.ok_or_else(|| format!("no contender {contender}"))?;
        let mut contender = entry
            .start_alone(resident::room(*tokens, *held))
            .map_err(|Unable(reason)| reason)?;
        let reading = contender.resident(*tokens, *held)?;
        Ok(reading.map_or_else(|| "no reading".to_owned(), |reading| reading.line()))
    }

    /// Runs everything; true if nothing failed.
    fn run(&self, options: &Options, effort: &Effort) -> Result<bool, String> {
        let mut reports = Vec::new();
        for scenario in options.scenarios() {
            let entries = self.entries_of(scenario, &options.contenders);
            let neighbours = Neighbours::watch();
            let mut report = scenario.run(&entries, effort, options.data())?;
            report.busy_elsewhere_cpus = neighbours.cpus();
            println!("{}", table::render(&report));
            reports.push(report);
        }
        let busy = reports.iter().map(|report| report.busy_elsewhere_cpus);
        let mut facts = machine::facts();
        facts.insert(
            "busy_elsewhere_cpus".into(),
            json!(busy.fold(0.0, f64::max)),
        );
        facts.insert("effort".into(), json!(effort.name));
        let results = json::render(&facts, &reports);
        if let Some(file) = &options.json {
            write(file, &pretty(&results))?;
        }
        if let Some(directory) = &options.report {
            fs::create_dir_all(directory)
                .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
            write(&directory.join("results.json"), &pretty(&results))?;
            let page = html::render(&facts, &reports, &results)?;
            write(&directory.join("index.html"), &page)?;
        }
        Ok(reports.iter().all(ScenarioReport::is_sound))
    }

    /// The contenders of a scenario, all or the named ones.
    fn entries_of(&self, scenario: Scenario, named: &[String]) -> Vec<&Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.takes_part_in(scenario))
            .filter(|entry| named.is_empty() || named.contains(&entry.name))
            .collect()
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

fn pretty(results: &serde_json::Value) -> String {
    format!("{results:#}\n")
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Failed, Job, Outcome};

    /// Loses every token.
    struct Forgetful;

    impl Contender for Forgetful {
        fn run<J: Job>(
            &mut self,
            jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
            mut take: impl FnMut(Outcome<J::Output>),
        ) {
            jobs.for_each(|_| take(Err(Failed("forgotten".into()))));
        }
    }

    fn options(line: &str) -> Options {
        Options::parse_from(["bench"].into_iter().chain(line.split_whitespace()))
    }

    fn forgetful() -> Bench {
        Bench::new().contender("forgetful", Handles::None, || Ok(Forgetful))
    }

    #[test]
    fn a_failing_contender_fails_the_run() {
        for scenario in Scenario::OPEN.iter().map(|scenario| scenario.name()) {
            let fails = options(&format!("{scenario} --contender forgetful"));
            assert_eq!(forgetful().run(&fails, &Effort::tiny()), Ok(false));
        }
    }

    #[test]
    fn sound_contenders_make_a_sound_run_with_all_reports() {
        let directory = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let legs = directory.join("legs.csv");
        let rows = "EWR,2,11,1400\nLGA,,,96\n";
        fs::write(
            &legs,
            format!("origin,dep_delay_min,arr_delay_min,distance_mi\n{rows}"),
        )
        .unwrap();
        let mut options = options("");
        options.input = Some(legs);
        options.report = Some(directory.clone());
        assert_eq!(Bench::new().run(&options, &Effort::tiny()), Ok(true));
        let json = fs::read_to_string(directory.join("results.json")).unwrap();
        let page = fs::read_to_string(directory.join("index.html")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for scenario in Scenario::ALL {
            let contenders = &json["scenarios"][scenario.name()]["contenders"];
            assert!(contenders.is_object(), "{scenario:?}");
            assert_ne!(contenders.as_object().unwrap().len(), 0, "{scenario:?}");
        }
        assert!(page.contains("<svg"));
    }

    #[test]
    fn a_contender_that_cannot_run_does_not_fail_the_run() {
        let bench = Bench::new().contender("unable", Handles::None, || {
            Err::<Forgetful, _>(Unable("no such kernel".into()))
        });
        let options = options("waves --contender unable --contender serial");
        assert_eq!(bench.run(&options, &Effort::tiny()), Ok(true));
    }

    #[test]
    fn an_unknown_contender_lists_the_valid_ones() {
        let error = forgetful().check(&options("waves --contender tokyo"));
        let error = error.unwrap_err();
        assert!(error.starts_with("no contender tokyo"), "{error}");
        assert!(error.contains("tokio, ") && error.contains("forgetful"));
        assert!(!error.contains("threadpool"), "it is not in waves: {error}");
    }
}
