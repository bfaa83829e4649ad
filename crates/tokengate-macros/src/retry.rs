//! The tag `retry(..)`: what it says, and a body that can run again.
//!
//! `tags.rs` has it read, `validate.rs` checks it, and `expand.rs` asks for the policy and the body. The rule: a call keeps
//! its arguments for the next attempt, and gives each attempt but the last a clone of them. One that has no `Clone` is told
//! where the user wrote its type.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Ident, LitInt, Path};

use crate::duration::pause;
use crate::entry::{Entry, Row, Table};
use crate::expand::{duration, located};
use crate::faults::Faults;
use crate::function::Function;
use crate::key::local;
use crate::validate::Call;

/// The tag, as the user wrote it.
pub(crate) struct Retry {
    /// The user's token.
    pub(crate) tag: Ident,
    /// How often the body runs in all; `None` if that is faulty.
    attempts: Option<u32>,
    /// The first pause.
    backoff: Option<Duration>,
    jitter: bool,
    /// A panic counts as a failure.
    on_panic: bool,
}

/// As many as the runtime can count.
const MOST_ATTEMPTS: u32 = 1_000_000;

const PARTS: Table<Retry> = Table {
    noun: "a part of `retry`",
    rows: &[
        Row {
            name: "attempts",
            usage: "`attempts = 3`",
            read: |entry, retry| {
                retry.attempts = Some(attempts(entry)?);
                Ok(())
            },
        },
        Row {
            name: "backoff",
            usage: r#"`backoff = "100ms"`"#,
            read: |entry, retry| {
                retry.backoff = Some(pause(entry)?);
                Ok(())
            },
        },
        Row {
            name: "jitter",
            usage: "the flag `jitter` without a value",
            read: |entry, retry| {
                retry.jitter = true;
                entry.flag()
            },
        },
        Row {
            name: "on_panic",
            usage: "the flag `on_panic` without a value",
            read: |entry, retry| {
                retry.on_panic = true;
                entry.flag()
            },
        },
    ],
    misplaced: |_| None,
};

/// The number of attempts.
fn attempts(entry: &Entry) -> syn::Result<u32> {
    let number = entry.value::<LitInt>()?;
    let usage = entry.usage();
    let message = match number.base10_parse::<u32>() {
        Ok(0) => format!("`attempts` counts all executions, so none would ever run: {usage}"),
        Ok(1) => format!(
            "`attempts` counts the first execution too, so one is no retry: {usage}, or remove `retry`"
        ),
        Ok(attempts) if attempts <= MOST_ATTEMPTS => return Ok(attempts),
        _ => format!("`attempts` is at most {MOST_ATTEMPTS}: {usage}"),
    };
    Err(Error::new(number.span(), message))
}

impl Retry {
    /// Reads the tag into `into`; what is wrong goes into the error, the rest keeps its default.
    pub(crate) fn read(entry: &Entry, into: &mut Option<Self>) -> syn::Result<()> {
        let mut faults = Faults::default();
        let retry = into.insert(Self {
            tag: entry.name.clone(),
            attempts: None,
            backoff: None,
            jitter: false,
            on_panic: false,
        });
        let parts = entry.list()?;
        let names_attempts = parts.clone().into_iter().any(|token| {
            let text = token.to_string();
            text == "attempts"
        });
        faults.keep(PARTS.read(parts, retry));
        if !names_attempts {
            let usage = entry.usage();
            let message =
                format!("`retry` does not say how often the body may run in all: {usage}");
            faults.at(&entry.name, message);
        }
        faults.or(())
    }

    /// Checks that a function with such a result can fail.
    pub(crate) fn check(&self, fallible: bool, faults: &mut Faults) {
        if !fallible && !self.on_panic {
            let message = "`retry` runs a body again that returned an `Err`, and this function returns no `Result`: return one, or add `on_panic`, as in `retry(attempts = 3, on_panic)`";
            faults.at(&self.tag, message);
        }
    }

    /// The call that gives an operation its policy.
    pub(crate) fn policy(&self, private: &Path) -> TokenStream {
        let attempts = self.attempts.unwrap_or(2);
        let backoff = self.backoff.map(|backoff| duration(private, backoff));
        let backoff = backoff.map(|backoff| quote!(.with_backoff(#backoff)));
        let jitter = self.jitter.then(|| quote!(.with_jitter()));
        let on_panic = self.on_panic.then(|| quote!(.on_panic()));
        quote!(.with_retry(#private::Retry::new(#attempts) #backoff #jitter #on_panic))
    }
}

/// The body of a call that can run again, in an associated function with the arguments in scope.
pub(crate) fn body(
    private: &Path,
    function: &Function,
    call: &Call,
    run: &TokenStream,
) -> TokenStream {
    let form = match (&function.signature.asyncness, call.fallible) {
        (None, false) => "plain",
        (None, true) => "fallible",
        (Some(_), false) => "future",
        (Some(_), true) => "fallible_future",
    };
    let names = &call.names;
    let place = function.signature.ident.span();
    let here = |tokens: TokenStream| located(tokens, &place);
    let retried = here(quote!(#private::Retried));
    let form = format_ident!("{form}", span = place);
    if names.is_empty() {
        return quote_spanned!(place=> #retried::#form(move |_| #run()));
    }
    let kept = here(quote!(#private::Arguments));
    let again = names
        .iter()
        .zip(function.argument_types())
        .map(|(name, ty)| {
            // Asked for by the type alone: beside a value the compiler would propose to borrow it.
            let again = located(quote!(#private::again), ty);
            quote_spanned!(ty.span()=> #again::<#ty>()(#name))
        });
    let (arguments, attempt) = (local("arguments"), local("attempt"));
    quote_spanned! {place=>
        {
            let mut #arguments = #kept::new((#(#names,)*));
            #retried::#form(move |#attempt| {
                let (#(#names,)*) = if #attempt.is_last() {
                    #arguments.take()
                } else {
                    let (#(#names,)*) = #arguments.get();
                    (#(#again,)*)
                };
                #run(#(#names),*)
            })
        }
    }
}
