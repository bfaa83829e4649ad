//! What becomes of the tokens of a storm: counted once each.
//!
//! Callers add, the storm checks at its end that the sum is the number of tokens made.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use tokengate::TokenError;

use crate::common::Member;

/// What a body gives: its number, and something that is counted.
pub(crate) struct Given {
    pub(crate) value: u64,
    pub(crate) _result: Member,
}

/// Counts of outcomes; tokens that were let go have none that anybody sees.
#[derive(Default)]
pub(crate) struct Outcomes {
    made: AtomicU64,
    values: AtomicU64,
    errors: AtomicU64,
    panics: AtomicU64,
    killed: AtomicU64,
    rejected: AtomicU64,
    let_go: AtomicU64,
}

impl Outcomes {
    pub(crate) fn add_made(&self) {
        self.made.fetch_add(1, SeqCst);
    }

    pub(crate) fn add_let_go(&self) {
        self.let_go.fetch_add(1, SeqCst);
    }

    /// How many tokens were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(SeqCst)
    }

    /// Counts what a token gave, which is this value if it gave one.
    pub(crate) fn read(&self, expected: u64, result: Result<Given, TokenError<Member>>) {
        let counter = match result {
            Ok(given) => {
                assert_eq!(given.value, expected, "another token's result");
                &self.values
            }
            Err(TokenError::Failed(_)) => &self.errors,
            Err(TokenError::Panicked(_)) => &self.panics,
            Err(TokenError::Killed { .. }) => &self.killed,
            Err(TokenError::Rejected(_)) => &self.rejected,
            Err(other) => panic!("an outcome that nothing here asks for: {other:?}"),
        };
        counter.fetch_add(1, SeqCst);
    }

    /// Each token has one outcome, and the storm had some of each kind.
    pub(crate) fn check(&self, seed: u64, some_rejected: bool) {
        let [values, errors, panics, killed, rejected, let_go] = self.counts();
        let sum = values + errors + panics + killed + rejected + let_go;
        assert_eq!(
            sum,
            self.made(),
            "seed {seed}: an outcome is missing, or came twice"
        );
        let some = [values, errors, panics, killed, let_go];
        assert!(some.iter().all(|&count| count > 0), "seed {seed}: no storm");
        assert!(
            rejected > 0 || !some_rejected,
            "seed {seed}: the end came too late"
        );
    }

    fn counts(&self) -> [u64; 6] {
        let counters = [
            &self.values,
            &self.errors,
            &self.panics,
            &self.killed,
            &self.rejected,
            &self.let_go,
        ];
        counters.map(|counter| counter.load(SeqCst))
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [values, errors, panics, killed, rejected, let_go] = self.counts();
        write!(
            f,
            "{} tokens: {values} values, {errors} errors, {panics} panics, {killed} killed, \
             {rejected} rejected, {let_go} let go",
            self.made()
        )
    }
}
