//! What is written for sound functions, item by item.
//!
//! The tests in `tests/` show that this compiles and works; the files `*.expanded` show what stands in a user's crate, to be
//! read. After a change that is meant, a failing test prints what to put into the file.

use super::guard;

#[track_caller]
fn expands(arguments: &str, item: &str, expected: &str) {
    let file = syn::parse2(guard(arguments, item)).expect("an expansion is made of items");
    let written = prettyplease::unparse(&file);
    assert!(written == expected, "it expands to\n{written}");
}

#[test]
fn a_plain_function() {
    expands(
        r#"operation_type = "double", tags(weight = "light")"#,
        "/// Doubles.\npub fn double(mut n: u64) -> u64 { n *= 2; n }",
        include_str!("plain.expanded"),
    );
}

#[test]
fn a_lead_with_keys() {
    expands(
        r#"operation_type = "lead", tags(serial, sticky_anchor = "leads", key(id, 2 * n), external_calls = ["child", "other"])"#,
        "fn lead<T: Send>(id: T, n: u64) -> u64 { n }",
        include_str!("keyed.expanded"),
    );
}

#[test]
fn a_function_that_is_retried() {
    expands(
        r#"operation_type = "send", tags(retry(attempts = 3, backoff = "20ms", jitter))"#,
        "async fn send(to: String, mut text: String) -> Result<(), Bounced> { mail(to, text).await }",
        include_str!("retried.expanded"),
    );
}

#[test]
fn a_generic_async_fallible_function_with_attributes_and_another_runtime() {
    expands(
        r#"operation_type = "fetch", crate = crate::mock"#,
        r#"
            #[cfg(unix)]
            #[cfg_attr(docsrs, doc(hidden), inline)]
            #[expect(dead_code, clippy::type_complexity, reason = "later")]
            #[deprecated]
            async fn fetch<T: Source, const N: usize>(#[allow(unused)] source: T) -> io::Result<[u8; N]> where T::Key: Copy {
                source.get().await
            }
        "#,
        include_str!("generic.expanded"),
    );
}
