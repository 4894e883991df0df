//! What is wrong with a configuration, and where: collected all at once, shown with the line and a caret.
//! A fault never quotes a value that came from outside the file, so that no secret reaches a screen or a log.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Source, Span};

/// Whether a fault stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is used, though probably not as meant.
    Warning,
}

/// One thing that is wrong, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// Its stable name, such as `unknown_key`.
    pub code: &'static str,
    /// The bytes of the file it is about.
    pub span: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Fault {
    /// A fault that stops the configuration from being used.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, span, message: message.into(), help: None }
    }

    /// A fault that does not stop the configuration from being used.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// The same fault with advice below it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The faults of one file, in the order in which they stand there.
#[derive(Clone, Debug)]
pub struct Faults {
    source: Arc<Source>,
    /// The files that the configuration names, found or not: mending one of them may mend the configuration.
    files: BTreeSet<PathBuf>,
    list: Vec<Fault>,
    dropped: usize,
}

impl Faults {
    /// No faults yet, in this file.
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, files: BTreeSet::new(), list: Vec::new(), dropped: 0 }
    }

    /// Adds a fault, unless the same one is known already (an alias shows one place many times).
    pub fn push(&mut self, fault: Fault) {
        if self.list.len() >= MAX_FAULTS {
            self.dropped += 1;
            return;
        }
        if !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }

    /// The value; or nothing, and the fault is added.
    pub fn take<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.push(fault)).ok()
    }

    /// Adds all faults of another collection about the same file.
    pub fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.files.extend(other.files);
        for fault in other.list {
            self.push(fault);
        }
    }

    /// The files that the configuration names (certificates, `${file:…}`), found or not.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// The same faults of a configuration that asked for these files.
    #[must_use]
    pub(super) fn with_files(mut self, files: BTreeSet<PathBuf>) -> Self {
        self.files = files;
        self
    }

    /// The faults, sorted by place.
    pub fn list(&self) -> Vec<&Fault> {
        let mut sorted: Vec<&Fault> = self.list.iter().collect();
        sorted.sort_by_key(|fault| fault.span.start());
        sorted
    }

    /// Whether the configuration must be refused.
    pub fn has_errors(&self) -> bool {
        self.dropped > 0 || self.list.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The line and column of a fault, both from 1, the column in characters.
    pub fn position(&self, fault: &Fault) -> (usize, usize) {
        self.source.position(fault.span.start())
    }

    /// How many faults, in words: `2 errors, 1 warning`.
    pub fn counted(&self) -> String {
        let errors =
            self.list.iter().filter(|fault| fault.severity == Severity::Error).count() + self.dropped;
        let warnings = self.list.len() + self.dropped - errors;
        let mut text = count(errors, "error");
        if warnings > 0 || errors == 0 {
            let _ = write!(text, ", {}", count(warnings, "warning"));
        }
        text
    }

    /// One line for a log or a metric's help: how many faults, and the first of them.
    pub fn summary(&self) -> String {
        let mut text = self.counted();
        let listed = self.list();
        let first = listed.iter().find(|fault| fault.severity == Severity::Error).or(listed.first());
        if let Some(fault) = first {
            let (line, column) = self.position(fault);
            let _ = write!(text, "; first at {}:{line}:{column}: {}", self.source.name(), fault.message);
        }
        text
    }

    /// All faults as a person reads them: `file:line:col: error: …`, the line, a caret and advice.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for fault in self.list() {
            self.render_one(fault, &renderer, color, &mut text);
        }
        if self.dropped > 0 {
            let _ = writeln!(text, "and {} more, not shown", self.dropped);
        }
        text
    }

    fn render_one(&self, fault: &Fault, renderer: &Renderer, color: bool, text: &mut String) {
        let (line, column) = self.position(fault);
        let (word, paint) = match fault.severity {
            Severity::Error => ("error", "\x1b[1;91m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
        };
        let (bold, paint, reset) = if color { ("\x1b[1m", paint, "\x1b[0m") } else { ("", "", "") };
        let name = self.source.name();
        let message = printable(&fault.message);
        let _ = writeln!(
            text,
            "{bold}{name}:{line}:{column}:{reset} {paint}{word}:{reset} {bold}{message}{reset} [{}]",
            fault.code
        );
        if self.source.text().is_empty() {
            // Nothing could be read, so there is nothing to point at.
            if let Some(help) = &fault.help {
                let _ = writeln!(text, "  = help: {}", printable(help));
            }
            text.push('\n');
            return;
        }
        let excerpt = self.source.excerpt(fault.span);
        let snippet = Snippet::source(excerpt.text.as_str())
            .line_start(line)
            .annotation(AnnotationKind::Primary.span(excerpt.marked));
        let level = match fault.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_level(level).element(snippet);
        if let Some(help) = &fault.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        for line in renderer.render(&[group]).lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
}

/// The text with control characters shown instead of sent to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// More faults than these are only counted: nobody reads them, and a hostile file must not fill the memory.
const MAX_FAULTS: usize = 500;
