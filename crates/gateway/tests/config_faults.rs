//! What a person sees when a configuration is wrong: every file in `golden/` with the faults beside it.
//! After a change on purpose, `UPDATE_GOLDEN=1 cargo test -p tollgate-gateway --test config_faults` writes them anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use gateway::config::{self, Source, Surroundings};
use gateway::snapshot::Snapshot;
use proptest::prelude::*;

#[test]
fn every_fault_reads_as_agreed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut checked = 0;
    let mut changed = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let rendered = faults_of(path);
        assert!(!rendered.is_empty(), "{} has no fault", path.display());
        let golden = path.with_extension("txt");
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if update {
            std::fs::write(&golden, &rendered).unwrap();
        } else if rendered != expected {
            changed.push(format!("{}:\n{rendered}", path.display()));
        }
        checked += 1;
    }
    assert!(checked >= 40, "only {checked} files in golden/");
    assert!(changed.is_empty(), "changed:\n{}", changed.join("\n"));
}

/// The faults of a file, whose name stands in them without its folder.
fn faults_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let surroundings =
        Surroundings::new("tests/golden", |name| (name == "PASSWORD").then(|| "hunter2 hunter2".to_owned()));
    let faults = match config::load_source(Source::new(name, text), surroundings) {
        Ok((config, mut warnings)) => {
            assert!(!warnings.has_errors());
            // What the language alone cannot see: expressions, and routes that can never match.
            let more = Snapshot::build(&config, None).map_or_else(|faults| faults, |(_, warnings)| warnings);
            warnings.extend(more);
            warnings
        }
        Err(faults) => {
            assert!(faults.has_errors());
            faults
        }
    };
    let rendered = faults.render(false);
    assert!(!rendered.contains("hunter2"), "a secret is shown:\n{rendered}");
    assert!(faults.render(true).contains("\x1b["));
    rendered
}

#[test]
fn a_missing_file_is_a_fault() {
    let faults = config::load(Path::new("tests/golden/none.yaml")).unwrap_err();
    assert!(faults.summary().contains("cannot read the file"), "{}", faults.summary());
}

#[test]
fn too_many_faults_are_counted() {
    let keys: Vec<String> = (0..2000).map(|number| format!("key{number}: 1")).collect();
    let faults = config::load_text(&keys.join("\n")).unwrap_err();
    assert!(faults.render(false).ends_with("more, not shown\n"));
    assert!(faults.summary().starts_with("2000 errors"), "{}", faults.summary());
}

#[test]
fn aliases_cannot_exhaust_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{previous}]").unwrap();
    }
    let faults = config::load_text(&text).unwrap_err();
    assert_eq!(faults.list().iter().filter(|fault| fault.code == "too_large").count(), 1);
}

#[test]
fn depth_is_bounded() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "a: ".repeat(100_000),
        format!("a: {}", "{a: ".repeat(300)),
    ] {
        assert!(config::load_text(&text).is_err());
    }
    let mut chained = "a0: &a0 x\n".to_owned();
    for level in 1..200 {
        writeln!(chained, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    let faults = config::load_text(&chained).unwrap_err();
    assert!(faults.list().iter().any(|fault| fault.code == "too_deep"));
}

/// Pieces of configurations, so that made-up files get past the syntax.
const PIECES: &[&str] = &[
    "listeners:",
    "services:",
    "routes:",
    "apis:",
    "defaults:",
    "logs:",
    "admin:",
    "devices:",
    "versions:",
    "\n",
    "\n  ",
    "\n    ",
    "\n  - ",
    " ",
    "a:",
    "match:",
    "to:",
    "a",
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "GET /x",
    "/{a",
    "/{a...}",
    "access:",
    "public",
    "off",
    "address:",
    ":80",
    "http://a",
    "respond:",
    "200",
    "${env:PATH}",
    "${",
    "}",
    "*a",
    "&a ",
    "\"",
    "'",
    "|\n",
    "é",
    "\u{0}",
    "\t",
    "#",
    "---\n",
    "!!x ",
    "\u{1F600}",
    "\r\n",
    "\u{feff}",
    "% ",
    "timeout:",
    "5s",
    "<<: ",
    "? ",
    "by:",
];

proptest! {
    #[test]
    fn no_text_can_make_it_panic(text in any::<String>()) {
        load_and_show(&text);
    }

    #[test]
    fn no_mixture_of_pieces_can_make_it_panic(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)
    ) {
        load_and_show(&pieces.concat());
    }

    #[test]
    fn no_cut_or_damage_of_a_good_file_can_make_it_panic(
        cut in 0..GOOD.len(),
        damage in proptest::collection::vec((0..GOOD.len(), any::<char>()), 0..4),
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, character) in damage {
            if let Some(place) = text.get_mut(at) {
                *place = character;
            }
        }
        load_and_show(&text[..cut.min(text.len())].iter().collect::<String>());
    }
}

fn load_and_show(text: &str) {
    match config::load_text(text) {
        Ok((config, warnings)) => {
            let _ = (warnings.render(true), config.routes().len());
        }
        Err(faults) => {
            assert!(faults.has_errors());
            let _ = (faults.render(false), faults.summary());
        }
    }
}

const GOOD: &str = include_str!("config/whole.yaml");
