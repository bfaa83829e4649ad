//! tokengate-macros.
