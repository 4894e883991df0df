//! `throttle` and `spike`: requests that come too fast are held up, or refused.

use std::time::{Duration, Instant};

use tollgate_tests::{Backend, Gateway, Wire, eventually, gateway_with, hello, tollgate};

fn config(policies: &str, lines: &str) -> String {
    format!(
        "
workers: 2
services: {{ users: <users> }}
defaults: {{ access: public, {policies} }}
routes:
  - {{ match: '/{{rest...}}', to: users }}
{lines}
"
    )
}

fn gate_with(service: &Backend, policies: &str, lines: &str) -> Gateway {
    gateway_with(&config(policies, lines), &[("users", service)])
}

fn send(gate: &Gateway, target: &str) -> Wire {
    gate.send(gate.ask("GET", target).bytes())
}

fn waiting(gate: &Gateway) -> usize {
    gate.metrics().sum("tollgate_requests_waiting", &[]).round() as usize
}

/// Sends it, and waits until it waits.
fn held_up(gate: &Gateway, target: &str) -> Wire {
    let before = waiting(gate);
    let wire = send(gate, target);
    eventually("it waits", || waiting(gate) == before + 1);
    wire
}

/// Asks, and tells how long the answer took, which is one.
fn time_of(gate: &Gateway, target: &str) -> Duration {
    let began = Instant::now();
    gate.get(target).expect(200);
    began.elapsed()
}

/// So slow that nobody's time comes in a scene, and hardly anybody's longest wait is over.
const SLOW: &str = "throttle: { limit: 1/h, burst: 1, delay: 50s, queue: 2 }";

#[test]
fn who_is_too_fast_is_slowed_down_to_the_rate() {
    let service = hello();
    let gate = gate_with(&service, "throttle: { limit: 20/s, burst: 2, delay: 10s }", "");
    let began = Instant::now();
    for _ in 0..10 {
        let answer = gate.get("/x").expect(200);
        assert_eq!((answer.header("RateLimit"), answer.header("Retry-After")), (None, None));
    }
    // Two at once, and one each 50 ms.
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    eventually("the waits are counted", || {
        gate.metrics().sum("tollgate_requests_waited_total", &[]) > 6.5 && waiting(&gate) == 0
    });
    assert!(gate.metrics().sum("tollgate_requests_waited_seconds_total", &[]) > 0.2);
}

#[test]
fn many_at_once_go_on_evenly() {
    const INTERVAL: Duration = Duration::from_millis(40);
    let service = hello();
    let gate = gate_with(&service, "throttle: { limit: 25/s, burst: 1, delay: 10s }", "");
    let began = Instant::now();
    let mut wires: Vec<Wire> = (0..12).map(|_| send(&gate, "/x")).collect();
    let mut times: Vec<Duration> = wires
        .iter_mut()
        .map(|wire| {
            wire.answer().expect(200);
            began.elapsed()
        })
        .collect();
    times.sort();
    assert!(*times.last().unwrap() >= INTERVAL * 11, "{times:?}");
}

#[test]
fn nobody_is_held_up_for_longer_than_the_delay_and_nobody_refused() {
    let service = hello();
    let gate = gate_with(&service, "throttle: { limit: 1/h, burst: 1, delay: 100ms }", "");
    gate.get("/x").expect(200);
    for _ in 0..3 {
        let time = time_of(&gate, "/x");
        assert!(time >= Duration::from_millis(100), "{time:?}");
    }
    let mut wires: Vec<Wire> = (0..30).map(|_| send(&gate, "/x")).collect();
    for wire in &mut wires {
        wire.answer().expect(200);
    }
}

#[test]
fn no_more_wait_than_may_and_who_leaves_makes_room() {
    let service = hello();
    let gate = gate_with(&service, SLOW, "");
    gate.get("/x").expect(200);
    let first = held_up(&gate, "/x");
    let second = held_up(&gate, "/x");
    for _ in 0..3 {
        let refused = gate.get("/x").expect(429).expect_header("Retry-After", "50");
        let problem = refused.expect_refusal("throttle_full");
        assert_eq!(problem["stage"], "limit");
        assert!(problem["detail"].as_str().unwrap().contains("as many wait as may (2)"), "{problem}");
    }
    first.reset();
    eventually("it has left", || waiting(&gate) == 1);
    drop(held_up(&gate, "/x"));
    drop(second);
    eventually("all have left", || waiting(&gate) == 0);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn who_is_slow_does_not_wait_for_who_is_fast() {
    let service = hello();
    let gate = gate_with(
        &service,
        "throttle: { limit: 1/h, burst: 1, delay: 50s, by: 'header:X-App' }",
        "  - { match: /free, to: users, throttle: off }
  - { match: /some, to: users, throttle: { limit: 1/h, burst: 1, delay: 50s, when: \"request.method == 'POST'\" } }",
    );
    let by = |app: &str| gate.ask("GET", "/x").header("X-App", app);
    by("a").send().expect(200);
    let waits = gate.send(by("a").bytes());
    eventually("it waits", || waiting(&gate) == 1);
    by("b").send().expect(200);
    for target in ["/free", "/free", "/some", "/some"] {
        gate.get(target).expect(200);
    }
    waits.reset();
}

#[test]
fn a_reload_keeps_what_is_owed_and_who_waits() {
    let service = hello();
    let gate = gate_with(&service, SLOW, "");
    gate.get("/x").expect(200);
    let waits = held_up(&gate, "/x");
    let next = config("throttle: { limit: 2/h, burst: 1, delay: 50s, queue: 1 }", "");
    gate.expect_reload(|| gate.replace_config(&next.replace("<users>", &service.to_string())));
    gate.get("/x").expect(429);
    waits.reset();
    eventually("it has left", || waiting(&gate) == 0);
    held_up(&gate, "/x").reset();
}

#[test]
fn a_burst_is_refused_and_costs_nothing_of_other_limits() {
    let service = hello();
    let gate = gate_with(
        &service,
        "spike: { limit: 10/h, by: 'header:X-App' }, rate_limit: { limit: 2/h, by: global }",
        "  - { match: /free, to: users, spike: off, rate_limit: off }",
    );
    let by = |app: &str| gate.ask("GET", "/x").header("X-App", app).send();
    assert!(by("a").expect(200).header("RateLimit").unwrap().starts_with("\"global\";r=1;"));
    for _ in 0..5 {
        let refused = by("a").expect(429);
        let problem = refused.expect_refusal("spike_arrested");
        assert_eq!(problem["stage"], "limit");
        assert!(problem["detail"].as_str().unwrap().contains("10/h, and 1 at a time"), "{problem}");
        assert_eq!((refused.header("RateLimit"), refused.header("RateLimit-Policy")), (None, None));
        let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
        assert!((300..=360).contains(&wait), "{wait}");
    }
    assert!(by("b").expect(200).header("RateLimit").unwrap().starts_with("\"global\";r=0;"));
    by("c").expect(429).expect_refusal("rate_limited");
    gate.get("/free").expect(200);
    gate.get("/free").expect(200);
}

#[test]
fn a_spike_is_arrested_for_each_route_over_all_workers_and_reloads() {
    let service = hello();
    // Six at once, and one each ten seconds.
    let policies = "spike: { limit: 360/h, smooth: 60s }";
    let gate = gate_with(&service, policies, "  - { match: /other, to: users }");
    let went = (0..30).filter(|_| gate.get("/x").status == 200).count();
    assert_eq!(went, 6);
    gate.get("/other").expect(200);
    let next = config(&policies.replace("360", "361"), "  - { match: /other, to: users }");
    gate.expect_reload(|| gate.replace_config(&next.replace("<users>", &service.to_string())));
    gate.get("/x").expect(429).expect_refusal("spike_arrested");
    gate.get("/other").expect(200);
}

#[test]
fn explain_tells_of_both() {
    let service = hello();
    let policies = "spike: 100/s, throttle: { limit: 10/s, burst: 20, delay: 2s }";
    let gate = gate_with(&service, policies, "");
    let config = gate.config_file();
    let said = tollgate(&["explain", "GET", "/x", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    for line in [
        "limit      spike: 100/s by route, 10 at once",
        "limit      throttle: 10/s by ip, burst 20, beyond it 1000 wait for up to 2s",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
