//! Foreign conformance suites: run to their end, and read. Their verdicts are the scenes' to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::peers::missing;

/// How long a suite waits for a frame that never comes. Long, because builds may share the machine.
const FRAME_PATIENCE: Duration = Duration::from_secs(3);

/// A program that `tests/install.sh` puts below `target/peers`, such as `bin/httpwg` or `venv/bin/buf`.
#[track_caller]
pub fn installed(program: &str) -> PathBuf {
    // target/debug/deps/scene-0123 -> target/peers
    let here = std::env::current_exe().unwrap();
    let mut places = here.ancestors().map(|folder| folder.join("peers").join(program));
    places.find(|place| place.exists()).unwrap_or_else(|| missing(program, "it is not there"))
}

/// What a suite of cases came to.
#[derive(Debug)]
pub struct Verdicts {
    /// The cases that passed.
    pub passed: BTreeSet<String>,
    /// Those that did not, with what was said of each.
    pub failed: BTreeMap<String, String>,
}

impl Verdicts {
    /// Exactly the `known` cases fail: neither another one, nor one that could be taken off the list; `chance` are those
    /// that depend on who comes first.
    #[track_caller]
    pub fn expect_failures(&self, known: &[&str], chance: &[&str]) {
        let failed: BTreeSet<_> = self.failed.keys().map(String::as_str).collect();
        let known: BTreeSet<_> = known.iter().copied().collect();
        let is_new = |case: &str| !known.contains(case) && !chance.contains(&case);
        let new: Vec<_> = self.failed.iter().filter(|(case, _)| is_new(case)).collect();
        let passing: Vec<_> = known.difference(&failed).collect();
        let count = self.passed.len();
        assert!(
            new.is_empty() && passing.is_empty(),
            "{count} pass; these should too: {new:#?}; and these are not expected to: {passing:#?}"
        );
    }
}

/// Runs `httpwg`, the cases of RFC 9113, against a server that speaks HTTP/2 in clear.
#[track_caller]
pub fn httpwg(address: SocketAddr) -> Verdicts {
    let program = installed("bin/httpwg");
    let mut command = Command::new(&program);
    command.arg("--verbose").args(["--address", &address.to_string()]);
    command.args(["--frame-timeout", &FRAME_PATIENCE.as_millis().to_string()]);
    command.args(["--connect-timeout", &FRAME_PATIENCE.as_millis().to_string()]);
    // All at once they would wait for each other, and run out of patience.
    command.env("SEQUENTIAL", "1").env("RUST_LOG", "off");
    let said = run(&mut command).said;
    let mut verdicts = Verdicts { passed: BTreeSet::new(), failed: BTreeMap::new() };
    for told in without_colours(&said).split("Running test: ").skip(1) {
        let (case, rest) = told.split_once('\n').unwrap_or((told, ""));
        let case = case.trim().trim_start_matches("RFC 9113 :: ").to_owned();
        if rest.contains("Test passed: ") {
            verdicts.passed.insert(case);
        } else {
            // "   0: Expected GOAWAY with …", or "Message:  Wanted …" of a case that panicked.
            let why = rest.lines().map(str::trim).find_map(|line| {
                line.strip_prefix("0: ").or_else(|| line.strip_prefix("Message: ")).map(str::trim)
            });
            verdicts.failed.insert(case, why.unwrap_or(rest).to_owned());
        }
    }
    assert!(verdicts.passed.len() + verdicts.failed.len() > 100, "httpwg did not run: {said}");
    verdicts
}

/// Runs `kosoku`, Autobahn's cases for WebSocket, against a server; the verdicts of each case.
#[track_caller]
pub fn web_socket_cases(url: &str) -> BTreeMap<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/web_socket_cases.py");
    let ran = run(Command::new(installed("venv/bin/python")).arg(script).arg(url));
    let verdicts: BTreeMap<_, _> = ran
        .out
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(case, verdict)| (case.to_owned(), verdict.to_owned()))
        .collect();
    assert!(verdicts.len() > 200, "kosoku did not run: {}", ran.said);
    verdicts
}

/// Runs `sslyze` against a server whose certificate this authority signed: it must be as Mozilla's intermediate
/// recommendation wants it.
#[track_caller]
pub fn expect_intermediate_tls(address: SocketAddr, authority: &Path) {
    let mut command = Command::new(installed("venv/bin/python"));
    command.args(["-W", "ignore", "-m", "sslyze", "--mozilla_config=intermediate"]);
    command.arg(format!("--certinfo_ca_file={}", authority.display())).arg(address.to_string());
    let ran = run(&mut command);
    let verdict = ran.out.split_once("COMPLIANCE AGAINST").map_or(ran.said.as_str(), |(_, verdict)| verdict);
    assert!(ran.succeeded && verdict.contains("OK - Compliant"), "{verdict}");
}

/// Runs a script of `varnishtest` from `tests/scripts`, where `${name}` stands for a value of the scene.
#[track_caller]
pub fn varnishtest(script: &str, values: &[(&str, &dyn Display)]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let mut command = Command::new("varnishtest");
    command.args(["-t", "60"]);
    for (name, value) in values {
        command.arg(format!("-D{name}={value}"));
    }
    let ran = run(command.arg(file));
    assert!(ran.succeeded, "{script}:\n{}", ran.said);
}

struct Ran {
    succeeded: bool,
    out: String,
    /// What came on both of its streams.
    said: String,
}

#[track_caller]
fn run(command: &mut Command) -> Ran {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| missing(&name, &error.to_string()));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = out.clone() + &String::from_utf8_lossy(&output.stderr);
    Ran { succeeded: output.status.success(), out, said }
}

/// Takes the escape sequences out.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}
