//! Shares out the function's own attributes among the items of the expansion.
//!
//! `expand.rs` and `fallback.rs` ask for it. The rule: an attribute goes where its author meant it. What readers and callers
//! see goes to the function, what concerns code to the body, `cfg` to every item. A lint level goes wherever the signature
//! stands, and an `expect` where it can be fulfilled, once. Attributes that stand before ours never get here.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Meta, Token, parse_quote};

/// An item of the expansion.
#[derive(Clone, Copy)]
pub(crate) enum On {
    /// Each free item: the enum, its `impl` and the function.
    Each,
    /// The enum.
    Handle,
    /// The function that gives the token.
    Function,
    Request,
    Body,
    Run,
}

/// The attributes of each item, in the order of [`On`].
#[derive(Default)]
pub(crate) struct Attributes([Vec<Attribute>; 6]);

/// Lints that are about a function as others see it; all others are about its code.
const SEEN_FROM_OUTSIDE: &[&str] = &[
    "dead_code",
    "missing_docs",
    "non_snake_case",
    "unreachable_pub",
];

impl Attributes {
    /// Shares out `attributes`.
    pub(crate) fn share_out(attributes: &[Attribute]) -> Self {
        let mut shared = Self::default();
        attributes
            .iter()
            .for_each(|attribute| shared.add(attribute));
        shared
    }

    /// The attributes of one item.
    pub(crate) fn on(&self, item: On) -> &[Attribute] {
        &self.0[item as usize]
    }

    fn put(&mut self, attribute: &Attribute, items: &[On]) {
        for item in items {
            self.0[*item as usize].push(attribute.clone());
        }
    }

    fn add(&mut self, attribute: &Attribute) {
        let name = attribute
            .path()
            .get_ident()
            .map(Ident::to_string)
            .unwrap_or_default();
        match name.as_str() {
            "cfg" => self.put(attribute, &[On::Each]),
            "cfg_attr" => self.add_conditional(attribute),
            "doc" if is_hidden(attribute) => self.put(attribute, &[On::Handle, On::Function]),
            "doc" => self.put(attribute, &[On::Function]),
            // Not on what the expansion itself calls, which would then warn of its own deprecation.
            "deprecated" => self.put(attribute, &[On::Function, On::Request]),
            "must_use" => self.put(attribute, &[On::Function, On::Run]),
            "allow" | "warn" | "deny" | "forbid" => {
                self.put(attribute, &[On::Function, On::Request, On::Body, On::Run]);
            }
            "expect" => self.add_expectation(attribute),
            _ => self.put(attribute, &[On::Run]),
        }
    }

    /// Shares out what is inside of `cfg_attr(condition, ..)`, each under its condition.
    fn add_conditional(&mut self, attribute: &Attribute) {
        let Some(mut arguments) = arguments(attribute) else {
            return self.put(attribute, &[On::Run]);
        };
        let condition = arguments.next();
        let inner = arguments
            .map(|meta| parse_quote!(#[#meta]))
            .collect::<Vec<_>>();
        let inner = Self::share_out(&inner);
        for (own, inner) in self.0.iter_mut().zip(inner.0) {
            own.extend(
                inner
                    .into_iter()
                    .map(|Attribute { meta, .. }| parse_quote!(#[cfg_attr(#condition, #meta)])),
            );
        }
    }

    /// Expects a lint on the one item that it is about, and allows it where the signature is repeated.
    fn add_expectation(&mut self, attribute: &Attribute) {
        let Some(arguments) = arguments(attribute) else {
            return self.put(attribute, &[On::Run]);
        };
        let is_reason = |meta: &Meta| matches!(meta, Meta::NameValue(_));
        let is_outside = |lint: &Meta| {
            SEEN_FROM_OUTSIDE
                .iter()
                .any(|name| lint.path().is_ident(name))
        };
        let (reason, lints): (Vec<_>, Vec<_>) = arguments.partition(is_reason);
        let (outside, inside): (Vec<_>, Vec<_>) = lints.into_iter().partition(is_outside);
        let mut put = |level: &str, lints: &[Meta], items: &[On]| {
            let level = format_ident!("{level}");
            if !lints.is_empty() {
                self.put(&parse_quote!(#[#level(#(#lints,)* #(#reason)*)]), items);
            }
        };
        put("expect", &outside, &[On::Function]);
        put("allow", &outside, &[On::Run]);
        put("expect", &inside, &[On::Run]);
        put("allow", &inside, &[On::Function, On::Request, On::Body]);
    }
}

/// The arguments of an attribute; `None` for those that only the compiler can judge.
fn arguments(attribute: &Attribute) -> Option<impl Iterator<Item = Meta>> {
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    attribute
        .parse_args_with(parser)
        .ok()
        .map(Punctuated::into_iter)
}

fn is_hidden(attribute: &Attribute) -> bool {
    attribute
        .parse_args::<Ident>()
        .is_ok_and(|argument| argument == "hidden")
}

/// Allows lints that would blame the user for what is generated.
pub(crate) fn quiet(lints: &[&str]) -> TokenStream {
    let lints = lints
        .iter()
        .map(|lint| syn::parse_str::<syn::Path>(lint).expect("the name of a lint is a path"));
    quote!(#[allow(#(#lints,)* reason = "generated by `task_token_guard`")])
}
