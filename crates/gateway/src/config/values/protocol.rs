//! Words of HTTP, patterns and secrets.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use zeroize::Zeroizing;

/// Status codes from one to another, both included: `2xx`, `404`, `200-299`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl StatusRange {
    /// `2xx`.
    pub const SUCCESS: Self = Self { first: 200, last: 299 };

    /// Whether a status lies in the range.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }

    /// Whether two ranges share a status.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Reads `2xx`, `404` or `200-299`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str =
            "expected status codes: a class such as 2xx, one such as 404, or a range such as 200-299";
        let one = |text: &str| -> Result<u16, String> {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let code = text.parse().ok().filter(|code| digits && (100..600).contains(code));
            code.ok_or_else(|| WHAT.to_owned())
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = one(&format!("{class}00"))?;
            return Ok(Self { first, last: first + 99 });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (one(first)?, one(last)?);
        if first > last {
            Err("this range ends before it begins".to_owned())
        } else {
            Ok(Self { first, last })
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first.is_multiple_of(100) && self.last == self.first + 99 {
            return write!(f, "{}xx", self.first / 100);
        }
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A regular expression, compiled and bounded in size.
#[derive(Clone, Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// The compiled expression.
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }

    /// Reads a regular expression that compiles to at most 1 MiB.
    pub fn parse(text: &str) -> Result<Self, String> {
        let built =
            regex::RegexBuilder::new(text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "this regular expression is too large once compiled".to_owned()
            }
            _ => "this is not a regular expression".to_owned(),
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Text that no log, fault or debug output shows, and that is wiped from memory when it is let go.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself, for the one place that compares or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Takes any text that is not empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            Err("a secret is not empty".to_owned())
        } else {
            Ok(Self(Zeroizing::new(text.to_owned())))
        }
    }
}

impl PartialEq for Secret {
    /// In a time that does not depend on where they differ.
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads the name of a header field (RFC 9110, section 5.1).
pub(in crate::config) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| "expected the name of a header: letters, digits and `-`".to_owned())
}

/// Reads the value of a header field: no control characters, no space around it (RFC 9110, section 5.5).
pub(in crate::config) fn header_value(text: &str) -> Result<HeaderValue, String> {
    if text.trim() != text {
        return Err("the value of a header does not begin or end with a space".to_owned());
    }
    text.parse().map_err(|_| "the value of a header has no line breaks and no control characters".to_owned())
}

/// Reads a method (RFC 9110, section 9.1). They are case-sensitive; all that are in use are in capitals.
pub(in crate::config) fn method(text: &str) -> Result<Method, String> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err("methods are written in capitals: GET, POST, PUT, PATCH, DELETE".to_owned());
    }
    text.parse().map_err(|_| "expected a method such as GET or POST".to_owned())
}

/// Reads the status of a final answer.
pub(in crate::config) fn status(text: &str) -> Result<StatusCode, String> {
    let code = text.parse::<u16>().ok().filter(|code| (200..600).contains(code) && text.len() == 3);
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    code.ok_or_else(|| "expected a status from 200 to 599".to_owned())
}

/// Bytes of a compiled regular expression.
const MAX_PATTERN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn status_ranges_are_classes_single_codes_or_spans() {
        for text in ["2xx", "404", "200-204", "500-503"] {
            assert_eq!(StatusRange::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "xx", "6xx", "0xx", "99", "600", "204-200", "2x", "+20", "200-", "é"] {
            assert!(StatusRange::parse(text).is_err(), "{text}");
        }
        let successes = StatusRange::parse("2xx").unwrap();
        assert!(successes.contains(StatusCode::NO_CONTENT) && !successes.contains(StatusCode::FOUND));
        assert!(successes.overlaps(StatusRange::parse("299").unwrap()));
        assert!(!successes.overlaps(StatusRange::parse("3xx").unwrap()));
    }

    #[test]
    fn a_pattern_that_explodes_is_refused() {
        assert!(Pattern::parse("(?i)android|iphone").is_ok());
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("((a{1000}){1000}){1000}").is_err());
    }

    #[test]
    fn a_secret_never_shows_itself() {
        assert_eq!(format!("{:?}", Secret::parse("hunter2").unwrap()), "Secret(…)");
        assert!(Secret::parse(" ").is_err());
        let same = |one, other| Secret::parse(one) == Secret::parse(other);
        assert!(same("hunter2", "hunter2") && !same("hunter2", "hunter3") && !same("hunter2", "hunter22"));
    }

    #[test]
    fn words_of_http_follow_their_grammar() {
        for (text, good) in [("GET", true), ("PROPFIND", true), ("get", false), ("G T", false), ("", false)] {
            assert_eq!(method(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("200", true), ("599", true), ("101", false), ("600", false), ("0200", false)] {
            assert_eq!(status(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("a", true), ("", true), ("a\nb", false), (" a", false), ("a\r", false)] {
            assert_eq!(header_value(text).is_ok(), good, "{text:?}");
        }
        for (text, good) in [("X-Api", true), ("", false), ("a b", false), ("a:", false)] {
            assert_eq!(header_name(text).is_ok(), good, "{text}");
        }
    }
}
