//! A lane with its backlog under the model checker: each token is given out once, in order.
//!
//! Run by `cargo xtask loom`. The lane is the real one, see `src/model.rs`. Its bodies run inside of
//! one cell of the model: two holders at a time, or two without an order between them, are reported
//! as a race. Notes of the test are under a mutex of std: they add no steps.

#![cfg(tokengate_loom)]

use std::sync::{Arc, Mutex as StdMutex};

use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::Lane;
use tokengate_scheduler::{
    Joined, NoHome, Operation, Plain, Ran, Runnable, RunnableList, Token, TokenId, create,
};

static OP: Operation = Operation::new("loom.operation");

/// A lane, with what its holder alone may touch, and who had a turn or none.
#[derive(Default)]
struct Line {
    lane: Lane,
    holders: UnsafeCell<()>,
    turns: StdMutex<Vec<TokenId>>,
    purged: StdMutex<Vec<TokenId>>,
}

impl Line {
    fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// The holder, and some that wait, with all tokens in the order of their calls.
    fn with_waiting(waiting: usize) -> (Arc<Self>, Runnable, Vec<Token<()>>) {
        let line = Self::shared();
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        let Ok(Joined::Holds(holder)) = line.lane.join(runnable) else {
            panic!("nobody was there");
        };
        let behind = (0..waiting).map(|_| {
            let (token, runnable) = create(&OP, Plain::new(|| ()));
            assert!(matches!(line.lane.join(runnable), Ok(Joined::Waits)));
            token
        });
        let tokens = [token].into_iter().chain(behind).collect();
        (line, holder, tokens)
    }

    /// Calls from another thread; runs the token if it holds the lane, and those behind it.
    fn call(&self) -> Token<()> {
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        match self.lane.join(runnable) {
            Ok(Joined::Holds(runnable)) => self.hold(runnable),
            Ok(Joined::Waits) => {}
            Err(refused) => self.purge(refused),
        }
        token
    }

    fn turn(&self, holder: Runnable) {
        self.holders.with_mut(|_| {
            self.turns.lock().unwrap().push(holder.id());
            assert!(matches!(holder.run(&NoHome::shared()), Ran::Completed));
        });
    }

    /// Nobody is killed while it waits: see `loom_kills.rs`.
    fn pass(&self) -> Option<Runnable> {
        self.lane
            .pass(|gone| panic!("{gone:?} has not had its turn"))
    }

    /// Runs the holder, and passes on until nobody waits.
    fn hold(&self, holder: Runnable) {
        self.turn(holder);
        while let Some(next) = self.pass() {
            assert!(next.place().published);
            self.turn(next);
        }
    }

    fn purge(&self, runnable: Runnable) {
        self.purged.lock().unwrap().push(runnable.id());
        let _ = runnable.kill("purged");
    }

    fn purge_all(&self, lists: [RunnableList; 2]) {
        for mut list in lists {
            while let Some(runnable) = list.pop_front() {
                self.purge(runnable);
            }
        }
    }

    /// Each was given out once, and those that had a turn had it in this order.
    fn assert_given_out(&self, tokens: &[Token<()>]) {
        assert!(tokens.iter().all(Token::is_finished));
        let (turns, purged) = (self.turns.lock().unwrap(), self.purged.lock().unwrap());
        assert_eq!(turns.len() + purged.len(), tokens.len());
        let turn = |token: &Token<()>| turns.iter().position(|&id| id == token.id());
        assert!(tokens.iter().filter_map(turn).is_sorted());
        for token in tokens {
            assert_ne!(turn(token).is_some(), purged.contains(&token.id()));
        }
    }

    /// Nobody holds the lane, and nothing is left in it.
    fn assert_free(&self) {
        let (_late, runnable) = create(&OP, Plain::new(|| ()));
        let Ok(Joined::Holds(late)) = self.lane.join(runnable) else {
            panic!("everybody has passed on");
        };
        self.turn(late);
        assert!(self.pass().is_none());
    }
}

fn spawn<R: 'static>(line: &Arc<Line>, run: impl FnOnce(&Line) -> R + 'static) -> JoinHandle<R> {
    let line = line.clone();
    thread::spawn(move || run(&line))
}

#[test]
fn passes_with_a_backlog_keep_the_order_of_those_who_join() {
    loom::model(|| {
        let (line, holder, mut tokens) = Line::with_waiting(2);
        let caller = spawn(&line, |line| [line.call(), line.call()]);
        line.hold(holder);
        tokens.extend(caller.join().unwrap());
        line.assert_given_out(&tokens);
        assert!(line.purged.lock().unwrap().is_empty());
        line.assert_free();
    });
}

#[test]
fn a_pass_with_a_backlog_against_a_purge_gives_each_out_once() {
    loom::model(|| {
        let (line, holder, mut tokens) = Line::with_waiting(3);
        let purger = spawn(&line, |line| line.purge_all(line.lane.take_waiting()));
        let caller = spawn(&line, Line::call);
        line.hold(holder);
        purger.join().unwrap();
        tokens.push(caller.join().unwrap());
        line.assert_given_out(&tokens);
        line.assert_free();
    });
}

#[test]
fn two_purges_against_a_pass_give_each_out_once() {
    loom::model(|| {
        let (line, holder, tokens) = Line::with_waiting(3);
        let purgers =
            [(); 2].map(|()| spawn(&line, |line| line.purge_all(line.lane.take_waiting())));
        line.hold(holder);
        for purger in purgers {
            purger.join().unwrap();
        }
        line.assert_given_out(&tokens);
        line.assert_free();
    });
}

#[test]
fn a_pass_with_a_backlog_against_a_close_gives_each_out_once() {
    loom::model(|| {
        let (line, holder, mut tokens) = Line::with_waiting(2);
        let closer = spawn(&line, |line| line.purge_all(line.lane.close()));
        let caller = spawn(&line, Line::call);
        line.hold(holder);
        closer.join().unwrap();
        tokens.push(caller.join().unwrap());
        tokens.push(line.call());
        line.assert_given_out(&tokens);
        let last = tokens.last().map(Token::id);
        assert_eq!(line.purged.lock().unwrap().last().copied(), last);
    });
}

/// Where the next holder is posted to.
#[derive(Default)]
struct Mailbox(Mutex<Option<Runnable>>, Condvar);

impl Mailbox {
    fn post(&self, runnable: Runnable) {
        *self.0.lock().unwrap() = Some(runnable);
        self.1.notify_all();
    }

    fn take(&self) -> Runnable {
        let mut posted = self.0.lock().unwrap();
        loop {
            match posted.take() {
                Some(runnable) => return runnable,
                None => posted = self.1.wait(posted).unwrap(),
            }
        }
    }
}

#[test]
fn a_lane_with_a_backlog_goes_on_in_another_thread() {
    loom::model(|| {
        let (line, holder, tokens) = Line::with_waiting(2);
        let mailbox = Arc::new(Mailbox::default());
        let worker = {
            let mailbox = mailbox.clone();
            spawn(&line, move |line| line.hold(mailbox.take()))
        };
        let purger = spawn(&line, |line| line.purge_all(line.lane.take_waiting()));
        line.turn(holder);
        match line.pass() {
            Some(next) => mailbox.post(next),
            // All were purged: the worker has another one to do.
            None => mailbox.post(match line.lane.join(create(&OP, Plain::new(|| ())).1) {
                Ok(Joined::Holds(other)) => other,
                _ => panic!("it was left free"),
            }),
        }
        worker.join().unwrap();
        purger.join().unwrap();
        assert!(tokens.iter().all(Token::is_finished));
        line.assert_free();
    });
}
