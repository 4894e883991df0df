//! Requests that are split among services, copied to another, or made to fail on purpose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::http2::{END_HEADERS, END_STREAM, Http2, frame, kind, pack};
use tollgate_tests::{Backend, Gateway, backend, eventually, front, gateway_with, named, tollgate};

/// One worker in front of two versions of a service, with this as the route's target.
fn split(first: &Backend, second: &Backend, to: &str) -> Gateway {
    gateway_with(
        "
        workers: 1
        services: { v1: <v1>, v2: <v2> }
        routes: [{ match: '/{rest...}', to: <to>, access: public }]
        ",
        &[("v1", first), ("v2", second), ("to", &to)],
    )
}

fn asked(gate: &Gateway, name: &str, value: &str) -> String {
    gate.ask("GET", "/x").header(name, value).send().expect(200).text()
}

/// Changes a word of the configuration, and waits until that holds.
fn reconfigure(gate: &Gateway, was: &str, becomes: &str) {
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    assert!(config.contains(was), "{config}");
    gate.expect_reload(|| std::fs::write(gate.config_file(), config.replace(was, becomes)).unwrap());
}

#[test]
fn requests_are_split_by_weight() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gate = split(&v1, &v2, "{ split: [{ to: v1, weight: 95 }, { to: v2, weight: 5 }] }");
    let mut wire = gate.connect();
    for _ in 0..2_000 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer().expect(200);
        assert!(answer.header("Set-Cookie").is_none(), "nothing is remembered");
    }
    let few = v2.requests().len();
    assert!((30..=200).contains(&few), "{few} of 2000");
    assert_eq!(v1.requests().len() + few, 2_000);
    let services = gate.log(2_000);
    let answered = gate.metrics().sum("tollgate_upstream_requests_total", &[("service", "v2")]);
    assert!((answered - few as f64).abs() < 0.1, "{answered}");
    let told = services.iter().filter(|line| line["service"] == "v2").count();
    assert_eq!(told, few);
}

#[test]
fn who_got_a_sticky_service_keeps_it_until_it_has_no_weight() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gate = split(&v1, &v2, "{ split: [{ to: v1, weight: 0 }, { to: v2, weight: 5, sticky: true }] }");
    let answer = gate.get("/x").expect(200).expect_body("v2");
    let cookie = answer.header("Set-Cookie").unwrap();
    let pair = cookie.strip_suffix("; Path=/; HttpOnly; SameSite=Lax").unwrap().to_owned();
    assert!(pair.starts_with("tg_split=") && !pair.contains("v2"), "{pair}");
    reconfigure(&gate, "v1, weight: 0", "v1, weight: 1000");
    for _ in 0..20 {
        let kept = gate.ask("GET", "/x").header("Cookie", &format!("a=b; {pair}")).send();
        kept.expect_body("v2");
    }
    assert_eq!(asked(&gate, "Cookie", "tg_split=0123456789abcdef"), "v1", "made up");
    reconfigure(&gate, "v2, weight: 5", "v2, weight: 0");
    for _ in 0..5 {
        assert_eq!(asked(&gate, "Cookie", &pair), "v1");
    }
    reconfigure(&gate, "v2, weight: 0", "v2, weight: 1");
    assert_eq!(asked(&gate, "Cookie", &pair), "v2", "back with its weight");
    reconfigure(&gate, "{ split: [{ to: v1, weight: 1000 }, { to: v2, weight: 1, sticky: true }] }", "v1");
    assert_eq!(asked(&gate, "Cookie", &pair), "v1");
}

#[test]
fn routes_that_split_among_others_share_a_cookie() {
    let backends = [named("a"), named("b"), named("c"), named("d")];
    let gate = gateway_with(
        "
        services: { a: <a>, b: <b>, c: <c>, d: <d> }
        defaults: { access: public }
        routes:
          - { match: /one, to: { split: [{ to: a, sticky: true }, { to: b, sticky: true }] } }
          - { match: /two, to: { split: [{ to: c, sticky: true }, { to: d, sticky: true }] } }
        ",
        &[("a", &backends[0]), ("b", &backends[1]), ("c", &backends[2]), ("d", &backends[3])],
    );
    let mut cookie = String::new();
    let mut got = Vec::new();
    for path in ["/one", "/two"] {
        let answer = gate.ask("GET", path).header("Cookie", &cookie).send().expect(200);
        cookie = answer.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
        got.push(answer.text());
    }
    for _ in 0..10 {
        for (path, name) in ["/one", "/two"].iter().zip(&got) {
            let answer = gate.ask("GET", path).header("Cookie", &cookie).send().expect_body(name);
            assert!(answer.header("Set-Cookie").is_none());
        }
    }
}

#[test]
fn the_same_user_gets_the_same_service_and_a_growing_weight_moves_users_to_it_alone() {
    for (by, name) in [("header: X-User", "X-User"), ("hash: \"request.headers['x-tenant']\"", "X-Tenant")] {
        let (v1, v2) = (named("v1"), named("v2"));
        let gate = split(
            &v1,
            &v2,
            &format!("{{ split: [{{ to: v1, weight: 90 }}, {{ to: v2, weight: 10 }}], by: {{ {by} }} }}"),
        );
        let services = |gate: &Gateway| {
            let users = (0..200).map(|user| asked(gate, name, &format!("user-{user}")));
            users.collect::<Vec<_>>()
        };
        let before = services(&gate);
        assert_eq!(services(&gate), before);
        let count = |services: &[String]| services.iter().filter(|one| *one == "v2").count();
        assert!((4..=60).contains(&count(&before)), "{}", count(&before));
        reconfigure(&gate, "v2, weight: 10", "v2, weight: 30");
        let after = services(&gate);
        assert!(count(&after) > count(&before));
        let stays = |(was, is): (&String, &String)| was == is || is == "v2";
        assert!(before.iter().zip(&after).all(stays));
        // Without the value it is left to chance, and no cookie is set.
        assert!(gate.get("/x").expect(200).header("Set-Cookie").is_none());
    }
}

#[test]
fn a_header_forces_a_service_where_the_route_says_so() {
    let (v1, v2) = (named("v1"), named("v2"));
    let to = "{ split: [{ to: v1 }, { to: v2, weight: 0, sticky: true }], force: X-Branch }";
    let gate = split(&v1, &v2, to);
    assert_eq!(asked(&gate, "X-Branch", "v2"), "v2", "whatever its weight");
    assert_eq!(asked(&gate, "X-Branch", "v3"), "v1", "as if it were not there");
    assert_eq!(asked(&gate, "X-Branch", ""), "v1");
    let path = gate.config_file().display().to_string();
    let explained = |arguments: &[&str]| {
        let output = tollgate(&[&["explain", "GET", "/x", "-c", &path][..], arguments].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explained(&[]);
    for words in [
        "one of 2 services, by the cookie tg_split, or chance",
        "1 of 1 to v1",
        "0 of 1 to v2, who got it keeps it",
    ] {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
    let text = explained(&["-H", "X-Branch: v2"]);
    assert!(text.contains("x-branch names it") && !text.contains("service v1"), "{text}");
    reconfigure(&gate, ", force: X-Branch", "");
    assert_eq!(asked(&gate, "X-Branch", "v2"), "v1");
}

#[test]
fn each_service_of_a_split_has_its_own_time_limits_and_retries() {
    let silent = backend(|call| {
        call.wait_end();
    });
    let bad = backend(|call| call.reply(503, "no"));
    let gate = gateway_with(
        "
        workers: 1
        services:
          silent: { endpoints: <silent>, timeout: 100ms, retry: off }
          bad: { endpoints: <bad>, retry: { attempts: 2, on: [503], backoff: 1ms } }
        routes: [{ match: /x, to: { split: [{ to: silent }, { to: bad }], force: X-Branch }, access: public }]
        ",
        &[("silent", &silent), ("bad", &bad)],
    );
    let answer = gate.ask("GET", "/x").header("X-Branch", "silent").send().expect(504);
    answer.expect_refusal("upstream_timeout");
    gate.ask("GET", "/x").header("X-Branch", "bad").send().expect(503).expect_body("no");
    assert_eq!((silent.requests().len(), bad.requests().len()), (1, 3));
}

/// A gateway whose service is mirrored as these lines say.
fn mirrored(service: &Backend, mirror: &dyn std::fmt::Display, lines: &str, policy: &str) -> Gateway {
    gateway_with(
        "
        workers: 1
        services: { real: { endpoints: <real>, retry: { attempts: 1, on: [503] } }, copy: { endpoints: <copy>, <lines> } }
        defaults: { mirror: <policy>, access: public }
        routes:
          - { match: '/{rest...}', name: all, to: real }
          - { match: '/api/{rest...}', to: real, rewrite: '/v2/{rest}' }
          - { match: '/off', to: real, mirror: off }
          - { match: '/here', respond: 204 }
        ",
        &[("real", service), ("copy", mirror), ("lines", &lines), ("policy", &policy)],
    )
}

fn copies(gate: &Gateway, result: &str) -> f64 {
    gate.metrics().sum("tollgate_mirrored_requests_total", &[("result", result)])
}

/// Waits until that many requests were copied, or not, with this result.
fn expect_copies(gate: &Gateway, result: &str, count: u32) {
    eventually(&format!("{count} times {result}"), || (copies(gate, result) - f64::from(count)).abs() < 0.1);
}

#[test]
fn a_copy_is_what_the_service_gets_and_its_answer_is_thrown_away() {
    let (real, copy) = (named("real"), backend(|call| call.reply(500, vec![b'x'; 50_000])));
    let gate = mirrored(&real, &copy, "", "copy");
    gate.ask("POST", "/api/x?y=1")
        .header("X-Any", "thing")
        .body("payload")
        .send()
        .expect(200)
        .expect_body("real");
    let seen = copy.request(0);
    expect_copies(&gate, "answered", 1);
    let seen = copy.requests().into_iter().next().unwrap_or(seen);
    assert_eq!((&*seen.method, &*seen.target, &*seen.body), ("POST", "/v2/x?y=1", &b"payload"[..]));
    let original = real.only_request();
    for name in ["Host", "X-Any", "X-Request-Id", "X-Forwarded-For", "Content-Length"] {
        assert_eq!(seen.header(name), original.header(name), "{name}");
    }
    assert_eq!((seen.header("X-Tollgate-Mirror"), original.header("X-Tollgate-Mirror")), (Some("1"), None));
    // A body that waits for leave to come, in two parts.
    let mut wire =
        gate.send("PUT /y HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    wire.send("first");
    eventually("the first part", || real.requests().len() == 2);
    wire.send("-last");
    wire.answer().expect(200);
    expect_copies(&gate, "answered", 2);
    let seen = copy.requests().remove(1);
    assert_eq!((&*seen.body, seen.header("Expect")), (&b"first-last"[..], None));
    gate.get("/off").expect(200);
    gate.get("/here").expect(204);
    let log = gate.log(4);
    assert!(log.iter().all(|line| line["service"] != "copy"), "copies are no requests of clients: {log:?}");
    assert_eq!((copy.requests().len(), copy.connections()), (2, 1), "the connection is used again");
    let path = gate.config_file().display().to_string();
    let output = tollgate(&["explain", "GET", "/x", "-c", &path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("mirror: copies, 100% to copy, bodies up to 64KiB, 100 at once"), "{text}");
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let (real, copy) = (named("real"), named("copy"));
    let gate = mirrored(&real, &copy, "", "{ to: copy, percent: 20, max_in_flight: 10000 }");
    let mut wire = gate.connect();
    for _ in 0..1_000 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.answer().expect(200).expect_body("real");
    }
    eventually("all copies to end", || {
        copies(&gate, "answered") + copies(&gate, "full") >= copy.requests().len() as f64
    });
    let few = copy.requests().len();
    assert!((100..=320).contains(&few), "{few} of 1000");
}

#[test]
fn callers_do_not_notice_what_becomes_of_copies() {
    let silent = backend(|call| {
        call.wait_end();
    });
    let resetting = backend(|call| {
        call.body();
        call.reset();
    });
    let gone = named("gone");
    gone.stop();
    for (copy, lines, result, least) in [
        (&silent, "timeout: 1h", "full", 37.0),
        (&resetting, "retry: off", "failed", 1.0),
        (&gone, "breaker: { failures: 1 }", "failed", 1.0),
    ] {
        let real = named("real");
        let gate = mirrored(&real, copy, lines, "{ to: copy, max_in_flight: 3 }");
        for _ in 0..20 {
            gate.get("/x").expect(200).expect_body("real");
            gate.post("/x", "body").expect(200).expect_body("real");
        }
        eventually("copies that came to nothing", || copies(&gate, result) > least - 0.1);
        let counted = gate.metrics().sum("tollgate_mirrored_requests_total", &[("route", "all")]);
        assert!(counted < 40.1, "{counted}");
        assert_eq!(real.requests().len(), 40);
        let log = gate.log(40);
        assert!(log.iter().all(|line| line["status"] == 200 && line["attempts"] == 1), "{log:?}");
    }
    assert_eq!(silent.requests().len(), 3);
}

#[test]
fn a_service_that_is_not_called_gets_no_copies() {
    let (real, copy) = (named("real"), backend(|call| call.reply(503, "no")));
    let gate = mirrored(&real, &copy, "breaker: { failures: 2, open_for: 1h }", "copy");
    for done in 1..=5 {
        gate.get("/x").expect(200);
        eventually("the copy to end", || {
            (copies(&gate, "answered") + copies(&gate, "failed") - f64::from(done)).abs() < 0.1
        });
    }
    assert_eq!(copy.requests().len(), 2);
}

#[test]
fn bodies_over_the_bound_and_of_unknown_length_are_not_copied() {
    let (real, copy) = (named("real"), named("copy"));
    let gate = mirrored(&real, &copy, "", "{ to: copy, max_body: 20000 }");
    gate.post("/x", vec![b'x'; 20_001]).expect(200);
    let mut wire =
        gate.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    wire.answer().expect(200);
    expect_copies(&gate, "body", 2);
    gate.post("/x", vec![b'y'; 20_000]).expect(200);
    expect_copies(&gate, "answered", 1);
    assert_eq!(copy.only_request().body, vec![b'y'; 20_000]);
    // One that breaks off.
    let wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    eventually("it to begin", || real.requests().len() == 4);
    wire.reset();
    expect_copies(&gate, "body", 3);
    assert_eq!((real.requests().len(), copy.requests().len()), (4, 1));
}

#[test]
fn a_request_that_is_tried_again_is_copied_once() {
    let calls = AtomicUsize::new(0);
    let real = backend(move |call| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => call.reply(503, "later"),
        _ => call.reply(200, "now"),
    });
    let copy = named("copy");
    let gate = mirrored(&real, &copy, "", "copy");
    gate.ask("PUT", "/x").body("held").send().expect(200).expect_body("now");
    expect_copies(&gate, "answered", 1);
    assert_eq!((real.requests().len(), &*copy.only_request().body), (2, &b"held"[..]));
}

#[test]
fn a_service_of_http2_gets_copies_too() {
    let (real, behind) = (named("real"), named("behind"));
    let relay = front(&behind);
    let gate = mirrored(&real, &format!("http://{}", relay.address()), "protocol: http2", "copy");
    for _ in 0..3 {
        gate.get("/x").expect(200);
        gate.post("/y", vec![b'z'; 60_000]).expect(200);
    }
    expect_copies(&gate, "answered", 6);
    let seen = behind.requests();
    assert_eq!(seen.iter().filter(|one| one.body == vec![b'z'; 60_000]).count(), 3);
    // The relay is a gateway too, and takes nobody's word for what only it says.
    assert!(seen.iter().all(|one| one.header("X-Tollgate-Mirror").is_none()));
    assert!(relay.log(6).iter().all(|line| line["protocol"] == "HTTP/2"));
}

#[test]
fn a_client_of_http2_has_bodies_copied_with_and_without_a_length() {
    let (real, copy) = (named("real"), named("copy"));
    let gate = mirrored(&real, &copy, "", "copy");
    let head = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")];
    for (body, length) in [("with a length", true), ("without", false)] {
        let number = body.len().to_string();
        let length = length.then_some(("content-length", &*number));
        let head = pack(&head.into_iter().chain(length).collect::<Vec<_>>());
        // In one write, so that the body is there with the head; if it is not, there is another try.
        eventually("a copy of it", || {
            let mut client = Http2::connect(gate.address(), &[]);
            let frames = [
                frame(kind::HEADERS, END_HEADERS, 1, &head),
                frame(kind::DATA, END_STREAM, 1, body.as_bytes()),
            ];
            client.send(frames.concat());
            assert_eq!(client.outcome(1).status(), Some(200));
            copy.requests().iter().any(|seen| seen.body == body.as_bytes())
        });
    }
    assert!(copy.requests().iter().all(|seen| seen.header("Content-Length").is_some()));
}

#[test]
fn tunnels_are_not_copied() {
    let real = backend(|call| {
        call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        call.wait_end();
    });
    let copy = named("copy");
    let gate = mirrored(&real, &copy, "", "copy");
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    wire.head().expect(101);
    drop(wire);
    gate.log(1);
    assert_eq!(copy.requests().len(), 0);
    assert!(!gate.metrics().has("tollgate_mirrored_requests_total", &[]));
}

/// One worker in front of a service, where this fault is made on purpose.
fn faulty(service: &Backend, lines: &str, fault: &str) -> Gateway {
    gateway_with(
        "
        workers: 1
        services: { service: { endpoints: <service>, <lines> } }
        defaults: { fault: <fault>, access: public }
        routes:
          - { match: '/{rest...}', name: all, to: service }
          - { match: '/off', to: service, fault: off }
          - { match: '/here', respond: 204 }
        ",
        &[("service", service), ("lines", &lines), ("fault", &fault)],
    )
}

fn injected(gate: &Gateway, fault: &str) -> f64 {
    gate.metrics().sum("tollgate_injected_faults_total", &[("route", "all"), ("fault", fault)])
}

#[test]
fn a_share_of_the_requests_gets_an_error() {
    let service = named("service");
    let gate = faulty(&service, "breaker: 1", "{ abort: { status: 503, percent: 20 } }");
    let mut wire = gate.connect();
    let mut failed = 0;
    for _ in 0..500 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer();
        if answer.status == 503 {
            let problem = answer.expect_refusal("fault_injected");
            assert_eq!(problem["stage"], "call");
            failed += 1;
        } else {
            answer.expect(200).expect_body("service");
        }
    }
    assert!((40..=180).contains(&failed), "{failed} of 500");
    assert_eq!(service.requests().len(), 500 - failed);
    let log = gate.log(500);
    assert!((injected(&gate, "abort") - failed as f64).abs() < 0.1);
    let refused = gate.metrics().sum("tollgate_refusals_total", &[("code", "fault_injected")]);
    assert!((refused - failed as f64).abs() < 0.1);
    assert_eq!(log.iter().filter(|line| line["code"] == "fault_injected").count(), failed);
}

#[test]
fn only_those_with_the_header_are_meant_where_one_is_named() {
    let service = named("service");
    let gate = faulty(
        &service,
        "",
        "{ delay: { time: 200ms, header: X-Slow }, abort: { status: 429, header: X-Fail } }",
    );
    gate.get("/x").expect(200);
    gate.post("/x", "body").expect(200);
    assert!(injected(&gate, "delay") + injected(&gate, "abort") < 0.1);
    let ask = |path| gate.ask("POST", path).header("x-slow", "").header("x-fail", "any").body("body");
    let began = Instant::now();
    ask("/x").send().expect(429).expect_refusal("fault_injected");
    assert!(began.elapsed() >= Duration::from_millis(200), "first it waits");
    ask("/here").send().expect(429);
    ask("/off").send().expect(200);
    assert_eq!(service.requests().len(), 3);
    let path = gate.config_file().display().to_string();
    let text = String::from_utf8(tollgate(&["explain", "GET", "/x", "-c", &path]).stdout).unwrap();
    assert!(text.contains("fault: 100% wait 200ms (of those with x-slow); 100% get 429"), "{text}");
}

#[test]
fn a_delay_holds_nobody_else_up_and_ends_with_its_client() {
    let service = named("service");
    let gate = faulty(&service, "timeout: { total: off }", "{ delay: { time: 1h, header: X-Slow } }");
    let wires: Vec<_> =
        (0..3).map(|_| gate.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: 1\r\n\r\n")).collect();
    eventually("all to wait", || injected(&gate, "delay") > 2.9);
    gate.get("/x").expect(200);
    drop(wires);
    let log = gate.log(4);
    assert_eq!(log.iter().filter(|line| line["code"] == "client_gone" && line["status"] == 499).count(), 3);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn a_delay_does_not_outlast_the_time_of_the_request() {
    let service = named("service");
    let gate = faulty(&service, "timeout: 200ms", "{ delay: 1h }");
    gate.get("/x").expect(504).expect_refusal("fault_injected");
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn a_caller_of_grpc_gets_a_status() {
    let service = named("service");
    let gate = faulty(&service, "protocol: grpc", "{ abort: 503 }");
    let call = gate.ask("POST", "/shop.Stock/Reserve").header("Content-Type", "application/grpc-web");
    let answer = call.body("\0\0\0\0\0").send().expect(200);
    answer.expect_header("grpc-status", "14").expect_header("tollgate-code", "fault_injected");
}
