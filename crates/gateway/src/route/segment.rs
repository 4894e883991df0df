//! What a segment of a template is made of beside text: its regular expression, and its place in the order of
//! specificity.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

/// Regular expressions of one segment, compiled once however many templates write the same one.
#[derive(Debug, Default)]
pub struct Regexes {
    known: HashMap<Box<str>, SegmentRegex>,
}

/// A regular expression that a segment's value must match as a whole.
#[derive(Debug, Clone)]
pub(super) struct SegmentRegex(Arc<(Box<str>, Regex)>);

/// Bytes that one compiled regular expression of the routing configuration may take.
pub const MAX_REGEX_PROGRAM: usize = 256 * 1024;

impl SegmentRegex {
    pub(super) fn is_match(&self, value: &str) -> bool {
        self.0.1.is_match(value)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0.0
    }
}

/// A segment's place among those that may stand at the same depth; smaller is more specific.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank<'a> {
    Literal(&'a str),
    Param {
        literal_bytes: Reverse<usize>,
        regex_bytes: Reverse<usize>,
        regex: &'a str,
        prefix: &'a str,
        suffix: &'a str,
    },
    End,
    Rest,
}

impl<'a> Rank<'a> {
    pub(super) fn param(prefix: &'a str, suffix: &'a str, regex: Option<&'a SegmentRegex>) -> Self {
        let regex = regex.map_or("", SegmentRegex::as_str);
        Self::Param {
            literal_bytes: Reverse(prefix.len() + suffix.len()),
            regex_bytes: Reverse(regex.len()),
            regex,
            prefix,
            suffix,
        }
    }
}

impl Regexes {
    /// The compiled form, or the reason why it is none.
    pub(super) fn compile(&mut self, text: &str) -> Result<SegmentRegex, String> {
        if let Some(known) = self.known.get(text) {
            return Ok(known.clone());
        }
        // Alone first: `a)|(b` would be valid between the anchoring parentheses, and undo them.
        bounded_regex(text)?;
        let whole = bounded_regex(&format!(r"\A(?:{text})\z"))?;
        let compiled = SegmentRegex(Arc::new((text.into(), whole)));
        self.known.insert(text.into(), compiled.clone());
        Ok(compiled)
    }
}

/// Compiles a regular expression of the configuration within [`MAX_REGEX_PROGRAM`]; the error is one line.
pub(super) fn bounded_regex(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(MAX_REGEX_PROGRAM)
        .dfa_size_limit(MAX_REGEX_PROGRAM)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("this regular expression compiles to more than {limit} bytes")
            }
            other => {
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default().trim();
                format!(
                    "this is not a regular expression: {}",
                    reason.strip_prefix("error: ").unwrap_or(reason)
                )
            }
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::PathPattern;
    use super::*;

    #[test]
    fn equal_regular_expressions_are_compiled_once() {
        let mut regexes = Regexes::default();
        for path in ["/a/{x:[0-9]+}", "/b/{y:[0-9]+}", "/c/{y:[a-z]+}"] {
            PathPattern::parse_with(path, &mut regexes).unwrap();
        }
        assert_eq!(regexes.known.len(), 2);
    }
}
