//! `cargo xtask bench`: builds the harness in release mode and runs it with the given arguments.
//!
//! Called by `main.rs`. The harness owns every option, so that its own `--help` tells the truth; the
//! exit status is that of the harness. Measures nothing itself.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(sh: &Shell, args: &[String]) -> Outcome {
    cmd!(sh, "cargo run --release -q -p tokengate-bench -- {args...}")
        .quiet()
        .run()?;
    Ok(())
}
