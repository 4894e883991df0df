//! Requests of HTTP/2 that RFC 9113 calls malformed: the client reads why, and the stream is reset all the same (section
//! 8.1.1). What breaks the rules of frames ends the connection, with the RFC's own error code.

use tollgate_tests::http2::{END_HEADERS, END_STREAM, Http2, frame, get, kind, pack};
use tollgate_tests::{backend, front};

const PROTOCOL_ERROR: u32 = 1;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;

#[test]
fn a_malformed_request_is_answered_and_its_stream_reset() {
    let users = backend(|call| call.reply(200, "hello"));
    let gate = front(&users);
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let cases: [&[(&str, &str)]; 3] = [
        &[(":authority", "a"), ("host", "b")],
        &[(":authority", "a"), ("x-a", " b")],
        &[(":authority", "a"), ("x-a", "b\t")],
    ];
    let mut client = Http2::connect(gate.address(), &[]);
    for more in cases {
        let outcome = client.ask(&pack(&[&usual[..], more].concat()));
        assert_eq!(outcome.status(), Some(400), "{more:?}: {outcome:?}");
        assert!(!outcome.code().is_empty(), "{more:?}: {outcome:?}");
        assert_eq!(outcome.reset, Some(PROTOCOL_ERROR), "{more:?}: {outcome:?}");
    }
    // The connection is none the worse.
    let outcome = client.ask(&get("/"));
    assert_eq!((outcome.status(), outcome.body.as_slice()), (Some(200), &b"hello"[..]), "{outcome:?}");
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn a_request_that_is_only_refused_is_not_reset() {
    let users = backend(|call| call.reply(200, "hello"));
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let outcome = client.ask(&pack(&[
        (":method", "CONNECT"),
        (":protocol", "connect-udp"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ]));
    assert_eq!(outcome.reset, None, "{outcome:?}");
    assert!(!outcome.code().is_empty(), "{outcome:?}");
}

#[test]
fn a_breach_ends_the_connection_with_the_code_of_the_rfc() {
    let users = backend(|call| call.reply(200, "hello"));
    let gate = front(&users);
    let request = || frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &get("/"));
    let cases = [
        (frame(kind::PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        (frame(kind::SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        ([request(), request()].concat(), STREAM_CLOSED),
        ([request(), frame(kind::DATA, END_STREAM, 1, b"more")].concat(), STREAM_CLOSED),
        (frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x88]), PROTOCOL_ERROR),
    ];
    for (frames, code) in cases {
        let mut client = Http2::connect(gate.address(), &[]);
        client.send(&frames);
        assert_eq!(client.expect_goaway(), Some(code), "{frames:?}");
    }
}
