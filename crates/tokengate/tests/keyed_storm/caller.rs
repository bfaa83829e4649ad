//! Makes calls of all kinds, from threads and from bodies, and does all kinds of things to them.
//!
//! Async bodies await only what waits for nothing: a cycle through `.await` is nobody's promise.
//! Sync bodies block on anything.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokengate::{
    Call, DeadlockCause, Handle, Key, Operation, Token, TokenError, chain, flush, get_all,
};

use crate::common::Member;
use crate::common::random::Random;
use crate::world::{KEYS, Subject, World, here, is_held};

static PLAIN: Operation = Operation::new("plain");
static STICKY: Operation = Operation::new("sticky").with_sticky_anchor("key");
static SERIAL: Operation = Operation::new("serial").with_sticky_anchor("key").serial();
static LEAD: Operation = Operation::new("lead").with_external_calls(&["plain"]);
static SERIAL_LEAD: Operation = Operation::new("serial lead")
    .with_sticky_anchor("key")
    .with_external_calls(&[])
    .serial();

/// Bodies call bodies so deep.
const DEPTH: u32 = 3;

/// What was called, as a wait for it has to know.
pub(crate) struct Made {
    pub(crate) token: Token<Member, Member>,
    gate: usize,
    serial_key: Option<u64>,
}

/// A thread, or a body, that makes calls one after the other.
pub(crate) struct Caller {
    world: Arc<World>,
    random: Random,
    id: u64,
    next: u64,
    depth: u32,
}

impl Caller {
    pub(crate) fn new(world: &Arc<World>, seed: u64, depth: u32) -> Self {
        Self {
            world: world.clone(),
            random: Random(seed),
            id: world.new_caller(),
            next: 0,
            depth,
        }
    }

    /// Some calls, and what is done to them.
    pub(crate) fn rounds(&mut self, calls: u64) {
        let mut open = Vec::new();
        let mut left = calls;
        while left > 0 {
            let some = (1 + self.random.below(20)).min(left);
            left -= some;
            if self.random.one_in(4) {
                let gate = self.random_gate();
                self.gate(gate).batch(|| self.some_calls(some, &mut open));
            } else {
                self.some_calls(some, &mut open);
            }
            if open.len() > 200 {
                self.settle(std::mem::take(&mut open));
            }
        }
        self.settle(open);
    }

    fn some_calls(&mut self, calls: u64, open: &mut Vec<Made>) {
        for _ in 0..calls {
            let made = self.call_somewhere();
            match self.random.below(12) {
                0 => drop(made),
                1 => self.wait(made),
                2 => {
                    made.token.kill("the storm");
                    open.push(made);
                }
                3 => self.world.killers.lock().unwrap().push(made.token.killer()),
                4 => {
                    let killer = self.world.killers.lock().unwrap().pop();
                    let _ = killer.map(|killer| killer.kill("the storm, from elsewhere"));
                    open.push(made);
                }
                5 => self.wait_for_a_while(made, open),
                6 => {
                    flush();
                    open.push(made);
                }
                7 if self.random.one_in(3) => self.settle(std::mem::take(open)),
                _ => open.push(made),
            }
        }
    }

    /// A call to any gate, under a carried chain now and then.
    fn call_somewhere(&mut self) -> Made {
        let carried = match self.random.below(8) {
            0 => self.world.carried.lock().unwrap().pop(),
            _ => None,
        };
        match carried {
            Some((gate, chain)) => chain.run(|| self.call(gate, Some(chain.domain()))),
            None => {
                let gate = self.random_gate();
                let own = here().filter(|&(own, _)| own == gate);
                let domain = own.and_then(|_| chain()).map(|chain| chain.domain());
                self.call(gate, domain)
            }
        }
    }

    fn call(&mut self, gate: usize, chain_domain: Option<usize>) -> Made {
        let operation =
            [&PLAIN, &STICKY, &SERIAL, &SERIAL, &LEAD, &SERIAL_LEAD][self.random.below(6) as usize];
        let keyed = operation.key_scope() == "key";
        let key = keyed.then(|| self.random.below(KEYS));
        let mut call = Call::new(operation);
        if let Some(key) = key {
            call = call.with_key(Key::of("key", &key));
        }
        let leaves = self.random.one_in(10);
        if leaves {
            call = call.unanchored();
        }
        self.next += 1;
        let subject = Subject {
            gate,
            key,
            serial: operation.is_serial(),
            leads: operation.external_calls().is_some(),
            chain_domain: chain_domain.filter(|_| !leaves),
            caller: self.id,
            number: self.next,
            argument: self.world.census.member(),
        };
        self.world.calls.fetch_add(1, SeqCst);
        Made {
            gate,
            serial_key: key.filter(|_| subject.serial),
            token: self.submit(call, subject),
        }
    }

    fn submit(&mut self, call: Call, subject: Subject) -> Token<Member, Member> {
        let (world, seed, depth) = (self.world.clone(), self.random.next(), self.depth);
        let gate = self.gate(subject.gate);
        if self.random.one_in(3) {
            gate.try_spawn_async(call, async_body(world, subject, seed))
        } else {
            gate.try_spawn(call, move || sync_body(&world, &subject, seed, depth))
        }
    }

    fn wait(&mut self, made: Made) {
        let own = is_own(&made);
        let result = made.token.get();
        self.read(own, result);
    }

    fn wait_for_a_while(&mut self, mut made: Made, open: &mut Vec<Made>) {
        let limit = Duration::from_micros(self.random.below(80));
        match made.token.get_timeout(limit) {
            Some(Err(TokenError::WouldDeadlock { cause, .. })) => {
                self.check_cause(is_own(&made), cause);
                open.push(made);
            }
            Some(_) => {}
            None => open.push(made),
        }
    }

    fn settle(&mut self, open: Vec<Made>) {
        let own = open.iter().any(is_own);
        for result in get_all(open.into_iter().map(|made| made.token)) {
            self.read(own, result);
        }
    }

    fn read(&self, own: bool, result: Result<Member, TokenError<Member>>) {
        if let Err(TokenError::WouldDeadlock { cause, .. }) = result {
            self.check_cause(own, cause);
        }
    }

    /// Outside of bodies no wait is refused, and for an own lane only one that is on this stack.
    fn check_cause(&self, own: bool, cause: DeadlockCause) {
        self.world.refused.fetch_add(1, SeqCst);
        self.world.check(here().is_some(), "a wait outside refused");
        let right = own || cause != DeadlockCause::OwnLane;
        self.world.check(right, "a wait refused for another lane");
    }

    fn gate(&self, index: usize) -> Handle {
        self.world.gates[index].clone()
    }

    fn random_gate(&mut self) -> usize {
        match here() {
            Some((own, _)) if !self.random.one_in(4) => own,
            _ => self.random.below(self.world.gates.len() as u64) as usize,
        }
    }
}

fn is_own(made: &Made) -> bool {
    made.serial_key.is_some_and(|key| is_held(made.gate, key))
}

fn sync_body(
    world: &Arc<World>,
    subject: &Subject,
    seed: u64,
    depth: u32,
) -> Result<Member, Member> {
    let inside = world.enter(subject, true);
    let mut random = Random(seed);
    if depth < DEPTH && random.one_in(3) {
        let calls = random.below(4);
        Caller::new(world, random.next(), depth + 1).rounds(calls);
    }
    carry(world, subject.gate, &mut random);
    match random.below(10) {
        0 => std::panic::resume_unwind(Box::new("as asked")),
        1 => Err(world.census.member()),
        _ => {
            drop(inside);
            Ok(world.census.member())
        }
    }
}

async fn async_body(world: Arc<World>, subject: Subject, seed: u64) -> Result<Member, Member> {
    let inside = world.enter(&subject, false);
    let mut random = Random(seed);
    for _ in 0..random.below(4) {
        match random.below(5) {
            0 => tokio::time::sleep(Duration::from_micros(random.below(200))).await,
            1 => await_a_leaf(&world, subject.gate).await,
            _ => tokio::task::yield_now().await,
        }
        carry(&world, subject.gate, &mut random);
    }
    drop(inside);
    match random.below(10) {
        0 => std::panic::resume_unwind(Box::new("as asked")),
        1 => Err(subject.argument),
        _ => Ok(world.census.member()),
    }
}

/// Awaits a token that waits for nothing, and so cannot be part of a cycle.
async fn await_a_leaf(world: &Arc<World>, gate: usize) {
    let (domain, inner) = (chain().map(|chain| chain.domain()), world.clone());
    let argument = world.census.member();
    let leaf = world.gates[gate].spawn(&PLAIN, move || {
        let now = here().map(|(_, domain)| domain);
        let stays = domain.is_none() || now == domain;
        inner.check(stays, "a leaf outside of its chain's domain");
        drop(argument);
    });
    let _ = leaf.await;
}

/// Gives the chain of the present body to the callers, now and then.
fn carry(world: &World, gate: usize, random: &mut Random) {
    if random.one_in(8)
        && let Some(chain) = chain()
    {
        let mut carried = world.carried.lock().unwrap();
        if carried.len() < 10 {
            carried.push((gate, chain));
        }
    }
}
