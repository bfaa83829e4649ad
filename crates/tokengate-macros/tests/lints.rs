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
    assert_eq!(outOfStyle(1).get(), Ok(1));
    assert_eq!(reads(vec![1], String::new()).get(), Ok(1));
    assert_eq!(reached().get(), Ok(()));
}
