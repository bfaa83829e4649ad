//! The progress bar, drawn on a terminal only.
//!
//! The recorder moves it once for each repetition. It writes to standard error, so that the table on
//! standard output stays clean; without a terminal it writes nothing.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar of one scenario.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar named after the scenario; it grows with [`Progress::expect`].
    pub(crate) fn new(scenario: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{prefix:>8} [{bar:40}] {pos}/{len} {msg}")
            .expect("the template is a constant");
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        bar.set_prefix(scenario.to_owned());
        Self(bar)
    }

    /// Makes room for more repetitions.
    pub(crate) fn expect(&self, repetitions: usize) {
        self.0.inc_length(repetitions as u64);
    }

    /// Names the contender that runs now.
    pub(crate) fn running(&self, contender: &str) {
        self.0.set_message(contender.to_owned());
    }

    /// One repetition is done.
    pub(crate) fn done(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
