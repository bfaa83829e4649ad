//! `cargo xtask loom`: explores the interleavings of each protocol with the loom suites.
//!
//! Called by `main.rs`, and by `ci.rs` at a low bound. A suite is a file `tests/loom_*.rs` under
//! `#![cfg(tokengate_loom)]`, found by its name. The switch is the project's own cfg: `--cfg loom` would
//! turn dependencies over to loom as well. Builds into a folder of its own, because of the flags.

use std::io;

use xshell::{Shell, cmd};

use crate::Outcome;
use crate::source::{self, Suites};

/// The bound that finds nearly all faults of a protocol within minutes.
pub(crate) const USUAL_BOUND: u32 = 3;

pub(crate) fn run(sh: &Shell, bound: u32) -> Outcome {
    let suites = suites()?;
    if suites.is_empty() {
        println!("no loom suites: no tests/loom_*.rs in any crate");
        return Ok(());
    }
    let target = source::target_dir("loom");
    let (packages, tests) = (suites.packages(), suites.tests());
    // Link-time optimisation would take longer than it saves; the protocols' assertions stay on.
    cmd!(
        sh,
        "cargo test --release --target-dir {target} {packages...} {tests...}"
    )
    .env("RUSTFLAGS", "--cfg tokengate_loom")
    .env("LOOM_MAX_PREEMPTIONS", bound.to_string())
    .env("CARGO_PROFILE_RELEASE_LTO", "off")
    .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
    .run()?;
    Ok(())
}

/// The suites of all crates.
pub(crate) fn suites() -> io::Result<Suites> {
    let is_model = |name: &str| name.starts_with("loom_");
    Ok(Suites::find(&source::files()?, is_model))
}
