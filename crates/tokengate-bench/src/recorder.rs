//! Takes the repetitions: contenders in turn, first round dropped, stolen time taken again.
//!
//! The scenarios call it with one closure for each contender. Interleaving keeps a slow drift of the
//! machine out of the ratios. It does not know what is measured, and a contender that panics ends
//! alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cpu_time::CpuTime;
use crate::effort::Effort;
use crate::progress::Progress;

/// A repetition with more stolen CPU time than this is taken again.
const STOLEN_LIMIT: f64 = 0.01;

/// One contender of a recording: its name and how to take one repetition.
pub(crate) struct Entrant<'a, S> {
    name: String,
    repetition: Box<dyn FnMut() -> S + 'a>,
}

impl<'a, S> Entrant<'a, S> {
    pub(crate) fn new(name: &str, repetition: impl FnMut() -> S + 'a) -> Self {
        Self {
            name: name.to_owned(),
            repetition: Box::new(repetition),
        }
    }
}

/// What was kept of one contender.
#[derive(Debug)]
pub(crate) struct Record<S> {
    pub(crate) name: String,
    /// The samples that count.
    pub(crate) samples: Vec<S>,
    /// The warm-up and what was taken again: not in any figure, but what they computed must be right.
    pub(crate) dropped: Vec<S>,
    /// How many of them had more stolen time than the limit, every time they were taken.
    pub(crate) stolen: usize,
    /// The message of the panic that ended the contender.
    pub(crate) panic: Option<String>,
}

/// Runs every entrant `repetitions` times after a round of warm-up.
pub(crate) fn record<S>(
    entrants: Vec<Entrant<'_, S>>,
    repetitions: usize,
    effort: &Effort,
    progress: &Progress,
) -> Vec<Record<S>> {
    progress.expect(entrants.len() * (repetitions + 1));
    let mut lanes: Vec<_> = entrants.into_iter().map(Lane::new).collect();
    for round in 0..=repetitions {
        for lane in &mut lanes {
            progress.running(&lane.record.name);
            if round == 0 {
                lane.warm_up();
            } else {
                lane.keep_one(effort.retakes, CpuTime::now);
            }
            progress.done();
        }
    }
    lanes.into_iter().map(|lane| lane.record).collect()
}

/// An entrant and what it has given so far.
struct Lane<'a, S> {
    repetition: Box<dyn FnMut() -> S + 'a>,
    record: Record<S>,
}

impl<'a, S> Lane<'a, S> {
    fn new(entrant: Entrant<'a, S>) -> Self {
        Self {
            repetition: entrant.repetition,
            record: Record {
                name: entrant.name,
                samples: Vec::new(),
                dropped: Vec::new(),
                stolen: 0,
                panic: None,
            },
        }
    }

    fn warm_up(&mut self) {
        let sample = self.take();
        self.record.dropped.extend(sample);
    }

    /// Keeps the first sample without stolen time, or else the last one.
    fn keep_one(&mut self, retakes: usize, clock: impl Fn() -> CpuTime) {
        for attempt in 0..=retakes {
            let before = clock();
            let Some(sample) = self.take() else { return };
            let clean = clock().stolen_since(before) <= STOLEN_LIMIT;
            if clean || attempt == retakes {
                self.record.samples.push(sample);
                self.record.stolen += usize::from(!clean);
                return;
            }
            self.record.dropped.push(sample);
        }
    }

    /// One repetition; none once the contender has panicked.
    fn take(&mut self) -> Option<S> {
        if self.record.panic.is_some() {
            return None;
        }
        // A contender that has panicked is never called again, so nobody sees it half changed.
        match catch_unwind(AssertUnwindSafe(&mut self.repetition)) {
            Ok(sample) => Some(sample),
            Err(payload) => {
                self.record.panic = Some(message(&*payload));
                None
            }
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_and_the_first_round_is_dropped() {
        let order = RefCell::new(Vec::new());
        let log = |name| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                order.borrow().len()
            }
        };
        let entrants = vec![Entrant::new("a", log("a")), Entrant::new("b", log("b"))];
        let records = record(entrants, 2, &Effort::tiny(), &Progress::new("test"));
        assert_eq!(*order.borrow(), ["a", "b", "a", "b", "a", "b"]);
        assert_eq!(records[0].samples, [3, 5]);
        assert_eq!(records[0].dropped, [1]);
    }

    #[test]
    fn a_panic_ends_its_contender_alone() {
        let entrants = vec![
            Entrant::new("bad", || -> u32 { panic!("broken {}", 1) }),
            Entrant::new("good", || 7),
        ];
        let records = record(entrants, 1, &Effort::tiny(), &Progress::new("test"));
        assert_eq!(records[0].panic.as_deref(), Some("panicked: broken 1"));
        assert!(records[0].samples.is_empty());
        assert_eq!(records[1].samples, [7]);
    }

    #[test]
    fn stolen_repetitions_are_taken_again_and_then_marked() {
        let takes = RefCell::new(0);
        let mut lane = Lane::new(Entrant::new("a", || *takes.borrow_mut() += 1));
        let readings = RefCell::new((0..).step_by(100).map(|t| CpuTime::of(t, t / 2)));
        lane.keep_one(2, || readings.borrow_mut().next().unwrap());
        assert_eq!((lane.record.samples.len(), lane.record.stolen), (1, 1));
        drop(lane);
        assert_eq!(takes.into_inner(), 3);
    }
}
