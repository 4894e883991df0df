//! Where messages begin and end: lengths, chunks, trailers, answers without a body, answers that end with the
//! connection, and answers that are wrong.

use tollgate_tests::{Backend, Ending, Gateway, backend, front};

/// A gateway before a service that answers every request with these bytes, and then hangs up.
fn says(bytes: &'static str) -> (Backend, Gateway) {
    let users = backend(move |call| {
        call.body();
        call.send(bytes);
        call.close();
    });
    let gate = front(&users);
    (users, gate)
}

#[test]
fn a_chunked_request_arrives_whole_with_its_trailers() {
    let users = backend(|call| call.reply(200, ""));
    let gate = front(&users);
    let mut wire = gate.send(concat!(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        "5;name=value\r\nhello\r\n6;q=\"a;b\"\r\n world\r\n0;last\r\nX-Sum: 11\r\n\r\n",
    ));
    wire.answer().expect(200);
    let seen = users.only_request();
    assert_eq!(seen.body, b"hello world");
    assert_eq!(seen.trailers.get("X-Sum"), Some("11"));
    assert_eq!(seen.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(seen.header("Content-Length"), None);
}

#[test]
fn a_request_with_a_length_arrives_with_that_length() {
    let users = backend(|call| call.reply(200, ""));
    let gate = front(&users);
    gate.post("/x", "hello").expect(200);
    let seen = users.only_request();
    assert_eq!(seen.body, b"hello");
    assert_eq!(seen.header("Content-Length"), Some("5"));
    assert_eq!(seen.header("Transfer-Encoding"), None);
}

#[test]
fn a_request_without_a_body_is_sent_without_framing() {
    let users = backend(|call| call.reply(200, ""));
    let gate = front(&users);
    gate.get("/x").expect(200);
    let seen = users.only_request();
    assert!(!seen.fields.has("Content-Length") && !seen.fields.has("Transfer-Encoding"), "{seen:?}");
}

#[test]
fn a_chunked_answer_arrives_whole_with_its_trailers() {
    let (_users, gate) = says(concat!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        "5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    ));
    let answer = gate.ask("GET", "/x").header("TE", "trailers").header("Connection", "TE").send();
    let answer = answer.expect(200).expect_body("hello world");
    assert_eq!(answer.trailers.get("X-Sum"), Some("11"), "{answer:?}");
}

#[test]
fn a_chunked_answer_reaches_an_http_1_0_client_without_chunks() {
    let (_users, gate) = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let answer = wire.answer().expect(200).expect_body("hello");
    assert!(answer.until_close, "{answer:?}");
}

#[test]
fn an_answer_that_ends_with_the_connection_arrives_whole_and_keeps_the_client() {
    let (_users, gate) = says("HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nuntil the end");
    let mut wire = gate.connect();
    for _ in 0..2 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer().expect(200).expect_body("until the end");
        assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"), "{answer:?}");
    }
}

#[test]
fn an_http_1_0_answer_is_passed_on_as_http_1_1() {
    for bytes in [
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nold",
        "HTTP/1.0 200 OK\r\n\r\nold",
    ] {
        let (_users, gate) = says(bytes);
        let answer = gate.get("/x").expect(200).expect_body("old");
        assert_eq!(answer.version, "HTTP/1.1", "{bytes:?}");
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let users = backend(|call| {
        let status = call.target()[1..].to_owned();
        call.body();
        match status.as_str() {
            "204" => call.send("HTTP/1.1 204 No Content\r\n\r\n"),
            "304" => call.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 5\r\n\r\n"),
            _ => call.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        };
    });
    let gate = front(&users);
    let mut wire = gate.connect();
    for status in [204, 304, 200, 204, 304] {
        wire.send(format!("GET /{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = wire.answer().expect(status).expect_body("");
        assert!(!answer.fields.has("Transfer-Encoding"), "{answer:?}");
        match status {
            204 => assert!(!answer.fields.has("Content-Length"), "{answer:?}"),
            304 => assert_eq!(answer.header("ETag"), Some("\"1\"")),
            _ => assert_eq!(answer.header("Content-Length"), Some("0")),
        }
    }
    assert_eq!(users.connections(), 1);
}

#[test]
fn an_answer_to_head_says_how_long_it_would_be_and_has_no_body() {
    for lines in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let users = backend(move |call| {
            call.send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        });
        let gate = front(&users);
        let mut wire = gate.connect();
        for _ in 0..2 {
            wire.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = wire.answer_to("HEAD").expect(200);
            if lines.starts_with("Content-Length") {
                assert_eq!(answer.header("Content-Length"), Some("5"));
            }
        }
        assert_eq!(users.request(1).method, "HEAD");
        assert_eq!(users.connections(), 1, "{lines:?}");
    }
}

#[test]
fn a_redirect_of_the_service_is_passed_on_not_followed() {
    let (users, gate) = says("HTTP/1.1 302 Found\r\nLocation: http://other/y\r\nContent-Length: 0\r\n\r\n");
    gate.get("/x").expect(302).expect_header("Location", "http://other/y");
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn statuses_and_reasons_that_nobody_knows_are_passed_on() {
    let (_users, gate) = says("HTTP/1.1 299 Fine, I guess\r\nContent-Length: 2\r\n\r\nok");
    gate.get("/x").expect(299).expect_body("ok");
}

/// What no client may see: each is a 502, and the connection to the service is given up.
const WRONG_ANSWERS: &[(&str, &str)] = &[
    ("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("nothing at all", ""),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
    ("a status that is no number", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded field", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    ("a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("a NUL", "HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n"),
    (
        "a switch that nobody asked for",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
];

#[test]
fn a_wrong_answer_is_a_502_that_names_service_and_endpoint() {
    for (name, bytes) in WRONG_ANSWERS {
        let (users, gate) = says(bytes);
        let answer = gate.ask("POST", "/x").body("x").send();
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        let problem = answer.json();
        assert!(problem["code"].as_str().unwrap().starts_with("upstream_"), "{name}: {answer:?}");
        assert_eq!(problem["stage"], "call", "{name}");
        assert_eq!(problem["service"], "backend", "{name}");
        assert_eq!(problem["endpoint"], users.to_string(), "{name}");
        assert!(!problem["cause"].as_str().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn a_service_that_dies_in_the_middle_never_looks_like_a_clean_end() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\n",
    ] {
        let (_users, gate) = says(bytes);
        match gate.ask("GET", "/x").try_send() {
            // Nothing had been passed on when it showed.
            Ok(answer) => assert_eq!(answer.status, 502, "{bytes:?}: {answer:?}"),
            Err(broken) => {
                assert_ne!(broken.ending, Ending::Silent, "{bytes:?}: {broken:?}");
                assert!(broken.received.ends_with(b"only this"), "{bytes:?}: {broken:?}");
            }
        }
    }
}

#[test]
fn a_broken_answer_is_never_a_clean_end_to_an_http_1_0_client() {
    let (_users, gate) = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n");
    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    // Only a reset says it: without chunks and length an orderly end is a whole answer.
    let broken = wire.try_answer("GET").expect_err("a clean end");
    assert_eq!(broken.ending, Ending::Reset);
}

#[test]
fn what_a_service_sends_after_its_answer_reaches_nobody() {
    let users = backend(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
    });
    let gate = front(&users);
    let mut wire = gate.connect();
    for _ in 0..3 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.answer().expect(200).expect_body("ok");
    }
    assert_eq!(users.connections(), 3, "a connection out of step is not used again");
}
