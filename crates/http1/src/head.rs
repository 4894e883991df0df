//! The heads of messages, free of any transport: what routing, policies and both protocols' ends speak.

use http::{Method, StatusCode, Version};

use crate::Fields;
use crate::authority::without_port;

/// The most fields that any head may have, whatever [`Limits::headers`] says: they are parsed in room of this
/// size on the stack.
pub const MOST_FIELDS: usize = 256;

/// What a head may hold before it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the request line or status line.
    pub line: usize,
    /// Bytes of the whole head, the empty line included.
    pub head: usize,
    /// Number of fields; what is over [`MOST_FIELDS`] counts as that.
    pub headers: usize,
}

impl Limits {
    /// The fields that a head may really have.
    pub(crate) fn fields(&self) -> usize {
        self.headers.min(MOST_FIELDS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 8 * 1024, head: 32 * 1024, headers: 100 }
    }
}

/// How the end of a message's body is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// `Content-Length` bytes. Never zero in a parsed head: that is `None`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The body ends when the connection does. Answers only.
    UntilClose,
}

/// The form of the request target (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, only with CONNECT.
    Authority,
    /// `*`, only with OPTIONS.
    Asterisk,
}

/// A request without its body. Reused from exchange to exchange: parsing clears and refills it, so that a
/// warm connection allocates nothing.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The method as sent.
    pub method: Method,
    /// HTTP/1.0 or HTTP/1.1 from the parser, HTTP/2 from its assembly.
    pub version: Version,
    /// How the target was written.
    pub form: TargetForm,
    /// The normalised path; begins with `/` (`*` for the asterisk form, empty for CONNECT).
    pub path: String,
    /// The query without its `?`; meaningful only when `has_query`.
    pub query: String,
    /// Whether the target had a `?`.
    pub has_query: bool,
    /// Host and optional port, lower-cased, from the absolute form or `Host`; empty when an HTTP/1.0
    /// client named none.
    pub authority: String,
    /// The end-to-end fields in order. `Host`, `Content-Length` and all hop-by-hop fields (those that
    /// `Connection` names too) are not here; the members of this struct say what they said. Names with
    /// underscores are kept as they came, but for those that resemble a known one (`X_Forwarded_For`): they
    /// are dropped, because services exist that cannot tell them from it.
    pub fields: Fields,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client lets the connection live after this exchange.
    pub persistent: bool,
    /// `Expect: 100-continue` was sent (not in HTTP/1.0). The field itself stays in `fields`.
    pub expects_continue: bool,
    /// `TE: trailers` was sent.
    pub accepts_trailers: bool,
    /// The value of `Upgrade` when `Connection: upgrade` confirms it; else empty.
    pub upgrade: String,
}

impl RequestHead {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::HTTP_11;
        self.form = TargetForm::Origin;
        self.path.clear();
        self.query.clear();
        self.has_query = false;
        self.authority.clear();
        self.fields.clear();
        self.framing = Framing::None;
        self.persistent = true;
        self.expects_continue = false;
        self.accepts_trailers = false;
        self.upgrade.clear();
    }

    /// The query, `None` when the target had no `?`.
    pub fn query(&self) -> Option<&str> {
        self.has_query.then_some(self.query.as_str())
    }

    /// The authority without its port.
    pub fn host(&self) -> &str {
        without_port(&self.authority)
    }
}

/// An answer without its body. Reused like [`RequestHead`].
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1 from the parser, HTTP/2 from its assembly.
    pub version: Version,
    /// The end-to-end fields in order, as in [`RequestHead::fields`].
    pub fields: Fields,
    /// How the body is delimited, the rules for HEAD, 1xx, 204, 304 and CONNECT applied.
    pub framing: Framing,
    /// What `Content-Length` said, even where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the service lets the connection live after this exchange.
    pub persistent: bool,
    /// The value of `Upgrade` in a 101; else empty.
    pub upgrade: String,
}

impl ResponseHead {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.version = Version::HTTP_11;
        self.fields.clear();
        self.framing = Framing::None;
        self.content_length = None;
        self.persistent = true;
        self.upgrade.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_authority_without_its_port() {
        for (authority, host) in [
            ("example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("host2", "host2"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]"),
            ("", ""),
        ] {
            let head = RequestHead { authority: authority.to_owned(), ..RequestHead::default() };
            assert_eq!(head.host(), host, "{authority}");
        }
    }
}
