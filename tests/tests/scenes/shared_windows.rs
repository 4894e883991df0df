//! `rate_limit` with `shared`, whatever the algorithm and whatever requests cost: two gateways count as one would.
//!
//! Limits by the day do not turn while a scene runs; for what turns there are those by the second.

use tollgate_tests::limits::{DAY, admitted, decided, expect_about, number, sharing, unix, until_midnight};
use tollgate_tests::{Gateway, Redis, eventually, gateway, redis, redis_cli};

fn with(store: &Redis, cluster: &str, routes: &str) -> String {
    sharing(format_args!("redis://{}", store.address()), cluster, &format!("routes:\n{routes}"))
}

/// Two gateways with one Redis.
fn fleet(store: &Redis, routes: &str) -> [Gateway; 2] {
    [(); 2].map(|()| gateway(with(store, "timeout: 2s", routes)))
}

/// A limit of each way to count, by its path: how many a day there may be.
const EACH: [(&str, &str, usize); 4] = [
    ("/bucket", "limit: 12/d", 12),
    ("/fixed", "limit: 12/d, algorithm: fixed_window", 12),
    ("/log", "limit: 12/d, algorithm: sliding_window", 12),
    ("/counts", "limit: 20/d, algorithm: sliding_window", 20),
];

fn routes_of_each(more: &str) -> String {
    let route = |(path, limit, _)| {
        format!("  - {{ match: {path}, respond: 200, rate_limit: {{ {limit}, by: global, {more} }} }}\n")
    };
    EACH.map(route).concat()
}

#[test]
fn two_gateways_share_one_limit_by_every_algorithm() {
    let store = redis();
    let gates = fleet(&store, &routes_of_each("shared: true"));
    for (path, _, limit) in EACH {
        assert_eq!(admitted(&gates, path, 30), limit, "{path}");
    }
    // What stands there ends when it no longer counts: two counts when the day after this one ends.
    let keys = redis_cli(store.address(), &["--scan", "--pattern", "tg:limit:*"]);
    let left = |key| redis_cli(store.address(), &["PTTL", key]).parse::<u64>().unwrap() / 1000;
    let mut left: Vec<u64> = keys.lines().map(left).collect();
    left.sort_unstable();
    let mut expected = [DAY, until_midnight(), DAY, until_midnight() + DAY];
    expected.sort_unstable();
    assert_eq!(left.len(), expected.len(), "{keys}");
    left.into_iter().zip(expected).for_each(|(left, expected)| expect_about(left, expected));
}

#[test]
fn callers_are_told_by_every_algorithm_what_the_fleet_has_left() {
    let store = redis();
    let gates = fleet(&store, &routes_of_each("shared: true"));
    for (path, _, limit) in EACH {
        let second = DAY / limit as u64;
        let (full_in, wait) = match path {
            "/bucket" => (second, second),
            "/fixed" => (until_midnight(), until_midnight()),
            "/log" => (DAY, DAY),
            _ => (until_midnight() + DAY, until_midnight() + DAY / limit as u64),
        };
        let first = gates[0].get(path).expect(200);
        assert!(first.header("RateLimit").unwrap().starts_with(&format!("\"global\";r={};t=", limit - 1)));
        expect_about(number(&first, "RateLimit"), full_in);
        assert_eq!(admitted(&gates, path, limit), limit - 1, "{path}");
        let refused = gates[1].get(path).expect(429);
        refused.expect_refusal("rate_limited");
        assert!(refused.header("RateLimit").unwrap().starts_with("\"global\";r=0;t="), "{refused:?}");
        expect_about(number(&refused, "Retry-After"), wait);
    }
}

#[test]
fn what_was_used_of_a_window_outlives_gateways_and_reloads() {
    let store = redis();
    let routes = routes_of_each("shared: true");
    let gates = fleet(&store, &routes);
    for (path, ..) in EACH {
        assert_eq!(admitted(&gates, path, 10), 10);
    }
    drop(gates);
    let gates = fleet(&store, &routes);
    for (path, _, limit) in EACH {
        assert_eq!(admitted(&gates, path, 1), 1);
        let left = limit - 11;
        gates[0].expect_reload(|| {
            gates[0].replace_config(&with(&store, "timeout: 2s", &format!("{routes}  # {path}\n")));
        });
        assert_eq!(admitted(&gates, path, 20), left, "{path}");
    }
    // With other numbers what was counted counts; another algorithm begins anew.
    for (limit, left) in [
        ("limit: 15/d, algorithm: fixed_window", 3),
        ("limit: 10/d, algorithm: fixed_window", 0),
        ("limit: 30/d, algorithm: sliding_window", 30),
    ] {
        let route = format!(
            "  - {{ match: /fixed, respond: 200, rate_limit: {{ {limit}, by: global, shared: true }} }}"
        );
        gates[0].expect_reload(|| gates[0].replace_config(&with(&store, "timeout: 2s", &route)));
        assert_eq!(admitted(&gates[..1], "/fixed", 40), left, "{limit}");
    }
}

#[test]
fn requests_take_what_they_cost_of_the_fleet() {
    let store = redis();
    let cost = "cost: 'int(request.headers[\"x-units\"])'";
    let gates = fleet(&store, &routes_of_each(&format!("{cost}, shared: true")));
    for (path, _, limit) in EACH {
        let ask = |gate: usize, units: usize| {
            gates[gate].ask("GET", path).header("X-Units", &units.to_string()).send().status
        };
        let rest = limit - 9;
        assert_eq!(
            [ask(0, 4), ask(1, 5), ask(0, rest + 1), ask(1, rest + 1)],
            [200, 200, 429, 429],
            "{path}"
        );
        assert_eq!([ask(0, 0), ask(1, rest - 1), ask(0, 2), ask(1, 1), ask(0, 1)], [200, 200, 429, 200, 429]);
        assert_eq!(ask(1, 0), 200, "the limit is not for it");
    }
    redis_cli(store.address(), &["FLUSHALL"]);
    for (path, ..) in EACH {
        // What costs more than there ever is takes all of it.
        let ask = |units: &str| gates[0].ask("GET", path).header("X-Units", units).send().status;
        assert_eq!([ask("1000"), ask("1")], [200, 429], "{path}");
    }
}

#[test]
fn a_fast_limit_gives_what_requests_cost_and_asks_redis_for_what_is_more_than_it_holds() {
    let store = redis();
    let limit = "limit: 200/d, by: global, cost: 'int(request.headers[\"x-units\"])', shared: fast";
    let gates = fleet(&store, &format!("  - {{ match: /x, respond: 200, rate_limit: {{ {limit} }} }}"));
    let ask =
        |gate: usize, units: u64| gates[gate].ask("GET", "/x").header("X-Units", &units.to_string()).send();
    let first = ask(0, 7).expect(200);
    assert!(first.header("RateLimit").unwrap().starts_with("\"global\";r=193;"), "{first:?}");
    let decided = |by: &str| decided(&gates[0], by);
    eventually("a lease has decided", || decided("lease") > 0.5);
    ask(0, 100).expect(200);
    eventually("Redis has decided", || decided("redis") > 0.5);
    let mut used = 107;
    for number in 0..60 {
        let units = 1 + number % 9;
        used += if ask(number as usize % 2, units).status == 200 { units } else { 0 };
        assert!(used <= 200, "{used}");
    }
    eventually("what one gateway holds comes back for the other", || {
        used += u64::from(ask(1, 1).status == 200);
        used == 200
    });
    assert_eq!([ask(0, 1).status, ask(1, 1).status], [429, 429]);
}

#[test]
fn limits_of_different_algorithms_admit_together_or_not_at_all() {
    let store = redis();
    let gates = fleet(
        &store,
        "
  - match: /x
    respond: 200
    rate_limit:
      - { limit: 7/d, by: 'header:X-A', algorithm: fixed_window, shared: true }
      - { limit: 6/d, by: 'header:X-B', algorithm: sliding_window, shared: true }
      - { limit: 25/d, by: 'header:X-C', algorithm: sliding_window, shared: true }
      - { limit: 2/d, by: ip, shared: true }
",
    );
    let ask = |number: usize, a: &str, b: &str, c: &str| {
        let client = format!("192.0.2.{}", number / 4);
        let ask = gates[number % 2].ask("GET", "/x").header("X-Forwarded-For", &client);
        ask.header("X-A", a).header("X-B", b).header("X-C", c).send().status == 200
    };
    // Two of every four go past the last of them, and the others charge nobody.
    let served = |from: usize, a: &str, b: &str, c: &str| {
        (from..from + 100).filter(|number| ask(*number, a, b, c)).count()
    };
    assert_eq!(served(0, "1", "1", "1"), 6, "what the sliding window has");
    assert_eq!(served(100, "1", "2", "1"), 1, "what the fixed window has left");
    for tenant in ["3", "4", "5"] {
        assert_eq!(served(200, tenant, tenant, "1"), 6, "{tenant}");
        redis_cli(store.address(), &["EVAL", FORGET_BUCKETS, "0"]);
    }
    assert_eq!(served(300, "6", "6", "1"), 0, "the two counts have 25, and there were 25");
}

/// What is kept of buckets begins with a longer number than any time of a window.
const FORGET_BUCKETS: &str = "for _, key in ipairs(redis.call('KEYS', 'tg:limit:*')) do \
     if string.match(redis.call('GET', key), '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d ') then redis.call('DEL', key) end end";

#[test]
fn a_line_stands_beside_shared_limits_and_takes_nothing_of_them_when_it_is_full() {
    let store = redis();
    let gates = fleet(
        &store,
        "
  - match: /x
    respond: 200
    rate_limit:
      - { limit: 3/d, by: 'header:X-Tenant', algorithm: sliding_window, shared: true }
      - { limit: 2/s, algorithm: leaky_bucket, queue: 1 }
",
    );
    let ask = |gate: usize, client: &str| {
        let ask = gates[gate].ask("GET", "/x").header("X-Tenant", "1");
        ask.header("X-Forwarded-For", client).send()
    };
    let began = unix();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(move || ask(0, "192.0.2.1").status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // One goes, one waits half a second for it, and others find the line full.
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2, "{statuses:?}");
    assert!(unix() - began > 0.4);
    ask(1, "192.0.2.2").expect(200);
    let refused = ask(1, "192.0.2.3").expect(429);
    assert!(
        refused.expect_refusal("rate_limited")["detail"].as_str().unwrap().contains("(3/d)"),
        "{refused:?}"
    );
}

#[test]
fn without_redis_each_gateway_allows_its_part_of_a_window() {
    let mut store = redis();
    let routes = routes_of_each("shared: true");
    let gate = [gateway(with(&store, "timeout: 200ms, gateways: 4", &routes))];
    assert_eq!(gate[0].get("/log").status, 200);
    store.kill();
    for (path, _, limit) in EACH {
        // What Redis has counted counts.
        let used = usize::from(path == "/log");
        assert_eq!(admitted(&gate, path, 12), limit / 4 - used, "{path}");
    }
    store.revive();
    let is_up = || gate[0].metrics().sum("tollgate_redis_up", &[]) > 0.5;
    eventually("Redis is in use again", is_up);
    for (path, _, limit) in EACH {
        assert_eq!(admitted(&gate, path, 30), limit, "{path}: it has come back empty");
    }
}

#[test]
fn each_gateway_allows_one_at_least() {
    let mut store = redis();
    let limit = "limit: 2/d, algorithm: sliding_window, cost: '2', by: global, shared: true";
    let routes = format!("  - {{ match: /x, respond: 200, rate_limit: {{ {limit} }} }}");
    let gate = [gateway(with(&store, "timeout: 200ms, gateways: 9", &routes))];
    gate[0].get("/x").expect(200);
    gate[0].get("/x").expect(429);
    store.kill();
    assert_eq!(admitted(&gate, "/x", 3), 0, "it has had its part");
    store.revive();
    let fresh = [gateway(with(&store, "timeout: 200ms, gateways: 9", &routes))];
    store.kill();
    // What costs more than the part takes all of it.
    assert_eq!(admitted(&fresh, "/x", 3), 1);
}

/// A request that was let through: between when and when.
struct Admitted {
    sent: f64,
    answered: f64,
}

/// What is let through of requests that come without a pause for so many seconds.
fn admitted_for(gates: &[Gateway], seconds: f64) -> Vec<Admitted> {
    let end = unix() + seconds;
    let mut admitted = Vec::new();
    for gate in gates.iter().cycle() {
        let sent = unix();
        if sent > end {
            break;
        }
        if gate.get("/x").status == 200 {
            admitted.push(Admitted { sent, answered: unix() });
        }
    }
    admitted
}

#[test]
fn each_second_of_redis_is_a_fixed_window() {
    let store = redis();
    let limit = "limit: 5/s, algorithm: fixed_window, by: global, shared: true";
    let gates = fleet(&store, &format!("  - {{ match: /x, respond: 200, rate_limit: {{ {limit} }} }}"));
    let admitted = admitted_for(&gates, 3.2);
    let first = admitted[0].sent.floor() as u64;
    for second in first + 1..first + 3 {
        let (begin, end) = (second as f64, (second + 1) as f64);
        let surely = admitted.iter().filter(|one| one.sent > begin && one.answered < end);
        let perhaps = admitted.iter().filter(|one| one.answered > begin && one.sent < end);
        assert!(surely.count() <= 5 && perhaps.count() >= 5, "second {second}");
    }
}

#[test]
fn no_second_has_more_than_a_sliding_window_allows_the_fleet() {
    let store = redis();
    let limit = "limit: 5/s, algorithm: sliding_window, by: global, shared: true";
    let gates = fleet(&store, &format!("  - {{ match: /x, respond: 200, rate_limit: {{ {limit} }} }}"));
    let admitted = admitted_for(&gates, 3.2);
    assert!(admitted.len() >= 15, "{}", admitted.len());
    for pair in admitted.windows(6) {
        assert!(pair[5].answered - pair[0].sent >= 1.0, "six in a second");
    }
}
