//! The official suite of JSON Schema, for the drafts that are supported: verdicts as it says, and an explanation for
//! every value that is refused.
//!
//! `tests/install.sh` fetches it; without it these tests say so and pass.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use contract::Schema;
use serde_json::{Value, json};

const DRAFTS: [(&str, &str); 3] = [
    ("draft7", "http://json-schema.org/draft-07/schema#"),
    ("draft2019-09", "https://json-schema.org/draft/2019-09/schema"),
    ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
];

/// Where the suite serves its own schemas.
const REMOTES: &str = "http://localhost:1234/";

/// Where the suite says that formats are not asserted: ours are, in every draft.
const ANNOTATES: &str = "draft2020-12/format.json";

#[test]
fn the_official_suite_agrees() {
    let suite = suite();
    if !suite.is_dir() {
        eprintln!("skipped: {} is missing; tests/install.sh fetches it", suite.display());
        return;
    }
    let (mut wrong, mut run, mut vague, mut refused) = (String::new(), 0, 0, 0);
    for (draft, uri) in DRAFTS {
        for file in files(&suite.join("tests").join(draft)) {
            let groups: Vec<Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            for group in groups {
                let name = format!("{}: {}", file.display(), group["description"].as_str().unwrap());
                if file.ends_with(ANNOTATES) || needs_remotes(&group["schema"]) {
                    continue;
                }
                let mut schema = group["schema"].clone();
                if let Some(object) = schema.as_object_mut() {
                    object.entry("$schema").or_insert_with(|| json!(uri));
                }
                let schema = match Schema::read(schema.to_string().as_bytes()) {
                    Ok(prepared) => prepared,
                    // Relative to an address that nothing is fetched from.
                    Err(_) if schema["$id"].as_str().is_some_and(|id| id.starts_with(REMOTES)) => continue,
                    Err(faults) => {
                        writeln!(wrong, "{name}: {}", faults[0]).unwrap();
                        continue;
                    }
                };
                for test in group["tests"].as_array().unwrap() {
                    run += 1;
                    let verdict = schema.validate(test["data"].to_string().as_bytes());
                    if verdict.is_ok() != test["valid"].as_bool().unwrap() {
                        writeln!(wrong, "{name}: {}: {verdict:?}", test["description"]).unwrap();
                    }
                    if let Err(violations) = verdict {
                        refused += 1;
                        vague += usize::from(violations.to_string().ends_with("is not as its schema says"));
                        assert!(!violations.is_empty(), "{name}");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{run} tests, {refused} refused, {vague} of them without a reason");
    assert!(run > 4_000, "only {run} tests were run");
    // What is refused is also explained, but for what the graph leaves out.
    assert!(vague * 10 < refused, "{vague} of {refused} refusals are not explained");
}

fn suite() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    target.join("peers/jsonschema")
}

fn needs_remotes(schema: &Value) -> bool {
    match schema {
        Value::String(text) => text.starts_with(REMOTES),
        Value::Array(items) => items.iter().any(needs_remotes),
        Value::Object(object) => {
            // An identifier of its own fetches nothing.
            object.iter().any(|(name, value)| name != "$id" && needs_remotes(value))
        }
        _ => false,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}
