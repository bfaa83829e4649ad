//! A bounded storm: bodies of all kinds from four threads, killed, dropped, awaited, shut down.
//!
//! What every thread does follows from the seed alone, what comes of it does not: the test checks
//! that each token has one outcome, that a value is the right one, and that nothing of a body is
//! left. `TOKENGATE_STORM_SEED` repeats one; the seed is in every message.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use common::{Census, HANG, Latch, Member, elsewhere, lone_workers};
use tokengate::{
    Domains, Full, Gate, Handle, Timing, Token, TokenError, cancelled, get_all, join_all,
};

/// Calls of each thread; their children come on top.
const CALLS: u64 = 25_000;
const THREADS: u64 = 4;

/// SplitMix64: small, and good enough to choose.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// What became of the tokens. Those that were let go are counted by their bodies only.
#[derive(Default)]
struct Outcomes {
    made: AtomicU64,
    values: AtomicU64,
    errors: AtomicU64,
    panics: AtomicU64,
    killed: AtomicU64,
    rejected: AtomicU64,
    let_go: AtomicU64,
}

impl Outcomes {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, SeqCst);
    }

    fn read(&self, expected: u64, result: Result<Given, TokenError<Member>>) {
        Self::add(match result {
            Ok(given) => {
                assert_eq!(given.value, expected, "another token's result");
                &self.values
            }
            Err(TokenError::Failed(_)) => &self.errors,
            Err(TokenError::Panicked(_)) => &self.panics,
            Err(TokenError::Killed { .. }) => &self.killed,
            Err(TokenError::Rejected(_)) => &self.rejected,
            Err(other) => panic!("an outcome that nothing here asks for: {other:?}"),
        });
    }

    fn all(&self) -> [u64; 7] {
        let counters = [
            &self.values,
            &self.errors,
            &self.panics,
            &self.killed,
            &self.rejected,
            &self.let_go,
            &self.made,
        ];
        counters.map(|counter| counter.load(SeqCst))
    }
}

/// What a body gives: its number, and something that is counted.
struct Given {
    value: u64,
    _result: Member,
}

type Call = Token<Given, Member>;

/// One thread of the storm.
struct Caller {
    random: Random,
    gate: Handle,
    census: Census,
    outcomes: Arc<Outcomes>,
    /// Tokens that are not waited for yet, with what they should give.
    open: Vec<(u64, Call)>,
}

impl Caller {
    fn new(seed: u64, gate: Handle, census: Census, outcomes: Arc<Outcomes>) -> Self {
        Self {
            random: Random(seed),
            gate,
            census,
            outcomes,
            open: Vec::new(),
        }
    }

    fn run(mut self) {
        let mut left = CALLS;
        while left > 0 {
            if self.random.one_in(20) {
                let calls = self.random.below(100).min(left);
                let gate = self.gate.clone();
                gate.batch(|| (0..calls).for_each(|_| self.one_round()));
                left -= calls;
            } else {
                self.one_round();
                left -= 1;
            }
        }
        self.settle_all();
    }

    /// A call, and whatever is done to it or an older one.
    fn one_round(&mut self) {
        let value = self.random.next();
        let token = self.call(value);
        Outcomes::add(&self.outcomes.made);
        self.open.push((value, token));
        match self.random.below(24) {
            0..=2 => self.let_go(),
            3..=5 => self.kill(),
            6 => self.kill_elsewhere(),
            7 | 8 => self.wait_for_one(),
            9 => self.wait_for_a_while(),
            10 => self.poll_once(),
            _ => {}
        }
        if self.open.len() > 2_000 {
            self.settle_all();
        }
    }

    fn call(&mut self, value: u64) -> Call {
        let argument = self.census.member();
        let census = self.census.clone();
        let give = move || Given {
            value,
            _result: census.member(),
        };
        match self.random.below(12) {
            0 => self.gate.try_spawn("fails", move || Err(argument)),
            1 => self.gate.try_spawn("panics", move || {
                let _argument = argument;
                std::panic::resume_unwind(Box::new("as asked"))
            }),
            2 => self.gate.try_spawn("asks", move || {
                let _argument = argument;
                // A killed body returns early, and what it gives is dropped.
                for _ in 0..200 {
                    if cancelled() {
                        break;
                    }
                    std::hint::spin_loop();
                }
                Ok(give())
            }),
            3 => self.with_children(value, argument),
            4 => self.gate.try_spawn_async("sleeps", async move {
                let _argument = argument;
                tokio::time::sleep(Duration::from_micros(value % 300)).await;
                Ok(give())
            }),
            5 => self.gate.try_spawn_async("yields", async move {
                let _argument = argument;
                for _ in 0..value % 4 {
                    tokio::task::yield_now().await;
                }
                Ok(give())
            }),
            6 => self.gate.try_spawn_async("panics later", async move {
                tokio::task::yield_now().await;
                drop(argument);
                std::panic::resume_unwind(Box::new("as asked"))
            }),
            7 if value.is_multiple_of(8) => self.gate.try_spawn_async("never", async move {
                std::future::pending::<()>().await;
                Err(argument)
            }),
            _ => self.gate.try_spawn("gives", move || {
                drop(argument);
                Ok(give())
            }),
        }
    }

    /// A body that calls: one child is awaited, one let go.
    fn with_children(&mut self, value: u64, argument: Member) -> Call {
        let (gate, census, outcomes) = (
            self.gate.clone(),
            self.census.clone(),
            self.outcomes.clone(),
        );
        self.gate.try_spawn_async("parent", async move {
            let child = |value| {
                let (argument, census) = (census.member(), census.clone());
                let token: Call = gate.try_spawn("child", move || {
                    drop(argument);
                    Ok(Given {
                        value,
                        _result: census.member(),
                    })
                });
                Outcomes::add(&outcomes.made);
                token
            };
            drop(child(0));
            Outcomes::add(&outcomes.let_go);
            // Its handle counts once, though this body may be killed while it waits.
            let mut waiting = Counted {
                token: Some(child(value)),
                outcomes: &outcomes,
            };
            let result = waiting.token.as_mut().expect("just put in").await;
            waiting.token = None;
            outcomes.read(value, result);
            drop(argument);
            Ok(Given {
                value,
                _result: census.member(),
            })
        })
    }

    /// Takes one of the open tokens.
    fn take(&mut self) -> (u64, Call) {
        let at = self.random.below(self.open.len() as u64);
        self.open.swap_remove(at as usize)
    }

    fn let_go(&mut self) {
        let (_, token) = self.take();
        end_never(&token);
        drop(token);
        Outcomes::add(&self.outcomes.let_go);
    }

    fn kill(&mut self) {
        let (value, token) = self.take();
        token.kill("the storm");
        self.outcomes.read(value, token.get());
    }

    fn kill_elsewhere(&mut self) {
        let (value, token) = self.take();
        let killer = token.killer();
        let body = move || {
            killer.kill("the storm, by a body");
        };
        self.gate.spawn("kills", body).detach();
        self.open.push((value, token));
    }

    fn wait_for_one(&mut self) {
        let (value, token) = self.take();
        end_never(&token);
        self.outcomes.read(value, token.get());
    }

    fn wait_for_a_while(&mut self) {
        let (value, mut token) = self.take();
        match token.get_timeout(Duration::from_micros(value % 50)) {
            Some(result) => self.outcomes.read(value, result),
            None => self.open.push((value, token)),
        }
    }

    fn poll_once(&mut self) {
        let (value, mut token) = self.take();
        let polled = smol::block_on(smol::future::poll_once(&mut token));
        match polled {
            Some(result) => self.outcomes.read(value, result),
            None => self.open.push((value, token)),
        }
    }

    fn settle_all(&mut self) {
        let open = std::mem::take(&mut self.open);
        let (values, tokens): (Vec<u64>, Vec<Call>) = open.into_iter().unzip();
        tokens.iter().for_each(end_never);
        let results = if self.random.one_in(2) {
            get_all(tokens)
        } else {
            smol::block_on(join_all(tokens))
        };
        for (value, result) in values.into_iter().zip(results) {
            self.outcomes.read(value, result);
        }
    }
}

/// Kills a token that nothing else would end.
fn end_never(token: &Call) {
    if token.operation().label() == "never" {
        token.kill("it would never end");
    }
}

/// A child's token while its parent waits for it.
struct Counted<'a> {
    token: Option<Call>,
    outcomes: &'a Outcomes,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.token.is_some() {
            Outcomes::add(&self.outcomes.let_go);
        }
    }
}

/// How the gate of a storm is made.
fn gate(seed: u64) -> Gate {
    let builder = Gate::builder().on_unobserved_failure(|_| {});
    let builder = match seed % 4 {
        0 => builder.domains(lone_workers(1)),
        1 => builder.domains(Domains::Count(1)),
        2 => builder.domains(lone_workers(5)).timing(Timing::Every),
        _ => builder,
    };
    match seed % 3 {
        0 => builder.capacity(300).on_full(Full::Reject),
        1 => builder.capacity(500),
        _ => builder,
    }
    .start()
    .unwrap()
}

/// Runs a storm; the gate ends in the middle of it, or after it.
fn storm(seed: u64, in_the_middle: bool) {
    let gate = gate(seed);
    let (census, outcomes) = (Census::new(), Arc::<Outcomes>::default());
    let begin = Latch::new();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(thread);
            let caller = Caller::new(seed, gate.handle(), census.clone(), outcomes.clone());
            let begin = begin.clone();
            std::thread::spawn(move || {
                begin.wait();
                caller.run();
            })
        })
        .collect();
    begin.open();
    if in_the_middle {
        let half = THREADS * CALLS / 2;
        common::wait_until("half of the calls are made", || {
            outcomes.made.load(SeqCst) >= half
        });
        end(gate, seed, Duration::ZERO);
        join(threads, &outcomes, seed);
    } else {
        join(threads, &outcomes, seed);
        end(gate, seed, HANG);
    }
    let [values, errors, panics, killed, rejected, let_go, made] = outcomes.all();
    println!(
        "seed {seed}: {made} made: {values} values, {errors} errors, {panics} panics, {killed} \
         killed, {rejected} rejected, {let_go} let go"
    );
    let sum = values + errors + panics + killed + rejected + let_go;
    assert_eq!(
        sum, made,
        "seed {seed}: an outcome is missing, or came twice"
    );
    assert!(made >= THREADS * CALLS && values > 0 && killed > 0);
    assert!(
        rejected > 0 || !in_the_middle,
        "seed {seed}: the end came too late"
    );
    assert_eq!(
        census.alive(),
        0,
        "seed {seed}: something of a body is left"
    );
}

fn end(gate: Gate, seed: u64, limit: Duration) {
    elsewhere(move || {
        if seed.is_multiple_of(2) {
            gate.shutdown(limit);
        } else {
            drop(gate);
        }
    });
}

/// Waits for the threads, as long as they make calls.
fn join(threads: Vec<std::thread::JoinHandle<()>>, outcomes: &Outcomes, seed: u64) {
    let (mut made, mut since) = (0, Instant::now());
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        let now = outcomes.made.load(SeqCst);
        if now != made {
            (made, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < HANG, "seed {seed}: a thread hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    for thread in threads {
        if let Err(panic) = thread.join() {
            eprintln!("a thread of seed {seed} panicked");
            std::panic::resume_unwind(panic);
        }
    }
}

/// The seeds to run: a few that are fixed, or the one that is asked for.
fn seeds(from: u64) -> Vec<u64> {
    match std::env::var("TOKENGATE_STORM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (from..from + 2).collect(),
    }
}

#[test]
fn every_token_of_a_storm_has_one_outcome() {
    seeds(0).into_iter().for_each(|seed| storm(seed, false));
}

#[test]
fn a_storm_that_the_gate_does_not_outlive_loses_nothing() {
    seeds(2).into_iter().for_each(|seed| storm(seed, true));
}
