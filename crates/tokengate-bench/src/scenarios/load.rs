//! A load of keyed tokens: run on a contender, timed, and checked by what the states come to.
//!
//! `keyed`, `locality` and `flights` with a key each have a load of their own kind. All tokens are submitted,
//! then all results taken; making the states and looking at them is not measured.

use std::time::Instant;

use crate::effort::Effort;
use crate::keyed::{KeyedContender, KeyedJob, Order};
use crate::progress::Progress;
use crate::recorder::{Entrant, Record, record};
use crate::roster::{AnyKeyed, Running};
use crate::scenarios::{Sample, retire};
use crate::tally::Tally;

/// The tokens of one repetition and the states that they work on.
pub(crate) trait Load {
    /// What a token executes.
    type Job: KeyedJob;

    /// The tokens, in the order of submission.
    fn jobs(&self) -> impl ExactSizeIterator<Item = Self::Job> + Send + use<Self> + 'static;

    /// Brings the states back to their beginning.
    fn reset(&self);

    /// Complains if the states are not what all tokens together make of them.
    fn check(&self, tally: &mut Tally);

    /// How often a token ran after a later one of its key, as far as the states tell.
    fn steps_back(&self) -> u64;
}

/// One repetition.
pub(crate) struct KeyedSample {
    elapsed_s: f64,
    steps_back: u64,
    tally: Tally,
}

impl Sample for KeyedSample {
    fn elapsed_s(&self) -> f64 {
        self.elapsed_s
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl KeyedSample {
    /// Holds a contender to the order that it says it keeps.
    fn hold_to(mut self, order: Order) -> Self {
        if order == Order::Kept {
            self.tally.expect_order(self.steps_back);
        }
        self
    }
}

/// Runs all tokens of a load on a contender.
pub(crate) fn repetition<C: KeyedContender, L: Load>(contender: &mut C, load: &L) -> KeyedSample {
    load.reset();
    let jobs = load.jobs();
    let mut tally = Tally::expecting(jobs.len());
    let started = Instant::now();
    contender.run_keyed(jobs, |outcome| {
        tally.count(outcome);
    });
    let elapsed_s = started.elapsed().as_secs_f64();
    load.check(&mut tally);
    KeyedSample {
        elapsed_s,
        steps_back: load.steps_back(),
        tally,
    }
}

/// Records the repetitions of those who take part. `take` takes one.
pub(super) fn measure<L: Load>(
    running: &mut Vec<Running<dyn AnyKeyed>>,
    takes_part: impl Fn(&str) -> bool,
    load: &L,
    take: fn(&mut dyn AnyKeyed, &L) -> KeyedSample,
    effort: &Effort,
    progress: &Progress,
) -> Vec<Record<KeyedSample>> {
    let taking_part = running.iter_mut().filter(|r| takes_part(&r.name));
    let entrants = taking_part.map(|running| {
        let (contender, order) = (&mut *running.contender, running.order);
        Entrant::new(&running.name, move || take(contender, load).hold_to(order))
    });
    let records = record(entrants.collect(), effort.repetitions, effort, progress);
    retire(running, &records);
    records
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contender::{Contender, Outcome};
    use crate::contenders::hash_channels::HashChannels;
    use crate::contenders::serial::Serial;
    use crate::contenders::static_split::StaticSplit;
    use crate::contenders::tokengate::{Form, Tokengate};
    use crate::contenders::tokio_actors::TokioActors;
    use crate::contenders::tokio_dashmap::TokioDashMap;
    use crate::contenders::tokio_outside::TokioOutside;
    use crate::keyed::Locked;

    #[track_caller]
    fn assert_sound<C: KeyedContender>(mut contender: C, order: Order, load: &impl Load) {
        let sample = repetition(&mut contender, load).hold_to(order);
        assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
    }

    /// Every contender does all of the load, and keeps the order if it says so.
    pub(in crate::scenarios) fn assert_all_sound(load: &impl Load) {
        assert_sound(Serial, Order::Kept, load);
        assert_sound(StaticSplit::start().unwrap(), Order::Kept, load);
        assert_sound(HashChannels::start().unwrap(), Order::Kept, load);
        assert_sound(TokioActors::start().unwrap(), Order::Kept, load);
        for form in [Form::OneByOne, Form::Batch] {
            assert_sound(Tokengate::start(form).unwrap(), Order::Kept, load);
        }
        assert_sound(TokioDashMap::start().unwrap(), Order::Free, load);
        assert_sound(Locked(TokioOutside::start().unwrap()), Order::Free, load);
    }

    /// Runs the last job first.
    struct Backwards;

    impl KeyedContender for Backwards {
        fn run_keyed<J: KeyedJob>(
            &mut self,
            jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
            take: impl FnMut(Outcome<J::Output>),
        ) {
            let mut jobs: Vec<J> = jobs.collect();
            jobs.reverse();
            Serial.run(jobs.into_iter(), take);
        }
    }

    /// Says that all is done, and leaves out a job.
    struct Idler;

    impl KeyedContender for Idler {
        fn run_keyed<J: KeyedJob>(
            &mut self,
            jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
            mut take: impl FnMut(Outcome<J::Output>),
        ) {
            let all_but_one = jobs.enumerate().filter(|(number, _)| *number != 1);
            all_but_one.for_each(|(_, job)| take(Ok(job.run())));
        }
    }

    /// A lost order and a lost token are seen.
    pub(in crate::scenarios) fn assert_strict(load: &impl Load) {
        let sample = repetition(&mut Backwards, load).hold_to(Order::Kept);
        assert!(!sample.tally.is_flawless(), "the order is not looked at");
        let mut sample = repetition(&mut Idler, load);
        // As if the missing result had been made up.
        sample.tally.completed = sample.tally.expected;
        assert!(!sample.tally.is_flawless(), "the states are not looked at");
    }
}
