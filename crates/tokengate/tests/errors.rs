//! `?` on a token's outcome, into `anyhow::Result` and `Box<dyn Error>`, for the usual errors.

mod common;

use std::error::Error;
use std::io;

use common::{outcome, small_gate};
use tokengate::{Gate, TokenError};

/// A body that cannot fail, one with `io::Error`, one with `anyhow::Error`: the first failure.
fn into_anyhow(gate: &Gate, fail: &'static str) -> anyhow::Result<u32> {
    let plain = outcome(gate.spawn("plain", move || {
        assert_ne!(fail, "panic", "as asked");
        1
    }))?;
    let io = outcome(gate.try_spawn("io", move || match fail {
        "io" => Err(io::Error::new(io::ErrorKind::NotFound, "no such page")),
        _ => Ok(2),
    }))?;
    let any = outcome(gate.try_spawn("any", move || match fail {
        "anyhow" => Err(anyhow::anyhow!("inner").context("outer")),
        _ => Ok(3),
    }))?;
    Ok(plain + io + any)
}

/// The same into a boxed error.
fn into_box(gate: &Gate, fail: &'static str) -> Result<u32, Box<dyn Error>> {
    let plain = outcome(gate.spawn("plain", move || {
        assert_ne!(fail, "panic", "as asked");
        1
    }))?;
    let io = outcome(gate.try_spawn("io", move || match fail {
        "io" => Err(io::Error::new(io::ErrorKind::NotFound, "no such page")),
        _ => Ok(2),
    }))?;
    let any = outcome(gate.try_spawn("any", move || match fail {
        "anyhow" => Err(anyhow::anyhow!("inner").context("outer")),
        _ => Ok(3),
    }))?;
    Ok(plain + io + any)
}

#[test]
fn into_anyhow_keeps_the_bodys_error() {
    let gate = small_gate();
    assert_eq!(into_anyhow(&gate, "nothing").unwrap(), 6);

    let error = into_anyhow(&gate, "panic").unwrap_err();
    let typed = error.downcast_ref::<TokenError>().unwrap();
    assert!(matches!(typed, TokenError::Panicked(_)), "{typed:?}");

    let error = into_anyhow(&gate, "io").unwrap_err();
    let typed = error.downcast::<TokenError<io::Error>>().unwrap();
    let io = typed.into_failed().expect("the body's own error");
    assert_eq!(io.kind(), io::ErrorKind::NotFound);

    let error = into_anyhow(&gate, "anyhow").unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("outer") && text.contains("inner"), "{text}");
}

#[test]
fn into_a_boxed_error_names_operation_and_cause() {
    let gate = small_gate();
    assert_eq!(into_box(&gate, "nothing").unwrap(), 6);
    for (fail, part) in [
        ("panic", "`plain`"),
        ("panic", "as asked"),
        ("io", "no such page"),
        ("anyhow", "outer"),
    ] {
        let text = into_box(&gate, fail).unwrap_err().to_string();
        assert!(text.contains(part), "{fail}: {text}");
    }
}

#[test]
fn a_body_may_use_question_marks_itself() {
    #[tokengate::task_token_guard(operation_type = "parse")]
    fn parse(text: String) -> anyhow::Result<u32> {
        let number: u32 = text.parse()?;
        anyhow::ensure!(number > 0, "nothing to do");
        Ok(number)
    }
    let gate = small_gate();
    let _entered = gate.enter();
    assert_eq!(outcome(parse("7".into())).unwrap(), 7);
    let error = outcome(parse("seven".into())).unwrap_err();
    let inner = error.into_failed().expect("the body's own error");
    assert!(inner.is::<std::num::ParseIntError>());
    let error = outcome(parse("0".into())).unwrap_err();
    assert!(error.to_string().contains("nothing to do"), "{error}");
}

#[test]
fn a_kill_says_who_and_why() {
    let gate = small_gate();
    let held = common::Held::new(&gate.handle(), "hold");
    let token = gate.spawn("report", || ());
    token.kill("the reader went away");
    let error = outcome(token).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`report`"), "{text}");
    assert!(text.contains("the reader went away"), "{text}");
    held.release();
}
