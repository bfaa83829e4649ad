//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy knows.
//!
//! Called by `main.rs`, by `ci.rs`, and by a test of its own, so that `cargo test --workspace` holds
//! the workspace to them. A rule looks at one file or at the whole list, and says in each fault what to
//! do instead. Formats nothing and repairs nothing.

use crate::Outcome;
use crate::source::{self, SourceFile, attributes, code_only, find_word, line_of};

/// The longest file that a reader still holds in mind.
const MAX_LINES: usize = 600;

/// The files that may contain unsafe code; each must contain some, so that the list stays true.
///
/// All of them are the task cell and its owners, or test those. A new one needs a reason why safe code will not do.
const UNSAFE_FILES: &[&str] = &[
    "crates/tokengate-token/src/body.rs",
    "crates/tokengate-token/src/cell/handle.rs",
    "crates/tokengate-token/src/cell/kill.rs",
    "crates/tokengate-token/src/cell/mod.rs",
    "crates/tokengate-token/src/cell/retry.rs",
    "crates/tokengate-token/src/cell/run.rs",
    "crates/tokengate-token/src/cell/task.rs",
    "crates/tokengate-token/src/context.rs",
    "crates/tokengate-token/src/deadlock.rs",
    "crates/tokengate-token/src/inbox.rs",
    "crates/tokengate-token/src/killer.rs",
    "crates/tokengate-token/src/list.rs",
    "crates/tokengate-token/src/memory.rs",
    "crates/tokengate-token/src/present.rs",
    "crates/tokengate-token/src/runnable.rs",
    "crates/tokengate-token/src/token.rs",
    "crates/tokengate-token/src/wait.rs",
    "crates/tokengate-token/tests/layout.rs",
    "crates/tokengate-token/tests/loom_bond.rs",
    "crates/tokengate-token/tests/wake.rs",
];

/// What shows another machine in a file. Written in two parts, because this file is checked too.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

/// The two commands that the README owes to its reader.
const README_COMMANDS: &[&str] = &["cargo xtask bench", "cargo test --workspace"];

pub(crate) fn run() -> Outcome {
    source::report(&faults(&source::files()?))
}

/// What is wrong with these files, one line for each fault.
fn faults(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        faults.extend(machine_paths(file));
        if file.is_rust() {
            let code = code_only(&file.text);
            faults.extend(length(file));
            faults.extend(first_line(file));
            faults.extend(placeholders(file, &code));
            faults.extend(reasons(file, &code));
            faults.extend(names(file, &code));
            faults.extend(unlisted_unsafe(file, &code, UNSAFE_FILES));
        }
        if file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml") {
            faults.extend(description(file));
        }
    }
    faults.extend(idle_unsafe_listing(files, UNSAFE_FILES));
    faults.extend(must_contain(files, "CHANGELOG.md", &["## [Unreleased]"]));
    faults.extend(must_contain(files, "README.md", README_COMMANDS));
    faults
}

fn at(file: &SourceFile, offset: usize, what: &str) -> String {
    format!("{}:{}: {what}", file.path, line_of(&file.text, offset))
}

fn length(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > MAX_LINES).then(|| {
        format!(
            "{}: {lines} lines, at most {MAX_LINES}; split it by role",
            file.path
        )
    })
}

fn first_line(file: &SourceFile) -> Option<String> {
    let summary = file.text.lines().next().unwrap_or_default();
    let missing = !summary.starts_with("//! ") && !summary.starts_with("#!");
    missing.then(|| {
        at(
            file,
            0,
            "begin with `//!` and one sentence for the code map",
        )
    })
}

fn placeholders(file: &SourceFile, code: &str) -> Vec<String> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let found = macros
        .iter()
        .flat_map(|name| find_word(code, name).into_iter().map(move |o| (o, name)));
    found
        .map(|(offset, name)| at(file, offset, &format!("finish it or take `{name}` out")))
        .collect()
}

/// A lint that is switched off and a test that is left out both say why.
fn reasons(file: &SourceFile, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for attribute in attributes(code) {
        let has = |word| !find_word(attribute.text, word).is_empty();
        if (has("allow(") || has("expect(")) && !has("reason") {
            let what = "give the exception a `reason = \"..\"`";
            faults.push(at(file, attribute.offset, what));
        }
        let ignores = find_word(attribute.text, "ignore");
        let silent = |&offset: &usize| {
            let rest = attribute.text[offset + "ignore".len()..].trim_start();
            rest.starts_with([']', ')'])
        };
        if ignores.iter().any(silent) {
            let what = "say why the test is left out: `#[ignore = \"..\"]`";
            faults.push(at(file, attribute.offset, what));
        }
    }
    faults
}

/// `Core` and `Guard` mean too many things in this domain to name a type.
fn names(file: &SourceFile, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for kind in ["struct", "enum", "union", "trait", "type"] {
        for name in ["Core", "Guard"] {
            for offset in find_word(code, &format!("{kind} {name}")) {
                let what = format!("find a name that says more than `{name}`");
                faults.push(at(file, offset, &what));
            }
        }
    }
    faults
}

/// Where unsafe code begins; the bare keyword, as in `Token![unsafe]`, is none.
fn unsafe_code(code: &str) -> impl Iterator<Item = usize> {
    find_word(code, "unsafe").into_iter().filter(|offset| {
        let rest = code[offset + "unsafe".len()..].trim_start();
        let items = ["{", "(", "fn ", "impl", "trait ", "extern"];
        items.iter().any(|item| rest.starts_with(item))
    })
}

fn unlisted_unsafe(file: &SourceFile, code: &str, listed: &[&str]) -> Option<String> {
    let offset = unsafe_code(code).next()?;
    let unlisted = !listed.contains(&file.path.as_str());
    unlisted.then(|| {
        let what = "unsafe code outside the files named in xtask/src/tidy.rs; write it safely";
        at(file, offset, what)
    })
}

fn idle_unsafe_listing(files: &[SourceFile], listed: &[&str]) -> Vec<String> {
    let in_use = |path: &str| {
        files
            .iter()
            .filter(|file| file.path == path)
            .any(|file| unsafe_code(&code_only(&file.text)).next().is_some())
    };
    let idle = listed.iter().filter(|path| !in_use(path));
    idle.map(|path| format!("{path}: holds no unsafe code; take it off the list in tidy.rs"))
        .collect()
}

fn machine_paths(file: &SourceFile) -> Vec<String> {
    let found = MACHINE_PATHS
        .iter()
        .flat_map(|path| file.text.match_indices(path));
    found
        .map(|(offset, path)| {
            at(
                file,
                offset,
                &format!("`{path}` exists on one machine only"),
            )
        })
        .collect()
}

/// A crate that is published says what it is for.
fn description(file: &SourceFile) -> Option<String> {
    let has = |key: &str| file.text.lines().any(|line| line.starts_with(key));
    let missing = !has("publish = false") && !has("description = \"");
    missing.then(|| format!("{}: add a `description`", file.path))
}

fn must_contain(files: &[SourceFile], path: &str, texts: &[&str]) -> Vec<String> {
    let file = files.iter().find(|file| file.path == path);
    let text = file.map_or("", |file| &file.text);
    let missing = texts.iter().filter(|needed| !text.contains(*needed));
    missing
        .map(|needed| format!("{path}: must contain `{needed}`"))
        .collect()
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

    /// The faults of one Rust file, without those of the workspace.
    fn faults_of(text: &str) -> Vec<String> {
        let mut found = faults(&[
            file("CHANGELOG.md", "## [Unreleased]\n"),
            file("README.md", "cargo xtask bench, cargo test --workspace"),
            file("crates/a/src/lib.rs", text),
        ]);
        found.retain(|fault| UNSAFE_FILES.iter().all(|path| !fault.starts_with(path)));
        found
    }

    #[track_caller]
    fn assert_fault(text: &str, line: usize, words: &str) {
        let found = faults_of(text);
        let expected = format!("crates/a/src/lib.rs:{line}: ");
        let hit = |fault: &String| fault.starts_with(&expected) && fault.contains(words);
        assert!(
            found.len() == 1 && found.iter().all(hit),
            "no `{words}` in line {line} alone: {found:?}"
        );
    }

    #[test]
    fn the_workspace_is_tidy() {
        let found = faults(&source::files().unwrap());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_file_in_order_has_no_fault() {
        let text = "//! A.\n#[expect(dead_code, reason = \"r\")]\n#[ignore = \"slow\"]\nfn todo() {}\n// todo!() unsafe {}\nconst X: &str = \"dbg!( unsafe { struct Core\";\n";
        assert_eq!(faults_of(text), Vec::<String>::new());
    }

    #[test]
    fn a_long_file_is_a_fault() {
        let longest = format!("//! A.\n{}", "\n".repeat(MAX_LINES - 1));
        assert_eq!(faults_of(&longest), Vec::<String>::new());
        let found = faults_of(&format!("{longest}\n"));
        assert!(
            found.len() == 1 && found[0].contains("601 lines"),
            "{found:?}"
        );
    }

    #[test]
    fn a_file_without_a_summary_is_a_fault() {
        assert_fault("fn f() {}\n", 1, "//!");
        assert_fault("// A.\n", 1, "//!");
    }

    #[test]
    fn placeholders_are_faults() {
        assert_fault("//! A.\nfn f() { todo!() }\n", 2, "todo!");
        assert_fault("//! A.\nfn f() { unimplemented!() }\n", 2, "unimplemented!");
        assert_fault("//! A.\n\nfn f() { dbg!(1); }\n", 3, "dbg!");
    }

    #[test]
    fn exceptions_without_a_reason_are_faults() {
        assert_fault("//! A.\n#![allow(dead_code)]\n", 2, "reason");
        assert_fault(
            "//! A.\n#[expect(\n    dead_code\n)]\nfn f() {}\n",
            2,
            "reason",
        );
        assert_fault("//! A.\n#[cfg_attr(x, allow(y))]\nfn f() {}\n", 2, "reason");
    }

    #[test]
    fn tests_left_out_without_a_reason_are_faults() {
        assert_fault("//! A.\n#[test]\n#[ignore]\nfn f() {}\n", 3, "left out");
        assert_fault("//! A.\n#[cfg_attr(x, ignore)]\nfn f() {}\n", 2, "left out");
    }

    #[test]
    fn types_named_core_or_guard_are_faults() {
        assert_fault("//! A.\nstruct Core;\n", 2, "Core");
        assert_fault("//! A.\npub enum Guard {}\n", 2, "Guard");
        assert_eq!(
            faults_of("//! A.\nstruct CoreDomain;\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn unsafe_code_outside_the_named_files_is_a_fault() {
        for code in [
            "unsafe { x() }",
            "unsafe fn x() {}",
            "unsafe impl X for Y {}",
            "#[unsafe(x)] fn y() {}",
        ] {
            assert_fault(&format!("//! A.\n{code}\n"), 2, "unsafe");
        }
        assert_eq!(
            faults_of("//! A.\ntype X = Token![unsafe];\n"),
            Vec::<String>::new()
        );
        let cell = file("cell.rs", "unsafe {}");
        assert_eq!(unlisted_unsafe(&cell, &cell.text, &["cell.rs"]), None);
    }

    #[test]
    fn a_named_file_without_unsafe_code_is_a_fault() {
        let files = [file("a.rs", "unsafe {}"), file("b.rs", "// unsafe {}")];
        assert_eq!(idle_unsafe_listing(&files, &["a.rs"]), Vec::<String>::new());
        assert_eq!(
            idle_unsafe_listing(&files, &["a.rs", "b.rs", "c.rs"]).len(),
            2
        );
    }

    #[test]
    fn paths_of_one_machine_are_faults_in_any_file() {
        for path in MACHINE_PATHS {
            let found = machine_paths(&file("notes.md", &format!("a\nsee {path}me/x")));
            assert!(
                found.len() == 1 && found[0].starts_with("notes.md:2:"),
                "{found:?}"
            );
        }
        assert_eq!(
            machine_paths(&file("notes.md", "see /sys/devices")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_published_crate_without_a_description_is_a_fault() {
        let named = file("crates/a/Cargo.toml", "description = \"A\"\n");
        assert_eq!(description(&named), None);
        assert!(description(&file("crates/a/Cargo.toml", "name = \"a\"\n")).is_some());
        assert_eq!(
            description(&file("crates/a/Cargo.toml", "publish = false\n")),
            None
        );
    }

    #[test]
    fn changelog_and_readme_owe_their_sections() {
        assert_eq!(
            faults(&[])
                .iter()
                .filter(|f| f.contains("must contain"))
                .count(),
            3
        );
    }
}
