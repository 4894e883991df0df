//! The rules of the house that no compiler holds: arrows between crates and stages run one way, the engine
//! does no I/O, time is read in one place, files stay small, and every page of the guide can be found.
//!
//! When one of these fails, the message says which line broke which rule. Change the rule only together with
//! the page that states it (CONTRIBUTING.md).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Our crates, the lowest first: each may use those before it.
const CRATES: [&str; 6] = ["http1", "contract", "waf", "gateway", "control", "tollgate"];

/// What a module of the gateway must never name, itself or in its children.
const STAGES: &[(&str, &[&str])] = &[
    ("accept", &["policies"]),
    (
        "clock",
        &["accept", "config", "exchange", "policies", "record", "route", "snapshot", "upstream", "worker"],
    ),
    (
        "buckets",
        &["accept", "config", "exchange", "policies", "record", "route", "snapshot", "upstream", "worker"],
    ),
    ("config", &["accept", "exchange", "policies", "record", "snapshot", "upstream", "worker"]),
    ("expression", &["accept", "exchange", "policies", "record", "snapshot", "upstream", "worker"]),
    (
        "geo",
        &[
            "accept", "exchange", "policies", "record", "route", "snapshot", "status", "tls", "upstream",
            "worker",
        ],
    ),
    ("record", &["accept", "exchange", "policies", "snapshot", "upstream", "worker"]),
    ("refusal", &["accept", "config", "policies", "snapshot", "upstream", "worker"]),
    ("route", &["accept", "exchange", "policies", "record", "snapshot", "upstream", "worker"]),
    ("policies", &["accept", "snapshot", "worker"]),
    ("status", &["accept", "exchange", "policies", "route", "worker"]),
    ("tls", &["accept", "exchange", "policies", "record", "route", "snapshot", "upstream", "worker"]),
    (
        "translate",
        &["accept", "config", "exchange", "policies", "record", "route", "snapshot", "upstream", "worker"],
    ),
    ("upstream", &["policies", "route"]),
];

/// What the engine, which only turns bytes into heads and back, must not name.
const NOT_IN_THE_ENGINE: &[&str] = &[
    "tokio::",
    "serde::",
    "std::fs",
    "std::io",
    "std::thread",
    "std::time",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
];

/// The only files of the data plane that read a clock: the workers' own, and those of threads that have no worker.
/// The others are told the time.
const CLOCKS: &[&str] = &[
    "crates/gateway/src/clock.rs",
    "crates/gateway/src/record/appender.rs",
    "crates/gateway/src/record/metrics/mod.rs",
    "crates/gateway/src/server/mod.rs",
];

/// Where refusals and other ends of an exchange get their codes: texts of several words joined by `_`.
const CODES: &[&str] = &[
    "crates/gateway/src/accept",
    "crates/gateway/src/exchange",
    "crates/gateway/src/exchange.rs",
    "crates/gateway/src/outcome.rs",
    "crates/gateway/src/policies",
    "crates/gateway/src/refusal.rs",
    "crates/gateway/src/upstream",
    "crates/http1/src/fault.rs",
];

/// Attacks on a connection have names of their own: no request is refused.
const NAMES_OF_ATTACKS: &str = "accept/h2/attack.rs";

/// Texts of that form there which no client and no log ever sees as a code.
const NOT_CODES: &[&str] = &[
    // a member of the problem document
    "request_id",
    // policies
    "rate_limit",
    "secure_headers",
    // a member of a key in a JWK set
    "key_ops",
    // words of OpenID Connect: a claim, and errors of providers
    "at_hash",
    "access_denied",
    "temporarily_unavailable",
    "server_error",
    // faults of the configuration, about files that it names
    "bad_keys",
    "bad_list",
    "bad_users",
    "bad_contract",
    "unreadable_file",
    "weak_hash",
    // how a breaker's state is spelt in the status
    "snake_case",
    // what came of a TLS handshake, in the metrics
    "client_certificate",
    // the engine's words that the request's own replace: `request_smuggling`, `uri_too_long`, `client_gone`
    "length_and_transfer_encoding",
    "line_too_long",
    "body_incomplete",
    // words of the h2 crate for what it cuts, by which we name it
    "too_many_resets",
    "too_many_internal_resets",
    "too_many_continuations",
    "header_list_way_too_large",
    "too_many_data_frames",
    // the engine's words about answers, all of which are `upstream_malformed`
    "response_smuggling",
    "status_line_malformed",
    "interim_with_body",
    "upgrade_missing",
];

/// A file beyond this usually holds two ideas.
const LONGEST_FILE: usize = 600;

#[test]
fn crates_depend_only_on_those_below_them() {
    let mut broken = String::new();
    for (rank, name) in CRATES.iter().enumerate() {
        for above in &CRATES[rank..] {
            for line in read(&root().join("crates").join(name).join("Cargo.toml")).lines() {
                let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
                if key == *above || key.strip_prefix("tollgate-") == Some(above) {
                    writeln!(broken, "crates/{name}/Cargo.toml depends on {above}: {line}").unwrap();
                }
            }
        }
    }
    assert!(broken.is_empty(), "arrows run tollgate -> control -> gateway -> http1 and contract:\n{broken}");
}

#[test]
fn stages_name_only_those_that_they_may() {
    let mut broken = String::new();
    for source in sources("crates/gateway/src") {
        let Some((stage, banned)) = STAGES.iter().find(|(stage, _)| source.module() == *stage) else {
            continue;
        };
        for name in *banned {
            for line in source.lines_that_name_module(name) {
                writeln!(broken, "{line}: `{stage}` must not know `{name}`").unwrap();
            }
        }
    }
    assert!(
        broken.is_empty(),
        "stages know the language and the words, not the stages above them:\n{broken}"
    );
}

#[test]
fn policies_do_not_know_each_other() {
    let all: Vec<Source> = sources("crates/gateway/src/policies").collect();
    let mut broken = String::new();
    for source in &all {
        let own = source.policy();
        for other in
            all.iter().map(Source::policy).filter(|other| own.len() == 2 && other.len() == 2 && *other != own)
        {
            let mut spellings = vec![other.join("::")];
            if other[0] == own[0] && !source.is_part_of_a_policy() {
                spellings.push(format!("super::{}", other[1]));
            }
            for line in spellings.iter().flat_map(|spelling| source.lines_with(&format!("{spelling}::"))) {
                writeln!(broken, "{line}: `{}` names `{}`", own.join("::"), other.join("::")).unwrap();
            }
        }
    }
    assert!(
        broken.is_empty(),
        "what two policies share belongs to `Exchange` or below the policies:\n{broken}"
    );
}

#[test]
fn the_engine_does_no_input_or_output() {
    let mut broken = String::new();
    for source in sources("crates/http1/src") {
        for name in NOT_IN_THE_ENGINE {
            for line in source.lines_with(name) {
                writeln!(broken, "{line}: `{name}`").unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "the engine turns bytes into messages and knows nothing else:\n{broken}");
}

#[test]
fn time_is_read_in_one_place() {
    let mut broken = String::new();
    for source in
        sources("crates/gateway/src").filter(|s| !CLOCKS.iter().any(|clock| s.path == Path::new(clock)))
    {
        for reading in ["Instant::now()", "SystemTime::now()"] {
            for line in source.lines_with(reading) {
                writeln!(broken, "{line}: `{reading}`").unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "time comes from `clock` or as an argument, so that tests own it:\n{broken}");
}

#[test]
fn a_file_holds_one_idea_and_says_which() {
    let mut broken = String::new();
    for source in CRATES.iter().flat_map(|name| sources(&format!("crates/{name}"))).chain(sources("tests")) {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            writeln!(broken, "{}: {lines} lines, over {LONGEST_FILE}", source.path.display()).unwrap();
        }
        if !source.text.starts_with("//!") {
            writeln!(broken, "{}: does not open with `//!`", source.path.display()).unwrap();
        }
    }
    assert!(broken.is_empty(), "split by idea, and say in the first lines what the room is for:\n{broken}");
}

#[test]
fn every_refusal_code_stands_in_the_guide_and_every_one_there_is_made() {
    let made: BTreeSet<String> = CODES
        .iter()
        .flat_map(|place| sources(place))
        .filter(|source| !source.path.ends_with(NAMES_OF_ATTACKS))
        .flat_map(|source| source.code().flat_map(|(_, line)| snake_case_literals(line)).collect::<Vec<_>>())
        .filter(|literal| !NOT_CODES.contains(&literal.as_str()))
        .collect();
    let attacks: BTreeSet<String> =
        gateway::accept::h2::Attack::ALL.iter().map(|attack| attack.as_str().to_owned()).collect();
    let made: BTreeSet<String> = made.difference(&attacks).cloned().collect();
    let http2 = read(&root().join("docs/http2.md"));
    let unnamed: Vec<_> =
        attacks.iter().filter(|attack| !http2.contains(&format!("| `{attack}` |"))).collect();
    assert!(unnamed.is_empty(), "docs/http2.md has no row for {unnamed:?}");
    let page = read(&root().join("docs/http.md"));
    let tables = page.split("\n## ").find(|part| part.starts_with("What is refused")).unwrap();
    let told: BTreeSet<String> = tables
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned))
        .filter(|code| !code.is_empty())
        .collect();
    let unsaid: Vec<_> = made.difference(&told).collect();
    let gone: Vec<_> = told.difference(&made).collect();
    assert!(unsaid.is_empty(), "docs/http.md has no row for {unsaid:?} (see NOT_CODES if these are none)");
    assert!(gone.is_empty(), "docs/http.md has a row for {gone:?}, which nothing answers");
    assert!(made.len() > 60, "only {} codes were found", made.len());
}

#[test]
fn every_page_of_the_guide_is_in_its_index() {
    let index = read(&root().join("docs/README.md"));
    let missing: Vec<String> = pages()
        .filter_map(|page| page.strip_prefix("docs").ok().map(|page| page.display().to_string()))
        .filter(|page| page != "README.md" && !index.contains(&format!("]({page}")))
        .collect();
    assert!(missing.is_empty(), "not linked from docs/README.md: {}", missing.join(", "));
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = String::new();
    for page in pages() {
        let folder = root().join(page.parent().unwrap());
        for link in read(&root().join(&page)).split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
            if is_local && !folder.join(target).exists() {
                writeln!(broken, "{}: {target}", page.display()).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "links to files that are not there:\n{broken}");
}

/// A Rust file, its path as seen from the root.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module below `src/` that it belongs to.
    fn module(&self) -> String {
        let mut parts = self.path.iter().skip_while(|part| *part != "src").skip(1);
        parts.next().unwrap_or_default().to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    /// Stage and name of the policy that it is or is part of; shorter for the lists in `mod.rs`.
    fn policy(&self) -> Vec<String> {
        let parts = self.path.iter().skip_while(|part| *part != "policies").skip(1);
        let names = parts.map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
        names.filter(|name| name != "mod").take(2).collect()
    }

    /// Whether it is a file in the folder of a policy that has grown, but for the folder's `mod.rs`.
    fn is_part_of_a_policy(&self) -> bool {
        !self.path.ends_with("mod.rs") && self.path.iter().skip_while(|part| *part != "policies").count() > 3
    }

    /// Its lines but for comments and the tests at its end, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("tests.rs") || self.path.iter().any(|part| part == "tests");
        (1..)
            .zip(self.text.lines())
            .take_while(move |(_, line)| !is_test && *line != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        self.code()
            .filter(|(_, line)| line.contains(text))
            .map(|(number, _)| format!("{}:{number}", self.path.display()))
            .collect()
    }

    /// Lines with `crate::name`, and those of `use crate::{…}` blocks that name it.
    fn lines_that_name_module(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut is_in_block = false;
        for (number, line) in self.code() {
            let tail =
                if is_in_block { Some(line) } else { line.split_once("use crate::{").map(|(_, tail)| tail) };
            let is_in_list = tail.is_some_and(|tail| {
                tail.split([',', '{', '}']).any(|item| item.trim().split("::").next() == Some(name))
            });
            is_in_block = tail.is_some_and(|_| !line.contains("};"));
            let is_spelled = line.match_indices("crate::").any(|(at, prefix)| {
                line[at + prefix.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next()
                    == Some(name)
            });
            if is_in_list || is_spelled {
                found.push(format!("{}:{number}", self.path.display()));
            }
        }
        found
    }
}

/// The texts in quotes on a line that are words joined by `_`.
fn snake_case_literals(line: &str) -> Vec<String> {
    let is_snake = |text: &&str| {
        text.contains('_')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    line.split('"').skip(1).step_by(2).filter(is_snake).map(str::to_owned).collect()
}

/// The Rust files of a folder, or one file.
fn sources(place: &str) -> impl Iterator<Item = Source> + use<> {
    let place = Path::new(place);
    let files = if place.extension().is_some() { vec![place.to_owned()] } else { files(place, "rs") };
    files.into_iter().map(|path| Source { text: read(&root().join(&path)), path })
}

/// Every page that a user reads.
fn pages() -> impl Iterator<Item = PathBuf> {
    let at_the_root = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].into_iter().map(PathBuf::from);
    at_the_root.chain(files(Path::new("docs"), "md"))
}

/// The files below a folder of the root, sorted, build output left out.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return found };
    for entry in entries {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() && entry.file_name() != "target" {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
