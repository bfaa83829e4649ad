//! `cargo xtask layering`: dependencies point one way and each crate stays within its means.
//!
//! Called by `main.rs` and `ci.rs`; the rules on sources also run as a test. `MAY_USE` is the whole
//! truth about the arrows: a crate that is not in it is a fault, so that a new one must be given its
//! place. Dev-dependencies are free. Checks what is named, not how well it is used.

use xshell::{Shell, cmd};

use crate::Outcome;
use crate::source::{self, SourceFile, find_word, line_of};

/// For each member: the members, and tokio, that it may depend on directly or through other crates.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tokengate-token", &[]),
    ("tokengate-macros", &[]),
    ("tokengate-anchor", &["tokengate-token"]),
    (
        "tokengate-scheduler",
        &["tokengate-token", "tokengate-anchor"],
    ),
    ("tokengate", RUNTIME),
    ("tokengate-bench", EVERYTHING),
    ("benches", EVERYTHING),
    ("xtask", &[]),
];

const RUNTIME: &[&str] = &[
    "tokengate-token",
    "tokengate-macros",
    "tokengate-anchor",
    "tokengate-scheduler",
    "tokio",
];

const EVERYTHING: &[&str] = &[
    "tokengate-token",
    "tokengate-macros",
    "tokengate-anchor",
    "tokengate-scheduler",
    "tokengate",
    "tokengate-bench",
    "tokio",
];

/// All that the tasks may be built from, so that they build in seconds.
const XTASK_USES: &[&str] = &["clap", "xshell"];

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

pub(crate) fn run(sh: &Shell) -> Outcome {
    let files = source::files()?;
    let mut faults = source_faults(&files);
    for manifest in files.iter().filter(|file| is_manifest(file)) {
        faults.extend(manifest_faults(manifest));
        if let Some(package) = package_name(&manifest.text) {
            faults.extend(tree_faults(package, &tree(sh, package)?));
        }
    }
    source::report(&faults)
}

fn tree(sh: &Shell, package: &str) -> xshell::Result<String> {
    cmd!(
        sh,
        "cargo tree --quiet --package {package} --edges normal,build --all-features --prefix none"
    )
    .quiet()
    .read()
}

fn is_manifest(file: &SourceFile) -> bool {
    file.path.ends_with("/Cargo.toml") && !file.path.contains("/tests/")
}

fn package_name(manifest: &str) -> Option<&str> {
    let name = manifest
        .lines()
        .find_map(|line| line.strip_prefix("name = \""))?;
    name.strip_suffix('"')
}

/// The name by which `MAY_USE` knows a crate; none for the crates that it leaves alone.
fn governed(name: &str) -> Option<&str> {
    if name == "tokio" || name.starts_with("tokio-") {
        return Some("tokio");
    }
    MAY_USE
        .iter()
        .map(|(member, _)| *member)
        .find(|member| *member == name)
}

fn may_use(package: &str, dependency: &str) -> bool {
    let allowed = MAY_USE.iter().find(|(member, _)| *member == package);
    let allowed = allowed.map_or(&[][..], |(_, allowed)| *allowed);
    governed(dependency).is_none_or(|name| name == package || allowed.contains(&name))
}

/// Faults in the output of `cargo tree --prefix none`: one crate a line, the package itself first.
fn tree_faults(package: &str, tree: &str) -> Vec<String> {
    let mut crates: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    crates.sort_unstable();
    crates.dedup();
    crates
        .into_iter()
        .filter(|name| !may_use(package, name))
        .map(|name| {
            format!("{package}: reaches `{name}`; arrows go facade, scheduler, anchor, token")
        })
        .collect()
}

/// Faults in what a manifest names, on whatever platform it is used.
fn manifest_faults(manifest: &SourceFile) -> Vec<String> {
    let path = &manifest.path;
    let Some(package) = package_name(&manifest.text) else {
        return vec![format!("{path}: has no package name")];
    };
    if governed(package).is_none() {
        return vec![format!("{path}: give `{package}` its place in layering.rs")];
    }
    let mut faults = Vec::new();
    for name in dependencies(&manifest.text) {
        if !may_use(package, name) {
            faults.push(format!("{path}: may not depend on `{name}`"));
        }
        if package == "xtask" && !XTASK_USES.contains(&name) {
            faults.push(format!("{path}: make do without `{name}`"));
        }
    }
    faults
}

/// Names under `[dependencies]`, `[build-dependencies]` and their forms for one platform.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end().trim_end_matches(']');
            let shipped = !header.contains("dev-dependencies");
            inside = shipped && header.ends_with("dependencies");
            // The long form: `[dependencies.name]`.
            let long = header.rsplit_once("dependencies.");
            names.extend(long.filter(|_| shipped).map(|(_, name)| name));
        } else if inside {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            names.extend(Some(name).filter(|name| !name.is_empty() && !name.starts_with('#')));
        }
    }
    names
}

/// Faults in what the shipped code names.
fn source_faults(files: &[SourceFile]) -> Vec<String> {
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
        let found = source_faults(&source::files().unwrap());
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
        let faults_of = |text| source_faults(&[file("crates/tokengate-token/src/a.rs", text)]);
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
        assert_eq!(source_faults(&[tests]), Vec::<String>::new());
    }

    #[test]
    fn only_the_facade_and_the_benches_name_tokio() {
        let faults_of = |path| source_faults(&[file(path, "use tokio::time;")]).len();
        assert_eq!(faults_of("crates/tokengate-scheduler/src/worker/mod.rs"), 1);
        assert_eq!(faults_of("crates/tokengate-macros/src/lib.rs"), 1);
        assert_eq!(faults_of("crates/tokengate/src/reactor.rs"), 0);
        assert_eq!(faults_of("crates/tokengate-bench/src/peers/tokio.rs"), 0);
        assert_eq!(faults_of("benches/src/lib.rs"), 0);
    }

    #[test]
    fn expansions_touch_the_private_module_only() {
        let faults_of = |text| source_faults(&[file("crates/tokengate-macros/src/a.rs", text)]);
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

    #[test]
    fn arrows_go_one_way() {
        let tree = "tokengate-scheduler v0.1.0 (/x)\nslab v0.4.0\ntokengate-token v0.1.0\n";
        assert_eq!(
            tree_faults("tokengate-scheduler", tree),
            Vec::<String>::new()
        );
        assert_eq!(tree_faults("tokengate-token", tree).len(), 1);
        assert_eq!(tree_faults("tokengate-anchor", tree).len(), 1);
    }

    #[test]
    fn tokio_is_found_behind_other_crates() {
        let tree = "tokengate-scheduler v0.1.0\nsome v1.0.0\ntokio-util v0.7.0\ntokio v1.0.0\n";
        assert_eq!(tree_faults("tokengate-scheduler", tree).len(), 2);
        assert_eq!(tree_faults("tokengate", tree), Vec::<String>::new());
    }

    #[test]
    fn manifests_name_what_the_layer_allows() {
        let faults_of = |name, dependencies| {
            let text = format!("[package]\nname = \"{name}\"\n\n{dependencies}\n");
            manifest_faults(&file("crates/x/Cargo.toml", &text)).len()
        };
        let on_windows = "[target.'cfg(windows)'.dependencies]\ntokio = \"1\"";
        assert_eq!(faults_of("tokengate-scheduler", on_windows), 1);
        assert_eq!(
            faults_of("tokengate-token", "[dependencies.tokio]\nversion = \"1\""),
            1
        );
        assert_eq!(
            faults_of(
                "tokengate-token",
                "[dev-dependencies]\ntokio.workspace = true"
            ),
            0
        );
        assert_eq!(
            faults_of(
                "tokengate-macros",
                "[dependencies]\ntokengate-token.workspace = true"
            ),
            1
        );
        assert_eq!(
            faults_of(
                "tokengate-anchor",
                "[dependencies]\ntokengate-token.workspace = true"
            ),
            0
        );
        assert_eq!(
            faults_of(
                "xtask",
                "[dependencies]\nserde = \"1\"\nclap.workspace = true"
            ),
            1
        );
        assert_eq!(faults_of("tokengate-new", ""), 1);
    }
}
