//! Path templates: `/users/{id}`, `/orders/{id:[0-9]+}`, `/files/{name}.json`, `/public/{rest...}`.
//!
//! A template is parsed once, at load, into segments that cannot be wrong. It is compared with the normalised,
//! percent-encoded path of a request, so what a `{name}` takes is a span of that path.

use std::cmp::Ordering;
use std::fmt;

use super::segment::{Rank, Regexes, SegmentRegex};

/// A parsed path template. Its text is normalised the way request paths are.
#[derive(Debug, Clone)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternFault {
    /// Byte offset in the template's text.
    pub offset: usize,
    /// A sentence for the operator.
    pub message: String,
}

/// One segment of a template; spans point into the template's text.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Literal(Span),
    Param { prefix: Span, name: Span, suffix: Span, regex: Option<SegmentRegex> },
    Rest { name: Span },
}

/// A piece of the template's own text, which [`MAX_PATTERN`] keeps short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

/// Bytes of a template.
pub const MAX_PATTERN: usize = 2048;
/// Segments of a template: also how deep a search may go.
pub const MAX_SEGMENTS: usize = 64;
/// Bytes of a parameter's name.
pub const MAX_NAME: usize = 64;
/// Bytes of a segment's regular expression.
pub const MAX_REGEX: usize = 512;
impl PathPattern {
    /// Parses a template on its own. [`PathPattern::parse_with`] shares equal regular expressions among many.
    pub fn parse(source: &str) -> Result<Self, PatternFault> {
        Self::parse_with(source, &mut Regexes::default())
    }

    /// Parses a template, taking regular expressions that `regexes` already knows from there.
    pub fn parse_with(source: &str, regexes: &mut Regexes) -> Result<Self, PatternFault> {
        if source.len() > MAX_PATTERN {
            return Err(fault(MAX_PATTERN, format!("a path template has at most {MAX_PATTERN} bytes")));
        }
        if !source.starts_with('/') {
            return Err(fault(0, "a path template begins with `/`"));
        }
        let mut parser = Parser { source, text: String::with_capacity(source.len()), regexes };
        let mut segments = Vec::new();
        let mut at = 0;
        while at < source.len() {
            parser.text.push('/');
            let end = segment_end(source, at + 1)?;
            if segments.len() == MAX_SEGMENTS {
                return Err(fault(at, format!("a path template has at most {MAX_SEGMENTS} segments")));
            }
            if let Some(Segment::Rest { .. }) = segments.last() {
                return Err(fault(at, "`{name...}` takes the rest of the path, so nothing may follow it"));
            }
            if at + 1 == end && end < source.len() {
                return Err(fault(end, "an empty segment never matches: slashes in a row are made one"));
            }
            segments.push(parser.segment(at + 1, end)?);
            at = end;
        }
        if parser.text.len() > usize::from(u16::MAX) {
            return Err(fault(0, format!("a path template has at most {MAX_PATTERN} bytes")));
        }
        let pattern = Self { text: parser.text.into(), segments: segments.into() };
        pattern.refuse_double_names(source)?;
        Ok(pattern)
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in the order of the path.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param { name, .. } | Segment::Rest { name } => Some(self.part(*name)),
        })
    }

    /// Which parameter, in the order of the path, bears this name.
    pub fn position_of(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }

    /// Which of two templates is more specific when both match a path (`Less` is the more specific one).
    /// Segment by segment: a literal before a parameter with literal text beside it (the more such text the
    /// earlier) before one with a regular expression (the longer the earlier) before a bare one before the
    /// path's end before `{name...}`. `Equal` only for templates that match the very same paths.
    pub fn compare(&self, other: &Self) -> Ordering {
        for at in 0..self.segments.len().max(other.segments.len()) {
            let order = self.rank(at).cmp(&other.rank(at));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn part(&self, span: Span) -> &str {
        &self.text[usize::from(span.start)..usize::from(span.end)]
    }

    fn rank(&self, at: usize) -> Rank<'_> {
        match self.segments.get(at) {
            Some(Segment::Literal(span)) => Rank::Literal(self.part(*span)),
            Some(Segment::Param { prefix, suffix, regex, .. }) => {
                Rank::param(self.part(*prefix), self.part(*suffix), regex.as_ref())
            }
            None => Rank::End,
            Some(Segment::Rest { .. }) => Rank::Rest,
        }
    }

    fn refuse_double_names(&self, source: &str) -> Result<(), PatternFault> {
        for (at, name) in self.names().enumerate() {
            if self.names().take(at).any(|earlier| earlier == name) {
                let offset = source.rfind(&format!("{{{name}")).unwrap_or(0);
                return Err(fault(offset, format!("the parameter `{name}` stands twice in this template")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

struct Parser<'a> {
    source: &'a str,
    text: String,
    regexes: &'a mut Regexes,
}

impl Parser<'_> {
    fn segment(&mut self, start: usize, end: usize) -> Result<Segment, PatternFault> {
        let raw = &self.source[start..end];
        let Some(open) = raw.find('{').map(|at| start + at) else {
            if raw == "*" || raw == "**" {
                return Err(fault(
                    start,
                    "`*` is no wildcard in a path: write `{name}` or, at the end, `{name...}`",
                ));
            }
            let literal = self.literal(start, end)?;
            self.check_whole(start, literal)?;
            return Ok(Segment::Literal(literal));
        };
        let close = closing_brace(self.source, open)?;
        let inner = &self.source[open + 1..close];
        if let Some(name) = inner.strip_suffix("...") {
            if open != start || close + 1 != end {
                return Err(fault(start, "`{name...}` takes whole segments: put nothing beside it"));
            }
            self.text.push('{');
            let name = self.name(name, open + 1)?;
            self.text.push_str("...}");
            return Ok(Segment::Rest { name });
        }
        let prefix = self.literal(start, open)?;
        self.text.push('{');
        let (name, regex) = inner.split_once(':').map_or((inner, None), |(name, regex)| (name, Some(regex)));
        let name_length = name.len();
        let name = self.name(name, open + 1)?;
        let regex = match regex {
            None => None,
            Some(regex) => self.regex(regex, open + 1 + name_length + 1)?,
        };
        self.text.push('}');
        if let Some(second) = self.source[close + 1..end].find('{') {
            return Err(fault(close + 1 + second, "a segment holds at most one parameter"));
        }
        let suffix = self.literal(close + 1, end)?;
        Ok(Segment::Param { prefix, name, suffix, regex })
    }

    /// Appends a piece of literal text in the form that request paths have after normalising: unreserved
    /// characters bare, everything else that is not allowed in a path percent-encoded with capitals.
    fn literal(&mut self, start: usize, end: usize) -> Result<Span, PatternFault> {
        let from = self.text.len();
        let bytes = &self.source.as_bytes()[start..end];
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match byte {
                b'%' => {
                    let value = bytes
                        .get(at + 1..at + 3)
                        .and_then(|hex| std::str::from_utf8(hex).ok())
                        .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
                        .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                        .ok_or_else(|| {
                            fault(start + at, "`%` begins a percent-encoded byte such as `%20`")
                        })?;
                    if is_unreserved(value) {
                        self.text.push(char::from(value));
                    } else {
                        self.encoded(value);
                    }
                    at += 2;
                }
                b'?' | b'#' => {
                    return Err(fault(
                        start + at,
                        "a path template has no query or fragment; conditions on the query stand in `match.query`",
                    ));
                }
                b'}' => return Err(fault(start + at, "this `}` closes nothing")),
                b'\\' => return Err(fault(start + at, "a request with a backslash in its path is refused")),
                0..0x20 | 0x7f => return Err(fault(start + at, "control characters stand in no path")),
                _ if is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) => {
                    self.text.push(char::from(byte));
                }
                _ => self.encoded(byte),
            }
            at += 1;
        }
        Ok(self.span_from(from))
    }

    /// Refuses a literal segment that no normalised path has: one of dots, plain or disguised.
    fn check_whole(&self, offset: usize, literal: Span) -> Result<(), PatternFault> {
        let path = &self.text[usize::from(literal.start).saturating_sub(1)..usize::from(literal.end)];
        let mut normal = String::with_capacity(path.len());
        match http1::normalise_path(path.as_bytes(), &mut normal) {
            Ok(()) if normal == path => Ok(()),
            _ => Err(fault(offset, "dot segments are resolved before routing, so this never matches")),
        }
    }

    fn encoded(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.text.push('%');
        self.text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        self.text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }

    fn name(&mut self, name: &str, offset: usize) -> Result<Span, PatternFault> {
        if name.is_empty() {
            return Err(fault(offset, "a parameter needs a name: `{id}`"));
        }
        if name.len() > MAX_NAME {
            return Err(fault(offset, format!("a parameter's name has at most {MAX_NAME} bytes")));
        }
        let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !starts_well || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            return Err(fault(
                offset,
                format!("`{name}` is no parameter name: use letters, digits, `_` and `-`"),
            ));
        }
        let from = self.text.len();
        self.text.push_str(name);
        Ok(self.span_from(from))
    }

    fn regex(&mut self, regex: &str, offset: usize) -> Result<Option<SegmentRegex>, PatternFault> {
        if regex.is_empty() {
            return Err(fault(offset, "a regular expression is missing after `:`"));
        }
        if regex.len() > MAX_REGEX {
            return Err(fault(offset, format!("a regular expression has at most {MAX_REGEX} bytes")));
        }
        if matches!(regex, ".*" | ".+" | "[^/]*" | "[^/]+") {
            return Ok(None); // takes every segment: the same as none, and must rank the same
        }
        let compiled = self.regexes.compile(regex).map_err(|reason| fault(offset, reason))?;
        self.text.push(':');
        self.text.push_str(regex);
        Ok(Some(compiled))
    }

    fn span_from(&self, start: usize) -> Span {
        // `parse_with` refuses a text that does not fit before a span is used.
        let bound = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        Span { start: bound(start), end: bound(self.text.len()) }
    }
}

/// Where the segment that starts at `at` ends: at the next slash outside braces, or at the end.
fn segment_end(source: &str, mut at: usize) -> Result<usize, PatternFault> {
    let bytes = source.as_bytes();
    while at < bytes.len() && bytes[at] != b'/' {
        if bytes[at] == b'{' {
            at = closing_brace(source, at)?;
        }
        at += 1;
    }
    Ok(at)
}

/// The brace that closes the one at `open`; braces of the regular expression inside are counted, those escaped
/// or in a class are not.
fn closing_brace(source: &str, open: usize) -> Result<usize, PatternFault> {
    let bytes = source.as_bytes();
    let mut depth = 0_usize;
    let mut in_class = false;
    let mut at = open;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'/' if !in_class => {
                return Err(fault(
                    at,
                    "a parameter takes one segment, so there is no `/` between its braces",
                ));
            }
            b'[' if !in_class => in_class = true,
            b']' => in_class = false,
            b'{' if !in_class => depth += 1,
            b'}' if !in_class => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(fault(open, "this `{` is never closed"))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn fault(offset: usize, message: impl Into<String>) -> PatternFault {
    PatternFault { offset, message: message.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_keep_their_names_and_a_normalised_text() {
        for (source, text, names) in [
            ("/", "/", vec![]),
            ("/users/", "/users/", vec![]),
            ("/users/{id}", "/users/{id}", vec!["id"]),
            ("/a/{x:[0-9]{3}}/b", "/a/{x:[0-9]{3}}/b", vec!["x"]),
            (r"/a/{x:\{\}[}]}", r"/a/{x:\{\}[}]}", vec!["x"]),
            ("/a/{x:.+}", "/a/{x}", vec!["x"]),
            ("/files/{name}.json", "/files/{name}.json", vec!["name"]),
            ("/{a}/{rest...}", "/{a}/{rest...}", vec!["a", "rest"]),
            ("/caf\u{e9}/%7euser/%c3%a9/a%2fb", "/caf%C3%A9/~user/%C3%A9/a%2Fb", vec![]),
            ("/user-{user-id}", "/user-{user-id}", vec!["user-id"]),
        ] {
            let pattern = PathPattern::parse(source).unwrap();
            assert_eq!(pattern.as_str(), text);
            assert_eq!(pattern.names().collect::<Vec<_>>(), names, "{source}");
        }
    }

    #[test]
    fn faults_point_at_their_byte() {
        for (source, offset, words) in [
            ("", 0, "begins with `/`"),
            ("users", 0, "begins with `/`"),
            ("/a//b", 3, "empty segment"),
            ("/a/{", 3, "never closed"),
            ("/a/}", 3, "closes nothing"),
            ("/a/{}", 4, "needs a name"),
            ("/a/{1x}", 4, "no parameter name"),
            ("/a/{x y}", 4, "no parameter name"),
            ("/a/{x:}", 6, "missing after"),
            ("/a/{x:(}", 6, "not a regular expression"),
            ("/a/{x:a)|(b}", 6, "not a regular expression"),
            ("/a/{x:a/b}", 7, "one segment"),
            ("/a/{x}{y}", 6, "at most one parameter"),
            ("/a/{rest...}/b", 12, "nothing may follow"),
            ("/a/{rest...}/", 12, "nothing may follow"),
            ("/a/b{rest...}", 3, "whole segments"),
            ("/a/{x}/{x}", 7, "stands twice"),
            ("/a/../b", 3, "dot segments"),
            ("/a/.", 3, "dot segments"),
            ("/a/..;x/b", 3, "dot segments"),
            ("/a\\b", 2, "backslash"),
            ("/a/*", 3, "no wildcard"),
            ("/a?b=c", 2, "no query"),
            ("/a%2", 2, "percent-encoded"),
            ("/a%+1", 2, "percent-encoded"),
            ("/a\u{7}", 2, "control"),
            (r"/a/{x:\w{200}{200}}", 6, "compiles to more than"),
        ] {
            let fault = PathPattern::parse(source).unwrap_err();
            assert!(fault.message.contains(words), "{source}: {fault}");
            assert_eq!(fault.offset, offset, "{source}: {fault}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(PathPattern::parse(&"/a".repeat(MAX_SEGMENTS)).is_ok());
        assert!(PathPattern::parse(&"/a".repeat(MAX_SEGMENTS + 1)).is_err());
        assert!(PathPattern::parse(&format!("/{}", "a".repeat(MAX_PATTERN))).is_err());
        assert!(PathPattern::parse(&format!("/{{{}}}", "a".repeat(MAX_NAME + 1))).is_err());
        assert!(PathPattern::parse(&format!("/{{x:{}}}", "a".repeat(MAX_REGEX + 1))).is_err());
    }

    #[test]
    fn templates_are_ordered_by_how_specific_they_are() {
        let order = [
            "/a/b/c",
            "/a/b/{y}",
            "/a/b-{x}.json/c",
            "/a/{x}.json/c",
            "/a/{x:[0-9]{4}}/c",
            "/a/{x:[0-9]}/c",
            "/a/{x}/c",
            "/a/{x}/{y}",
            "/a/{x}/{rest...}",
            "/a",
            "/a/{rest...}",
            "/{x}",
            "/{rest...}",
        ];
        for pair in order.windows(2) {
            let [left, right] = [pair[0], pair[1]].map(|text| PathPattern::parse(text).unwrap());
            assert_eq!(left.compare(&right), Ordering::Less, "{left} {right}");
            assert_eq!(right.compare(&left), Ordering::Greater);
        }
        let [left, right] = ["/a/{x}", "/a/{y}"].map(|text| PathPattern::parse(text).unwrap());
        assert_eq!(left.compare(&right), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r"(/|\PC|[{}:./*\\\[\]%]){0,60}") {
            if let Err(fault) = PathPattern::parse(&text) {
                prop_assert!(fault.offset <= text.len());
            }
        }

        #[test]
        fn a_template_without_parameters_is_what_requests_are_normalised_to(
            text in r"(/([a-zA-Z0-9%.~!$&'()*+,;=:@\[\]^|`<>-]|%[0-9a-fA-F]{2}|\PC){1,4}){1,3}/?",
        ) {
            let mut normal = String::new();
            let accepted = http1::normalise_path(text.as_bytes(), &mut normal);
            if let Ok(pattern) = PathPattern::parse(&text)
                && !text.contains(['{', ' '])
            {
                prop_assert_eq!(accepted, Ok(()));
                prop_assert_eq!(pattern.as_str(), normal);
            }
        }

        #[test]
        fn a_normalised_text_parses_to_itself(text in r"(/([a-z%\u{e9} ]{1,3}|\{[a-z]{3}\})){1,4}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                let again = PathPattern::parse(pattern.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), pattern.as_str());
            }
        }
    }
}
