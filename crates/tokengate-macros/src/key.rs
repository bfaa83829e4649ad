//! Writes how a call computes its sticky key.
//!
//! `expand.rs` puts it before the body, into the same scope: the parts see the arguments as they are, and the body takes them
//! away afterwards. Each part is only borrowed, and one that is not `Hash` is told where the user wrote it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprReference, Ident, Path, Token, Type, parse_quote};

use crate::expand::located;
use crate::function::Function;
use crate::tags::Tags;
use crate::validate::Call;

/// The key, to be computed in an associated function with the arguments in scope; `None` if calls have none.
pub(crate) fn key(
    private: &Path,
    tags: &Tags,
    function: &Function,
    call: &Call,
) -> Option<TokenStream> {
    if !tags.are_keyed() {
        return None;
    }
    let hasher = local("hasher");
    let part = |part: Expr, place: Span| {
        let hash_part = located(quote!(#private::hash_part), &place);
        let part = borrowed(part, place);
        quote_spanned!(place=> #hash_part(#part, #hasher);)
    };
    let parts: Vec<_> = match &tags.key {
        Some(key) => {
            let chosen = key.parts.iter();
            chosen.map(|own| part(own.clone(), own.span())).collect()
        }
        None => {
            let arguments = call.names.iter().zip(function.argument_types());
            arguments
                .map(|(name, ty)| part(behind(ty, name), ty.span()))
                .collect()
        }
    };
    Some(quote!(#private::key(Self::operation(), |#hasher| { #(#parts)* })))
}

/// The name of a local variable that no name of the user's can meet.
pub(crate) fn local(name: &str) -> Ident {
    format_ident!("__{name}", span = Span::mixed_site())
}

/// `&part`; where it needs parentheses it gets them, as does what a `macro_rules!` passed on as one expression.
fn borrowed(part: Expr, place: Span) -> Expr {
    match part {
        Expr::Group(group) => borrowed(*group.expr, place),
        own => Expr::Reference(ExprReference {
            attrs: Vec::new(),
            and_token: Token![&](place),
            mutability: None,
            expr: Box::new(own),
        }),
    }
}

/// The argument, placed so that a borrow which begins with its type ends with it too: an error underlines the whole type.
fn behind(ty: &Type, name: &Ident) -> Expr {
    let last = ty.to_token_stream().into_iter().last();
    let name = located(quote!(#name), &last);
    parse_quote!(#name)
}
