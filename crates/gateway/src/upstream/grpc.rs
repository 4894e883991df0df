//! What gRPC adds to a call: the caller's deadline, which is told to the service as far as it is left, and the translation of gRPC-Web
//! for services that speak gRPC only.

use std::time::{Duration, Instant};

use http::StatusCode;
use http1::{RequestHead, ResponseHead};

use super::{NO_BOUND, Service};
use crate::accept::Client;
use crate::accept::h2::head;
use crate::clock;
use crate::config::ServiceProtocol;
use crate::exchange::Exchange;
use crate::refusal::{Refusal, Stage};
use crate::translate::grpc::{Dialect, Status, status_name, write_status};
use crate::translate::grpc_timeout::{self, TimeoutText};
use crate::translate::grpc_web::{Transform, Web};

/// What is special about a call; nothing where it is not gRPC's.
#[derive(Debug, Default)]
pub(super) struct Rpc {
    /// Whether the service is told how much time is left.
    has_deadline: bool,
    /// How much the client gave it.
    asked: Option<Duration>,
    web: Option<Web>,
}

impl Rpc {
    /// Reads how long the client waits, which may lower `total`, and makes a request of gRPC-Web one of gRPC where the
    /// service speaks nothing else.
    pub(super) fn begin(
        exchange: &mut Exchange,
        service: &Service,
        total: &mut Duration,
    ) -> Result<Self, Refusal> {
        let Some(dialect) = exchange.dialect else { return Ok(Self::default()) };
        let request = &mut exchange.request;
        let asked = match request.fields.get_named(grpc_timeout::NAME) {
            Some(value) => Some(grpc_timeout::parse(value).ok_or_else(timeout_malformed)?),
            None => None,
        };
        *total = (*total).min(asked.unwrap_or(NO_BOUND));
        let is_for_grpc = service.spec.protocol == Some(ServiceProtocol::Grpc);
        let web = (dialect != Dialect::Grpc && is_for_grpc).then(|| Web::translate(request, dialect));
        Ok(Self { has_deadline: *total < NO_BOUND, asked, web })
    }

    /// Says in the request how much time is left until `due`.
    pub(super) fn tell_deadline(&self, request: &mut RequestHead, due: Instant) {
        if !self.has_deadline {
            return;
        }
        let left = due.saturating_duration_since(clock::now());
        if self.asked != Some(left) {
            request.fields.set_named(grpc_timeout::NAME, TimeoutText::new(left).as_bytes());
        }
    }

    /// Whether the request's body becomes another on its way.
    pub(super) fn is_body_translated(&self) -> bool {
        self.request_transform().is_some()
    }

    /// What it becomes.
    pub(super) fn request_transform(&self) -> Option<Transform> {
        self.web.and_then(Web::request_transform)
    }

    /// Makes the head of the answer one that the client knows; says what becomes of its body.
    pub(super) fn translate_answer(&self, response: &mut ResponseHead) -> Option<Transform> {
        self.web.and_then(|web| web.translate_answer(response))
    }
}

/// Ends an answer that has begun and will not come to its end, in gRPC's own words: a status instead of a reset. Whether that was
/// possible.
pub(super) fn end_early(client: &Client, exchange: &mut Exchange, code: &'static str) -> bool {
    if exchange.dialect != Some(Dialect::Grpc) {
        return false;
    }
    let (status, message) = match code {
        "total_timeout" | "upstream_idle_timeout" => {
            (Status::DeadlineExceeded, "the answer did not end in time")
        }
        "call_drained" => (Status::Unavailable, "the gateway stops"),
        "body_too_large" => (Status::ResourceExhausted, "the messages are longer than allowed here"),
        "upstream_truncated" => (Status::Unavailable, "the service broke its answer off"),
        _ => return false,
    };
    let Some(mut message_stream) = client.stream.as_message() else { return false };
    let mut trailers = http1::Fields::new();
    write_status(status, message, code, &mut trailers);
    exchange.outcome.grpc_status = status_name(&trailers);
    message_stream.end(head::write_trailers(&trailers)).is_ok()
}

/// Notes the status of a call whose answer has ended: it stands behind the answer, or in its head when nothing else came.
pub(super) fn note_status(exchange: &mut Exchange, trailers: &http1::Fields) {
    if exchange.dialect.is_some() {
        let status = status_name(trailers).or_else(|| status_name(&exchange.response.fields));
        exchange.outcome.grpc_status = status;
    }
}

fn timeout_malformed() -> Refusal {
    let detail = "grpc-timeout is one to eight digits and one of H, M, S, m, u and n, such as 10S";
    Refusal::new(StatusCode::BAD_REQUEST, "grpc_timeout_malformed", Stage::Call, detail)
}
