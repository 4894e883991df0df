//! Interim answers and `Expect: 100-continue`, from end to end (RFC 9110, sections 10.1.1 and 15.2).

use tollgate_tests::{Signal, backend, front};

const EXPECTING: &str = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn the_service_s_100_continue_reaches_the_client_before_the_body_is_sent() {
    let users = backend(|call| {
        assert_eq!(call.seen.header("Expect"), Some("100-continue"));
        call.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = call.body();
        call.reply(200, body);
    });
    let gate = front(&users);
    let mut wire = gate.send(EXPECTING);
    let interim = wire.take_until(b"\r\n\r\n").unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&interim));
    wire.send("hello");
    let answer = wire.answer().expect(200).expect_body("hello");
    assert!(answer.interim.is_empty(), "{answer:?}");
}

#[test]
fn a_final_answer_instead_of_100_spares_the_client_its_body() {
    for status in [417, 413, 401] {
        let users = backend(move |call| {
            call.send(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
            call.close();
        });
        let gate = front(&users);
        let mut wire = gate.send(EXPECTING);
        let answer = wire.answer().expect(status);
        assert!(answer.interim.is_empty(), "{answer:?}");
        // Whether the body will come now is known to nobody, so the connection cannot go on.
        assert!(answer.closes(), "{answer:?}");
        wire.expect_end();
        assert_eq!(users.only_request().body, b"");
    }
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served() {
    let users = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let gate = front(&users);
    let mut wire = gate.send([EXPECTING, "hello"].concat());
    wire.answer().expect(200).expect_body("hello");
}

#[test]
fn early_hints_are_passed_on_with_their_fields_before_the_answer() {
    let hinted = Signal::new();
    let seen = hinted.clone();
    let users = backend(move |call| {
        call.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        seen.wait();
        call.reply(200, "done");
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = String::from_utf8(wire.take_until(b"\r\n\r\n").unwrap()).unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 "), "{hints}");
    assert!(hints.to_ascii_lowercase().contains("link: </a.css>; rel=preload"), "{hints}");
    hinted.raise();
    wire.answer().expect(200).expect_body("done");
}

#[test]
fn several_interim_answers_are_all_passed_on() {
    let users = backend(|call| {
        call.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
        call.reply(200, "done");
    });
    let gate = front(&users);
    let answer = gate.get("/x").expect(200).expect_body("done");
    let statuses: Vec<_> = answer.interim.iter().map(|interim| interim.status).collect();
    assert_eq!(statuses, [102, 103]);
}

#[test]
fn an_http_1_0_client_never_sees_an_interim_answer() {
    let users = backend(|call| {
        call.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
        call.reply(200, "done");
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = wire.answer().expect(200).expect_body("done");
    assert!(answer.interim.is_empty(), "{answer:?}");
}

#[test]
fn interim_answers_without_end_are_not_an_answer() {
    let users = backend(|call| {
        while call.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)) {}
        call.close();
    });
    let gate = front(&users);
    let answer = gate.get("/x").expect(502);
    assert!(answer.interim.len() < 1000, "{} interim answers", answer.interim.len());
}

#[test]
fn an_expectation_that_nobody_knows_is_refused() {
    let users = backend(|call| call.reply(200, ""));
    let gate = front(&users);
    gate.ask("GET", "/x").header("Expect", "tea").send().expect(417).expect_refusal("expectation_unknown");
    assert!(users.requests().is_empty());
}
