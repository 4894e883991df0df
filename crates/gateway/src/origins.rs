//! Origins of pages (RFC 6454), as browsers tell them: which are allowed, and which one is a request's own.

use http1::{Known, RequestHead};

use crate::config::values::OriginPattern;

/// Origins that are allowed. Immutable.
#[derive(Debug)]
pub struct Origins {
    any: bool,
    null: bool,
    exact: Box<[Box<[u8]>]>,
    below: Box<[Below]>,
}

/// Every name below another.
#[derive(Debug)]
struct Below {
    scheme: Box<[u8]>,
    /// The end of the name, with its port.
    end: Box<[u8]>,
}

impl Origins {
    /// Those that one of the patterns stands for.
    pub fn new(patterns: &[OriginPattern]) -> Self {
        let (mut exact, mut below) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match pattern {
                OriginPattern::Any | OriginPattern::Null => {}
                OriginPattern::Exact(origin) => exact.push(origin.as_bytes().into()),
                OriginPattern::Below { scheme, end } => {
                    below.push(Below { scheme: scheme.as_bytes().into(), end: end.as_bytes().into() });
                }
            }
        }
        exact.sort_unstable();
        Self {
            any: patterns.contains(&OriginPattern::Any),
            null: patterns.contains(&OriginPattern::Null),
            exact: exact.into(),
            below: below.into(),
        }
    }

    /// Whether every origin is allowed.
    pub fn are_all(&self) -> bool {
        self.any
    }

    /// Whether an origin is allowed. Browsers have one spelling for each, and no other counts.
    pub fn contain(&self, origin: &[u8]) -> bool {
        self.any
            || (self.null && origin == b"null")
            || self.exact.binary_search_by(|known| (**known).cmp(origin)).is_ok()
            || self.below.iter().any(|Below { scheme, end }| {
                let name = origin.strip_prefix(&**scheme).and_then(|rest| rest.strip_suffix(&**end));
                name.is_some_and(is_name)
            })
    }
}

/// Whether these are labels of a name, and nothing that could end one.
fn is_name(bytes: &[u8]) -> bool {
    let is_of_name = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    !bytes.is_empty() && !bytes.starts_with(b".") && bytes.iter().all(is_of_name)
}

/// What a request says in `Origin`. No browser says two, which are an origin that nobody has.
pub fn of(request: &RequestHead) -> Option<&[u8]> {
    let mut origins = request.fields.get_all(Known::Origin);
    let first = origins.next()?;
    Some(if origins.next().is_some() { b"" } else { first })
}

/// The origin of the page at a URL; empty when it has none.
pub fn of_url(url: &[u8]) -> &[u8] {
    let Some(colon) = url.windows(3).position(|part| part == b"://") else { return b"" };
    let start = colon + 3;
    let length = url[start..].iter().position(|byte| b"/?#".contains(byte)).unwrap_or(url.len() - start);
    &url[..start + length]
}

/// Whether an origin is the one that the request itself goes to. What came encrypted is at an origin of `https`; what did not may
/// have been, before somebody in front of the gateway.
pub fn is_own(origin: &[u8], request: &RequestHead, is_tls: bool) -> bool {
    let (name, port) = match origin {
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', name @ ..] => (name, b":443".as_slice()),
        [b'h', b't', b't', b'p', b':', b'/', b'/', name @ ..] if !is_tls => (name, b":80".as_slice()),
        _ => return false,
    };
    let own = request.authority.as_bytes();
    let own = own.strip_suffix(port).unwrap_or(own);
    !own.is_empty() && name.strip_suffix(port).unwrap_or(name) == own
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn origins(texts: &[&str]) -> Origins {
        Origins::new(&texts.iter().map(|text| OriginPattern::parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn an_origin_is_allowed_by_its_whole_spelling() {
        let some = origins(&["https://app.example.com", "https://*.example.org", "http://*.a.test:8080"]);
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://app.example.com.evil.test", false),
            ("https://evil.test#https://app.example.com", false),
            ("https://a.example.org", true),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://.example.org", false),
            ("https://evilexample.org", false),
            ("https://evil.test/.example.org", false),
            ("https://evil.test:1@a.example.org", false),
            ("https://a.example.org:8443", false),
            ("http://x.a.test:8080", true),
            ("http://x.a.test", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(some.contain(origin.as_bytes()), allowed, "{origin}");
        }
        assert!(origins(&["null"]).contain(b"null"));
        assert!(!origins(&["null"]).contain(b"https://a.test"));
        assert!(origins(&["*"]).contain(b"https://a.test"));
        assert!(origins(&["*"]).are_all());
    }

    #[test]
    fn a_requests_own_origin_has_its_host_its_port_and_no_weaker_scheme() {
        for (origin, authority, is_tls, own) in [
            ("https://api.test", "api.test", true, true),
            ("https://api.test", "api.test:443", true, true),
            ("https://api.test:443", "api.test", true, true),
            ("https://api.test:8443", "api.test:8443", true, true),
            ("https://api.test:8443", "api.test", true, false),
            ("http://api.test", "api.test", true, false),
            ("http://api.test", "api.test", false, true),
            ("http://api.test", "api.test:80", false, true),
            ("https://api.test", "api.test", false, true),
            ("https://evil.test", "api.test", false, false),
            ("https://", "", false, false),
            ("null", "null", false, false),
            ("", "", false, false),
        ] {
            let request = RequestHead { authority: authority.to_owned(), ..RequestHead::default() };
            assert_eq!(is_own(origin.as_bytes(), &request, is_tls), own, "{origin} at {authority}");
        }
    }

    #[test]
    fn a_url_has_the_origin_in_front_of_its_path() {
        for (url, origin) in [
            ("https://a.test/path?x=https://b.test", "https://a.test"),
            ("https://a.test:8443", "https://a.test:8443"),
            ("https://a.test?q", "https://a.test"),
            ("about:blank", ""),
            ("", ""),
        ] {
            assert_eq!(of_url(url.as_bytes()), origin.as_bytes(), "{url}");
        }
    }
}
