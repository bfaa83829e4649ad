//! Reads lists of named entries (`name`, `name = value`, `name(..)`) against a table of the valid ones.
//!
//! `args.rs` and `tags.rs` each hold one [`Table`]; a new argument or tag is one more [`Row`]. A row gets the tokens of its
//! value untouched, so it may take any syntax, such as expressions over the function's arguments.
//! A faulty entry is skipped up to its comma and the rest is still read. No row is named in this file.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Expr, ExprArray, Ident, LitStr, Token, parenthesized, token};

use crate::faults::Faults;

/// One entry as the user wrote it.
pub(crate) struct Entry {
    pub(crate) name: Ident,
    value: Value,
    usage: &'static str,
}

enum Value {
    None,
    Equals(TokenStream),
    List(Group),
}

/// The valid entries of one list, which are read into a `T`.
pub(crate) struct Table<T: 'static> {
    /// What an entry of this list is called in messages.
    pub(crate) noun: &'static str,
    pub(crate) rows: &'static [Row<T>],
    /// For a name that is valid in another place: where that is.
    pub(crate) misplaced: fn(&str) -> Option<String>,
}

/// One valid entry: its name, how it is written, and what reads it.
pub(crate) struct Row<T> {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) read: fn(&Entry, &mut T) -> syn::Result<()>,
}

impl Entry {
    /// The entry is a flag: it has no value.
    pub(crate) fn flag(&self) -> syn::Result<()> {
        if matches!(self.value, Value::None) {
            Ok(())
        } else {
            Err(self.misused())
        }
    }

    /// The `value` of `name = value`.
    pub(crate) fn value<T: Parse>(&self) -> syn::Result<T> {
        let Value::Equals(tokens) = &self.value else {
            return Err(self.misused());
        };
        let parse = |input: ParseStream<'_>| {
            let value = input.parse().map_err(|_: Error| self.misused())?;
            if input.is_empty() {
                Ok(value)
            } else {
                Err(input.error("expected `,`"))
            }
        };
        parse.parse2(tokens.clone())
    }

    /// The `text` of `name = "text"`, which is not blank.
    pub(crate) fn text(&self) -> syn::Result<LitStr> {
        let text = self.value::<LitStr>()?;
        if text.value().trim().is_empty() {
            return Err(Error::new(
                text.span(),
                format!("`{}` is empty: {}", self.name, self.usage()),
            ));
        }
        Ok(text)
    }

    /// The `choice` of `name = "choice"`: one of the names in `choices`.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> syn::Result<T> {
        let text = self.value::<LitStr>()?;
        let chosen = text.value();
        let found = choices
            .iter()
            .find(|(name, _)| *name == chosen)
            .map(|(_, choice)| *choice);
        found.ok_or_else(|| {
            Error::new(
                text.span(),
                format!("unknown {} `{chosen}`: {}", self.name, self.usage()),
            )
        })
    }

    /// Whether the entry is `name(..)`.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// What stands between the parentheses of `name(..)`.
    pub(crate) fn list(&self) -> syn::Result<TokenStream> {
        let Value::List(group) = &self.value else {
            return Err(self.misused());
        };
        Ok(group.stream())
    }

    /// The expressions between the parentheses of `name(..)`.
    pub(crate) fn expressions(&self) -> syn::Result<Vec<Expr>> {
        let Value::List(group) = &self.value else {
            return Err(self.misused());
        };
        // With the parentheses, so that an error at the end of the list points there.
        let parse = |input: ParseStream<'_>| {
            let content;
            parenthesized!(content in input);
            content.parse_terminated(Expr::parse, Token![,])
        };
        let told = |error: Error| {
            let usage = self.usage();
            let message = format!("expected expressions with commas between them: {usage}");
            Error::new(error.span(), message)
        };
        let expressions = parse.parse2(group.to_token_stream()).map_err(told)?;
        Ok(expressions.into_iter().collect())
    }

    /// The items of `name = [..]`.
    pub(crate) fn items(&self) -> syn::Result<Vec<Expr>> {
        let array = self.value::<ExprArray>()?;
        Ok(array.elems.into_iter().collect())
    }

    /// The value has another shape; points at the value, or at the name where there is none.
    pub(crate) fn misused(&self) -> Error {
        match &self.value {
            Value::Equals(tokens) if !tokens.is_empty() => Error::new_spanned(tokens, self.usage()),
            Value::List(group) => Error::new_spanned(group, self.usage()),
            _ => Error::new(self.name.span(), self.usage()),
        }
    }

    /// How the entry is written.
    pub(crate) fn usage(&self) -> String {
        format!("write {}", self.usage)
    }
}

impl<T> Table<T> {
    /// Reads all entries of `tokens` into `target`; what is wrong goes into the error, the rest is read.
    pub(crate) fn read(&self, tokens: TokenStream, target: &mut T) -> syn::Result<()> {
        let mut faults = Faults::default();
        let parse = |input: ParseStream<'_>| {
            let mut seen = Vec::new();
            while !input.is_empty() {
                faults.keep(self.read_entry(input, &mut seen, target));
                skip_past_comma(input)?;
            }
            Ok(())
        };
        parse.parse2(tokens)?;
        faults.or(())
    }

    fn read_entry(
        &self,
        input: ParseStream<'_>,
        seen: &mut Vec<Ident>,
        target: &mut T,
    ) -> syn::Result<()> {
        let noun = self.noun;
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format!("expected the name of {noun}: {}", self.usages())));
        }
        let name = input.call(Ident::parse_any)?;
        let value = Value::parse(input)?;
        let row = self
            .rows
            .iter()
            .find(|row| name == row.name)
            .ok_or_else(|| self.unknown(&name))?;
        if seen.contains(&name) {
            return Err(Error::new(
                name.span(),
                format!("`{name}` is given twice: keep one of them"),
            ));
        }
        seen.push(name.clone());
        (row.read)(
            &Entry {
                name,
                value,
                usage: row.usage,
            },
            target,
        )
    }

    fn unknown(&self, name: &Ident) -> Error {
        let text = name.to_string();
        if let Some(remedy) = (self.misplaced)(&text) {
            return Error::new(name.span(), remedy);
        }
        let similarity = |row: &&Row<T>| (strsim::jaro_winkler(row.name, &text) * 1000.0) as u32;
        let closest = self
            .rows
            .iter()
            .max_by_key(similarity)
            .filter(|row| similarity(row) > 800);
        let hint = closest.map_or(String::new(), |row| {
            format!(" did you mean `{}`?", row.name)
        });
        let noun = self.noun;
        Error::new(
            name.span(),
            format!("`{text}` is not {noun}:{hint} valid are {}", self.usages()),
        )
    }

    /// How each valid entry is written.
    fn usages(&self) -> String {
        self.rows
            .iter()
            .map(|row| row.usage)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl Value {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            return up_to_comma(input).map(Self::Equals);
        }
        let value = if input.peek(token::Paren) {
            Self::List(input.parse()?)
        } else {
            Self::None
        };
        if input.is_empty() || input.peek(Token![,]) {
            Ok(value)
        } else {
            Err(input.error("expected `,`"))
        }
    }
}

fn up_to_comma(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

fn skip_past_comma(input: ParseStream<'_>) -> syn::Result<()> {
    up_to_comma(input)?;
    input.parse::<Option<Token![,]>>().map(drop)
}
