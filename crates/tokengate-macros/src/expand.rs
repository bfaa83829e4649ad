//! Writes the items that a guarded function becomes: an enum of its name with associated functions, and the function itself.
//!
//! The entry point calls [`expand`] once the signature is sound; where only the attribute is at fault, defaults stand in.
//! The items name nothing but `<runtime>::__private` and the user's own tokens, so that no name in the user's scope, whatever
//! it shadows, can change them. What a type must fulfil is asked for in one place, `body`, so that a fault is told once.

use std::time::Duration;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericParam, Ident, LitStr, Pat, Path, Signature, Type, Visibility, parse_quote,
};

use crate::args::Arguments;
use crate::attributes::{Attributes, On, quiet};
use crate::function::Function;
use crate::key::{key, local};
use crate::retry;
use crate::tags::Storage;
use crate::validate::Call;

/// Lints that would tell the user to write what the attribute forbids, or what stands on the function already.
const QUIET_ON_RUN: &[&str] = &[
    "dead_code",
    "unreachable_pub",
    "clippy::missing_const_for_fn",
    "clippy::missing_errors_doc",
    "clippy::missing_panics_doc",
    "clippy::must_use_candidate",
    "clippy::needless_pass_by_value",
];

/// Lints that `run` has told already, and those that speak against fire and forget, and against passing `_unused` on.
const QUIET_ON_FUNCTION: &[&str] = &[
    "clippy::must_use_candidate",
    "clippy::too_many_arguments",
    "clippy::type_complexity",
    "clippy::used_underscore_binding",
];

/// The expansion of a function whose signature is sound.
pub(crate) fn expand(arguments: &Arguments, function: &Function, call: &Call) -> TokenStream {
    let items = Items {
        private: private(&arguments.runtime),
        arguments,
        function,
        call,
        visibility: &function.visibility,
        name: &function.signature.ident,
        attributes: Attributes::share_out(&function.attributes),
    };
    let handle = handle(function, &items.attributes);
    let associated = [
        items.operation(),
        items.run(),
        items.body(),
        items.request(),
    ];
    let (each, name) = (items.attributes.on(On::Each), items.name);
    let function = items.function();
    quote! {
        #handle
        #(#each)*
        impl #name { #(#associated)* }
        #function
    }
}

/// The path that everything in an expansion comes from.
pub(crate) fn private(runtime: &Path) -> Path {
    parse_quote!(#runtime::__private)
}

/// The empty enum that carries the associated functions.
pub(crate) fn handle(function: &Function, attributes: &Attributes) -> TokenStream {
    let (visibility, name) = (&function.visibility, &function.signature.ident);
    let (each, handle) = (attributes.on(On::Each), attributes.on(On::Handle));
    let docs = format!(
        " `request` and `run` of the guarded function `{}`.",
        name.unraw()
    );
    let quiet = quiet(&["dead_code", "non_camel_case_types", "unreachable_pub"]);
    quote! {
        #(#each)*
        #[doc = #docs]
        #(#handle)*
        #quiet
        #visibility enum #name {}
    }
}

/// The type of the token that a call gives; for the compiler it stands where the result does.
pub(crate) fn token(private: &Path, result: &Type, fallible: bool) -> TokenStream {
    let (ok, error) = sides(private, result, fallible);
    let token = located(quote!(#private::Token), result);
    if fallible {
        quote_spanned!(result.span()=> #token<#ok, #error>)
    } else {
        quote_spanned!(result.span()=> #token<#ok>)
    }
}

/// The two types of a token; those of a `Result` by trait on the whole type, whatever its alias.
fn sides(private: &Path, result: &Type, fallible: bool) -> (TokenStream, TokenStream) {
    if !fallible {
        return (quote!(#result), quote!(#private::Infallible));
    }
    let is_result = located(quote!(#private::IsResult), result);
    let side = |name: Ident| quote_spanned!(result.span()=> <#result as #is_result>::#name);
    (side(format_ident!("Ok")), side(format_ident!("Error")))
}

/// The duration as an expression.
pub(crate) fn duration(private: &Path, duration: Duration) -> TokenStream {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    quote!(#private::Duration::new(#seconds, #nanoseconds))
}

/// `tokens` as if they stood where `place` stands, so that the compiler points there; names resolve as before.
pub(crate) fn located(tokens: TokenStream, place: &impl Spanned) -> TokenStream {
    let place = place.span();
    let relocate = |token: TokenTree| {
        let span = token.span().located_at(place);
        let mut token = match token {
            TokenTree::Group(group) => {
                Group::new(group.delimiter(), located(group.stream(), &place)).into()
            }
            token => token,
        };
        token.set_span(span);
        token
    };
    tokens.into_iter().map(relocate).collect()
}

struct Items<'a> {
    private: Path,
    arguments: &'a Arguments,
    function: &'a Function,
    call: &'a Call,
    visibility: &'a Visibility,
    name: &'a Ident,
    attributes: Attributes,
}

impl Items<'_> {
    fn operation(&self) -> TokenStream {
        let (private, visibility) = (&self.private, self.visibility);
        let label = self.arguments.operation_type.as_ref().map(LitStr::value);
        let label = label.unwrap_or_else(|| self.name.unraw().to_string());
        let tags = &self.arguments.tags;
        let weight = tags.weight;
        let anchor = tags
            .sticky_anchor
            .as_ref()
            .and_then(|anchor| anchor.name.as_ref());
        let anchor = anchor.map(|name| quote!(.with_sticky_anchor(#name)));
        let serial = tags.serial.then(|| quote!(.serial()));
        let calls = tags.external_calls.as_ref();
        let calls = calls.map(|labels| quote!(.with_external_calls(&[#(#labels),*])));
        let permits = self.permits();
        let blocks = tags.blocking || tags.storage.is_some();
        let blocking = blocks.then(|| quote!(.blocking()));
        let timeout = self.limit("with_timeout", tags.timeout);
        let ttl = self.limit("with_ttl", tags.ttl);
        let retry = tags.retry.as_ref().map(|retry| retry.policy(private));
        let quiet = quiet(&["dead_code", "unreachable_pub"]);
        quote! {
            /// The static descriptor of the operation.
            #quiet
            #visibility fn operation() -> &'static #private::Operation {
                static OPERATION: #private::Operation =
                    #private::Operation::new(#label).with_weight(#private::Weight::#weight) #anchor #serial #calls #permits #blocking #timeout #ttl #retry;
                &OPERATION
            }
        }
    }

    /// The call that says how many may execute at once, if there is such a limit.
    fn permits(&self) -> Option<TokenStream> {
        let tags = &self.arguments.tags;
        if let Some(Storage { group, size }) = tags.storage {
            return Some(quote!(.with_limit_group(#group, #size)));
        }
        let limit = tags.limit.as_ref()?;
        let size = limit.size?;
        Some(match &limit.group {
            Some(group) => quote!(.with_limit_group(#group, #size)),
            None => quote!(.with_limit(#size)),
        })
    }

    /// The call that gives the operation a limit of time, if there is one.
    fn limit(&self, with: &str, limit: Option<Duration>) -> Option<TokenStream> {
        let with = format_ident!("{with}");
        let limit = duration(&self.private, limit?);
        Some(quote!(.#with(#limit)))
    }

    /// The user's function under another name: the only place where its code stands.
    fn run(&self) -> TokenStream {
        let (visibility, run, code) = (
            self.visibility,
            self.attributes.on(On::Run),
            &self.function.code,
        );
        let signature = Signature {
            ident: format_ident!("run"),
            ..self.function.signature.clone()
        };
        let quiet = quiet(QUIET_ON_RUN);
        quote! {
            /// The plain body: runs here and now, without a token.
            #quiet
            #(#run)*
            #visibility #signature #code
        }
    }

    /// What both kinds of call hand to the runtime: the code with its arguments, behind the key if there is one.
    fn body(&self) -> TokenStream {
        let (private, names) = (&self.private, &self.call.names);
        let assertion = |assert: Ident, ty: &Type| {
            let assert = located(quote!(#private::#assert), ty);
            quote_spanned!(ty.span()=> #assert::<#ty>();)
        };
        let arguments = self.function.argument_types();
        let arguments = arguments.map(|ty| assertion(format_ident!("assert_argument"), ty));
        let result = assertion(format_ident!("assert_return"), &self.call.result);
        let run = self.path("run");
        let once = match (&self.function.signature.asyncness, self.call.fallible) {
            (None, false) => quote!(#private::Plain::new(move || #run(#(#names),*))),
            (None, true) => quote!(#private::Fallible::new(move || #run(#(#names),*))),
            (Some(_), false) => quote!(#private::Async::new(#run(#(#names),*))),
            (Some(_), true) => quote!(#private::FallibleAsync::new(#run(#(#names),*))),
        };
        let body = match &self.arguments.tags.retry {
            Some(_) => retry::body(private, self.function, self.call, &run),
            None => located(once, self.name),
        };
        // The key comes first: the body takes the arguments away.
        let (mut body, mut output) = (body, self.body_type());
        if let Some(key) = key(private, &self.arguments.tags, self.function, self.call) {
            body = quote!((#key, #body));
            output = quote!((#private::Key, #output));
        }
        let signature = self.signature(format_ident!("body"), output);
        let attributes = self.attributes.on(On::Body);
        let quiet = quiet(&[
            "dead_code",
            "non_snake_case",
            "clippy::used_underscore_binding",
        ]);
        quote! {
            #[inline]
            #quiet
            #(#attributes)*
            #signature {
                #(#arguments)*
                #result
                #body
            }
        }
    }

    fn request(&self) -> TokenStream {
        let (private, visibility) = (&self.private, self.visibility);
        let body_type = self.body_type();
        let output = located(quote!(#private::Request<#body_type>), self.name);
        let signature = self.signature(format_ident!("request"), output);
        let attributes = self.attributes.on(On::Request);
        let quiet = quiet(&[
            "deprecated",
            "non_snake_case",
            "unreachable_pub",
            "clippy::used_underscore_binding",
        ]);
        let (name, generics) = (self.name, self.generics());
        let call = located(self.hand_over("request", &quote!(Self)), self.name);
        // Whoever requests the function uses it: the compiler must not warn that it is never called.
        quote! {
            /// A call that is not submitted yet, to be adjusted first.
            #quiet
            #(#attributes)*
            #visibility #signature {
                let _ = #name #generics;
                #call
            }
        }
    }

    fn function(&self) -> TokenStream {
        let (private, visibility, name) = (&self.private, self.visibility, self.name);
        let each = self.attributes.on(On::Each);
        let attributes = self.attributes.on(On::Function);
        let token = token(private, &self.call.result, self.call.fallible);
        let signature = self.signature(self.name.clone(), token);
        let call = self.hand_over("call", &quote!(#name));
        // It ends where the user's function does: only then the compiler takes the item for theirs, and warns if it is unused.
        let mut code = Group::new(Delimiter::Brace, call);
        code.set_span(self.function.code.span());
        let quiet = quiet(QUIET_ON_FUNCTION);
        quote!(#(#each)* #quiet #(#attributes)* #visibility #signature #code)
    }

    /// The end of a call or request: the operation of `own` and the body go to the runtime's function of this name.
    fn hand_over(&self, to: &str, own: &TokenStream) -> TokenStream {
        let (private, names) = (&self.private, &self.call.names);
        let body = self.path("body");
        let body = quote!(#body(#(#names),*));
        if !self.arguments.tags.are_keyed() {
            let to = format_ident!("{to}");
            return quote!(#private::#to(#own::operation(), #body));
        }
        let to = format_ident!("{to}_keyed");
        let (key, keyed) = (local("key"), local("body"));
        quote! {
            let (#key, #keyed) = #body;
            #private::#to(#own::operation(), #key, #keyed)
        }
    }

    /// The type of a body; a future that is not `Send` is told at the function's name.
    fn body_type(&self) -> TokenStream {
        let private = &self.private;
        let (ok, error) = sides(private, &self.call.result, self.call.fallible);
        located(
            quote!(impl #private::Body<Output = #ok, Error = #error>),
            self.name,
        )
    }

    /// The user's signature with another name and output, for a function that only passes its arguments on.
    fn signature(&self, ident: Ident, output: TokenStream) -> Signature {
        let own = self.function.signature.clone();
        let mut signature = Signature {
            ident,
            asyncness: None,
            output: parse_quote!(-> #output),
            ..own
        };
        for input in &mut signature.inputs {
            let FnArg::Typed(argument) = input else {
                continue;
            };
            argument.attrs.clear();
            if let Pat::Ident(pattern) = &mut *argument.pat {
                pattern.mutability = None;
            }
        }
        signature
    }

    /// The associated function `name`, with the generic arguments of the function that names it.
    fn path(&self, name: &str) -> TokenStream {
        let (own, name, generics) = (self.name, format_ident!("{name}"), self.generics());
        quote!(#own::#name #generics)
    }

    /// `::<T, N>`, the generic parameters as arguments.
    fn generics(&self) -> Option<TokenStream> {
        let parameters = self.function.signature.generics.params.iter();
        let names = parameters.filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
            GenericParam::Lifetime(_) => None,
        });
        let names = names.collect::<Vec<_>>();
        (!names.is_empty()).then(|| quote!(::<#(#names),*>))
    }
}
