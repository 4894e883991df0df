//! The guide's table of rules is the engine's.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use waf::RULES;

#[test]
fn the_guide_tells_of_every_rule() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/waf.md")).unwrap();
    let (_, table) = page.split_once("\n## Rules\n").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let expected: Vec<String> = RULES
        .iter()
        .map(|rule| {
            let (id, category, level, points) =
                (rule.id, rule.category, rule.paranoia, rule.severity.points());
            format!("| {id} | {category} | {level} | {points} | {} |", rule.name)
        })
        .collect();
    assert_eq!(rows, expected, "docs/waf.md differs");
}
