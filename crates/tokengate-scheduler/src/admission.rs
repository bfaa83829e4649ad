//! Room for root tokens that have not started: credits.
//!
//! A root call takes one before anything else; the worker that takes the token gives it back.
//! Threads draw credits in blocks and workers return them in batches, so the shared counter is
//! touched once for many tokens; a small capacity is exact, one by one. Keeps: credits are neither
//! lost nor made, and threads cannot hoard them all. It decides nothing about policies. The model
//! checker does not see it, as the listeners' list is not made for that; its tests are below.

use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use event_listener::{Event, IntoNotification, Listener, listener};

use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed};

/// The most credits that a thread draws, and that a worker holds back, at a time.
const BLOCK: usize = 64;

/// From this capacity up credits move in blocks.
const EXACT_BELOW: usize = 4_096;

/// The credits of one gate.
pub(crate) struct Admission {
    available: CachePadded<AtomicUsize>,
    capacity: usize,
    /// Notified when credits come back.
    room: Event,
}

impl Admission {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            available: CachePadded::new(AtomicUsize::new(capacity)),
            capacity,
            room: Event::new(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many credits a worker holds back before it returns them.
    pub(crate) fn batch(&self) -> usize {
        if self.capacity < EXACT_BELOW {
            1
        } else {
            BLOCK
        }
    }

    /// Draws some credits; 0 if there are none.
    ///
    /// A block shrinks with what is left, so that threads which draw and do not use cannot take
    /// everything: each takes at most a 64th of it.
    #[cold]
    pub(crate) fn draw(&self) -> usize {
        let block = |available: usize| {
            if self.capacity < EXACT_BELOW {
                available.min(1)
            } else {
                (available / BLOCK).clamp(available.min(1), BLOCK)
            }
        };
        // Relaxed to try, AcqRel to take: credits order nothing but themselves, except that a call
        // which got room from a token's start happens after that start.
        let drawn = self.available.fetch_update(AcqRel, Relaxed, |available| {
            Some(available - block(available))
        });
        drawn.map_or(0, block)
    }

    /// Gives credits back.
    pub(crate) fn give(&self, credits: usize) {
        if credits == 0 {
            return;
        }
        self.available.fetch_add(credits, AcqRel);
        // Has a full fence of its own before it looks for listeners. Additional: a waiter that was
        // notified and has not woken yet has the credit before this one.
        self.room.notify(credits.additional());
    }

    /// Draws, waiting for room until the deadline; 0 when it has passed.
    pub(crate) fn draw_waiting(
        &self,
        deadline: Option<Instant>,
        give_up: impl Fn() -> bool,
    ) -> usize {
        loop {
            listener!(self.room => listener);
            let drawn = self.draw();
            if drawn > 0 || give_up() {
                return drawn;
            }
            match deadline {
                None => listener.wait(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return 0;
                    }
                    let _ = listener.wait_timeout(left);
                }
            }
        }
    }

    /// As [`draw_waiting`](Self::draw_waiting), for async code, without a deadline.
    ///
    /// Cancel safe: a credit is drawn only by the poll that returns it.
    pub(crate) async fn draw_async(&self, give_up: impl Fn() -> bool) -> usize {
        loop {
            listener!(self.room => listener);
            let drawn = self.draw();
            if drawn > 0 || give_up() {
                return drawn;
            }
            listener.await;
        }
    }

    /// Wakes everybody who waits for room, to look at `give_up` again.
    pub(crate) fn wake_all(&self) {
        self.room.notify(usize::MAX);
    }

    /// What is left in the counter.
    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.available.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    /// Whether it was woken.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    fn poll(future: Pin<&mut impl Future<Output = usize>>) -> (Poll<usize>, Arc<Woken>) {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        (future.poll(&mut Context::from_waker(&waker)), woken)
    }

    /// A full admission of this capacity.
    fn full(capacity: usize) -> Admission {
        let admission = Admission::new(capacity);
        while admission.draw() > 0 {}
        admission
    }

    #[test]
    fn a_small_capacity_is_exact() {
        let admission = Admission::new(3);
        assert_eq!([(); 4].map(|()| admission.draw()), [1, 1, 1, 0]);
        admission.give(1);
        assert_eq!(admission.draw(), 1);
    }

    #[test]
    fn threads_that_draw_and_do_not_use_leave_room_for_others() {
        let admission = Admission::new(EXACT_BELOW);
        // Each stands for a thread that drew a block, used one credit, and got it back.
        for _ in 0..10_000 {
            assert!(admission.draw() > 0, "room was hoarded");
            admission.give(1);
        }
        assert!(admission.available() > 0);
    }

    #[test]
    fn credits_are_neither_lost_nor_made() {
        for capacity in [1, 63, EXACT_BELOW - 1, EXACT_BELOW, 65_536] {
            let admission = Admission::new(capacity);
            let mut drawn = Vec::new();
            while let credits @ 1.. = admission.draw() {
                drawn.push(credits);
            }
            assert_eq!(drawn.iter().sum::<usize>(), capacity);
            assert!(drawn.iter().all(|&credits| credits <= BLOCK));
            drawn
                .into_iter()
                .for_each(|credits| admission.give(credits));
            assert_eq!(admission.available(), capacity);
        }
    }

    #[test]
    fn each_credit_wakes_a_waiter_though_the_one_before_has_not_woken_yet() {
        let admission = full(2);
        let [mut first, mut second] = [(); 2].map(|()| Box::pin(admission.draw_async(|| false)));
        let (pending, first_woken) = poll(first.as_mut());
        assert!(pending.is_pending());
        let (pending, second_woken) = poll(second.as_mut());
        assert!(pending.is_pending());
        admission.give(1);
        admission.give(1);
        assert!(first_woken.0.load(Relaxed) && second_woken.0.load(Relaxed));
        assert_eq!(poll(first.as_mut()).0, Poll::Ready(1));
        assert_eq!(poll(second.as_mut()).0, Poll::Ready(1));
    }

    #[test]
    fn a_waiter_that_gives_up_passes_its_wake_up_on() {
        let admission = full(2);
        let [mut first, mut second] = [(); 2].map(|()| Box::pin(admission.draw_async(|| false)));
        assert!(poll(first.as_mut()).0.is_pending());
        let (pending, second_woken) = poll(second.as_mut());
        assert!(pending.is_pending());
        admission.give(1);
        // Woken and dropped before it drew.
        drop(first);
        assert!(second_woken.0.load(Relaxed));
        assert_eq!(poll(second.as_mut()).0, Poll::Ready(1));
    }

    #[test]
    fn a_wait_ends_without_a_credit_when_its_gate_closes() {
        let admission = full(1);
        let closed = AtomicBool::new(false);
        let mut waiting = pin!(admission.draw_async(|| closed.load(Relaxed)));
        let (pending, woken) = poll(waiting.as_mut());
        assert!(pending.is_pending());
        closed.store(true, Relaxed);
        admission.wake_all();
        assert!(woken.0.load(Relaxed));
        assert_eq!(poll(waiting).0, Poll::Ready(0));
    }

    #[test]
    fn a_wait_until_the_past_takes_what_is_there() {
        let admission = full(1);
        let past = Some(Instant::now());
        assert_eq!(admission.draw_waiting(past, || false), 0);
        admission.give(1);
        assert_eq!(admission.draw_waiting(past, || false), 1);
    }

    #[test]
    fn every_waiting_thread_gets_a_credit() {
        let admission = full(8);
        std::thread::scope(|scope| {
            let waiting = [(); 8].map(|()| scope.spawn(|| admission.draw_waiting(None, || false)));
            for _ in 0..8 {
                admission.give(1);
            }
            let drawn = waiting.map(|thread| thread.join().expect("no panic"));
            assert_eq!(drawn, [1; 8]);
        });
    }
}
