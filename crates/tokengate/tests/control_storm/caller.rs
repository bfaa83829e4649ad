//! A thread that makes calls and gives orders, and the counts of what comes of the tokens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use tokengate::{Handle, Operation, Token, TokenError, get_all};

use crate::bodies::{LIMITS, OPERATIONS, Outcome, Task};
use crate::common::random::Random;
use crate::common::{Census, Member};

/// So many tokens of one thread are in flight.
const ROUND: u64 = 128;

pub(crate) struct Caller {
    random: Random,
    gate: Handle,
    tally: Arc<Tally>,
    arguments: Census,
}

impl Caller {
    pub(crate) fn new(seed: u64, gate: Handle, tally: &Arc<Tally>, arguments: &Census) -> Self {
        Self {
            random: Random(seed),
            gate,
            tally: tally.clone(),
            arguments: arguments.clone(),
        }
    }

    /// So many calls, in rounds with an order now and then.
    pub(crate) fn run(mut self, calls: u64) {
        let mut left = calls;
        while left > 0 {
            let round = ROUND.min(left);
            left -= round;
            let gate = self.gate.clone();
            let mut open = Vec::new();
            if self.random.one_in(4) {
                gate.batch(|| self.round(round, &mut open));
            } else {
                self.round(round, &mut open);
            }
            for result in get_all(open) {
                self.tally.read(result);
            }
        }
    }

    fn round(&mut self, calls: u64, open: &mut Vec<Token<Member, Member>>) {
        let order_at = self.random.below(4 * calls);
        for call in 0..calls {
            if call == order_at {
                self.give_order();
            }
            let operation = self.random_operation();
            let token = self.task().submit(operation);
            match self.random.below(30) {
                0 => {
                    self.tally.add_let_go();
                    drop(token);
                }
                1 => {
                    token.kill("the storm");
                    open.push(token);
                }
                2 => {
                    self.tally.add_let_go();
                    drop(token.kill_on_drop());
                }
                _ => open.push(token),
            }
        }
    }

    /// Something for the whole gate, an operation, or both; what is paused is resumed before this
    /// thread waits for anything.
    fn give_order(&mut self) {
        let gate = self.gate.clone();
        let label = self.random_operation().label();
        self.tally.orders.fetch_add(1, SeqCst);
        match self.random.below(8) {
            0 => drop(gate.kill_operation(label, "the storm")),
            1 => gate.purge_operation(label, "the storm"),
            2 if self.random.one_in(4) => drop(gate.purge("the storm")),
            2 => {
                let limit = LIMITS[self.random.below(3) as usize];
                gate.set_limit(limit, 1 + self.random.below(4) as usize);
            }
            3 => {
                gate.pause();
                self.some_calls_let_go();
                gate.resume();
            }
            _ => {
                gate.pause_operation(label);
                self.some_calls_let_go();
                gate.resume_operation(label);
            }
        }
    }

    fn some_calls_let_go(&mut self) {
        for _ in 0..self.random.below(20) {
            let operation = self.random_operation();
            self.tally.add_let_go();
            self.task().submit(operation).detach();
        }
    }

    fn random_operation(&mut self) -> &'static Operation {
        OPERATIONS[self.random.below(OPERATIONS.len() as u64) as usize]
    }

    fn task(&mut self) -> Task {
        Task {
            gate: self.gate.clone(),
            tally: self.tally.clone(),
            arguments: self.arguments.clone(),
            seed: self.random.next(),
            calls: self.random.one_in(10),
            argument: self.arguments.member(),
        }
    }
}

/// What became of the tokens of a storm; those that were let go have outcomes that nobody sees.
#[derive(Default)]
pub(crate) struct Tally {
    made: AtomicU64,
    orders: AtomicU64,
    values: AtomicU64,
    errors: AtomicU64,
    panics: AtomicU64,
    killed: AtomicU64,
    timed_out: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    let_go: AtomicU64,
}

impl Tally {
    pub(crate) fn add_made(&self) {
        self.made.fetch_add(1, SeqCst);
    }

    pub(crate) fn add_let_go(&self) {
        self.let_go.fetch_add(1, SeqCst);
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(SeqCst)
    }

    /// Counts what a token gave. A wait that is refused has let its token go.
    pub(crate) fn read(&self, result: Outcome) {
        let counter = match result {
            Ok(_) => &self.values,
            Err(TokenError::Failed(_)) => &self.errors,
            Err(TokenError::Panicked(_)) => &self.panics,
            Err(TokenError::Killed { .. }) => &self.killed,
            Err(TokenError::TimedOut { .. }) => &self.timed_out,
            Err(TokenError::Rejected(_)) => &self.rejected,
            Err(TokenError::WouldDeadlock { .. }) => &self.refused,
            Err(other) => panic!("an outcome that nothing here asks for: {other:?}"),
        };
        counter.fetch_add(1, SeqCst);
    }

    /// How many have an outcome, or were let go.
    pub(crate) fn ended(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Each token has one outcome, and the storm had some of each kind.
    pub(crate) fn check(&self, seed: u64) {
        assert_eq!(
            self.ended(),
            self.made(),
            "seed {seed}: an outcome is missing, or came twice: {self}"
        );
        let [values, errors, panics, killed, timed_out, ..] = self.counts();
        let some = [values, errors, panics, killed, timed_out];
        assert!(
            some.iter().all(|&count| count > 0),
            "seed {seed}: no storm: {self}"
        );
    }

    fn counts(&self) -> [u64; 8] {
        let counters = [
            &self.values,
            &self.errors,
            &self.panics,
            &self.killed,
            &self.timed_out,
            &self.rejected,
            &self.refused,
            &self.let_go,
        ];
        counters.map(|counter| counter.load(SeqCst))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [
            values,
            errors,
            panics,
            killed,
            timed_out,
            rejected,
            refused,
            let_go,
        ] = self.counts();
        write!(
            f,
            "{} tokens, {} orders: {values} values, {errors} errors, {panics} panics, {killed} killed, \
             {timed_out} timed out, {rejected} rejected, {refused} waits refused, {let_go} let go",
            self.made(),
            self.orders.load(SeqCst)
        )
    }
}
