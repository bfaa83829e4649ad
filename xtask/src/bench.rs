//! `cargo xtask bench`: builds the harness in release mode and runs it with the given arguments.
//!
//! Called by `main.rs`. The harness owns every option, so that its own `--help` tells the truth; the
//! exit status tells whether the harness found a fault. One option is read here too, because it decides
//! what is built: the allocator. Measures nothing itself.

use xshell::{Shell, cmd};

use crate::Outcome;

pub(crate) fn run(sh: &Shell, args: &[String]) -> Outcome {
    let features: &[&str] = match allocator(args) {
        Some("mimalloc") => &["--features", "mimalloc"],
        _ => &[],
    };
    cmd!(
        sh,
        "cargo run --release -q -p tokengate-bench --bin tokengate-bench {features...} -- {args...}"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// The value of `--allocator`, in both its spellings; the harness refuses one that it does not know.
fn allocator(args: &[String]) -> Option<&str> {
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if arg == "--allocator" {
            return args.next();
        }
        if let Some(value) = arg.strip_prefix("--allocator=") {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_allocator_in_both_spellings() {
        let found = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            allocator(&args).map(str::to_owned)
        };
        assert_eq!(
            found("waves --allocator mimalloc").as_deref(),
            Some("mimalloc")
        );
        assert_eq!(
            found("--allocator=system --quick").as_deref(),
            Some("system")
        );
        assert_eq!(found("waves --quick"), None);
    }
}
