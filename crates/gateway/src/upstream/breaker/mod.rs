//! The circuit breaker of a service, or of an endpoint: when too many calls fail, or are slow, it is not called for a while, and then
//! tried with a few.
//!
//! One for all workers. While it is closed a call costs one read of a number that nobody writes, and where shares of the calls matter a
//! count in the worker's own lane; the lock is taken when a call fails or is slow, and by the few that try whether all is well again.

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::upstream::tally::{Counts, Lane, Share, Tally, Verdict};

/// When it opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// It opens after so many failures,
    pub failures: Option<u32>,
    /// after such a share of them,
    pub errors: Option<Share>,
    /// or of calls whose answer takes this long to begin,
    pub slow: Option<(Share, Duration)>,
    /// within this time,
    pub window: Duration,
    /// stays open for this long,
    pub open_for: Duration,
    /// and closes again after so many calls that succeed.
    pub half_open: u32,
    /// Whether each endpoint has one of its own.
    pub is_per_endpoint: bool,
}

impl BreakerRules {
    /// Whether an answer that takes so long to begin is slow.
    pub fn is_slow(&self, latency: Duration) -> bool {
        self.slow.is_some_and(|(_, after)| latency >= after)
    }
}

/// How soon those that try it will know.
const TRIAL_TAKES: Duration = Duration::from_secs(1);

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

/// That it opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It opened.
    Opened(Reason),
    /// It closed again.
    Closed,
}

/// What it opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// So many failures.
    Failures(u32),
    /// Too many of these calls failed.
    Errors(Counts),
    /// Too many of these calls were slow.
    Slow(Counts),
    /// A call that tried whether all is well again failed, or was slow.
    Trial,
}

/// The breaker of a service, or of one of its endpoints.
#[derive(Debug)]
pub struct Breaker {
    /// 0 while it is closed; else until when it is open, in milliseconds since it began. Half-open from then on.
    open_until: AtomicU64,
    began: Instant,
    inner: Mutex<Inner>,
    /// Calls while it is closed, where a share of them matters.
    tally: Tally,
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
    /// Where the worker counts its calls, if a share of them matters.
    lane: Option<Arc<Lane>>,
}

/// The breakers of a service, as one worker has them.
#[derive(Debug)]
pub enum Guards {
    /// None.
    None,
    /// One for all of it.
    Service(Rc<Guard>),
    /// One for each endpoint, in their order.
    Endpoints(Box<[Rc<Guard>]>),
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
        Self { open_until: AtomicU64::new(0), began, inner: Mutex::default(), tally: Tally::default() }
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
        // Fewer are asked for than before: those are there already.
        if inner.succeeded >= rules.half_open {
            self.close(&mut inner, now);
            return Ok(None);
        }
        // Calls that try it and do not end, as streams may, are not waited for without end.
        let is_stuck = now.saturating_sub(inner.tried_at) > rules.open_for.as_millis() as u64;
        if inner.trying > 0 && is_stuck {
            inner.trying = 0;
            inner.turn += 1;
        }
        if inner.trying + inner.succeeded >= rules.half_open {
            return Err(TRIAL_TAKES);
        }
        inner.trying += 1;
        inner.tried_at = now;
        Ok(Some(inner.turn))
    }

    fn trial_ended(&self, rules: &BreakerRules, turn: u64, went_well: bool, now: u64) -> Option<Turn> {
        let mut inner = self.inner();
        if inner.turn != turn {
            return None;
        }
        if !went_well {
            self.open(&mut inner, rules, now);
            return Some(Turn::Opened(Reason::Trial));
        }
        inner.trying -= 1;
        inner.succeeded += 1;
        if inner.succeeded < rules.half_open {
            return None;
        }
        self.close(&mut inner, now);
        Some(Turn::Closed)
    }

    /// A call through a closed breaker failed or was slow.
    fn went_wrong(&self, rules: &BreakerRules, verdict: Verdict, began: u64, now: u64) -> Option<Turn> {
        let mut inner = self.inner();
        // Calls of the time before it opened may end long after it has closed again.
        if self.open_until.load(Ordering::Relaxed) != 0 || began < inner.closed_at {
            return None;
        }
        let reason = self.reason(&mut inner, rules, verdict, now)?;
        self.open(&mut inner, rules, now);
        Some(Turn::Opened(reason))
    }

    /// What it is to be opened for now, if for anything.
    fn reason(&self, inner: &mut Inner, rules: &BreakerRules, verdict: Verdict, now: u64) -> Option<Reason> {
        if let Some(failures) = rules.failures.filter(|_| verdict.failed) {
            let begin = now.saturating_sub(rules.window.as_millis() as u64);
            while inner.failed.front().is_some_and(|at| *at < begin) {
                inner.failed.pop_front();
            }
            inner.failed.push_back(now);
            if inner.failed.len() >= failures as usize {
                return Some(Reason::Failures(failures));
            }
        }
        if rules.errors.is_none() && rules.slow.is_none() {
            return None;
        }
        let counts = self.tally.sum(rules.window, inner.closed_at, now);
        if rules.errors.is_some_and(|errors| errors.is_reached(counts.failed, counts.calls)) {
            return Some(Reason::Errors(counts));
        }
        let is_slow = rules.slow.is_some_and(|(slow, _)| slow.is_reached(counts.slow, counts.calls));
        is_slow.then_some(Reason::Slow(counts))
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
    /// That of one worker.
    pub fn new(breaker: Arc<Breaker>, rules: BreakerRules, worker: usize) -> Rc<Self> {
        let counts = rules.errors.is_some() || rules.slow.is_some();
        let lane = counts.then(|| breaker.tally.lane(worker, rules.window));
        Rc::new(Self { breaker, rules, lane })
    }

    /// Leave for a call, or how long to wait before asking again.
    pub fn admit(self: &Rc<Self>, now: Instant) -> Result<Permit, Duration> {
        let began = self.breaker.millis(now);
        let trial = match self.breaker.open_until.load(Ordering::Relaxed) {
            0 => None,
            _ => self.breaker.begin_trial(&self.rules, began)?,
        };
        Ok(Permit { guard: Rc::clone(self), trial, began })
    }

    /// Whether every call goes through.
    pub fn is_closed(&self) -> bool {
        self.breaker.open_until.load(Ordering::Relaxed) == 0
    }

    /// How long to wait before asking again, where that makes sense.
    pub fn wait(&self, now: Instant) -> Duration {
        self.closed_for(now).unwrap_or(TRIAL_TAKES)
    }

    /// How long no call has a chance; one of those that try it may still be one too many.
    fn closed_for(&self, now: Instant) -> Option<Duration> {
        let open_until = self.breaker.open_until.load(Ordering::Relaxed);
        let wait = open_until.checked_sub(self.breaker.millis(now)).filter(|wait| *wait > 0)?;
        Some(Duration::from_millis(wait))
    }
}

impl Guards {
    /// Leave of the service's breaker for a call, or how long to wait before asking again.
    pub fn admit(&self, now: Instant) -> Result<Option<Permit>, Duration> {
        match self {
            Self::Service(guard) => guard.admit(now).map(Some),
            Self::None | Self::Endpoints(_) => Ok(None),
        }
    }

    /// Leave of the breaker of the endpoint in this place.
    pub fn admit_to(&self, index: usize, now: Instant) -> Result<Option<Permit>, Duration> {
        match self {
            Self::Endpoints(guards) => guards[index].admit(now).map(Some),
            Self::None | Self::Service(_) => Ok(None),
        }
    }

    /// Whether it is worth asking for leave to call the endpoint in this place.
    pub fn may_admit_to(&self, index: usize, now: Instant) -> bool {
        match self {
            Self::Endpoints(guards) => guards[index].closed_for(now).is_none(),
            Self::None | Self::Service(_) => true,
        }
    }

    /// Whether the service as a whole is called as usual.
    pub fn is_closed(&self, now: Instant) -> bool {
        match self {
            Self::Service(guard) => guard.is_closed(),
            Self::Endpoints(guards) => guards.iter().any(|guard| guard.closed_for(now).is_none()),
            Self::None => true,
        }
    }
}

impl Permit {
    /// The rules under which it was given.
    pub fn rules(&self) -> &BreakerRules {
        &self.guard.rules
    }

    /// The call ended: its answer began, or it failed, so long after it was sent. Whether the breaker turned for that.
    pub fn ended(mut self, failed: bool, latency: Duration, now: Instant) -> Option<Turn> {
        let trial = self.trial.take();
        let Guard { breaker, rules, lane } = &*self.guard;
        let slow = rules.is_slow(latency);
        let went_well = !failed && !slow;
        if let Some(turn) = trial {
            return breaker.trial_ended(rules, turn, went_well, breaker.millis(now));
        }
        if let Some(lane) = lane {
            lane.count(Verdict { failed, slow }, breaker.millis(now));
        }
        if went_well {
            return None;
        }
        breaker.went_wrong(rules, Verdict { failed, slow }, self.began, breaker.millis(now))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures(failures) => write!(f, "after {failures} failures"),
            Self::Errors(counts) => write!(f, "as {} of {} calls failed", counts.failed, counts.calls),
            Self::Slow(counts) => write!(f, "as {} of {} calls were slow", counts.slow, counts.calls),
            Self::Trial => f.write_str("as it is not well yet"),
        }
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
mod tests;
