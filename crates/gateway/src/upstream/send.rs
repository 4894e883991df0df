//! Sends one request over a connection to a service until the head of the final answer is there.
//!
//! Both directions are polled by the exchange's one task: the request's body may still be on its way when the answer
//! begins.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::Reason;
use http::{Method, StatusCode, Version};
use http1::{Framing, Limits, Outgoing, RequestHead, ResponseHead, encode_request, parse_response};

use super::call::{Bounds, Failure, Heard, Leg};
use super::retry::Cause;
use super::session::Lease;
use super::{Connection, Endpoint};
use crate::accept::h2::head;
use crate::accept::listener::ListenerSpec;
use crate::accept::pace::Pace;
use crate::accept::{Buffer, Client, Ends, Pump, Side, Trouble};
use crate::clock;
use crate::exchange::Exchange;
use crate::refusal::{Refusal, Stage};
use crate::translate::grpc_web::Transform;
use crate::worker::Worker;

/// How long an endpoint may take before a time-out says something of it.
const FAIR_CHANCE: Duration = Duration::from_secs(1);
/// Interim answers (1xx) that one request may get.
pub(super) const MAX_INTERIM: usize = 16;
/// What an answer's head may hold.
pub(super) const ANSWER_LIMITS: Limits = Limits { line: 8 * 1024, head: 64 * 1024, headers: 256 };

/// Moves the request's body, unless it is held and goes with the head.
pub(super) fn start(
    client: &Client,
    exchange: &Exchange,
    connection: &Connection,
    held: usize,
    transform: Option<Transform>,
) -> Pump {
    if held > 0 {
        return Pump::new(Framing::None, Framing::None, u64::MAX);
    }
    let outgoing = match exchange.request.framing {
        Framing::None => Framing::None,
        // A message of HTTP/2 has an end of its own.
        _ if connection.stream.is_message() => Framing::UntilClose,
        _ if transform.is_some() => Framing::Chunked,
        framing => framing,
    };
    let mut body = Pump::new(client.incoming(&exchange.request), outgoing, exchange.max_body);
    if let Some(transform) = transform {
        body.set_transform(transform);
    }
    body.set_tap(exchange.tap.clone());
    body
}

/// Puts the request's head, with this path, and a held body behind it into the connection's outbox; to a service that speaks
/// HTTP/2 the head goes ahead.
pub(super) fn encode(
    worker: &Worker,
    request: &RequestHead,
    path: &str,
    held: &[u8],
    endpoint: &Endpoint,
    connection: &mut Connection,
    is_translated: bool,
) -> Result<(), Failure> {
    let whole = [endpoint.spec.base.as_str(), path, "?", request.query.as_str()];
    let target: &[&str] = match request.method {
        Method::CONNECT => &[&request.authority],
        _ if request.has_query => &whole,
        _ => &whole[..2],
    };
    let authority = if request.authority.is_empty() { &endpoint.spec.authority } else { &request.authority };
    let outgoing = Outgoing {
        method: &request.method,
        target,
        authority,
        framing: match request.framing {
            Framing::Length(_) if is_translated => Framing::Chunked,
            framing => framing,
        },
        upgrade: &request.upgrade,
        accepts_trailers: request.accepts_trailers,
    };
    connection.outbox.clear();
    let out = connection.outbox.bytes(&worker.buffers);
    if let Some(mut message) = connection.stream.as_message() {
        if request.method == Method::CONNECT
            || request.version == Version::HTTP_2 && !request.upgrade.is_empty()
        {
            return Err(no_tunnel());
        }
        let head = head::write_request(&outgoing, &request.fields, endpoint.spec.is_tls)
            .map_err(|fault| unsayable(&fault.to_string()))?;
        let is_whole = request.framing == Framing::None;
        message
            .send_request(head, is_whole)
            .map_err(|error| broken(&error, connection.lease.as_ref(), true))?;
    } else {
        // Of a body that is held the length is known, whatever protocol it came by.
        let framing = if held.is_empty() { outgoing.framing } else { Framing::Length(held.len() as u64) };
        encode_request(out, &Outgoing { framing, ..outgoing }, &request.fields);
    }
    out.extend_from_slice(held);
    Ok(())
}

/// Puts the exchange's request into the outbox of the connection that it is to go over, as [`encode`].
pub(super) fn encode_leg(
    worker: &Worker,
    exchange: &Exchange,
    leg: &mut Leg,
    held: &[u8],
) -> Result<(), Failure> {
    let path = if exchange.is_rewritten { exchange.rewritten.as_str() } else { &exchange.request.path };
    let is_translated = leg.body.is_translated();
    let endpoint = &leg.picked.endpoint;
    encode(worker, &exchange.request, path, held, endpoint, &mut leg.connection, is_translated)
}

/// Sends the request until the head of the final answer is there; interim answers go straight to the client.
pub(super) async fn exchange_heads(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    leg: &mut Leg,
    held: usize,
    bounds: &Bounds,
) -> Result<Progress, Failure> {
    encode_leg(worker, exchange, leg, &client.input.filled()[..held])?;
    let mut progress = Progress::default();
    let mut place = exchange.dialect.map(|_| worker.farewells.place());
    client.deadline.set(bounds.first_byte_due(clock::now()));
    for _ in 0..=MAX_INTERIM {
        poll_fn(|context| {
            if place.as_mut().is_some_and(|place| place.is_told(context)) {
                return Poll::Ready(Err(Failure::Client(call_drained())));
            }
            progress.poll(context, worker, client, exchange, leg, bounds)
        })
        .await?;
        let status = exchange.response.status;
        if status == StatusCode::SWITCHING_PROTOCOLS && exchange.request.upgrade.is_empty() {
            return Err(malformed("it switched protocols, which nobody asked for".to_owned()));
        }
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(progress);
        }
        client.send_interim(worker, exchange).await.map_err(|_| Failure::Gone)?;
        progress.interim(status);
    }
    Err(malformed("it sent too many interim answers".to_owned()))
}

/// How far a request and the head of its answer are.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) is_sent: bool,
    pub(super) write_failed: bool,
    /// Whether an interim answer has come.
    had_interim: bool,
    /// Whether it was 100: the client waits no longer for leave to send its body.
    is_invited: bool,
    scanned: usize,
    /// What the body's progress was when the deadline was set, and one.
    seen: u64,
    /// Whether the service's socket was asked once more since then.
    is_last_try: bool,
    /// How fast the body comes, where that is asked.
    pace: Option<Box<Pace>>,
}

impl Progress {
    /// An interim answer has come.
    pub(super) fn interim(&mut self, status: StatusCode) {
        self.had_interim = true;
        self.is_invited |= status == StatusCode::CONTINUE;
        // Whoever is waited for now has its whole time.
        self.seen = 0;
        self.scanned = 0;
    }

    /// Sends a request without a body and reads the head of its answer apart from the exchange, without a look at the time.
    pub(super) fn poll_apart(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        leg: &mut Leg,
        method: &Method,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Failure>> {
        if !self.is_sent
            && let Poll::Ready(result) = poll_body(context, worker, client, leg)
        {
            self.is_sent = true;
            self.write_failed = result.is_err();
        }
        self.poll_head(context, worker, method, response, &mut leg.connection)
    }

    #[allow(clippy::too_many_arguments)] // the two sides of one exchange, borrowed apart
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        leg: &mut Leg,
        bounds: &Bounds,
    ) -> Poll<Result<(), Failure>> {
        loop {
            if !self.is_sent {
                self.poll_send(context, worker, client, exchange, leg, bounds)?;
            }
            let Exchange { request, response, .. } = &mut *exchange;
            match self.poll_head(context, worker, &request.method, response, &mut leg.connection) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => {}
            }
            let is_gone = if self.is_sent {
                client.poll_gone(context, &worker.buffers)
            } else {
                client.poll_reset(context)
            };
            if is_gone.is_ready() {
                return Poll::Ready(Err(Failure::Gone));
            }
            ready!(client.deadline.poll_passed(context));
            if self.is_sent
                || self.is_last_try
                || leg.body.waits_for() == Side::Source
                || clock::now() >= bounds.due
            {
                break;
            }
            // As with a client: the service may have taken something of which no event tells yet.
            self.is_last_try = true;
            leg.connection.stream.write_impatiently();
        }
        let body = &leg.body;
        let waits_for_client = !self.is_sent
            && body.waits_for() == Side::Source
            && !self.waits_for_leave(exchange, body)
            && clock::now() < bounds.due;
        // Who had hardly any time, as with the short deadline of a call, has not shown what it can do; nor who waited for the
        // client.
        let is_its_turn =
            self.is_sent || body.waits_for() == Side::Sink || self.waits_for_leave(exchange, body);
        let had_time = exchange.outcome.since_sent() >= bounds.first_byte.min(FAIR_CHANCE);
        Poll::Ready(Err(if waits_for_client {
            Failure::Client(Refusal::body_timeout())
        } else {
            Failure::Service {
                status: StatusCode::GATEWAY_TIMEOUT,
                code: "upstream_timeout",
                cause: "no answer began in time".to_owned(),
                heard: Heard::Something,
                retry: Some(Cause::Timeout),
                is_to_blame: is_its_turn && had_time,
            }
        }))
    }

    /// Until when more of the body must come from the client.
    fn body_due(&mut self, listener: &ListenerSpec, moved: u64, now: Instant) -> Instant {
        let ListenerSpec { body_timeout, body_rate, .. } = *listener;
        if body_rate == 0 {
            return now + body_timeout;
        }
        self.pace.get_or_insert_with(|| Box::new(Pace::new(body_timeout, body_rate))).wait(now, moved)
    }

    /// Whether the client, as it said it would, holds its body back until the service wants it.
    fn waits_for_leave(&self, exchange: &Exchange, body: &Pump) -> bool {
        exchange.request.expects_continue && !self.is_invited && body.moved() == 0
    }

    #[allow(clippy::too_many_arguments)]
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        leg: &mut Leg,
        bounds: &Bounds,
    ) -> Result<(), Failure> {
        let result = poll_body(context, worker, client, leg);
        let body = &leg.body;
        match result {
            Poll::Ready(Ok(())) => {
                self.is_sent = true;
                exchange.outcome.sent();
                client.deadline.set(bounds.first_byte_due(clock::now()));
            }
            Poll::Ready(Err(Trouble::Write(_))) => {
                // It may have answered before it closed, so its answer is still waited for.
                self.is_sent = true;
                self.write_failed = true;
                exchange.outcome.sent();
            }
            Poll::Ready(Err(Trouble::Read(_) | Trouble::Truncated)) => return Err(Failure::Gone),
            Poll::Ready(Err(Trouble::Malformed(fault))) => {
                return Err(Failure::Client(Refusal::malformed_body(fault)));
            }
            Poll::Ready(Err(Trouble::Untranslatable(fault))) => {
                let detail = format!("the request's body is refused: {fault}");
                return Err(Failure::Client(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "grpc_web_malformed",
                    Stage::Call,
                    detail,
                )));
            }
            Poll::Ready(Err(Trouble::TooLarge)) => return Err(Failure::Client(exchange.body_too_large())),
            Poll::Pending => {
                // While the body moves the service need not answer; whoever stops moving it has this long.
                let seen = body.progress() + 1;
                if exchange.request.framing != Framing::None && seen != self.seen {
                    let now = clock::now();
                    let due = match body.waits_for() {
                        Side::Source if self.waits_for_leave(exchange, body) => now + bounds.first_byte,
                        // Who calls by gRPC may have nothing to say for a while, in the middle of a call.
                        Side::Source if exchange.dialect.is_some() => now + bounds.idle,
                        Side::Source => self.body_due(client.listener(), body.moved(), now),
                        Side::Sink => {
                            self.pace.iter_mut().for_each(|pace| pace.rest(now));
                            now + bounds.idle
                        }
                    };
                    client.deadline.set(bounds.due.min(due));
                    self.seen = seen;
                    self.is_last_try = false;
                }
            }
        }
        Ok(())
    }

    /// What has come back so far.
    fn heard(&self, input: &Buffer) -> Heard {
        if input.is_empty() && !self.had_interim { Heard::Nothing } else { Heard::Something }
    }

    /// Reads the next head, an interim one or the final one.
    pub(super) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        method: &Method,
        response: &mut ResponseHead,
        connection: &mut Connection,
    ) -> Poll<Result<(), Failure>> {
        if let Some(mut message) = connection.stream.as_message() {
            let parts = ready!(message.poll_answer(context))
                .map_err(|error| broken(&error, connection.lease.as_ref(), !self.had_interim))?;
            let read = head::read_response(&parts, !message.is_read(), method, &ANSWER_LIMITS, response);
            return Poll::Ready(read.map_err(|fault| malformed(fault.to_string())));
        }
        loop {
            let input = &mut connection.input;
            if !input.is_empty() {
                let parsed =
                    parse_response(input.filled(), &mut self.scanned, &ANSWER_LIMITS, method, response);
                match parsed {
                    Ok(Some(length)) => {
                        input.consume(length);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(None) if input.space(&worker.buffers).is_empty() => input.grow(ANSWER_LIMITS.head + 1),
                    Ok(None) => {}
                    Err(fault) => return Poll::Ready(Err(malformed(fault.to_string()))),
                }
            }
            let count = match connection.stream.poll_read(context, input.space(&worker.buffers)) {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(reset(self.heard(input), &error.to_string())));
                }
                Poll::Pending => return Poll::Pending,
            };
            if count == 0 {
                let cause = "it closed the connection before its answer's head was there";
                return Poll::Ready(Err(reset(self.heard(input), cause)));
            }
            input.fill(count);
        }
    }
}

/// Moves the request's body, or what is left of its head.
fn poll_body(
    context: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    leg: &mut Leg,
) -> Poll<Result<(), Trouble>> {
    let mut ends = Ends {
        source: &client.stream,
        input: &mut client.input,
        sink: &leg.connection.stream,
        outbox: &mut leg.connection.outbox,
        buffers: &worker.buffers,
    };
    leg.body.poll(context, &mut ends)
}

pub(super) fn malformed(cause: String) -> Failure {
    Failure::Service {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_malformed",
        cause,
        heard: Heard::Something,
        retry: None,
        is_to_blame: true,
    }
}

fn unsayable(fault: &str) -> Failure {
    Failure::Service {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_malformed",
        cause: format!("the request cannot be said in HTTP/2: {fault}"),
        heard: Heard::Something,
        retry: None,
        is_to_blame: false,
    }
}

/// A tunnel, or a WebSocket that an HTTP/2 client wants, begins in HTTP/1.1.
fn no_tunnel() -> Failure {
    Failure::Service {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_no_tunnel",
        cause: "it is spoken to in HTTP/2, and a tunnel begins in HTTP/1.1".to_owned(),
        heard: Heard::Something,
        retry: None,
        is_to_blame: false,
    }
}

fn reset(heard: Heard, cause: &str) -> Failure {
    Failure::Service {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_reset",
        cause: cause.to_owned(),
        heard,
        retry: Some(Cause::Reset),
        is_to_blame: true,
    }
}

/// What it means that an HTTP/2 stream ended before the head of its answer.
fn broken(error: &h2::Error, lease: Option<&Lease>, is_silent: bool) -> Failure {
    // A stream above the last one that the service says it takes, or one that it refused, was not processed (RFC 9113,
    // section 8.7). It takes no more on a connection that it ends.
    let is_refused = error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
    let is_going = error.is_go_away() && error.is_remote();
    if (error.is_go_away() || error.is_io())
        && let Some(lease) = lease
    {
        lease.close();
    }
    if is_refused || is_going {
        return reset(Heard::NotProcessed, "it takes no more requests on this connection");
    }
    if error.is_library() {
        return malformed(error.to_string());
    }
    let heard = if is_silent && error.is_io() { Heard::Nothing } else { Heard::Something };
    reset(heard, &error.to_string())
}

fn call_drained() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "call_drained", Stage::Call, "the gateway stops")
}
