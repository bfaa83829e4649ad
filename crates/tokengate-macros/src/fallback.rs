//! What a function becomes whose signature is at fault: items of the same names and types that never run.
//!
//! The entry point emits it beside the errors, so that callers and the body still compile and the user sees the real faults
//! only, not a trail of unresolved names. The function keeps its arguments and still gives a token; nothing is promised
//! about what the items do, since the build fails.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::visit::Visit;
use syn::{FnArg, Safety, Signature, Type, TypeImplTrait, TypeNever, parse_quote};

use crate::args::Arguments;
use crate::attributes::{Attributes, On};
use crate::expand::{handle, private, token};
use crate::function::Function;
use crate::validate::is_fallible;

/// The shape of `function`.
pub(crate) fn fallback(arguments: &Arguments, function: &Function) -> TokenStream {
    let Function {
        visibility,
        signature,
        code,
        ..
    } = function;
    let attributes = Attributes::share_out(&function.attributes);
    let (each, run) = (attributes.on(On::Each), attributes.on(On::Run));
    let shape = shape(arguments, function);
    let shape = quote!(#(#each)* #[allow(unused_variables, reason = "the body is left out")] #visibility #shape { loop {} });
    // A method has no enum beside it, and a variadic body cannot be written at all.
    if signature.receiver().is_some() || signature.variadic.is_some() {
        return shape;
    }
    let handle = handle(function, &attributes);
    let name = &signature.ident;
    let signature = Signature {
        ident: format_ident!("run"),
        ..signature.clone()
    };
    quote! {
        #handle
        #(#each)*
        impl #name { #[allow(dead_code, reason = "nothing calls a faulty function")] #(#run)* #visibility #signature #code }
        #shape
    }
}

/// The signature without what is at fault, giving a token.
fn shape(arguments: &Arguments, function: &Function) -> Signature {
    let result = function.result();
    let nameable = is_nameable(&result);
    let result = if nameable { result } else { parse_quote!(()) };
    let output = token(
        &private(&arguments.runtime),
        &result,
        nameable && is_fallible(&result, arguments),
    );
    let mut signature = Signature {
        constness: None,
        asyncness: None,
        safety: Safety::Default,
        abi: None,
        variadic: None,
        output: parse_quote!(-> #output),
        ..function.signature.clone()
    };
    for (position, input) in signature.inputs.iter_mut().enumerate() {
        if let FnArg::Typed(argument) = input {
            let name = format_ident!("argument_{position}");
            *argument.pat = parse_quote!(#name);
        }
    }
    signature
}

/// Whether `ty` has a name that can be repeated: no `impl Trait`, no `!`.
fn is_nameable(ty: &Type) -> bool {
    struct Search(bool);
    impl<'ast> Visit<'ast> for Search {
        fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
            self.0 = false;
        }
        fn visit_type_never(&mut self, _: &'ast TypeNever) {
            self.0 = false;
        }
    }
    let mut search = Search(true);
    search.visit_type(ty);
    search.0
}
