//! What a client is told when the gateway itself does not pass a request on.

use http::StatusCode;
use http1::{Known, RequestHead};

use crate::buckets::Empty;
use crate::clock::whole_seconds;
use crate::refusal::{Refusal, Stage};

/// The service answered like any request one that was to open a WebSocket.
pub(super) fn upgrade_declined(service: &str) -> Refusal {
    let detail = format!("service {service} opened no WebSocket, but answered as if none had been asked for");
    Refusal::new(StatusCode::BAD_GATEWAY, "upgrade_declined", Stage::Call, detail)
}

/// The service's answer has more bytes than a policy looks at, and is not passed on unseen.
pub(super) fn response_too_large(most: u64) -> Refusal {
    let detail = format!("the service's answer is longer than the {most} bytes that are looked at here");
    Refusal::new(StatusCode::BAD_GATEWAY, "response_too_large", Stage::Validate, detail)
}

/// What should be encrypted is not.
pub(super) fn clear_on_tls_port() -> Refusal {
    let detail = "this port speaks TLS, and the request came in clear: use https://";
    Refusal::new(StatusCode::BAD_REQUEST, "clear_on_tls_port", Stage::Parse, detail)
}

/// No route matches.
pub(super) fn no_route(request: &RequestHead) -> Refusal {
    let detail = if request.authority.is_empty() {
        format!("no route matches {} {}", request.method, request.path)
    } else {
        format!("no route matches {} {} on host {}", request.method, request.path, request.host())
    };
    Refusal::new(StatusCode::NOT_FOUND, "no_route", Stage::Route, detail)
}

/// Routes match, and none of this method.
pub(super) fn method_not_allowed(request: &RequestHead, allow: &str) -> Refusal {
    let detail = format!("{} is not allowed here; allowed: {allow}", request.method);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", Stage::Route, detail)
        .with_field(Known::Allow, allow.to_owned())
}

/// Its address makes more requests than one may.
pub(super) fn address_limited(empty: Empty) -> Refusal {
    let detail = "more requests come from this address than one may make; Retry-After says when to come back";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "address_limited", Stage::Admit, detail)
        .with_retry_after(whole_seconds(empty.wait).max(1))
}

/// The gateway itself has too much to do.
pub(super) fn overloaded() -> Refusal {
    let detail = "the gateway has more to do than it can; come back in a moment";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "gateway_overloaded", Stage::Admit, detail)
        .with_retry_after(1)
}

/// The API's version is retired.
pub(super) fn version_retired() -> Refusal {
    let detail = "this version of the API is retired; call a current one";
    Refusal::new(StatusCode::GONE, "version_retired", Stage::Route, detail)
}
