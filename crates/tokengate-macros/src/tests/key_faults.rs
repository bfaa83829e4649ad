//! What a user is told of faults in the tags for keys and leads.
//!
//! Each fault is told once: where a key is at fault, nothing is said of what else it would have needed.

use super::faults::{attributes_tell, messages};

/// The attribute with these tags.
fn tags(tags: &str) -> String {
    format!(r#"operation_type = "op", tags({tags})"#)
}

/// Each list of tags on a sound function gives the one message.
#[track_caller]
fn tags_tell(cases: &[(&str, &str)]) {
    for (list, message) in cases {
        attributes_tell(&[(&tags(list), message)]);
    }
}

#[test]
fn tags_that_agree_are_sound() {
    let lists = [
        "sticky",
        "sticky, serial, key(n)",
        r#"key(n, n % 2,), sticky_anchor = "name""#,
        r#"sticky_anchor = "name", serial"#,
        "serial, key()",
        r#"external_calls = ["a", "b",], sticky"#,
        "external_calls = []",
    ];
    for list in lists {
        let told = messages(&tags(list), "fn f(n: u8) {}");
        assert!(told.is_empty(), "`{list}` gives {told:#?}");
    }
}

#[test]
fn a_key_needs_a_tag_that_uses_it() {
    const NEEDS: &str = r#"`key` says what takes part in a sticky key, and these calls have none: add `sticky`, `sticky_anchor = "name"` or `serial`"#;
    tags_tell(&[
        ("key(n)", NEEDS),
        ("key()", NEEDS),
        (r#"external_calls = [], key(n), weight = "light""#, NEEDS),
    ]);
}

#[test]
fn a_key_has_one_name() {
    const NAMES: &str = "`sticky` puts the key under the operation's own label, `sticky_anchor` under a shared name: remove one of them";
    tags_tell(&[
        (r#"sticky, sticky_anchor = "name""#, NAMES),
        (r#"sticky_anchor = "name", serial, sticky"#, NAMES),
    ]);
}

#[test]
fn flags_and_anchors_have_the_shape_of_their_tag() {
    const STICKY: &str = "write the flag `sticky` without a value";
    const SERIAL: &str = "write the flag `serial` without a value";
    const ANCHOR: &str = r#"write `sticky_anchor = "name"`"#;
    const EMPTY: &str = r#"`sticky_anchor` is empty: write `sticky_anchor = "name"`"#;
    tags_tell(&[
        ("sticky = true, key(n)", STICKY),
        ("sticky(n)", STICKY),
        ("serial = 1, key(n)", SERIAL),
        ("sticky_anchor, key(n)", ANCHOR),
        ("sticky_anchor = name", ANCHOR),
        (r#"sticky_anchor("name")"#, ANCHOR),
        (r#"sticky_anchor = "", key(n)"#, EMPTY),
        (r#"sticky_anchor = " ""#, EMPTY),
    ]);
}

#[test]
fn a_key_is_a_list_of_expressions() {
    const KEY: &str = "write `key(a, b.id)`";
    const EXPRESSIONS: &str = "expected expressions with commas between them: write `key(a, b.id)`";
    tags_tell(&[
        ("sticky, key", KEY),
        ("sticky, key = n", KEY),
        ("sticky, key[n]", "expected `,`"),
        ("sticky, key(n.)", EXPRESSIONS),
        ("sticky, key(n m)", EXPRESSIONS),
        ("sticky, key(n: u8)", EXPRESSIONS),
        ("sticky, key(,)", EXPRESSIONS),
        ("sticky, key(n) key(n)", "expected `,`"),
        (
            "sticky, key(n), key(n)",
            "`key` is given twice: keep one of them",
        ),
    ]);
}

#[test]
fn external_calls_are_labels() {
    const CALLS: &str = r#"write `external_calls = ["child_op", ..]`"#;
    const LITERAL: &str = r#"a label is a string literal: write the `operation_type` of a function that the body calls, as in `"child_op"`"#;
    const EMPTY: &str = "a label is empty: write the `operation_type` of a function that the body calls, or remove it";
    tags_tell(&[
        ("external_calls", CALLS),
        (r#"external_calls("a")"#, CALLS),
        (r#"external_calls = "a""#, CALLS),
        (r#"external_calls = ["a" "b"]"#, CALLS),
        ("external_calls = [child_op]", LITERAL),
        ("external_calls = [3]", LITERAL),
        (r#"external_calls = ["a", concat!("b", "c")]"#, LITERAL),
        (r#"external_calls = [b"a"]"#, LITERAL),
        (r#"external_calls = ["a", ""]"#, EMPTY),
        (r#"external_calls = [" "]"#, EMPTY),
        (
            r#"external_calls = ["a", "b", r"a"]"#,
            "`a` is listed twice: keep one of them",
        ),
    ]);
    let all = messages(&tags(r#"external_calls = ["a", a, "", "a"]"#), "fn f() {}");
    assert_eq!(all.len(), 3, "{all:#?}");
}

#[test]
fn tags_for_keys_are_found_when_misspelt_or_misplaced() {
    let told = messages(&tags("stiky"), "fn f() {}");
    assert!(told[0].contains("did you mean `sticky`?"), "{told:#?}");
    let told = messages(r#"operation_type = "op", key(n)"#, "fn f(n: u8) {}");
    assert_eq!(
        told,
        ["`key` is a tag: write it in `tags(..)`, as `key(a, b.id)`"]
    );
}

#[test]
fn a_faulty_key_leaves_a_working_function() {
    let whole = crate::tests::guard(&tags("sticky, key(order.)"), "fn f(order: Order) {}");
    let no_parts = crate::tests::guard(&tags("sticky, key()"), "fn f(order: Order) {}");
    let (whole, no_parts) = (whole.to_string(), no_parts.to_string());
    assert!(
        whole.ends_with(&no_parts),
        "it asks nothing of `Order`: {whole}"
    );
}
