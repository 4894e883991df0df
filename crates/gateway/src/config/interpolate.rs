//! `${env:NAME}` and `${file:path}`: how secrets and other surroundings reach a configuration without standing in it.
//! `${{ … }}` belongs to the expression language and stays as it is; `$${` is a literal `${`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::fault::Fault;
use super::file::read_bounded;
use super::source::{Located, Source, Span};

/// Gives the value of an environment variable.
type Variables = dyn Fn(&str) -> Option<String>;

/// What a configuration may refer to, passed in so that tests own it.
pub struct Surroundings {
    variable: Box<Variables>,
    directory: PathBuf,
    files: BTreeSet<PathBuf>,
}

impl Surroundings {
    /// These variables, and files relative to this directory.
    pub fn new(directory: impl Into<PathBuf>, variable: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { variable: Box::new(variable), directory: directory.into(), files: BTreeSet::new() }
    }

    /// The variables of this process, and files relative to this directory.
    pub fn of_process(directory: impl Into<PathBuf>) -> Self {
        Self::new(directory, |name| std::env::var(name).ok())
    }

    /// The files that were asked for, found or not: a watcher wants to know when one changes or appears.
    pub(super) fn into_files(self) -> BTreeSet<PathBuf> {
        self.files
    }

    /// The path of a file that will be read for the configuration, as one relative to the configuration file.
    pub(super) fn file(&mut self, path: &str) -> PathBuf {
        let path = self.path(path);
        self.files.insert(path.clone());
        path
    }

    /// A relative path as one relative to the configuration file.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// The text with every reference replaced; without a value when one of them failed.
    pub(super) fn interpolate(
        &mut self,
        written: &Located<String>,
        source: &Source,
    ) -> (Option<Zeroizing<String>>, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut value = Zeroizing::new(String::with_capacity(written.value.len()));
        let text = written.value.as_str();
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            let start = at + found;
            if text[..start].ends_with('$') {
                append(&mut value, &text[at..start - 1]);
                append(&mut value, "${");
                at = start + 2;
                continue;
            }
            append(&mut value, &text[at..start]);
            if text[start..].starts_with("${{") {
                let end = text[start..].find("}}").map_or(text.len(), |length| start + length + 2);
                append(&mut value, &text[start..end]);
                at = end;
                continue;
            }
            let Some(length) = text[start..].find('}') else {
                let span = source.part(written, start..text.len());
                faults.push(Fault::error("bad_value", span, "this `${` has no closing `}`").help(ESCAPE));
                at = text.len();
                break;
            };
            at = start + length + 1;
            match self.resolve(&text[start + 2..at - 1]) {
                Ok(resolved) if value.len() + resolved.len() > MAX_VALUE => {
                    let message = format!("the value grows beyond {} KiB", MAX_VALUE >> 10);
                    faults.push(Fault::error("too_large", source.part(written, start..at), message));
                }
                Ok(resolved) => append(&mut value, &resolved),
                Err(fault) => faults.push(Fault { span: source.part(written, start..at), ..fault }),
            }
        }
        append(&mut value, &text[at..]);
        if faults.is_empty() { (Some(value), faults) } else { (None, faults) }
    }

    /// The value that a reference stands for, or a fault that has no place yet.
    fn resolve(&mut self, reference: &str) -> Result<Zeroizing<String>, Fault> {
        let fault = |code, message: String| Fault::error(code, Span::default(), message);
        if let Some(name) = reference.strip_prefix("env:") {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(fault("bad_value", "expected the name of a variable after `env:`".to_owned()));
            }
            let unset = || fault("unset_variable", format!("the environment variable `{name}` is not set"));
            return (self.variable)(name).map(Zeroizing::new).ok_or_else(unset);
        }
        if let Some(path) = reference.strip_prefix("file:") {
            if path.is_empty() || path.contains('\0') {
                return Err(fault("bad_value", "expected a path after `file:`".to_owned()));
            }
            let path = self.path(path);
            let text = read_small(&path).map_err(|cause| {
                fault("unreadable_file", format!("cannot read {}: {cause}", path.display()))
            });
            self.files.insert(path);
            return text;
        }
        let message = "only `${env:NAME}` and `${file:path}` can stand here".to_owned();
        Err(fault("bad_value", message).help(ESCAPE))
    }
}

/// Appends to a text that may be secret, and leaves no copy where it was before it grew.
fn append(value: &mut Zeroizing<String>, part: &str) {
    let needed = value.len() + part.len();
    if needed > value.capacity() {
        let mut longer = Zeroizing::new(String::with_capacity(needed.max(2 * value.len())));
        longer.push_str(value);
        *value = longer;
    }
    value.push_str(part);
}

/// A small text file without its final line break.
fn read_small(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = String::from_utf8(read_bounded(path, MAX_VALUE as u64)?).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        "it is not UTF-8 text".to_owned()
    });
    let mut text = Zeroizing::new(text?);
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// A value after interpolation, and a file that is read for one.
const MAX_VALUE: usize = 64 << 10;

const ESCAPE: &str = "write `$${` for a literal `${`";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn interpolate(text: &str, directory: &Path) -> Result<String, Vec<&'static str>> {
        let mut surroundings =
            Surroundings::new(directory, |name| (name == "TOKEN").then(|| "${env:TOKEN}".to_owned()));
        let source = Source::new("x", text);
        let (value, faults) =
            surroundings.interpolate(&Located::new(text.to_owned(), Span::new(0, text.len())), &source);
        value.map(|value| value.to_string()).ok_or_else(|| faults.iter().map(|fault| fault.code).collect())
    }

    #[test]
    fn references_are_replaced_once_and_expressions_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), "s3cret\r\n").unwrap();
        for (text, expected) in [
            ("${env:TOKEN}", Ok("${env:TOKEN}")),
            ("a ${file:secret} b", Ok("a s3cret b")),
            ("Hello ${{ identity.user }}!", Ok("Hello ${{ identity.user }}!")),
            ("$${env:X}", Ok("${env:X}")),
            ("$5 ${{", Ok("$5 ${{")),
            ("${env:NONE} ${file:none}", Err(vec!["unset_variable", "unreadable_file"])),
            ("${env:}", Err(vec!["bad_value"])),
            ("${file:.}", Err(vec!["unreadable_file"])),
            ("${x}", Err(vec!["bad_value"])),
            ("${env:TOKEN", Err(vec!["bad_value"])),
        ] {
            assert_eq!(interpolate(text, directory.path()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_large_file_is_refused_unread() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("large"), "x".repeat(MAX_VALUE + 1)).unwrap();
        assert_eq!(interpolate("${file:large}", directory.path()), Err(vec!["unreadable_file"]));
    }
}
