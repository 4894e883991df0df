//! Requests that two readers could read in two ways: each is refused with its own status, the connection is closed,
//! and no service sees a byte of it. The table is the engine's own, so that the whole gateway is held to it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{backend, front, hello};

/// One line of the engine's table.
struct Case {
    name: String,
    status: u16,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/http1/tests/corpus/malformed-requests.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(case).collect()
}

/// `name | status | code | bytes`, the bytes with escapes.
fn case(line: &str) -> Case {
    let parts: Vec<_> = line.splitn(4, '|').map(str::trim).collect();
    let [name, status, _code, bytes] = parts[..] else { panic!("not a case: {line:?}") };
    let status = status.parse().unwrap_or_else(|_| panic!("not a status: {line:?}"));
    Case { name: name.to_owned(), status, bytes: unescape(bytes) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().expect("an escape") {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

#[test]
fn every_malformed_request_gets_its_status_and_reaches_no_service() {
    let users = hello();
    let gate = front(&users);
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut faults = Vec::new();
    for case in &cases {
        let mut wire = gate.send(&case.bytes);
        // Some are refused only because nothing more comes.
        wire.half_close();
        let outcome = wire.try_answer("GET");
        let (rest, _) = wire.take_rest();
        match outcome {
            Ok(answer) if answer.status == case.status && rest.is_empty() => {}
            other => {
                faults.push(format!("{}: expected {}: {other:?}, then {rest:?}", case.name, case.status))
            }
        }
        if !users.requests().is_empty() {
            faults.push(format!("{}: reached the service", case.name));
            break;
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn nothing_after_a_malformed_request_is_read_as_another() {
    let users = hello();
    let gate = front(&users);
    let next = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for case in cases() {
        let mut wire = gate.send([&case.bytes[..], next].concat());
        wire.half_close();
        let (answers, _) = wire.take_rest();
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{}: {answers}", case.name);
        let targets: Vec<_> = users.requests().into_iter().map(|seen| seen.target).collect();
        assert!(!targets.iter().any(|target| target.contains("smuggled")), "{}: {targets:?}", case.name);
    }
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
