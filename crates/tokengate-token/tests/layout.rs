//! Bodies and results of any size and alignment.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use common::{Drops, Gate, OP, Queue};
use tokengate_token::{Async, Body, Fallible, NoHome, Plain, Token, TokenError, create};

macro_rules! aligned {
    ($($name:ident: $align:literal),*) => {$(
        #[derive(Debug, PartialEq)]
        #[repr(align($align))]
        struct $name(u8);

        impl $name {
            const VALUE: u8 = ($align as usize % 251) as u8;

            fn check(&self) {
                assert_eq!(std::ptr::from_ref(self).addr() % $align, 0);
                assert_eq!(self.0, Self::VALUE);
            }
        }
    )*};
}

aligned!(Two: 2, Sixteen: 16, ThirtyTwo: 32, Wide: 128, Page: 4096);

fn done<B: Body>(body: B) -> Token<B::Output, B::Error> {
    let (token, runnable) = create(&OP, body);
    let _ = runnable.run(&NoHome::shared());
    token
}

fn failing<E: Send + 'static>(error: E) -> impl Body<Output = (), Error = E> {
    Fallible::new(move || Err(error))
}

macro_rules! round_trip {
    ($name:ident) => {{
        let given = $name($name::VALUE);
        let body = done(Plain::new(move || given.check()));
        body.get().unwrap();
        done(Plain::new(|| $name($name::VALUE)))
            .get()
            .unwrap()
            .check();
        let given = $name($name::VALUE);
        done(Plain::new(move || given)).get().unwrap().check();
        let failed = done(failing($name($name::VALUE))).get();
        let Err(TokenError::Failed(error)) = failed else {
            panic!("it failed");
        };
        error.check();
        let given = $name($name::VALUE);
        let future = done(Async::new(async move {
            given.check();
            given
        }));
        future.get().unwrap().check();
        let panicked = done(Plain::new(|| -> $name { panic!("expected") })).get();
        assert!(matches!(panicked, Err(TokenError::Panicked(_))));
        let given = $name($name::VALUE);
        let (token, runnable) = create(&OP, Plain::new(move || given));
        assert!(token.kill("no"));
        drop(runnable);
    }};
}

#[test]
fn alignments_hold_for_bodies_results_errors_and_futures() {
    round_trip!(Two);
    round_trip!(Sixteen);
    round_trip!(ThirtyTwo);
    round_trip!(Wide);
    round_trip!(Page);
}

#[test]
fn nothing_at_all_is_a_body_and_a_result() {
    done(Plain::new(|| ())).get().unwrap();
    done(Fallible::new(|| Ok::<(), ()>(())))
        .get()
        .unwrap_or_else(|_| panic!("it is fine"));
    done(Async::new(async {})).get().unwrap();
    let never = done(Plain::new(|| -> std::convert::Infallible {
        panic!("expected")
    }));
    assert!(never.get().is_err());
}

#[test]
fn sizes_hold_for_bodies_and_results() {
    fn sized<const SIZE: usize>() {
        let given = [7_u8; SIZE];
        let token = done(Plain::new(move || given));
        assert_eq!(token.get().unwrap(), given);
        let token = done(Plain::new(move || given.len()));
        assert_eq!(token.get().unwrap(), SIZE);
        let token = done(Plain::new(|| [3_u8; SIZE]));
        assert_eq!(token.get().unwrap(), [3; SIZE]);
    }
    sized::<1>();
    sized::<47>();
    sized::<48>();
    sized::<49>();
    sized::<112>();
    sized::<431>();
    sized::<432>();
    sized::<433>();
    sized::<5_000>();
}

/// Must not move once it was polled.
struct Fixed {
    wait: common::Waiting,
    place: Option<usize>,
    _pad: Wide,
    _pinned: std::marker::PhantomPinned,
}

impl Future for Fixed {
    type Output = usize;

    #[expect(unsafe_code, reason = "a future that is not `Unpin`, by hand")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        // SAFETY: nothing is moved out.
        let this = unsafe { self.get_unchecked_mut() };
        let place = std::ptr::from_ref(this).addr();
        assert_eq!(place % 128, 0);
        assert_eq!(*this.place.get_or_insert(place), place);
        Pin::new(&mut this.wait).poll(context).map(|()| place)
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let place = std::ptr::from_ref(self).addr();
        assert!(self.place.is_none_or(|before| before == place), "it moved");
        if self.place.is_none() {
            DROPPED_UNPOLLED.with(|count| count.set(count.get() + 1));
        }
    }
}

thread_local! {
    static DROPPED_UNPOLLED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[test]
fn a_future_stays_where_it_was_polled_until_it_is_dropped() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let fixed = || Fixed {
        wait: gate.wait(),
        place: None,
        _pad: Wide(0),
        _pinned: std::marker::PhantomPinned,
    };
    let killed = queue.spawn(Async::new(fixed()));
    let token = queue.spawn(Async::new(fixed()));
    let unpolled = queue.spawn(Async::new(fixed()));
    assert!(unpolled.kill("no"));
    assert_eq!(DROPPED_UNPOLLED.get(), 1);
    queue.run_all();
    assert!(killed.kill("no"));
    gate.open();
    gate.waker().wake();
    queue.run_all();
    assert!(token.get().unwrap() > 0);
    assert_eq!(queue.seats_taken(), queue.left().len());
}

#[test]
fn everything_is_dropped_once_whatever_its_alignment() {
    #[repr(align(64))]
    struct Big(#[allow(dead_code, reason = "held for its drop")] common::Counted);
    let drops = Drops::new();
    let (argument, result) = (Big(drops.counted()), Big(drops.counted()));
    let token = done(Plain::new(move || {
        drop(argument);
        result
    }));
    assert_eq!(drops.count(), 1);
    drop(token);
    assert_eq!(drops.count(), 2);
    let (argument, result) = (Big(drops.counted()), Big(drops.counted()));
    let (token, runnable) = create(
        &OP,
        Async::new(async move {
            drop(argument);
            result
        }),
    );
    drop(runnable);
    drop(token);
    assert_eq!(drops.count(), 4);
}
