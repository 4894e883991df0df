//! gRPC: which requests are calls, what status a refusal has there, and how the gateway says it: an answer that is all
//! trailers (gRPC over HTTP/2, "Responses": `Trailers-Only`). Deadlines stand in [`super::grpc_timeout`].

use http::{Method, StatusCode};
use http1::{Fields, Known, RequestHead};

use crate::refusal::Refusal;

/// The field with a call's status.
pub const STATUS: &[u8] = b"grpc-status";
/// The field that says it in words.
pub const MESSAGE: &[u8] = b"grpc-message";
/// The field with the gateway's own code of a refusal.
pub const CODE: &[u8] = b"tollgate-code";

/// What dialect of gRPC a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web with binary bodies.
    Web,
    /// gRPC-Web with bodies in base64.
    WebText,
}

/// The status of a call (gRPC status codes), as far as the gateway says one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // each is the name it says
pub enum Status {
    Cancelled = 1,
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Dialect {
    /// The dialect of a request; nothing when it is no call of gRPC.
    pub fn of(request: &RequestHead) -> Option<Self> {
        if request.method != Method::POST {
            return None;
        }
        Self::of_content_type(request.fields.get(Known::ContentType)?)
    }

    /// The dialect of `application/grpc`, `application/grpc-web` or `application/grpc-web-text`, each with `+format` or
    /// parameters behind it or not.
    pub fn of_content_type(value: &[u8]) -> Option<Self> {
        const GRPC: &[u8] = b"application/grpc";
        if value.len() < GRPC.len() || !value[..GRPC.len()].eq_ignore_ascii_case(GRPC) {
            return None;
        }
        let rest = &value[GRPC.len()..];
        let end =
            rest.iter().position(|byte| matches!(byte, b'+' | b';' | b' ' | b'\t')).unwrap_or(rest.len());
        let dialects: [(&[u8], Self); 3] =
            [(b"", Self::Grpc), (b"-web", Self::Web), (b"-web-text", Self::WebText)];
        dialects
            .into_iter()
            .find(|(name, _)| rest[..end].eq_ignore_ascii_case(name))
            .map(|(_, dialect)| dialect)
    }

    /// Its media type without a format.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

impl Status {
    /// The status that tells of a refusal. The official table for answers that are not gRPC's (HTTP to gRPC status code
    /// mapping) is kept but where it can only guess and the gateway knows: too much of anything is `RESOURCE_EXHAUSTED`,
    /// and a call whose time was over is `DEADLINE_EXCEEDED` unless no connection came about.
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.status.as_u16() {
            401 | 407 => Self::Unauthenticated,
            403 | 451 => Self::PermissionDenied,
            404 | 405 | 410 | 501 | 505 => Self::Unimplemented,
            413 | 414 | 429 | 431 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            504 if refusal.code == "upstream_connect_timeout" => Self::Unavailable,
            408 | 504 => Self::DeadlineExceeded,
            502 | 503 => Self::Unavailable,
            400 | 415 | 417 | 426 => Self::Internal,
            _ => Self::Unknown,
        }
    }

    /// Its number as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "1",
            Self::Unknown => "2",
            Self::DeadlineExceeded => "4",
            Self::PermissionDenied => "7",
            Self::ResourceExhausted => "8",
            Self::Unimplemented => "12",
            Self::Internal => "13",
            Self::Unavailable => "14",
            Self::Unauthenticated => "16",
        }
    }
}

/// The name of a call's status among an answer's fields or trailers; `UNKNOWN` for one that is none.
pub fn status_name(fields: &Fields) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let number = std::str::from_utf8(fields.get_named(STATUS)?).ok().and_then(|text| text.parse().ok());
    Some(
        number
            .and_then(|number: usize| NAMES.get(number).copied())
            .unwrap_or(NAMES[Status::Unknown as usize]),
    )
}

/// Appends the fields of an answer that is a refusal and has no body. Its HTTP status is [`StatusCode::OK`], whatever the
/// refusal's.
pub fn write_refusal(refusal: &Refusal, dialect: Dialect, fields: &mut Fields) -> StatusCode {
    fields.append(Known::ContentType, dialect.media_type().as_bytes());
    refusal.write_own_fields(fields);
    write_status(Status::of(refusal), refusal.detail.as_str(), refusal.code, fields);
    StatusCode::OK
}

/// Appends a status, in words too, and the gateway's code of what happened: the trailers of a call that did not end well.
pub fn write_status(status: Status, message: &str, code: &str, fields: &mut Fields) {
    fields.append_named(STATUS, status.as_str().as_bytes());
    let mut encoded = Vec::with_capacity(message.len());
    percent_encode(message, &mut encoded);
    fields.append_named(MESSAGE, &encoded);
    fields.append_named(CODE, code.as_bytes());
}

/// Appends a message as `grpc-message` holds it: spaces and visible ASCII but `%` as they are, all other bytes of its UTF-8
/// as `%` and two digits.
pub fn percent_encode(message: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in message.bytes() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::refusal::Stage;

    #[test]
    fn a_call_is_told_by_its_method_and_content_type() {
        const CASES: [(&str, Option<Dialect>); 18] = [
            ("application/grpc", Some(Dialect::Grpc)),
            ("application/grpc+proto", Some(Dialect::Grpc)),
            ("application/grpc+json; charset=utf-8", Some(Dialect::Grpc)),
            ("Application/gRPC;x=y", Some(Dialect::Grpc)),
            ("application/grpc-web", Some(Dialect::Web)),
            ("application/grpc-web+proto", Some(Dialect::Web)),
            ("application/grpc-web+thrift", Some(Dialect::Web)),
            ("application/grpc-web-text", Some(Dialect::WebText)),
            ("application/grpc-web-text+proto", Some(Dialect::WebText)),
            ("application/GRPC-Web-Text ; q=1", Some(Dialect::WebText)),
            ("application/grpcweb", None),
            ("application/grpc-websocket", None),
            ("application/grpc-web-texts", None),
            ("application/grp", None),
            ("application/json", None),
            ("text/application/grpc", None),
            ("application/connect+proto", None),
            ("", None),
        ];
        for (value, expected) in CASES {
            assert_eq!(Dialect::of_content_type(value.as_bytes()), expected, "{value:?}");
        }
        let mut request = RequestHead { method: Method::POST, ..RequestHead::default() };
        assert_eq!(Dialect::of(&request), None);
        request.fields.append(Known::ContentType, b"application/grpc");
        assert_eq!(Dialect::of(&request), Some(Dialect::Grpc));
        request.method = Method::GET;
        assert_eq!(Dialect::of(&request), None);
    }

    fn refusal(status: u16, code: &'static str) -> Refusal {
        Refusal::new(StatusCode::from_u16(status).unwrap(), code, Stage::Call, "no")
    }

    #[test]
    fn every_refusal_has_a_status_of_grpc() {
        const CASES: [(u16, &str, u8); 30] = [
            (400, "request_smuggling", 13),
            (401, "key_unknown", 16),
            (403, "not_allowed", 7),
            (404, "no_route", 12),
            (405, "method_not_allowed", 12),
            (407, "", 16),
            (408, "body_timeout", 4),
            (410, "version_retired", 12),
            (413, "body_too_large", 8),
            (414, "uri_too_long", 8),
            (415, "content_type_not_allowed", 13),
            (417, "expectation_unknown", 13),
            (418, "", 2),
            (426, "", 13),
            (429, "rate_limited", 8),
            (431, "header_too_large", 8),
            (451, "", 7),
            (499, "client_gone", 1),
            (500, "", 2),
            (501, "method_too_long", 12),
            (502, "upstream_reset", 14),
            (502, "upstream_connect_failed", 14),
            (502, "upstream_malformed", 14),
            (503, "upstream_busy", 14),
            (503, "upstream_unavailable", 14),
            (504, "upstream_timeout", 4),
            (504, "upstream_connect_timeout", 14),
            (505, "version_unsupported", 12),
            (507, "", 2),
            (511, "", 2),
        ];
        for (status, code, expected) in CASES {
            let status = Status::of(&refusal(status, code));
            assert_eq!(status as u8, expected, "{code}: {status:?}");
            assert_eq!(status.as_str(), (status as u8).to_string());
        }
    }

    #[test]
    fn a_status_has_a_name() {
        for (text, name) in
            [("0", "OK"), ("5", "NOT_FOUND"), ("16", "UNAUTHENTICATED"), ("17", "UNKNOWN"), ("x", "UNKNOWN")]
        {
            let mut fields = Fields::new();
            fields.append_named(b"Grpc-Status", text.as_bytes());
            assert_eq!(status_name(&fields), Some(name));
        }
        assert_eq!(status_name(&Fields::new()), None);
    }

    #[test]
    fn a_refusal_is_written_as_trailers_only() {
        let refusal = Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            Stage::Route,
            "100 % größer\r\n",
        )
        .with_field(Known::Allow, "GET");
        let mut fields = Fields::new();
        assert_eq!(write_refusal(&refusal, Dialect::Grpc, &mut fields), StatusCode::OK);
        let written: Vec<_> = fields
            .iter()
            .map(|field| {
                (std::str::from_utf8(field.name).unwrap(), std::str::from_utf8(field.value).unwrap())
            })
            .collect();
        assert_eq!(
            written,
            [
                ("Content-Type", "application/grpc"),
                ("Allow", "GET"),
                ("grpc-status", "12"),
                ("grpc-message", "100 %25 gr%C3%B6%C3%9Fer%0D%0A"),
                ("tollgate-code", "method_not_allowed"),
            ]
        );
        fields.clear();
        write_refusal(&refusal, Dialect::WebText, &mut fields);
        assert_eq!(fields.get(Known::ContentType), Some(&b"application/grpc-web-text"[..]));
    }
}
