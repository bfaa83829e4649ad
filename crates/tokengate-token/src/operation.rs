//! The static description of a guarded function.
//!
//! Every token points to one. Labels are stable names: control and stats go by them. It holds no
//! counters; what is counted for an operation belongs to whoever runs it.

use std::time::Duration;

use crate::{Retry, Weight};

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
    anchor: Option<&'static str>,
    serial: bool,
    external_calls: Option<&'static [&'static str]>,
    limit: Option<usize>,
    limit_group: Option<&'static str>,
    blocking: bool,
    timeout: Option<Duration>,
    ttl: Option<Duration>,
    retry: Option<Retry>,
    /// See [`is_plain`](Self::is_plain).
    plain: bool,
}

impl Operation {
    /// An operation of medium weight with this label.
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            weight: Weight::Medium,
            anchor: None,
            serial: false,
            external_calls: None,
            limit: None,
            limit_group: None,
            blocking: false,
            timeout: None,
            ttl: None,
            retry: None,
            plain: true,
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

    /// The same operation with keys that count under this name, not under its label.
    ///
    /// Operations of one anchor share the domain of a key.
    #[must_use]
    pub const fn with_sticky_anchor(mut self, anchor: &'static str) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// The same operation with a lane for each key: first in, first out, one at a time.
    #[must_use]
    pub const fn serial(mut self) -> Self {
        self.serial = true;
        self.plain = false;
        self
    }

    /// The same operation as the lead of a chain, with the labels that its body calls.
    #[must_use]
    pub const fn with_external_calls(mut self, labels: &'static [&'static str]) -> Self {
        self.external_calls = Some(labels);
        self.plain = false;
        self
    }

    /// The same operation with at most so many of its tokens that execute at once.
    ///
    /// # Panics
    ///
    /// If it is none at all.
    #[must_use]
    pub const fn with_limit(mut self, size: usize) -> Self {
        assert!(size > 0, "a limit lets at least one token execute");
        self.limit = Some(size);
        self.plain = false;
        self
    }

    /// As [`with_limit`](Self::with_limit), for the tokens of all operations of this group together.
    ///
    /// # Panics
    ///
    /// If it is none at all.
    #[must_use]
    pub const fn with_limit_group(mut self, group: &'static str, size: usize) -> Self {
        self.limit_group = Some(group);
        self.with_limit(size)
    }

    /// The same operation with bodies that may block, so that they run beside the workers.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self.plain = false;
        self
    }

    /// The same operation with a limit for the execution of each token.
    #[must_use]
    pub const fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self.plain = false;
        self
    }

    /// The same operation with a limit for each token's wait, from its submission to its start.
    #[must_use]
    pub const fn with_ttl(mut self, limit: Duration) -> Self {
        self.ttl = Some(limit);
        self.plain = false;
        self
    }

    /// The same operation with bodies that run again when they fail.
    ///
    /// For those that can: see [`Retried`](crate::Retried). Any other body still runs once.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self.plain = false;
        self
    }

    /// The name that its keys count under: the sticky anchor, else the label.
    pub const fn key_scope(&self) -> &'static str {
        match self.anchor {
            Some(anchor) => anchor,
            None => self.label,
        }
    }

    /// Whether tokens of one key run one at a time, in the order of their calls.
    pub const fn is_serial(&self) -> bool {
        self.serial
    }

    /// The labels that the body calls; none if the operation leads no chain.
    pub const fn external_calls(&self) -> Option<&'static [&'static str]> {
        self.external_calls
    }

    /// How many of its tokens, or of its group, may execute at once, if there is a limit.
    pub const fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// The name that its limit counts under: the group, else the label.
    pub const fn limit_name(&self) -> &'static str {
        match self.limit_group {
            Some(group) => group,
            None => self.label,
        }
    }

    /// Whether its bodies may block.
    pub const fn is_blocking(&self) -> bool {
        self.blocking
    }

    /// Whether it has neither lanes, nor chains, nor limits, nor retries, and does not block: one look
    /// for a scheduler that asks for all of them.
    #[inline]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }

    /// The longest execution of a token, if there is a limit.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The longest wait of a token for its start, if there is a limit.
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// How bodies that fail run again, if they do.
    pub const fn retry(&self) -> Option<Retry> {
        self.retry
    }
}
