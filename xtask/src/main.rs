//! Entry of `cargo xtask`: names the commands and hands over to one file for each.
//!
//! Called by developers and by `.ci/run` through the alias in `.cargo/config.toml`. Every command is a
//! file with one `run`; a command that fails makes the exit status 1. Nothing of the project is linked
//! in here, so that the tasks build in seconds and work while a crate does not compile.

mod bench;
mod ci;
mod layering;
mod loom;
mod sanitize;
mod source;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xshell::Shell;

/// What a command returns: nothing, or an error whose message names the remedy.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure: builds the harness in release mode and passes all arguments on to it
    #[command(disable_help_flag = true)]
    Bench {
        /// Scenarios and options of the harness
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run what CI runs: tests, format, lints, docs, layers, tidiness, models, compile errors
    Ci {
        /// Leave out `cargo test --workspace`, for a caller that has just run it
        #[arg(long)]
        skip_tests: bool,
    },
    /// Check that dependencies point one way and that crates stay within their means
    Layering,
    /// Run the loom suites
    Loom {
        /// Most preemptions that loom explores in one execution
        #[arg(long, default_value_t = loom::USUAL_BOUND)]
        bound: u32,
    },
    /// Run the tests under a sanitizer; needs a nightly toolchain
    Sanitize {
        /// What to look for
        #[arg(value_enum, default_value_t = sanitize::Sanitizer::Address)]
        sanitizer: sanitize::Sanitizer,
        /// Packages to test; default: all crates of the runtime
        #[arg(short, long = "package")]
        packages: Vec<String>,
    },
    /// Check the house rules that no compiler knows
    Tidy,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome {
    let sh = Shell::new()?;
    sh.change_dir(source::root());
    match command {
        Command::Bench { args } => bench::run(&sh, &args),
        Command::Ci { skip_tests } => ci::run(&sh, skip_tests),
        Command::Layering => layering::run(&sh),
        Command::Loom { bound } => loom::run(&sh, bound),
        Command::Sanitize {
            sanitizer,
            packages,
        } => sanitize::run(&sh, sanitizer, packages),
        Command::Tidy => tidy::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bench_passes_every_argument_on() {
        let line = ["xtask", "bench", "submit", "--quick", "--help"];
        let Command::Bench { args } = Cli::try_parse_from(line).unwrap().command else {
            panic!("not the bench command");
        };
        assert_eq!(args, ["submit", "--quick", "--help"]);
    }

    #[test]
    fn bench_passes_a_leading_option_on() {
        let line = ["xtask", "bench", "--json", "out.json"];
        let Command::Bench { args } = Cli::try_parse_from(line).unwrap().command else {
            panic!("not the bench command");
        };
        assert_eq!(args, ["--json", "out.json"]);
    }
}
