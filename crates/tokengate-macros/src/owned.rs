//! Finds what a type in the signature borrows or leaves unnamed, and says what to write instead.
//!
//! `validate.rs` calls it for each argument and for the result. The rule: a token outlives the call, so only `'static` data
//! is left in it. `fn(&T)`, `dyn Fn(&T)`, `dyn for<'a> Trait<'a>` and `&'static T` hold no borrow and pass.
//! A borrow that no token shows, as in `std::str::Chars`, is left to the compiler.

use quote::ToTokens;
use syn::visit::Visit;
use syn::{
    BoundLifetimes, Expr, GenericParam, Ident, Lifetime, ParenthesizedGenericArguments, TraitBound,
    Type, TypeFnPtr, TypeImplTrait, TypeReference,
};

use crate::faults::Faults;
use crate::function::peel;

/// Where a type stands in the signature.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Argument,
    Result,
}

/// Adds a fault for each borrow and each `impl Trait` in `ty`; whether it found a borrow.
pub(crate) fn check_owned(ty: &Type, place: Place, faults: &mut Faults) -> bool {
    let mut check = Check {
        place,
        introduced: Vec::new(),
        borrows: false,
        faults,
    };
    check.visit_type(ty);
    check.borrows
}

struct Check<'a> {
    place: Place,
    /// The lifetimes of each surrounding `for<..>`.
    introduced: Vec<Ident>,
    borrows: bool,
    faults: &'a mut Faults,
}

impl Check<'_> {
    fn borrowed(&mut self, at: impl ToTokens, remedy: &str) {
        self.borrows = true;
        let subject = match self.place {
            Place::Argument => "an argument of a guarded function",
            Place::Result => "the result of a guarded function",
        };
        self.faults.at(
            at,
            format!("{subject} owns its data, since a token outlives the call: {remedy}"),
        );
    }

    fn is_owned(&self, lifetime: &Lifetime) -> bool {
        lifetime.ident == "static" || self.introduced.contains(&lifetime.ident)
    }
}

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference
            .lifetime
            .as_ref()
            .is_some_and(|lifetime| self.is_owned(lifetime))
        {
            self.visit_type(&reference.elem);
        } else {
            self.borrowed(reference, &owned_instead(reference));
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if !self.is_owned(lifetime) {
            self.borrowed(lifetime, "write `'static` here, or use an owned type");
        }
    }

    fn visit_type_impl_trait(&mut self, unnamed: &'ast TypeImplTrait) {
        let message = match self.place {
            Place::Argument => {
                "an argument of a guarded function has a named type: take a type parameter, `T: .. + Send + 'static`"
            }
            Place::Result => {
                "the result of a guarded function has a named type: write its type, or return a `Box<dyn .. + Send>`"
            }
        };
        self.faults.at(unnamed, message);
    }

    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        let outside = self.introduced.len();
        self.introduced
            .extend(bound.lifetimes.iter().flat_map(introduced_by));
        self.visit_path(&bound.path);
        self.introduced.truncate(outside);
    }

    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}

    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}

    fn visit_expr(&mut self, _: &'ast Expr) {}
}

fn introduced_by(lifetimes: &BoundLifetimes) -> impl Iterator<Item = Ident> + '_ {
    lifetimes
        .lifetimes
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Lifetime(parameter) => Some(parameter.lifetime.ident.clone()),
            _ => None,
        })
}

/// What to write in place of a reference.
fn owned_instead(reference: &TypeReference) -> String {
    if reference.mutability.is_some() {
        return "take the value itself and return it changed, or share an `Arc<Mutex<_>>`".into();
    }
    let target = match peel(&reference.elem) {
        Type::Slice(_) => return "use a `Vec`, or an `Arc` of the slice".into(),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .filter(|last| last.arguments.is_none()),
        _ => None,
    };
    let Some(target) = target else {
        return "use the value itself, or an `Arc` of it".into();
    };
    let borrowed = target.ident.to_string();
    let owned = match borrowed.as_str() {
        "str" => "String",
        "Path" => "PathBuf",
        "OsStr" => "OsString",
        "CStr" => "CString",
        own => own,
    };
    format!("use `{owned}` or `Arc<{borrowed}>`")
}
