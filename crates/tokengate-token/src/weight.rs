//! The three weight classes.
//!
//! A weight is a name; which domains it selects is decided by the router of the scheduler.

use std::fmt;

/// The weight class of a token: the range of core domains it may be routed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weight {
    /// May use every core.
    Heavy,
    /// May use core 2 and up.
    Medium,
    /// May use core 3 and up.
    Light,
}

impl Weight {
    /// All classes, widest range first.
    pub const ALL: [Self; 3] = [Self::Heavy, Self::Medium, Self::Light];

    /// The name as the attribute's `weight` tag has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heavy => "heavy",
            Self::Medium => "medium",
            Self::Light => "light",
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
