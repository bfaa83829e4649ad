//! Checks that a function may be guarded, and reduces it to what the expansion needs: a [`Call`].
//!
//! The entry point calls it once both halves are read. The rule behind most checks: the call makes a token, and the body runs
//! elsewhere and later. `Send + 'static` itself is asserted by the expansion, since only the compiler knows types.
//! What the attribute says about the function is checked here too; its form was checked when it was read.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Error, FnArg, Ident, Pat, PatIdent, Safety, Signature, Type};

use crate::args::Arguments;
use crate::faults::Faults;
use crate::function::{Function, peel};
use crate::owned::{Place, check_owned};
use crate::tags::Tags;

/// What a call takes and gives.
pub(crate) struct Call {
    /// The plain names of the arguments, in order.
    pub(crate) names: Vec<Ident>,
    pub(crate) result: Type,
    /// The result is a `Result`: the token has its two types.
    pub(crate) fallible: bool,
}

/// Checks what the attribute says about the function under it.
pub(crate) fn check_arguments(arguments: &Arguments, function: &Function, faults: &mut Faults) {
    if !arguments.names_operation {
        let name = function.signature.ident.unraw();
        let message = format!(
            "`operation_type` is missing: name the operation, as in `operation_type = \"{name}\"`"
        );
        faults.push(Error::new(Span::call_site(), message));
    }
    if let (Some(flag), true) = (&arguments.tags.fallible, is_unit(&function.result())) {
        let message = "`fallible` says that the return type is a `Result`, and this function returns `()`: remove the flag";
        faults.at(flag, message);
    }
    check_key(&arguments.tags, faults);
    if let Some(retry) = &arguments.tags.retry {
        retry.check(is_fallible(&function.result(), arguments), faults);
    }
    if let (Some(limit), Some(_)) = (&arguments.tags.limit, &arguments.tags.storage) {
        let message = "`storage_speed` is a limit itself: remove one of them, or write `blocking` beside `limit`";
        faults.at(&limit.tag, message);
    }
}

/// Checks that the tags about the sticky key agree.
fn check_key(tags: &Tags, faults: &mut Faults) {
    if let (Some(flag), Some(_)) = (&tags.sticky, &tags.sticky_anchor) {
        let message = "`sticky` puts the key under the operation's own label, `sticky_anchor` under a shared name: remove one of them";
        faults.at(flag, message);
    }
    if let (Some(key), false) = (&tags.key, tags.are_keyed()) {
        let message = "`key` says what takes part in a sticky key, and these calls have none: add `sticky`, `sticky_anchor = \"name\"` or `serial`";
        faults.at(&key.tag, message);
    }
}

/// Checks the signature; the error holds all that is wrong with it.
pub(crate) fn check_signature(function: &Function, arguments: &Arguments) -> syn::Result<Call> {
    let mut faults = Faults::default();
    let signature = &function.signature;
    check_qualifiers(signature, &mut faults);
    let names = signature
        .inputs
        .iter()
        .filter_map(|input| faults.keep(plain_name(input)))
        .collect();
    check_types(function, &mut faults);
    let result = function.result();
    if let Type::Never(never) = peel(&result) {
        faults.at(never, "a token of `!` would never resolve: return `()`, and end the body when its token is cancelled");
    }
    let fallible = is_fallible(&result, arguments);
    faults.or(Call {
        names,
        result,
        fallible,
    })
}

/// Whether a function with this result gives a token with an error type.
pub(crate) fn is_fallible(result: &Type, arguments: &Arguments) -> bool {
    let named_result = match peel(result) {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Result"),
        _ => false,
    };
    named_result || arguments.tags.fallible.is_some() && !is_unit(result)
}

fn is_unit(ty: &Type) -> bool {
    matches!(peel(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn check_qualifiers(signature: &Signature, faults: &mut Faults) {
    if let Some(constness) = &signature.constness {
        faults.at(
            constness,
            "a guarded function runs on a worker, never in a constant: remove `const`",
        );
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        faults.at(unsafety, "a guarded function is safe to call: remove `unsafe`, and use an `unsafe` block in the body");
    }
    if let Some(abi) = &signature.abi {
        let message = "a guarded function returns a token, which has no foreign ABI: remove `extern`, and call it from an `extern` function";
        faults.at(abi, message);
    }
    if let Some(variadic) = &signature.variadic {
        faults.at(
            variadic,
            "a guarded function has a fixed number of arguments: take a `Vec`",
        );
    }
}

/// The name of an argument that is a plain identifier, `mut` or not.
fn plain_name(input: &FnArg) -> syn::Result<Ident> {
    let argument = match input {
        FnArg::Typed(argument) => argument,
        FnArg::Receiver(receiver) => {
            let message = "a guarded function is a free function without `self`: take what it needs as an argument, such as an `Arc`";
            return Err(Error::new_spanned(receiver, message));
        }
    };
    let conditional = |path: &syn::Path| path.is_ident("cfg") || path.is_ident("cfg_attr");
    if let Some(attribute) = argument
        .attrs
        .iter()
        .find(|attribute| conditional(attribute.path()))
    {
        let message = "an argument of a guarded function is always there: write the function twice, each with its `#[cfg]`";
        return Err(Error::new_spanned(attribute, message));
    }
    match &*argument.pat {
        Pat::Ident(PatIdent {
            by_ref: None,
            subpat: None,
            ident,
            ..
        }) => Ok(ident.clone()),
        Pat::Wild(wild) => Err(Error::new_spanned(
            wild,
            "an argument of a guarded function has a name: write `_unused`",
        )),
        pattern => {
            let message = "an argument of a guarded function is a plain name: take it apart in the body, `let PATTERN = name;`";
            Err(Error::new_spanned(pattern, message))
        }
    }
}

fn check_types(function: &Function, faults: &mut Faults) {
    let mut borrows = false;
    for ty in function.argument_types() {
        borrows |= check_owned(ty, Place::Argument, faults);
    }
    borrows |= check_owned(&function.result(), Place::Result, faults);
    if borrows {
        return;
    }
    for lifetime in function.signature.generics.lifetimes() {
        let message = "a guarded function owns its data and has no lifetime parameter: use `String` for `&str`, `Arc<T>` for `&T`";
        faults.at(lifetime, message);
    }
}
