//! Host patterns: one name, everything below a name, or any.

use std::cmp::{Ordering, Reverse};
use std::fmt;

/// Which hosts a route answers for. Hosts are compared without case, port or a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum HostPattern {
    /// Every host, also requests that name none.
    #[default]
    Any,
    /// Exactly this name, in lower case.
    Exact(Box<str>),
    /// One label or more in front of this name: `*.example.com` takes `a.example.com` and
    /// `a.b.example.com` but not `example.com`. In lower case, without the `*.`.
    Below(Box<str>),
}

/// What is wrong with a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostFault {
    /// Byte offset in the pattern's text.
    pub offset: usize,
    /// A sentence for the operator.
    pub message: String,
}

/// Bytes of a host name (RFC 1035, section 2.3.4).
pub const MAX_HOST: usize = 253;

impl HostPattern {
    /// Parses `api.example.com`, `*.example.com`, `[::1]` or `*`.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, shift) = text.strip_prefix("*.").map_or((text, 0), |name| (name, 2));
        let fault = |at: usize, message: &str| HostFault { offset: shift + at, message: message.to_owned() };
        if name.is_empty() {
            return Err(fault(0, "a host is missing"));
        }
        if name.len() > MAX_HOST {
            return Err(fault(MAX_HOST, "a host name has at most 253 bytes"));
        }
        let lower: Box<str> = name.to_ascii_lowercase().into();
        if shift == 0 && name.starts_with('[') {
            let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            return match inner.map(str::parse::<std::net::Ipv6Addr>) {
                Some(Ok(_)) => Ok(Self::Exact(lower)),
                _ => Err(fault(0, "between brackets stands an IPv6 address and nothing follows them")),
            };
        }
        if let Some(at) = name.find(':') {
            return Err(fault(at, "a host has no port here: routes hold for every port of their listeners"));
        }
        if let Some(at) = name.find('*') {
            return Err(fault(at, "`*` stands only in front, as in `*.example.com`"));
        }
        let bad = |byte: u8| !(byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if let Some(at) = name.bytes().position(bad) {
            return Err(fault(
                at,
                "a host name has letters, digits, `-` and `.`; write others in their xn-- form",
            ));
        }
        if let Some(at) = name.find("..").or_else(|| name.starts_with('.').then_some(0)) {
            return Err(fault(at, "an empty label"));
        }
        if name.ends_with('.') {
            return Err(fault(name.len() - 1, "leave the trailing dot away: it is ignored in requests too"));
        }
        Ok(if shift == 0 { Self::Exact(lower) } else { Self::Below(lower) })
    }

    /// Whether it takes this host, which is in lower case and without a port.
    pub fn matches(&self, host: &str) -> bool {
        let host = without_dot(host);
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::Below(name) => {
                host.strip_suffix(&**name).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
        }
    }

    /// Which of two patterns is more specific (`Less` is the more specific one): a name, then the longer
    /// `*.x`, then the shorter, then any.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (u8, Reverse<usize>, &str) {
        match self {
            Self::Exact(name) => (0, Reverse(0), name),
            Self::Below(name) => (1, Reverse(name.len()), name),
            Self::Any => (2, Reverse(0), ""),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Exact(name) => formatter.write_str(name),
            Self::Below(name) => write!(formatter, "*.{name}"),
        }
    }
}

/// A host without the dot that ends a fully qualified name.
pub(super) fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_without_case_and_below_a_name_by_whole_labels() {
        for (pattern, host, expected) in [
            ("api.Example.com", "api.example.com", true),
            ("api.example.com", "api.example.com.", true),
            ("api.example.com", "xapi.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("[::1]", "[::1]", true),
            ("*", "", true),
            ("x", "", false),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn faults_point_at_their_byte() {
        for (text, offset) in [
            ("", 0),
            ("*.", 2),
            ("a:80", 1),
            ("a.*.b", 2),
            ("a b", 1),
            ("a..b", 1),
            (".a", 0),
            ("a.", 1),
            ("[::1", 0),
            ("*.*.a", 2),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap_err().offset, offset, "{text}");
        }
        assert!(HostPattern::parse(&"a".repeat(MAX_HOST + 1)).is_err());
    }
}
