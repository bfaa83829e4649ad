//! What a user is told of faults in the tags for limits and blocking work.

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
        "limit = 1",
        r#"limit("group", 4)"#,
        r#"limit("group", 4,), blocking"#,
        r#"storage_speed = "slow""#,
        r#"storage_speed = "insane", blocking, serial"#,
    ];
    for list in lists {
        let told = messages(&tags(list), "fn f(n: u8) {}");
        assert!(told.is_empty(), "`{list}` gives {told:#?}");
    }
}

#[test]
fn a_limit_is_a_number_of_at_least_one() {
    const USAGE: &str = r#"write `limit = 4` or `limit("group", 4)`"#;
    const NOTHING: &str = "`limit` lets nothing execute: write how many may at once, at least 1; to hold an operation back, pause it";
    tags_tell(&[
        ("limit", USAGE),
        (r#"limit = "4""#, USAGE),
        ("limit = -4", USAGE),
        ("limit = 99999999999999999999999", USAGE),
        ("limit(4)", USAGE),
        (r#"limit("group")"#, USAGE),
        (r#"limit(4, "group")"#, USAGE),
        (r#"limit("group", 4, 5)"#, USAGE),
        ("limit = 0", NOTHING),
        (r#"limit("group", 0)"#, NOTHING),
        (
            r#"limit(" ", 4)"#,
            r#"the group of `limit` is empty: write `limit = 4` or `limit("group", 4)`"#,
        ),
    ]);
}

#[test]
fn a_call_has_one_limit() {
    const ONE: &str =
        "`storage_speed` is a limit itself: remove one of them, or write `blocking` beside `limit`";
    tags_tell(&[
        (r#"storage_speed = "slow", limit = 3"#, ONE),
        (r#"limit("group", 3), storage_speed = "fast""#, ONE),
    ]);
}

#[test]
fn storage_has_one_of_four_speeds() {
    tags_tell(&[
        (
            r#"storage_speed = "quick""#,
            r#"unknown storage_speed `quick`: write `storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`"#,
        ),
        (
            "storage_speed",
            r#"write `storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`"#,
        ),
        (
            "blocking = true",
            "write the flag `blocking` without a value",
        ),
    ]);
}
