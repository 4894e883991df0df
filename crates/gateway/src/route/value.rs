//! Conditions on the value of a header or a query parameter, and named kinds of clients.

use std::fmt;
use std::sync::Arc;

use http1::Fields;
use memchr::memmem;
use regex::Regex;

use super::segment::bounded_regex;

/// What a header's or query parameter's value must be.
///
/// Written as text: `*` asks that the name is present, a text with `*` in it is compared with each `*` taking
/// any run of characters, `~` begins a regular expression that must be found in the value (anchor it with `^`
/// and `$`), and anything else is the value itself.
#[derive(Debug, Clone)]
pub enum ValueMatch {
    /// The name is there, with any value.
    Present,
    /// The value is this.
    Exact(Box<str>),
    /// The value has these pieces in this order; the first begins it, the last ends it.
    Glob(Box<[Box<str>]>),
    /// The value holds a match of this.
    Regex(Regex),
}

/// Bytes of a condition's text.
pub const MAX_VALUE: usize = 1024;

impl ValueMatch {
    /// Parses the text form.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_VALUE {
            return Err(format!("a condition on a value has at most {MAX_VALUE} bytes"));
        }
        if text == "*" {
            return Ok(Self::Present);
        }
        if let Some(regex) = text.strip_prefix('~') {
            return bounded_regex(regex).map(Self::Regex);
        }
        if text.contains('*') {
            return Ok(Self::Glob(text.split('*').map(Box::from).collect()));
        }
        Ok(Self::Exact(text.into()))
    }

    /// Whether a value that is there satisfies it.
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(expected) => **expected == *value,
            Self::Glob(pieces) => glob(pieces, value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    /// How much it demands: a value more than a shape, a shape more than presence.
    pub(super) fn exactness(&self) -> u32 {
        match self {
            Self::Present => 1,
            Self::Glob(_) | Self::Regex(_) => 2,
            Self::Exact(_) => 3,
        }
    }
}

impl fmt::Display for ValueMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => formatter.write_str("*"),
            Self::Exact(value) => formatter.write_str(value),
            Self::Glob(pieces) => formatter.write_str(&pieces.join("*")),
            Self::Regex(regex) => write!(formatter, "~{regex}"),
        }
    }
}

/// A named kind of client.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// What `User-Agent` must hold a match of.
    pub user_agent: Option<Regex>,
    /// The header that such clients send.
    pub header: Option<Box<str>>,
}

impl Device {
    /// Compiles `user_agent` within the bounds of the routing configuration.
    pub fn new(name: &str, user_agent: Option<&str>, header: Option<&str>) -> Result<Self, String> {
        let user_agent = user_agent.map(bounded_regex).transpose()?;
        Ok(Self { name: name.into(), user_agent, header: header.map(Box::from) })
    }

    /// Whether a request with these fields comes from such a client. What is not asked for holds; a device
    /// that asks for nothing takes nobody.
    pub fn recognises(&self, fields: &Fields) -> bool {
        if self.user_agent.is_none() && self.header.is_none() {
            return false;
        }
        let agent_fits = self
            .user_agent
            .as_ref()
            .is_none_or(|expected| named(fields, "user-agent").any(|agent| expected.is_match(agent)));
        agent_fits && self.header.as_ref().is_none_or(|name| named(fields, name).next().is_some())
    }
}

/// The first of the devices, in their order, that a request comes from.
pub fn detect<'d>(devices: &'d [Arc<Device>], fields: &Fields) -> Option<&'d str> {
    devices.iter().find(|device| device.recognises(fields)).map(|device| &*device.name)
}

/// The values of a field by its name in any case; values that are not UTF-8 are passed over.
pub(super) fn named<'f>(fields: &'f Fields, name: &str) -> impl Iterator<Item = &'f str> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .filter_map(|field| std::str::from_utf8(field.value).ok())
}

/// Linear in the value for every piece: each is searched once, from where the one before ended.
fn glob(pieces: &[Box<str>], value: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return false };
    let Some(rest) = value.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
        return false;
    };
    let mut rest = rest.as_bytes();
    for piece in middle {
        let Some(at) = memmem::find(rest, piece.as_bytes()) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_written() {
        for (text, value, expected) in [
            ("eu", "eu", true),
            ("eu", "EU", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("eu-*", "eu-west", true),
            ("eu-*", "us-west", false),
            ("*-west", "eu-west", true),
            ("e*w*t", "eu-west", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*b", "ab", false),
            ("a**b", "ab", true),
            ("~^v[0-9]$", "v1", true),
            ("~^v[0-9]$", "v10", false),
            ("~1", "v10", true),
        ] {
            let condition = ValueMatch::parse(text).unwrap();
            assert_eq!(condition.accepts(value), expected, "{text} {value}");
            assert_eq!(condition.to_string(), text);
        }
        assert!(ValueMatch::parse("~(").is_err());
        assert!(ValueMatch::parse(&"a".repeat(MAX_VALUE + 1)).is_err());
    }
}
