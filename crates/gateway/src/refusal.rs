//! Answers that the gateway makes itself: `application/problem+json` (RFC 9457) with a stable code.
//!
//! A refusal says what happened, at which stage, and what to do about it; the same code stands in the access log and
//! in the metrics.

use std::borrow::Cow;
use std::sync::Arc;

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
    /// What the caller is told.
    pub detail: Detail,
    /// Fields of the answer beside those that every refusal has, e.g. `Allow`.
    pub fields: Vec<(Known, Cow<'static, str>)>,
    /// In how many seconds the caller may come again, where that is known.
    pub retry_after: Option<u64>,
    /// Which service failed, where one did.
    pub upstream: Option<Box<UpstreamCause>>,
    /// All that is wrong with the request, as a JSON array; empty where there is no more to say.
    pub errors: Vec<u8>,
}

/// A sentence for the caller: what happened and what to do about it.
#[derive(Debug, Clone)]
pub enum Detail {
    /// As it was put together for this request, or is always the same.
    Text(Cow<'static, str>),
    /// As the configuration has it, in a document that was begun before.
    Prepared(Arc<Prepared>),
}

/// What a policy refuses with again and again, as far as it is always the same: it is written once, when the configuration is
/// loaded.
#[derive(Debug)]
pub struct Prepared {
    status: StatusCode,
    code: &'static str,
    stage: Stage,
    detail: Box<str>,
    /// The problem document up to what differs.
    beginning: Box<[u8]>,
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
            detail: Detail::Text(detail.into()),
            fields: Vec::new(),
            retry_after: None,
            upstream: None,
            errors: Vec::new(),
        }
    }

    /// One with all that was prepared.
    pub fn prepared(prepared: &Arc<Prepared>) -> Self {
        let Prepared { status, code, stage, .. } = **prepared;
        Self { detail: Detail::Prepared(Arc::clone(prepared)), ..Self::new(status, code, stage, "") }
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
        match &self.detail {
            Detail::Text(detail) => write_beginning(self.status, self.code, self.stage, detail, out),
            Detail::Prepared(prepared) => out.extend_from_slice(&prepared.beginning),
        }
        // An id that was made or checked by this program: nothing to escape.
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

impl Detail {
    /// The sentence.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Prepared(prepared) => prepared.as_str(),
        }
    }
}

impl Prepared {
    /// Writes what is always the same.
    pub fn new(status: StatusCode, code: &'static str, stage: Stage, detail: &str) -> Arc<Self> {
        let mut beginning = Vec::new();
        write_beginning(status, code, stage, detail, &mut beginning);
        Arc::new(Self { status, code, stage, detail: detail.into(), beginning: beginning.into() })
    }

    /// The sentence for the caller.
    pub fn as_str(&self) -> &str {
        &self.detail
    }
}

/// Appends a problem document's members that do not depend on the request. Words of this program: nothing to escape but the
/// sentence.
fn write_beginning(status: StatusCode, code: &str, stage: Stage, detail: &str, out: &mut Vec<u8>) {
    let title = status.canonical_reason().unwrap_or("Refused");
    for part in [
        "{\"type\":\"urn:tollgate:problem:",
        code,
        "\",\"title\":\"",
        title,
        "\",\"status\":",
        status.as_str(),
        ",\"code\":\"",
        code,
        "\",\"stage\":\"",
        stage.as_str(),
        "\",\"detail\":",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    write_text(detail, out);
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

    #[test]
    fn what_was_prepared_reads_as_if_it_had_not_been() {
        let (status, code, detail) = (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "more than \"ten\"");
        let prepared = Prepared::new(status, code, Stage::Limit, detail);
        let bodies =
            [Refusal::prepared(&prepared), Refusal::new(status, code, Stage::Limit, detail)].map(|refusal| {
                assert_eq!(refusal.detail.as_str(), detail);
                let mut body = Vec::new();
                refusal.write_body("0190-id", &mut body);
                body
            });
        assert_eq!(bodies[0], bodies[1]);
        let document: serde_json::Value = serde_json::from_slice(&bodies[0]).unwrap();
        assert_eq!((&document["status"], &document["detail"]), (&429.into(), &detail.into()));
    }
}
