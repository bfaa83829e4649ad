//! The hidden subcommand that reads a contender's memory, as the scenario `scale` calls it.
//!
//! Each reading is a process of this crate's binary. What it prints is checked for shape, not for size.

use std::process::{Command, Output};

fn resident(contender: &str, held: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tokengate-bench"))
        .args(["resident", contender, "5000", held])
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(contender: &str, held: &str) {
    let output = resident(contender, held);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{contender}, {held}: {said}");
    if cfg!(target_os = "linux") {
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for figure in ["start_bytes", "held_bytes", "dropped_bytes"] {
            assert!(line[figure].as_u64().unwrap() > 0, "{contender}: {line}");
        }
    }
}

#[test]
fn contenders_hold_tokens_that_have_run() {
    for contender in ["tokengate", "tokio", "rayon-spawn", "async-executor"] {
        succeeds(contender, "executed");
    }
}

#[test]
fn ours_holds_tokens_that_have_not_started() {
    succeeds("tokengate", "unstarted");
}

#[test]
fn an_unknown_contender_is_refused() {
    let output = resident("nobody", "executed");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no contender nobody"));
}
