//! Whether a request can be sent a second time, and what of it is held for that.

use std::time::Instant;

use http::Method;
use http1::{Framing, RequestHead};

use super::Connection;
use super::call::Heard;
use crate::accept::Client;
use crate::accept::client::Interrupted;
use crate::exchange::{Exchange, Failed};
use crate::refusal::Refusal;
use crate::worker::Worker;

/// Bodies up to this length that have already been read are held until the answer begins, so that the request
/// can be repeated on another connection.
const HELD_BODY: u64 = 16 * 1024;

/// Reads a short body whole.
pub(super) async fn read_body(
    worker: &Worker,
    client: &mut Client,
    exchange: &Exchange,
    due: Instant,
) -> Result<(), Failed> {
    match client.read_short_body(worker, &exchange.request, HELD_BODY, due).await {
        Ok(()) => Ok(()),
        Err(Interrupted::TimedOut) => Err(Refusal::body_timeout().into()),
        Err(Interrupted::Gone) => Err(Failed::Gone),
    }
}

/// The length of the request's body when all of it has been read, and it is short enough to hold or is held already because a
/// policy had to see it.
pub(super) fn held_body(client: &Client, exchange: &Exchange) -> usize {
    let request = &exchange.request;
    if request.framing == Framing::None || !client.has_whole_body(request) {
        return 0;
    }
    let length = match request.framing {
        Framing::Length(length) => length,
        _ => client.input.filled().len() as u64,
    };
    // One that is longer than the route allows is left to the pump, which refuses it.
    let most = if exchange.is_body_read { u64::MAX } else { HELD_BODY.min(exchange.max_body) };
    if length <= most { length as usize } else { 0 }
}

/// Whether the request can be sent again: the service did nothing with it, or the connection had gone stale and twice does
/// no harm.
pub(super) fn may_repeat(heard: Heard, connection: &Connection, request: &RequestHead, held: usize) -> bool {
    match heard {
        Heard::NotProcessed => true,
        Heard::Nothing => connection.reused && is_repeatable(request, held),
        Heard::Something => false,
    }
}

/// Whether sending the request twice does no harm (RFC 9110, section 9.2.2) and its body is still there.
fn is_repeatable(request: &RequestHead, held: usize) -> bool {
    let is_idempotent = matches!(
        request.method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    );
    is_idempotent && (request.framing == Framing::None || held > 0)
}

/// Whether the request has a body that a service may not look for (RFC 9110, sections 9.3.1, 9.3.2 and 9.3.5) and take
/// for the next request on the connection.
pub(super) fn has_unexpected_body(request: &RequestHead) -> bool {
    request.framing != Framing::None && matches!(request.method, Method::GET | Method::HEAD | Method::DELETE)
}
