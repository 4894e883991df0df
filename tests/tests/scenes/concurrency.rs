//! `concurrency`: how many requests may be under way at once, who waits for that, and what is left of them when they go.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_tests::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, kind};
use tollgate_tests::{
    Backend, Gateway, PATIENCE, Wire, backend, eventually, gateway_with, hello, http2, tollgate, web_socket,
    web_socket_server,
};

/// A service that answers as many calls as the scene has let go, in whatever order.
struct Held {
    service: Backend,
    free: Arc<(Mutex<usize>, Condvar)>,
}

fn held() -> Held {
    let free: Arc<(Mutex<usize>, Condvar)> = Arc::default();
    let (count, changed) = (Arc::clone(&free), Arc::clone(&free));
    let service = backend(move |call| {
        let waits = count.0.lock().unwrap();
        let (mut left, _) = changed.1.wait_timeout_while(waits, PATIENCE, |left| *left == 0).unwrap();
        *left = left.saturating_sub(1);
        drop(left);
        call.reply(200, "done");
    });
    Held { service, free }
}

impl Held {
    fn let_go(&self, calls: usize) {
        *self.free.0.lock().unwrap() += calls;
        self.free.1.notify_all();
    }

    /// Waits until so many calls have come in all, and tells the targets of all.
    fn seen(&self, calls: usize) -> Vec<String> {
        eventually("calls come", || self.service.requests().len() >= calls);
        self.service.requests().into_iter().map(|seen| seen.target).collect()
    }
}

/// A gateway of two workers before that service, with this limit on all its routes.
fn gate_with(service: &Held, concurrency: &str, lines: &str) -> Gateway {
    gateway_with(&config_with(concurrency, lines), &[("held", &service.service)])
}

fn config_with(concurrency: &str, lines: &str) -> String {
    format!(
        "
workers: 2
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
services: {{ held: <held> }}
auth: {{ keys: {{ api_key: {{}} }} }}
apps:
  noisy: {{ keys: [ {{ id: noisy, secret: 0123456789abcdef }} ] }}
  quiet: {{ keys: [ {{ id: quiet, secret: 0123456789abcdef }} ] }}
defaults: {{ access: public, concurrency: {concurrency}, retry: off }}
routes:
  - {{ match: '/{{rest...}}', to: held }}
{lines}
"
    )
}

/// A request that is sent, and answered when it is.
fn send(gate: &Gateway, target: &str) -> Wire {
    gate.send(gate.ask("GET", target).bytes())
}

fn send_by(gate: &Gateway, target: &str, app: &str) -> Wire {
    let key = format!("{app}.0123456789abcdef");
    gate.send(gate.ask("GET", target).header("X-API-Key", &key).bytes())
}

fn expect_done(wires: &mut [Wire]) {
    for wire in wires {
        wire.answer().expect(200);
    }
}

fn waiting(gate: &Gateway) -> usize {
    gate.metrics().sum("tollgate_requests_waiting", &[]).round() as usize
}

/// One after the other, each when the one before is in the queue.
fn queue_up(gate: &Gateway, send: impl Fn() -> Wire) -> Wire {
    let before = waiting(gate);
    let wire = send();
    eventually("it waits", || waiting(gate) == before + 1);
    wire
}

/// Nothing is counted any more that is not there: all that may be at once are let in, and no more.
fn expect_room_for(gate: &Gateway, service: &Held, max: usize) {
    let before = service.service.requests().len();
    let refused = || gate.metrics().sum("tollgate_refusals_total", &[]);
    let mut wires: Vec<Wire> = Vec::new();
    for number in 0..max {
        // What has just ended may be counted for a moment longer than its client sees.
        eventually("there is room", || {
            let refused_before = refused();
            let wire = send(gate, "/room");
            let is_in = || service.service.requests().len() > before + number;
            eventually("it is decided", || is_in() || refused() > refused_before);
            wires.extend(is_in().then_some(wire));
            is_in()
        });
    }
    gate.get("/room").expect(503);
    // Also those whose clients have left, and which still stand in the service.
    service.let_go(1000);
    expect_done(&mut wires);
}

#[test]
fn as_many_are_under_way_as_may_be_over_all_workers() {
    let service = held();
    let gate = gate_with(&service, "3", "");
    let mut wires: Vec<Wire> = (0..3).map(|_| send(&gate, "/x")).collect();
    service.seen(3);
    for _ in 0..20 {
        let refused = gate.get("/x").expect(503).expect_header("Retry-After", "1");
        let problem = refused.expect_refusal("concurrency_limited");
        assert_eq!(problem["stage"], "limit");
        assert!(problem["detail"].as_str().unwrap().contains("(3)"), "{problem}");
    }
    // The last is counted when it has been answered.
    eventually("all are counted", || {
        gate.metrics().sum("tollgate_refusals_total", &[("code", "concurrency_limited")]) > 19.5
    });
    service.let_go(3);
    expect_done(&mut wires);
    expect_room_for(&gate, &service, 3);
}

#[test]
fn each_caller_may_have_a_limit_of_its_own() {
    let service = held();
    let gate = gate_with(
        &service,
        "off",
        "
  - { match: /app, to: held, access: keys, concurrency: { max: 1, by: app } }
  - { match: /ip, to: held, concurrency: { max: 1, by: ip } }
  - { match: '/of/{id}', to: held, concurrency: { max: 1, by: params.id } }
",
    );
    let from = |client: &str| gate.ask("GET", "/ip").header("X-Forwarded-For", client);
    let mut wires = [
        send_by(&gate, "/app", "noisy"),
        send_by(&gate, "/app", "quiet"),
        gate.send(from("192.0.2.1").bytes()),
        gate.send(from("192.0.2.2").bytes()),
        send(&gate, "/of/1"),
        send(&gate, "/of/2"),
        send(&gate, "/free"),
    ];
    service.seen(7);
    send_by(&gate, "/app", "quiet").answer().expect(429).expect_refusal("concurrency_limited");
    from("192.0.2.2").send().expect(429);
    gate.get("/of/1").expect(429);
    service.let_go(7);
    expect_done(&mut wires);
}

#[test]
fn apps_take_turns_in_the_queue_and_each_keeps_its_order() {
    let service = held();
    let gate = gate_with(
        &service,
        "{ max: 1, queue: 10, queue_for: 60s, by: global }",
        "  - { match: '/of/{rest...}', to: held, access: keys }",
    );
    let mut wires = vec![send_by(&gate, "/of/n0", "noisy")];
    service.seen(1);
    for (target, app) in
        [("n1", "noisy"), ("n2", "noisy"), ("n3", "noisy"), ("q1", "quiet"), ("n4", "noisy"), ("q2", "quiet")]
    {
        wires.push(queue_up(&gate, || send_by(&gate, &format!("/of/{target}"), app)));
    }
    for calls in 2..=7 {
        service.let_go(1);
        service.seen(calls);
    }
    service.let_go(1);
    assert_eq!(
        service.seen(7),
        ["/of/n0", "/of/n1", "/of/q1", "/of/n2", "/of/q2", "/of/n3", "/of/n4"].map(str::to_owned)
    );
    expect_done(&mut wires);
    let metrics = gate.metrics();
    assert!((metrics.sum("tollgate_requests_waited_total", &[]) - 6.0).abs() < 0.1);
    assert!(metrics.sum("tollgate_requests_waited_seconds_total", &[]) > 0.0);
}

#[test]
fn a_full_queue_turns_away_whoever_has_most_in_it() {
    let service = held();
    let gate = gate_with(
        &service,
        "{ max: 1, queue: 3, queue_for: 60s, by: global }",
        "  - { match: '/of/{rest...}', to: held, access: keys }",
    );
    let mut first = send_by(&gate, "/of/n0", "noisy");
    service.seen(1);
    let mut noisy: Vec<Wire> =
        (1..4).map(|number| queue_up(&gate, || send_by(&gate, &format!("/of/n{number}"), "noisy"))).collect();
    send_by(&gate, "/of/n4", "noisy").answer().expect(503).expect_refusal("concurrency_limited");
    let mut quiet = send_by(&gate, "/of/q1", "quiet");
    noisy.pop().unwrap().answer().expect(503).expect_refusal("concurrency_limited");
    service.let_go(4);
    for wire in [&mut first, &mut quiet].into_iter().chain(&mut noisy) {
        wire.answer().expect(200);
    }
    assert_eq!(service.seen(4), ["/of/n0", "/of/n1", "/of/q1", "/of/n2"].map(str::to_owned));
}

#[test]
fn who_leaves_takes_no_room_whether_it_waits_or_is_under_way() {
    let service = held();
    let gate = gate_with(&service, "{ max: 1, queue: 2, queue_for: 60s }", "");
    let under_way = send(&gate, "/first");
    service.seen(1);
    let second = queue_up(&gate, || send(&gate, "/second"));
    let mut third = queue_up(&gate, || send(&gate, "/third"));
    gate.get("/x").expect(503);
    second.reset();
    eventually("it has left the queue", || waiting(&gate) == 1);
    let mut fourth = queue_up(&gate, || send(&gate, "/fourth"));
    under_way.reset();
    // The third is under way without the first being answered.
    assert_eq!(service.seen(2)[1], "/third");
    service.let_go(3);
    third.answer().expect(200);
    fourth.answer().expect(200);
    assert_eq!(service.seen(3)[2], "/fourth");
    assert_eq!(gate.log(5).iter().filter(|line| line["status"] == 499).count(), 2);
}

#[test]
fn who_waits_in_a_stream_that_is_reset_leaves() {
    let service = held();
    let gate = gate_with(&service, "{ max: 1, queue: 2, queue_for: 60s }", "");
    let mut client = Http2::connect(gate.address(), &[]);
    client.open(&http2::get("/first"), END_HEADERS | END_STREAM);
    service.seen(1);
    let before = waiting(&gate);
    let second = client.open(&http2::get("/second"), END_HEADERS | END_STREAM);
    eventually("it waits", || waiting(&gate) == before + 1);
    client.send_frame(kind::RST_STREAM, 0, second, &CANCEL.to_be_bytes());
    eventually("it has left", || waiting(&gate) == 0);
    let third = client.open(&http2::get("/third"), END_HEADERS | END_STREAM);
    eventually("it waits", || waiting(&gate) == 1);
    service.let_go(2);
    assert_eq!(client.outcome(third).status(), Some(200));
    assert_eq!(service.seen(2)[1], "/third");
}

#[test]
fn nothing_is_left_of_clients_that_leave_at_whatever_moment() {
    const CLIENTS: usize = 300;
    let service = held();
    let gate = gate_with(&service, "{ max: 5, queue: 20, queue_for: 50ms }", "");
    service.let_go(CLIENTS / 2);
    let address = gate.address();
    let clients: Vec<_> = (0..6)
        .map(|client| {
            thread::spawn(move || {
                for number in 0..CLIENTS / 6 {
                    let mut wire = Wire::connect(address);
                    wire.send(format!("GET /{client}/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    match (client + number) % 3 {
                        0 => wire.reset(),
                        1 => drop(wire),
                        _ => drop(wire.try_answer("GET")),
                    }
                }
            })
        })
        .collect();
    eventually("all have been there", || {
        // Those whose calls are held while the scene counts on it.
        service.let_go(CLIENTS);
        clients.iter().all(thread::JoinHandle::is_finished)
    });
    for client in clients {
        client.join().unwrap();
    }
    eventually("nobody waits", || waiting(&gate) == 0);
    *service.free.0.lock().unwrap() = 0;
    expect_room_for(&gate, &service, 5);
}

#[test]
fn an_answer_counts_until_its_last_byte() {
    let (half, rest) = (tollgate_tests::Signal::new(), tollgate_tests::Signal::new());
    let (raised, awaited) = (half.clone(), rest.clone());
    let service = backend(move |call| {
        if call.target() == "/long" {
            call.begin_chunked("");
            call.chunk("half");
            raised.raise();
            awaited.wait();
            call.end_chunked();
        } else {
            call.reply(200, "short");
        }
    });
    let gate = gateway_with(
        "
services: { users: <users> }
routes: [{ match: '/{rest...}', to: users, access: public, concurrency: { max: 1, by: global } }]
",
        &[("users", &service)],
    );
    let mut long = send(&gate, "/long");
    half.wait();
    long.head().expect(200);
    gate.get("/short").expect(503);
    rest.raise();
    eventually("its end has come", || gate.get("/short").status == 200);
}

#[test]
fn a_web_socket_counts_as_long_as_it_is_open() {
    let server = web_socket_server();
    let gate = gateway_with(
        "
services: { chats: <chats> }
routes: [{ match: '/{rest...}', to: chats, access: public, concurrency: 2 }]
",
        &[("chats", &server)],
    );
    let mut first = web_socket(gate.address(), "/chat");
    let second = web_socket(gate.address(), "/chat");
    assert_eq!(first.echo("one"), "one");
    gate.get("/").expect(503).expect_refusal("concurrency_limited");
    // A tunnel outlasts the configuration that it began with, and is counted in the next.
    let next = "
services: { chats: <chats> }
routes: [{ match: '/{rest...}', to: chats, access: public, concurrency: { max: 2, queue: 1, queue_for: 60s } }]
";
    gate.expect_reload(|| gate.replace_config(&next.replace("<chats>", &server.to_string())));
    let mut waits = queue_up(&gate, || send(&gate, "/"));
    second.close();
    waits.answer().expect(426);
    first.close();
}

#[test]
fn a_reload_keeps_who_is_under_way_and_who_waits() {
    let service = held();
    let gate = gate_with(&service, "{ max: 1, queue: 2, queue_for: 60s }", "");
    let mut first = send(&gate, "/first");
    service.seen(1);
    let mut second = queue_up(&gate, || send(&gate, "/second"));
    let reload = |limit: &str| {
        let config = config_with(limit, "").replace("<held>", &service.service.to_string());
        gate.expect_reload(|| gate.replace_config(&config));
    };
    reload("{ max: 1, queue: 1, queue_for: 60s }");
    gate.get("/x").expect(503);
    // More may be under way: the next that comes brings it along.
    reload("{ max: 3, queue: 2, queue_for: 60s }");
    let mut third = send(&gate, "/third");
    service.seen(3);
    service.let_go(3);
    for wire in [&mut first, &mut second, &mut third] {
        wire.answer().expect(200);
    }
}

#[test]
fn nobody_waits_longer_than_it_may() {
    let service = held();
    let gate = gate_with(
        &service,
        "{ max: 1, by: global, queue: 2, queue_for: 200ms }",
        "  - { match: /hurried, to: held, timeout: 100ms }",
    );
    let mut first = send(&gate, "/first");
    service.seen(1);
    for (target, status, code, least) in
        [("/x", 503, "concurrency_timeout", 200), ("/hurried", 504, "policy_timeout", 100)]
    {
        let began = Instant::now();
        gate.get(target).expect(status).expect_refusal(code);
        assert!(began.elapsed() >= Duration::from_millis(least), "{target}: {:?}", began.elapsed());
    }
    assert_eq!(waiting(&gate), 0);
    service.let_go(1);
    first.answer().expect(200);
}

#[test]
fn whatever_becomes_of_a_request_it_is_not_counted_afterwards() {
    let users = hello();
    let gate = gateway_with(
        "
services:
  users: <users>
  gone: { endpoints: [ 'http://127.0.0.1:1' ], retry: { attempts: 3, on: [connect] } }
  saved: { endpoints: [ 'http://127.0.0.1:1' ], fallback: { to: users } }
defaults: { access: public, concurrency: { max: 1, by: global, queue: 1 } }
routes:
  - { match: /works, to: users }
  - { match: /gone, to: gone }
  - { match: /saved, to: saved }
  - { match: /json, to: users, request: { json: {} } }
  - { match: /own, respond: 204 }
  - { match: /fault, to: users, fault: { abort: { status: 418 } } }
",
        &[("users", &users)],
    );
    for _ in 0..5 {
        gate.get("/works").expect(200);
        gate.get("/gone").expect(502);
        gate.get("/saved").expect(200);
        let json = gate.ask("POST", "/json").header("Content-Type", "application/json").body("{");
        json.send().expect(400);
        gate.get("/own").expect(204);
        gate.get("/fault").expect(418);
    }
}

#[test]
fn the_log_says_how_long_a_request_has_waited_be_it_served_or_gone() {
    let service = held();
    let gate = gate_with(&service, "{ max: 1, queue: 5, queue_for: 60s }", "");
    let mut wires = vec![send(&gate, "/at-once")];
    service.seen(1);
    let leaves = queue_up(&gate, || send(&gate, "/leaves"));
    wires.push(queue_up(&gate, || send(&gate, "/waits")));
    leaves.reset();
    eventually("it has left", || waiting(&gate) == 1);
    service.let_go(2);
    expect_done(&mut wires);
    let lines = gate.log(3);
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    assert!(of("/at-once").get("wait_ms").is_none(), "{lines:?}");
    assert!(of("/leaves")["wait_ms"].as_f64() > Some(0.0), "{lines:?}");
    assert!(of("/leaves").get("connect_ms").is_none(), "{lines:?}");
    let waits = of("/waits");
    let time = |member: &str| waits[member].as_f64().unwrap();
    assert!(time("wait_ms") > 0.0, "{waits}");
    let parts = time("wait_ms") + time("connect_ms") + time("upstream_ms");
    assert!(parts <= time("first_byte_ms") + 0.01, "{waits}");
}

#[test]
fn explain_tells_of_it() {
    let service = held();
    let gate = gate_with(&service, "{ max: 200, by: api, queue: 100 }", "");
    let config = gate.config_file();
    let said = tollgate(&["explain", "GET", "/x", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    let line = "limit      concurrency: 200 at once by api, 100 more wait for up to 2s";
    assert!(said.contains(line), "{said}");
}
