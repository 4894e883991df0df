//! `rate_limit` by windows: what is let through in each, and what callers are told of it.
//!
//! Limits by the day do not turn while a scene runs; for what turns there are those by the second.

use tollgate_tests::limits::{DAY, expect_about, number, unix, until_midnight};
use tollgate_tests::{Gateway, gateway, gateway_with, hello, tollgate};

fn gate_of(limit: &str) -> Gateway {
    gateway(with(limit))
}

fn with(limit: &str) -> String {
    format!("routes: [{{ match: /x, respond: 200, access: public, rate_limit: {limit} }}]")
}

/// Statuses of so many requests.
fn statuses(gate: &Gateway, count: usize) -> Vec<u16> {
    (0..count).map(|_| gate.get("/x").status).collect()
}

/// How many of a hundred requests are let through.
fn served(gate: &Gateway) -> usize {
    statuses(gate, 100).into_iter().filter(|status| *status == 200).count()
}

#[test]
fn a_fixed_window_ends_when_the_clock_says_so() {
    let gate = gate_of("{ limit: 3/d, algorithm: fixed_window }");
    for left in [2, 1, 0] {
        let answer = gate.get("/x").expect(200).expect_header("RateLimit-Policy", "\"ip\";q=3;w=86400");
        assert!(answer.header("RateLimit").unwrap().starts_with(&format!("\"ip\";r={left};t=")));
        expect_about(number(&answer, "RateLimit"), until_midnight());
    }
    let refused = gate.get("/x").expect(429);
    assert!(refused.expect_refusal("rate_limited")["detail"].as_str().unwrap().contains("(3/d)"));
    assert!(refused.header("RateLimit").unwrap().starts_with("\"ip\";r=0;t="));
    expect_about(number(&refused, "RateLimit"), until_midnight());
    expect_about(number(&refused, "Retry-After"), until_midnight());
}

#[test]
fn a_sliding_window_of_a_few_gives_each_request_back_when_it_is_old() {
    let gate = gate_of("{ limit: 3/d, algorithm: sliding_window }");
    for left in [2, 1, 0] {
        let answer = gate.get("/x").expect(200).expect_header("RateLimit-Policy", "\"ip\";q=3;w=86400");
        answer.expect_header("RateLimit", &format!("\"ip\";r={left};t=86400"));
    }
    let refused = gate.get("/x").expect(429);
    assert!(refused.header("RateLimit").unwrap().starts_with("\"ip\";r=0;t="));
    expect_about(number(&refused, "RateLimit"), DAY);
    expect_about(number(&refused, "Retry-After"), DAY);
}

#[test]
fn a_sliding_window_of_many_gives_them_back_evenly_in_the_next() {
    let gate = gate_of("{ limit: 20/d, algorithm: sliding_window }");
    let first = gate.get("/x").expect(200).expect_header("RateLimit-Policy", "\"ip\";q=20;w=86400");
    assert!(first.header("RateLimit").unwrap().starts_with("\"ip\";r=19;t="));
    // What today counted weighs until tomorrow ends.
    expect_about(number(&first, "RateLimit"), until_midnight() + DAY);
    assert_eq!(served(&gate), 19);
    let refused = gate.get("/x").expect(429);
    expect_about(number(&refused, "RateLimit"), until_midnight() + DAY);
    // Tomorrow a twentieth of them is gone after a twentieth of the day.
    expect_about(number(&refused, "Retry-After"), until_midnight() + DAY / 20);
}

#[test]
fn all_workers_count_together_by_every_rule() {
    for algorithm in ["fixed_window", "sliding_window"] {
        for limit in [15, 40] {
            let limit = format!("{{ limit: {limit}/d, algorithm: {algorithm} }}");
            let gate = gateway(format!("workers: 2\n{}", with(&limit)));
            // Each connection goes to whichever worker the kernel chooses.
            assert_eq!(served(&gate), if limit.contains("15") { 15 } else { 40 }, "{limit}");
        }
    }
}

#[test]
fn limits_of_different_rules_admit_together_or_not_at_all() {
    let gate = gateway(
        "
listeners: [{ address: '127.0.0.1:0', trust_forwarded: { from: [127.0.0.1] } }]
routes:
  - match: /x
    respond: 200
    access: public
    rate_limit:
      - { limit: 7/d, by: 'header:X-A', algorithm: fixed_window }
      - { limit: 6/d, by: 'header:X-B', algorithm: sliding_window }
      - { limit: 25/d, by: 'header:X-C', algorithm: sliding_window }
      - { limit: 2/d, by: ip }
",
    );
    let ask = |a: &str, b: &str, c: &str, client: &str| {
        let ask = gate.ask("GET", "/x").header("X-A", a).header("X-B", b).header("X-C", c);
        ask.header("X-Forwarded-For", client).send()
    };
    let first = ask("1", "1", "1", "192.0.2.1").expect(200);
    let policy =
        "\"header\";q=7;w=86400, \"header-2\";q=6;w=86400, \"header-3\";q=25;w=86400, \"ip\";q=2;w=86400";
    let first = first.expect_header("RateLimit-Policy", policy);
    assert!(first.header("RateLimit").unwrap().starts_with("\"ip\";r=1;t="), "{first:?}");
    ask("1", "1", "1", "192.0.2.1").expect(200);
    // The last of them refuses, and the others are not charged.
    (0..20).for_each(|_| drop(ask("1", "1", "1", "192.0.2.1").expect(429)));
    let served = |a: &str, b: &str, c: &str, first: usize| {
        let clients = (first..first + 50).map(|client| format!("192.0.2.{client}"));
        clients.filter(|client| ask(a, b, c, client).status == 200).count()
    };
    assert_eq!(served("1", "1", "1", 10), 4, "what the sliding window has left");
    assert_eq!(served("1", "2", "1", 10), 1, "what the fixed window has left");
    assert_eq!(served("2", "3", "1", 60), 6);
    assert_eq!(served("3", "4", "1", 60), 6);
    assert_eq!(served("4", "5", "1", 60), 6);
    assert_eq!(served("5", "6", "1", 60), 0, "the two counts have 25, and there were 25");
}

#[test]
fn a_reload_keeps_the_counts_whatever_the_numbers_and_begins_anew_with_another_algorithm() {
    let gate = gate_of("{ limit: 4/d, algorithm: fixed_window }");
    let reload = |limit: &str| gate.expect_reload(|| gate.replace_config(&with(limit)));
    assert_eq!(served(&gate), 4);
    for (limit, expected) in [
        ("{ limit: 4/d, algorithm: fixed_window, headers: false }", 0),
        ("{ limit: 6/d, algorithm: fixed_window }", 2),
        ("{ limit: 3/d, algorithm: fixed_window }", 0),
        ("{ limit: 3/d, algorithm: sliding_window }", 3),
        ("{ limit: 9/d, algorithm: sliding_window }", 6),
        ("{ limit: 7/d, algorithm: sliding_window }", 0),
        ("{ limit: 20/d, algorithm: sliding_window }", 20),
        ("{ limit: 50/d, algorithm: sliding_window }", 30),
        ("{ limit: 40/d, algorithm: sliding_window }", 0),
        ("{ limit: 4/d }", 4),
        // What the window of the day has counted is still there.
        ("{ limit: 7/d, algorithm: fixed_window }", 1),
        ("{ limit: 7/h, algorithm: fixed_window }", 7),
    ] {
        reload(limit);
        assert_eq!(served(&gate), expected, "{limit}");
    }
}

/// A request that was let through: between when and when.
struct Admitted {
    sent: f64,
    answered: f64,
}

/// What is let through of requests that come without a pause for so many seconds.
fn admitted(gate: &Gateway, seconds: f64) -> Vec<Admitted> {
    let end = unix() + seconds;
    let mut admitted = Vec::new();
    while unix() < end {
        let sent = unix();
        if gate.get("/x").status == 200 {
            admitted.push(Admitted { sent, answered: unix() });
        }
    }
    admitted
}

/// Seconds by which the gateway's clock may be behind this one: it is read when a worker wakes, and knows milliseconds of the time.
const LATE: f64 = 0.01;

#[test]
fn each_second_of_the_clock_is_a_fixed_window() {
    let gate = gate_of("{ limit: 5/s, algorithm: fixed_window }");
    let admitted = admitted(&gate, 3.2);
    let first = admitted[0].sent.floor() as u64;
    for second in first + 1..first + 3 {
        let (begin, end) = (second as f64, (second + 1) as f64);
        let surely = admitted.iter().filter(|one| one.sent > begin + LATE && one.answered < end);
        let perhaps = admitted.iter().filter(|one| one.answered > begin && one.sent < end + LATE);
        assert!(surely.count() <= 5 && perhaps.count() >= 5, "second {second}");
    }
}

#[test]
fn no_second_has_more_than_a_sliding_window_allows_and_none_less() {
    let gate = gate_of("{ limit: 5/s, algorithm: sliding_window }");
    let admitted = admitted(&gate, 3.2);
    assert!(admitted.len() >= 15, "{}", admitted.len());
    for pair in admitted.windows(6) {
        let (first, sixth) = (&pair[0], &pair[5]);
        assert!(sixth.answered - first.sent >= 1.0 - LATE, "six in a second");
    }
}

#[test]
fn who_waits_as_told_is_let_in_by_every_rule() {
    for (algorithm, limit) in [("fixed_window", 2), ("sliding_window", 2), ("sliding_window", 17)] {
        let limit = format!("{{ limit: {limit}/s, algorithm: {algorithm} }}");
        let gate = gateway(format!(
            "
defaults: {{ access: public }}
routes:
  - {{ match: /x, respond: 200, rate_limit: {limit} }}
  - {{ match: /other, respond: 200 }}
"
        ));
        let mut wait = None;
        while wait.is_none() {
            let answer = gate.get("/x");
            wait = (answer.status == 429).then(|| number(&answer, "Retry-After"));
        }
        let refused_at = unix();
        // At most as long as two counts of a window matter.
        assert!((1..=2).contains(&wait.unwrap()), "{wait:?}");
        while unix() < refused_at + wait.unwrap() as f64 {
            gate.get("/other").expect(200);
        }
        gate.get("/x").expect(200);
    }
}

#[test]
fn explain_tells_how_is_counted() {
    let users = hello();
    let gate = gateway_with(
        "
services: { users: <users> }
defaults: { access: public }
routes:
  - match: /x
    to: users
    rate_limit:
      - { limit: 100/m, algorithm: fixed_window }
      - { limit: 16/d, algorithm: sliding_window }
      - { limit: 17/d, algorithm: sliding_window, by: global }
",
        &[("users", &users)],
    );
    let config = gate.config_file();
    let said = tollgate(&["explain", "GET", "/x", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    let expected = "limit      rate_limit: 100/m by ip, fixed window; 16/d by ip, sliding window; 17/d by global, \
                    sliding window of two counts";
    assert!(said.contains(expected), "{said}");
}
