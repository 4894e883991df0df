//! Breakers that open, are tried, and close.
#![allow(clippy::unwrap_used)]

use super::*;

const RULES: BreakerRules = BreakerRules {
    failures: Some(3),
    errors: None,
    slow: None,
    window: Duration::from_secs(30),
    open_for: Duration::from_mins(1),
    half_open: 2,
    is_per_endpoint: false,
};

struct Rig(Rc<Guard>, Instant);

impl Rig {
    fn new() -> Self {
        Self::with(RULES)
    }

    fn with(rules: BreakerRules) -> Self {
        let began = Instant::now();
        Self(Guard::new(Arc::new(Breaker::new(began)), rules, 0), began)
    }

    fn admit(&self, seconds: u64) -> Result<Permit, Duration> {
        self.0.admit(self.at(seconds))
    }

    fn at(&self, seconds: u64) -> Instant {
        self.1 + Duration::from_secs(seconds)
    }

    fn fail(&self, seconds: u64) -> bool {
        self.end(seconds, true, 0).is_some()
    }

    /// A call that ends, after so many seconds.
    fn end(&self, seconds: u64, failed: bool, latency: u64) -> Option<Turn> {
        let latency = Duration::from_secs(latency);
        self.admit(seconds).unwrap().ended(failed, latency, self.at(seconds))
    }

    fn ended(&self, permit: Permit, failed: bool, seconds: u64) -> bool {
        permit.ended(failed, Duration::ZERO, self.at(seconds)).is_some()
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
    assert!(rig.end(2, false, 0).is_none(), "what succeeds makes no failure undone");
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
    assert!(!rig.ended(first, false, 60));
    assert!(rig.admit(60).is_err(), "one has tried, one tries");
    drop(second);
    let second = rig.admit(61).unwrap();
    assert!(rig.ended(second, false, 61));
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
    assert!(!rig.ended(late, false, 60), "it was let through before");
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
        rig.end(60, false, 0);
    }
    for permit in early {
        assert!(!rig.ended(permit, true, 61));
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
    assert!(!rig.ended(first, false, 122));
    assert!(rig.ended(second, false, 122));
}

#[test]
fn what_was_under_way_when_it_opened_says_nothing() {
    let rig = Rig::new();
    let early: Vec<Permit> = (0..5).map(|_| rig.admit(0).unwrap()).collect();
    rig.fail_thrice();
    for permit in early {
        assert!(!rig.ended(permit, true, 59));
    }
    assert_eq!(rig.state(60), State::HalfOpen, "it is open no longer for them");
    rig.0.breaker.reset();
    assert_eq!(rig.state(0), State::Closed);
}

const BY_SHARES: BreakerRules = BreakerRules {
    failures: None,
    errors: Some(Share { most: 500_000, calls: 10 }),
    slow: Some((Share { most: 800_000, calls: 10 }, Duration::from_secs(2))),
    ..RULES
};

#[test]
fn it_opens_for_a_share_of_failures_once_there_were_enough_calls() {
    let rig = Rig::with(BY_SHARES);
    for second in 0..4 {
        assert_eq!((rig.end(second, true, 0), rig.end(second, false, 0)), (None, None));
    }
    assert_eq!(rig.end(4, true, 0), None, "five of nine are too few to tell");
    let counts = Counts { calls: 10, failed: 6, slow: 0 };
    assert_eq!(rig.end(4, true, 0), Some(Turn::Opened(Reason::Errors(counts))));
    // Half a minute later they are forgotten: nothing is held against it when it has closed.
    assert_eq!((rig.end(64, false, 0), rig.end(64, false, 0)), (None, Some(Turn::Closed)));
    for _ in 0..9 {
        assert_eq!(rig.end(67, true, 0), None);
    }
}

#[test]
fn it_opens_for_a_share_of_slow_answers() {
    let rig = Rig::with(BY_SHARES);
    for second in 0..10 {
        assert_eq!(rig.end(second, false, 1), None);
    }
    // By now the first three are forgotten.
    for _ in 0..27 {
        assert_eq!(rig.end(30, false, 2), None, "not four of five");
    }
    let counts = Counts { calls: 35, failed: 0, slow: 28 };
    assert_eq!(rig.end(30, false, 2), Some(Turn::Opened(Reason::Slow(counts))));
    assert_eq!(rig.end(90, false, 2), Some(Turn::Opened(Reason::Trial)), "as slow as it was");
}

#[test]
fn a_failure_far_from_any_share_opens_nothing() {
    let rig = Rig::with(BreakerRules { failures: Some(1000), ..BY_SHARES });
    for second in 0..200 {
        for _ in 0..9 {
            assert_eq!(rig.end(second, false, 0), None);
        }
        assert_eq!(rig.end(second, true, 3), None);
    }
}

#[test]
fn each_endpoint_may_have_one_of_its_own() {
    let rigs = [Rig::new(), Rig::new()];
    let guards = Guards::Endpoints(rigs.iter().map(|rig| Rc::clone(&rig.0)).collect());
    assert!(guards.admit(rigs[0].at(0)).unwrap().is_none());
    rigs[0].fail_thrice();
    let now = rigs[1].at(0);
    assert_eq!([0, 1].map(|index| guards.may_admit_to(index, now)), [false, true]);
    assert!(guards.admit_to(0, now).is_err() && guards.admit_to(1, now).unwrap().is_some());
    assert!(guards.is_closed(now), "one is called");
    rigs[1].fail_thrice();
    assert!(!guards.is_closed(now));
    assert!(guards.may_admit_to(0, rigs[0].at(60)), "some calls try it");
}

#[test]
fn a_reload_that_asks_for_fewer_trials_than_there_were_closes_it() {
    let rig = Rig::with(BreakerRules { half_open: 3, ..RULES });
    rig.fail_thrice();
    let after = 3 + RULES.open_for.as_secs();
    for _ in 0..2 {
        rig.end(after, false, 0);
    }
    let fewer = Rig(Guard::new(Arc::clone(&rig.0.breaker), RULES, 0), rig.1);
    assert!(fewer.admit(after).is_ok());
    assert_eq!(fewer.0.breaker.state(fewer.at(after)), State::Closed);
}
