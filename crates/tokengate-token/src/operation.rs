//! The static description of a guarded function.
//!
//! Every token points to one. Labels are stable names: control and stats go by them. It holds no
//! counters; what is counted for an operation belongs to whoever runs it.

use crate::Weight;

/// A guarded function as data: its label and how it is routed.
///
/// One `static` for each operation; a token carries the reference. Building one is `const` and
/// costs nothing at run time.
///
/// ```
/// use tokengate_token::{Operation, Weight};
/// static RESIZE: Operation = Operation::new("image.resize").with_weight(Weight::Heavy);
/// assert_eq!(RESIZE.label(), "image.resize");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    label: &'static str,
    weight: Weight,
}

impl Operation {
    /// An operation of medium weight with this label.
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            weight: Weight::Medium,
        }
    }

    /// The same operation with another weight class.
    #[must_use]
    pub const fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The stable name, the attribute's `operation_type`.
    pub const fn label(&self) -> &'static str {
        self.label
    }

    /// The weight class: the range of core domains its tokens may be routed to.
    pub const fn weight(&self) -> Weight {
        self.weight
    }
}
