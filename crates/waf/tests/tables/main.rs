//! What is an attack and what is none at the lowest level: values and whole requests that people send to try a firewall,
//! and those that merely look like them. A value stands alone, as a text and as an argument of a query.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;

use waf::{Inspector, Report, Request, Scratch};

const ATTACKS: &str = include_str!("attacks.txt");
const HARMLESS: &str = include_str!("harmless.txt");
const REFUSED: &str = include_str!("requests_refused.txt");
const PASSED: &str = include_str!("requests_passed.txt");

#[test]
fn what_attacks_is_found() {
    let missed: Vec<&str> = ATTACKS.lines().filter(|line| !is_blocked(line)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_only_looks_like_it_passes() {
    let wrong: Vec<&str> =
        HARMLESS.lines().filter(|line| is_blocked(line) || is_blocked_as_argument(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn requests_that_no_client_sends_are_found() {
    let missed: Vec<&str> = REFUSED.lines().filter(|line| !is_refused(line)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn requests_of_real_clients_pass() {
    let wrong: Vec<&str> = PASSED.lines().filter(|line| is_refused(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `\r` and `\n` stand for line ends.
fn unescaped(text: &str) -> String {
    text.replace("\\r", "\r").replace("\\n", "\n")
}

fn is_blocked(line: &str) -> bool {
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let inspector = Inspector::default();
    inspector.inspect_body(Some(b"text/plain"), unescaped(line).as_bytes(), &mut scratch, &mut report);
    inspector.blocks(&report)
}

fn is_blocked_as_argument(line: &str) -> bool {
    let mut query = "q=".to_owned();
    for byte in unescaped(line).bytes() {
        write!(query, "%{byte:02X}").unwrap();
    }
    let request = Request { method: "GET", path: b"/search", query: Some(query.as_bytes()) };
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let inspector = Inspector::default();
    inspector.inspect_head(&request, [("host", b"example.com".as_slice())], &mut scratch, &mut report);
    inspector.blocks(&report)
}

/// `METHOD TARGET | name: value | … | body: text`.
fn is_refused(line: &str) -> bool {
    let mut parts = line.split(" | ");
    let (method, target) = parts.next().and_then(|part| part.split_once(' ')).unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (mut headers, mut body) = (Vec::new(), String::new());
    for part in parts {
        let (name, value) = part.split_once(':').unwrap_or((part, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "body" => body = unescaped(value),
            _ => headers.push((name, value.as_bytes())),
        }
    }
    let content_type = headers.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| *value);
    let request = Request { method, path: path.as_bytes(), query: query.map(str::as_bytes) };
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let inspector = Inspector::default();
    inspector.inspect_head(&request, headers, &mut scratch, &mut report);
    inspector.inspect_body(content_type, body.as_bytes(), &mut scratch, &mut report);
    inspector.blocks(&report)
}
