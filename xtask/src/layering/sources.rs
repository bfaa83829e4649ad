//! What the shipped code of each layer may name: parts of std, tokio, and the crates that are wrapped.
//!
//! Called by `layering.rs`, and by a test of its own, so that `cargo test --workspace` holds the sources
//! to their layers. Sees words, not meanings: a re-export under another name would pass it.

use super::may_use;
use crate::source::{SourceFile, find_word, line_of};

/// Parts of std that a folder's shipped code may not name: the token model has no thread, clock, hash
/// or I/O, the anchor only decides.
const FORBIDDEN_STD: &[(&str, &[&str])] = &[
    (
        "crates/tokengate-token/",
        &[
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::time::*",
            "std::hash",
            "std::net",
            "std::fs",
            "std::io",
        ],
    ),
    ("crates/tokengate-anchor/", &["std::thread"]),
];

/// Crates that one file of the anchor wraps, and nothing else in the runtime touches.
const WRAPPED_BY_ANCHOR: &[&str] = &["sha2", "dashmap"];

/// Faults in what the shipped code names.
pub(super) fn faults(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.is_shipped()) {
        let code = file.shipped_code();
        for (folder, forbidden) in FORBIDDEN_STD {
            if file.path.starts_with(folder) {
                faults.extend(std_faults(file, &code, forbidden));
            }
        }
        faults.extend(tokio_faults(file, &code));
        faults.extend(expansion_faults(file, &code));
    }
    for name in WRAPPED_BY_ANCHOR {
        faults.extend(wrapper_faults(files, name));
    }
    faults
}

fn std_faults(file: &SourceFile, code: &str, forbidden: &[&str]) -> Vec<String> {
    let is_forbidden = |path: &str| {
        let inside = |module: &&str| path == *module || path.starts_with(&format!("{module}::"));
        forbidden.iter().any(inside) || hides(path, forbidden)
    };
    std_paths(code)
        .into_iter()
        .filter(|(_, path)| is_forbidden(path))
        .map(|(line, path)| format!("{}:{line}: this layer does without `{path}`", file.path))
        .collect()
}

/// A module imported as a whole, such as `std::time`, whose items are forbidden in part.
fn hides(path: &str, forbidden: &[&str]) -> bool {
    let inside = format!("{path}::");
    path != "std" && forbidden.iter().any(|item| item.starts_with(&inside))
}

fn tokio_faults(file: &SourceFile, code: &str) -> Vec<String> {
    let member = file.path.split("src/").next().unwrap_or_default();
    let member = member.trim_end_matches('/').rsplit('/').next();
    if member.is_some_and(|member| may_use(member, "tokio")) {
        return Vec::new();
    }
    let found = find_word(code, "tokio").into_iter();
    found
        .map(|offset| {
            let line = line_of(code, offset);
            format!("{}:{line}: only the facade names tokio", file.path)
        })
        .collect()
}

/// What the attribute writes into the user's crate goes through one door.
fn expansion_faults(file: &SourceFile, code: &str) -> Vec<String> {
    if !file.path.starts_with("crates/tokengate-macros/") {
        return Vec::new();
    }
    let found = find_word(code, "::tokengate::").into_iter();
    found
        .filter(|offset| !code[offset + "::tokengate::".len()..].starts_with("__private"))
        .map(|offset| {
            let line = line_of(code, offset);
            format!("{}:{line}: expand to `__private` only", file.path)
        })
        .collect()
}

fn wrapper_faults(files: &[SourceFile], name: &str) -> Vec<String> {
    let runtime = files.iter().filter(|file| {
        file.is_shipped()
            && file.path.starts_with("crates/")
            && !file.path.starts_with("crates/tokengate-bench/")
    });
    let users: Vec<_> = runtime
        .filter(|file| !find_word(&file.shipped_code(), name).is_empty())
        .map(|file| file.path.as_str())
        .collect();
    let inside = |path: &&str| path.starts_with("crates/tokengate-anchor/");
    if users.len() <= 1 && users.iter().all(inside) {
        return Vec::new();
    }
    let users = users.join(", ");
    vec![format!(
        "`{name}` belongs in one file of the anchor crate alone, not in {users}"
    )]
}

/// Every path into std with its line, imports in braces spread out.
fn std_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for offset in find_word(code, "std") {
        let mut paths = Vec::new();
        spread(&code[offset..], "", &mut paths);
        let line = line_of(code, offset);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Spreads one path or import tree and returns what follows it.
fn spread<'a>(code: &'a str, prefix: &str, paths: &mut Vec<String>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            let before = rest.len();
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            rest = spread(rest, prefix, paths);
            if rest.len() == before {
                return rest;
            }
        }
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*'));
    let (name, rest) = code.split_at(end.unwrap_or(code.len()));
    if name.is_empty() {
        // `std::mem::<..>` or the like: the path ended before.
        paths.push(prefix.to_owned());
        return rest;
    }
    let path = match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "self") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    if let Some(below) = rest.strip_prefix("::") {
        return spread(below, &path, paths);
    }
    paths.push(path);
    // An alias changes nothing about what was imported.
    let alias = rest.trim_start().strip_prefix("as ");
    alias.map_or(rest, |alias| {
        alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.into(),
            text: text.into(),
        }
    }

    fn paths(code: &str) -> Vec<String> {
        std_paths(code).into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn the_sources_keep_their_layers() {
        let found = faults(&crate::source::files().unwrap());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn imports_are_spread_out() {
        let code = "use std::{fmt::{self, Debug as D}, thread, time::Duration};";
        let expected = [
            "std::fmt",
            "std::fmt::Debug",
            "std::thread",
            "std::time::Duration",
        ];
        assert_eq!(paths(code), expected);
        assert_eq!(
            paths("let x = std::mem::size_of::<u8>();"),
            ["std::mem::size_of"]
        );
    }

    #[test]
    fn the_token_crate_names_no_thread_clock_hash_or_io() {
        let faults_of = |text| faults(&[file("crates/tokengate-token/src/a.rs", text)]);
        for code in [
            "use std::thread;",
            "fn f() { std::thread::yield_now() }",
            "use std::{sync::Arc, time::{Duration, Instant}};",
            "use std::time;",
            "use std::time::*;",
            "use std::{io::Read};",
            "fn f(x: &std::fs::File) {}",
            "use std::net as n;",
            "use std::hash::Hasher;",
        ] {
            assert_eq!(faults_of(code).len(), 1, "{code}");
        }
        for code in [
            "use std::time::Duration;",
            "// std::thread\nuse std::task::{Context, Poll};",
            "std::thread_local! {}",
            "#[cfg(test)]\nmod tests { use std::thread; }",
        ] {
            assert_eq!(faults_of(code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn tests_of_the_token_crate_may_start_threads() {
        let tests = file("crates/tokengate-token/tests/kill.rs", "use std::thread;");
        assert_eq!(faults(&[tests]), Vec::<String>::new());
    }

    #[test]
    fn only_the_facade_and_the_benches_name_tokio() {
        let faults_of = |path| faults(&[file(path, "use tokio::time;")]).len();
        assert_eq!(faults_of("crates/tokengate-scheduler/src/worker/mod.rs"), 1);
        assert_eq!(faults_of("crates/tokengate-macros/src/lib.rs"), 1);
        assert_eq!(faults_of("crates/tokengate/src/reactor.rs"), 0);
        assert_eq!(faults_of("crates/tokengate-bench/src/peers/tokio.rs"), 0);
        assert_eq!(faults_of("benches/src/lib.rs"), 0);
    }

    #[test]
    fn expansions_touch_the_private_module_only() {
        let faults_of = |text| faults(&[file("crates/tokengate-macros/src/a.rs", text)]);
        assert_eq!(faults_of("quote!(::tokengate::Gate)").len(), 1);
        assert_eq!(faults_of("quote!(::tokengate::__private::submit)").len(), 0);
    }

    #[test]
    fn sha2_lives_in_one_file_of_the_anchor_crate() {
        let seed = || file("crates/tokengate-anchor/src/seed.rs", "use sha2::Sha256;");
        let other = || file("crates/tokengate-anchor/src/lib.rs", "use sha2::Digest;");
        let facade = || file("crates/tokengate/src/lib.rs", "use sha2::Digest;");
        let bench = || file("crates/tokengate-bench/src/a.rs", "use sha2::Digest;");
        assert_eq!(wrapper_faults(&[], "sha2").len(), 0);
        assert_eq!(wrapper_faults(&[seed(), bench()], "sha2").len(), 0);
        assert_eq!(wrapper_faults(&[seed(), other()], "sha2").len(), 1);
        assert_eq!(wrapper_faults(&[facade()], "sha2").len(), 1);
    }
}
