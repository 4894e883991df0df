//! The requests by which the crate `http_desync_guardian` is tested, told apart by how dangerous they are.
//!
//! Its files are read where cargo keeps the crate's source, which is a development dependency for that alone.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use http1::{Limits, RequestFault, RequestHead, parse_request};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    uri: String,
    method: String,
    version: String,
    headers: Option<Vec<Header>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    tier: Tier,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
enum Tier {
    /// Must be understood.
    Compliant,
    /// May be understood: RFC 9112 is bent, the framing is not.
    Acceptable,
    /// Must be refused, or be the last request of its connection.
    Ambiguous,
    /// Must be refused.
    Severe,
}

/// What they call compliant and we refuse, and why.
const STRICTER: &[(&str, &str)] = &[
    ("Different Transfer-Encoding headers", CODINGS),
    ("Different Transfer-Encoding headers combined", CODINGS),
    ("Correct TE OK", CODINGS),
    ("Transfer-Encoding: identity and chunked OK", CODINGS),
    ("Multiple transfer encoding headers in a single request OK", CODINGS),
    ("Transfer-Encoding with a param: chunked;custom_param", PARAMETERS),
    ("TE with custom parameters OK", PARAMETERS),
    ("Compliant URL", "it has a fragment, which no form of a target has (RFC 9112, section 3.2)"),
    ("Empty URI", "no form of a target is empty (RFC 9112, section 3.2)"),
];

const CODINGS: &str = "no coding is known here but chunked, so 501 is the answer (RFC 9112, section 6.1)";

const PARAMETERS: &str =
    "chunked has none, and their presence should be treated as an error (RFC 9112, section 7.1)";

#[test]
fn requests_are_refused_or_understood_as_their_danger_demands() {
    let mut seen = 0;
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (file, case) in cases() {
        let bytes = case.bytes();
        let mut head = RequestHead::default();
        let parsed = parse_request(&bytes, &mut 0, &Limits::default(), &mut head);
        let is_right = match (case.expected.tier, parsed) {
            (Tier::Compliant, Err(_)) => STRICTER.iter().any(|(name, _)| *name == case.name),
            (_, Ok(None)) | (Tier::Severe, Ok(_)) => false,
            (Tier::Compliant | Tier::Acceptable, _) | (Tier::Ambiguous | Tier::Severe, Err(_)) => true,
            (Tier::Ambiguous, Ok(_)) => !head.persistent,
        };
        if !is_right {
            let code = parsed.map_err(RequestFault::code);
            found.push(format!("{file}: {} is {:?} but {code:?}", case.name, case.expected.tier));
        }
        seen += 1;
        if parsed.is_err() {
            refused.push(case.name);
        }
    }
    for (name, reason) in STRICTER {
        assert!(refused.contains(&(*name).to_owned()), "{name} is understood, though {reason}");
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(seen, 159, "the crate's version is pinned");
}

impl Case {
    /// The request's head. The cases have no `Host`, so one is added.
    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\nHost: a\r\n", self.method, self.uri, self.version);
        for header in self.headers.iter().flatten() {
            let value = header.value.as_deref().unwrap_or_default();
            let _ = write!(text, "{}: {value}\r\n", header.name);
        }
        text.push_str("\r\n");
        unescape(&text)
    }
}

/// Resolves the escapes that the YAML still holds, as the crate's own tests do; other characters stand for the byte of their number, if
/// there is one.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let character = match character {
            '\\' => match rest.next().unwrap() {
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    u8::from_str_radix(&digits, 16).unwrap().into()
                }
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            other => other,
        };
        match u8::try_from(character) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.to_string().as_bytes()),
        }
    }
    bytes
}

/// Every case with the name of its file.
fn cases() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(source().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let list: Vec<Case> = serde_saphyr::from_str(&text).unwrap();
            cases.extend(list.into_iter().map(|case| (file.clone(), case)));
        }
    }
    cases
}

/// Where cargo keeps the crate's source.
fn source() -> PathBuf {
    // Without a platform cargo would ask for the sources of all of them.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            &platform,
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "http_desync_guardian").unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}
