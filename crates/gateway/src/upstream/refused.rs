//! What a client is told when a service gives no answer.

use std::time::Duration;

use http::StatusCode;

use super::{Endpoint, Service};
use crate::exchange::Exchange;
use crate::refusal::{Refusal, Stage, UpstreamCause};

/// A breaker keeps calls from it, for so long yet.
pub(super) fn breaker_open(service: &Service, wait: Duration) -> Refusal {
    let name = &service.spec.name;
    let detail = format!("service {name} keeps failing and is not called at the moment");
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "breaker_open", Stage::Call, detail)
        .with_retry_after(seconds);
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: name.to_string(),
        endpoint: String::new(),
        cause: "its breaker is open".to_owned(),
    }));
    refusal
}

/// It has as much to do as it can. The client is told when to come back, though not for how long it will last: nobody knows.
pub(super) fn overloaded(service: &Service) -> Refusal {
    let name = &service.spec.name;
    let detail = format!("service {name} has as much to do as it can, and takes no more at the moment");
    let mut refusal =
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "service_overloaded", Stage::Call, detail)
            .with_retry_after(1);
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: name.to_string(),
        endpoint: String::new(),
        cause: "its adaptive limit is reached".to_owned(),
    }));
    refusal
}

/// None of its endpoints takes the request.
pub(super) fn unavailable(service: &Service, exchange: &Exchange) -> Refusal {
    let cause = if exchange.outcome.attempts == 0 {
        "it has no endpoint that takes requests"
    } else {
        "no further endpoint takes requests"
    };
    let mut refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "upstream_unavailable",
        Stage::Call,
        format!("service {} cannot take the request now", service.spec.name),
    );
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: service.spec.name.to_string(),
        endpoint: String::new(),
        cause: cause.to_owned(),
    }));
    refusal
}

/// The last endpoint that was tried failed.
pub(super) fn refusal(
    service: &Service,
    endpoint: &Endpoint,
    status: StatusCode,
    code: &'static str,
    cause: String,
) -> Refusal {
    let what = match code {
        "upstream_busy" => "takes no more requests at the moment",
        "upstream_connect_failed"
        | "upstream_connect_timeout"
        | "upstream_tls_failed"
        | "upstream_tls_timeout" => "cannot be reached",
        "upstream_no_tunnel" => "opens no tunnel",
        "upstream_timeout" => "did not answer in time",
        "upstream_malformed" => "gave an answer that is not safe to pass on",
        _ => "broke the connection before it answered",
    };
    let detail = format!("service {} {what}", service.spec.name);
    let mut refusal = Refusal::new(status, code, Stage::Call, detail);
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: service.spec.name.to_string(),
        endpoint: endpoint.spec.url.to_string(),
        cause,
    }));
    refusal
}
