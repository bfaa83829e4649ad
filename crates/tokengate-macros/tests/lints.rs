//! What an expansion adds to the warnings of its user's crate: nothing. A lint that fires here fails the build.
//!
//! `expect` is the sharper half: it fails where a lint does not fire, or fires on a second item of the expansion.
#![deny(
    missing_docs,
    unreachable_pub,
    unused,
    nonstandard_style,
    future_incompatible,
    rust_2018_idioms,
    let_underscore,
    clippy::all,
    clippy::pedantic,
    clippy::missing_const_for_fn,
    clippy::allow_attributes_without_reason,
    clippy::missing_docs_in_private_items
)]

mod mock;

pub use private::reached;
use tokengate_macros::task_token_guard;

/// Functions that a crate exports.
pub mod exported {
    use tokengate_macros::task_token_guard;

    /// Adds.
    #[task_token_guard(operation_type = "add", crate = crate::mock)]
    pub fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    /// Fails.
    #[task_token_guard(operation_type = "fail", crate = crate::mock)]
    pub async fn fail<T: Clone + Send + Sync + 'static>(value: T) -> Result<T, std::fmt::Error> {
        std::future::ready(()).await;
        Ok(value)
    }

    /// Fails, and runs again.
    ///
    /// # Errors
    ///
    /// At random.
    #[task_token_guard(operation_type = "again", tags(serial, key(a), retry(attempts = 3, backoff = "1s", jitter)), crate = crate::mock)]
    pub fn again(a: u64, mut text: String, _unused: u8) -> Result<u64, std::fmt::Error> {
        text.push('a');
        if text.is_empty() {
            Err(std::fmt::Error)
        } else {
            Ok(a)
        }
    }

    /// Fails, and runs again later.
    #[task_token_guard(operation_type = "again", tags(retry(attempts = 3, on_panic)), crate = crate::mock)]
    pub async fn later<T: Clone + Send + Sync + 'static>(value: T, _unused: ()) -> T {
        std::future::ready(()).await;
        value
    }

    #[task_token_guard(operation_type = "hidden", crate = crate::mock)]
    #[doc(hidden)]
    #[must_use]
    pub fn hidden() -> u64 {
        1
    }

    #[expect(missing_docs, reason = "what is tested")]
    #[task_token_guard(operation_type = "bare", crate = crate::mock)]
    pub fn bare() {}

    #[task_token_guard(operation_type = "bare", crate = crate::mock)]
    #[expect(missing_docs, reason = "what is tested")]
    pub fn bare_too() {}
}

/// Functions that a crate does not export.
mod private {
    use tokengate_macros::task_token_guard;

    /// Exported from here.
    #[task_token_guard(operation_type = "reached", crate = crate::mock)]
    pub fn reached() {}

    /// Not used.
    #[task_token_guard(operation_type = "unused", crate = crate::mock)]
    #[expect(dead_code, reason = "what is tested")]
    fn unused(n: u64) -> u64 {
        used_by_unused(n)
    }

    /// Used by an unused function only.
    const fn used_by_unused(n: u64) -> u64 {
        n
    }

    /// Not exported.
    #[task_token_guard(operation_type = "unreachable", crate = crate::mock)]
    #[expect(unreachable_pub, dead_code, reason = "what is tested")]
    pub fn unreachable() {}

    /// Only called, never requested.
    #[task_token_guard(operation_type = "called", crate = crate::mock)]
    pub(crate) fn called() {}

    /// Only requested, never called.
    #[task_token_guard(operation_type = "requested", crate = crate::mock)]
    pub(crate) fn requested<T: Send + 'static>(value: T) -> T {
        value
    }
}

/// Takes more than is good.
#[task_token_guard(operation_type = "many", crate = crate::mock)]
#[expect(
    clippy::too_many_arguments,
    clippy::type_complexity,
    reason = "what is tested"
)]
#[expect(clippy::many_single_char_names, reason = "what is tested")]
pub fn many(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: Vec<Vec<Vec<Vec<Vec<(u8, Box<[Option<u8>]>)>>>>>,
) -> usize {
    usize::from(a + b + c + d + e + f + g + h) + i.into_iter().fold(0, |sum, each| sum + each.len())
}

/// Has a key of all its arguments.
#[task_token_guard(operation_type = "whole", tags(sticky), crate = crate::mock)]
#[expect(non_snake_case, reason = "what is tested")]
pub async fn whole(_unit: (), Name: &'static str, _lists: Vec<Box<[u8]>>) -> usize {
    std::future::ready(()).await;
    Name.len()
}

/// Has a key of parts.
#[task_token_guard(
    operation_type = "parts",
    tags(serial, sticky_anchor = "lints", key(name, &name, *name, n + 1, list.len(), list[0], ()), external_calls = ["whole"]),
    crate = crate::mock
)]
pub fn parts<T: Clone + Send + 'static>(name: &'static str, n: u64, list: Vec<u8>, other: T) -> T {
    assert!(name.is_empty() && n > 0 && list.len() == 1);
    other
}

/// Has a key without parts.
#[task_token_guard(operation_type = "no_parts", tags(sticky, key()), crate = crate::mock)]
pub fn no_parts(n: u64) -> Result<u64, std::fmt::Error> {
    Ok(n)
}

/// Has a name out of style.
#[task_token_guard(operation_type = "styled", crate = crate::mock)]
#[expect(non_snake_case, reason = "what is tested")]
pub fn outOfStyle(Argument: u64) -> u64 {
    Argument
}

/// Does not use its argument.
#[task_token_guard(operation_type = "unused_argument", crate = crate::mock)]
#[expect(unused_variables, reason = "what is tested")]
#[deprecated = "what is tested"]
pub fn unused_argument(n: u64) {}

/// Reads one argument and ignores the other.
#[task_token_guard(operation_type = "reads", crate = crate::mock)]
pub fn reads(list: Vec<u8>, _ignored: String) -> usize {
    list.len()
}

#[test]
fn the_functions_work() {
    assert_eq!(exported::add(1, 2).get(), Ok(3));
    assert_eq!(exported::fail(1).get(), Ok(1));
    assert_eq!(exported::hidden().get(), Ok(1));
    assert_eq!(private::called().get(), Ok(()));
    assert_eq!(private::requested::request(1).submit().get(), Ok(1));
    assert_eq!(many(1, 1, 1, 1, 1, 1, 1, 1, Vec::new()).get(), Ok(8));
    assert_eq!(whole((), "", Vec::new()).get(), Ok(0));
    assert_eq!(parts("", 1, vec![0], 2).get(), Ok(2));
    assert_eq!(no_parts(1).get(), Ok(1));
    assert_eq!(outOfStyle(1).get(), Ok(1));
    assert_eq!(reads(vec![1], String::new()).get(), Ok(1));
    assert_eq!(reached().get(), Ok(()));
}
