//! Heads of HTTP/2 that would be two requests, or another one, if they were written down for a service that speaks
//! HTTP/1.1: none of them reaches it.

use tollgate_tests::http2::{END_HEADERS, END_STREAM, Http2, frame, get, kind, pack};
use tollgate_tests::{Backend, Gateway, backend, front, hello};

/// How a malformed message ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// An answer of the gateway with this code.
    Refused(&'static str),
    /// A stream error (RFC 9113, section 8.1.1), which `h2` sees before the gateway does.
    Reset,
    /// A connection error.
    GoAway,
}
use End::{GoAway, Refused, Reset};

const SMUGGLED: &str = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// A GET with other pseudo-header fields, and fields behind them.
fn head(changes: &[(&str, Option<&str>)], fields: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let changed = usual.into_iter().filter_map(|(name, value)| {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        change.map_or(Some(value), |(_, value)| *value).map(|value| (name, value))
    });
    let more = changes.iter().filter(|(name, _)| !usual.iter().any(|(known, _)| known == name));
    let more = more.filter_map(|(name, value)| Some((*name, (*value)?)));
    pack(&changed.chain(more).chain(fields.iter().copied()).collect::<Vec<_>>())
}

fn field(name: &str, value: &str) -> Vec<u8> {
    head(&[], &[(name, value)])
}

fn pseudo(name: &str, value: &str) -> Vec<u8> {
    head(&[(name, Some(value))], &[])
}

fn heads() -> Vec<(&'static str, Vec<u8>, End)> {
    let smuggled_name = format!("x: y\r\n\r\n{SMUGGLED}");
    vec![
        // Names and values.
        ("CR LF in a value", field("x", SMUGGLED), GoAway),
        ("LF in a value", field("x", "a\nb: c"), GoAway),
        ("CR in a value", field("x", "a\rb"), GoAway),
        ("NUL in a value", field("x", "a\0b"), GoAway),
        ("a control character in a value", field("x", "a\u{1}b"), GoAway),
        ("white space before a value", field("x", " a"), Refused("header_value_malformed")),
        ("white space behind a value", field("x", "a\t"), Refused("header_value_malformed")),
        ("CR LF in a name", field(&smuggled_name, "a"), GoAway),
        ("a colon in a name", field("x:y", "a"), GoAway),
        ("a space in a name", field("x y", "a"), GoAway),
        ("an upper-case name", field("X-A", "a"), GoAway),
        ("an upper-case Transfer-Encoding", field("Transfer-Encoding", "chunked"), GoAway),
        ("an empty name", field("", "a"), GoAway),
        ("CR LF in a cookie", field("cookie", SMUGGLED), GoAway),
        // What belongs to connections of HTTP/1.1.
        ("Transfer-Encoding", field("transfer-encoding", "chunked"), Reset),
        ("Connection", field("connection", "x-secret"), Reset),
        ("Keep-Alive", field("keep-alive", "timeout=5"), Reset),
        ("Proxy-Connection", field("proxy-connection", "close"), Reset),
        ("Upgrade", field("upgrade", "h2c"), Reset),
        ("TE other than trailers", field("te", "chunked"), Reset),
        (
            "a lookalike of Transfer-Encoding",
            field("transfer_encoding", "chunked"),
            Refused("framing_lookalike"),
        ),
        ("a lookalike of Content-Length", field("content_length", "5"), Refused("framing_lookalike")),
        // Lengths.
        ("a length without a body", field("content-length", "5"), Reset),
        ("two lengths", head(&[], &[("content-length", "0"), ("content-length", "5")]), Reset),
        (
            "one length twice",
            head(&[], &[("content-length", "0"), ("content-length", "0")]),
            Refused("content_length_repeated"),
        ),
        ("a length with a sign", field("content-length", "+0"), Reset),
        ("a list of lengths", field("content-length", "0, 0"), Reset),
        ("an empty length", field("content-length", ""), Refused("content_length_malformed")),
        // Where it goes.
        ("another Host", field("host", "b"), Refused("host_mismatch")),
        ("two Hosts", head(&[], &[("host", "a"), ("host", "a")]), Refused("host_repeated")),
        ("a Host with user information", field("host", "u@a"), Refused("host_malformed")),
        ("no authority and no Host", head(&[(":authority", None)], &[]), Refused("host_missing")),
        ("an authority with user information", pseudo(":authority", "u@a"), Refused("target_authority")),
        ("CR LF in the authority", pseudo(":authority", SMUGGLED), Reset),
        ("a path in the authority", pseudo(":authority", "a/b"), Reset),
        ("a space in the path", pseudo(":path", "/a HTTP/1.1"), Reset),
        ("CR LF in the path", pseudo(":path", "/ HTTP/1.1\r\nhost: b\r\n\r\n"), Reset),
        ("NUL in the path", pseudo(":path", "/\0"), Reset),
        ("an encoded NUL in the path", pseudo(":path", "/%00"), Refused("target_nul")),
        ("a path above the root", pseudo(":path", "/../a"), Refused("target_above_root")),
        ("a dot segment in disguise", pseudo(":path", "/a/..;/b"), Refused("target_dot_segment")),
        ("a backslash in the path", pseudo(":path", "/a\\b"), Refused("target_character")),
        ("an empty path", pseudo(":path", ""), Reset),
        ("no path", head(&[(":path", None)], &[]), Reset),
        ("a path without a slash", pseudo(":path", "a"), Reset),
        ("an absolute target as the path", pseudo(":path", "http://b/"), Reset),
        ("a query alone", pseudo(":path", "?a"), Refused("target_form")),
        ("an asterisk that is no OPTIONS", pseudo(":path", "*"), Refused("target_form")),
        ("another scheme", pseudo(":scheme", "ftp"), Refused("target_scheme")),
        ("CR LF in the scheme", pseudo(":scheme", "http\r\n"), Reset),
        ("no scheme", head(&[(":scheme", None)], &[]), Reset),
        // Methods.
        ("CR LF in the method", pseudo(":method", "GET / HTTP/1.1\r\nhost: b\r\n\r\nGET"), GoAway),
        ("a space in the method", pseudo(":method", "GET /x"), GoAway),
        ("an empty method", pseudo(":method", ""), GoAway),
        ("no method", head(&[(":method", None)], &[]), Reset),
        (
            "a long method",
            pseudo(":method", "AVERYLONGMETHODTHATNOBODYHASEVERUSED"),
            Refused("method_too_long"),
        ),
        ("CONNECT with a path", pseudo(":method", "CONNECT"), Reset),
        (
            "CONNECT without a port",
            pack(&[(":method", "CONNECT"), (":authority", "a")]),
            Refused("target_authority"),
        ),
        // Pseudo-header fields.
        ("a path twice", head(&[], &[(":path", "/b")]), Reset),
        ("a pseudo-header field behind others", head(&[], &[("x", "y"), (":path", "/b")]), Reset),
        ("an unknown pseudo-header field", pseudo(":x", "y"), GoAway),
        (":status", pseudo(":status", "200"), Reset),
        (":protocol without CONNECT", pseudo(":protocol", "websocket"), Reset),
        (
            "CONNECT-UDP",
            head(&[(":method", Some("CONNECT")), (":protocol", Some("connect-udp"))], &[]),
            Refused("connect_protocol_unknown"),
        ),
        // Expectations.
        ("an unknown expectation", field("expect", "the-unexpected"), Refused("expectation_unknown")),
    ]
}

fn end(gate: &Gateway, head: &[u8]) -> Result<String, End> {
    let mut client = Http2::connect(gate.address(), &[]);
    let outcome = client.ask(head);
    if outcome.goaway.is_some_and(|code| code != 0) {
        return Err(GoAway);
    }
    if outcome.reset.is_some() && outcome.heads.is_empty() {
        return Err(Reset);
    }
    Ok(outcome.code())
}

#[test]
fn no_malformed_head_reaches_a_service() {
    let users = hello();
    let gate = front(&users);
    let mut wrong = Vec::new();
    for (name, head, expected) in heads() {
        let got = end(&gate, &head);
        let is_right = match &expected {
            Refused(code) => got.as_deref() == Ok(*code),
            other => got.as_ref() == Err(other),
        };
        if !is_right {
            wrong.push(format!("{name}: expected {expected:?}, got {got:?}"));
        }
        assert!(users.requests().is_empty(), "{name} reached the service");
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_a_head_says_is_written_down_without_doubt() {
    let users = hello();
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let fields = [
        ("cookie", "a=1"),
        ("x-a", "b"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("proxy-authorization", "Basic x"),
        ("host", "A"),
    ];
    assert_eq!(client.ask(&head(&[(":path", Some("/x/../%41?q=%zz"))], &fields)).status(), Some(200));
    let seen = users.only_request();
    assert_eq!(seen.target, "/A?q=%25zz");
    assert_eq!(seen.header("host"), Some("a"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    for gone in ["x_forwarded_for", "proxy-authorization", "transfer-encoding", "content-length"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
}

/// A POST that says this length, and these frames behind its head.
fn post(gate: &Gateway, length: &str, frames: &[(u8, &[u8])]) -> Result<u16, End> {
    let mut client = Http2::connect(gate.address(), &[]);
    let mut list = vec![(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    if !length.is_empty() {
        list.push(("content-length", length));
    }
    let stream = client.open(&pack(&list), 0);
    for (flags, data) in frames {
        client.send_frame(kind::DATA, *flags, stream, data);
    }
    let outcome = client.outcome(stream);
    match outcome.status() {
        Some(status) => Ok(status),
        None if outcome.goaway.is_some() => Err(GoAway),
        None => Err(Reset),
    }
}

fn reading() -> Backend {
    backend(|call| match call.try_body() {
        Ok(body) => call.reply(200, body),
        Err(_) => call.close(),
    })
}

#[test]
fn a_length_must_agree_with_the_data() {
    let users = reading();
    let gate = front(&users);
    let smuggled = b"5GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(post(&gate, "5", &[(0, b"he"), (END_STREAM, b"llo")]), Ok(200));
    assert_eq!(post(&gate, "", &[(0, smuggled), (END_STREAM, b"")]), Ok(200));
    assert_eq!(post(&gate, "1", &[(END_STREAM, smuggled)]), Err(Reset));
    assert_eq!(post(&gate, "0", &[(END_STREAM, smuggled)]), Err(Reset));
    assert_eq!(post(&gate, "1", &[(0, b"5"), (END_STREAM, smuggled)]), Err(Reset));
    assert_eq!(post(&gate, "500", &[(END_STREAM, smuggled)]), Err(Reset));
    // Whatever of them reached a service was one request, whose length the data agrees with or that broke off: what comes
    // next is not taken for its rest.
    assert_eq!(post(&gate, "3", &[(END_STREAM, b"end")]), Ok(200));
    let targets: Vec<_> = users.requests().into_iter().map(|seen| seen.target).collect();
    assert!(targets.iter().all(|target| target == "/"), "{targets:?}");
}

#[test]
fn trailers_cannot_be_what_was_decided_before_them() {
    let users = reading();
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let stream = client
        .open(&pack(&[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]), 0);
    client.send_frame(kind::DATA, 0, stream, b"body");
    let trailers = [("host", "b"), ("content-length", "4"), ("x_forwarded_for", "6.6.6.6"), ("x-sum", "1")];
    client.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &pack(&trailers)));
    let outcome = client.outcome(stream);
    assert_eq!((outcome.status(), &outcome.body[..]), (Some(200), &b"body"[..]));
    let bytes = String::from_utf8_lossy(&users.bytes(0)).into_owned();
    assert!(bytes.ends_with("\r\n0\r\nx-sum: 1\r\n\r\n"), "{bytes}");
}

#[test]
fn an_answer_of_http1_is_written_down_without_what_only_http1_has() {
    let users = backend(|call| {
        let lines = "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\n";
        call.reply_with(200, lines, "well");
    });
    let gate = front(&users);
    let url = format!("http://{}/", gate.address());
    let answer = tollgate_tests::curl(&["--http2-prior-knowledge", "-i", &url]).text();
    assert!(answer.starts_with("HTTP/2 200") && answer.ends_with("well"), "{answer}");
    for line in ["x-kept: 1", "content-length: 4", "date: "] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "transfer-encoding"] {
        assert!(!answer.to_lowercase().contains(gone), "{gone}: {answer}");
    }
    let mut client = Http2::connect(gate.address(), &[]);
    assert_eq!(client.ask(&get("/")).status(), Some(200));
}

#[test]
fn a_web_socket_over_http2_is_one_over_http1_to_its_service() {
    let users = backend(|call| {
        call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n");
        let said = call.socket().take(8).unwrap();
        call.send(said);
        call.close();
    });
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let list = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "the-client-s"),
    ];
    let stream = client.open(&pack(&list), 0);
    client.send_frame(kind::DATA, 0, stream, b"\x81\x82\0\0\0\0hi");
    let outcome = client.outcome(stream);
    assert_eq!((outcome.status(), &outcome.body[..]), (Some(200), &b"\x81\x82\0\0\0\0hi"[..]), "{outcome:?}");
    let seen = users.only_request();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/chat"));
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    assert_eq!(seen.header("sec-websocket-key").map(str::len), Some(24));
}
