//! What is an attack and what is none at the lowest level: values that people send to try a firewall, and values that
//! merely look like them. Each stands alone, as the value of a field.

#![allow(missing_docs)]

use waf::{Inspector, Report, Scratch};

const ATTACKS: &str = include_str!("attacks.txt");
const HARMLESS: &str = include_str!("harmless.txt");

#[test]
fn what_attacks_is_found() {
    let missed: Vec<&str> = ATTACKS.lines().filter(|line| !is_blocked(line)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_only_looks_like_it_passes() {
    let wrong: Vec<&str> = HARMLESS.lines().filter(|line| is_blocked(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `\r` and `\n` stand for line ends.
fn is_blocked(line: &str) -> bool {
    let value = line.replace("\\r", "\r").replace("\\n", "\n");
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    let inspector = Inspector::default();
    inspector.inspect_body(Some(b"text/plain"), value.as_bytes(), &mut scratch, &mut report);
    inspector.blocks(&report)
}
