//! Sticky keys and leads: what a call's key is made of and when, and what the operation says of both.
//!
//! Expands against the mock runtime, whose keys can be made anew from a name and the parts. Faulty tags are in `ui.rs` and in
//! the unit tests.

mod mock;

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mock::__private::{Key, Token};
use tokengate_macros::task_token_guard;

/// An argument of which only a part is hashed.
struct Order {
    id: u64,
    lines: Vec<String>,
}

fn order(id: u64) -> Order {
    Order {
        id,
        lines: vec!["tea".into()],
    }
}

/// The call and the request have this key.
#[track_caller]
fn keyed<T, E>(calls: [Token<T, E>; 2], key: Key) {
    let keys = calls.map(|token| token.key());
    assert_eq!(keys, [Some(key); 2]);
}

#[test]
fn without_a_tag_that_asks_for_it_a_call_has_no_key() {
    #[task_token_guard(operation_type = "plain", tags(external_calls = ["plain"]), crate = crate::mock)]
    fn plain(_order: Order) {}

    assert_eq!(plain(order(1)).key(), None);
    assert_eq!(plain::request(order(1)).submit().key(), None);
}

#[test]
fn a_sticky_key_is_the_label_and_all_arguments() {
    #[task_token_guard(operation_type = "greet", tags(sticky), crate = crate::mock)]
    fn greet(name: String, times: u8) -> String {
        name.repeat(times.into())
    }
    #[task_token_guard(operation_type = "tick", tags(sticky), crate = crate::mock)]
    fn tick() {}

    let calls = [greet("a".into(), 2), greet::request("a".into(), 2).submit()];
    keyed(calls, Key::of("greet", ("a", 2_u8)));
    keyed([tick(), tick::request().submit()], Key::of("tick", ()));
    assert_eq!(greet("a".into(), 2).get(), Ok("aa".into()));
    assert_eq!(greet::operation().sticky_anchor, None);
    assert!(!greet::operation().serial);
}

#[test]
fn operations_of_one_anchor_have_keys_in_common() {
    #[task_token_guard(operation_type = "debit", tags(sticky_anchor = "accounts"), crate = crate::mock)]
    fn debit(_account: u64) {}
    #[task_token_guard(operation_type = "credit", tags(serial, key(account), sticky_anchor = "accounts"), crate = crate::mock)]
    fn credit(account: u64, _amount: f64) {
        let _ = account;
    }

    let key = Key::of("accounts", 7_u64);
    keyed([debit(7), debit::request(7).submit()], key);
    keyed([credit(7, 0.5), credit::request(7, 0.5).submit()], key);
    assert_eq!(debit::operation().sticky_anchor, Some("accounts"));
    assert!(!debit::operation().serial);
    assert_eq!(credit::operation().sticky_anchor, Some("accounts"));
    assert!(credit::operation().serial);
}

#[test]
fn serial_alone_gives_a_key_under_the_label() {
    #[task_token_guard(operation_type = "append", tags(serial), crate = crate::mock)]
    fn append(_line: String) {}

    let calls = [append("a".into()), append::request("a".into()).submit()];
    keyed(calls, Key::of("append", "a"));
    assert!(append::operation().serial);
    assert_eq!(append::operation().sticky_anchor, None);
}

#[test]
fn the_parts_of_a_key_are_any_expressions_over_the_arguments() {
    const SHARDS: u64 = 4;

    #[task_token_guard(
        operation_type = "ship",
        tags(
            sticky,
            key(
                order.id,
                order.id % SHARDS,
                order.lines.len() as u8,
                name,
                name.as_str(),
                &order.lines[0],
                *flag,
                n == 3,
                -i64::from(n),
                0..n,
                if *flag { Some(n) } else { None }
            )
        ),
        crate = crate::mock
    )]
    fn ship(mut order: Order, name: String, flag: Arc<bool>, n: u8) -> usize {
        order.lines.push(name);
        order.lines.len() + usize::from(n) + usize::from(*flag)
    }

    let parts = (
        (6_u64, 2_u64, 1_u8, "milk", "milk", "tea"),
        (true, true, -3_i64, 0..3_u8, Some(3_u8)),
    );
    let call = || ship(order(6), "milk".into(), Arc::new(true), 3);
    let request = ship::request(order(6), "milk".into(), Arc::new(true), 3);
    keyed([call(), request.submit()], Key::of("ship", parts));
    assert_eq!(call().get(), Ok(6));
}

#[test]
fn a_key_without_parts_is_one_for_all_calls() {
    #[task_token_guard(operation_type = "log", tags(serial, key()), crate = crate::mock)]
    fn log(_order: Order) {}

    let calls = [log(order(1)), log::request(order(2)).submit()];
    keyed(calls, Key::of("log", ()));
}

#[test]
fn async_and_fallible_functions_have_keys_too() {
    #[task_token_guard(operation_type = "load", tags(sticky), crate = crate::mock)]
    async fn load(mut name: String) -> String {
        std::future::ready(()).await;
        name.push('!');
        name
    }
    #[task_token_guard(operation_type = "parse", tags(sticky, key(text.len())), crate = crate::mock)]
    fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
        text.parse()
    }
    #[task_token_guard(operation_type = "fetch", tags(serial), crate = crate::mock)]
    async fn fetch(id: u64) -> Result<u64, u64> {
        Err(std::future::ready(id).await)
    }

    assert_eq!(load("a".into()).get(), Ok("a!".into()));
    keyed(
        [load("a".into()), load::request("a".into()).submit()],
        Key::of("load", "a"),
    );
    assert_eq!(parse("12".into()).get(), Ok(12));
    keyed(
        [parse("12".into()), parse::request("12".into()).submit()],
        Key::of("parse", 2_usize),
    );
    assert_eq!(fetch(4).get(), Err(4));
    keyed(
        [fetch(4), fetch::request(4).submit()],
        Key::of("fetch", 4_u64),
    );
}

#[test]
fn a_generic_argument_takes_part_if_it_is_bound() {
    #[task_token_guard(operation_type = "whole", tags(sticky), crate = crate::mock)]
    fn whole<T: Hash + Send + 'static, const N: usize>(values: [T; N]) -> usize {
        values.len()
    }
    // What takes no part needs no bound.
    #[task_token_guard(operation_type = "part", tags(sticky, key(id)), crate = crate::mock)]
    fn part<T: Send + 'static>(id: u8, value: T) -> T {
        let _ = id;
        value
    }

    keyed(
        [whole([1, 2]), whole::request([1, 2]).submit()],
        Key::of("whole", [1, 2]),
    );
    keyed(
        [part(1, 0.5), part::request(1, 1.5).submit()],
        Key::of("part", 1_u8),
    );
}

#[test]
fn names_of_arguments_and_items_change_no_key() {
    mod shadows {
        #![expect(
            dead_code,
            non_upper_case_globals,
            reason = "names that an expansion may not use"
        )]
        const hasher: u8 = 1;
        static key: u8 = 1;
        struct Key;
        fn hash_part() {}
        fn call_keyed() {}

        #[super::task_token_guard(operation_type = "clash", tags(sticky, key(hash_part, key_of, keyed, body)), crate = crate::mock)]
        pub(super) fn clash(hash_part: u8, key_of: u8, keyed: u8, body: u8) -> u8 {
            hash_part + key_of + keyed + body
        }
    }
    #[task_token_guard(operation_type = "clash", tags(sticky, key(hasher, key, __hasher)), crate = crate::mock)]
    fn clash(key: u8, hasher: u8, __key: u8, __hasher: u8, __body: u8, body: u8) -> u8 {
        key + hasher + __key + __hasher + __body + body
    }

    assert_eq!(
        shadows::clash(1, 2, 3, 4).key(),
        Some(Key::of("clash", (1_u8, 2_u8, 3_u8, 4_u8)))
    );
    keyed(
        [
            clash(1, 2, 3, 4, 5, 6),
            clash::request(1, 2, 3, 4, 5, 6).submit(),
        ],
        Key::of("clash", (2_u8, 1_u8, 4_u8)),
    );
}

#[test]
fn functions_made_by_a_macro_have_keys() {
    macro_rules! guarded {
        ($name:ident($argument:ident: $ty:ty), $label:literal, $part:expr) => {
            #[task_token_guard(operation_type = "made", tags(serial, sticky_anchor = $label, key($argument, $part), external_calls = [$label]), crate = crate::mock)]
            fn $name($argument: $ty) -> $ty {
                let hasher = $argument;
                hasher
            }
        };
    }
    guarded!(made(n: u64), "makers", n + 1);

    keyed(
        [made(1), made::request(1).submit()],
        Key::of("makers", (1_u64, 2_u64)),
    );
    assert_eq!(made::operation().external_calls, Some(&["makers"][..]));
}

/// An argument that cannot be hashed.
struct Unhashable(Arc<()>);

impl Hash for Unhashable {
    fn hash<H: Hasher>(&self, _: &mut H) {
        panic!("no hash of {} owners", Arc::strong_count(&self.0));
    }
}

#[test]
fn a_hash_that_panics_unwinds_to_the_caller_and_drops_the_arguments() {
    #[task_token_guard(operation_type = "hash", tags(sticky), crate = crate::mock)]
    fn hash(_before: Arc<()>, _argument: Unhashable) {}

    let owned = Arc::new(());
    let arguments = || (owned.clone(), Unhashable(owned.clone()));
    let call = || {
        let (before, argument) = arguments();
        hash(before, argument).key()
    };
    let request = || {
        let (before, argument) = arguments();
        hash::request(before, argument).submit().key()
    };
    for result in [
        catch_unwind(AssertUnwindSafe(call)),
        catch_unwind(AssertUnwindSafe(request)),
    ] {
        let payload = result.unwrap_err();
        assert_eq!(
            payload.downcast_ref::<String>().unwrap(),
            "no hash of 3 owners"
        );
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}

#[test]
fn a_lead_declares_what_its_body_calls() {
    #[task_token_guard(operation_type = "lead", tags(external_calls = ["b", "a",]), crate = crate::mock)]
    fn lead() {}
    #[task_token_guard(operation_type = "alone", tags(sticky, external_calls = []), crate = crate::mock)]
    fn alone() {}
    #[task_token_guard(operation_type = "none", crate = crate::mock)]
    fn none() {}

    // In the order in which they were written: the seed depends on it.
    let declared = [lead(), alone(), none()].map(|token| token.operation().external_calls);
    assert_eq!(declared, [Some(&["b", "a"][..]), Some(&[][..]), None]);
}
