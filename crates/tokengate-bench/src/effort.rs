//! How much a run takes: repetitions and sizes behind `--quick`, the default and `--full`.
//!
//! The command line chooses one, the scenarios read it. Every effort runs all tokens of `waves` and
//! every figure that has a bar; repetitions, the number of empty tokens and how much is learned about the
//! peers differ.

use std::time::Duration;

use crate::scenarios::latency::RESTS;

/// Repetitions and sizes of one run.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    /// The option's name, for the report.
    pub(crate) name: &'static str,
    /// Repetitions that are kept; one more, the first, warms up and is dropped.
    pub(crate) repetitions: usize,
    /// Repetitions of the pass that takes occupancy, CPU parallelism and latency.
    pub(crate) figure_repetitions: usize,
    /// How often one repetition is taken again because CPU time was stolen.
    pub(crate) retakes: usize,
    /// Waves, from 4 tokens on, each twice as large as the one before.
    pub(crate) waves: usize,
    /// Whether occupancy, CPU parallelism and latency of the peers are taken too, not only ours.
    pub(crate) peer_figures: bool,
    /// Which peers take part where each of them takes long.
    pub(crate) peers: Peers,
    /// For `submit`: tokens outstanding, and tokens in all.
    pub(crate) outstanding: Vec<(usize, usize)>,
    /// For `latency`: tokens of one repetition, for each rest of the caller.
    pub(crate) round_trips: [usize; RESTS],
    /// For `latency`: children of one repetition.
    pub(crate) children: usize,
    /// For `latency`: how long idle workers are watched.
    pub(crate) idle_rest: Duration,
    /// For `keyed`: tokens of a repetition.
    pub(crate) keyed: usize,
    /// The same where bodies take 5 µs.
    pub(crate) keyed_with_bodies: usize,
    /// For `locality`: KiB of a state, and the number of keys.
    pub(crate) states: Vec<(usize, usize)>,
    /// For `locality`: cache lines that a repetition chases through, at least.
    pub(crate) chased_lines: usize,
    /// For `chain`: leads of a repetition.
    pub(crate) leads: usize,
    /// For `skew`: tokens that arrive in a repetition.
    pub(crate) arrivals: usize,
    /// For `scale`: tokens outstanding, and tokens in all.
    pub(crate) scale: Vec<(usize, usize)>,
    /// For `scale`: tokens held while memory is measured; none where there are none.
    pub(crate) resident: Option<usize>,
}

/// Peers where each of them takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Those that we promise something about.
    Promised,
    /// All but those that take minutes.
    InTime,
    /// All.
    All,
}

impl Effort {
    /// Below one minute.
    pub(crate) fn quick() -> Self {
        Self {
            name: "quick",
            repetitions: 3,
            figure_repetitions: 1,
            retakes: 1,
            waves: 15,
            peer_figures: false,
            peers: Peers::Promised,
            outstanding: vec![(1_000, 50_000), (10_000, 50_000), (1_000_000, 1_000_000)],
            round_trips: [2_000, 250, 250, 60],
            children: 20_000,
            idle_rest: Duration::from_secs(1),
            keyed: 100_000,
            keyed_with_bodies: 5_000,
            states: vec![(256, 6), (1024, 2), (32, 48), (256, 64)],
            chased_lines: 1 << 20,
            leads: 20_000,
            arrivals: 5_000,
            scale: vec![(1_000, 50_000), (10_000, 50_000), (100_000, 100_000)],
            resident: Some(1_000_000),
        }
    }

    /// At most five minutes.
    pub(crate) fn standard() -> Self {
        Self {
            name: "default",
            repetitions: 7,
            figure_repetitions: 3,
            retakes: 3,
            peer_figures: true,
            peers: Peers::InTime,
            outstanding: vec![(1_000, 200_000), (10_000, 200_000), (1_000_000, 1_000_000)],
            round_trips: [10_000, 500, 500, 200],
            children: 100_000,
            keyed: 1_000_000,
            keyed_with_bodies: 20_000,
            chased_lines: 1 << 21,
            leads: 100_000,
            arrivals: 15_000,
            scale: vec![
                (1_000, 200_000),
                (10_000, 200_000),
                (100_000, 400_000),
                (1_000_000, 1_000_000),
            ],
            ..Self::quick()
        }
    }

    /// For reports.
    pub(crate) fn full() -> Self {
        Self {
            name: "full",
            repetitions: 15,
            figure_repetitions: 7,
            retakes: 5,
            peer_figures: true,
            peers: Peers::All,
            outstanding: vec![
                (1_000, 1_000_000),
                (10_000, 1_000_000),
                (1_000_000, 1_000_000),
            ],
            round_trips: [20_000, 2_000, 2_000, 1_000],
            children: 100_000,
            idle_rest: Duration::from_secs(10),
            keyed: 1_000_000,
            keyed_with_bodies: 100_000,
            states: vec![
                (32, 16),
                (32, 48),
                (32, 120),
                (32, 512),
                (256, 2),
                (256, 6),
                (256, 15),
                (256, 64),
                (1024, 2),
                (1024, 4),
                (1024, 16),
            ],
            chased_lines: 1 << 22,
            leads: 100_000,
            arrivals: 100_000,
            scale: vec![
                (1_000, 1_000_000),
                (10_000, 1_000_000),
                (100_000, 1_000_000),
                (1_000_000, 1_000_000),
                (10_000_000, 10_000_000),
            ],
            ..Self::quick()
        }
    }

    /// For tests: says nothing about speed.
    #[cfg(test)]
    pub(crate) fn tiny() -> Self {
        Self {
            name: "tiny",
            repetitions: 1,
            figure_repetitions: 1,
            retakes: 0,
            waves: 3,
            peer_figures: true,
            peers: Peers::All,
            outstanding: vec![(10, 20)],
            round_trips: [20, 2, 2, 2],
            children: 20,
            idle_rest: Duration::from_millis(1),
            keyed: 100,
            keyed_with_bodies: 20,
            states: vec![(1, 2)],
            chased_lines: 64,
            leads: 20,
            arrivals: 20,
            scale: vec![(10, 20), (20, 20)],
            resident: None,
        }
    }
}
