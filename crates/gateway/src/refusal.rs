//! Answers that the gateway makes itself: `application/problem+json` (RFC 9457) with a stable code.
//!
//! A refusal says what happened, at which stage, and what to do about it; the same code stands in the access log and
//! in the metrics.

use std::borrow::Cow;

use http::StatusCode;
use http1::{BodyFault, Known};

use crate::json_text::is_plain;
use crate::record::decimal::write_before;

/// A stage of a request's life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Sockets and connection limits.
    Accept,
    /// Syntax, sizes and slow clients.
    Parse,
    /// Which route.
    Route,
    /// Cheap checks on the head.
    Admit,
    /// Who calls.
    Identify,
    /// Whether they may.
    Authorize,
    /// How much of it.
    Limit,
    /// The body.
    Validate,
    /// Stored answers.
    Cache,
    /// Changes to the request and the answer.
    Shape,
    /// The service.
    Call,
    /// Logs, metrics and traces.
    Record,
}

impl Stage {
    /// The word for it, everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Parse => "parse",
            Self::Route => "route",
            Self::Admit => "admit",
            Self::Identify => "identify",
            Self::Authorize => "authorize",
            Self::Limit => "limit",
            Self::Validate => "validate",
            Self::Cache => "cache",
            Self::Shape => "shape",
            Self::Call => "call",
            Self::Record => "record",
        }
    }
}

/// An answer made by the gateway instead of a service.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    /// The stable code, e.g. `no_route`.
    pub code: &'static str,
    /// The stage that refused.
    pub stage: Stage,
    /// A sentence for the caller: what happened and what to do about it.
    pub detail: Cow<'static, str>,
    /// Fields of the answer beside those that every refusal has, e.g. `Allow`.
    pub fields: Vec<(Known, Cow<'static, str>)>,
    /// In how many seconds the caller may come again, where that is known.
    pub retry_after: Option<u64>,
    /// Which service failed, where one did.
    pub upstream: Option<Box<UpstreamCause>>,
    /// All that is wrong with the request, as a JSON array; empty where there is no more to say.
    pub errors: Vec<u8>,
}

/// What is told of a service that could not answer.
#[derive(Debug, Clone)]
pub struct UpstreamCause {
    /// The service's name.
    pub service: String,
    /// The endpoint's URL; empty when none was tried.
    pub endpoint: String,
    /// What went wrong.
    pub cause: String,
}

impl Refusal {
    /// A refusal without extra fields.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        stage: Stage,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            stage,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            upstream: None,
            errors: Vec::new(),
        }
    }

    /// Adds a field to the answer.
    #[must_use]
    pub fn with_field(mut self, name: Known, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Says in how many seconds the caller may come again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// What looks like an attack. It does not say what gave it away: whoever looks for a way around would be helped.
    pub fn attack(stage: Stage) -> Self {
        let detail = "the request looks like an attack; if it is none, tell the operator its id";
        Self::new(StatusCode::FORBIDDEN, "waf_blocked", stage, detail)
    }

    /// The client stopped in the middle of its body (RFC 9110, section 15.5.9).
    pub fn body_timeout() -> Self {
        let detail = "the rest of the request's body did not come in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", Stage::Parse, detail)
    }

    /// The framing of the request's body is wrong.
    pub fn malformed_body(fault: BodyFault) -> Self {
        let detail = format!("the request's body is refused: {fault}");
        Self::new(StatusCode::BAD_REQUEST, fault.code(), Stage::Parse, detail)
    }

    /// Appends the fields of the answer.
    pub fn write_fields(&self, fields: &mut http1::Fields) {
        fields.append(Known::ContentType, b"application/problem+json");
        self.write_own_fields(fields);
    }

    /// Appends those that not every refusal has.
    pub fn write_own_fields(&self, fields: &mut http1::Fields) {
        if let Some(seconds) = self.retry_after {
            let mut text = [0; 20];
            let start = write_before(text.len(), seconds, &mut text);
            fields.append(Known::RetryAfter, &text[start..]);
        }
        for (name, value) in &self.fields {
            fields.append(*name, value.as_bytes());
        }
    }

    /// Appends the problem document.
    pub fn write_body(&self, request_id: &str, out: &mut Vec<u8>) {
        // Words of this program, and an id that was made or checked by it: nothing to escape but the sentence.
        out.extend_from_slice(b"{\"type\":\"urn:tollgate:problem:");
        out.extend_from_slice(self.code.as_bytes());
        out.extend_from_slice(b"\",\"title\":\"");
        out.extend_from_slice(self.status.canonical_reason().unwrap_or("Refused").as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(self.code.as_bytes());
        out.extend_from_slice(b"\",\"stage\":\"");
        out.extend_from_slice(self.stage.as_str().as_bytes());
        out.extend_from_slice(b"\",\"detail\":");
        write_text(&self.detail, out);
        out.extend_from_slice(b",\"request_id\":\"");
        out.extend_from_slice(request_id.as_bytes());
        out.push(b'"');
        if let Some(upstream) = &self.upstream {
            write_member("service", &upstream.service, out);
            if !upstream.endpoint.is_empty() {
                write_member("endpoint", &upstream.endpoint, out);
            }
            write_member("cause", &upstream.cause, out);
        }
        if !self.errors.is_empty() {
            out.extend_from_slice(b",\"errors\":");
            out.extend_from_slice(&self.errors);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_text(value, out);
}

/// Appends a JSON string (RFC 8259, section 7).
fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_refusal_is_a_problem_document_whatever_its_texts_hold() {
        let mut refusal =
            Refusal::new(StatusCode::BAD_GATEWAY, "upstream_reset", Stage::Call, "a \"quote\"\n\\");
        refusal.upstream = Some(Box::new(UpstreamCause {
            service: "users".into(),
            endpoint: "http://127.0.0.1:9001".into(),
            cause: "connection reset\u{1}".into(),
        }));
        let mut body = Vec::new();
        refusal.write_body("0190-id", &mut body);
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["status"], 502);
        assert_eq!(document["code"], "upstream_reset");
        assert_eq!(document["stage"], "call");
        assert_eq!(document["detail"], "a \"quote\"\n\\");
        assert_eq!(document["request_id"], "0190-id");
        assert_eq!(document["endpoint"], "http://127.0.0.1:9001");
        assert_eq!(document["cause"], "connection reset\u{1}");
    }
}
