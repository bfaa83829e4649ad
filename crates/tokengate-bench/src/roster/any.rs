//! Contenders as the scenarios see them: one method for each kind of repetition.
//!
//! The roster keeps its contenders behind these traits. Each method is written once for all contenders, by
//! the scenario that it belongs to.

use std::time::Duration;

use crate::contender::Contender;
use crate::keyed::KeyedContender;
use crate::scenarios::cost::{self, CostSample};
use crate::scenarios::flights::{self, FlightSample, KeyedLegs, Leg};
use crate::scenarios::keyed::Additions;
use crate::scenarios::latency::{self, LatencySample};
use crate::scenarios::load::{self, KeyedSample};
use crate::scenarios::locality::Visits;
use crate::scenarios::scale::resident::{self, Held, Reading};
use crate::scenarios::skew::{self, ArrivalSample, Arrivals};
use crate::scenarios::waves::{self, FiguresSample, WaveSample};

/// A contender for plain tokens.
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

/// A contender for tokens with keys.
pub(crate) trait AnyKeyed {
    /// Additions to the states of keys.
    fn keyed(&mut self, load: &Additions) -> KeyedSample;
    /// Visits of the states of keys.
    fn locality(&mut self, load: &Visits) -> KeyedSample;
    /// One token a flight leg, in order within a key.
    fn keyed_flights(&mut self, load: &KeyedLegs) -> KeyedSample;
    /// Tokens that arrive at times of their own.
    fn arrivals(&mut self, arrivals: &Arrivals) -> ArrivalSample;
}

impl<C: KeyedContender> AnyKeyed for C {
    fn keyed(&mut self, load: &Additions) -> KeyedSample {
        load::repetition(self, load)
    }

    fn locality(&mut self, load: &Visits) -> KeyedSample {
        load::repetition(self, load)
    }

    fn keyed_flights(&mut self, load: &KeyedLegs) -> KeyedSample {
        load::repetition(self, load)
    }

    fn arrivals(&mut self, arrivals: &Arrivals) -> ArrivalSample {
        skew::repetition(self, arrivals)
    }
}
