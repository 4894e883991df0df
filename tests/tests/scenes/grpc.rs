//! gRPC from end to end: Python's grpcio at both ends, in clear and over TLS, with all that a call has beside its messages.

use tollgate_tests::http2::{Http2, kind, pack};
use tollgate_tests::{
    Authority, Gateway, GrpcServer, backend, eventually, gateway_with, grpc_call, grpc_server,
    grpc_server_with, named, raw_backend,
};

/// A gateway whose every request goes to that server, with this beside `to` on the route.
fn gate_to(server: &GrpcServer, policies: &str) -> Gateway {
    gateway_with(
        "
        services: { echo: { endpoints: [<echo>], protocol: grpc } }
        routes: [{ match: '/{rest...}', to: echo, access: public <policies> }]
        ",
        &[("echo", server), ("policies", &policies)],
    )
}

/// Kind, method, messages sent, messages that come back.
type Case = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const KINDS: [Case; 5] = [
    ("unary", "Unary", &["one"], &["one"]),
    ("client", "ClientStream", &["one", "two", "three"], &["one+two+three"]),
    ("server", "ServerStream", &["4"], &["0", "1", "2", "3"]),
    ("bidirectional", "Bidirectional", &["one", "two"], &["<one>", "<two>"]),
    ("server", "ServerStream", &["0"], &[]),
];

#[test]
fn every_kind_of_call_passes_in_clear() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    for (kind, method, sent, received) in KINDS {
        grpc_call(gate.address(), kind, method).send(sent).expect("OK").expect_messages(received);
    }
    let log = gate.log(KINDS.len());
    assert!(log.iter().all(|line| line["protocol"] == "HTTP/2" && line["status"] == 200), "{log:?}");
}

#[test]
fn every_kind_of_call_passes_over_tls_on_both_sides() {
    let authority = Authority::new();
    let server = grpc_server_with(&authority.sign(&["localhost", "127.0.0.1"]));
    let front = authority.sign(&["gate", "127.0.0.1"]);
    let gate = gateway_with(
        "
        listeners:
          - address: '127.0.0.1:0'
            tls: { certificates: [{ cert: <cert>, key: <key> }] }
        services: { echo: { endpoints: [<echo>], protocol: grpc, tls: { ca: <ca> } } }
        routes: [{ match: 'POST /scenes.Echo/{method}', to: echo, access: public }]
        ",
        &[
            ("cert", &front.certificate.display()),
            ("key", &front.key.display()),
            ("ca", &authority.certificate().display()),
            ("echo", &server),
        ],
    );
    for (kind, method, sent, received) in KINDS {
        let call = grpc_call(gate.address(), kind, method).tls(&authority.certificate());
        call.send(sent).expect("OK").expect_messages(received);
    }
}

#[test]
fn metadata_passes_both_ways_in_text_and_in_bytes() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    let call = grpc_call(gate.address(), "unary", "Unary");
    let call = call.option("--metadata", "x-me=you").option("--metadata", "x-my-bin=00ff10");
    let outcome = call.send(&["one"]).expect("OK");
    for metadata in [outcome.initial("x-me"), outcome.trailing("x-me")] {
        assert_eq!(metadata, Some("you"));
    }
    assert_eq!(outcome.initial("x-my-bin"), Some("bin:00ff10"));
    assert_eq!(outcome.trailing("x-my-bin"), Some("bin:00ff10"));
    assert_eq!(outcome.trailing("x-end-bin"), Some("bin:00ff"));
}

#[test]
fn a_failure_arrives_as_the_service_told_it_at_once_late_or_in_detail() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    let outcome = grpc_call(gate.address(), "unary", "Fail").send(&["x"]).expect("NOT_FOUND");
    assert_eq!((outcome.details(), outcome.trailing("x-why")), ("100 % größer", Some("because")));
    let outcome = grpc_call(gate.address(), "server", "FailLate").send(&["x"]).expect("DATA_LOSS");
    assert_eq!((outcome.messages(), outcome.details()), (vec!["one"], "gone"));
    assert_eq!(gate.log(2)[1]["grpc_status"], "DATA_LOSS");
    let count = gate.metrics().sum("tollgate_grpc_calls_total", &[("status", "NOT_FOUND")]);
    assert!((count - 1.0).abs() < 0.1, "{count}");
    let outcome = grpc_call(gate.address(), "unary", "FailInDetail").send(&["x"]);
    let details = outcome.expect("RESOURCE_EXHAUSTED").error_details();
    assert!(details.contains("TOO_MANY") && details.contains("scenes"), "{details}");
}

#[test]
fn large_messages_pass_whole() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    for (kind, method) in [("unary", "Unary"), ("client", "ClientStream")] {
        let outcome = grpc_call(gate.address(), kind, method).option("--size", "8000000").send(&["a"]);
        outcome.expect("OK").expect_messages(&["8000000 bytes of {97}"]);
    }
}

#[test]
fn a_service_hears_how_much_of_the_caller_s_time_is_left() {
    let server = grpc_server();
    let left = |policies: &str, timeout: Option<&str>| {
        let gate = gate_to(&server, policies);
        let mut call = grpc_call(gate.address(), "unary", "Deadline");
        if let Some(timeout) = timeout {
            call = call.option("--timeout", timeout);
        }
        call.send(&["x"]).expect("OK").messages()[0].to_owned()
    };
    let seconds = |text: String| text.parse::<f64>().unwrap();
    let client = seconds(left("", Some("20")));
    assert!((15.0..=20.0).contains(&client), "the client's: {client}");
    let route = seconds(left(", timeout: 10s", Some("20")));
    assert!((5.0..=10.0).contains(&route), "the route's, which is less: {route}");
    let route = seconds(left(", timeout: 10s", None));
    assert!((5.0..=10.0).contains(&route), "the route's, where the client has none: {route}");
    assert_eq!(left(", timeout: { total: off }", None), "none");
}

#[test]
fn a_call_that_its_caller_gives_up_ends_at_the_service_too() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    let outcome = grpc_call(gate.address(), "unary", "Silent").option("--timeout", "0.6").send(&["x"]);
    assert!(outcome.expect("DEADLINE_EXCEEDED").seconds() < 10.0);
    server.expect_word("waiting");
    server.expect_word("over");
    let outcome = grpc_call(gate.address(), "server", "Wait").cancelled().send(&["x"]);
    outcome.expect("CANCELLED").expect_messages(&["first"]);
    server.expect_word("waiting");
    server.expect_word("over");
}

#[test]
fn what_takes_longer_than_the_route_allows_ends_with_a_status() {
    let server = grpc_server();
    // The service hears of `total` and may be quicker than the gateway to say that it is over; of these it hears nothing.
    let gate = gate_to(&server, ", timeout: { first_byte: 500ms, idle: 600ms, total: off }");
    let outcome = grpc_call(gate.address(), "unary", "Silent").send(&["x"]).expect("DEADLINE_EXCEEDED");
    assert_eq!(outcome.trailing("tollgate-code"), Some("upstream_timeout"));
    server.expect_word("waiting");
    server.expect_word("over");
    let outcome = grpc_call(gate.address(), "server", "Wait").send(&["x"]);
    let outcome = outcome.expect("DEADLINE_EXCEEDED").expect_messages(&["first"]);
    assert_eq!(outcome.trailing("tollgate-code"), Some("upstream_idle_timeout"));
    server.expect_word("waiting");
    server.expect_word("over");
    let log = gate.log(2);
    assert_eq!(log[1]["code"], "upstream_idle_timeout");
    assert_eq!(log[1]["grpc_status"], "DEADLINE_EXCEEDED");
}

#[test]
fn the_whole_time_of_a_route_ends_a_stream_that_goes_on() {
    let server = grpc_server();
    let gate = gate_to(&server, ", timeout: 700ms");
    let outcome = grpc_call(gate.address(), "server", "Wait").send(&["x"]);
    outcome.expect("DEADLINE_EXCEEDED").expect_messages(&["first"]);
    server.expect_word("waiting");
    server.expect_word("over");
}

#[test]
fn a_service_that_dies_in_the_middle_of_a_stream_was_unavailable() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    let call = grpc_call(gate.address(), "server", "Wait");
    let calling = std::thread::spawn(move || call.send(&["x"]));
    server.expect_word("waiting");
    drop(server);
    calling.join().unwrap().expect("UNAVAILABLE");
    assert_eq!(gate.log(1)[0]["grpc_status"], "UNAVAILABLE");
}

#[test]
fn callers_are_told_when_the_gateway_stops_before_their_calls_are_over() {
    let server = grpc_server();
    let silent = backend(|call| {
        call.wait_end();
    });
    let mut gate = gateway_with(
        "
        drain: 1200ms
        services:
          echo: { endpoints: [<echo>], protocol: grpc }
          silent: { endpoints: [<silent>] }
        routes:
          - { match: POST /scenes.Echo/Wait, to: echo, access: public }
          - { match: POST /scenes.Echo/Unary, to: silent, access: public }
        ",
        &[("echo", &server), ("silent", &silent)],
    );
    let streaming = grpc_call(gate.address(), "server", "Wait");
    let streaming = std::thread::spawn(move || streaming.send(&["x"]));
    let unanswered = grpc_call(gate.address(), "unary", "Unary");
    let unanswered = std::thread::spawn(move || unanswered.send(&["x"]));
    server.expect_word("waiting");
    eventually("both calls", || silent.requests().len() == 1);
    gate.terminate();
    let outcome = streaming.join().unwrap().expect("UNAVAILABLE").expect_messages(&["first"]);
    assert_eq!(outcome.trailing("tollgate-code"), Some("call_drained"));
    let outcome = unanswered.join().unwrap().expect("UNAVAILABLE");
    assert_eq!(outcome.trailing("tollgate-code"), Some("call_drained"));
    server.expect_word("over");
    assert_eq!(gate.expect_exit().code(), Some(0), "nothing was cut off");
}

#[test]
fn a_refusal_is_a_status_of_grpc_and_has_the_gateway_s_code() {
    let server = grpc_server();
    let gate = gateway_with(
        "
        services:
          echo: { endpoints: [<echo>], protocol: grpc }
          gone: { endpoints: ['http://127.0.0.1:1'], protocol: grpc }
        routes:
          - { match: POST /scenes.Echo/Unary, to: gone, access: public }
          - { match: GET /scenes.Echo/Fail, to: echo, access: public }
          - { match: POST /scenes.Echo/ClientStream, to: echo, access: public, request: { max_body: 100B } }
        ",
        &[("echo", &server)],
    );
    for (kind, method, status, code) in [
        ("unary", "Unary", "UNAVAILABLE", "upstream_connect_failed"),
        ("unary", "Fail", "UNIMPLEMENTED", "method_not_allowed"),
        ("unary", "Deadline", "UNIMPLEMENTED", "no_route"),
        ("client", "ClientStream", "RESOURCE_EXHAUSTED", "body_too_large"),
    ] {
        let call = grpc_call(gate.address(), kind, method).option("--size", "1000");
        let outcome = call.send(&["x"]).expect(status);
        assert_eq!(outcome.trailing("tollgate-code"), Some(code), "{outcome:?}");
        // In front if the service had begun to answer.
        let id = outcome.trailing("x-request-id").or(outcome.initial("x-request-id"));
        assert!(id.is_some(), "{outcome:?}");
        assert!(!outcome.details().is_empty());
    }
    let log = gate.log(4);
    assert_eq!((&log[2]["code"], &log[2]["status"]), (&"no_route".into(), &200.into()));
    assert_eq!(log[2]["grpc_status"], "UNIMPLEMENTED");
}

#[test]
fn a_call_whose_messages_become_too_many_ends_though_its_answer_has_begun() {
    let service = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket
            .send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.take_rest();
    });
    let gate = gateway_with(
        "
        services: { echo: { endpoints: [<echo>] } }
        routes: [{ match: '/{rest...}', to: echo, access: public, request: { max_body: 100B } }]
        ",
        &[("echo", &service)],
    );
    let mut caller = Http2::connect(gate.address(), &[]);
    let head =
        [(":method", "POST"), (":scheme", "http"), (":path", "/scenes.Echo/Many"), (":authority", "a")];
    let head = [&head[..], &[("content-type", "application/grpc"), ("te", "trailers")]].concat();
    let stream = caller.open(&pack(&head), 0);
    while caller.next_frame().unwrap().kind != kind::HEADERS {}
    caller.send_frame(kind::DATA, 0, stream, &[0; 101]);
    let outcome = caller.outcome(stream);
    assert_eq!((outcome.heads.len(), outcome.reset), (1, None), "ended by trailers: {outcome:?}");
    let line = &gate.log(1)[0];
    assert_eq!(
        (&line["code"], &line["grpc_status"]),
        (&"body_too_large".into(), &"RESOURCE_EXHAUSTED".into())
    );
}

#[test]
fn a_deadline_that_cannot_be_read_is_refused() {
    let server = grpc_server();
    let gate = gate_to(&server, "");
    let ask = gate.ask("POST", "/scenes.Echo/Unary").header("Content-Type", "application/grpc");
    let answer = ask.header("grpc-timeout", "soon").body("").send().expect(200).expect_body("");
    assert_eq!(answer.header("grpc-status"), Some("13"));
    assert_eq!(answer.header("tollgate-code"), Some("grpc_timeout_malformed"));
}

#[test]
fn an_answer_that_is_not_grpc_s_passes_as_it_is() {
    let pages = named("a page");
    let gate = gateway_with(
        "
        services: { pages: <pages> }
        routes: [{ match: '/{rest...}', to: pages, access: public }]
        ",
        &[("pages", &pages)],
    );
    let ask = gate.ask("POST", "/x").header("Content-Type", "application/grpc-web");
    ask.body("").send().expect(200).expect_body("a page");
}
