//! What answers when a service cannot be called, and only then.

use tollgate_tests::{Backend, Gateway, backend, eventually, gateway_with, grpc_call, named};

/// One worker; the service `a` at this endpoint with these lines, and `b` at that one.
fn gate_to(a: &Backend, lines: &str, b: &Backend) -> Gateway {
    gateway_with(
        "
        workers: 1
        services:
          a: { endpoints: <a>, <lines> }
          b: { endpoints: <b>, timeout: { first_byte: 10s } }
        routes:
          - { match: '/{rest...}', to: a, access: public, name: all }
          - { match: /b, to: b, access: public }
        ",
        &[("a", a), ("lines", &lines), ("b", b)],
    )
}

/// A backend that is no more.
fn gone() -> Backend {
    let gone = named("gone");
    gone.stop();
    gone
}

#[test]
fn an_answer_of_the_gateways_own_stands_in_for_a_service_that_is_not_called() {
    let (ill, b) = (backend(|call| call.reply(503, "ill")), named("b"));
    let fallback = "fallback: { respond: { status: 200, body: '[]', headers: { X-Stale: 'yes' } } }";
    let gate = gate_to(&ill, &format!("breaker: {{ failures: 1, open_for: 1h }}, {fallback}"), &b);
    gate.get("/x").expect(503).expect_body("ill");
    gate.get("/x").expect(200).expect_body("[]").expect_header("X-Stale", "yes");
    assert_eq!(ill.requests().len(), 1);
    let log = gate.log(2);
    assert!(log[0]["fallback"].is_null(), "{}", log[0]);
    let line = &log[1];
    assert_eq!((&line["fallback"], &line["status"]), (&"breaker_open".into(), &200.into()));
    assert!(line["code"].is_null() && line["service"] == "a", "{line}");
    let count = gate.metrics().sum("tollgate_fallbacks_total", &[("route", "all"), ("code", "breaker_open")]);
    assert!((count - 1.0).abs() < 0.1);
    assert!(gate.metrics().sum("tollgate_refusals_total", &[]) < 0.1);
    // Who asks for a tunnel, or calls by gRPC, would not understand it.
    let mut wire =
        gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    wire.answer().expect(503).expect_refusal("breaker_open");
    grpc_call(gate.address(), "unary", "Unary").send(&["x"]).expect("UNAVAILABLE");
}

#[test]
fn another_service_stands_in_for_one_that_cannot_be_reached() {
    let echo = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let a = gone();
    let gate = gate_to(&a, "fallback: { to: b }", &echo);
    gate.get("/x?y=1").expect(200);
    gate.post("/x", "held").expect(200).expect_body("held");
    let long = vec![b'x'; 100_000];
    gate.post("/x", long.clone()).expect(200).expect_body(&long);
    assert_eq!(echo.request(0).target, "/x?y=1");
    let line = &gate.log(1)[0];
    assert_eq!((&line["service"], &line["endpoint"]), (&"b".into(), &echo.to_string().into()));
    assert_eq!(line["fallback"], "upstream_connect_failed");
    let failed = line["failed_attempts"].as_array().unwrap();
    assert_eq!(line["attempts"], failed.len() + 1);
    assert!(
        failed.iter().all(|one| one["endpoint"] == a.to_string() && one["code"] == "upstream_connect_failed")
    );
}

#[test]
fn what_a_service_may_have_done_is_not_asked_of_another() {
    let hasty = backend(|call| {
        call.body();
        call.reset();
    });
    let b = named("b");
    let gate = gate_to(&hasty, "fallback: { to: b }, retry: { attempts: 1, on: [reset, connect] }", &b);
    gate.post("/x", "once").expect(502).expect_refusal("upstream_reset");
    gate.get("/x").expect(502).expect_refusal("upstream_reset");
    assert_eq!(b.requests().len(), 0);
}

#[test]
fn who_finds_no_room_is_served_elsewhere() {
    let (busy, b) = (
        backend(|call| {
            call.wait_end();
        }),
        named("b"),
    );
    for queue in ["queue: 0", "queue: 5, queue_for: 50ms"] {
        let gate = gate_to(&busy, &format!("fallback: {{ to: b }}, pool: {{ max: 1, {queue} }}"), &b);
        let before = busy.requests().len();
        let _waiting = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("its only connection to be in use", || busy.requests().len() > before);
        gate.get("/x").expect(200).expect_body("b");
        assert_eq!(gate.log(1)[0]["fallback"], "upstream_busy");
    }
}

#[test]
fn what_stands_in_has_no_fallback_of_its_own() {
    let (a, b, c) = (gone(), gone(), named("c"));
    let gate = gateway_with(
        "
        services:
          a: { endpoints: <a>, fallback: { to: b } }
          b: { endpoints: <b>, fallback: { to: c } }
          c: <c>
        routes:
          - { match: /a, to: a, access: public }
          - { match: /b, to: b, access: public }
        ",
        &[("a", &a), ("b", &b), ("c", &c)],
    );
    gate.get("/b").expect(200).expect_body("c");
    let refused = gate.get("/a").expect(502);
    refused.expect_refusal("upstream_connect_failed");
    assert!(refused.text().contains("service b cannot be reached"), "{}", refused.text());
    assert_eq!(gate.log(2)[1]["fallback"], "upstream_connect_failed");
}
