//! `algorithm: leaky_bucket`: requests that go one by one, and wait in line for it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tollgate_tests::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, kind};
use tollgate_tests::{Backend, Gateway, Wire, backend, eventually, gateway_with, http2, tollgate};

/// A service that answers at once, and knows when it was asked for what.
struct Watched {
    service: Backend,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

fn watched() -> Watched {
    let asked: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let service = backend(move |call| {
        noted.lock().unwrap().push((call.target().to_owned(), Instant::now()));
        call.reply(200, "done");
    });
    Watched { service, asked }
}

impl Watched {
    fn has_seen(&self, target: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|(known, _)| known == target)
    }

    fn seen(&self, calls: usize) -> Vec<(String, Instant)> {
        eventually("calls come", || self.asked.lock().unwrap().len() >= calls);
        self.asked.lock().unwrap().clone()
    }
}

fn config(limit: &str, lines: &str) -> String {
    format!(
        "
workers: 2
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
services: {{ users: <users> }}
defaults: {{ access: public, rate_limit: {limit} }}
routes:
  - {{ match: '/{{rest...}}', to: users }}
{lines}
"
    )
}

fn gate_with(service: &Watched, limit: &str, lines: &str) -> Gateway {
    gateway_with(&config(limit, lines), &[("users", &service.service)])
}

fn send(gate: &Gateway, target: &str) -> Wire {
    gate.send(gate.ask("GET", target).bytes())
}

fn waiting(gate: &Gateway) -> usize {
    gate.metrics().sum("tollgate_requests_waiting", &[]).round() as usize
}

/// Requests that wait or have waited.
fn have_waited(gate: &Gateway) -> usize {
    waiting(gate) + gate.metrics().sum("tollgate_requests_waited_total", &[]).round() as usize
}

/// Sends it, and waits until it waits.
fn queue_up(gate: &Gateway, target: &str) -> Wire {
    let before = have_waited(gate);
    let wire = send(gate, target);
    eventually("it waits", || have_waited(gate) > before);
    wire
}

/// So slow that nobody's turn comes in a scene.
const SLOW: &str = "{ limit: 1/h, algorithm: leaky_bucket, queue: 50 }";

#[test]
fn fifty_wait_and_go_in_order_at_their_times() {
    const INTERVAL: Duration = Duration::from_millis(50);
    let service = watched();
    let gate = gate_with(&service, "{ limit: 20/s, algorithm: leaky_bucket, queue: 50 }", "");
    let mut client = Http2::connect(gate.address(), &[]);
    let began = Instant::now();
    // One goes at once; more than may wait are refused, fewer if somebody's turn comes in between.
    for number in 0..60 {
        client.open(&http2::get(&format!("/{number:02}")), END_HEADERS | END_STREAM);
    }
    let (mut answered, mut ended) = (0, 0);
    while ended < 60 {
        let frame = client.next_frame().unwrap();
        // An indexed `:status: 200` (RFC 7541, appendix A).
        answered += usize::from(frame.kind == kind::HEADERS && frame.payload.first() == Some(&0x88));
        let is_message = matches!(frame.kind, kind::HEADERS | kind::DATA);
        ended += usize::from(is_message && frame.flags & END_STREAM != 0);
    }
    assert!(answered >= 51, "{answered}");
    let seen = service.seen(answered);
    assert!(seen.is_sorted_by_key(|(target, _)| target.clone()), "{seen:?}");
    for (place, (target, at)) in (0..).zip(&seen) {
        assert!(*at - began >= INTERVAL * place, "{target} after {:?}", *at - began);
    }
    let seconds = gate.metrics().sum("tollgate_requests_waited_seconds_total", &[]);
    assert!(seconds > 50.0 * 51.0 / 2.0 * 0.05 - 1.0, "{seconds}");
}

#[test]
fn who_comes_first_goes_first_on_whatever_worker() {
    let service = watched();
    let gate = gate_with(&service, "{ limit: 5/s, algorithm: leaky_bucket, queue: 50 }", "");
    let mut wires: Vec<Wire> = Vec::new();
    for number in 0..12 {
        let before = have_waited(&gate);
        let target = format!("/{number:02}");
        // It goes to whichever worker the kernel chooses.
        wires.push(send(&gate, &target));
        eventually("it waits, or has gone", || service.has_seen(&target) || have_waited(&gate) > before);
    }
    for wire in &mut wires {
        wire.answer().expect(200);
    }
    let seen: Vec<String> = service.seen(12).into_iter().map(|(target, _)| target).collect();
    assert_eq!(seen, (0..12).map(|number| format!("/{number:02}")).collect::<Vec<_>>());
}

#[test]
fn who_finds_the_line_full_is_told_when_to_come_back() {
    let service = watched();
    let gate = gate_with(&service, SLOW, "");
    let first = gate.get("/0").expect(200);
    let policy = "\"ip\";q=51;w=183600";
    first.clone().expect_header("RateLimit-Policy", policy).expect_header("RateLimit", "\"ip\";r=50;t=3600");
    let mut client = Http2::connect(gate.address(), &[]);
    let streams: Vec<u32> =
        (0..50).map(|_| client.open(&http2::get("/x"), END_HEADERS | END_STREAM)).collect();
    eventually("all wait", || waiting(&gate) == 50);
    let refused = gate.get("/x").expect(429).expect_header("RateLimit-Policy", policy);
    let problem = refused.expect_refusal("rate_limited");
    assert!(problem["detail"].as_str().unwrap().contains("(1/h), and as many wait as may (50)"), "{problem}");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert!(refused.header("RateLimit").unwrap().starts_with("\"ip\";r=0;t=183"), "{refused:?}");
    // Who leaves frees a place, at once, and for one.
    client.send_frame(kind::RST_STREAM, 0, streams[20], &CANCEL.to_be_bytes());
    eventually("one has left", || waiting(&gate) == 49);
    let last = queue_up(&gate, "/x");
    gate.get("/x").expect(429);
    last.reset();
    eventually("it has left", || waiting(&gate) == 49);
    drop(client);
    eventually("all have left", || waiting(&gate) == 0);
    assert_eq!(service.seen(1).len(), 1);
}

#[test]
fn those_behind_move_up_when_somebody_leaves() {
    let service = watched();
    let gate =
        gate_with(&service, "{ limit: 2/s, algorithm: leaky_bucket, queue: 5, by: 'header:X-Line' }", "");
    let send = |line: &str, target: &str| {
        let before = have_waited(&gate);
        let wire = gate.send(gate.ask("GET", target).header("X-Line", line).bytes());
        eventually("it waits, or has gone", || service.has_seen(target) || have_waited(&gate) > before);
        wire
    };
    // Two lines, side by side; in the one somebody leaves.
    let began = Instant::now();
    let mut wires = vec![send("a", "/a0"), send("b", "/b0")];
    service.seen(2);
    let leaves = send("a", "/a1");
    wires.push(send("b", "/b1"));
    wires.push(send("a", "/a2"));
    wires.push(send("b", "/b2"));
    leaves.reset();
    for wire in &mut wires {
        wire.answer().expect(200);
    }
    let seen = service.seen(5);
    let at = |target: &str| seen.iter().position(|(known, _)| known == target).unwrap();
    assert!(at("/a2") < at("/b2"), "{seen:?}");
    assert!(seen[at("/a2")].1 - began >= Duration::from_millis(500));
    assert!(seen[at("/b2")].1 - began >= Duration::from_secs(1));
}

#[test]
fn a_reload_keeps_the_line() {
    let service = watched();
    let gate = gate_with(&service, SLOW, "");
    gate.get("/0").expect(200);
    let mut wires: Vec<Wire> = (0..3).map(|_| queue_up(&gate, "/x")).collect();
    let shorter = config("{ limit: 1/h, algorithm: leaky_bucket, queue: 3 }", "");
    let shorter = shorter.replace("<users>", &service.service.to_string());
    gate.expect_reload(|| gate.replace_config(&shorter));
    gate.get("/x").expect(429).expect_header("RateLimit-Policy", "\"ip\";q=4;w=14400");
    assert_eq!(waiting(&gate), 3);
    wires.pop().unwrap().reset();
    eventually("one has left", || waiting(&gate) == 2);
    queue_up(&gate, "/x");
}

#[test]
fn nobody_waits_longer_than_its_request_may_take() {
    let service = watched();
    let gate = gate_with(&service, SLOW, "  - { match: /hurried, to: users, timeout: 100ms }");
    gate.get("/0").expect(200);
    let began = Instant::now();
    let refused = gate.get("/hurried").expect(504);
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(refused.expect_refusal("policy_timeout")["stage"], "limit");
    assert_eq!(waiting(&gate), 0);
}

#[test]
fn a_line_beside_other_limits_is_the_last_that_is_asked() {
    let service = watched();
    let gate = gate_with(
        &service,
        "[ { limit: 1/h, algorithm: leaky_bucket, queue: 1, by: global }, { limit: 3/h, by: 'header:X-Tenant' } ]",
        "",
    );
    let ask = |tenant: &str| gate.ask("GET", "/x").header("X-Tenant", tenant);
    let told = ask("a").send().expect(200);
    assert_eq!(told.header("RateLimit"), Some("\"global\";r=1;t=3600"));
    let waits = gate.send(ask("a").bytes());
    eventually("it waits", || waiting(&gate) == 1);
    // The line is full: the tenants are not charged.
    for _ in 0..5 {
        assert!(ask("a").send().expect(429).header("RateLimit").unwrap().starts_with("\"global\";r=0"));
    }
    waits.reset();
    eventually("it has left", || waiting(&gate) == 0);
    let waits = gate.send(ask("a").bytes());
    eventually("it waits", || waiting(&gate) == 1);
    waits.reset();
    eventually("it has left", || waiting(&gate) == 0);
    // The tenant's three are used up; it does not get into the line.
    assert!(ask("a").send().expect(429).header("RateLimit").unwrap().starts_with("\"header\";r=0"));
    assert_eq!(waiting(&gate), 0);
}

#[test]
fn explain_tells_of_the_line() {
    let service = watched();
    let gate = gate_with(&service, SLOW, "");
    let config = gate.config_file();
    let said = tollgate(&["explain", "GET", "/x", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("limit      rate_limit: 1/h by ip, one by one, 50 wait"), "{said}");
}
