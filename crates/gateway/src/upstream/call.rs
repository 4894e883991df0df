//! Sends a request to a service and waits for the head of its answer.
//!
//! Both directions are polled by the exchange's one task: the request's body may still be on its way when the answer
//! begins. Another endpoint is tried when none of the request has left; a connection that went stale in the pool is replaced once,
//! when nothing came back and repeating is safe.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http1::{Framing, Known, Limits, Outgoing, RequestHead, encode_interim, encode_request, parse_response};

use super::{Affinity, Connection, Endpoint, Picked, QueueFull, Service, Slot, Timeouts, balance};
use crate::accept::h1::{Client, Interrupted};
use crate::accept::{Ends, Pump, Side, Trouble};
use crate::clock;
use crate::exchange::{Exchange, Failed};
use crate::refusal::{Refusal, Stage, UpstreamCause};
use crate::worker::Worker;

/// Bodies up to this length that have already been read are held until the answer begins, so that the request
/// can be repeated on another connection.
const HELD_BODY: u64 = 16 * 1024;
/// How long a request waits for a connection when all of an endpoint's are in use.
const QUEUE_FOR: Duration = Duration::from_secs(2);
/// Interim answers (1xx) that one request may get.
const MAX_INTERIM: usize = 16;
/// What an answer's head may hold.
const ANSWER_LIMITS: Limits = Limits { line: 8 * 1024, head: 64 * 1024, headers: 256 };

/// A service's answer whose head has come.
#[derive(Debug)]
pub struct Called {
    /// The connection, its body unread.
    pub connection: Connection,
    /// The request's body, perhaps still on its way.
    pub request_body: Pump,
    /// Bytes of the request's body that were held and went with the head.
    pub held: u64,
    /// Whether the request has been sent whole.
    pub is_sent: bool,
    /// Whether the connection may serve another request afterwards.
    pub is_reusable: bool,
    /// The time limits of this call.
    pub timeouts: Timeouts,
    /// The endpoint that answers.
    pub picked: Picked,
    // Lets the next request in when the call is over.
    _slot: Slot,
}

/// Why one try failed.
enum Failure {
    Gone,
    Client(Refusal),
    /// The service's side failed; `cause` for the operator.
    Service {
        status: StatusCode,
        code: &'static str,
        cause: String,
        silent: bool,
    },
}

/// Calls the service, leaving the answer's head in the exchange.
pub async fn call(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    service: &Rc<Service>,
) -> Result<Called, Failed> {
    let live = Rc::clone(&exchange.live);
    let Some(route) = exchange.route.map(|index| &live.snapshot.routes[index]) else {
        unreachable!("only a route leads to a call")
    };
    let (timeouts, attempts) = (route.timeouts, route.attempts);
    let due = exchange.started + timeouts.total;
    let held = held_body(client, &exchange.request);
    let hash = affinity(exchange, service);
    let mut tried: Vec<usize> = Vec::new();
    let mut fresh = false;
    exchange.outcome.service = Some(Rc::clone(service));
    loop {
        let Some(picked) = service.pick(hash, sticky(exchange, service), &tried, clock::now()) else {
            return Err(unavailable(service, exchange).into());
        };
        exchange.outcome.endpoint = Some(Rc::clone(&picked.endpoint));
        exchange.outcome.attempts += 1;
        let index = picked.index;
        let (mut connection, slot) =
            match connect(worker, client, &picked.endpoint, timeouts, due, fresh).await {
                Ok(ready) => ready,
                Err(Failure::Service { status, code, cause, silent }) => {
                    let Picked { endpoint, in_flight, .. } = picked;
                    in_flight.failed(clock::now().saturating_duration_since(exchange.started), clock::now());
                    endpoint.metrics.connect_failures.add(1);
                    tried.push(index);
                    let may_retry = silent && (tried.len() as u32) < attempts && clock::now() < due;
                    if may_retry && tried.len() < service.endpoints.len() {
                        continue;
                    }
                    return Err(refusal(service, &endpoint, status, code, cause).into());
                }
                Err(failure) => return Err(given_up(failure)),
            };
        exchange.outcome.connected();
        exchange.outcome.is_body_touched = exchange.request.framing != Framing::None && held == 0;
        let mut body = encode(worker, client, exchange, &picked.endpoint, &mut connection, held);
        match exchange_heads(worker, client, exchange, &mut connection, &mut body, timeouts, due).await {
            Ok(progress) => {
                exchange.outcome.first_byte();
                picked.in_flight.answered(exchange.outcome.since_sent(), clock::now());
                if held > 0 {
                    client.input.consume(held);
                }
                set_sticky(service, &picked, exchange);
                return Ok(Called {
                    connection,
                    request_body: body,
                    held: held as u64,
                    is_sent: progress.is_sent,
                    is_reusable: !progress.write_failed && !has_unexpected_body(&exchange.request),
                    timeouts,
                    picked,
                    _slot: slot,
                });
            }
            Err(Failure::Service { silent: true, .. })
                if connection.reused
                    && !fresh
                    && body.moved() == 0
                    && is_repeatable(&exchange.request, held) =>
            {
                fresh = true;
            }
            Err(Failure::Service { status, code, cause, .. }) => {
                picked.in_flight.failed(exchange.outcome.since_sent(), clock::now());
                return Err(refusal(service, &picked.endpoint, status, code, cause).into());
            }
            Err(failure) => return Err(given_up(failure)),
        }
    }
}

fn given_up(failure: Failure) -> Failed {
    match failure {
        Failure::Client(refusal) => refusal.into(),
        _ => Failed::Gone,
    }
}

/// The length of the request's body when all of it has been read and it is short enough to hold.
fn held_body(client: &Client, request: &RequestHead) -> usize {
    match request.framing {
        Framing::Length(length) if length <= HELD_BODY && client.input.filled().len() as u64 >= length => {
            length as usize
        }
        _ => 0,
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

/// Whether the request has a body that a service may not look for (RFC 9110, section 9.3.1) and take for the next
/// request on the connection.
fn has_unexpected_body(request: &RequestHead) -> bool {
    request.framing != Framing::None && matches!(request.method, Method::GET | Method::HEAD)
}

/// The hash of the part of the request that decides the endpoint.
fn affinity(exchange: &Exchange, service: &Service) -> Option<u64> {
    match &service.spec.affinity {
        Affinity::None | Affinity::Cookie(_) => None,
        Affinity::ClientIp => Some(balance::hash_ip(exchange.caller.ip)),
        Affinity::Key(expression) => {
            exchange.evaluate_text(expression).map(|key| balance::hash_bytes(key.as_bytes()))
        }
    }
}

/// The cookie that names the endpoint of a client that was here before.
fn sticky<'a>(exchange: &'a Exchange, service: &Service) -> Option<&'a [u8]> {
    let Affinity::Cookie(name) = &service.spec.affinity else { return None };
    exchange
        .request
        .fields
        .get_all(Known::Cookie)
        .find_map(|field| balance::find_cookie(field, name.as_bytes()))
}

fn set_sticky(service: &Service, picked: &Picked, exchange: &mut Exchange) {
    if let Affinity::Cookie(name) = &service.spec.affinity
        && picked.set_sticky
        && let Some(id) = service.sticky_id(picked.index)
    {
        let cookie = balance::set_cookie(name, id, false);
        exchange.response.fields.append(Known::SetCookie, cookie.as_bytes());
    }
}

/// Waits for leave to use a connection and gets one, from the pool unless it must be `fresh`.
async fn connect(
    worker: &Worker,
    client: &mut Client,
    endpoint: &Rc<Endpoint>,
    timeouts: Timeouts,
    due: Instant,
    fresh: bool,
) -> Result<(Connection, Slot), Failure> {
    let started = clock::now();
    client.deadline.set(due.min(started + QUEUE_FOR));
    let slot = match client.unless_gone(worker, endpoint.pool.slot()).await {
        Ok(Ok(slot)) => slot,
        Ok(Err(QueueFull)) => return Err(busy("the queue for its connections is full")),
        Err(Interrupted::TimedOut) => return Err(busy("no connection of it became free in time")),
        Err(Interrupted::Gone) => return Err(Failure::Gone),
    };
    if !fresh && let Some(connection) = endpoint.pool.take_idle() {
        endpoint.metrics.pool_reused.add(1);
        return Ok((connection, slot));
    }
    client.deadline.set(due.min(clock::now() + timeouts.connect));
    match client.unless_gone(worker, endpoint.connect()).await {
        Ok(Ok(connection)) => {
            endpoint.metrics.pool_opened.add(1);
            Ok((connection, slot))
        }
        Ok(Err(error)) => Err(Failure::Service {
            status: StatusCode::BAD_GATEWAY,
            code: "upstream_connect_failed",
            cause: error.to_string(),
            silent: true,
        }),
        Err(Interrupted::TimedOut) => Err(Failure::Service {
            status: StatusCode::GATEWAY_TIMEOUT,
            code: "upstream_connect_timeout",
            cause: "no connection came about in time".to_owned(),
            silent: true,
        }),
        Err(Interrupted::Gone) => Err(Failure::Gone),
    }
}

fn busy(cause: &str) -> Failure {
    Failure::Service {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "upstream_busy",
        cause: cause.to_owned(),
        silent: false,
    }
}

/// Puts the request's head, and a held body with it, into the connection's outbox; the pump moves the rest.
fn encode(
    worker: &Worker,
    client: &Client,
    exchange: &Exchange,
    endpoint: &Endpoint,
    connection: &mut Connection,
    held: usize,
) -> Pump {
    let request = &exchange.request;
    let path = if exchange.is_rewritten { exchange.rewritten.as_str() } else { &request.path };
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
        framing: request.framing,
        upgrade: &request.upgrade,
        accepts_trailers: request.accepts_trailers,
    };
    connection.outbox.clear();
    let out = connection.outbox.bytes(&worker.buffers);
    encode_request(out, &outgoing, &request.fields);
    if held > 0 {
        out.extend_from_slice(&client.input.filled()[..held]);
        return Pump::new(Framing::None, Framing::None, u64::MAX);
    }
    Pump::new(request.framing, request.framing, exchange.max_body)
}

/// Sends the request until the head of the final answer is there; interim answers go straight to the client.
async fn exchange_heads(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    connection: &mut Connection,
    body: &mut Pump,
    timeouts: Timeouts,
    due: Instant,
) -> Result<Progress, Failure> {
    let mut progress = Progress { is_sent: false, write_failed: false, scanned: 0, moved: 0 };
    client.deadline.set(due.min(clock::now() + timeouts.first_byte));
    for _ in 0..=MAX_INTERIM {
        poll_fn(|context| progress.poll(context, worker, client, exchange, connection, body, timeouts, due))
            .await?;
        let status = exchange.response.status;
        if status == StatusCode::SWITCHING_PROTOCOLS && exchange.request.upgrade.is_empty() {
            return Err(malformed("it switched protocols, which nobody asked for".to_owned()));
        }
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(progress);
        }
        // A client of HTTP/1.0 knows no interim answers (RFC 9110, section 15.2).
        if exchange.request.version == http::Version::HTTP_11 {
            let out = client.outbox.bytes(&worker.buffers);
            encode_interim(out, status, "", &exchange.response.fields);
            // Bounded by the deadline that is set: a client that does not read must not hold the service.
            client.flush_in_time().await.map_err(|_| Failure::Gone)?;
        }
        progress.scanned = 0;
    }
    Err(malformed("it sent too many interim answers".to_owned()))
}

struct Progress {
    is_sent: bool,
    write_failed: bool,
    scanned: usize,
    moved: u64,
}

impl Progress {
    #[allow(clippy::too_many_arguments)] // the two sides of one exchange, borrowed apart
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        connection: &mut Connection,
        body: &mut Pump,
        timeouts: Timeouts,
        due: Instant,
    ) -> Poll<Result<(), Failure>> {
        if !self.is_sent {
            self.poll_send(context, worker, client, exchange, connection, body, timeouts, due)?;
        }
        match self.poll_head(context, worker, exchange, connection) {
            Poll::Ready(result) => return Poll::Ready(result),
            Poll::Pending => {}
        }
        if self.is_sent && client.poll_gone(context, &worker.buffers).is_ready() {
            return Poll::Ready(Err(Failure::Gone));
        }
        if client.deadline.poll_passed(context).is_pending() {
            return Poll::Pending;
        }
        let waits_for_client = !self.is_sent && body.waits_for() == Side::Source && clock::now() < due;
        Poll::Ready(Err(if waits_for_client {
            Failure::Client(body_timeout())
        } else {
            Failure::Service {
                status: StatusCode::GATEWAY_TIMEOUT,
                code: "upstream_timeout",
                cause: "no answer began in time".to_owned(),
                silent: false,
            }
        }))
    }

    #[allow(clippy::too_many_arguments)]
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        connection: &mut Connection,
        body: &mut Pump,
        timeouts: Timeouts,
        due: Instant,
    ) -> Result<(), Failure> {
        let mut ends = Ends {
            source: &client.stream,
            input: &mut client.input,
            sink: &connection.stream,
            outbox: &mut connection.outbox,
            buffers: &worker.buffers,
        };
        match body.poll(context, &mut ends) {
            Poll::Ready(Ok(())) => {
                self.is_sent = true;
                exchange.outcome.sent();
                client.deadline.set(due.min(clock::now() + timeouts.first_byte));
            }
            Poll::Ready(Err(Trouble::Write(_))) => {
                // It may have answered before it closed, so its answer is still waited for.
                self.is_sent = true;
                self.write_failed = true;
                exchange.outcome.sent();
            }
            Poll::Ready(Err(Trouble::Read(_) | Trouble::Truncated)) => return Err(Failure::Gone),
            Poll::Ready(Err(Trouble::Malformed(fault))) => {
                worker.shard.parse_refusal(fault.code());
                return Err(Failure::Client(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    fault.code(),
                    Stage::Parse,
                    format!("the request's body is refused: {fault}"),
                )));
            }
            Poll::Ready(Err(Trouble::TooLarge)) => return Err(Failure::Client(exchange.body_too_large())),
            Poll::Pending => {
                // While the body moves the service need not answer; whoever stops moving it has this long.
                let moved = body.moved() + 1;
                if exchange.request.framing != Framing::None && moved != self.moved {
                    let patience = match body.waits_for() {
                        Side::Source => client.listener().body_timeout,
                        Side::Sink => timeouts.idle,
                    };
                    client.deadline.set(due.min(clock::now() + patience));
                    self.moved = moved;
                }
            }
        }
        Ok(())
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        exchange: &mut Exchange,
        connection: &mut Connection,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let input = &mut connection.input;
            if !input.is_empty() {
                let parsed = parse_response(
                    input.filled(),
                    &mut self.scanned,
                    &ANSWER_LIMITS,
                    &exchange.request.method,
                    &mut exchange.response,
                );
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
                    return Poll::Ready(Err(reset(input.is_empty(), &error.to_string())));
                }
                Poll::Pending => return Poll::Pending,
            };
            if count == 0 {
                return Poll::Ready(Err(reset(
                    input.is_empty(),
                    "it closed the connection before it answered",
                )));
            }
            input.fill(count);
        }
    }
}

fn malformed(cause: String) -> Failure {
    Failure::Service { status: StatusCode::BAD_GATEWAY, code: "upstream_malformed", cause, silent: false }
}

fn reset(silent: bool, cause: &str) -> Failure {
    Failure::Service {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_reset",
        cause: cause.to_owned(),
        silent,
    }
}

/// The client stopped in the middle of its body (RFC 9110, section 15.5.9).
pub fn body_timeout() -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_timeout",
        Stage::Parse,
        "the rest of the request's body did not come in time",
    )
}

fn unavailable(service: &Service, exchange: &Exchange) -> Refusal {
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

fn refusal(
    service: &Service,
    endpoint: &Endpoint,
    status: StatusCode,
    code: &'static str,
    cause: String,
) -> Refusal {
    let detail = format!("service {} did not answer", service.spec.name);
    let mut refusal = Refusal::new(status, code, Stage::Call, detail);
    refusal.upstream = Some(Box::new(UpstreamCause {
        service: service.spec.name.to_string(),
        endpoint: endpoint.spec.url.to_string(),
        cause,
    }));
    refusal
}
