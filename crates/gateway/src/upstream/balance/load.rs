//! What a worker knows of an endpoint's load: requests in flight, and how long answers take.
//!
//! The latency is a peak-sensitive moving average: a slower answer counts at once and in full, faster ones win it
//! back over [`MEMORY`]. It also fades while the endpoint is left alone, so that one that was slow gets a request to
//! prove itself by.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The latency that a failed request counts as: a refused connection is quick, and must not attract more.
pub const FAILURE_COUNTS_AS: Duration = Duration::from_secs(1);

/// After this time an observation counts 1/e.
const MEMORY: Duration = Duration::from_secs(10);

/// The latency, in seconds, of an endpoint that got its first requests and has answered none of them.
const UNKNOWN: f64 = 60.0;

/// The load of one endpoint on one worker.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: Cell<u32>,
    /// Those of `in_flight` that have not been answered yet.
    unanswered: Cell<u32>,
    /// The average latency in seconds, as of when.
    latency: Cell<Option<(f64, Instant)>>,
}

impl Load {
    /// Counts a request in, until the guard is dropped.
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.unanswered.set(self.unanswered.get() + 1);
        InFlight { load: Rc::clone(self), answered: Cell::new(false) }
    }

    /// Requests sent and not ended, answers still streaming among them.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// The average latency; none before the first answer.
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        self.seconds(now).map(Duration::from_secs_f64)
    }

    /// Forgets how long answers took, as that of an endpoint that has come back says nothing of how it is now.
    pub fn forget(&self) {
        self.latency.set(None);
    }

    /// The seconds that the requests in flight and one more are worth.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        let seconds = match self.seconds(now) {
            Some(seconds) => seconds,
            None if self.unanswered.get() > 0 => UNKNOWN,
            None => 0.0,
        };
        seconds * (f64::from(self.in_flight.get()) + 1.0)
    }

    fn seconds(&self, now: Instant) -> Option<f64> {
        let (seconds, at) = self.latency.get()?;
        // While an answer is due the past does not fade: an endpoint that hangs would look better and better, and
        // one that gets its second chance must take it before it gets more.
        Some(if self.unanswered.get() > 0 { seconds } else { seconds * fade(at, now) })
    }

    fn observe(&self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        let seconds = match self.latency.get() {
            Some((seconds, at)) if latency < seconds => latency + (seconds - latency) * fade(at, now),
            _ => latency,
        };
        self.latency.set(Some((seconds, now)));
    }
}

/// What is left at `now` of an observation made `at`; all of it within one tick of the clock.
fn fade(at: Instant, now: Instant) -> f64 {
    let elapsed = now.saturating_duration_since(at);
    if elapsed.is_zero() { 1.0 } else { (-elapsed.as_secs_f64() / MEMORY.as_secs_f64()).exp() }
}

/// A request in flight; dropping it ends it. Dropped before it was answered (the client left), it says nothing about
/// the endpoint's latency.
#[derive(Debug)]
pub struct InFlight {
    load: Rc<Load>,
    answered: Cell<bool>,
}

impl InFlight {
    /// The head of the answer came `latency` after the request was sent. The request stays in flight while the body
    /// streams; only the first call counts.
    pub fn answered(&self, latency: Duration, now: Instant) {
        if self.end_wait() {
            self.load.observe(latency, now);
        }
    }

    /// The endpoint failed to answer after `latency`, which counts as [`FAILURE_COUNTS_AS`] if it was shorter.
    pub fn failed(&self, latency: Duration, now: Instant) {
        self.answered(latency.max(FAILURE_COUNTS_AS), now);
    }

    /// The request ended with an answer `latency` after it was sent.
    pub fn finish(self, latency: Duration, now: Instant) {
        self.answered(latency, now);
    }

    /// Whether this call was the one that ended the wait.
    fn end_wait(&self) -> bool {
        let first = !self.answered.replace(true);
        if first {
            self.load.unanswered.set(self.load.unanswered.get() - 1);
        }
        first
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end_wait();
        self.load.in_flight.set(self.load.in_flight.get() - 1);
    }
}

/// The loads of all endpoints on one worker, by the endpoints' keys. It outlives snapshots, so that a reload does not
/// forget what is in flight.
#[derive(Debug, Default)]
pub struct Loads {
    by_key: RefCell<HashMap<Box<str>, Rc<Load>>>,
}

impl Loads {
    /// The load of the endpoint with this key, known or new.
    pub fn load(&self, key: &str) -> Rc<Load> {
        let mut by_key = self.by_key.borrow_mut();
        match by_key.get(key) {
            Some(load) => Rc::clone(load),
            None => Rc::clone(by_key.entry(key.into()).or_default()),
        }
    }

    /// Forgets endpoints that no balancer and no request in flight holds. Call it once the old snapshot's balancers
    /// are dropped: between reloads, the loads are bounded by the snapshot's endpoints.
    pub fn forget_gone(&self) {
        self.by_key.borrow_mut().retain(|_, load| Rc::strong_count(load) > 1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let load = Rc::new(Load::default());
        let now = Instant::now();
        let streaming = load.begin();
        let abandoned = load.begin();
        let finished = load.begin();
        assert_eq!((load.in_flight(), load.unanswered.get()), (3, 3));
        finished.finish(millis(5), now);
        drop(abandoned);
        assert_eq!((load.in_flight(), load.unanswered.get()), (1, 1));
        streaming.answered(millis(5), now);
        streaming.answered(millis(500), now);
        assert_eq!((load.in_flight(), load.unanswered.get()), (1, 0));
        assert_eq!(load.latency(now), Some(millis(5)));
        drop(streaming);
        assert_eq!((load.in_flight(), load.unanswered.get()), (0, 0));
    }

    #[test]
    fn an_abandoned_request_says_nothing_about_the_latency() {
        let load = Rc::new(Load::default());
        drop(load.begin());
        assert_eq!(load.latency(Instant::now()), None);
    }

    #[test]
    fn a_slower_answer_counts_at_once_and_faster_ones_win_it_back() {
        let load = Rc::new(Load::default());
        let start = Instant::now();
        load.begin().finish(millis(10), start);
        load.begin().finish(millis(100), start + millis(1));
        assert_eq!(load.latency(start + millis(1)), Some(millis(100)));
        load.begin().finish(millis(10), start + millis(1) + MEMORY);
        let latency = load.latency(start + millis(1) + MEMORY).unwrap();
        assert!((millis(43)..millis(44)).contains(&latency), "10 + 90/e, not {latency:?}");
    }

    #[test]
    fn the_latency_fades_while_the_endpoint_is_left_alone_but_not_while_it_owes_an_answer() {
        let load = Rc::new(Load::default());
        let start = Instant::now();
        load.begin().finish(millis(100), start);
        let later = start + MEMORY * 5;
        assert!(load.latency(later) < Some(millis(1)));
        let waiting = load.begin();
        assert_eq!(load.latency(later), Some(millis(100)));
        waiting.answered(millis(2), later);
        assert!(load.latency(later) < Some(millis(3)), "{:?}", load.latency(later));
    }

    #[test]
    fn a_quick_failure_counts_as_a_slow_answer() {
        let load = Rc::new(Load::default());
        let now = Instant::now();
        load.begin().failed(millis(1), now);
        assert_eq!(load.latency(now), Some(FAILURE_COUNTS_AS));
        load.begin().failed(millis(5000), now);
        assert_eq!(load.latency(now), Some(millis(5000)));
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_does_no_harm() {
        let load = Rc::new(Load::default());
        let start = Instant::now();
        let now = start + millis(1000);
        load.begin().finish(millis(10), now);
        load.begin().finish(millis(1), now);
        assert_eq!(load.latency(now), Some(millis(10)));
        assert_eq!(load.latency(start), Some(millis(10)));
    }

    #[test]
    fn loads_survive_as_long_as_someone_holds_them() {
        let loads = Loads::default();
        let kept = loads.load("http://a");
        let request = loads.load("http://b").begin();
        loads.load("http://c");
        loads.forget_gone();
        assert_eq!(loads.by_key.borrow().len(), 2);
        assert!(Rc::ptr_eq(&kept, &loads.load("http://a")));
        assert_eq!(loads.load("http://b").in_flight(), 1);
        drop(request);
        loads.forget_gone();
        assert_eq!(loads.by_key.borrow().len(), 1);
    }
}
