//! `cargo xtask sanitize`: the test suites under AddressSanitizer, LeakSanitizer or ThreadSanitizer.
//!
//! Called by `main.rs`; not part of CI, because it needs a nightly toolchain. Address and leak checks
//! run with `--cfg tokengate_no_recycle`, so that a recycled cell cannot hide a use after free. Doc
//! tests are left out: rustdoc does not take part in the instrumentation.

use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::Outcome;
use crate::source;

/// What to look for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Use after free, overflow, double free; leaks as well where the platform can
    Address,
    /// Memory that nothing points to any more
    Leak,
    /// Data races; fences are not modelled, so that loom has the last word on protocols
    Thread,
}

/// The runtime; the macro crate runs in the compiler, the harness holds no code of its own to check.
const CRATES: &[&str] = &[
    "tokengate-token",
    "tokengate-anchor",
    "tokengate-scheduler",
    "tokengate",
];

pub(crate) fn run(sh: &Shell, sanitizer: Sanitizer, packages: Vec<String>) -> Outcome {
    let Ok(compiler) = cmd!(sh, "rustc +nightly --version --verbose")
        .quiet()
        .ignore_stderr()
        .read()
    else {
        let remedy = "install one with `rustup toolchain install nightly`";
        return Err(format!("no nightly toolchain, which sanitizers need; {remedy}").into());
    };
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc +nightly does not name its host")?;
    let packages = if packages.is_empty() {
        let exists = |name: &&&str| source::root().join("crates").join(name).exists();
        CRATES
            .iter()
            .filter(exists)
            .map(|&name| name.to_owned())
            .collect()
    } else {
        packages
    };
    let packages = packages.iter().flat_map(|name| ["--package", name]);
    let target = source::target_dir(sanitizer.name());
    // Only a build with an explicit target leaves build scripts and macros without instrumentation.
    cmd!(
        sh,
        "cargo +nightly test --target {host} --target-dir {target} {packages...} --lib --tests"
    )
    .env("RUSTFLAGS", sanitizer.flags())
    .env("TSAN_OPTIONS", suppressions())
    .run()?;
    Ok(())
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Leak => "leak",
            Self::Thread => "thread",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Self::Address => "-Zsanitizer=address --cfg tokengate_no_recycle",
            Self::Leak => "-Zsanitizer=leak --cfg tokengate_no_recycle",
            // The standard library comes without instrumentation, hence the ABI exception; crossbeam
            // replaces its fences by operations that the sanitizer knows.
            Self::Thread => {
                "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer \
                 --cfg crossbeam_sanitize --cfg crossbeam_sanitize_thread"
            }
        }
    }
}

/// Races reported only because the standard library and crossbeam's deque are not instrumented.
fn suppressions() -> String {
    let file = source::root().join("xtask").join("tsan.suppressions");
    format!("suppressions={}", file.display())
}
