//! What a guarded function does when it is called, requested and run, for every kind of signature that may be guarded.
//!
//! Expands against the mock runtime, where the body runs in `get`. Faulty signatures are in `ui.rs` and in the unit tests.

mod mock;

use std::io;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mock::__private::{Infallible, Operation, Retry, Token, Weight};
use std::time::Duration;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "double", crate = crate::mock)]
fn double(n: u64) -> u64 {
    n * 2
}

#[test]
fn a_call_gives_a_token_and_runs_nothing() {
    #[task_token_guard(operation_type = "count", crate = crate::mock)]
    fn count(calls: Arc<AtomicU64>) -> u64 {
        calls.fetch_add(1, Ordering::Relaxed)
    }

    let calls = Arc::new(AtomicU64::new(0));
    let token = count(calls.clone());
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(token.get(), Ok(0));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn call_request_and_run_give_the_same() {
    assert_eq!(double(21).get(), Ok(42));
    assert_eq!(double::request(21).submit().get(), Ok(42));
    assert_eq!(double::run(21), 42);
}

#[test]
fn the_operation_has_the_limits_of_the_attribute() {
    #[task_token_guard(operation_type = "a", tags(timeout = "250ms", ttl = "5s"), crate = crate::mock)]
    fn short() {}
    #[task_token_guard(operation_type = "b", tags(ttl = "2h", timeout = "03m"), crate = crate::mock)]
    fn long() {}

    let of = |operation: &Operation| (operation.timeout, operation.ttl);
    let limits = [
        of(double(1).operation()),
        of(short().operation()),
        of(long().operation()),
    ];
    let seconds = Duration::from_secs;
    let expected = [
        (None, None),
        (Some(Duration::from_millis(250)), Some(seconds(5))),
        (Some(seconds(180)), Some(seconds(7_200))),
    ];
    assert_eq!(limits, expected);
}

#[test]
fn the_operation_has_the_retries_of_the_attribute() {
    #[task_token_guard(operation_type = "a", tags(retry(attempts = 2)), crate = crate::mock)]
    fn few() -> Result<(), ()> {
        Ok(())
    }
    #[task_token_guard(operation_type = "b", tags(retry(jitter, backoff = "0ms", on_panic, attempts = 1_000,)), crate = crate::mock)]
    fn many() {}

    let of = |operation: &Operation| operation.retry;
    assert_eq!(of(double(1).operation()), None);
    assert_eq!(of(few().operation()), Some(Retry::new(2)));
    let many = of(many().operation());
    let expected = Retry::new(1_000)
        .with_backoff(Duration::ZERO)
        .with_jitter()
        .on_panic();
    assert_eq!(many, Some(expected));
}

#[test]
fn a_body_that_runs_again_has_clones_of_its_arguments_but_the_last_time() {
    #[task_token_guard(operation_type = "a", tags(retry(attempts = 3)), crate = crate::mock)]
    fn owners(owned: Arc<()>, mut seen: Arc<Mutex<Vec<usize>>>) -> Result<(), usize> {
        let owners = Arc::strong_count(&owned);
        let noted = &mut seen;
        noted.lock().unwrap().push(owners);
        Err(owners)
    }
    #[task_token_guard(operation_type = "b", tags(sticky, key(seen), retry(attempts = 3)), crate = crate::mock)]
    async fn later<T: Send + Sync + 'static>(owned: Arc<T>, seen: u8) -> Result<u8, usize> {
        match Arc::strong_count(&owned) {
            2 => Ok(seen),
            owners => Err(owners),
        }
    }

    let (owned, seen) = (Arc::new(()), Arc::default());
    // The test's, the kept one, and the attempt's; the last attempt has the kept one.
    assert_eq!(owners(owned.clone(), Arc::clone(&seen)).get(), Err(2));
    assert_eq!(*seen.lock().unwrap(), [3, 3, 2]);
    assert_eq!(later(owned.clone(), 7).get(), Ok(7));
    assert_eq!(later::request(owned.clone(), 8).submit().get(), Ok(8));
    assert_eq!(owners::run(owned, seen), Err(1));
}

#[test]
fn the_operation_has_the_permits_of_the_attribute() {
    #[task_token_guard(operation_type = "a", tags(limit = 4), crate = crate::mock)]
    fn own() {}
    #[task_token_guard(operation_type = "b", tags(limit("group", 8), blocking), crate = crate::mock)]
    fn shared() {}
    #[task_token_guard(operation_type = "c", tags(storage_speed = "moderate"), crate = crate::mock)]
    fn storage() {}

    let of = |operation: &Operation| (operation.limit, operation.blocking);
    assert_eq!(of(double(1).operation()), (None, false));
    assert_eq!(of(own().operation()), (Some((None, 4)), false));
    assert_eq!(of(shared().operation()), (Some((Some("group"), 8)), true));
    let moderate = Some((Some("storage.moderate"), 25));
    assert_eq!(of(storage().operation()), (moderate, true));
}

#[test]
fn the_operation_has_the_label_and_the_weight_of_the_attribute() {
    #[task_token_guard(operation_type = "lift", tags(weight = "heavy"), crate = crate::mock)]
    fn heavy() {}
    #[task_token_guard(operation_type = "blow", tags(weight = "light",), crate = crate::mock)]
    fn light() {}

    assert_eq!(double::operation().label, "double");
    assert_eq!(double::operation().weight, Weight::Medium);
    assert_eq!(
        (heavy::operation().label, &heavy::operation().weight),
        ("lift", &Weight::Heavy)
    );
    assert_eq!(
        (light::operation().label, &light::operation().weight),
        ("blow", &Weight::Light)
    );
    for (token, operation) in [(heavy(), heavy::operation()), (light(), light::operation())] {
        assert!(std::ptr::eq(token.operation(), operation));
    }
}

#[test]
fn without_a_return_type_the_token_is_of_unit() {
    #[task_token_guard(operation_type = "nothing", tags(), crate = crate::mock)]
    fn nothing() {}

    let token: Token<()> = nothing();
    assert_eq!(token.get(), Ok(()));
}

#[test]
fn a_result_gives_a_token_with_its_error_type() {
    #[task_token_guard(operation_type = "parse", crate = crate::mock)]
    fn parse(text: String) -> Result<u64, ParseIntError> {
        let n: u64 = text.parse()?;
        Ok(n)
    }
    #[task_token_guard(operation_type = "read", crate = crate::mock)]
    fn read(fails: bool) -> io::Result<u8> {
        if fails {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(1)
    }

    let token: Token<u64, ParseIntError> = parse("7".into());
    assert_eq!(token.get(), Ok(7));
    assert!(parse::request("x".into()).submit().get().is_err());
    let token: Token<u8, io::Error> = read(true);
    assert_eq!(token.get().unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn the_flag_fallible_opens_a_result_of_another_name() {
    type Outcome<E> = Result<u64, E>;

    #[task_token_guard(operation_type = "closed", crate = crate::mock)]
    fn closed() -> Outcome<String> {
        Err("no".into())
    }
    #[task_token_guard(operation_type = "open", tags(fallible), crate = crate::mock)]
    fn open() -> Outcome<String> {
        Err("no".into())
    }

    let token: Token<Result<u64, String>> = closed();
    assert_eq!(token.get(), Ok(Err("no".into())));
    let token: Token<u64, String> = open();
    assert_eq!(token.get(), Err("no".into()));
}

#[test]
fn an_async_body_starts_with_the_token_and_not_with_the_call() {
    #[task_token_guard(operation_type = "add", crate = crate::mock)]
    async fn add(sum: Arc<AtomicU64>, n: u64) -> u64 {
        std::future::ready(()).await;
        sum.fetch_add(n, Ordering::Relaxed) + n
    }
    #[task_token_guard(operation_type = "fail", crate = crate::mock)]
    async fn fail(code: u8) -> Result<(), u8> {
        std::future::ready(Err(code)).await?;
        Ok(())
    }

    let sum = Arc::new(AtomicU64::new(1));
    let token: Token<u64> = add(sum.clone(), 2);
    assert_eq!(sum.load(Ordering::Relaxed), 1);
    assert_eq!(token.get(), Ok(3));
    let token: Token<(), u8> = fail(9);
    assert_eq!(token.get(), Err(9));
    assert_eq!(fail::request(8).submit().get(), Err(8));
}

#[test]
fn generic_functions_keep_their_parameters_and_bounds() {
    #[task_token_guard(operation_type = "widen", crate = crate::mock)]
    fn widen<T: Send + 'static, U, const N: usize>(values: [T; N]) -> Vec<U>
    where
        U: From<T> + Send + 'static,
    {
        values.into_iter().map(U::from).collect()
    }
    #[task_token_guard(operation_type = "apply", crate = crate::mock)]
    async fn apply<F: Fn(&str) -> R + Send + 'static, R: Send + 'static>(
        work: F,
    ) -> Result<R, String> {
        Ok(work("owned"))
    }

    assert_eq!(widen::<u8, u64, 2>([1, 2]).get(), Ok(vec![1, 2]));
    assert_eq!(
        widen::request::<u8, u16, 1>([3]).submit().get(),
        Ok(vec![3])
    );
    assert_eq!(widen::run::<_, u32, 0>([0_u8; 0]), Vec::<u32>::new());
    assert_eq!(apply(str::len).get(), Ok(5));
}

#[test]
fn a_call_in_the_own_body_gives_a_token() {
    #[task_token_guard(operation_type = "factorial", crate = crate::mock)]
    fn factorial(n: u64) -> u64 {
        if n == 0 {
            return 1;
        }
        let rest: Token<u64> = factorial(n - 1);
        match rest.get() {
            Ok(rest) => n * rest,
        }
    }

    assert_eq!(factorial(5).get(), Ok(120));
}

#[test]
fn mut_arguments_are_mutable_in_the_body() {
    #[task_token_guard(operation_type = "push", crate = crate::mock)]
    fn push(
        mut list: Vec<u8>,
        #[allow(unused_mut, reason = "what is tested")] mut n: u8,
    ) -> Vec<u8> {
        list.push(n);
        list
    }

    assert_eq!(push(vec![1], 2).get(), Ok(vec![1, 2]));
}

#[test]
fn owned_types_that_mention_references_pass() {
    type Rule = Box<dyn for<'a> Fn(&'a str) -> &'a str + Send>;

    #[task_token_guard(operation_type = "owned", crate = crate::mock)]
    fn owned(
        name: &'static str,
        pick: fn(&str) -> &str,
        rule: Rule,
        more: Box<dyn Fn(&u8) -> u8 + Send>,
    ) -> &'static str {
        assert_eq!((pick(name), rule(name), more(&1)), (name, name, 1));
        name
    }

    assert_eq!(
        owned("n", |name| name, Box::new(|name| name), Box::new(|n| *n)).get(),
        Ok("n")
    );
}

/// The return type of a function in whose module the primitive types are shadowed.
type Shadowless = u32;

#[test]
fn names_in_the_users_scope_change_nothing() {
    mod shadows {
        #![expect(
            dead_code,
            non_camel_case_types,
            unused_macros,
            reason = "names that an expansion may not use"
        )]
        pub(super) struct Result;
        struct Option;
        struct Token;
        struct Request;
        struct Send;
        struct Infallible;
        struct u64;
        mod core {}
        mod std {}
        fn call() {}
        fn request() {}
        macro_rules! panic {
            () => {};
        }

        #[super::task_token_guard(operation_type = "odd", crate = crate::mock)]
        pub(super) fn odd(operation: u8, token: u8, body: u8, run: u8, odd: u8, call: u8) -> u8 {
            operation + token + body + run + odd + call
        }
        #[super::task_token_guard(operation_type = "even", crate = crate::mock)]
        pub(super) fn even() -> super::Shadowless {
            4
        }
    }

    assert_eq!(shadows::odd(1, 2, 3, 4, 5, 6).get(), Ok(21));
    assert_eq!(shadows::even().get(), Ok(4));
    let _ = shadows::Result;
}

#[test]
fn the_associated_functions_are_as_visible_as_the_function() {
    mod the_module {
        pub(super) mod inner {
            use crate::task_token_guard;

            #[task_token_guard(operation_type = "shared", crate = crate::mock)]
            pub(in super::super) fn shared(n: u64) -> u64 {
                n
            }
        }

        #[super::task_token_guard(operation_type = "private", crate = super::mock)]
        fn private() -> u64 {
            3
        }

        pub(super) fn call_private() -> u64 {
            let Ok(n) = private().get();
            n
        }
    }

    assert_eq!(the_module::inner::shared(1).get(), Ok(1));
    assert_eq!(the_module::inner::shared::run(2), 2);
    assert_eq!(the_module::call_private(), 3);
}

#[test]
fn attributes_go_where_they_mean_something() {
    #[task_token_guard(operation_type = "conditional", crate = crate::mock)]
    #[cfg(any())]
    fn conditional() -> NoSuchType {}
    #[task_token_guard(operation_type = "conditional", crate = crate::mock)]
    #[cfg(not(any()))]
    fn conditional() -> u8 {
        1
    }
    #[cfg_attr(all(), task_token_guard(operation_type = "attributed", crate = crate::mock))]
    #[cfg_attr(all(), doc = "Documented.", inline, cfg(not(any())))]
    #[must_use]
    #[track_caller]
    fn attributed() -> u32 {
        std::panic::Location::caller().line()
    }

    assert_eq!(conditional().get(), Ok(1));
    let token: Token<u32> = attributed();
    let line = attributed::run();
    assert_eq!(line, line!() - 1);
    assert!(token.get().is_ok());
}

#[test]
fn functions_made_by_a_macro_can_be_guarded() {
    macro_rules! guarded {
        ($visibility:vis $name:ident($argument:ident: $ty:ty) -> $result:ty $code:block) => {
            #[task_token_guard(operation_type = "made", crate = crate::mock)]
            $visibility fn $name($argument: $ty) -> $result $code
        };
    }
    guarded!(pub(crate) made(n: u64) -> Result<u64, String> { Ok(n) });

    let token: Token<u64, String> = made(4);
    assert_eq!(token.get(), Ok(4));
}

#[test]
fn raw_names_work() {
    #[task_token_guard(operation_type = "match", crate = crate::mock)]
    fn r#match(r#in: u8) -> u8 {
        r#in
    }

    assert_eq!(r#match(1).get(), Ok(1));
    assert_eq!(r#match::operation().label, "match");
}

#[test]
fn the_error_of_an_infallible_token_needs_no_arm() {
    let Ok(n): Result<u64, Infallible> = double(1).get();
    assert_eq!(n, 2);
}
