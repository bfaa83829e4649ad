//! Operations from labels that are not static: interned for the life of the process.
//!
//! For calls without the attribute, where a `static Operation` is too much. Keeps one operation
//! for each label.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokengate_token::Operation;

use crate::handle::Call;

static INTERNED: Mutex<Option<HashMap<&'static str, &'static Operation>>> = Mutex::new(None);

impl From<&str> for Call {
    /// A call of the operation with this label, of medium weight.
    ///
    /// Costs a lock and a look-up for each call, and some 100 bytes for each new label that are
    /// never freed: use few labels, or a `static` [`Operation`].
    fn from(label: &str) -> Self {
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        let interned = interned.get_or_insert_default();
        let operation = interned.get(label).copied().unwrap_or_else(|| {
            let label: &'static str = Box::leak(label.into());
            let operation: &'static Operation = Box::leak(Box::new(Operation::new(label)));
            interned.insert(label, operation);
            operation
        });
        Self::new(operation)
    }
}
