//! What a token gives when it gives no value, and how that goes through `?`.

mod common;

use std::convert::Infallible;
use std::error::Error;
use std::io;

use common::OP;
use tokengate_token::{Body, Fallible, NoHome, Plain, RejectCause, Token, TokenError, create};

fn done<B: Body>(body: B) -> Token<B::Output, B::Error> {
    let (token, runnable) = create(&OP, body);
    let _ = runnable.run(&NoHome::shared());
    token
}

fn io_error() -> Result<u8, io::Error> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no file"))
}

#[test]
fn the_question_mark_works_into_boxes_and_anyhow() {
    fn boxed() -> Result<u8, Box<dyn Error>> {
        let sum =
            done(Plain::new(|| 1)).get()? + done(Fallible::new(|| Ok::<_, io::Error>(2))).get()?;
        let more = done(Fallible::new(|| anyhow::Ok(3))).get()?;
        Ok(sum + more)
    }
    fn shared() -> Result<u8, Box<dyn Error + Send + Sync>> {
        Ok(done(Fallible::new(io_error)).get()?)
    }
    fn any() -> anyhow::Result<u8> {
        let sum = done(Plain::new(|| 1)).get()? + done(Fallible::new(|| anyhow::Ok(2))).get()?;
        Ok(sum + done(Fallible::new(io_error)).get()?)
    }
    assert_eq!(boxed().unwrap(), 6);
    assert!(
        shared()
            .unwrap_err()
            .downcast::<TokenError<io::Error>>()
            .is_ok()
    );
    let error = any().unwrap_err();
    assert!(matches!(
        error.downcast_ref::<TokenError<io::Error>>(),
        Some(TokenError::Failed(error)) if error.kind() == io::ErrorKind::NotFound
    ));
}

#[test]
fn the_bodys_error_is_handed_over_as_it_is() {
    let failed = done(Fallible::new(io_error)).get().unwrap_err();
    assert_eq!(failed.to_string(), "the body failed: no file");
    assert_eq!(
        failed.into_failed().unwrap().kind(),
        io::ErrorKind::NotFound
    );

    let body = || -> anyhow::Result<u8> { Err(anyhow::anyhow!("cause").context("outer")) };
    let failed = done(Fallible::new(body)).get().unwrap_err();
    assert_eq!(format!("{failed}"), "the body failed: outer: cause");
    assert_eq!(format!("{failed:#}"), "the body failed: outer: cause");
    assert_eq!(
        failed.into_failed().unwrap().root_cause().to_string(),
        "cause"
    );

    let panicked = done(Plain::new(|| panic!("expected"))).get();
    assert!(
        panicked
            .map(|_: ()| ())
            .unwrap_err()
            .into_failed()
            .is_none()
    );
}

#[test]
fn refusals_say_why_and_what_to_do() {
    let causes = [
        (
            RejectCause::Full { capacity: 8 },
            "all 8 places",
            "raise the capacity",
        ),
        (
            RejectCause::ShutDown,
            "shut down",
            "submit before the shutdown",
        ),
        (
            RejectCause::NotStarted("no threads".into()),
            "(no threads)",
            "enter a gate",
        ),
    ];
    for (cause, why, remedy) in causes {
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        runnable.reject(cause.clone());
        let error: TokenError<Infallible> = token.get().unwrap_err();
        let text = error.to_string();
        for part in ["`test.operation`", why, remedy] {
            assert!(text.contains(part), "{text:?} has no {part:?}");
        }
        let TokenError::Rejected(rejection) = error else {
            panic!("it was rejected");
        };
        assert_eq!(rejection.cause(), &cause);
    }
}
