//! The binary: the built-in contenders under the options of the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokengate_bench::Bench::new().main()
}
