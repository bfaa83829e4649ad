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

/// One repetition with times taken inside the bodies.
pub(crate) struct ProbedSample {
    /// Figures of each wave.
    waves: Vec<OwnFigures>,
    /// Figures of all waves together.
    total: Option<OwnFigures>,
    sample: WaveSample,
}

impl Sample for ProbedSample {
    fn elapsed_s(&self) -> f64 {
        self.sample.elapsed_s()
    }

    fn tally(&self) -> &Tally {
        &self.sample.tally
    }
}

/// Runs all waves on a contender.
pub(crate) fn repetition<C: Contender>(contender: &mut C, waves: usize) -> WaveSample {
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
    }
    WaveSample {
        elapsed,
        digest,
        tally,
    }
}

/// Runs all waves on a contender with times taken around each body.
pub(crate) fn probed_repetition<C: Contender>(contender: &mut C, waves: usize) -> ProbedSample {
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
    ProbedSample {
        waves: figures,
        total: probe::figures(&all, elapsed.iter().sum()),
        sample: WaveSample {
            elapsed,
            digest,
            tally,
        },
    }
}

/// Measures the entries.
pub(crate) fn run(entries: &[&Entry], effort: &Effort, progress: &Progress) -> ScenarioReport {
    let waves = effort.waves;
    let expected = repetition(&mut Serial, waves).digest;
    let check = &|sample: &mut WaveSample| {
        let show = |digest: &u64| format!("{digest:016x}");
        sample.tally.check(&sample.digest, &expected, show);
    };
    let (mut running, skipped) = roster::start(entries.iter().copied());

    let entrants = running.iter_mut().map(|running| Entrant {
        name: running.name.clone(),
        repetition: Box::new(move || {
            let mut sample = running.contender.waves(waves);
            check(&mut sample);
            sample
        }),
    });
    let plain = record(entrants.collect(), effort.repetitions, effort, progress);

    let sound = running
        .iter_mut()
        .zip(&plain)
        .filter(|(_, record)| record.panic.is_none());
    let entrants = sound.map(|(running, _)| Entrant {
        name: running.name.clone(),
        repetition: Box::new(move || {
            let mut probed = running.contender.probed_waves(waves);
            check(&mut probed.sample);
            probed
        }),
    });
    let probed = record(
        entrants.collect(),
        effort.figure_repetitions,
        effort,
        progress,
    );
    summary::report(&plain, &probed, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::static_split::StaticSplit;

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
