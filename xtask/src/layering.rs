//! `cargo xtask layering`: dependencies point one way and each crate stays within its means.
//!
//! Called by `main.rs` and `ci.rs`. Judges manifests and `cargo tree`; what the code names is judged by
//! `sources.rs`, which also runs as a test. `MAY_USE` is the whole truth about the arrows: a crate that
//! is not in it is a fault, so that a new one must be given its place. Dev-dependencies are free.

mod sources;

use xshell::{Shell, cmd};

use crate::Outcome;
use crate::source::{self, SourceFile};

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

pub(crate) fn run(sh: &Shell) -> Outcome {
    let files = source::files()?;
    let mut faults = sources::faults(&files);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.into(),
            text: text.into(),
        }
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
