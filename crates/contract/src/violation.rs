//! What is wrong with a message: told to whoever sent it, and never with a value of it.

use std::fmt;

/// The most that is told of one message; what is beyond is left out.
pub const MAX_VIOLATIONS: usize = 50;

/// The longest piece of a message's own names, or of a schema, that is repeated in a violation, in characters.
const LONGEST_QUOTE: usize = 60;

/// The longest pointer that is told, in bytes: a message may nest long names.
const LONGEST_POINTER: usize = 512;

/// The part of a message that a violation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The body.
    Body,
    /// A part of the path, by the name it has in the template.
    Path(Box<str>),
    /// A parameter of the query.
    Query(Box<str>),
    /// A header.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// What a violation calls for: which answer a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A parameter of the path, the query, the headers or the cookies.
    Parameter,
    /// A body of a type that the contract does not list.
    ContentType,
    /// A status that the contract does not list.
    Status,
    /// The body.
    Body,
}

/// One thing that is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it calls for.
    pub kind: Kind,
    /// The part of the message.
    pub place: Place,
    /// Where in that part, as a JSON pointer (RFC 6901); empty for all of it.
    pub pointer: String,
    /// A sentence for whoever sent the message.
    pub message: String,
    /// The keyword of the schema that is not satisfied, as a JSON pointer into the contract; empty where no schema
    /// says so.
    pub schema: String,
}

/// All that is wrong with a message, up to [`MAX_VIOLATIONS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    list: Vec<Violation>,
    cut: bool,
}

impl Violations {
    /// Whether the message is as agreed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there were more than are kept.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.list.iter()
    }

    /// Appends the value of the member `errors` of a problem document (RFC 9457): a JSON array of objects with `in`,
    /// `name` for what is not the body, `pointer` and `detail`.
    pub fn write_errors(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, violation) in self.list.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            violation.write(out);
        }
        out.push(b']');
    }

    /// Says anew where the schemas stand of all violations from this one on.
    pub(crate) fn rename_schemas(&mut self, from: usize, name: impl Fn(&str) -> Option<String>) {
        for violation in &mut self.list[from..] {
            if let Some(renamed) = name(&violation.schema) {
                violation.schema = renamed;
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_VIOLATIONS
    }

    pub(crate) fn push(&mut self, violation: Violation) {
        // Two schemas that apply together may find the same.
        let is_same = |known: &Violation| {
            known.place == violation.place
                && known.pointer == violation.pointer
                && known.message == violation.message
        };
        if self.list.iter().any(is_same) {
            return;
        }
        if self.is_full() {
            self.cut = true;
        } else {
            self.list.push(violation);
        }
    }
}

impl<'v> IntoIterator for &'v Violations {
    type Item = &'v Violation;
    type IntoIter = std::slice::Iter<'v, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.list.iter().enumerate() {
            write!(f, "{}{violation}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Violation {
    /// One about the body, or about what is in it.
    pub(crate) fn body(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Place::Body, pointer, message)
    }

    pub(crate) fn new(place: Place, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let kind = if place == Place::Body { Kind::Body } else { Kind::Parameter };
        let mut pointer = pointer.into();
        if pointer.len() > LONGEST_POINTER {
            let end = (0..=LONGEST_POINTER).rev().find(|at| pointer.is_char_boundary(*at)).unwrap_or(0);
            pointer.truncate(end);
            pointer.push('…');
        }
        Self { kind, place, pointer, message: message.into(), schema: String::new() }
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn by(mut self, schema: String) -> Self {
        self.schema = schema;
        self
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"in\":\"");
        out.extend_from_slice(self.place.as_str().as_bytes());
        out.push(b'"');
        if let Some(name) = self.place.name() {
            out.extend_from_slice(b",\"name\":");
            write_text(out, &quote(name));
        }
        if self.place == Place::Body || !self.pointer.is_empty() {
            out.extend_from_slice(b",\"pointer\":");
            write_text(out, &self.pointer);
        }
        out.extend_from_slice(b",\"detail\":");
        write_text(out, &self.message);
        out.push(b'}');
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.as_str())?;
        if let Some(name) = self.place.name() {
            write!(f, " {}", quote(name))?;
        }
        let gap = if self.pointer.is_empty() { "" } else { " " };
        write!(f, "{gap}{}: {}", self.pointer, self.message)
    }
}

impl Place {
    /// The word for it in a problem document.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Path(_) => "path",
            Self::Query(_) => "query",
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
        }
    }

    /// The name of the parameter; none for the body.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Body => None,
            Self::Path(name) | Self::Query(name) | Self::Header(name) | Self::Cookie(name) => Some(name),
        }
    }
}

/// The beginning of a text that is too long to be repeated.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A JSON pointer with one more name, escaped as RFC 6901 section 3 asks.
pub(crate) fn join(pointer: &str, name: &str) -> String {
    let mut joined = String::with_capacity(pointer.len() + name.len() + 1);
    joined.push_str(pointer);
    push_name(&mut joined, name);
    joined
}

/// Appends one more name to a JSON pointer.
pub(crate) fn push_name(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Appends a JSON string.
fn write_text(out: &mut Vec<u8>, text: &str) {
    // A text is always written, and a vector always takes it.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_written_as_members_of_a_problem_document() {
        let mut violations = Violations::default();
        violations.push(Violation::body("/items/0/price", "must be a number"));
        violations.push(Violation::body("", "must \"be\" an object"));
        violations.push(Violation::new(Place::Query("a\"b".into()), "", "is missing"));
        violations.push(Violation::new(Place::Header("x".into()), "/1", "must be an integer"));
        let mut out = Vec::new();
        violations.write_errors(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"[{"in":"body","pointer":"/items/0/price","detail":"must be a number"},"#,
                r#"{"in":"body","pointer":"","detail":"must \"be\" an object"},"#,
                r#"{"in":"query","name":"a\"b","detail":"is missing"},"#,
                r#"{"in":"header","name":"x","pointer":"/1","detail":"must be an integer"}]"#
            )
        );
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn no_more_are_kept_than_are_told() {
        let mut violations = Violations::default();
        for index in 0..MAX_VIOLATIONS {
            violations.push(Violation::body("", index.to_string()));
            violations.push(Violation::body("", index.to_string()));
        }
        assert!(!violations.is_cut());
        violations.push(Violation::body("", "x"));
        assert!(violations.is_cut());
        assert_eq!(violations.len(), MAX_VIOLATIONS);
    }

    #[test]
    fn long_names_and_pointers_are_cut() {
        assert_eq!(quote("short"), "short");
        assert_eq!(quote(&"é".repeat(100)).chars().count(), LONGEST_QUOTE + 1);
        let violation = Violation::body("é".repeat(2 * LONGEST_POINTER), "x");
        assert!(violation.pointer.len() <= LONGEST_POINTER + 4);
        assert_eq!(join("/a", "b/c~d"), "/a/b~1c~0d");
    }
}
