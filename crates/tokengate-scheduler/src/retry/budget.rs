//! The retry budgets of a gate, one for each operation: what ends a storm of retries.
//!
//! Asked at the end of each attempt that could be followed by another. Keeps: of any number of first
//! attempts at most a fifth is run again beyond the reserve, whatever the policies allow. It has no
//! clock, so that an operation which is seldom called has its reserve back all the same.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{PoisonError, RwLock};

use tokengate_token::Operation;

/// How many retries an operation has in reserve: at the beginning, and at most.
const RESERVE: u32 = 100;

/// So many first attempts allow one retry.
const FIRST_ATTEMPTS: u32 = 5;

/// The budgets, by the operation's label.
#[derive(Default)]
pub(crate) struct Budgets {
    of: RwLock<HashMap<&'static str, Budget>>,
}

/// What is left, in parts of a retry: one for each first attempt. `Relaxed` throughout: the number
/// alone counts.
struct Budget(AtomicU32);

impl Budgets {
    /// An attempt has ended; whether it may be followed by another one, if it has to be.
    pub(crate) fn attempted(
        &self,
        operation: &'static Operation,
        first: bool,
        again: bool,
    ) -> bool {
        if !first && !again {
            return false;
        }
        self.with(operation.label(), |budget| {
            if first {
                budget.add();
            }
            again && budget.take()
        })
    }

    fn with<R>(&self, label: &'static str, f: impl FnOnce(&Budget) -> R) -> R {
        let budgets = self.of.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get(label) {
            return f(budget);
        }
        drop(budgets);
        let mut budgets = self.of.write().unwrap_or_else(PoisonError::into_inner);
        f(budgets.entry(label).or_insert_with(Budget::full))
    }
}

impl Budget {
    const FULL: u32 = RESERVE * FIRST_ATTEMPTS;

    fn full() -> Self {
        Self(AtomicU32::new(Self::FULL))
    }

    /// Adds what one first attempt is worth.
    fn add(&self) {
        // Nothing is written while nothing fails.
        let more = |left| (left < Self::FULL).then_some(left + 1);
        let _ = self.0.fetch_update(Relaxed, Relaxed, more);
    }

    /// Takes one retry; `false` if none is left.
    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(FIRST_ATTEMPTS);
        self.0.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OP: Operation = Operation::new("test.budget");
    static OTHER: Operation = Operation::new("test.other");

    /// How many of so many attempts that fail may be followed by another.
    fn followed(budgets: &Budgets, attempts: u32, first: bool) -> u32 {
        let may = |_: &u32| budgets.attempted(&OP, first, true);
        (0..attempts).filter(may).count() as u32
    }

    #[test]
    fn the_reserve_is_what_a_storm_gets_and_a_fifth_of_the_first_attempts() {
        let budgets = Budgets::default();
        assert_eq!(followed(&budgets, 1_000, false), RESERVE);
        assert_eq!(followed(&budgets, 1_000, true), 200);
        let budgets = Budgets::default();
        // The reserve is used up by four parts in each first attempt.
        assert_eq!(followed(&budgets, 10_000, true), RESERVE + 2_000 - 1);
        // Another operation has its own.
        assert!(budgets.attempted(&OTHER, true, true));
    }

    #[test]
    fn success_fills_the_reserve_and_no_more() {
        let budgets = Budgets::default();
        assert_eq!(followed(&budgets, 1_000, false), RESERVE);
        for _ in 0..100_000 {
            assert!(!budgets.attempted(&OP, true, false));
        }
        assert_eq!(followed(&budgets, 1_000, false), RESERVE);
    }

    #[test]
    fn later_attempts_that_succeed_add_nothing() {
        let budgets = Budgets::default();
        assert_eq!(followed(&budgets, 1_000, false), RESERVE);
        for _ in 0..100 {
            assert!(!budgets.attempted(&OP, false, false));
        }
        assert_eq!(followed(&budgets, 1_000, false), 0);
    }
}
