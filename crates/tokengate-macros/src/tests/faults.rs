//! What a user is told of each fault, and that all faults are told at once.
//!
//! Where an error points is tested by the UI cases, since spans have no places here.

use syn::{File, Item, LitStr};

use super::guard;

/// The messages of the errors in an expansion.
pub(super) fn messages(arguments: &str, item: &str) -> Vec<String> {
    let file: File = syn::parse2(guard(arguments, item)).expect("an expansion is made of items");
    let errors = file.items.into_iter().filter_map(|item| match item {
        Item::Macro(item) if item.mac.path.segments.last()?.ident == "compile_error" => {
            Some(item.mac)
        }
        _ => None,
    });
    errors
        .map(|error| {
            error
                .parse_body::<LitStr>()
                .expect("a message is text")
                .value()
        })
        .collect()
}

/// Each attribute on a sound function gives the one message.
#[track_caller]
pub(super) fn attributes_tell(cases: &[(&str, &str)]) {
    for (arguments, message) in cases {
        assert_eq!(
            messages(arguments, "fn f(n: u8) -> u8 { n }"),
            [*message],
            "for `{arguments}`"
        );
    }
}

/// Each function under a sound attribute gives the one message.
#[track_caller]
fn functions_tell(cases: &[(&str, &str)]) {
    for (function, message) in cases {
        assert_eq!(
            messages(r#"operation_type = "op""#, function),
            [*message],
            "for `{function}`"
        );
    }
}

#[test]
fn a_sound_function_has_no_fault() {
    assert!(
        messages(
            r#"operation_type = "op", tags(weight = "light", fallible)"#,
            "fn f() -> R {}"
        )
        .is_empty()
    );
}

#[test]
fn the_operation_must_be_named() {
    attributes_tell(&[
        (
            "",
            r#"`operation_type` is missing: name the operation, as in `operation_type = "f"`"#,
        ),
        (
            "tags()",
            r#"`operation_type` is missing: name the operation, as in `operation_type = "f"`"#,
        ),
        (
            r#"operation_type = """#,
            r#"`operation_type` is empty: write `operation_type = "name"`"#,
        ),
        (
            r#"operation_type = " ""#,
            r#"`operation_type` is empty: write `operation_type = "name"`"#,
        ),
        (
            "operation_type = NAME",
            r#"write `operation_type = "name"`"#,
        ),
        ("operation_type", r#"write `operation_type = "name"`"#),
        (
            r#"operation_type("op")"#,
            r#"write `operation_type = "name"`"#,
        ),
        ("operation_type =", r#"write `operation_type = "name"`"#),
    ]);
}

#[test]
fn unknown_arguments_are_named_with_the_valid_ones() {
    attributes_tell(&[
        (
            r#"operation_type = "op", priority = 1"#,
            r#"`priority` is not an argument: valid are `operation_type = "name"`; `tags(..)`; `crate = path::to::tokengate`"#,
        ),
        (
            r#"operation_type = "op", tag(fallible)"#,
            r#"`tag` is not an argument: did you mean `tags`? valid are `operation_type = "name"`; `tags(..)`; `crate = path::to::tokengate`"#,
        ),
        (
            r#"operation_type = "op", "light""#,
            r#"expected the name of an argument: `operation_type = "name"`; `tags(..)`; `crate = path::to::tokengate`"#,
        ),
    ]);
}

#[test]
fn unknown_tags_are_named_with_the_valid_ones() {
    attributes_tell(&[
        (
            r#"operation_type = "op", tags(wieght = "light")"#,
            r#"`wieght` is not a tag: did you mean `weight`? valid are `weight = "heavy"`, `"medium"` or `"light"`; the flag `sticky` without a value; `sticky_anchor = "name"`; `key(a, b.id)`; the flag `serial` without a value; `external_calls = ["child_op", ..]`; `limit = 4` or `limit("group", 4)`; `storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`; the flag `blocking` without a value; `timeout = "30s"`; `ttl = "5s"`; `retry(attempts = 3, backoff = "100ms", jitter, on_panic)`; the flag `fallible` without a value"#,
        ),
        (
            r#"operation_type = "op", tags(colour = "light")"#,
            r#"`colour` is not a tag: valid are `weight = "heavy"`, `"medium"` or `"light"`; the flag `sticky` without a value; `sticky_anchor = "name"`; `key(a, b.id)`; the flag `serial` without a value; `external_calls = ["child_op", ..]`; `limit = 4` or `limit("group", 4)`; `storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`; the flag `blocking` without a value; `timeout = "30s"`; `ttl = "5s"`; `retry(attempts = 3, backoff = "100ms", jitter, on_panic)`; the flag `fallible` without a value"#,
        ),
    ]);
}

#[test]
fn what_stands_on_the_wrong_level_is_sent_to_the_other() {
    attributes_tell(&[
        (
            r#"operation_type = "op", weight = "light""#,
            r#"`weight` is a tag: write it in `tags(..)`, as `weight = "heavy"`, `"medium"` or `"light"`"#,
        ),
        (
            r#"operation_type = "op", tags(crate = a::b)"#,
            "`crate` is not a tag: write it beside `tags(..)`, as `crate = path::to::tokengate`",
        ),
    ]);
}

#[test]
fn nothing_is_given_twice() {
    attributes_tell(&[
        (
            r#"operation_type = "a", operation_type = "b""#,
            "`operation_type` is given twice: keep one of them",
        ),
        (
            r#"operation_type = "a", tags(fallible), tags()"#,
            "`tags` is given twice: keep one of them",
        ),
        (
            r#"operation_type = "a", tags(fallible, fallible)"#,
            "`fallible` is given twice: keep one of them",
        ),
    ]);
}

#[test]
fn values_have_the_shape_of_their_tag() {
    const WEIGHT: &str = r#"write `weight = "heavy"`, `"medium"` or `"light"`"#;
    const FALLIBLE: &str = "write the flag `fallible` without a value";
    attributes_tell(&[
        (r#"operation_type = "op", tags(weight = 3)"#, WEIGHT),
        (r#"operation_type = "op", tags(weight = heavy)"#, WEIGHT),
        (r#"operation_type = "op", tags(weight("heavy"))"#, WEIGHT),
        (r#"operation_type = "op", tags(weight)"#, WEIGHT),
        (
            r#"operation_type = "op", tags(weight = "huge")"#,
            r#"unknown weight `huge`: write `weight = "heavy"`, `"medium"` or `"light"`"#,
        ),
        (r#"operation_type = "op", tags(fallible = true)"#, FALLIBLE),
        (r#"operation_type = "op", tags(fallible =)"#, FALLIBLE),
        (r#"operation_type = "op", tags(fallible(true))"#, FALLIBLE),
        (
            r#"operation_type = "op", tags = "light""#,
            "write `tags(..)`",
        ),
        (r#"operation_type = "op", tags"#, "write `tags(..)`"),
        (
            r#"operation_type = "op", crate = "tokengate""#,
            "write `crate = path::to::tokengate`",
        ),
        (
            r#"operation_type = "op", crate = a::<b>"#,
            "write `crate = path::to::tokengate`",
        ),
        (r#"operation_type = "op" tags()"#, "expected `,`"),
        (
            r#"operation_type = "op", tags(fallible weight = "light")"#,
            "expected `,`",
        ),
    ]);
}

#[test]
fn the_flag_fallible_needs_something_to_return() {
    let message = "`fallible` says that the return type is a `Result`, and this function returns `()`: remove the flag";
    assert_eq!(
        messages(r#"operation_type = "op", tags(fallible)"#, "fn f() {}"),
        [message]
    );
    assert_eq!(
        messages(
            r#"operation_type = "op", tags(fallible)"#,
            "fn f() -> () {}"
        ),
        [message]
    );
}

#[test]
fn only_functions_with_a_body_are_guarded() {
    const FUNCTION: &str = "`#[task_token_guard]` goes on a function: move the code to a free function and guard that one";
    functions_tell(&[
        ("struct S;", FUNCTION),
        ("pub const C: u8 = 1;", FUNCTION),
        ("unsafe impl Send for S {}", FUNCTION),
        ("mod m {}", FUNCTION),
    ]);
    let function = "a guarded function has a body: in a trait, guard a free function and call it from the method";
    let items = guard(r#"operation_type = "op""#, "fn f();").to_string();
    assert!(
        items.contains(function) && items.ends_with("fn f () ;"),
        "{items}"
    );
}

#[test]
fn qualifiers_that_no_token_has_are_refused() {
    functions_tell(&[
        (
            "const fn f() {}",
            "a guarded function runs on a worker, never in a constant: remove `const`",
        ),
        (
            "unsafe fn f() {}",
            "a guarded function is safe to call: remove `unsafe`, and use an `unsafe` block in the body",
        ),
        (
            r#"extern "C" fn f() {}"#,
            "a guarded function returns a token, which has no foreign ABI: remove `extern`, and call it from an `extern` function",
        ),
        (
            "fn f(args: ...) {}",
            "a guarded function has a fixed number of arguments: take a `Vec`",
        ),
    ]);
}

#[test]
fn arguments_are_plain_names() {
    const SELF: &str = "a guarded function is a free function without `self`: take what it needs as an argument, such as an `Arc`";
    const PATTERN: &str = "an argument of a guarded function is a plain name: take it apart in the body, `let PATTERN = name;`";
    functions_tell(&[
        ("fn f(self) {}", SELF),
        ("fn f(&mut self, n: u8) {}", SELF),
        ("fn f(self: Arc<Self>) {}", SELF),
        ("fn f((a, b): (u8, u8)) {}", PATTERN),
        ("fn f(Point { x, y }: Point) {}", PATTERN),
        ("fn f(ref a: u8) {}", PATTERN),
        ("fn f(a @ 1: u8) {}", PATTERN),
        (
            "fn f(_: u8) {}",
            "an argument of a guarded function has a name: write `_unused`",
        ),
        (
            "fn f(#[cfg(unix)] a: u8) {}",
            "an argument of a guarded function is always there: write the function twice, each with its `#[cfg]`",
        ),
    ]);
}

/// Each type as an argument gives one message with this remedy, and so it does as a result.
#[track_caller]
fn borrows_tell(cases: &[(&str, &str)]) {
    for (ty, remedy) in cases {
        let why = "owns its data, since a token outlives the call";
        let argument = format!("an argument of a guarded function {why}: {remedy}");
        functions_tell(&[(&format!("fn f(a: {ty}) {{}}"), &argument)]);
        let result = format!("the result of a guarded function {why}: {remedy}");
        functions_tell(&[(&format!("fn f() -> {ty} {{ todo!() }}"), &result)]);
    }
}

#[test]
fn borrows_are_refused_with_what_to_use_instead() {
    borrows_tell(&[
        ("&str", "use `String` or `Arc<str>`"),
        ("Option<&'a str>", "use `String` or `Arc<str>`"),
        (
            "Vec<(u8, &std::path::Path)>",
            "use `PathBuf` or `Arc<Path>`",
        ),
        ("&OsStr", "use `OsString` or `Arc<OsStr>`"),
        ("&CStr", "use `CString` or `Arc<CStr>`"),
        ("&config::Config", "use `Config` or `Arc<Config>`"),
        ("&[u8]", "use a `Vec`, or an `Arc` of the slice"),
        ("&Vec<u8>", "use the value itself, or an `Arc` of it"),
        ("&dyn Rule", "use the value itself, or an `Arc` of it"),
        (
            "&mut Vec<&str>",
            "take the value itself and return it changed, or share an `Arc<Mutex<_>>`",
        ),
        ("Cow<'_, str>", "write `'static` here, or use an owned type"),
        (
            "Box<dyn Rule + 'a>",
            "write `'static` here, or use an owned type",
        ),
        ("&'static [&str]", "use `String` or `Arc<str>`"),
    ]);
}

#[test]
fn what_only_mentions_references_is_owned() {
    let types = [
        "&'static str",
        "fn(&str) -> &str",
        "Box<dyn Fn(&str) -> &str + Send>",
        "Box<dyn for<'a> Rule<'a, Out = &'a str> + Send>",
        "Cow<'static, str>",
    ];
    for ty in types {
        assert!(
            messages(
                r#"operation_type = "op""#,
                &format!("fn f(a: {ty}) -> {ty} {{ a }}")
            )
            .is_empty(),
            "{ty}"
        );
    }
}

#[test]
fn lifetime_parameters_are_told_by_their_use_or_themselves() {
    functions_tell(&[
        (
            "fn f<'a, T: 'a>(a: T) {}",
            "a guarded function owns its data and has no lifetime parameter: use `String` for `&str`, `Arc<T>` for `&T`",
        ),
        (
            "fn f<'a>(a: &'a str) {}",
            "an argument of a guarded function owns its data, since a token outlives the call: use `String` or `Arc<str>`",
        ),
    ]);
}

#[test]
fn types_have_names() {
    functions_tell(&[
        (
            "fn f(a: impl Fn() -> u8) {}",
            "an argument of a guarded function has a named type: take a type parameter, `T: .. + Send + 'static`",
        ),
        (
            "fn f() -> Vec<impl Display> { vec![1] }",
            "the result of a guarded function has a named type: write its type, or return a `Box<dyn .. + Send>`",
        ),
        (
            "fn f() -> ! { loop {} }",
            "a token of `!` would never resolve: return `()`, and end the body when its token is cancelled",
        ),
    ]);
}

#[test]
fn all_faults_are_told_at_once() {
    let told = messages(
        r#"weight = "light", tags(wait, fallible = 1, fallible), oops"#,
        "unsafe fn f(&self, a: &str, (b, c): (u8, &u8)) -> impl Display { a }",
    );
    assert_eq!(told.len(), 12, "{told:#?}");
}

#[test]
fn a_faulty_function_keeps_its_names_and_gives_a_token() {
    let items = guard(
        r#"operation_type = "op""#,
        "pub fn f<'a>(a: &'a str, _: u8) -> io::Result<u8> { a.len() }",
    );
    let file: File = syn::parse2(items).expect("items");
    let Some(Item::Fn(function)) = file.items.last() else {
        panic!("the function comes last")
    };
    let signature: syn::Signature = syn::parse_quote!(
        fn f<'a>(argument_0: &'a str, argument_1: u8) -> ::tokengate::__private::Token<
            <io::Result<u8> as ::tokengate::__private::IsResult>::Ok,
            <io::Result<u8> as ::tokengate::__private::IsResult>::Error
        >
    );
    let text = |signature: &syn::Signature| quote::quote!(#signature).to_string();
    assert_eq!(text(&function.sig), text(&signature));
    assert!(
        file.items
            .iter()
            .any(|item| matches!(item, Item::Enum(handle) if handle.ident == "f"))
    );
}

#[test]
fn a_faulty_attribute_leaves_a_working_function() {
    let faulty = guard(
        r#"operation_type = "op", tags(weight = "huge")"#,
        "fn f() {}",
    )
    .to_string();
    let sound = guard(r#"operation_type = "op""#, "fn f() {}").to_string();
    assert!(faulty.ends_with(&sound));
}

#[test]
fn durations_are_numbers_with_a_unit() {
    attributes_tell(&[
        (
            r#"operation_type = "op", tags(timeout = "30")"#,
            r#"`timeout` needs the unit `ms`, `s`, `m` or `h` right after the number: write `timeout = "30s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl = "5 s")"#,
            r#"`ttl` needs the unit `ms`, `s`, `m` or `h` right after the number: write `ttl = "5s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl = "5d")"#,
            r#"`ttl` needs the unit `ms`, `s`, `m` or `h` right after the number: write `ttl = "5s"`"#,
        ),
        (
            r#"operation_type = "op", tags(timeout = "1.5s")"#,
            r#"`timeout` begins with a whole number, and the unit `ms`, `s`, `m` or `h` follows: write `timeout = "30s"`"#,
        ),
        (
            r#"operation_type = "op", tags(timeout = "-1s")"#,
            r#"`timeout` begins with a whole number, and the unit `ms`, `s`, `m` or `h` follows: write `timeout = "30s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl = "")"#,
            r#"`ttl` begins with a whole number, and the unit `ms`, `s`, `m` or `h` follows: write `ttl = "5s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl = "0ms")"#,
            r#"`ttl` leaves no time at all; without a limit, remove the tag: write `ttl = "5s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl = "99999999999999999h")"#,
            r#"`ttl` is longer than can be counted; without a limit, remove the tag: write `ttl = "5s"`"#,
        ),
        (
            r#"operation_type = "op", tags(timeout = 30)"#,
            r#"write `timeout = "30s"`"#,
        ),
        (
            r#"operation_type = "op", tags(ttl)"#,
            r#"write `ttl = "5s"`"#,
        ),
    ]);
}

#[test]
fn retries_say_how_often_and_of_what() {
    let fallible = |retry: &str| {
        messages(
            &format!(r#"operation_type = "op", tags({retry})"#),
            "fn f() -> Result<(), ()> {}",
        )
    };
    let whole = r#"write `retry(attempts = 3, backoff = "100ms", jitter, on_panic)`"#;
    for (retry, message) in [
        ("retry", whole.to_owned()),
        ("retry = 3", whole.to_owned()),
        (
            "retry()",
            format!("`retry` does not say how often the body may run in all: {whole}"),
        ),
        (
            "retry(jitter)",
            format!("`retry` does not say how often the body may run in all: {whole}"),
        ),
        (
            "retry(attempts = 0)",
            "`attempts` counts all executions, so none would ever run: write `attempts = 3`".into(),
        ),
        (
            "retry(attempts = 1)",
            "`attempts` counts the first execution too, so one is no retry: write `attempts = 3`, or remove `retry`".into(),
        ),
        (
            "retry(attempts = 1_000_001)",
            "`attempts` is at most 1000000: write `attempts = 3`".into(),
        ),
        (
            r#"retry(attempts = "3")"#,
            "write `attempts = 3`".into(),
        ),
        (
            r#"retry(attempts = 3, backoff = "1")"#,
            r#"`backoff` needs the unit `ms`, `s`, `m` or `h` right after the number: write `backoff = "100ms"`"#.into(),
        ),
        (
            r#"retry(attempts = 3, backoff = "99999999999999999h")"#,
            r#"`backoff` is longer than can be counted: write `backoff = "100ms"`"#.into(),
        ),
        (
            "retry(attempts = 3, jiter)",
            r#"`jiter` is not a part of `retry`: did you mean `jitter`? valid are `attempts = 3`; `backoff = "100ms"`; the flag `jitter` without a value; the flag `on_panic` without a value"#.into(),
        ),
    ] {
        assert_eq!(fallible(retry), [message], "for `{retry}`");
    }
    assert!(fallible(r#"retry(attempts = 3, backoff = "0ms", jitter, on_panic)"#).is_empty());
}

#[test]
fn what_cannot_fail_is_not_retried() {
    attributes_tell(&[(
        r#"operation_type = "op", tags(retry(attempts = 3))"#,
        "`retry` runs a body again that returned an `Err`, and this function returns no `Result`: return one, or add `on_panic`, as in `retry(attempts = 3, on_panic)`",
    )]);
    let fine = r#"operation_type = "op", tags(retry(attempts = 3, on_panic))"#;
    assert!(messages(fine, "fn f() {}").is_empty());
    let fine = r#"operation_type = "op", tags(retry(attempts = 3), fallible)"#;
    assert!(messages(fine, "fn f() -> Outcome {}").is_empty());
}
