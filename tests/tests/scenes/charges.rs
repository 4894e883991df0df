//! `charge` of a `rate_limit`: what requests cost by what their services answer.

use tollgate_tests::{Answer, Backend, Gateway, backend, gateway_with};

/// A service that says in its answer what the request's path names as its cost; nothing for `none`, and no answer for `gone`.
fn costly() -> Backend {
    backend(|call| {
        let cost = call.target().rsplit('/').next().unwrap_or_default().to_owned();
        match cost.as_str() {
            "none" => call.reply(200, "served"),
            "gone" => {}
            cost => call.reply_with(200, &format!("X-Cost: {cost}\r\n"), "served"),
        }
    })
}

fn gate_of(service: &Backend, limit: &str) -> Gateway {
    let config = "
workers: 2
listeners: [{ address: '127.0.0.1:0', trust_forwarded: { from: [127.0.0.1] } }]
services: { ai: <ai> }
defaults: { access: public, retry: off, timeout: { first_byte: 500ms } }
routes: [{ match: '/of/{cost}', to: ai, rate_limit: <limit> }]
";
    gateway_with(config, &[("ai", service), ("limit", &limit)])
}

/// What is left after a request that costs so much, or nothing where it is refused.
fn left(gate: &Gateway, cost: &str) -> Option<u64> {
    let answer = gate.get(&format!("/of/{cost}"));
    told(&answer).filter(|_| answer.status != 429)
}

fn told(answer: &Answer) -> Option<u64> {
    let left = answer.header("RateLimit")?.split("r=").nth(1)?;
    left.split(';').next()?.parse().ok()
}

const CHARGE: &str = "charge: \"response.headers['x-cost']\"";

#[test]
fn an_answer_says_what_its_request_cost() {
    let service = costly();
    for algorithm in ["token_bucket", "fixed_window", "sliding_window"] {
        let gate =
            gate_of(&service, &format!("{{ limit: 100/d, algorithm: {algorithm}, cost: '10', {CHARGE} }}"));
        for (cost, expected) in [
            ("30", Some(70)),
            // Less than it took at the start.
            ("5", Some(65)),
            ("0", Some(65)),
            ("2.5", Some(62)),
            // It cannot be told: what it took at the start stays.
            ("none", Some(52)),
            ("many", Some(42)),
            ("-1", Some(32)),
            ("gone", Some(22)),
            // More than there is: it is served, and owes.
            ("50", Some(0)),
            ("1", None),
        ] {
            assert_eq!(left(&gate, cost), expected, "{algorithm}: {cost}");
        }
        let answer = gate.get("/of/1").expect(429);
        answer.expect_refusal("rate_limited");
        assert_eq!(told(&answer), Some(0));
    }
    // Nobody's header is taken away.
    let gate = gate_of(&service, &format!("{{ limit: 100/d, {CHARGE} }}"));
    assert_eq!(gate.get("/of/7").expect(200).header("X-Cost"), Some("7"));
}

#[test]
fn what_costs_nothing_in_the_end_uses_up_nothing() {
    let service = costly();
    let gate = gate_of(&service, &format!("{{ limit: 1/m, {CHARGE} }}"));
    for _ in 0..5 {
        assert_eq!(left(&gate, "0"), Some(1));
    }
    assert_eq!([left(&gate, "1"), left(&gate, "0")], [Some(0), None]);
}

#[test]
fn a_caller_owes_one_bucket_at_most() {
    let service = costly();
    let gate = gate_of(&service, &format!("{{ limit: 100/h, {CHARGE} }}"));
    assert_eq!(left(&gate, "1000000"), Some(0));
    let refused = gate.get("/of/1").expect(429);
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    // An hour for what it owes, and 36 seconds for the token that it wants.
    assert!((3630..=3636).contains(&wait), "{wait}");
}

#[test]
fn each_of_several_limits_is_charged_as_it_says_and_the_least_is_told() {
    let service = costly();
    let gate = gate_of(
        &service,
        &format!(
            "[ {{ limit: 100/h, cost: '90', {CHARGE} }}, {{ limit: 20/h, by: global }}, {{ limit: 50/d, by: route, {CHARGE} }} ]"
        ),
    );
    let told = |cost: &str| {
        let answer = gate.get(&format!("/of/{cost}"));
        (answer.status, answer.header("RateLimit").unwrap().split(";t=").next().unwrap().to_owned())
    };
    // At the start the first had the least; after the answer it has more than the second.
    assert_eq!(told("1"), (200, "\"global\";r=19".to_owned()));
    assert_eq!(told("45"), (200, "\"route\";r=4".to_owned()));
    // What is refused is not charged: 54 are left of the first, and it takes 90 at the start.
    assert_eq!(told("1"), (429, "\"ip\";r=54".to_owned()));
    let other = gate.ask("GET", "/of/2").header("X-Forwarded-For", "192.0.2.1").send().expect(200);
    assert!(other.header("RateLimit").unwrap().starts_with("\"route\";r=2;"), "{other:?}");
}

#[test]
fn a_plan_may_charge_by_answers_too_and_a_policy_may_hide_them() {
    let service = costly();
    let gate = gateway_with(
        "
services: { ai: <ai> }
auth: { keys: { api_key: {} } }
plans: { free: { rate_limit: { limit: 100/d, charge: \"response.status == 200 ? int(response.headers['x-cost']) * 2 : 0\" } } }
apps: { web: { plan: free, keys: [ { id: web, secret: 0123456789abcdef } ] } }
routes:
  - { match: '/of/{cost}', to: ai, access: keys, rate_limit: { limit: 10/s, headers: false }, response: { headers: { remove: [X-Cost] } } }
",
        &[("ai", &service)],
    );
    let ask = |cost: &str| {
        let ask = gate.ask("GET", &format!("/of/{cost}"));
        ask.header("X-API-Key", "web.0123456789abcdef").send()
    };
    for (cost, expected) in [("20", 60), ("5", 50), ("none", 49)] {
        let answer = ask(cost).expect(200);
        assert_eq!((told(&answer), answer.header("X-Cost")), (Some(expected), None), "{cost}");
    }
}
