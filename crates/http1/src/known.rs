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
    pub fn of(name: &[u8]) -> Option<Self> {
        let _ = name;
        todo!("by length, then by letters: no hashing, no allocation")
    }

    /// The name as it is usually written, e.g. `X-Forwarded-For`.
    pub const fn as_str(self) -> &'static str {
        todo!()
    }
}
