//! Reads the files of the workspace and tells code from comments and literals.
//!
//! Used by the tidy and layering rules, which therefore never trip over a word in a comment or a
//! message. Keeps line numbers: blanked text leaves its newlines behind. Does not parse Rust: macros
//! are not expanded, and an item is recognised by its words only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// One text file of the workspace.
pub(crate) struct SourceFile {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Rust that belongs to the project; the cases of compile-error tests are wrong on purpose.
    pub(crate) fn is_rust(&self) -> bool {
        let after_ui = self.path.split_once("/tests/ui");
        let is_case = after_ui.is_some_and(|(_, rest)| rest.contains('/'));
        self.path.ends_with(".rs") && !is_case
    }

    /// Part of what users compile: below a `src` folder and not a file of unit tests.
    pub(crate) fn is_shipped(&self) -> bool {
        self.is_rust()
            && self.path.contains("src/")
            && !self.path.ends_with("/tests.rs")
            && !self.path.contains("/tests/")
    }

    /// The code without its unit tests, which by house order are the last item of a file.
    pub(crate) fn shipped_code(&self) -> String {
        let mut code = code_only(&self.text);
        let tests = attributes(&code).into_iter().find(|attribute| {
            attribute.text.starts_with("#[cfg(")
                && !find_word(attribute.text, "test").is_empty()
                && opens_a_module(&code[attribute.offset + attribute.text.len()..])
        });
        if let Some(offset) = tests.map(|attribute| attribute.offset) {
            code.truncate(offset);
        }
        code
    }
}

fn opens_a_module(code: &str) -> bool {
    let Some(rest) = code.trim_start().strip_prefix("mod ") else {
        return false;
    };
    rest.find(['{', ';'])
        .is_some_and(|end| rest[end..].starts_with('{'))
}

/// The root folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Asked at run time, where cargo sets it too: checkouts may share an output folder.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR");
    let mut root = PathBuf::from(xtask.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()));
    root.pop();
    root
}

/// All text files of the workspace, sorted by path; build output and version control are left out.
pub(crate) fn files() -> io::Result<Vec<SourceFile>> {
    let mut found = Vec::new();
    let root = root();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                // Cargo marks its output folders with this file, whatever they are called.
                if !path.ends_with(".git") && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = relative(&path, &root);
                found.push(SourceFile { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn relative(path: &Path, root: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.to_string_lossy().replace('\\', "/")
}

/// Where builds with flags of their own go: a folder inside the usual output folder.
pub(crate) fn target_dir(name: &str) -> PathBuf {
    let usual = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(usual).join(name)
}

/// Integration tests picked by the name of their file.
pub(crate) struct Suites(Vec<(String, String)>);

impl Suites {
    /// The files directly in the `tests` folder of a crate whose name without `.rs` is wanted.
    pub(crate) fn find(files: &[SourceFile], wanted: impl Fn(&str) -> bool) -> Self {
        let suite = |file: &SourceFile| {
            let path = file.path.strip_prefix("crates/")?.strip_suffix(".rs")?;
            let (package, name) = path.split_once("/tests/")?;
            let found = !name.contains('/') && wanted(name);
            found.then(|| (package.to_owned(), name.to_owned()))
        };
        Self(files.iter().filter_map(suite).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Arguments that make cargo build the packages of these suites.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|(package, _)| ["--package", package])
    }

    /// Arguments that make cargo run these suites and no others.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, test)| ["--test", test])
    }
}

/// Prints the faults and turns them into the outcome of a command.
pub(crate) fn report(faults: &[String]) -> Outcome {
    for fault in faults {
        println!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        count => Err(format!("{count} faults found; mend them as the lines above say").into()),
    }
}

/// An attribute of an item or of a file, from `#` to its closing bracket.
pub(crate) struct Attribute<'a> {
    pub(crate) offset: usize,
    pub(crate) text: &'a str,
}

/// The attributes in blanked code.
pub(crate) fn attributes(code: &str) -> Vec<Attribute<'_>> {
    let opens = code.match_indices('#').filter(|(offset, _)| {
        let rest = code[offset + 1..].trim_start_matches('!');
        rest.starts_with('[')
    });
    opens
        .map(|(offset, _)| {
            let rest = &code[offset..];
            let mut depth = 0;
            let end = rest.find(|c| {
                depth += i32::from(c == '[') - i32::from(c == ']');
                c == ']' && depth == 0
            });
            let text = &rest[..end.map_or(rest.len(), |end| end + 1)];
            Attribute { offset, text }
        })
        .collect()
}

/// Offsets of a word, or of a phrase whose ends are whole words.
pub(crate) fn find_word(code: &str, word: &str) -> Vec<usize> {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let first = inside(word.chars().next());
    let last = inside(word.chars().next_back());
    code.match_indices(word)
        .map(|(offset, _)| offset)
        .filter(|&offset| !(first && inside(code[..offset].chars().next_back())))
        .filter(|&offset| !(last && inside(code[offset + word.len()..].chars().next())))
        .collect()
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The text with comments and literals replaced by spaces.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let blank = comment(rest)
            .or_else(|| raw_string(rest).filter(|_| !after_word))
            .or_else(|| string(rest))
            .or_else(|| character(rest));
        if let Some(length) = blank {
            code.extend(rest[..length].chars().map(blanked));
            rest = &rest[length..];
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    code
}

fn blanked(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// Length of the comment at the start of `rest`; block comments nest.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0_u32;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - body.len();
    let body = body.strip_prefix('r').filter(|_| prefix <= 1)?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let body = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - body.len();
    let end = body.find(&close).map(|end| end + close.len());
    Some(start + end.unwrap_or(body.len()))
}

fn string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    Some(end.map_or(rest.len(), |end| end + 2))
}

/// A character, told from a lifetime by its closing quote.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let mut inside = body.chars();
    let first = inside.next()?;
    if first == '\\' {
        let escaped = inside.next()?;
        let start = 1 + escaped.len_utf8();
        return body[start..].find('\'').map(|end| 1 + start + end + 1);
    }
    (inside.next() == Some('\'')).then(|| first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, Suites, attributes, code_only, find_word, line_of};

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a // word\n/* word /* word */ word */ b\n\"word \\\" word\" c r#\"word \" word\"# d br\"word\" e 'w' '\\'' f";
        let code = code_only(text);
        assert_eq!(code.matches("word").count(), 0, "{code}");
        let kept: String = code.split_whitespace().collect();
        assert_eq!(kept, "abcdef");
        assert_eq!(code.matches('\n').count(), 2);
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        let text = "fn f<'a>(x: &'a str, r#type: u8) {}";
        assert_eq!(code_only(text), text);
    }

    #[test]
    fn a_word_is_found_whole_only() {
        assert_eq!(find_word("unsafe_code unsafe my_unsafe", "unsafe"), [12]);
        assert_eq!(find_word("xdbg!() dbg!()", "dbg!"), [8]);
    }

    #[test]
    fn attributes_end_at_their_own_bracket() {
        let found = attributes("#![a] x #[b([1])]\nfn f() { y[0] } #[c");
        let texts: Vec<_> = found.iter().map(|a| a.text).collect();
        assert_eq!(texts, ["#![a]", "#[b([1])]", "#[c"]);
    }

    #[test]
    fn unit_tests_are_not_shipped_but_test_helpers_hide_nothing() {
        let text = "#[cfg(test)]\nfn helper() {}\nfn shipped() {}\n#[cfg(all(test, not(x)))]\nmod tests { fn tested() {} }";
        let code = file("crates/a/src/lib.rs", text).shipped_code();
        assert!(code.contains("shipped"));
        assert!(!code.contains("tested"));
    }

    #[test]
    fn cases_of_compile_errors_are_no_rust_of_ours_but_their_suite_is() {
        assert!(!file("crates/a/tests/ui/bad.rs", "").is_rust());
        assert!(file("crates/a/tests/ui.rs", "").is_rust());
        assert!(file("crates/a/tests/kill.rs", "").is_rust());
        assert!(!file("crates/a/tests/kill.rs", "").is_shipped());
        assert!(file("crates/a/src/cell.rs", "").is_shipped());
    }

    #[test]
    fn suites_are_found_by_name_in_the_tests_folder_of_a_crate() {
        let files = [
            file("crates/a/tests/loom_state.rs", ""),
            file("crates/b/tests/kill.rs", ""),
            file("crates/b/tests/common/loom_help.rs", ""),
            file("crates/b/src/loom_twin.rs", ""),
        ];
        let suites = Suites::find(&files, |name| name.starts_with("loom_"));
        let packages: Vec<_> = suites.packages().collect();
        let tests: Vec<_> = suites.tests().collect();
        assert_eq!(packages, ["--package", "a"]);
        assert_eq!(tests, ["--test", "loom_state"]);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
