//! The list of contenders: who takes part in which scenario, and how each is started.
//!
//! The bench fills it with the built-in contenders and the user's; the scenarios start theirs from it.
//! [`AnyContender`] is what a scenario sees of a contender: one method for each kind of repetition,
//! each written once for all contenders.

use std::time::Duration;

use crate::contender::{Contender, Handles, Unable};
use crate::contenders as built_in;
use crate::scenarios::Scenario::{self, Flights, Latency, Scale, Submit, Waves};
use crate::scenarios::cost::{self, CostSample};
use crate::scenarios::flights::{self, FlightSample, Leg};
use crate::scenarios::latency::{self, LatencySample};
use crate::scenarios::scale::resident::{self, Held, Reading};
use crate::scenarios::waves::{self, FiguresSample, WaveSample};

/// A contender that can be started.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) handles: Handles,
    scenarios: &'static [Scenario],
    start: Start,
    start_measuring: Option<Start>,
    start_roomy: Option<StartRoomy>,
}

type Start = Box<dyn Fn() -> Result<Box<dyn AnyContender>, Unable>>;

/// Starts a contender with room for so many tokens that have not started.
type StartRoomy = Box<dyn Fn(usize) -> Result<Box<dyn AnyContender>, Unable>>;

/// A contender that runs.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) contender: Box<dyn AnyContender>,
}

/// A contender that this machine cannot run, and why.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Entry {
    /// A contender for the given scenarios.
    pub(crate) fn new<C: Contender + 'static>(
        name: &str,
        handles: Handles,
        scenarios: &'static [Scenario],
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            handles,
            scenarios,
            start: Box::new(move || Ok(Box::new(start()?))),
            start_measuring: None,
            start_roomy: None,
        }
    }

    /// Starts the contender in this way where figures are wanted that it measures itself.
    fn measuring<C: Contender + 'static>(
        mut self,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        self.start_measuring = Some(Box::new(move || Ok(Box::new(start()?))));
        self
    }

    /// Starts the contender in this way where it must hold many tokens that have not started.
    fn roomy<C: Contender + 'static>(
        mut self,
        start: impl Fn(usize) -> Result<C, Unable> + 'static,
    ) -> Self {
        self.start_roomy = Some(Box::new(move |tokens| Ok(Box::new(start(tokens)?))));
        self
    }

    /// True if it can be started with room for a number of tokens that have not started.
    pub(crate) fn makes_room(&self) -> bool {
        self.start_roomy.is_some()
    }

    /// Starts it alone, with such room if that is wanted and can be asked for.
    ///
    /// # Errors
    ///
    /// If this machine cannot run it.
    pub(crate) fn start_alone(&self, room: Option<usize>) -> Result<Box<dyn AnyContender>, Unable> {
        match (&self.start_roomy, room) {
            (Some(start), Some(tokens)) => start(tokens),
            _ => (self.start)(),
        }
    }

    /// True if it takes part in the scenario.
    pub(crate) fn takes_part_in(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario)
    }
}

/// Starts the entries; those that cannot run come back as skipped.
pub(crate) fn start<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running>, Vec<Skipped>) {
    start_by(entries.into_iter().map(|entry| (entry, &entry.start)))
}

/// Starts those entries that can measure themselves, in the way in which they do.
pub(crate) fn start_measuring<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running>, Vec<Skipped>) {
    let measuring = |entry: &'a Entry| Some((entry, entry.start_measuring.as_ref()?));
    start_by(entries.into_iter().filter_map(measuring))
}

fn start_by<'a>(
    entries: impl Iterator<Item = (&'a Entry, &'a Start)>,
) -> (Vec<Running>, Vec<Skipped>) {
    let (mut running, mut skipped) = (Vec::new(), Vec::new());
    for (entry, start) in entries {
        let name = entry.name.clone();
        match start() {
            Ok(contender) => running.push(Running { name, contender }),
            Err(Unable(reason)) => skipped.push(Skipped { name, reason }),
        }
    }
    (running, skipped)
}

/// The contenders of this crate.
pub(crate) fn built_in() -> Vec<Entry> {
    use Handles::{Each, None};
    use built_in::{
        async_executor::AsyncExecutor,
        bounded_channel::BoundedChannel,
        glommio_local::GlommioLocal,
        rayon_par_iter::RayonParIter,
        rayon_spawn::RayonSpawn,
        serial::Serial,
        static_split::StaticSplit,
        threadpool::Threadpool,
        tokengate::{Form, Tokengate},
        tokio_chunks::TokioChunks,
        tokio_inside::TokioInside,
        tokio_join_set::TokioJoinSet,
        tokio_outside::TokioOutside,
        tokio_spawn_blocking::TokioSpawnBlocking,
        tokio_spawn_pinned::TokioSpawnPinned,
    };
    const WORK: &[Scenario] = &[Waves, Flights];
    const COST: &[Scenario] = &[Submit];
    const BULK: &[Scenario] = &[Waves, Submit, Flights];
    const EACH: &[Scenario] = &[Submit, Latency];
    let all = Scenario::ALL;
    let ours = |name, scenarios, form| {
        Entry::new(name, Each, scenarios, move || Tokengate::start(form))
            .measuring(move || Tokengate::start_timing_all(form))
    };
    vec![
        Entry::new("serial", None, all, || Ok(Serial)),
        Entry::new("static-split", None, BULK, StaticSplit::start),
        Entry::new("tokio", Each, all, TokioOutside::start),
        Entry::new(
            "tokio-inside",
            Each,
            &[Waves, Submit, Scale, Flights],
            TokioInside::start,
        ),
        Entry::new("tokio-join-set", None, WORK, TokioJoinSet::start),
        Entry::new("tokio-chunks-64", None, COST, TokioChunks::start),
        Entry::new(
            "tokio-spawn-blocking",
            Each,
            EACH,
            TokioSpawnBlocking::start,
        ),
        Entry::new("tokio-spawn-pinned", Each, EACH, TokioSpawnPinned::start),
        Entry::new("rayon-spawn", Each, all, RayonSpawn::start),
        Entry::new("rayon-par-iter", None, BULK, RayonParIter::start),
        Entry::new("threadpool", Each, EACH, Threadpool::start),
        Entry::new(
            "async-executor",
            Each,
            &[Submit, Latency, Scale],
            AsyncExecutor::start,
        ),
        Entry::new("bounded-channel", Each, EACH, BoundedChannel::start),
        Entry::new("glommio-local", None, EACH, GlommioLocal::start),
        ours("tokengate", all, Form::OneByOne)
            .roomy(|tokens| Tokengate::start_with_room(Form::OneByOne, tokens)),
        ours("tokengate-batch", &[Submit, Scale, Flights], Form::Batch),
        ours("tokengate-get-all", BULK, Form::GetAll),
        Entry::new("tokengate-free-routing", Each, &[Waves], || {
            Tokengate::start_free_routing(Form::GetAll)
        }),
    ]
}

/// A contender as the scenarios see it.
pub(crate) trait AnyContender {
    /// All waves, without any clock inside bodies.
    fn waves(&mut self, waves: usize) -> WaveSample;
    /// All waves, with times taken around each body.
    fn probed_waves(&mut self, waves: usize) -> FiguresSample;
    /// All waves, with the contender's own figures.
    fn measuring_waves(&mut self, waves: usize) -> FiguresSample;
    /// Empty tokens, so many at a time, until so many have run.
    fn submit(&mut self, outstanding: usize, tokens: usize) -> CostSample;
    /// One token and back, so many times, each after a rest of the caller.
    fn latency(&mut self, rest: Duration, tokens: usize) -> LatencySample;
    /// Resident memory while so many tokens are held.
    fn resident(&mut self, tokens: usize, held: Held) -> Result<Option<Reading>, String>;
    /// One token a flight leg.
    fn flights(&mut self, legs: &'static [Leg]) -> FlightSample;
}

impl<C: Contender> AnyContender for C {
    fn waves(&mut self, waves: usize) -> WaveSample {
        waves::repetition(self, waves)
    }

    fn probed_waves(&mut self, waves: usize) -> FiguresSample {
        waves::probed_repetition(self, waves)
    }

    fn measuring_waves(&mut self, waves: usize) -> FiguresSample {
        waves::measuring_repetition(self, waves)
    }

    fn submit(&mut self, outstanding: usize, tokens: usize) -> CostSample {
        cost::repetition(self, outstanding, tokens)
    }

    fn latency(&mut self, rest: Duration, tokens: usize) -> LatencySample {
        latency::repetition(self, rest, tokens)
    }

    fn resident(&mut self, tokens: usize, held: Held) -> Result<Option<Reading>, String> {
        resident::read(self, tokens, held)
    }

    fn flights(&mut self, legs: &'static [Leg]) -> FlightSample {
        flights::repetition(self, legs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::serial::Serial;

    #[test]
    fn a_contender_that_cannot_run_is_skipped_with_its_reason() {
        let entries = [
            Entry::new("able", Handles::None, Scenario::ALL, || Ok(Serial)),
            Entry::new("unable", Handles::None, Scenario::ALL, || {
                Err::<Serial, _>(Unable("no io_uring".into()))
            }),
        ];
        let (running, skipped) = start(&entries);
        assert_eq!(running.len(), 1);
        assert_eq!(skipped[0].name, "unable");
        assert_eq!(skipped[0].reason, "no io_uring");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = built_in().into_iter().map(|entry| entry.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
