//! The field names that the gateway acts on, as an enum, so that no request compares them as text twice.

/// A field name that the gateway acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // each is the name it says
pub enum Known {
    Accept,
    AcceptEncoding,
    AccessControlRequestMethod,
    Age,
    Allow,
    Authorization,
    CacheControl,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Deprecation,
    ETag,
    Expect,
    Expires,
    Forwarded,
    Host,
    IfModifiedSince,
    IfNoneMatch,
    KeepAlive,
    LastModified,
    Link,
    Location,
    Origin,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Range,
    RateLimit,
    RateLimitPolicy,
    Referer,
    RetryAfter,
    Server,
    SetCookie,
    Sunset,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Vary,
    Via,
    WwwAuthenticate,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRealIp,
    XRequestId,
}

impl Known {
    /// The known name that these bytes spell, in any case.
    ///
    /// Length and one or two letters leave a single candidate; one comparison settles it.
    pub fn of(name: &[u8]) -> Option<Self> {
        // `| 0x20` makes a letter lower-case and leaves `-` alone.
        let candidate = match (name.len(), name.first()? | 0x20) {
            (2, b't') => Self::Te,
            (3, b'a') => Self::Age,
            (3, b'v') => Self::Via,
            (4, b'd') => Self::Date,
            (4, b'e') => Self::ETag,
            (4, b'h') => Self::Host,
            (4, b'l') => Self::Link,
            (4, b'v') => Self::Vary,
            (5, b'a') => Self::Allow,
            (5, b'r') => Self::Range,
            (6, b'a') => Self::Accept,
            (6, b'c') => Self::Cookie,
            (6, b'e') => Self::Expect,
            (6, b'o') => Self::Origin,
            (6, b's') => match name[1] | 0x20 {
                b'e' => Self::Server,
                b'u' => Self::Sunset,
                _ => return None,
            },
            (7, b'e') => Self::Expires,
            (7, b'r') => Self::Referer,
            (7, b't') => Self::Trailer,
            (7, b'u') => Self::Upgrade,
            (8, b'l') => Self::Location,
            (9, b'f') => Self::Forwarded,
            (9, b'r') => Self::RateLimit,
            (9, b'x') => Self::XRealIp,
            (10, b'c') => Self::Connection,
            (10, b'k') => Self::KeepAlive,
            (10, b's') => Self::SetCookie,
            (10, b'u') => Self::UserAgent,
            (11, b'd') => Self::Deprecation,
            (11, b'r') => Self::RetryAfter,
            (12, b'c') => Self::ContentType,
            (12, b'x') => Self::XRequestId,
            (13, b'a') => Self::Authorization,
            (13, b'c') => Self::CacheControl,
            (13, b'i') => Self::IfNoneMatch,
            (13, b'l') => Self::LastModified,
            (14, b'c') => Self::ContentLength,
            (15, b'a') => Self::AcceptEncoding,
            (15, b'x') => Self::XForwardedFor,
            (16, b'c') => Self::ContentEncoding,
            (16, b'p') => Self::ProxyConnection,
            (16, b'r') => Self::RateLimitPolicy,
            (16, b'w') => Self::WwwAuthenticate,
            (16, b'x') => Self::XForwardedHost,
            (17, b'i') => Self::IfModifiedSince,
            (17, b't') => Self::TransferEncoding,
            (17, b'x') => Self::XForwardedProto,
            (18, b'p') => Self::ProxyAuthenticate,
            (19, b'p') => Self::ProxyAuthorization,
            (29, b'a') => Self::AccessControlRequestMethod,
            _ => return None,
        };
        let usual = candidate.as_str().as_bytes();
        // Most are written as usual, and equality is cheaper to see.
        (name == usual || name.eq_ignore_ascii_case(usual)).then_some(candidate)
    }

    /// The known name that these bytes, which are not one, become when each run of `-` and `_` is made one
    /// `-`.
    ///
    /// Services behind an interface that makes variables of field names (CGI and its heirs) read
    /// `Transfer_Encoding` as `Transfer-Encoding`, so that what such a name says has passed the gateway
    /// unread.
    pub(crate) fn resembling(name: &[u8]) -> Option<Self> {
        let mut before = 0;
        let is_plain = name.iter().all(|byte| {
            let is_run = *byte == b'-' && before == b'-';
            before = *byte;
            *byte != b'_' && !is_run
        });
        if is_plain {
            return None;
        }
        let mut spelt = [0; LONGEST_NAME];
        let mut length = 0;
        for byte in name {
            let byte = if *byte == b'_' { b'-' } else { *byte };
            if byte == b'-' && length > 0 && spelt[length - 1] == b'-' {
                continue;
            }
            *spelt.get_mut(length)? = byte;
            length += 1;
        }
        Self::of(&spelt[..length])
    }

    /// The name as it is usually written, e.g. `X-Forwarded-For`.
    pub const fn as_str(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The length of the longest name, `Access-Control-Request-Method`.
const LONGEST_NAME: usize = 29;

/// The names in the order of the variants.
const NAMES: [&str; 50] = [
    "Accept",
    "Accept-Encoding",
    "Access-Control-Request-Method",
    "Age",
    "Allow",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Date",
    "Deprecation",
    "ETag",
    "Expect",
    "Expires",
    "Forwarded",
    "Host",
    "If-Modified-Since",
    "If-None-Match",
    "Keep-Alive",
    "Last-Modified",
    "Link",
    "Location",
    "Origin",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "RateLimit",
    "RateLimit-Policy",
    "Referer",
    "Retry-After",
    "Server",
    "Set-Cookie",
    "Sunset",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-Id",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (position, name) in NAMES.iter().enumerate() {
            for spelling in [(*name).to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                let found = Known::of(spelling.as_bytes()).unwrap();
                assert_eq!((found as usize, found.as_str()), (position, *name));
            }
        }
    }

    #[test]
    fn names_that_differ_in_hyphens_and_underscores_resemble_known_ones() {
        const CASES: &[(&str, Option<Known>)] = &[
            ("Transfer_Encoding", Some(Known::TransferEncoding)),
            ("transfer-_-encoding", Some(Known::TransferEncoding)),
            ("Content--Length", Some(Known::ContentLength)),
            ("x_forwarded_for", Some(Known::XForwardedFor)),
            ("Access_Control_Request_Method", Some(Known::AccessControlRequestMethod)),
            ("Access_Control_Request_Methods", None),
            ("x_other", None),
            ("_Host", None),
            ("x--y", None),
        ];
        for (name, known) in CASES {
            assert_eq!(Known::resembling(name.as_bytes()), *known, "{name}");
        }
        assert_eq!(NAMES.iter().map(|name| name.len()).max(), Some(LONGEST_NAME));
    }

    #[test]
    fn names_that_only_resemble_a_known_one_are_not_found() {
        for name in NAMES {
            for position in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[position] = b'_';
                assert_eq!(Known::of(&other), None, "{name} with byte {position} changed");
            }
            assert_eq!(Known::of(format!("{name}s").as_bytes()), None);
        }
        assert_eq!(Known::of(b""), None);
    }
}
