//! Services that fail: what is tried again, which endpoints are left alone, and when a service is not called at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::http2::{END_HEADERS, END_STREAM, Http2, get, kind, pack};
use tollgate_tests::{
    Backend, Gateway, backend, eventually, gateway_with, grpc_call, grpc_server, named, raw_backend,
};

/// One worker in front of these endpoints, with these lines beside them.
fn gate_to(endpoints: &[&Backend], lines: &str) -> Gateway {
    let endpoints = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    gateway_with(
        "
        workers: 1
        services: { backend: { endpoints: [<endpoints>], <lines> } }
        routes: [{ match: '/{rest...}', to: backend, access: public }]
        ",
        &[("endpoints", &endpoints), ("lines", &lines)],
    )
}

fn refusing(status: u16) -> Backend {
    backend(move |call| {
        call.body();
        call.reply(status, "no");
    })
}

/// A backend that fails while it is told to.
fn moody() -> (Backend, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_well);
    let backend = backend(move |call| {
        if mood.load(Ordering::SeqCst) {
            call.reply(200, "well");
        } else {
            call.reply(503, "ill");
        }
    });
    (backend, is_well)
}

#[test]
fn an_answer_that_is_not_wanted_is_asked_for_elsewhere() {
    let (bad, good) = (refusing(503), named("good"));
    let gate = gate_to(&[&bad, &good], "retry: { attempts: 1, on: [503], backoff: 1ms }");
    for _ in 0..6 {
        gate.get("/x").expect(200).expect_body("good");
    }
    let failed = bad.requests().len();
    assert!(failed >= 3, "{failed}");
    assert_eq!(good.requests().len(), 6);
    assert_eq!(bad.connections(), 1, "its answers were read to their end");
    let log = gate.log(6);
    let told: Vec<_> = log.iter().filter(|line| line["attempts"] == 2).collect();
    assert_eq!(told.len(), failed, "{log:?}");
    for line in told {
        let attempt = &line["failed_attempts"][0];
        assert_eq!(attempt["endpoint"], bad.to_string());
        assert_eq!(attempt["status"], 503);
        assert!(attempt["duration_ms"].is_number());
        assert_eq!(line["endpoint"], good.to_string());
    }
    let retries = gate.metrics().sum("tollgate_upstream_retries_total", &[]);
    assert!((retries - failed as f64).abs() < 0.1, "{retries}");
}

#[test]
fn what_may_not_be_sent_twice_is_not() {
    let (bad, good) = (refusing(503), named("good"));
    let gate = gate_to(&[&bad, &good], "retry: { attempts: 1, on: [503, reset] }");
    let answers: Vec<u16> = (0..4).map(|_| gate.post("/x", "once").status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 503).count(), 2, "{answers:?}");
    let gate = gate_to(&[&bad, &good], "retry: { attempts: 1, on: [503], methods: [POST] }");
    for _ in 0..4 {
        gate.post("/x", "twice").expect(200);
    }
    // A body that is too long to be held.
    let gate = gate_to(&[&bad, &good], "retry: { attempts: 1, on: [503], methods: [POST] }");
    let answers: Vec<u16> = (0..4).map(|_| gate.post("/x", vec![b'x'; 100_000]).status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 503).count(), 2, "{answers:?}");
}

#[test]
fn a_body_is_sent_again_whole() {
    let bad = backend(|call| {
        call.body();
        call.reset();
    });
    let good = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let gate = gate_to(&[&bad, &good], "retry: { attempts: 1, on: [reset] }");
    for _ in 0..4 {
        // In two parts, so that it has not come when the head has.
        let mut wire = gate.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
        wire.send("-last");
        wire.answer().expect(200).expect_body("first-last");
    }
    assert!(bad.requests().len() >= 2);
    assert!(bad.requests().iter().all(|seen| seen.body == b"first-last"));
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_given_up_for_another() {
    let (silent, good) = (
        backend(|call| {
            call.wait_end();
        }),
        named("good"),
    );
    let gate = gate_to(&[&silent, &good], "retry: { attempts: 1, on: [timeout], timeout: 200ms }");
    for _ in 0..4 {
        gate.get("/x").expect(200).expect_body("good");
    }
    let given_up = silent.requests().len();
    assert!(given_up >= 2, "{given_up}");
    silent.expect_ended(given_up);
    let log = gate.log(4);
    let codes = log.iter().filter_map(|line| line["failed_attempts"][0]["code"].as_str());
    assert_eq!(codes.collect::<Vec<_>>(), vec!["upstream_timeout"; given_up]);
    let gate = gate_to(&[&silent], "retry: { attempts: 2, on: [timeout], timeout: 100ms }");
    gate.get("/x").expect(504).expect_refusal("upstream_timeout");
    assert_eq!(gate.log(1)[0]["attempts"], 3, "the only endpoint is tried again");
}

#[test]
fn retries_do_not_multiply_an_outage() {
    const REQUESTS: usize = 300;
    let bad = refusing(503);
    let gate = gate_to(&[&bad], "retry: { attempts: 3, on: [503], budget: 10%, backoff: 0ms }");
    let began = Instant::now();
    for _ in 0..REQUESTS {
        gate.get("/x").expect(503);
    }
    // What is kept for a bad moment, one a second, and the share.
    let most = 100 + began.elapsed().as_secs() as usize + 1 + REQUESTS / 10;
    let retries = bad.requests().len() - REQUESTS;
    assert!((100..=most).contains(&retries), "{retries} retries, at most {most}");
    assert!(gate.metrics().sum("tollgate_upstream_retries_denied_total", &[]) > 100.0);
}

#[test]
fn an_endpoint_that_asks_for_a_pause_gets_it() {
    let calls = AtomicUsize::new(0);
    let busy = backend(move |call| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => call.reply_with(503, "Retry-After: 1\r\n", "later"),
        1 => call.reply(200, "now"),
        _ => call.reply_with(503, "Retry-After: 3600\r\n", "much later"),
    });
    let gate = gate_to(&[&busy], "retry: { attempts: 1, on: [503] }");
    let began = Instant::now();
    gate.get("/x").expect(200).expect_body("now");
    assert!(began.elapsed() >= Duration::from_secs(1));
    // Longer than the request may take: told at once.
    gate.get("/x").expect(503).expect_body("much later").expect_header("Retry-After", "3600");
}

#[test]
fn an_endpoint_that_keeps_failing_is_left_alone() {
    let (bad, good, fine) = (refusing(503), named("good"), named("fine"));
    let gate = gate_to(&[&bad, &good, &fine], "eject: { errors: 3, for: 60s, max: 50% }");
    let failed = (0..30).filter(|_| gate.get("/x").status == 503).count();
    assert_eq!((failed, bad.requests().len()), (3, 3));
    gate.expect_line("is out for 60s, after 3 failures in a row");
    let (up, endpoint) = ("tollgate_upstream_endpoint_up", bad.to_string());
    assert!(gate.metrics().sum(up, &[("endpoint", &endpoint)]) < 0.1);
    assert!((gate.metrics().sum(up, &[]) - 2.0).abs() < 0.1);
    assert!((gate.metrics().sum("tollgate_upstream_ejections_total", &[]) - 1.0).abs() < 0.1);
    // A reload that does not touch it changes nothing.
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    gate.expect_reload(|| std::fs::write(gate.config_file(), format!("{config}\n# again\n")).unwrap());
    for _ in 0..10 {
        gate.get("/x").expect(200);
    }
    assert_eq!(bad.requests().len(), 3);
}

#[test]
fn an_endpoint_that_comes_back_is_used_again() {
    let ((moody, is_well), good) = (moody(), named("good"));
    let gate = gate_to(&[&moody, &good], "eject: { errors: 2, for: 300ms, slow_start: 300ms }");
    while !gate.said().contains("is out for") {
        gate.get("/x");
    }
    is_well.store(true, Ordering::SeqCst);
    let before = moody.requests().len();
    eventually("a request to it", || {
        gate.get("/x").expect(200);
        moody.requests().len() > before
    });
}

#[test]
fn when_all_endpoints_are_out_requests_are_tried_or_refused() {
    for (lines, status, code) in [
        ("eject: { errors: 1, max: 100% }", 503, ""),
        ("eject: { errors: 1, max: 100% }, when_all_down: fail", 503, "upstream_unavailable"),
    ] {
        let (one, other) = (refusing(503), refusing(503));
        let gate = gate_to(&[&one, &other], lines);
        gate.get("/x").expect(503).expect_body("no");
        gate.get("/x").expect(503).expect_body("no");
        let answer = gate.get("/x").expect(status);
        if code.is_empty() {
            answer.expect_body("no");
        } else {
            answer.expect_refusal(code);
            assert_eq!(one.requests().len() + other.requests().len(), 2);
        }
    }
}

#[test]
fn most_of_a_service_is_never_put_out() {
    let all = [refusing(503), refusing(503), refusing(503)];
    let gate = gate_to(&[&all[0], &all[1], &all[2]], "eject: 1");
    for _ in 0..20 {
        gate.get("/x").expect(503).expect_body("no");
    }
    assert!((gate.metrics().sum("tollgate_upstream_endpoint_up", &[]) - 2.0).abs() < 0.1);
}

#[test]
fn a_service_that_keeps_failing_is_not_called_until_it_may_be_well() {
    let (moody, is_well) = moody();
    let gate = gate_to(&[&moody], "breaker: { failures: 5, window: 30s, open_for: 1s, half_open: 2 }");
    for _ in 0..5 {
        gate.get("/x").expect(503).expect_body("ill");
    }
    let refused = gate.get("/x").expect(503);
    refused.expect_refusal("breaker_open");
    refused.expect_header("Retry-After", "1");
    assert_eq!(moody.requests().len(), 5);
    gate.expect_line("is not called for 1s");
    let state = || gate.metrics().sum("tollgate_breaker_state", &[("service", "backend")]);
    assert!(state() > 1.9);
    // Tried once, and found to be ill still.
    eventually("a trial", || gate.get("/x").text() == "ill");
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    assert_eq!(moody.requests().len(), 6);
    is_well.store(true, Ordering::SeqCst);
    eventually("a trial", || gate.get("/x").status == 200);
    eventually("the breaker to close", || {
        gate.get("/x").expect(200);
        state() < 0.1
    });
    gate.expect_line("is called as usual again");
    let turns = |to| gate.metrics().sum("tollgate_breaker_turns_total", &[("to", to)]);
    assert!((turns("open") - 2.0).abs() < 0.1 && (turns("closed") - 1.0).abs() < 0.1);
    for _ in 0..20 {
        gate.get("/x").expect(200);
    }
}

#[test]
fn an_open_breaker_survives_a_reload_and_goes_with_its_rules() {
    let bad = refusing(502);
    let gate = gate_to(&[&bad], "breaker: { failures: 1, open_for: 1h }");
    gate.get("/x").expect(502);
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    gate.expect_reload(|| std::fs::write(gate.config_file(), format!("{config}\n# again\n")).unwrap());
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    let without = config.replace("breaker: { failures: 1, open_for: 1h }", "");
    gate.expect_reload(|| std::fs::write(gate.config_file(), without).unwrap());
    gate.get("/x").expect(502).expect_body("no");
}

/// How many endpoints the gateway takes for well.
fn up(gate: &Gateway) -> f64 {
    gate.metrics().sum("tollgate_upstream_endpoint_up", &[])
}

#[test]
fn an_endpoint_that_says_it_is_not_well_gets_no_requests() {
    let ((moody, is_well), good) = (moody(), named("good"));
    is_well.store(true, Ordering::SeqCst);
    let check = "health: { path: /healthz, every: 50ms, healthy_after: 2, unhealthy_after: 2 }";
    let gate = gate_to(&[&moody, &good], check);
    eventually("checks of both", || {
        [&moody, &good].iter().all(|one| one.requests().iter().any(|seen| seen.target == "/healthz"))
    });
    assert!((up(&gate) - 2.0).abs() < 0.1);
    is_well.store(false, Ordering::SeqCst);
    eventually("one to be out", || up(&gate) < 1.5);
    gate.expect_line("is not well: it answered 503");
    for _ in 0..10 {
        gate.get("/x").expect(200).expect_body("good");
    }
    is_well.store(true, Ordering::SeqCst);
    eventually("both to be in", || up(&gate) > 1.5);
    gate.expect_line("is well");
    eventually("a request to it", || gate.get("/x").expect(200).text() == "well");
    let seen = moody.requests().into_iter().find(|seen| seen.target == "/healthz").unwrap();
    assert_eq!(seen.header("User-Agent"), Some("tollgate-health"));
    assert_eq!(seen.header("Host"), Some(moody.authority().as_str()));
    assert!(gate.log(1)[0]["path"] == "/x", "checks are no requests of clients");
}

#[test]
fn a_check_may_ask_for_words_in_the_answer_or_for_a_connection_alone() {
    let well = backend(|call| call.reply(200, "status: ok"));
    let ill = backend(|call| call.reply(200, "status: degraded"));
    let gate = gate_to(&[&well, &ill], "health: { path: /, body: 'status: (ok|fine)', every: 50ms }");
    gate.expect_line("is not well: nothing in its answer matches");
    eventually("one to be out", || up(&gate) < 1.5);
    let gone = named("gone");
    let gate = gate_to(&[&well, &gone], "health: { check: tcp, every: 50ms, unhealthy_after: 1 }");
    gone.stop();
    eventually("one to be out", || up(&gate) < 1.5);
    assert_eq!(gone.requests().len(), 0);
}

#[test]
fn a_check_that_is_taken_away_holds_nothing_against_an_endpoint() {
    let bad = refusing(500);
    let gate = gate_to(&[&bad], "health: { path: /, every: 50ms }, when_all_down: fail");
    eventually("it to be out", || up(&gate) < 0.5);
    gate.get("/x").expect(503).expect_refusal("upstream_unavailable");
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    let without = config.replace("health: { path: /, every: 50ms }, ", "");
    gate.expect_reload(|| std::fs::write(gate.config_file(), without).unwrap());
    eventually("it to be in", || up(&gate) > 0.5);
    gate.get("/x").expect(500);
}

#[test]
fn an_endpoint_may_have_to_prove_itself_first() {
    let (silent, good) = (
        backend(|call| {
            if call.target() == "/healthz" {
                call.wait_end();
            } else {
                call.reply(200, "silent");
            }
        }),
        named("good"),
    );
    let gate =
        gate_to(&[&silent, &good], "health: { path: /healthz, start: down, every: 50ms, timeout: 100ms }");
    eventually("the other", || up(&gate) > 0.5);
    for _ in 0..10 {
        gate.get("/x").expect(200).expect_body("good");
    }
    eventually("checks that were given up", || silent.requests().len() > 2);
    assert!(up(&gate) < 1.5);
}

#[test]
fn a_grpc_server_is_asked_by_its_health_protocol() {
    let server = grpc_server();
    let gate = gateway_with(
        "
        services:
          echo: { endpoints: [<echo>], protocol: grpc, health: { every: 50ms, start: down } }
          other: { endpoints: [<echo>], protocol: grpc, health: { check: grpc, service: nobody, every: 50ms } }
        routes:
          - { match: 'POST /scenes.Echo/Unary', to: echo, access: public }
          - { match: 'POST /other/{rest...}', to: other, access: public }
        ",
        &[("echo", &server)],
    );
    let of = |service| gate.metrics().sum("tollgate_upstream_endpoint_up", &[("service", service)]);
    gate.expect_line("service other");
    eventually("the whole server to be well", || of("echo") > 0.5);
    assert!(of("other") < 0.5);
    grpc_call(gate.address(), "unary", "Unary").send(&["x"]).expect("OK");
}

#[test]
fn a_body_that_a_service_did_not_read_never_becomes_the_next_request() {
    // Answers the head, and would take what follows for another request.
    let hasty = raw_backend(|socket| {
        while socket.take_until(b"\r\n\r\n").is_ok() {
            socket.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let good = named("good");
    let gate = gate_to(&[&hasty, &good], "retry: { attempts: 1, on: [503] }");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..4 {
        // To each of the two.
        for _ in 0..2 {
            gate.ask("GET", "/x").body(smuggled).send().expect(200);
        }
        for _ in 0..2 {
            gate.get("/x").expect(200);
        }
    }
    let mut smuggled = 0;
    for number in 0..hasty.connections() {
        let bytes = String::from_utf8_lossy(&hasty.bytes(number)).into_owned();
        if let Some((_, after)) = bytes.split_once("GET /smuggled") {
            smuggled += 1;
            assert!(!after.contains("GET /x"), "the connection is used again: {bytes}");
        }
    }
    assert!(smuggled >= 2, "{smuggled}");
}

#[test]
fn a_body_over_http2_is_held_however_it_ends() {
    let echo = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let gate = gate_to(&[&echo], "retry: { attempts: 1, on: [503] }");
    let head = [
        (":method", "PUT"),
        (":scheme", "http"),
        (":path", "/x"),
        (":authority", "a"),
        ("content-length", "5"),
    ];
    for trailers in [false, true] {
        let mut client = Http2::connect(gate.address(), &[]);
        let stream = client.open(&pack(&head), 0);
        client.send_frame(kind::DATA, 0, stream, b"hello");
        // The head and the body have come before the end.
        client.ask(&get("/none"));
        if trailers {
            client.send_frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &pack(&[("x-sum", "1")]));
        } else {
            client.send_frame(kind::DATA, END_STREAM, stream, b"");
        }
        let outcome = client.outcome(stream);
        assert_eq!((outcome.status(), &outcome.body[..]), (Some(200), &b"hello"[..]), "{outcome:?}");
    }
}

#[test]
fn an_endpoint_that_is_out_is_no_choice_for_a_retry_while_another_is_in() {
    let (moody, is_well) = moody();
    let ill = refusing(500);
    let gate = gate_to(
        &[&moody, &ill],
        "retry: { attempts: 2, on: [503], backoff: 0ms }, health: { path: /healthz, expect: 200-503, every: 50ms }",
    );
    // Both are well for such a check; now one is gone.
    ill.stop();
    eventually("it to be out", || up(&gate) < 1.5);
    let before = ill.requests().len();
    gate.get("/x").expect(503).expect_body("ill");
    assert_eq!(moody.requests().iter().filter(|seen| seen.target == "/x").count(), 3);
    assert_eq!(ill.requests().len(), before);
    is_well.store(true, Ordering::SeqCst);
    gate.get("/x").expect(200);
}

#[test]
fn impatient_callers_put_no_endpoint_out() {
    let slow = backend(|call| {
        std::thread::sleep(Duration::from_millis(50));
        call.reply(200, "ok");
    });
    let gate = gateway_with(
        "
        services: { backend: { endpoints: [<slow>], eject: { errors: 1, max: 100% }, breaker: 1 } }
        routes:
          - { match: /patient, to: backend, access: public }
          - { match: /impatient, to: backend, access: public, timeout: 10ms }
        ",
        &[("slow", &slow)],
    );
    for _ in 0..3 {
        gate.get("/impatient").expect(504);
    }
    gate.get("/patient").expect(200);
    assert!(up(&gate) > 0.5);
}

#[test]
fn a_reload_that_adds_an_endpoint_keeps_what_checks_have_found() {
    let (ill, good, more) = (refusing(503), named("good"), named("more"));
    let gate = gate_to(&[&ill, &good], "health: { path: /, every: 50ms, start: down }");
    eventually("the good one to be in", || up(&gate) > 0.5);
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    let config = config.replace(&format!(", {good}"), &format!(", {good}, {more}"));
    gate.expect_reload(|| std::fs::write(gate.config_file(), config).unwrap());
    for _ in 0..20 {
        gate.get("/x").expect(200);
    }
    eventually("the new one to be in", || up(&gate) > 1.5);
    assert!(ill.requests().iter().all(|seen| seen.target == "/"));
}
