//! What the documentation shows works: every example, and every block of YAML in its pages.

#![allow(clippy::unwrap_used)]

mod certificates;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCHEMA_LINE: &str = "# yaml-language-server: $schema=tollgate.schema.json";

#[test]
fn every_example_passes_the_check_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    for example in files("examples", "yaml") {
        let copy = folder.path().join(example.file_name().unwrap());
        fs::copy(&example, &copy).unwrap();
        let output = tollgate(&["check", &copy.display().to_string()]);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}:\n{}",
            example.display(),
            told(&output)
        );
    }
}

#[test]
fn every_example_names_its_schema_for_editors() {
    for example in files("examples", "yaml") {
        let text = fs::read_to_string(&example).unwrap();
        assert_eq!(text.lines().next(), Some(SCHEMA_LINE), "{}", example.display());
    }
}

#[test]
fn the_schema_beside_the_examples_is_the_one_that_is_printed() {
    let printed = tollgate(&["schema"]).stdout;
    let path = root().join("examples/tollgate.schema.json");
    let is_same = fs::read(&path).is_ok_and(|kept| kept == printed);
    assert!(is_same, "run: target/debug/tollgate schema > examples/tollgate.schema.json");
}

#[test]
fn every_block_of_yaml_in_the_pages_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    for page in [root().join("README.md")].into_iter().chain(files("docs", "md")) {
        let text = fs::read_to_string(&page).unwrap();
        for (number, block) in text.split("```yaml\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap();
            let file = folder.path().join("tollgate.yaml");
            fs::write(&file, interpolated(block)).unwrap();
            let output = tollgate(&["check", &file.display().to_string()]);
            assert!(output.status.success(), "{}, block {}:\n{}", page.display(), number + 1, told(&output));
        }
    }
}

#[test]
fn the_help_names_every_command_of_the_readme() {
    let help = String::from_utf8(tollgate(&["--help"]).stdout).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `tollgate ")?.split([' ', '`']).next())
        .collect();
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in:\n{help}"
        );
    }
}

#[test]
fn a_missing_file_is_answered_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["run"], ["check"]] {
        let output = command(&arguments).current_dir(&folder).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(told.starts_with("tollgate: there is no file tollgate.yaml\n"), "{told}");
        assert!(told.contains("tollgate run --to http://localhost:3000"), "{told}");
    }
}

/// The block with a word in the place of each `${env:…}` and `${file:…}`, where what they name is not here.
fn interpolated(block: &str) -> String {
    /// One that is here.
    const HERE: &str = "file:identity.key}";
    let block = block.replace(&format!("${{{HERE}"), "$here");
    let mut parts = block.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| {
        text + "localhost.localdomain" + part.split_once('}').map_or("", |(_, rest)| rest)
    });
    text.replace("$here", &format!("${{{HERE}"))
}

fn tollgate(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments);
    command
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The files directly in a folder of the root that end so, sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    assert!(!files.is_empty(), "no {extension} in {folder}");
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
