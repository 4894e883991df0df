//! Why bytes were refused: stable codes for logs and metrics, a sentence for the operator.
//!
//! Whatever is refused is refused whole: nothing is repaired, and the connection it came on is not used
//! again.

use http::StatusCode;

/// Why a request was refused. The connection must be closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The first byte is that of a TLS record: a client speaks https to a listener without it.
    #[error("a TLS handshake came to a listener that speaks clear text")]
    TlsOnClearPort,
    /// The first byte cannot begin a method.
    #[error("the bytes are not HTTP")]
    NotHttp,
    /// The first line is that of the HTTP/2 preface.
    #[error("an HTTP/2 connection came to a listener that speaks HTTP/1.1 only")]
    Http2Preface,
    /// The request line is not `method SP target SP version` (RFC 9112, section 3).
    #[error("the request line is malformed")]
    RequestLine,
    /// The method is longer than any that is in use (RFC 9112, section 3).
    #[error("the method is too long")]
    MethodTooLong,
    /// Not `HTTP/` digit `.` digit.
    #[error("the HTTP version is malformed")]
    VersionMalformed,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    VersionUnsupported,
    /// The lines of the head are malformed, or there is too much of them.
    #[error(transparent)]
    Syntax(#[from] SyntaxFault),
    /// How the body ends is ambiguous.
    #[error(transparent)]
    Framing(#[from] FramingFault),
    /// The target is not one that can be routed without guessing.
    #[error("the request target is refused for {0}")]
    Target(#[from] TargetFault),
    /// An HTTP/1.1 request without `Host` (RFC 9112, section 3.2).
    #[error("the Host field is missing")]
    HostMissing,
    /// `Host` came more than once.
    #[error("the Host field is repeated")]
    HostRepeated,
    /// `Host` is not a name or an address with an optional port.
    #[error("the Host field is malformed")]
    HostMalformed,
    /// The target names one authority and `Host` another.
    #[error("the Host field differs from the authority of the target")]
    HostMismatch,
    /// `Connection` names a field that must not be removed on the way (RFC 9110, section 7.6.1).
    #[error("the Connection field names an end-to-end field")]
    ConnectionNamesEndToEnd,
    /// An expectation other than `100-continue` (RFC 9110, section 10.1.1).
    #[error("the Expect field asks for something unknown")]
    ExpectationUnknown,
    /// A CONNECT request has no content (RFC 9110, section 9.3.6), yet this one is framed as if it had.
    #[error("a CONNECT request with a body")]
    ConnectWithBody,
    /// A TRACE request must not have content (RFC 9110, section 9.3.8).
    #[error("a TRACE request with a body")]
    TraceWithBody,
    /// A field that manages connections of HTTP/1.1 came over a transport that has no use for it (RFC 9113,
    /// section 8.2.2).
    #[error("a field of HTTP/1.1 connections stands in a request of HTTP/2")]
    ConnectionField,
    /// An extended CONNECT (RFC 8441) to something other than a WebSocket.
    #[error("CONNECT asks for a protocol other than websocket")]
    ConnectProtocol,
}

impl RequestFault {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Http2Preface | Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::MethodTooLong
            | Self::ConnectProtocol
            | Self::Framing(FramingFault::TransferEncodingUnknown) => StatusCode::NOT_IMPLEMENTED,
            Self::Syntax(SyntaxFault::LineTooLong) => StatusCode::URI_TOO_LONG,
            Self::Syntax(SyntaxFault::HeadTooLarge | SyntaxFault::TooManyFields) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The stable code, e.g. `request_smuggling`, `header_too_large`, `host_missing`.
    pub fn code(self) -> &'static str {
        match self {
            Self::TlsOnClearPort => "tls_on_clear_port",
            Self::NotHttp => "not_http",
            Self::Http2Preface => "http2_preface",
            Self::RequestLine => "request_line_malformed",
            Self::MethodTooLong => "method_too_long",
            Self::VersionMalformed => "version_malformed",
            Self::VersionUnsupported => "version_unsupported",
            Self::Syntax(SyntaxFault::LineTooLong) => "uri_too_long",
            Self::Syntax(fault) => fault.code(),
            Self::Framing(FramingFault::LengthAndTransferEncoding) => "request_smuggling",
            Self::Framing(fault) => fault.code(),
            Self::Target(fault) => fault.code(),
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostMalformed => "host_malformed",
            Self::HostMismatch => "host_mismatch",
            Self::ConnectionNamesEndToEnd => "connection_names_end_to_end",
            Self::ExpectationUnknown => "expectation_unknown",
            Self::ConnectWithBody => "connect_with_body",
            Self::TraceWithBody => "trace_with_body",
            Self::ConnectionField => "connection_field",
            Self::ConnectProtocol => "connect_protocol_unknown",
        }
    }
}

/// Why the lines of a head were refused, in a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// A CR that no LF follows (RFC 9112, section 2.2).
    #[error("a carriage return stands alone in the head")]
    BareCarriageReturn,
    /// A LF that no CR precedes (RFC 9112, section 2.2).
    #[error("a line feed stands alone in the head")]
    BareLineFeed,
    /// A NUL byte.
    #[error("a NUL byte stands in the head")]
    Nul,
    /// The first line is longer than [`crate::Limits::line`].
    #[error("the first line is too long")]
    LineTooLong,
    /// The head is larger than [`crate::Limits::head`].
    #[error("the head is too large")]
    HeadTooLarge,
    /// There are more fields than [`crate::Limits::headers`].
    #[error("the head has too many fields")]
    TooManyFields,
    /// A line that begins with white space (RFC 9112, sections 2.2 and 5.2).
    #[error("a field line begins with white space")]
    Folding,
    /// White space between a field's name and its colon (RFC 9112, section 5.1).
    #[error("white space stands before the colon of a field")]
    SpaceBeforeColon,
    /// A field line without a colon.
    #[error("a field line has no colon")]
    ColonMissing,
    /// A field's name is empty or not a token.
    #[error("a field's name is malformed")]
    FieldName,
    /// A field's value holds a control character.
    #[error("a field's value holds a control character")]
    FieldValue,
    /// `Connection` is not a list of tokens.
    #[error("the Connection field is malformed")]
    Connection,
}

impl SyntaxFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::BareCarriageReturn => "bare_cr",
            Self::BareLineFeed => "bare_lf",
            Self::Nul => "nul_byte",
            Self::LineTooLong => "line_too_long",
            Self::HeadTooLarge | Self::TooManyFields => "header_too_large",
            Self::Folding => "header_folded",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::ColonMissing => "colon_missing",
            Self::FieldName => "header_name_malformed",
            Self::FieldValue => "header_value_malformed",
            Self::Connection => "connection_malformed",
        }
    }
}

/// Why the end of a body cannot be told for sure (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingFault {
    /// `Content-Length` and `Transfer-Encoding` together.
    #[error("Content-Length and Transfer-Encoding stand in one message")]
    LengthAndTransferEncoding,
    /// More than one `Content-Length`, even of the same value.
    #[error("the Content-Length field is repeated")]
    ContentLengthRepeated,
    /// `Content-Length` is not a plain number that fits 64 bits.
    #[error("the Content-Length field is not a number")]
    ContentLengthMalformed,
    /// The last transfer coding is not `chunked`, or `chunked` is not alone, or the list is malformed.
    #[error("the Transfer-Encoding field does not end in one chunked")]
    TransferEncodingMalformed,
    /// `chunked` is there, but after codings that this engine does not know.
    #[error("the Transfer-Encoding field names an unknown coding")]
    TransferEncodingUnknown,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112, section 6.1).
    #[error("Transfer-Encoding stands in an HTTP/1.0 message")]
    TransferEncodingInHttp10,
    /// A name that some services read as `Content-Length` or `Transfer-Encoding`, such as
    /// `Transfer_Encoding`.
    #[error("a field's name resembles Content-Length or Transfer-Encoding")]
    Lookalike,
}

impl FramingFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::LengthAndTransferEncoding => "length_and_transfer_encoding",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ContentLengthMalformed => "content_length_malformed",
            Self::TransferEncodingMalformed => "transfer_encoding_malformed",
            Self::TransferEncodingUnknown => "transfer_encoding_unknown",
            Self::TransferEncodingInHttp10 => "transfer_encoding_in_http10",
            Self::Lookalike => "framing_lookalike",
        }
    }
}

/// Why a target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// `%` without two hexadecimal digits.
    #[error("a percent sign without two hexadecimal digits")]
    PercentEncoding,
    /// A control character, a space, or a backslash in the path.
    #[error("a character that may not stand in a target")]
    Character,
    /// `%00` in the path.
    #[error("an encoded NUL")]
    Nul,
    /// `#`: fragments are never sent.
    #[error("a fragment")]
    Fragment,
    /// Bytes over 0x7f that are not UTF-8.
    #[error("bytes that are not UTF-8")]
    NotUtf8,
    /// `..` leads above the root.
    #[error("a path that leads above the root")]
    AboveRoot,
    /// A dot segment that one program resolves and another keeps: `..;x`, `..%2F`.
    #[error("a dot segment in disguise")]
    DotSegment,
    /// The form does not fit the method: `*` without OPTIONS, an authority without CONNECT (RFC 9112, section
    /// 3.2).
    #[error("a form that does not fit the method")]
    Form,
    /// An absolute form with a scheme other than http and https.
    #[error("an unknown scheme")]
    Scheme,
    /// The authority in the target is malformed.
    #[error("a malformed authority")]
    Authority,
}

impl TargetFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::PercentEncoding => "target_percent_encoding",
            Self::Character => "target_character",
            Self::Nul => "target_nul",
            Self::Fragment => "target_fragment",
            Self::NotUtf8 => "target_not_utf8",
            Self::AboveRoot => "target_above_root",
            Self::DotSegment => "target_dot_segment",
            Self::Form => "target_form",
            Self::Scheme => "target_scheme",
            Self::Authority => "target_authority",
        }
    }
}

/// Why an answer of a service was refused. The connection must not be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// Not a status line.
    #[error("the status line is malformed")]
    StatusLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    VersionUnsupported,
    /// The lines of the head are malformed, or there is too much of them.
    #[error(transparent)]
    Syntax(#[from] SyntaxFault),
    /// How the body ends is ambiguous.
    #[error(transparent)]
    Framing(#[from] FramingFault),
    /// An interim answer (1xx) that announces a body (RFC 9110, section 8.6; RFC 9112, section 6.1).
    #[error("an interim answer announces a body")]
    InterimWithBody,
    /// A 101 that does not say to what it switches (RFC 9110, section 7.8).
    #[error("the answer switches protocols without naming one")]
    UpgradeMissing,
    /// A field that manages connections of HTTP/1.1 came over a transport that has no use for it (RFC 9113,
    /// section 8.2.2).
    #[error("a field of HTTP/1.1 connections stands in an answer of HTTP/2")]
    ConnectionField,
}

impl ResponseFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::StatusLine => "status_line_malformed",
            Self::VersionUnsupported => "version_unsupported",
            Self::Syntax(fault) => fault.code(),
            Self::Framing(FramingFault::LengthAndTransferEncoding) => "response_smuggling",
            Self::Framing(fault) => fault.code(),
            Self::InterimWithBody => "interim_with_body",
            Self::UpgradeMissing => "upgrade_missing",
            Self::ConnectionField => "connection_field",
        }
    }
}

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The size of a chunk is not hexadecimal, or too large.
    #[error("a chunk's size is malformed")]
    ChunkSize,
    /// What follows a chunk's size is not an extension (RFC 9112, section 7.1.1).
    #[error("a chunk's extension is malformed")]
    ChunkExtension,
    /// The extensions of one body are more than [`crate::LARGEST_EXTENSIONS`] bytes.
    #[error("the chunk extensions are too large")]
    ChunkExtensionsTooLarge,
    /// A chunk's size or data does not end in CRLF.
    #[error("a chunk does not end in CRLF")]
    ChunkEnd,
    /// A trailer is not a field line.
    #[error("a trailer is malformed")]
    Trailer,
    /// The trailers are more than [`crate::LARGEST_TRAILERS`] bytes or [`crate::MOST_TRAILERS`] fields.
    #[error("the trailers are too large")]
    TrailersTooLarge,
    /// The connection ended before the body did.
    #[error("the body ended early")]
    Incomplete,
}

impl BodyFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::ChunkSize => "chunk_size_malformed",
            Self::ChunkExtension => "chunk_extension_malformed",
            Self::ChunkExtensionsTooLarge => "chunk_extensions_too_large",
            Self::ChunkEnd => "chunk_end_malformed",
            Self::Trailer => "trailer_malformed",
            Self::TrailersTooLarge => "trailers_too_large",
            Self::Incomplete => "body_incomplete",
        }
    }
}
