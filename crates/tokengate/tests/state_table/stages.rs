//! How a token is brought into each state, and let go on from there.

use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokengate::{
    Attempt, Call, Gate, Key, Operation, Retried, Retry, Token, TokenState, cancelled,
};

use crate::common::{HANG, Held, Latch, wait_until};

/// It holds a lane, leads a chain, takes a credit, and needs a permit. Should it fail, it waits for an
/// hour.
pub(crate) static SUBJECT: Operation = Operation::new("table.subject")
    .serial()
    .with_limit_group("table", 1)
    .with_external_calls(&[])
    .with_retry(
        Retry::new(2)
            .with_backoff(Duration::from_secs(3_600))
            .on_panic(),
    );
/// The same, but it runs again at once.
static SUBJECT_AT_ONCE: Operation = Operation::new("table.subject")
    .serial()
    .with_limit_group("table", 1)
    .with_external_calls(&[])
    .with_retry(Retry::new(2).with_backoff(Duration::ZERO).on_panic());
/// It needs the same permit.
static RIVAL: Operation = Operation::new("table.rival").with_limit_group("table", 1);
static OTHER: Operation = Operation::new("table.other");

/// The states, as the rows of the table call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In an open batch of another thread.
    Created,
    /// In its lane, behind another one.
    Behind,
    /// In a mailbox, its worker is busy.
    Queued,
    /// Taken by a worker, and set aside as it is paused.
    Paused,
    /// Taken by a worker, and set aside as another one has the permit.
    Limited,
    /// A sync body that runs until it is let go or cancelled.
    Executing,
    /// An async body inside of a poll.
    Polled,
    /// An async body that waits for a waker.
    Suspended,
    /// An async body that was woken, its worker is busy.
    Woken,
    /// A sync body that goes on though its token was killed.
    Zombie,
    /// Its first attempt has failed, and the second is due in an hour.
    BackingOff,
    /// Its first attempt has failed, and the second is set aside as it is paused.
    PausedAgain,
    /// It has returned.
    Done,
}

impl Stage {
    /// Whether it starts when it is let go on, for the first time or again.
    pub(crate) fn starts(self) -> bool {
        matches!(
            self,
            Self::Created
                | Self::Behind
                | Self::Queued
                | Self::Paused
                | Self::Limited
                | Self::PausedAgain
        )
    }

    pub(crate) fn operation(self) -> &'static Operation {
        match self {
            Self::PausedAgain => &SUBJECT_AT_ONCE,
            _ => &SUBJECT,
        }
    }
}

/// What lets the token go on.
type GoOn = Box<dyn FnOnce(Option<&Gate>) + Send>;

/// A token in its state.
pub(crate) struct Staged {
    pub(crate) token: Token<u32>,
    /// The token behind it in its lane.
    pub(crate) follower: Token<u32>,
    go_on: GoOn,
}

impl Staged {
    /// Brings a token into the state; `None` if it has run out of time on the way.
    pub(crate) fn new(gate: &Gate, stage: Stage, call: Call) -> Option<Self> {
        let call = call.with_key(key());
        let (token, go_on) = match stage {
            Stage::Created => created(gate, call),
            Stage::Behind => behind(gate, call),
            Stage::Queued => queued(gate, call),
            Stage::Paused => paused(gate, call),
            Stage::Limited => limited(gate, call),
            Stage::Executing => executing(gate, call),
            Stage::Polled => polled(gate, call),
            Stage::Suspended => suspended(gate, call),
            Stage::Woken => woken(gate, call),
            Stage::Zombie => zombie(gate, call),
            Stage::BackingOff => backing_off(gate, call),
            Stage::PausedAgain => paused_again(gate, call),
            Stage::Done => done(gate, call),
        };
        let staged = Self {
            token,
            follower: gate.spawn(Call::new(&SUBJECT).with_key(key()), || 2),
            go_on,
        };
        if staged.is_in(stage) {
            return Some(staged);
        }
        staged.go_on(Some(gate));
        None
    }

    /// Whether the token is in that state still.
    pub(crate) fn is_in(&self, stage: Stage) -> bool {
        let expected = match stage {
            Stage::Created => TokenState::Created,
            Stage::Behind
            | Stage::Paused
            | Stage::Limited
            | Stage::BackingOff
            | Stage::PausedAgain => TokenState::Waiting,
            Stage::Queued => TokenState::Admitted,
            Stage::Executing | Stage::Polled | Stage::Suspended | Stage::Woken => {
                TokenState::Executing
            }
            Stage::Zombie => TokenState::Killed,
            Stage::Done => TokenState::Completed,
        };
        let attempt = match stage {
            Stage::BackingOff | Stage::PausedAgain => 2,
            _ => 1,
        };
        let status = self.token.status();
        (status.state, status.attempt) == (expected, attempt)
    }

    /// Takes away what holds the token up, in this gate if there is one; gives it and its follower.
    pub(crate) fn go_on(self, gate: Option<&Gate>) -> (Token<u32>, Token<u32>) {
        (self.go_on)(gate);
        (self.token, self.follower)
    }
}

fn key() -> Key {
    Key::of("table", &1)
}

/// Waits for the state, or until the token has ended.
fn wait_for(token: &Token<u32>, state: TokenState) {
    wait_until("the state is reached", || {
        token.state() == state || token.is_finished()
    });
}

/// Waits for the body to begin, or until the token has ended. Before it, a purge may still end a token
/// whose start is claimed.
fn wait_for_body(token: &Token<u32>, begun: &Latch) {
    wait_until("its body begins", || begun.is_open() || token.is_finished());
}

fn created(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let handle = gate.handle();
    let (close, (sender, made)) = (Latch::new(), channel());
    let thread: JoinHandle<()> = {
        let close = close.clone();
        thread::spawn(move || {
            handle.batch(|| {
                let token = handle.spawn(call, || 1);
                sender.send(token).expect("somebody takes it");
                close.wait();
            });
        })
    };
    let token = made.recv_timeout(HANG).expect("it is made");
    let go_on = move |_: Option<&Gate>| {
        close.open();
        thread.join().expect("the batch is closed");
    };
    (token, Box::new(go_on))
}

fn behind(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let held = Held::new(&gate.handle(), Call::new(&SUBJECT).with_key(key()));
    let token = gate.spawn(call, || 1);
    (token, Box::new(move |_| drop(held)))
}

fn queued(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let held = Held::new(&gate.handle(), &OTHER);
    let token = gate.spawn(call, || 1);
    (token, Box::new(move |_| drop(held)))
}

fn paused(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    gate.pause_operation(SUBJECT.label());
    let token = gate.spawn(call, || 1);
    wait_for(&token, TokenState::Waiting);
    let go_on = |gate: Option<&Gate>| {
        if let Some(gate) = gate {
            gate.resume_operation(SUBJECT.label());
        }
    };
    (token, Box::new(go_on))
}

fn limited(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (rival, go_on) = waiting_body(gate, Call::new(&RIVAL));
    rival.detach();
    let token = gate.spawn(call, || 1);
    wait_for(&token, TokenState::Waiting);
    (token, Box::new(move |_| wake(&go_on)))
}

fn executing(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (begun, release, body) = held_body();
    let token = gate.spawn(call, body);
    wait_for_body(&token, &begun);
    (token, Box::new(move |_| release.open()))
}

fn polled(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (begun, release, body) = held_body();
    let token = gate.spawn_async(call, async move { body() });
    wait_for_body(&token, &begun);
    (token, Box::new(move |_| release.open()))
}

/// A body that says when it has begun, and goes on until it is let go or cancelled.
fn held_body() -> (Latch, Latch, impl FnOnce() -> u32 + Send) {
    let (begun, release) = (Latch::new(), Latch::new());
    let (entered, until) = (begun.clone(), release.clone());
    let body = move || {
        entered.open();
        wait_until("it is let go", || until.is_open() || cancelled());
        1
    };
    (begun, release, body)
}

fn suspended(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (token, go_on) = waiting_body(gate, call);
    (token, Box::new(move |_| wake(&go_on)))
}

fn woken(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (token, go_on) = waiting_body(gate, call);
    let held = Held::new(&gate.handle(), &OTHER);
    wake(&go_on);
    (token, Box::new(move |_| drop(held)))
}

/// An async body that has been polled once.
fn waiting_body(gate: &Gate, call: Call) -> (Token<u32>, smol::channel::Sender<()>) {
    let (go_on, told) = smol::channel::bounded(1);
    let token = gate.spawn_async(call, async move {
        // Woken in whatever way: it is told to go on, or nobody can tell it any more.
        let _ = told.recv().await;
        1
    });
    wait_for(&token, TokenState::Executing);
    // On the same worker: the poll is over when this has run.
    gate.spawn(&OTHER, || ()).get().expect("a value");
    (token, go_on)
}

fn wake(go_on: &smol::channel::Sender<()>) {
    // Nobody listens if the body is gone.
    let _ = go_on.try_send(());
}

fn zombie(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let (started, release) = (Latch::new(), Latch::new());
    let (entered, until) = (started.clone(), release.clone());
    let token = gate.spawn(call, move || {
        entered.open();
        until.wait();
        1
    });
    wait_for_body(&token, &started);
    token.kill("before");
    (token, Box::new(move |_| release.open()))
}

/// A body whose first attempt fails.
fn fails_once(attempt: Attempt) -> u32 {
    if attempt.number() == 1 {
        std::panic::resume_unwind(Box::new("as asked"));
    }
    1
}

fn backing_off(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let token = gate.handle().submit(call, Retried::plain(fails_once));
    wait_until("it has failed", || {
        token.status().attempt == 2 || token.is_finished()
    });
    let killer = token.killer();
    let go_on = move |_: Option<&Gate>| {
        killer.kill("its next attempt is too far away");
    };
    (token, Box::new(go_on))
}

fn paused_again(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let handle = gate.handle();
    let body = move |attempt: Attempt| {
        if attempt.number() == 1 {
            handle.pause_operation(SUBJECT.label());
        }
        fails_once(attempt)
    };
    let token = gate.handle().submit(call, Retried::plain(body));
    wait_until("it has failed, and is set aside", || {
        let status = token.status();
        status.state == TokenState::Waiting && status.attempt == 2 || token.is_finished()
    });
    // On the same worker: it has been taken and set aside when this has run.
    gate.spawn(&OTHER, || ()).get().expect("a value");
    let go_on = |gate: Option<&Gate>| {
        if let Some(gate) = gate {
            gate.resume_operation(SUBJECT.label());
        }
    };
    (token, Box::new(go_on))
}

fn done(gate: &Gate, call: Call) -> (Token<u32>, GoOn) {
    let token = gate.spawn(call, || 1);
    wait_until("it is done", || token.is_finished());
    (token, Box::new(|_| ()))
}
