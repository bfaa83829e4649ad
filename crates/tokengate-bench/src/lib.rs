//! tokengate-bench.
