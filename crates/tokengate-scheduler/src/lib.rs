//! tokengate-scheduler.

pub mod topology;
