//! One thread of a storm: makes calls of all kinds, and does all kinds of things to their tokens.
//!
//! What it does follows from its seed. It counts every token that it makes, and each one's outcome.

use std::sync::Arc;
use std::time::Duration;

use tokengate::{Handle, Token, cancelled, get_all, join_all};

use crate::common::random::Random;
use crate::common::{Census, Member};
use crate::outcomes::{Given, Outcomes};

/// Calls of each thread; their children come on top.
pub(crate) const CALLS: u64 = 25_000;

type Call = Token<Given, Member>;

/// The thread.
pub(crate) struct Caller {
    random: Random,
    gate: Handle,
    census: Census,
    outcomes: Arc<Outcomes>,
    /// Tokens that are not waited for yet, with what they should give.
    open: Vec<(u64, Call)>,
}

impl Caller {
    pub(crate) fn new(seed: u64, gate: Handle, census: Census, outcomes: Arc<Outcomes>) -> Self {
        Self {
            random: Random(seed),
            gate,
            census,
            outcomes,
            open: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) {
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
        self.outcomes.add_made();
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
                outcomes.add_made();
                token
            };
            drop(child(0));
            outcomes.add_let_go();
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
        self.outcomes.add_let_go();
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
            self.outcomes.add_let_go();
        }
    }
}
