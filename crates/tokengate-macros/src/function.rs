//! The item under the attribute, read as a function whose body stays raw tokens.
//!
//! The entry point reads it after the arguments. A body that is unfinished or newer than our parser still expands, so that
//! an editor can complete in it. Whether the signature may be guarded is for `validate.rs`.

use proc_macro2::{Delimiter, Group, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, Ident, LitStr, ReturnType, Signature, Token, Type, Visibility, braced,
    parse_quote_spanned, token,
};

/// A function as the user wrote it.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) code: Group,
}

impl Function {
    /// Reads `item`; the error says that this is no function, or where it is cut off.
    pub(crate) fn read(item: TokenStream) -> syn::Result<Self> {
        syn::parse2(item)
    }

    /// The return type: `()` where none is written.
    pub(crate) fn result(&self) -> Type {
        match &self.signature.output {
            ReturnType::Default => {
                parse_quote_spanned!(self.signature.paren_token.span.close()=> ())
            }
            ReturnType::Type(_, result) => (**result).clone(),
        }
    }

    /// The types of the arguments; a receiver has none.
    pub(crate) fn argument_types(&self) -> impl Iterator<Item = &Type> {
        self.signature
            .inputs
            .iter()
            .filter_map(|input| match input {
                FnArg::Typed(argument) => Some(&*argument.ty),
                FnArg::Receiver(_) => None,
            })
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !begins_function(input) {
            return Err(not_a_function(input));
        }
        let signature: Signature = input.parse()?;
        if !input.peek(token::Brace) {
            let message = "a guarded function has a body: in a trait, guard a free function and call it from the method";
            return Err(Error::new(signature.ident.span(), message));
        }
        let content;
        let braces = braced!(content in input);
        let mut code = Group::new(Delimiter::Brace, content.parse()?);
        code.set_span(braces.span.join());
        Ok(Self {
            attributes,
            visibility,
            signature,
            code,
        })
    }
}

/// The type inside parentheses and inside the invisible groups of `macro_rules!`.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        ty => ty,
    }
}

/// Whether `fn` comes next, perhaps after `const`, `async`, `unsafe` or `extern "C"`.
fn begins_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
    {
        let _qualifier = ahead.call(Ident::parse_any);
        let _abi = ahead.peek(LitStr).then(|| ahead.parse::<LitStr>());
    }
    ahead.peek(Token![fn])
}

fn not_a_function(input: ParseStream<'_>) -> Error {
    input.error("`#[task_token_guard]` goes on a function: move the code to a free function and guard that one")
}
