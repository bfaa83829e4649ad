//! `waves`: the article's benchmark, mixed work in waves that double from 4 to 65,536 tokens.
//!
//! Ratios come from a pass that runs the bodies as they are; occupancy, CPU parallelism and latency from
//! a second one that takes times inside. The article's own figures stand beside ours, wave by wave.

mod article;
mod operations;
mod summary;

use std::time::{Duration, Instant};

use crate::contender::{Contender, OwnFigures};
use crate::contenders::serial::Serial;
use crate::effort::Effort;
use crate::probe::{self, Probed, Times};
use crate::progress::Progress;
use crate::recorder::{Entrant, record};
use crate::report::ScenarioReport;
use crate::roster::{self, Entry};
use crate::scenarios::Sample;
use crate::tally::Tally;

use operations::wave_job;

/// Tokens of a wave, counted from 0.
pub(crate) fn tokens_of(wave: usize) -> usize {
    4 << wave
}

/// One repetition of all waves.
pub(crate) struct WaveSample {
    elapsed: Vec<Duration>,
    digest: u64,
    tally: Tally,
}

impl Sample for WaveSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed.iter().sum::<Duration>().as_secs_f64()
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// One repetition with figures of what happened inside.
pub(crate) struct FiguresSample {
    /// Figures of each wave.
    waves: Vec<OwnFigures>,
    /// Figures of all waves together.
    total: Option<OwnFigures>,
    sample: WaveSample,
}

impl Sample for FiguresSample {
    fn elapsed_s(&self) -> f64 {
        self.sample.elapsed_s()
    }

    fn tally(&self) -> &Tally {
        &self.sample.tally
    }
}

/// Runs all waves on a contender.
pub(crate) fn repetition<C: Contender>(contender: &mut C, waves: usize) -> WaveSample {
    repetition_with(contender, waves, |_| {})
}

/// Runs all waves, and calls `after` behind each, when the clock of the wave has stopped.
fn repetition_with<C: Contender>(
    contender: &mut C,
    waves: usize,
    mut after: impl FnMut(&mut C),
) -> WaveSample {
    let mut tally = Tally::expecting((0..waves).map(tokens_of).sum());
    let mut digest = 0_u64;
    let mut elapsed = Vec::with_capacity(waves);
    for wave in 0..waves {
        let started = Instant::now();
        let jobs = (0..tokens_of(wave)).map(move |index| wave_job(wave, index));
        contender.run(jobs, |outcome| {
            digest = digest.wrapping_add(tally.count(outcome).unwrap_or(0));
        });
        elapsed.push(started.elapsed());
        after(contender);
    }
    WaveSample {
        elapsed,
        digest,
        tally,
    }
}

/// Runs all waves on a contender with times taken around each body.
pub(crate) fn probed_repetition<C: Contender>(contender: &mut C, waves: usize) -> FiguresSample {
    let mut tally = Tally::expecting((0..waves).map(tokens_of).sum());
    let mut digest = 0_u64;
    let mut elapsed = Vec::with_capacity(waves);
    let mut figures = Vec::with_capacity(waves);
    let mut all: Vec<Times> = Vec::with_capacity(tally.expected as usize);
    for wave in 0..waves {
        let first = all.len();
        let started = Instant::now();
        let jobs = (0..tokens_of(wave)).map(move |index| Probed::now(wave_job(wave, index)));
        contender.run(jobs, |outcome| {
            if let Some((part, times)) = tally.count(outcome) {
                digest = digest.wrapping_add(part);
                all.push(times);
            }
        });
        let took = started.elapsed();
        figures.extend(probe::figures(&all[first..], took));
        elapsed.push(took);
    }
    FiguresSample {
        waves: figures,
        total: probe::figures(&all, elapsed.iter().sum()),
        sample: WaveSample {
            elapsed,
            digest,
            tally,
        },
    }
}

/// Runs all waves on a contender that measures itself, reading its figures after each wave; then once
/// more with one reading at the end, because quantiles of waves do not add up.
pub(crate) fn measuring_repetition<C: Contender>(contender: &mut C, waves: usize) -> FiguresSample {
    let mut figures = Vec::with_capacity(waves);
    contender.own_figures();
    let sample = repetition_with(contender, waves, |contender| {
        figures.extend(contender.own_figures());
    });
    let mut again = repetition(contender, waves);
    again.tally.check(&again.digest, &sample.digest, hex);
    FiguresSample {
        waves: figures,
        total: contender.own_figures(),
        sample: WaveSample {
            tally: sample.tally.worse(again.tally),
            ..sample
        },
    }
}

fn hex(digest: &u64) -> String {
    format!("{digest:016x}")
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let waves = effort.waves;
    let expected = repetition(&mut Serial, waves).digest;
    let check = move |sample: &mut WaveSample| {
        sample.tally.check(&sample.digest, &expected, hex);
    };
    let (mut running, skipped) = roster::start(entries.iter().copied());

    let entrants = running.iter_mut().map(|running| {
        Entrant::new(&running.name, || {
            let mut sample = running.contender.waves(waves);
            check(&mut sample);
            sample
        })
    });
    let plain = record(entrants.collect(), effort.repetitions, effort, progress);

    // One that cannot start in the way in which it measures itself gets a probe as the others do.
    let (mut measuring, _) = roster::start_measuring(entries.iter().copied());
    running.retain(|running| {
        let broken = plain
            .iter()
            .any(|p| p.name == running.name && p.panic.is_some());
        let measures = measuring.iter().any(|m| m.name == running.name);
        effort.peer_figures && !broken && !measures
    });
    let probed = running.iter_mut().map(|running| {
        Entrant::new(&running.name, || {
            let mut figures = running.contender.probed_waves(waves);
            check(&mut figures.sample);
            figures
        })
    });
    let measured = measuring.iter_mut().map(|measuring| {
        Entrant::new(&measuring.name, || {
            let mut figures = measuring.contender.measuring_waves(waves);
            check(&mut figures.sample);
            figures
        })
    });
    let entrants = probed.chain(measured).collect();
    let figures = record(entrants, effort.figure_repetitions, effort, progress);
    summary::report(&plain, &figures, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Job, Outcome};
    use crate::contenders::static_split::StaticSplit;

    /// Counts its readings in the place of the occupancy.
    struct Measuring(f64);

    impl Contender for Measuring {
        fn run<J: Job>(
            &mut self,
            jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
            take: impl FnMut(Outcome<J::Output>),
        ) {
            Serial.run(jobs, take);
        }

        fn own_figures(&mut self) -> Option<OwnFigures> {
            self.0 += 1.0;
            Some(OwnFigures {
                occupancy: self.0,
                cpu_parallelism: None,
                latency_p50_ns: 1.0,
                latency_p99_ns: 1.0,
            })
        }
    }

    #[test]
    fn a_contender_that_measures_itself_is_read_after_each_wave_and_after_all() {
        let figures = measuring_repetition(&mut Measuring(0.0), 3);
        let read: Vec<f64> = figures.waves.iter().map(|w| w.occupancy).collect();
        assert_eq!(read, [2.0, 3.0, 4.0], "the first reading only begins");
        assert_eq!(figures.total.unwrap().occupancy, 5.0);
        assert!(figures.tally().is_flawless());
    }

    #[test]
    fn fifteen_waves_have_the_articles_number_of_tokens() {
        assert_eq!(tokens_of(14), 65_536);
        assert_eq!((0..15).map(tokens_of).sum::<usize>(), 131_068);
    }

    #[test]
    fn contenders_agree_on_the_digest_with_and_without_a_probe() {
        let serial = repetition(&mut Serial, 4);
        let split = repetition(&mut StaticSplit::start().unwrap(), 4);
        let probed = probed_repetition(&mut Serial, 4);
        assert!(split.tally.is_flawless());
        assert_eq!(serial.digest, split.digest);
        assert_eq!(serial.digest, probed.sample.digest);
        assert_eq!(probed.waves.len(), 4);
    }
}
