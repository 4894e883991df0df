//! Requests that wait for a connection. In order of arrival as a rule; when they wait long, the newest first.
//!
//! A queue that is in order serves everybody equally late: under overload each answer comes when its client has just given up. From
//! the moment in which the oldest has waited a tenth of the longest wait the newest is served first, so that some are answered in time;
//! the oldest take what is left, or go when their time is over, and with them the overload is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The part of the longest wait that the oldest may have waited before the order turns.
const PATIENCE: u32 = 10;

/// Requests that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue(RefCell<VecDeque<Rc<Waiter>>>);

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    since: Instant,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Begins to wait.
    pub(super) fn join(&self, now: Instant) -> Rc<Waiter> {
        let waiter = Rc::new(Waiter { since: now, granted: Cell::new(false), waker: RefCell::default() });
        self.0.borrow_mut().push_back(Rc::clone(&waiter));
        waiter
    }

    /// Waits no longer.
    pub(super) fn leave(&self, waiter: &Rc<Waiter>) {
        self.0.borrow_mut().retain(|known| !Rc::ptr_eq(known, waiter));
    }

    /// Lets one in, where each waits at most so long; whether there was one.
    pub(super) fn grant(&self, longest: Duration, now: Instant) -> bool {
        let Some(waiter) = self.next(longest, now) else { return false };
        waiter.granted.set(true);
        if let Some(waker) = waiter.waker.borrow_mut().take() {
            waker.wake();
        }
        true
    }

    fn next(&self, longest: Duration, now: Instant) -> Option<Rc<Waiter>> {
        let mut queue = self.0.borrow_mut();
        let is_overloaded = now.saturating_duration_since(queue.front()?.since) > longest / PATIENCE;
        if is_overloaded { queue.pop_back() } else { queue.pop_front() }
    }
}

impl Waiter {
    /// Whether it was let in.
    pub(super) fn is_granted(&self) -> bool {
        self.granted.get()
    }

    /// Has the task woken when it is.
    pub(super) fn wake(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LONGEST: Duration = Duration::from_secs(2);

    /// A queue, and how long after its beginning the request was there that is let in at this time.
    struct Rig(Queue, Instant);

    impl Rig {
        fn new() -> Self {
            Self(Queue::default(), Instant::now())
        }

        fn join(&self, millis: u64) -> Rc<Waiter> {
            self.0.join(self.1 + Duration::from_millis(millis))
        }

        fn next(&self, millis: u64) -> Option<u64> {
            let next = self.0.next(LONGEST, self.1 + Duration::from_millis(millis))?;
            Some((next.since - self.1).as_millis() as u64)
        }
    }

    #[test]
    fn who_comes_first_is_served_first_while_nobody_waits_long() {
        let rig = Rig::new();
        for millis in [0, 50, 100] {
            rig.join(millis);
        }
        assert_eq!([rig.next(200), rig.next(200), rig.next(200)], [Some(0), Some(50), Some(100)]);
        assert_eq!(rig.next(200), None);
    }

    #[test]
    fn who_comes_last_is_served_first_once_somebody_has_waited_long() {
        let rig = Rig::new();
        for millis in [0, 50, 100] {
            rig.join(millis);
        }
        assert_eq!(rig.next(201), Some(100));
        rig.join(300);
        assert_eq!([rig.next(310), rig.next(310), rig.next(310)], [Some(300), Some(50), Some(0)]);
        // It is empty, and the overload is over.
        rig.join(400);
        rig.join(410);
        assert_eq!(rig.next(420), Some(400));
    }

    #[test]
    fn the_order_returns_when_those_who_waited_long_have_left() {
        let rig = Rig::new();
        let old = rig.join(0);
        rig.join(1900);
        rig.join(1950);
        assert_eq!(rig.next(1999), Some(1950));
        rig.join(2000);
        rig.0.leave(&old);
        assert_eq!([rig.next(2001), rig.next(2001)], [Some(1900), Some(2000)]);
    }

    #[test]
    fn under_twice_what_can_be_served_half_are_served_at_once() {
        // One comes every 10 ms, one is let in every 20 ms; nobody waits for longer than the longest wait.
        let rig = Rig::new();
        let mut waits = Vec::new();
        let mut waiting = VecDeque::new();
        for millis in (0..20_000).step_by(10) {
            waiting.push_back(rig.join(millis));
            let now = rig.1 + Duration::from_millis(millis);
            while let Some(oldest) = waiting.pop_front_if(|waiter| now - waiter.since > LONGEST) {
                rig.0.leave(&oldest);
            }
            if millis % 20 == 0 {
                let since = rig.next(millis).unwrap();
                waits.push(millis - since);
            }
        }
        let quick = waits.iter().filter(|wait| **wait <= 200).count();
        assert!(quick * 100 >= waits.len() * 95, "{quick} of {}", waits.len());
    }
}
