//! The circuit breaker of a service: when too many calls fail it is not called for a while, and then tried with a few.
//!
//! One for all workers. While it is closed a call costs one read of a number that nobody writes; the lock is taken when a call
//! fails, and by the few that try whether the service is well again.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// When it opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// It opens after so many failures
    pub failures: u32,
    /// within this time,
    pub window: Duration,
    /// stays open for this long,
    pub open_for: Duration,
    /// and closes again after so many calls that succeed.
    pub half_open: u32,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls go through.
    Closed,
    /// None does.
    Open,
    /// A few do, to see how they fare.
    HalfOpen,
}

/// A service's breaker.
#[derive(Debug)]
pub struct Breaker {
    /// 0 while it is closed; else until when it is open, in milliseconds since it began. Half-open from then on.
    open_until: AtomicU64,
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When calls failed, while it is closed.
    failed: VecDeque<u64>,
    /// Calls under way that try it.
    trying: u32,
    /// Those that have succeeded.
    succeeded: u32,
    /// Grows when it opens or closes: what was let through before says nothing any more.
    turn: u64,
    /// When it last closed.
    closed_at: u64,
    /// When the last call that tries it began.
    tried_at: u64,
    opened: u64,
    closed: u64,
}

/// A breaker and its rules, as one worker has them: calls count their use of it here, and not where all workers would.
#[derive(Debug)]
pub struct Guard {
    /// The breaker of all workers.
    pub breaker: Arc<Breaker>,
    /// The rules.
    pub rules: BreakerRules,
}

/// Leave for one call. Dropped without a word, as when the client leaves, it says nothing of the service.
#[derive(Debug)]
pub struct Permit {
    guard: Rc<Guard>,
    /// The turn in which it tries the service; nothing for a call through a closed breaker.
    trial: Option<u64>,
    /// When it was given.
    began: u64,
}

/// How often it opened and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Opened.
    pub opened: u64,
    /// Closed again.
    pub closed: u64,
}

impl Breaker {
    /// A closed one; times count from when it began.
    pub fn new(began: Instant) -> Self {
        Self { open_until: AtomicU64::new(0), began, inner: Mutex::default() }
    }

    fn begin_trial(&self, rules: &BreakerRules, now: u64) -> Result<Option<u64>, Duration> {
        let mut inner = self.inner();
        // It may have closed, or opened again, in between.
        let open_until = self.open_until.load(Ordering::Relaxed);
        if open_until == 0 {
            return Ok(None);
        }
        if now < open_until {
            return Err(Duration::from_millis(open_until - now));
        }
        // Calls that try it and do not end, as streams may, are not waited for without end.
        let is_stuck = now.saturating_sub(inner.tried_at) > rules.open_for.as_millis() as u64;
        if inner.trying > 0 && is_stuck {
            inner.trying = 0;
            inner.turn += 1;
        }
        if inner.trying + inner.succeeded >= rules.half_open {
            // Those that try it will soon know.
            return Err(Duration::from_secs(1));
        }
        inner.trying += 1;
        inner.tried_at = now;
        Ok(Some(inner.turn))
    }

    /// How it stands.
    pub fn state(&self, now: Instant) -> State {
        match self.open_until.load(Ordering::Relaxed) {
            0 => State::Closed,
            until if self.millis(now) < until => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// How often it opened and closed.
    pub fn turns(&self) -> Turns {
        let inner = self.inner();
        Turns { opened: inner.opened, closed: inner.closed }
    }

    /// Closes it and forgets what was, as when the rules are taken away.
    pub fn reset(&self) {
        let mut inner = self.inner();
        self.open_until.store(0, Ordering::Relaxed);
        *inner =
            Inner { turn: inner.turn + 1, opened: inner.opened, closed: inner.closed, ..Inner::default() };
    }

    fn open(&self, inner: &mut Inner, rules: &BreakerRules, now: u64) {
        let open_for = rules.open_for.as_millis() as u64;
        self.open_until.store(now.saturating_add(open_for.max(1)), Ordering::Relaxed);
        *inner = Inner {
            turn: inner.turn + 1,
            opened: inner.opened + 1,
            closed: inner.closed,
            ..Inner::default()
        };
    }

    fn close(&self, inner: &mut Inner, now: u64) {
        self.open_until.store(0, Ordering::Relaxed);
        *inner = Inner {
            turn: inner.turn + 1,
            opened: inner.opened,
            closed: inner.closed + 1,
            closed_at: now,
            ..Inner::default()
        };
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_millis() as u64
    }
}

impl Guard {
    /// Leave for a call, or how long to wait before asking again.
    pub fn admit(self: &Rc<Self>, now: Instant) -> Result<Permit, Duration> {
        let began = self.breaker.millis(now);
        let trial = match self.breaker.open_until.load(Ordering::Relaxed) {
            0 => None,
            _ => self.breaker.begin_trial(&self.rules, began)?,
        };
        Ok(Permit { guard: Rc::clone(self), trial, began })
    }
}

impl Permit {
    /// The rules under which it was given.
    pub fn rules(&self) -> &BreakerRules {
        &self.guard.rules
    }

    /// The call succeeded. Whether the breaker is closed again for that.
    pub fn succeeded(mut self, now: Instant) -> bool {
        let Some(turn) = self.trial.take() else { return false };
        let mut inner = self.guard.breaker.inner();
        if inner.turn != turn {
            return false;
        }
        inner.trying -= 1;
        inner.succeeded += 1;
        let closes = inner.succeeded >= self.guard.rules.half_open;
        if closes {
            let now = self.guard.breaker.millis(now);
            self.guard.breaker.close(&mut inner, now);
        }
        closes
    }

    /// The call failed. Whether the breaker opened for that.
    pub fn failed(mut self, now: Instant) -> bool {
        let now = self.guard.breaker.millis(now);
        let trial = self.trial.take();
        let mut inner = self.guard.breaker.inner();
        if let Some(turn) = trial {
            let counts = inner.turn == turn;
            if counts {
                self.guard.breaker.open(&mut inner, &self.guard.rules, now);
            }
            return counts;
        }
        // Calls of the time before it opened may fail long after it has closed again.
        if self.guard.breaker.open_until.load(Ordering::Relaxed) != 0 || self.began < inner.closed_at {
            return false;
        }
        let begin = now.saturating_sub(self.guard.rules.window.as_millis() as u64);
        while inner.failed.front().is_some_and(|at| *at < begin) {
            inner.failed.pop_front();
        }
        inner.failed.push_back(now);
        let opens = inner.failed.len() >= self.guard.rules.failures as usize;
        if opens {
            self.guard.breaker.open(&mut inner, &self.guard.rules, now);
        }
        opens
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turn) = self.trial {
            let mut inner = self.guard.breaker.inner();
            if inner.turn == turn {
                inner.trying -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RULES: BreakerRules = BreakerRules {
        failures: 3,
        window: Duration::from_secs(30),
        open_for: Duration::from_mins(1),
        half_open: 2,
    };

    struct Rig(Rc<Guard>, Instant);

    impl Rig {
        fn new() -> Self {
            let began = Instant::now();
            let breaker = Arc::new(Breaker::new(began));
            Self(Rc::new(Guard { breaker, rules: RULES }), began)
        }

        fn admit(&self, seconds: u64) -> Result<Permit, Duration> {
            self.0.admit(self.at(seconds))
        }

        fn at(&self, seconds: u64) -> Instant {
            self.1 + Duration::from_secs(seconds)
        }

        fn fail(&self, seconds: u64) -> bool {
            self.admit(seconds).unwrap().failed(self.at(seconds))
        }

        fn fail_thrice(&self) {
            assert!(!self.fail(0) && !self.fail(0) && self.fail(0));
        }

        fn state(&self, seconds: u64) -> State {
            self.0.breaker.state(self.at(seconds))
        }
    }

    #[test]
    fn it_opens_after_so_many_failures_within_the_window() {
        let rig = Rig::new();
        assert!(!rig.fail(0));
        assert!(!rig.fail(1));
        assert!(!rig.admit(2).unwrap().succeeded(rig.at(2)), "what succeeds makes no failure undone");
        assert!(!rig.fail(31), "the first is too long ago");
        assert!(rig.fail(31));
        assert_eq!(rig.state(31), State::Open);
        assert_eq!(rig.admit(31).unwrap_err(), RULES.open_for);
        assert_eq!(rig.admit(90).unwrap_err(), Duration::from_secs(1));
    }

    #[test]
    fn it_closes_after_so_many_calls_that_try_it_have_succeeded() {
        let rig = Rig::new();
        rig.fail_thrice();
        assert_eq!(rig.state(60), State::HalfOpen);
        let (first, second) = (rig.admit(60).unwrap(), rig.admit(60).unwrap());
        assert!(rig.admit(60).is_err(), "two try it");
        assert!(!first.succeeded(rig.at(60)));
        assert!(rig.admit(60).is_err(), "one has tried, one tries");
        drop(second);
        let second = rig.admit(61).unwrap();
        assert!(second.succeeded(rig.at(61)));
        assert_eq!(rig.state(61), State::Closed);
        assert_eq!(rig.0.breaker.turns(), Turns { opened: 1, closed: 1 });
        assert!(!rig.fail(61), "and counts anew");
    }

    #[test]
    fn it_opens_again_when_a_call_that_tries_it_fails() {
        let rig = Rig::new();
        rig.fail_thrice();
        let late = rig.admit(60).unwrap();
        assert!(rig.fail(60));
        assert_eq!(rig.state(60), State::Open);
        assert!(!late.succeeded(rig.at(60)), "it was let through before");
        assert_eq!(rig.state(119), State::Open);
        assert_eq!(rig.state(120), State::HalfOpen);
        assert_eq!(rig.0.breaker.turns(), Turns { opened: 2, closed: 0 });
    }

    #[test]
    fn what_began_before_it_closed_again_does_not_open_it() {
        let rig = Rig::new();
        let early: Vec<Permit> = (0..5).map(|_| rig.admit(0).unwrap()).collect();
        rig.fail_thrice();
        for _ in 0..2 {
            rig.admit(60).unwrap().succeeded(rig.at(60));
        }
        for permit in early {
            assert!(!permit.failed(rig.at(61)));
        }
        assert_eq!(rig.state(61), State::Closed);
    }

    #[test]
    fn calls_that_try_it_and_do_not_end_do_not_hold_it() {
        let rig = Rig::new();
        rig.fail_thrice();
        let _endless = (rig.admit(60).unwrap(), rig.admit(61).unwrap());
        assert!(rig.admit(120).is_err());
        let (first, second) = (rig.admit(122).unwrap(), rig.admit(122).unwrap());
        assert!(!first.succeeded(rig.at(122)));
        assert!(second.succeeded(rig.at(122)));
    }

    #[test]
    fn what_was_under_way_when_it_opened_says_nothing() {
        let rig = Rig::new();
        let early: Vec<Permit> = (0..5).map(|_| rig.admit(0).unwrap()).collect();
        rig.fail_thrice();
        for permit in early {
            assert!(!permit.failed(rig.at(59)));
        }
        assert_eq!(rig.state(60), State::HalfOpen, "it is open no longer for them");
        rig.0.breaker.reset();
        assert_eq!(rig.state(0), State::Closed);
    }
}
