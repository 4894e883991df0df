//! `charge` of limits that gateways share: what one gateway hears of the cost of an answer, the others count.
//!
//! The fleet is told beside the answer, so that scenes wait for it.

use tollgate_tests::limits::{DAY, decided, expect_about, is_up, number, until_midnight};
use tollgate_tests::{Answer, Backend, Gateway, Redis, backend, eventually, gateway_with, redis, redis_cli};

/// A service that says in its answer what the request's path names as its cost.
fn costly() -> Backend {
    backend(|call| {
        let cost = call.target().rsplit('/').next().unwrap_or_default().to_owned();
        call.reply_with(200, &format!("X-Cost: {cost}\r\n"), "served");
    })
}

/// Two gateways with one Redis, and a route for each limit by its name.
fn fleet(store: &Redis, service: &Backend, limits: &[(&str, &str)]) -> [Gateway; 2] {
    let config = "
workers: 2
cluster: { redis: 'redis://<redis>', timeout: 2s, gateways: 2 }
services: { ai: <ai> }
defaults: { access: public }
routes:
<routes>
";
    let route = |(name, limit): &(&str, &str)| {
        format!(
            "  - {{ match: '/{name}/{{cost}}', to: ai, rate_limit: {{ {limit}, by: global, charge: \"response.headers['x-cost']\" }} }}\n"
        )
    };
    let routes: String = limits.iter().map(route).collect();
    [(); 2]
        .map(|()| gateway_with(config, &[("redis", &store.address()), ("ai", service), ("routes", &routes)]))
}

fn ask(gate: &Gateway, limit: &str, cost: u64) -> Answer {
    gate.get(&format!("/{limit}/{cost}"))
}

/// What is left by the word of an answer, nothing where it refuses.
fn left(answer: &Answer) -> Option<u64> {
    let left = answer.header("RateLimit")?.split("r=").nth(1)?;
    left.split(';').next()?.parse().ok().filter(|_| answer.status != 429)
}

/// Takes Redis away.
fn without_redis(store: &mut Redis, gate: &Gateway) {
    store.kill();
    eventually("Redis is gone", || !is_up(gate));
}

/// Waits until a gateway has so many left. What it asks costs nothing.
fn expect_left(gate: &Gateway, limit: &str, expected: u64) {
    eventually("the other gateway knows", || left(&ask(gate, limit, 0)) == Some(expected));
}

const EACH: [(&str, &str, u64); 4] = [
    ("bucket", "limit: 100/d, shared: true", 100),
    ("fixed", "limit: 100/d, algorithm: fixed_window, shared: true", 100),
    ("log", "limit: 14/d, algorithm: sliding_window, shared: true", 14),
    ("counts", "limit: 100/d, algorithm: sliding_window, shared: true", 100),
];

#[test]
fn what_an_answer_costs_at_one_gateway_is_missing_at_the_other() {
    let (store, service) = (redis(), costly());
    let gates = fleet(&store, &service, &EACH.map(|(name, limit, _)| (name, limit)));
    for (name, _, limit) in EACH {
        assert_eq!(left(&ask(&gates[0], name, 6)), Some(limit - 6), "{name}");
        expect_left(&gates[1], name, limit - 6);
        // More than there is: it is served, and the fleet owes.
        assert_eq!(left(&ask(&gates[1], name, 1000)), Some(0), "{name}");
        eventually("nothing is left", || ask(&gates[0], name, 1).status == 429);
        let refused = ask(&gates[1], name, 1).expect(429);
        refused.expect_refusal("rate_limited");
        let (wait, lasts) = match name {
            // A day for what is owed, and the time of one token.
            "bucket" => (DAY + DAY / 100, 2 * DAY),
            "fixed" => (until_midnight(), until_midnight()),
            "log" => (DAY, DAY),
            // Of two hundred so many count in the next day as are left of it, and more than half of it has to pass.
            _ => (until_midnight() + DAY / 2 + DAY / 200, until_midnight() + DAY),
        };
        expect_about(number(&refused, "Retry-After"), wait);
        let keys = redis_cli(store.address(), &["--scan", "--pattern", "tg:limit:*"]);
        let left: u64 = redis_cli(store.address(), &["PTTL", keys.trim()]).parse().unwrap();
        expect_about(left / 1000, lasts);
        redis_cli(store.address(), &["FLUSHALL"]);
    }
}

#[test]
fn what_was_too_much_at_the_start_comes_back_for_all() {
    let (store, service) = (redis(), costly());
    let limits = EACH.map(|(name, limit, _)| (name, format!("{limit}, cost: '8'")));
    let gates = fleet(&store, &service, &limits.each_ref().map(|(name, limit)| (*name, limit.as_str())));
    for (name, _, limit) in EACH {
        assert_eq!(left(&ask(&gates[0], name, 3)), Some(limit - 3), "{name}");
        expect_left(&gates[1], name, limit - 3);
        eventually("there is room for another", || ask(&gates[1], name, 2).status == 200);
        expect_left(&gates[0], name, limit - 5);
    }
}

#[test]
fn what_costs_nothing_uses_up_nothing_of_the_fleet() {
    let (store, service) = (redis(), costly());
    let gates = fleet(&store, &service, &[("one", "limit: 1/m, shared: true")]);
    for number in 0..4 {
        eventually("it is there again", || left(&ask(&gates[number % 2], "one", 0)) == Some(1));
    }
}

#[test]
fn a_fast_limit_is_charged_from_what_its_gateway_holds() {
    let (store, service) = (redis(), costly());
    let gates = fleet(
        &store,
        &service,
        &[("dear", "limit: 1000/d, shared: fast"), ("cheap", "limit: 1000/d, cost: '50', shared: fast")],
    );
    // Seventeen cost more than there is; each gateway holds at most fifty then, which are gone with one request more.
    let served = (0..40).filter(|number| ask(&gates[number % 2], "dear", 60).status == 200).count();
    assert!((17..=20).contains(&served), "{served}");
    // Of fifty forty-nine come back each time: all but for what the two may hold.
    let served = (0..600).filter(|number| ask(&gates[number % 2], "cheap", 1).status == 200).count();
    assert_eq!(served, 600);
    assert!(gates.iter().all(|gate| decided(gate, "lease") > 200.0));
}

#[test]
fn without_redis_a_gateway_charges_its_part() {
    let (mut store, service) = (redis(), costly());
    let gates = fleet(&store, &service, &[("bucket", EACH[0].1)]);
    // Of its part, fifty, what Redis has counted is used already.
    assert_eq!(left(&ask(&gates[0], "bucket", 20)), Some(80));
    expect_left(&gates[1], "bucket", 80);
    without_redis(&mut store, &gates[0]);
    assert_eq!(left(&ask(&gates[0], "bucket", 10)), Some(20));
    assert_eq!(left(&ask(&gates[0], "bucket", 30)), Some(0));
    let refused = ask(&gates[0], "bucket", 1).expect(429);
    // It owes ten, of fifty a day, and wants one.
    let wait = number(&refused, "Retry-After");
    assert!((18_900..=19_008).contains(&wait), "{wait}");
}

#[test]
fn who_had_more_than_a_gateways_part_owes_nothing_when_redis_goes() {
    let (mut store, service) = (redis(), costly());
    let gates = fleet(&store, &service, &[("bucket", EACH[0].1)]);
    assert_eq!(left(&ask(&gates[0], "bucket", 80)), Some(20));
    expect_left(&gates[1], "bucket", 20);
    without_redis(&mut store, &gates[0]);
    // Its part is used up, and the next token comes as soon as in an empty bucket of fifty a day.
    let wait = number(&ask(&gates[0], "bucket", 1).expect(429), "Retry-After");
    expect_about(wait, DAY / 50);
}
