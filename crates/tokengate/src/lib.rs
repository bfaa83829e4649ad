//! tokengate.
