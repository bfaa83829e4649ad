//! tokengate-token.
