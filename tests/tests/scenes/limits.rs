//! Limits of time and size: the slow and the big are turned away, each with its own status.

use tollgate_tests::{Signal, backend, front_with, hello};

const SHORT: &str = "
    listeners:
      - address: 127.0.0.1:0
        limits: { header_timeout: 200ms, body_timeout: 200ms, idle_timeout: 200ms }
    ";

#[test]
fn a_head_that_takes_too_long_gets_408() {
    let users = hello();
    let gate = front_with(&users, SHORT);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Slow");
    wire.answer().expect(408);
    wire.expect_end();
    assert!(users.requests().is_empty());
}

#[test]
fn a_head_that_trickles_gets_no_more_time() {
    let users = hello();
    let gate = front_with(&users, SHORT);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n");
    // Each byte comes in time; their sum does not. The pace is the attack itself, not a wait for something.
    let dripping = std::time::Instant::now();
    while wire.send("X") && dripping.elapsed() < std::time::Duration::from_secs(5) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(dripping.elapsed() < std::time::Duration::from_secs(5), "the gateway waits for every byte");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let users = hello();
    let gate = front_with(&users, SHORT);
    gate.connect().expect_end();

    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200);
    wire.expect_end();
}

#[test]
fn a_body_that_stops_coming_gets_408() {
    let users = backend(|call| {
        if call.try_body().is_ok() {
            call.reply(200, "");
        }
        call.close();
    });
    let gate = front_with(&users, SHORT);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    wire.answer().expect(408);
    wire.expect_end();
    users.expect_ended(1);
}

#[test]
fn the_time_limits_do_not_touch_a_request_that_waits_for_its_service() {
    let done = Signal::new();
    let hold = done.clone();
    let users = backend(move |call| {
        hold.wait();
        call.reply(200, "late");
    });
    let gate = front_with(&users, SHORT);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    users.request(0);
    // An idle connection made later ends by its limit while the request still waits.
    gate.connect().expect_end();
    done.raise();
    wire.answer().expect(200).expect_body("late");
}

const SMALL: &str = "
    listeners:
      - address: 127.0.0.1:0
        limits: { headers: 10, header_size: 2KiB, line_size: 1KiB }
    defaults: { request: { max_body: 1KiB } }
    ";

#[test]
fn what_is_too_big_is_refused_and_never_reaches_the_service() {
    let users = hello();
    let gate = front_with(&users, SMALL);
    let long = "x".repeat(1100);
    let fields = |count: usize| "X-A: b\r\n".repeat(count);
    for (name, status, request) in [
        ("a long target", 414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("an endless target", 414, format!("GET /{}", "x".repeat(5000))),
        ("a long field", 431, format!("GET /x HTTP/1.1\r\nHost: a\r\nX-A: {long}{long}\r\n\r\n")),
        ("an endless field", 431, format!("GET /x HTTP/1.1\r\nHost: a\r\nX-A: {}", "x".repeat(5000))),
        ("too many fields", 431, format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(10))),
    ] {
        let mut wire = gate.send(request);
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(answer.closes(), "{name}: {answer:?}");
        answer.expect_refusal(answer.json()["code"].as_str().unwrap());
        wire.expect_end();
    }
    let answer = gate.post("/x", vec![b'x'; 1025]).expect(413);
    answer.expect_refusal("body_too_large");
    // So much is not read only to be thrown away.
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    assert!(wire.answer().expect(413).closes());
    wire.expect_end();
    assert!(users.requests().is_empty());
}

#[test]
fn what_is_just_not_too_big_passes() {
    let users = hello();
    let gate = front_with(&users, SMALL);
    // Host and nine more.
    let fields = "X-A: b\r\n".repeat(9);
    gate.send(format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).answer().expect(200);
    gate.post("/x", vec![b'x'; 1024]).expect(200);
}

#[test]
fn a_chunked_body_is_counted_as_it_comes() {
    let users = backend(|call| {
        if call.try_body().is_ok() {
            call.reply(200, "");
        }
        call.close();
    });
    let gate = front_with(&users, SMALL);
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut wire = gate.send(format!("{head}{chunk}{chunk}{chunk}"));
    wire.answer().expect(413);
    wire.expect_end();

    let mut wire = gate.send(format!("{head}{chunk}{chunk}0\r\n\r\n"));
    wire.answer().expect(200);
    for seen in users.requests() {
        assert!(seen.body.len() <= 1024, "{} bytes reached the service", seen.body.len());
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_instead_of_100_continue() {
    let users = hello();
    let gate = front_with(&users, SMALL);
    let mut wire =
        gate.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    let answer = wire.answer().expect(413);
    assert!(answer.interim.is_empty(), "{answer:?}");
    wire.expect_end();
}

#[test]
fn chunk_extensions_and_trailers_are_bounded() {
    let users = backend(|call| {
        if call.try_body().is_ok() {
            call.reply(200, "");
        }
        call.close();
    });
    let gate = front_with(&users, "");
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, rest) in [
        ("an endless extension", format!("5;{}", "x".repeat(1_000_000))),
        ("endless trailers", format!("0\r\n{}", "X-A: b\r\n".repeat(100_000))),
    ] {
        let mut wire = gate.send([head, &rest].concat());
        let answer = wire.answer();
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
}

#[test]
fn connections_over_the_limit_are_turned_away_and_room_is_given_back() {
    let users = hello();
    let gate = front_with(&users, "listeners: [{ address: '127.0.0.1:0', limits: { connections: 2 } }]");
    let request = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = gate.send(request);
    first.answer().expect(200);
    let mut second = gate.send(request);
    second.answer().expect(200);
    // The third gets a refusal or nothing; in no case an answer of the service.
    if let Ok(answer) = gate.send(request).try_answer("GET") {
        answer.expect(503);
    }
    drop(first);
    tollgate_tests::eventually("there is room again", || {
        gate.send(request).try_answer("GET").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_media_type_that_is_not_wanted_gets_415() {
    let users = hello();
    let gate = front_with(&users, "defaults: { request: { content_types: [application/json, image/*] } }");
    let send = |kind: &str| gate.ask("POST", "/x").header("Content-Type", kind).body("x").send();
    send("text/plain").expect(415);
    gate.post("/x", "x").expect(415);
    assert!(users.requests().is_empty());
    send("application/json; charset=utf-8").expect(200);
    send("IMAGE/png").expect(200);
    gate.get("/x").expect(200);
}
