//! The operations of a storm, and what their bodies do.

use std::sync::Arc;
use std::time::Duration;

use tokengate::{
    Call, Handle, Key, Operation, Retried, Retry, Token, TokenError, Weight, chain, check,
};

use crate::caller::Tally;
use crate::common::random::Random;
use crate::common::{Census, Member};

static PLAIN: Operation = Operation::new("plain");
static HEAVY: Operation = Operation::new("heavy").with_weight(Weight::Heavy);
static LIGHT: Operation = Operation::new("light").with_weight(Weight::Light);
static ASYNC: Operation = Operation::new("async");
static STICKY: Operation = Operation::new("sticky").with_sticky_anchor("key");
static SERIAL: Operation = Operation::new("serial").with_sticky_anchor("key").serial();
static SERIAL_ASYNC: Operation = Operation::new("serial async").serial();
static LEAD: Operation = Operation::new("lead").with_external_calls(&["plain", "async"]);
static SERIAL_LEAD: Operation = Operation::new("serial lead")
    .serial()
    .with_external_calls(&[]);
static SHORT: Operation = Operation::new("short").with_timeout(Duration::from_micros(50));
static IMPATIENT: Operation = Operation::new("impatient").with_ttl(Duration::from_micros(200));
static LIMITED: Operation = Operation::new("limited").with_limit(3);
static GROUPED: Operation = Operation::new("grouped")
    .with_limit_group("group", 2)
    .with_retry(RETRY);
static SERIAL_GROUPED: Operation = Operation::new("serial grouped")
    .serial()
    .with_limit_group("group", 2);
static BLOCKING: Operation = Operation::new("blocking").blocking();
static STORAGE: Operation = Operation::new("storage async").blocking().with_limit(2);
static RETRIED: Operation = Operation::new("retried").with_retry(RETRY);
static SERIAL_RETRIED: Operation = Operation::new("serial retried").serial().with_retry(RETRY);

const RETRY: Retry = Retry::new(3)
    .with_backoff(Duration::from_micros(100))
    .on_panic();

/// All of them.
pub(crate) const OPERATIONS: &[&Operation] = &[
    &PLAIN,
    &HEAVY,
    &LIGHT,
    &ASYNC,
    &STICKY,
    &SERIAL,
    &SERIAL_ASYNC,
    &LEAD,
    &SERIAL_LEAD,
    &SHORT,
    &IMPATIENT,
    &RETRIED,
    &SERIAL_RETRIED,
    &LIMITED,
    &GROUPED,
    &SERIAL_GROUPED,
    &BLOCKING,
    &STORAGE,
];

/// What `set_limit` knows them by.
pub(crate) const LIMITS: [&str; 3] = ["limited", "group", "storage async"];

const KEYS: u64 = 32;

/// What a body takes along.
pub(crate) struct Task {
    pub(crate) gate: Handle,
    pub(crate) tally: Arc<Tally>,
    pub(crate) arguments: Census,
    pub(crate) seed: u64,
    /// Whether it calls others.
    pub(crate) calls: bool,
    pub(crate) argument: Member,
}

pub(crate) type Outcome = Result<Member, TokenError<Member>>;

impl Task {
    /// Calls the operation with this task; about half of those that can be are async.
    pub(crate) fn submit(self, operation: &'static Operation) -> Token<Member, Member> {
        let mut random = Random(self.seed);
        let mut call = Call::new(operation);
        if operation.is_serial() || operation.key_scope() == "key" {
            call = call.with_key(Key::of(operation.key_scope(), &random.below(KEYS)));
        }
        self.tally.add_made();
        let gate = self.gate.clone();
        if operation.retry().is_some() {
            return gate.submit(call, Retried::fallible(move |_| self.attempt(&mut random)));
        }
        if operation.label().contains("async") || random.one_in(4) {
            gate.try_spawn_async(call, self.run_async(random))
        } else {
            gate.try_spawn(call, move || self.run(random))
        }
    }

    fn run(self, mut random: Random) -> Result<Member, Member> {
        if self.calls {
            let children = self.call_some(&mut random);
            for child in children {
                let result = child.get();
                self.tally.read(result);
            }
        }
        if check().is_err() {
            return Err(self.argument);
        }
        self.end(&mut random)
    }

    async fn run_async(self, mut random: Random) -> Result<Member, Member> {
        for _ in 0..random.below(3) {
            if random.one_in(50) {
                tokio::time::sleep(Duration::from_micros(random.below(100))).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
        if self.calls {
            // Let go: nobody awaits them, so no two can await each other.
            for child in self.call_some(&mut random) {
                self.tally.add_let_go();
                child.detach();
            }
        }
        self.end(&mut random)
    }

    /// Fails more often than not.
    fn attempt(&self, random: &mut Random) -> Result<Member, Member> {
        match random.below(3) {
            0 => std::panic::resume_unwind(Box::new("as asked")),
            1 => Err(self.arguments.member()),
            _ => Ok(self.arguments.member()),
        }
    }

    /// Calls a few, which call nobody.
    fn call_some(&self, random: &mut Random) -> Vec<Token<Member, Member>> {
        if random.one_in(100)
            && let Some(chain) = chain()
        {
            chain.kill("the storm");
        }
        let children = (0..random.below(4)).map(|_| {
            // Nobody waits for a lane that others of its kind may hold.
            let operation = [&PLAIN, &ASYNC, &STICKY][random.below(3) as usize];
            self.another(random.next()).submit(operation)
        });
        children.collect()
    }

    fn another(&self, seed: u64) -> Self {
        Self {
            gate: self.gate.clone(),
            tally: self.tally.clone(),
            arguments: self.arguments.clone(),
            seed,
            calls: false,
            argument: self.arguments.member(),
        }
    }

    fn end(self, random: &mut Random) -> Result<Member, Member> {
        match random.below(20) {
            0 => std::panic::resume_unwind(Box::new("as asked")),
            1 | 2 => Err(self.argument),
            _ => Ok(self.argument),
        }
    }
}
