//! Connections: kept alive, pipelined, closed when they must be, on either side.

use tollgate_tests::{Signal, backend, front, front_with, hello};

#[test]
fn a_connection_serves_request_after_request() {
    let users = hello();
    let gate = front(&users);
    let mut wire = gate.connect();
    for _ in 0..5 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(!wire.answer().expect(200).expect_body("hello").closes());
    }
    assert_eq!(users.requests().len(), 5);
    assert_eq!(users.connections(), 1, "the connection to the service is kept, too");
}

#[test]
fn requests_of_many_clients_share_the_pooled_connection() {
    let users = hello();
    let gate = front(&users);
    for _ in 0..5 {
        gate.get("/x").expect(200);
    }
    assert_eq!(users.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let users = backend(|call| {
        let target = call.target().to_owned();
        call.reply(200, target);
    });
    let gate = front(&users);
    let targets: Vec<_> = (0..20).map(|number| format!("/{number}")).collect();
    let requests: Vec<_> =
        targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let mut wire = gate.send(requests.concat());
    for target in &targets {
        wire.answer().expect(200).expect_body(target);
    }
}

#[test]
fn pipelined_requests_with_bodies_keep_their_borders() {
    let users = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let gate = front(&users);
    let mut wire = gate.send(concat!(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst",
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n",
        "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ));
    for body in ["first", "second", "", ""] {
        wire.answer().expect(200).expect_body(body);
    }
    wire.expect_end();
}

#[test]
fn a_request_that_trickles_in_byte_by_byte_is_served() {
    let users = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let gate = front(&users);
    let mut wire = gate.connect();
    let request =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        wire.send([*byte]);
    }
    wire.answer().expect(200).expect_body("abcde");
}

#[test]
fn a_client_that_asks_for_it_gets_its_connection_closed() {
    let gate_users = hello();
    let gate = front(&gate_users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(wire.answer().expect(200).closes());
    wire.expect_end();
}

#[test]
fn an_http_1_0_client_is_closed_after_its_answer_unless_it_asked_to_stay() {
    let users = hello();
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("hello");
    wire.expect_end();

    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let answer = wire.answer().expect(200);
    assert!(answer.header("Connection").unwrap().eq_ignore_ascii_case("keep-alive"), "{answer:?}");
    wire.send("GET /y HTTP/1.0\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("hello");
    wire.expect_end();
}

#[test]
fn an_http_1_0_client_needs_no_host() {
    let users = hello();
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.0\r\n\r\n");
    wire.answer().expect(200);
    assert_eq!(users.only_request().version, "HTTP/1.1", "we speak our own version to the service");
    assert!(users.only_request().fields.has("Host"), "and HTTP/1.1 has a Host");
}

#[test]
fn a_service_that_closes_does_not_close_the_client() {
    let users = backend(|call| {
        call.reply_with(200, "Connection: close\r\n", "bye");
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.connect();
    for _ in 0..3 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer().expect(200).expect_body("bye");
        assert!(!answer.closes(), "{answer:?}");
    }
    assert_eq!(users.connections(), 3);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let users = hello();
    let gate = front(&users);
    let mut wire = gate.send("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("hello");
}

#[test]
fn a_client_that_ends_its_half_after_the_request_still_gets_its_answer() {
    let held = Signal::new();
    let gone = held.clone();
    let users = backend(move |call| {
        gone.wait();
        call.reply(200, "late");
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    users.request(0);
    wire.half_close();
    held.raise();
    // RFC 9112, section 9.6 lets a server treat this as a lost client; what it may not do is answer in part.
    match wire.try_answer("GET") {
        Ok(answer) => drop(answer.expect(200).expect_body("late")),
        Err(broken) => assert!(broken.received.is_empty(), "{broken:?}"),
    }
}

#[test]
fn an_idle_connection_to_a_service_that_closed_it_is_not_used_again() {
    let users = hello();
    let gate = front(&users);
    gate.get("/1").expect(200);
    users.hang_up();
    users.expect_ended(1);
    gate.get("/2").expect(200);
    assert_eq!(users.connections(), 2);
}

#[test]
fn many_clients_at_once_are_all_served() {
    let users = hello();
    let gate = front_with(&users, "");
    let wires: Vec<_> = (0..200).map(|_| gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    for mut wire in wires {
        wire.answer().expect(200).expect_body("hello");
    }
}
