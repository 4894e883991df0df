//! Messages that two readers could read in two ways: each request is refused with its own status and code, the
//! connection is closed, and no service sees a byte of it; each answer is a 502. The tables are the engine's own, so
//! that the whole gateway is held to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use corpus::Case;
use tollgate_tests::{Backend, Gateway, backend, front, front_with, hello};

#[path = "../../../crates/http1/tests/corpus/mod.rs"]
mod corpus;

fn requests() -> Vec<Case> {
    corpus::read(include_str!("../../../crates/http1/tests/corpus/malformed-requests.txt"))
}

/// A gateway that speaks HTTP/1.1 alone: the preface of HTTP/2 is among what it refuses.
fn front_http1(users: &Backend) -> Gateway {
    front_with(users, "listeners: [{ address: 127.0.0.1:0, protocols: [http1] }]")
}

/// What the gateway says to these bytes, and whether that is all: status and code, or what is wrong.
fn refusal(gate: &Gateway, bytes: &[u8]) -> String {
    let mut wire = gate.send(bytes);
    // Some are refused only because nothing more comes.
    wire.half_close();
    let method = if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let answer = match wire.try_answer(method) {
        Ok(answer) => answer,
        Err(broken) => return format!("{broken:?}"),
    };
    let (rest, _) = wire.take_rest();
    if !rest.is_empty() {
        return format!("{} and then {}", answer.status, String::from_utf8_lossy(&rest));
    }
    let code = if method == "HEAD" { "".into() } else { answer.json()["code"].clone() };
    format!("{} {}", answer.status, code.as_str().unwrap_or("without a code"))
}

#[test]
fn every_malformed_request_gets_its_refusal_and_reaches_no_service() {
    let users = hello();
    let gate = front_http1(&users);
    let cases = requests();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = format!("{} {}", case.status, case.code);
        let got = refusal(&gate, &case.bytes);
        if got != expected {
            wrong.push(format!("{}: expected {expected}, got {got}", case.name));
        }
        assert!(users.requests().is_empty(), "{} reached the service", case.name);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn nothing_after_a_malformed_request_is_read_as_another() {
    let users = hello();
    let gate = front(&users);
    let next = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for case in requests() {
        let mut wire = gate.send([&case.bytes[..], next].concat());
        wire.half_close();
        let (answers, _) = wire.take_rest();
        let answers = String::from_utf8_lossy(&answers);
        let heads = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        assert!(heads <= 1, "{}: {answers}", case.name);
        let targets: Vec<_> = users.requests().into_iter().map(|seen| seen.target).collect();
        // What never ended may have swallowed the next one's line as its own, but not made it a request.
        assert!(!targets.iter().any(|target| target == "/smuggled"), "{}: {targets:?}", case.name);
    }
}

#[test]
fn every_malformed_answer_is_a_502() {
    let says = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&says);
    let users = backend(move |call| {
        let bytes: Vec<u8> = said.lock().unwrap().clone();
        call.send(bytes);
        call.close();
    });
    let gate = front(&users);
    let cases = corpus::read(include_str!("../../../crates/http1/tests/corpus/malformed-answers.txt"));
    assert!(cases.len() >= 50, "{} cases", cases.len());
    let mut wrong = Vec::new();
    // The gateway's own limits for answers are wider than those that the table was made for.
    for case in cases.into_iter().filter(|case| case.code != "header_too_large") {
        *says.lock().unwrap() = case.bytes;
        match gate.ask("POST", "/x").body("x").try_send() {
            Ok(answer) if answer.status == 502 && answer.json()["code"] == "upstream_malformed" => {}
            other => wrong.push(format!("{}: {other:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Bodies whose faults show only when the head has gone on its way.
const MALFORMED_BODIES: &[(&str, &str)] = &[
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size that is no number", "xyz\r\nhello\r\n0\r\n\r\n"),
    ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("data longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
    ("data that no CRLF ends", "5\r\nhelloX0\r\n\r\n"),
    ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
    ("a malformed trailer", "5\r\nhello\r\n0\r\nno colon\r\n\r\n"),
];

#[test]
fn a_malformed_body_is_refused_and_never_ends_cleanly_at_the_service() {
    for (name, body) in MALFORMED_BODIES {
        static WHOLE: AtomicUsize = AtomicUsize::new(0);
        let users = backend(|call| {
            if call.try_body().is_ok() {
                WHOLE.fetch_add(1, Ordering::SeqCst);
                call.reply(200, "");
            }
            call.close();
        });
        let gate = front(&users);
        let mut wire = gate.send(format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let answer = wire.answer();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        wire.expect_end();
        assert_eq!(WHOLE.load(Ordering::SeqCst), 0, "{name}: the service took it for whole");
    }
}
