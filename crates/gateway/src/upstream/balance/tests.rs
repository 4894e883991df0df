//! The policies' behaviour over many picks, with fixed seeds.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const STICKY: Policy = Policy::Sticky { secret: [9; 16] };

const ALL: [Policy; 8] = [
    Policy::RoundRobin,
    Policy::Random,
    Policy::WeightedRandom,
    Policy::LeastRequests,
    Policy::Ewma,
    Policy::IpHash,
    Policy::Hash,
    STICKY,
];

/// A balancer with its endpoints' loads.
struct Service {
    balancer: Balancer,
    loads: Vec<Rc<Load>>,
    keys: Vec<String>,
}

impl Service {
    fn new(policy: Policy, weights: &[u32]) -> Self {
        Self::on_worker(policy, weights, 0)
    }

    fn on_worker(policy: Policy, weights: &[u32], worker: usize) -> Self {
        let keys: Vec<String> =
            (0..weights.len()).map(|number| format!("http://10.0.0.{number}:80")).collect();
        let loads: Vec<Rc<Load>> = weights.iter().map(|_| Rc::default()).collect();
        let endpoints: Vec<Endpoint<'_>> = keys
            .iter()
            .zip(weights)
            .zip(&loads)
            .map(|((key, &weight), load)| Endpoint { key, weight, load: Rc::clone(load) })
            .collect();
        Self { balancer: Balancer::new(policy, &endpoints, 42, worker).unwrap(), loads, keys }
    }

    fn pick(&self, ask: &Ask<'_>) -> usize {
        self.balancer.pick(ask, &mut |_| true).unwrap().index
    }

    /// How many of `picks` each endpoint got, each with another hash, the endpoints in `out` unusable.
    fn shares(&self, picks: usize, out: &[usize]) -> Vec<usize> {
        let mut shares = vec![0; self.loads.len()];
        for number in 0..picks {
            let ask = Ask { hash: Some(hash_bytes(&number.to_le_bytes())), ..plain() };
            shares[self.balancer.pick(&ask, &mut |index| !out.contains(&index)).unwrap().index] += 1;
        }
        shares
    }
}

fn plain() -> Ask<'static> {
    Ask { hash: None, sticky: None, again: false, now: Instant::now() }
}

/// Whether each share is within `tolerance` of its part of the whole.
#[track_caller]
fn assert_shares(shares: &[usize], weights: &[u32], tolerance: f64, what: &str) {
    let whole: usize = shares.iter().sum();
    let total: u32 = weights.iter().sum();
    for (&share, &weight) in shares.iter().zip(weights) {
        let expected = f64::from(weight) / f64::from(total);
        let actual = share as f64 / whole as f64;
        assert!((actual - expected).abs() <= tolerance, "{what}: {shares:?} for {weights:?}");
    }
}

#[test]
fn shares_follow_the_weights_also_while_some_endpoints_are_out() {
    struct Case {
        weights: &'static [u32],
        out: &'static [usize],
        expected: &'static [u32],
    }
    const CASES: &[Case] = &[
        Case { weights: &[1, 1, 1], out: &[], expected: &[1, 1, 1] },
        Case { weights: &[7, 7, 7, 7], out: &[2], expected: &[1, 1, 0, 1] },
        Case { weights: &[5, 1, 1], out: &[], expected: &[5, 1, 1] },
        Case { weights: &[5, 1, 1], out: &[0], expected: &[0, 1, 1] },
        Case { weights: &[1000, 10, 30], out: &[0], expected: &[0, 1, 3] },
        Case { weights: &[4, 0, 2, 2], out: &[], expected: &[2, 0, 1, 1] },
        Case { weights: &[4, 0, 2, 2], out: &[3], expected: &[2, 0, 1, 0] },
        Case { weights: &[u32::MAX, u32::MAX / 2, 0], out: &[], expected: &[2, 1, 0] },
    ];
    for case in CASES {
        for policy in ALL.into_iter().filter(|&policy| policy != Policy::Random) {
            let shares = Service::new(policy, case.weights).shares(20_000, case.out);
            assert_shares(&shares, case.expected, 0.015, &format!("{policy:?} without {:?}", case.out));
        }
    }
}

#[test]
fn random_ignores_weights_but_drained_endpoints() {
    let shares = Service::new(Policy::Random, &[9, 1, 0, 5]).shares(20_000, &[]);
    assert_shares(&shares, &[1, 1, 0, 1], 0.015, "random");
}

#[test]
fn many_endpoints_of_many_weights_get_their_shares() {
    let weights: Vec<u32> = (1..=100).collect();
    for policy in [Policy::RoundRobin, Policy::WeightedRandom, Policy::Hash] {
        let shares = Service::new(policy, &weights).shares(200_000, &[]);
        assert_shares(&shares, &weights, 0.003, &format!("{policy:?}"));
    }
}

#[test]
fn nothing_usable_gives_nothing() {
    let ask = Ask { hash: Some(1), sticky: Some(b"x"), ..plain() };
    for policy in ALL {
        for weights in [&[][..], &[0, 0], &[1], &[1, 1], &[3, 1, 2]] {
            let service = Service::new(policy, weights);
            assert_eq!(service.balancer.pick(&ask, &mut |_| false), None, "{policy:?} {weights:?}");
            if weights.iter().all(|&weight| weight == 0) {
                assert_eq!(service.balancer.pick(&ask, &mut |_| true), None, "{policy:?} {weights:?}");
            }
        }
    }
}

#[test]
fn too_many_endpoints_are_refused() {
    let endpoint = Endpoint { key: "http://a", weight: 1, load: Rc::default() };
    let refused = Balancer::new(Policy::RoundRobin, &vec![endpoint; MAX_ENDPOINTS + 1], 1, 0);
    let error = refused.unwrap_err();
    assert_eq!(error.to_string(), "4097 endpoints in one service; the most is 4096");
}

#[test]
fn equal_seeds_give_equal_picks() {
    for policy in ALL {
        let [first, second] = [0, 1].map(|_| {
            let service = Service::new(policy, &[3, 1, 2]);
            (0..100).map(|_| service.pick(&plain())).collect::<Vec<_>>()
        });
        assert_eq!(first, second, "{policy:?}");
    }
}

#[test]
fn workers_start_apart() {
    let first = |worker| Service::on_worker(Policy::RoundRobin, &[1; 8], worker).pick(&plain());
    assert_eq!((0..8).map(first).collect::<HashSet<_>>().len(), 8);

    let start = |worker| {
        let service = Service::on_worker(Policy::RoundRobin, &[3, 2, 1], worker);
        (0..6).map(|_| service.pick(&plain())).collect::<Vec<_>>()
    };
    assert!((0..8).map(start).collect::<HashSet<_>>().len() > 3);
}

#[test]
fn what_is_asked_again_takes_nobodys_turn() {
    for (weights, expected) in
        [(&[1, 1][..], &[1, 1][..]), (&[1, 1, 1], &[1, 1, 1]), (&[2, 1, 1], &[2, 1, 1])]
    {
        let service = Service::new(Policy::RoundRobin, weights);
        let (mut first, mut second) = (vec![0; weights.len()], vec![0; weights.len()]);
        for _ in 0..12_000 {
            let asked = service.pick(&plain());
            first[asked] += 1;
            // The first endpoint fails whatever it is asked.
            if asked == 0 {
                let again = Ask { again: true, ..plain() };
                second[service.balancer.pick(&again, &mut |index| index != 0).unwrap().index] += 1;
            }
        }
        assert_shares(&first, expected, 0.001, &format!("{weights:?}"));
        assert_shares(&second[1..], &weights[1..], 0.03, &format!("{weights:?} again"));
    }
}

#[test]
fn turns_of_a_heavy_endpoint_are_spread() {
    for worker in 0..50 {
        let service = Service::on_worker(Policy::RoundRobin, &[6, 2, 2], worker);
        let picks: Vec<usize> = (0..1000).map(|_| service.pick(&plain())).collect();
        for window in picks.windows(10) {
            let heavy = window.iter().filter(|&&index| index == 0).count();
            assert!((5..=7).contains(&heavy), "worker {worker}: {window:?}");
        }
        let longest = picks.chunk_by(|one, other| one == other && *one == 0).map(<[usize]>::len).max();
        assert!(longest <= Some(4), "worker {worker}: a run of {longest:?}");
    }
}

#[test]
fn an_endpoint_that_returns_does_not_make_up_for_its_absence() {
    let service = Service::new(Policy::RoundRobin, &[4, 2, 1]);
    service.shares(7_000, &[0]);
    let shares = service.shares(14, &[]);
    assert!((7..=9).contains(&shares[0]), "{shares:?}");
}

#[test]
fn least_requests_avoids_the_busy() {
    let service = Service::new(Policy::LeastRequests, &[1, 1, 1, 1]);
    let _busy: Vec<InFlight> = (0..10).map(|_| service.loads[2].begin()).collect();
    assert_eq!(service.shares(1000, &[])[2], 0);
}

#[test]
fn least_requests_keeps_endpoints_level_for_their_weights() {
    let weights = [1, 1, 2, 4];
    let service = Service::new(Policy::LeastRequests, &weights);
    let mut held: Vec<InFlight> = Vec::new();
    for _ in 0..800 {
        held.push(service.loads[service.pick(&plain())].begin());
    }
    for (load, weight) in service.loads.iter().zip(weights) {
        let level = weight * 100;
        assert!(load.in_flight().abs_diff(level) <= 8, "{} in flight for {level}", load.in_flight());
    }
}

#[test]
fn of_two_the_less_busy_is_taken_for_its_weight() {
    // In flight and weight of each, and which must win.
    const CASES: &[([(u32, u32); 2], usize)] = &[
        ([(1, 1), (0, 1)], 1),
        ([(3, 1), (4, 1)], 0),
        ([(3, 2), (2, 1)], 0),
        ([(9, 10), (1, 1)], 0),
        ([(5, 1), (1000, 1000)], 1),
    ];
    for &(endpoints, expected) in CASES {
        let service = Service::new(Policy::LeastRequests, &endpoints.map(|(_, weight)| weight));
        let _held: Vec<InFlight> = std::iter::zip(&service.loads, endpoints)
            .flat_map(|(load, (in_flight, _))| (0..in_flight).map(|_| load.begin()))
            .collect();
        for _ in 0..50 {
            assert_eq!(service.pick(&plain()), expected, "{endpoints:?}");
        }
    }
}

/// Sends one request every millisecond for `span`; endpoint `index` answers after `latency(index)`, and requests
/// overlap. Returns how many each endpoint got.
fn drive(
    service: &Service,
    start: Instant,
    span: Duration,
    latency: impl Fn(usize) -> Duration,
) -> Vec<usize> {
    let mut shares = vec![0; service.loads.len()];
    let mut held: Vec<(Instant, Duration, InFlight)> = Vec::new();
    let mut now = start;
    while now < start + span {
        let (due, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|&(end, ..)| end <= now);
        held = rest;
        for (end, latency, request) in due {
            request.finish(latency, end);
        }
        let index = service.pick(&Ask { now, ..plain() });
        shares[index] += 1;
        held.push((now + latency(index), latency(index), service.loads[index].begin()));
        now += Duration::from_millis(1);
    }
    shares
}

#[test]
fn ewma_prefers_the_faster_endpoint_and_comes_back_when_the_slow_one_recovers() {
    let service = Service::new(Policy::Ewma, &[1, 1]);
    let start = Instant::now();
    let (slow, fast) = (Duration::from_millis(200), Duration::from_millis(2));
    let minute = Duration::from_mins(1);

    let shares = drive(&service, start, minute, |index| if index == 0 { slow } else { fast });
    assert!(shares[0] > 0 && shares[0] * 50 < shares[1], "while one is slow: {shares:?}");

    drive(&service, start + minute, minute, |_| fast);
    let shares = drive(&service, start + minute * 2, minute, |_| fast);
    assert!(shares[0] * 4 > shares[1], "after it recovered: {shares:?}");
}

#[test]
fn ewma_gives_a_new_endpoint_one_request_until_it_has_answered() {
    let service = Service::new(Policy::Ewma, &[1, 1]);
    let now = Instant::now();
    service.loads[0].begin().finish(Duration::from_millis(5), now);
    let ask = Ask { now, ..plain() };
    assert_eq!(service.pick(&ask), 1);
    let first = service.loads[1].begin();
    for _ in 0..100 {
        assert_eq!(service.pick(&ask), 0);
    }
    first.finish(Duration::from_millis(1), now);
    assert_eq!(service.pick(&ask), 1);
}

#[test]
fn ewma_turns_away_from_an_endpoint_that_fails_quickly() {
    let service = Service::new(Policy::Ewma, &[1, 1, 1]);
    let now = Instant::now();
    for load in &service.loads[..2] {
        load.begin().finish(Duration::from_millis(50), now);
    }
    service.loads[2].begin().failed(Duration::from_micros(100), now);
    for _ in 0..200 {
        assert_ne!(service.pick(&Ask { now, ..plain() }), 2);
    }
}

#[test]
fn ewma_counts_what_is_in_flight() {
    let service = Service::new(Policy::Ewma, &[1, 1]);
    let now = Instant::now();
    service.loads[0].begin().finish(Duration::from_millis(10), now);
    service.loads[1].begin().finish(Duration::from_millis(30), now);
    let ask = Ask { now, ..plain() };
    let mut held: Vec<InFlight> = Vec::new();
    for expected in [0, 0, 0, 1] {
        // Three waits of 10 ms are as good as one of 30: the fourth request may go either way.
        let index = service.pick(&ask);
        assert!(held.len() == 2 || index == expected, "{} in flight: {index}", held.len());
        held.push(service.loads[expected].begin());
    }
}

#[test]
fn the_same_key_stays_with_the_same_endpoint_on_every_worker() {
    let services: Vec<Service> =
        (0..4).map(|worker| Service::on_worker(Policy::Hash, &[1, 2, 3], worker)).collect();
    for key in 0_u32..500 {
        let ask = Ask { hash: Some(hash_bytes(&key.to_le_bytes())), ..plain() };
        let owners: HashSet<usize> = services.iter().map(|service| service.pick(&ask)).collect();
        assert_eq!(owners.len(), 1, "key {key}");
    }
}

#[test]
fn keys_of_an_endpoint_that_is_out_spread_over_all_others_and_the_rest_stay() {
    let service = Service::new(Policy::Hash, &[1; 5]);
    let mut heirs = vec![0; 5];
    for key in 0_u32..20_000 {
        let ask = Ask { hash: Some(hash_bytes(&key.to_le_bytes())), ..plain() };
        let owner = service.pick(&ask);
        let heir = service.balancer.pick(&ask, &mut |index| index != 2).unwrap().index;
        if owner == 2 {
            heirs[heir] += 1;
        } else {
            assert_eq!(owner, heir, "key {key}");
        }
    }
    assert_shares(&heirs, &[1, 1, 0, 1, 1], 0.03, "heirs");
}

#[test]
fn badly_spread_hashes_are_balanced_too() {
    let service = Service::new(Policy::Hash, &[1; 4]);
    let mut shares = vec![0; 4];
    for hash in 0..20_000 {
        shares[service.pick(&Ask { hash: Some(hash), ..plain() })] += 1;
    }
    assert_shares(&shares, &[1; 4], 0.02, "small numbers as hashes");
}

#[test]
fn a_new_client_gets_a_cookie_and_stays_with_its_endpoint() {
    let service = Service::new(STICKY, &[1, 1, 1]);
    for _ in 0..6 {
        let pick = service.balancer.pick(&plain(), &mut |_| true).unwrap();
        assert!(pick.set_sticky);
        let id = *service.balancer.sticky_id(pick.index).unwrap();
        assert_eq!(id, sticky_id(&[9; 16], &service.keys[pick.index]));
        let back = service.balancer.pick(&Ask { sticky: Some(&id), ..plain() }, &mut |_| true);
        assert_eq!(back, Some(Pick { index: pick.index, set_sticky: false }));
    }
}

#[test]
fn a_client_whose_endpoint_is_out_gone_or_drained_gets_another_and_a_new_cookie() {
    let service = Service::new(STICKY, &[1, 1, 0]);
    let first = *service.balancer.sticky_id(0).unwrap();
    let drained = sticky_id(&[9; 16], &service.keys[2]);
    assert_eq!(service.balancer.sticky_id(2), None);

    let out = service.balancer.pick(&Ask { sticky: Some(&first), ..plain() }, &mut |index| index != 0);
    assert_eq!(out, Some(Pick { index: 1, set_sticky: true }));
    for stale in [&drained[..], b"ffffffffffffffff", b"", b"\xff\xff"] {
        let pick = service.balancer.pick(&Ask { sticky: Some(stale), ..plain() }, &mut |_| true).unwrap();
        assert!(pick.set_sticky && pick.index != 2, "{stale:?}: {pick:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pick_is_usable_and_has_a_weight(
        weights in prop::collection::vec(prop_oneof![Just(0), Just(1), 0..200_u32], 0..40),
        out in prop::collection::hash_set(0..40_usize, 0..40),
        hash in any::<Option<u64>>(),
    ) {
        let ask = Ask { hash, sticky: Some(b"0123456789abcdef"), ..plain() };
        let possible = (0..weights.len()).any(|index| weights[index] > 0 && !out.contains(&index));
        for policy in ALL {
            let service = Service::new(policy, &weights);
            for _ in 0..20 {
                let pick = service.balancer.pick(&ask, &mut |index| !out.contains(&index));
                prop_assert_eq!(pick.is_some(), possible, "{:?}", policy);
                if let Some(pick) = pick {
                    prop_assert!(weights[pick.index] > 0 && !out.contains(&pick.index), "{:?}", policy);
                    service.loads[pick.index].begin().finish(Duration::from_millis(1), ask.now);
                }
            }
        }
    }

    #[test]
    fn an_endpoint_that_comes_takes_its_part_of_the_keys_and_moves_no_other(
        weights in prop::collection::vec(1..20_u32, 1..20),
        added in 1..20_u32,
    ) {
        const KEYS: u32 = 4000;
        let mut grown = weights.clone();
        grown.push(added);
        let [before, after] = [&weights, &grown].map(|weights| Service::new(Policy::Hash, weights));
        let mut moved = 0;
        for key in 0..KEYS {
            let ask = Ask { hash: Some(hash_bytes(&key.to_le_bytes())), ..plain() };
            let (old, new) = (before.pick(&ask), after.pick(&ask));
            if old != new {
                prop_assert_eq!(new, weights.len(), "key {} moved between endpoints that stayed", key);
                moved += 1;
            }
        }
        let expected = f64::from(added) / f64::from(grown.iter().sum::<u32>());
        let actual = f64::from(moved) / f64::from(KEYS);
        prop_assert!((actual - expected).abs() < 0.04, "{} moved, not {}", actual, expected);
    }
}
