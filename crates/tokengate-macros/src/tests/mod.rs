//! Tests of the attribute as a function of tokens: what it says of faults, and what it writes.

mod expansions;
mod faults;
mod key_faults;
mod limit_faults;

/// The expansion of `#[task_token_guard(arguments)] item`, as text.
fn guard(arguments: &str, item: &str) -> proc_macro2::TokenStream {
    let parse = |text: &str| text.parse().expect("a test is made of tokens");
    crate::guard(parse(arguments), parse(item))
}
