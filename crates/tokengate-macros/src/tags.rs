//! The tags of the attribute, what stands in `tags(..)`: one row in [`TAGS`] and one field in [`Tags`] for each.
//!
//! `args.rs` calls [`Tags::read`]. A tag that is wrong keeps its default, so that the function still expands.
//! What a tag does to the call is written in `expand.rs`; rules between tags and the signature are in `validate.rs`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Expr, Ident, LitInt, LitStr};

use crate::duration::duration;
use crate::entry::{Entry, Row, Table};
use crate::faults::Faults;
use crate::retry::Retry;

/// The values of all tags.
#[derive(Default)]
pub(crate) struct Tags {
    pub(crate) weight: Weight,
    /// Calls have a key under the operation's label; the user's token.
    pub(crate) sticky: Option<Ident>,
    /// Calls have a key under a name that operations share.
    pub(crate) sticky_anchor: Option<Anchor>,
    /// What takes part in the key; without it, all arguments.
    pub(crate) key: Option<KeyParts>,
    /// Calls of one key run one at a time.
    pub(crate) serial: bool,
    /// The call is a lead: the labels that its body calls.
    pub(crate) external_calls: Option<Vec<LitStr>>,
    /// How many calls execute at once.
    pub(crate) limit: Option<Limit>,
    /// How many storage calls of this speed execute at once.
    pub(crate) storage: Option<Storage>,
    /// Calls may block.
    pub(crate) blocking: bool,
    /// The longest execution of a call.
    pub(crate) timeout: Option<Duration>,
    /// The longest wait of a call for its start.
    pub(crate) ttl: Option<Duration>,
    /// Bodies that fail run again.
    pub(crate) retry: Option<Retry>,
    /// The return type is a `Result` under another name; the user's token.
    pub(crate) fallible: Option<Ident>,
}

/// The tag `sticky_anchor`.
pub(crate) struct Anchor {
    /// `None` if it is faulty.
    pub(crate) name: Option<LitStr>,
}

/// The tag `limit`.
pub(crate) struct Limit {
    /// The user's token.
    pub(crate) tag: Ident,
    /// The name that operations share; none for that of the operation.
    pub(crate) group: Option<LitStr>,
    /// `None` if it is faulty.
    pub(crate) size: Option<usize>,
}

/// The tag `storage_speed`: a limit of this group and size.
#[derive(Clone, Copy)]
pub(crate) struct Storage {
    pub(crate) group: &'static str,
    pub(crate) size: usize,
}

/// The tag `key`.
pub(crate) struct KeyParts {
    /// The user's token.
    pub(crate) tag: Ident,
    /// None at all if they are faulty.
    pub(crate) parts: Vec<Expr>,
}

/// Which core domains a call may be routed to; in an expansion, the variant of the same name.
#[derive(Clone, Copy, Default)]
pub(crate) enum Weight {
    Heavy,
    #[default]
    Medium,
    Light,
}

const TAGS: Table<Tags> = Table {
    noun: "a tag",
    rows: &[
        Row {
            name: "weight",
            usage: r#"`weight = "heavy"`, `"medium"` or `"light"`"#,
            read: |entry, tags| {
                let choices = [
                    ("heavy", Weight::Heavy),
                    ("medium", Weight::Medium),
                    ("light", Weight::Light),
                ];
                tags.weight = entry.choice(&choices)?;
                Ok(())
            },
        },
        Row {
            name: "sticky",
            usage: "the flag `sticky` without a value",
            read: |entry, tags| {
                tags.sticky = Some(entry.name.clone());
                entry.flag()
            },
        },
        Row {
            name: "sticky_anchor",
            usage: r#"`sticky_anchor = "name"`"#,
            read: |entry, tags| {
                let anchor = tags.sticky_anchor.insert(Anchor { name: None });
                anchor.name = Some(entry.text()?);
                Ok(())
            },
        },
        Row {
            name: "key",
            usage: "`key(a, b.id)`",
            read: |entry, tags| {
                let key = tags.key.insert(KeyParts {
                    tag: entry.name.clone(),
                    parts: Vec::new(),
                });
                key.parts = entry.expressions()?;
                Ok(())
            },
        },
        Row {
            name: "serial",
            usage: "the flag `serial` without a value",
            read: |entry, tags| {
                tags.serial = true;
                entry.flag()
            },
        },
        Row {
            name: "external_calls",
            usage: r#"`external_calls = ["child_op", ..]`"#,
            read: |entry, tags| {
                tags.external_calls = Some(labels(entry)?);
                Ok(())
            },
        },
        Row {
            name: "limit",
            usage: r#"`limit = 4` or `limit("group", 4)`"#,
            read: |entry, tags| {
                let limit = tags.limit.insert(Limit {
                    tag: entry.name.clone(),
                    group: None,
                    size: None,
                });
                limit.read(entry)
            },
        },
        Row {
            name: "storage_speed",
            usage: r#"`storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`"#,
            read: |entry, tags| {
                let of = |group, size| Storage { group, size };
                let choices = [
                    ("slow", of("storage.slow", 10)),
                    ("moderate", of("storage.moderate", 25)),
                    ("fast", of("storage.fast", 50)),
                    ("insane", of("storage.insane", 70)),
                ];
                tags.storage = Some(entry.choice(&choices)?);
                Ok(())
            },
        },
        Row {
            name: "blocking",
            usage: "the flag `blocking` without a value",
            read: |entry, tags| {
                tags.blocking = true;
                entry.flag()
            },
        },
        Row {
            name: "timeout",
            usage: r#"`timeout = "30s"`"#,
            read: |entry, tags| {
                tags.timeout = Some(duration(entry)?);
                Ok(())
            },
        },
        Row {
            name: "ttl",
            usage: r#"`ttl = "5s"`"#,
            read: |entry, tags| {
                tags.ttl = Some(duration(entry)?);
                Ok(())
            },
        },
        Row {
            name: "retry",
            usage: r#"`retry(attempts = 3, backoff = "100ms", jitter, on_panic)`"#,
            read: |entry, tags| Retry::read(entry, &mut tags.retry),
        },
        Row {
            name: "fallible",
            usage: "the flag `fallible` without a value",
            read: |entry, tags| {
                tags.fallible = Some(entry.name.clone());
                entry.flag()
            },
        },
    ],
    misplaced: crate::args::as_argument,
};

impl ToTokens for Weight {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Heavy => quote!(Heavy),
            Self::Medium => quote!(Medium),
            Self::Light => quote!(Light),
        });
    }
}

impl Tags {
    /// Reads the content of `tags(..)`.
    pub(crate) fn read(&mut self, tokens: TokenStream) -> syn::Result<()> {
        TAGS.read(tokens, self)
    }

    /// Whether calls have a sticky key.
    pub(crate) fn are_keyed(&self) -> bool {
        self.sticky.is_some() || self.sticky_anchor.is_some() || self.serial
    }
}

impl Limit {
    /// Reads `limit = 4` or `limit("group", 4)`.
    fn read(&mut self, entry: &Entry) -> syn::Result<()> {
        if !entry.is_list() {
            self.size = Some(size(entry, &entry.value()?)?);
            return Ok(());
        }
        let [group, number] = &entry.expressions()?[..] else {
            return Err(entry.misused());
        };
        let number = syn::parse2(number.to_token_stream()).map_err(|_| entry.misused())?;
        let group: LitStr = syn::parse2(group.to_token_stream()).map_err(|_| entry.misused())?;
        if group.value().trim().is_empty() {
            let message = format!("the group of `limit` is empty: {}", entry.usage());
            return Err(Error::new(group.span(), message));
        }
        self.group = Some(group);
        self.size = Some(size(entry, &number)?);
        Ok(())
    }
}

/// How many: at least one.
fn size(entry: &Entry, number: &LitInt) -> syn::Result<usize> {
    match number.base10_parse::<usize>() {
        Ok(0) => {
            let message = "`limit` lets nothing execute: write how many may at once, at least 1; to hold an operation back, pause it";
            Err(Error::new(number.span(), message))
        }
        Ok(size) => Ok(size),
        Err(_) => Err(Error::new(number.span(), entry.usage())),
    }
}

/// The labels in `name = ["label", ..]`, each of them once and not blank.
fn labels(entry: &Entry) -> syn::Result<Vec<LitStr>> {
    let mut faults = Faults::default();
    let mut labels = Vec::<LitStr>::new();
    for item in entry.items()? {
        let Some(label) = faults.keep(label(&item)) else {
            continue;
        };
        let text = label.value();
        if labels.iter().any(|other| other.value() == text) {
            faults.at(label, format!("`{text}` is listed twice: keep one of them"));
        } else {
            labels.push(label);
        }
    }
    faults.or(labels)
}

fn label(item: &Expr) -> syn::Result<LitStr> {
    let Ok(label) = syn::parse2::<LitStr>(item.to_token_stream()) else {
        let message = r#"a label is a string literal: write the `operation_type` of a function that the body calls, as in `"child_op"`"#;
        return Err(Error::new_spanned(item, message));
    };
    if label.value().trim().is_empty() {
        let message = "a label is empty: write the `operation_type` of a function that the body calls, or remove it";
        return Err(Error::new(label.span(), message));
    }
    Ok(label)
}

/// If `name` is a tag: that it goes into `tags(..)`.
pub(crate) fn as_tag(name: &str) -> Option<String> {
    let row = TAGS.rows.iter().find(|row| row.name == name)?;
    Some(format!(
        "`{name}` is a tag: write it in `tags(..)`, as {}",
        row.usage
    ))
}
