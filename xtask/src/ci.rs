//! `cargo xtask ci`: everything that a change must pass, in order, each step named and timed.
//!
//! Called by `main.rs`; `.ci/run` calls it with `--skip-tests` after it ran the tests in plain sight.
//! All steps run even when one fails, so that one run shows all that is to be mended. A step that this
//! machine cannot take is skipped with its reason in the summary, never silently.

use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::Outcome;
use crate::source::{self, Suites};
use crate::{layering, loom, tidy};

/// Preemptions in CI: enough for most faults, and seconds instead of minutes.
const LOOM_BOUND: u32 = 2;

/// How a step ended, when it did not fail.
enum Done {
    Passed,
    Skipped(String),
}

type Ended = Result<Done, Box<dyn std::error::Error>>;
type Step = fn(&Shell) -> Ended;

const TEST: (&str, Step) = ("test", test);

const CHECKS: &[(&str, Step)] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("features", features),
    ("docs", docs),
    ("layering", |sh| passed(layering::run(sh))),
    ("tidy", |_| passed(tidy::run())),
    ("loom", models),
    ("ui", ui),
];

pub(crate) fn run(sh: &Shell, skip_tests: bool) -> Outcome {
    let first = (!skip_tests).then_some(&TEST);
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (name, step) in first.into_iter().chain(CHECKS) {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = step(sh);
        let line = summary(name, &result, start.elapsed());
        println!("<== {line}");
        lines.push(line);
        failed.extend(result.is_err().then_some(*name));
    }
    println!("\n{}", lines.join("\n"));
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")).into())
}

fn summary(name: &str, result: &Ended, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let how = match result {
        Ok(Done::Passed) => "passed".to_owned(),
        Ok(Done::Skipped(why)) => format!("skipped: {why}"),
        Err(error) => format!("FAILED: {error}"),
    };
    format!("{name:<10}{seconds:>7.1} s  {how}")
}

fn passed(outcome: Outcome) -> Ended {
    outcome.map(|()| Done::Passed)
}

fn test(sh: &Shell) -> Ended {
    cmd!(sh, "cargo test --workspace").run()?;
    Ok(Done::Passed)
}

fn fmt(sh: &Shell) -> Ended {
    if !has_component(sh, "fmt") {
        return Ok(Done::Skipped("rustfmt is not installed".into()));
    }
    cmd!(sh, "cargo fmt --all --check").run()?;
    Ok(Done::Passed)
}

fn clippy(sh: &Shell) -> Ended {
    if !has_component(sh, "clippy") {
        return Ok(Done::Skipped("clippy is not installed".into()));
    }
    cmd!(
        sh,
        "cargo clippy --workspace --all-targets -- --deny warnings"
    )
    .run()?;
    Ok(Done::Passed)
}

/// What is built with a cargo feature only.
fn features(sh: &Shell) -> Ended {
    let metrics = ["--package", "tokengate", "--features", "metrics"];
    cmd!(sh, "cargo test {metrics...} --test metrics").run()?;
    cmd!(sh, "cargo test {metrics...} --doc metrics").run()?;
    if has_component(sh, "clippy") {
        cmd!(
            sh,
            "cargo clippy {metrics...} --all-targets -- --deny warnings"
        )
        .run()?;
    }
    Ok(Done::Passed)
}

fn docs(sh: &Shell) -> Ended {
    cmd!(sh, "cargo doc --workspace --no-deps")
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .run()?;
    Ok(Done::Passed)
}

fn models(sh: &Shell) -> Ended {
    if loom::suites()?.is_empty() {
        return Ok(Done::Skipped("no tests/loom_*.rs yet".into()));
    }
    passed(loom::run(sh, LOOM_BOUND))
}

/// The compile-error tests compare the compiler's words, which differ from one version to the next.
fn ui(sh: &Shell) -> Ended {
    let files = source::files()?;
    let suites = Suites::find(&files, |name| name.split('_').any(|word| word == "ui"));
    if suites.is_empty() {
        return Ok(Done::Skipped("no tests/ui.rs or tests/ui_*.rs yet".into()));
    }
    let pinned = pinned_compiler(&files).ok_or("Cargo.toml does not name its rust-version")?;
    let compiler = cmd!(sh, "rustc --version").quiet().read()?;
    if !compiler.starts_with(&format!("rustc {pinned}.")) {
        return Ok(Done::Skipped(format!(
            "the cases are for rustc {pinned}, this is {compiler}"
        )));
    }
    let (packages, tests) = (suites.packages(), suites.tests());
    cmd!(sh, "cargo test {packages...} {tests...}")
        .env("TOKENGATE_UI_TESTS", "1")
        .run()?;
    Ok(Done::Passed)
}

fn has_component(sh: &Shell, name: &str) -> bool {
    let version = cmd!(sh, "cargo {name} --version");
    version
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok()
}

fn pinned_compiler(files: &[source::SourceFile]) -> Option<&str> {
    let manifest = files.iter().find(|file| file.path == "Cargo.toml")?;
    let version = manifest
        .text
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))?;
    version.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_shows_how_each_step_ended() {
        let elapsed = Duration::from_millis(1_250);
        let line = |result| summary("docs", &result, elapsed);
        assert_eq!(line(Ok(Done::Passed)), "docs          1.2 s  passed");
        assert!(line(Ok(Done::Skipped("why".into()))).ends_with("skipped: why"));
        assert!(line(Err("broken".into())).ends_with("FAILED: broken"));
    }

    #[test]
    fn the_pinned_compiler_is_that_of_the_root_manifest() {
        let files = source::files().unwrap();
        let pinned = pinned_compiler(&files).unwrap();
        assert!(pinned.starts_with("1."), "{pinned}");
    }
}
