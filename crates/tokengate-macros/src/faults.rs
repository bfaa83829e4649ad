//! The compile errors of one expansion: collected, then emitted together.
//!
//! Every reading and checking step adds to one [`Faults`], so that a user sees all that is wrong in one build.
//! Each error points at a token that the user wrote. Nothing here decides what a fault is.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Error;

/// What is wrong so far; in an expansion, one `compile_error!` for each.
#[derive(Default)]
pub(crate) struct Faults(Option<Error>);

impl Faults {
    /// Adds one error, or several that were combined before.
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(faults) => faults.combine(error),
            none => *none = Some(error),
        }
    }

    /// Adds an error that points at the whole of `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Keeps the value of a success and the error of a failure.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// `value` if nothing was wrong.
    pub(crate) fn or<T>(self, value: T) -> syn::Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}

impl ToTokens for Faults {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.as_ref().map(Error::to_compile_error));
    }
}
