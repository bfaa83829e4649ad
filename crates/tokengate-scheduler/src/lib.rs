//! tokengate-scheduler.
