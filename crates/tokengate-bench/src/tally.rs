//! Counts what came back: results, failures, and whether the results were right.
//!
//! Every scenario fills one for each repetition; the report turns an incomplete one into a failed
//! contender. It does not know what the results mean.

use crate::contender::{Failed, Outcome};

/// What became of the tokens of one repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tokens that were to be run.
    pub(crate) expected: u64,
    /// Results taken.
    pub(crate) completed: u64,
    /// Tokens that failed.
    pub(crate) failed: u64,
    /// The first complaint: a failed token's reason or a digest that differs.
    pub(crate) complaint: Option<String>,
}

impl Tally {
    /// Expects this number of tokens.
    pub(crate) fn expecting(tokens: usize) -> Self {
        Self {
            expected: tokens as u64,
            ..Self::default()
        }
    }

    /// Counts one outcome and gives its value, if there is one.
    #[inline]
    pub(crate) fn count<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.completed += 1;
                Some(value)
            }
            Err(Failed(reason)) => {
                self.failed += 1;
                self.complain(|| reason);
                None
            }
        }
    }

    /// Complains if the digest is not the expected one.
    pub(crate) fn check<D: PartialEq>(
        &mut self,
        digest: &D,
        expected: &D,
        show: impl Fn(&D) -> String,
    ) {
        if digest != expected {
            self.complain(|| {
                format!(
                    "the digest {} differs from {}, the expected one",
                    show(digest),
                    show(expected)
                )
            });
        }
    }

    /// Complains if a token ran after a later one of its key.
    pub(crate) fn expect_order(&mut self, steps_back: u64) {
        if steps_back > 0 {
            self.complain(|| format!("{steps_back} tokens ran after a later one of their key"));
        }
    }

    /// Takes over what another repetition counted: the worse of both stands.
    pub(crate) fn worse(self, other: Self) -> Self {
        if self.is_flawless() { other } else { self }
    }

    /// True if every token gave its result and the results were right.
    pub(crate) fn is_flawless(&self) -> bool {
        self.completed == self.expected && self.failed == 0 && self.complaint.is_none()
    }

    /// One line for the table, such as `131,068 of 131,068 tokens, 0 failures`.
    pub(crate) fn line(&self) -> String {
        let counted = format!(
            "{} of {} tokens, {} failures",
            crate::report::thousands(self.completed),
            crate::report::thousands(self.expected),
            crate::report::thousands(self.failed)
        );
        match &self.complaint {
            Some(complaint) => format!("{counted}: {complaint}"),
            None => counted,
        }
    }

    fn complain(&mut self, complaint: impl FnOnce() -> String) {
        if self.complaint.is_none() {
            self.complaint = Some(complaint());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_results_and_failures() {
        let mut tally = Tally::expecting(2);
        assert_eq!(tally.count(Ok(7)), Some(7));
        assert_eq!(tally.count::<u64>(Err(Failed("gone".into()))), None);
        assert_eq!(tally.line(), "1 of 2 tokens, 1 failures: gone");
        assert!(!tally.is_flawless());
    }

    #[test]
    fn a_digest_that_differs_is_a_flaw() {
        let mut tally = Tally::expecting(0);
        tally.check(&1, &1, u64::to_string);
        assert!(tally.is_flawless());
        tally.check(&1, &2, u64::to_string);
        assert!(!tally.is_flawless());
        assert!(tally.line().contains("the digest 1 differs from 2"));
    }

    #[test]
    fn a_lost_order_is_a_flaw() {
        let mut tally = Tally::expecting(0);
        tally.expect_order(0);
        assert!(tally.is_flawless());
        tally.expect_order(3);
        assert!(
            tally
                .line()
                .ends_with("3 tokens ran after a later one of their key")
        );
    }

    #[test]
    fn a_lost_token_is_a_flaw() {
        let mut tally = Tally::expecting(2);
        tally.count(Ok(1));
        assert!(!tally.is_flawless());
    }

    #[test]
    fn the_worse_of_two_repetitions_stands() {
        let mut bad = Tally::expecting(1);
        bad.count::<u64>(Err(Failed("gone".into())));
        let good = Tally::default();
        assert_eq!(good.clone().worse(bad.clone()), bad);
        assert_eq!(bad.clone().worse(good), bad);
    }
}
