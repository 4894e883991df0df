//! Endpoints that are put out and come back.

use super::eject::LONGEST;
use super::*;
use crate::upstream::tally::{Counts, Share};

const RULES: EjectRules = EjectRules {
    errors: Some(3),
    share: None,
    time: Duration::from_secs(10),
    most: 500_000,
    slow_start: Duration::from_secs(10),
};

fn endpoints(healths: &Healths, count: usize) -> Vec<Arc<EndpointHealth>> {
    (0..count)
        .map(|place| healths.service(&"users".into()).endpoint(&format!("http://{place}").into()))
        .collect()
}

fn fail(endpoint: &EndpointHealth, serving: usize, times: u32, now: Instant) -> Option<Duration> {
    let now = endpoint.service.millis(now);
    (0..times).filter_map(|_| endpoint.failed(&RULES, serving, now)).last().map(|ejected| ejected.time)
}

#[test]
fn failures_in_a_row_put_an_endpoint_out_for_longer_each_time() {
    let healths = Healths::new(Instant::now());
    let all = endpoints(&healths, 3);
    let mut now = Instant::now();
    assert_eq!(fail(&all[0], all.len(), 2, now), None);
    all[0].succeeded();
    assert_eq!(fail(&all[0], all.len(), 2, now), None, "not in a row");
    assert_eq!(fail(&all[0], all.len(), 1, now), Some(RULES.time));
    assert_eq!(all[0].standing(true, RULES.slow_start, now), Standing::Out);
    assert_eq!(all[1].standing(true, RULES.slow_start, now), Standing::In);
    for times in 2..=12 {
        now += RULES.time * LONGEST;
        assert_eq!(fail(&all[0], all.len(), 3, now), Some(RULES.time * times.min(LONGEST)), "{times}");
    }
    now += RULES.time * (2 * LONGEST + 1);
    assert_eq!(fail(&all[0], all.len(), 3, now), Some(RULES.time), "it had stayed in");
}

#[test]
fn no_more_than_the_share_is_out_at_once() {
    let healths = Healths::new(Instant::now());
    let all = endpoints(&healths, 5);
    let now = Instant::now();
    assert!(fail(&all[0], all.len(), 3, now).is_some());
    assert!(fail(&all[1], all.len(), 3, now).is_some());
    assert_eq!(fail(&all[2], all.len(), 30, now), None, "three of five are more than half");
    let later = now + RULES.time;
    assert!(fail(&all[2], all.len(), 3, later).is_some(), "the others are back");
    let alone = endpoints(&Healths::new(Instant::now()), 1);
    assert_eq!(fail(&alone[0], 1, 30, now), None);
}

#[test]
fn an_endpoint_that_comes_back_gets_more_and_more() {
    let healths = Healths::new(Instant::now());
    let all = endpoints(&healths, 2);
    let now = Instant::now();
    fail(&all[0], all.len(), 3, now);
    let after = |seconds| all[0].standing(true, RULES.slow_start, now + Duration::from_secs(seconds));
    assert_eq!(after(9), Standing::Out);
    assert_eq!(after(10), Standing::Returning(100));
    assert_eq!(after(15), Standing::Returning(550));
    assert_eq!(after(20), Standing::In);
    assert_eq!(all[0].standing(true, Duration::ZERO, now + RULES.time), Standing::In);
}

#[test]
fn what_is_known_lasts_as_long_as_somebody_has_the_endpoint() {
    let healths = Healths::new(Instant::now());
    let now = Instant::now();
    let all = endpoints(&healths, 2);
    fail(&all[1], all.len(), 3, now);
    assert_eq!(endpoints(&healths, 2)[1].standing(true, Duration::ZERO, now), Standing::Out);
    let told = healths.readings(now).endpoints;
    let told: Vec<_> = told.iter().map(|one| (&*one.endpoint, one.is_up)).collect();
    assert_eq!(told, [("http://0", true), ("http://1", false)]);
    drop(all);
    assert_eq!(endpoints(&healths, 2)[1].standing(true, Duration::ZERO, now), Standing::In);
}

const BY_SHARE: EjectRules = EjectRules {
    errors: None,
    share: Some((Share { most: 500_000, calls: 10 }, Duration::from_secs(10))),
    ..RULES
};

#[test]
fn a_share_of_failures_over_all_workers_puts_an_endpoint_out() {
    let healths = Healths::new(Instant::now());
    let all = endpoints(&healths, 2);
    let workers = [0, 1].map(|worker| Ejection::new(BY_SHARE, all.iter().map(|one| &**one), 2, worker));
    let now = Instant::now();
    for worker in &workers {
        for _ in 0..3 {
            worker.succeeded(&all[0], 0, now);
        }
        assert_eq!(worker.failed(&all[0], 0, now), None);
    }
    for _ in 0..3 {
        assert_eq!(workers[0].failed(&all[0], 0, now), None, "never in the majority");
    }
    let counts = Counts { calls: 12, failed: 6, slow: 0 };
    let ejected = workers[1].failed(&all[0], 0, now);
    assert_eq!(ejected, Some(Ejected { time: RULES.time, reason: Reason::Share(counts) }));
    assert_eq!(all[0].standing(true, RULES.slow_start, now), Standing::Out);
    assert_eq!(all[1].standing(true, RULES.slow_start, now), Standing::In);
    let back = now + RULES.time + Duration::from_secs(1);
    assert_eq!(workers[0].failed(&all[0], 0, back), None, "it has begun anew");
}

#[test]
fn failures_in_a_row_and_a_share_go_together() {
    let healths = Healths::new(Instant::now());
    let all = endpoints(&healths, 2);
    let rules = EjectRules { errors: Some(4), ..BY_SHARE };
    let ejection = Ejection::new(rules, all.iter().map(|one| &**one), 2, 0);
    let now = Instant::now();
    let fail = |index: usize| ejection.failed(&all[index], index, now).map(|ejected| ejected.reason);
    assert_eq!([fail(0), fail(0), fail(0), fail(0)], [None, None, None, Some(Reason::InARow(4))]);
    let later = now + RULES.time;
    for _ in 0..4 {
        ejection.succeeded(&all[1], 1, later);
        assert_eq!(ejection.failed(&all[1], 1, later), None);
    }
    ejection.succeeded(&all[1], 1, later);
    let reason = ejection.failed(&all[1], 1, later).map(|ejected| ejected.reason);
    assert_eq!(reason, Some(Reason::Share(Counts { calls: 10, failed: 5, slow: 0 })));
}
