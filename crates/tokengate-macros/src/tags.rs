//! The tags of the attribute, what stands in `tags(..)`: one row in [`TAGS`] and one field in [`Tags`] for each.
//!
//! `args.rs` calls [`Tags::read`]. A tag that is wrong keeps its default, so that the function still expands.
//! What a tag does to the call is written in `expand.rs`; rules between tags and the signature are in `validate.rs`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Ident;

use crate::entry::{Row, Table};

/// The values of all tags.
#[derive(Default)]
pub(crate) struct Tags {
    pub(crate) weight: Weight,
    /// The return type is a `Result` under another name; the user's token.
    pub(crate) fallible: Option<Ident>,
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
}

/// If `name` is a tag: that it goes into `tags(..)`.
pub(crate) fn as_tag(name: &str) -> Option<String> {
    let row = TAGS.rows.iter().find(|row| row.name == name)?;
    Some(format!(
        "`{name}` is a tag: write it in `tags(..)`, as {}",
        row.usage
    ))
}
