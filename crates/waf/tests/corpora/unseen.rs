//! Requests that no rule was written for (`tests/unseen/README.md`): only sums of them are printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use waf::{Report, Request, Scratch};

use crate::Judge;

/// The share of attacks that must be found at paranoia level 1, in thousandths.
const LEAST_RECALL: usize = 950;
/// The share of harmless requests that may be taken for attacks there, in thousandths.
const MOST_FALSE: usize = 20;

#[test]
fn requests_that_no_rule_was_written_for_are_judged_well() {
    for paranoia in 1..=4 {
        let judge = Judge::new(paranoia);
        let (found, attacks) = count(&judge, "attacks.jsonl", paranoia);
        let (wrong, harmless) = count(&judge, "benign.jsonl", paranoia);
        if paranoia == 1 {
            assert!(found * 1000 > attacks * LEAST_RECALL, "found {found} of {attacks} attacks");
            assert!(
                wrong * 1000 < harmless * MOST_FALSE,
                "{wrong} of {harmless} harmless requests taken for attacks"
            );
        }
    }
}

/// How many of a file's requests are blocked, and how many there are.
fn count(judge: &Judge, file: &str, paranoia: u8) -> (usize, usize) {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unseen").join(file)).unwrap();
    let mut families: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let family = families.entry(request["family"].as_str().unwrap().to_owned()).or_default();
        family.0 += usize::from(blocks(judge, &request));
        family.1 += 1;
    }
    let sum = families.values().fold((0, 0), |sum, family| (sum.0 + family.0, sum.1 + family.1));
    println!("level {paranoia}, {file}: {} of {} blocked, {families:?}", sum.0, sum.1);
    sum
}

fn blocks(judge: &Judge, json: &Value) -> bool {
    let text = |key: &str| json[key].as_str();
    let pairs = json["headers"].as_array().into_iter().flatten();
    let mut headers: Vec<(String, Vec<u8>)> = pairs
        .map(|pair| (pair[0].as_str().unwrap().to_ascii_lowercase(), pair[1].as_str().unwrap().into()))
        .collect();
    let body = text("body").unwrap_or_default().as_bytes();
    if !body.is_empty() {
        headers.push(("content-length".to_owned(), body.len().to_string().into()));
    }
    let request = Request {
        method: text("method").unwrap(),
        path: text("path").unwrap().as_bytes(),
        query: text("query").map(str::as_bytes),
    };
    let (mut scratch, mut report) = (Scratch::default(), Report::default());
    judge.head(&request, &headers, &mut scratch, &mut report);
    let content_type = headers.iter().find(|(name, _)| name == "content-type");
    let content_type = content_type.map(|(_, value)| value.as_slice());
    judge.inspector.inspect_body(content_type, body, &mut scratch, &mut report);
    judge.inspector.blocks(&report)
}
