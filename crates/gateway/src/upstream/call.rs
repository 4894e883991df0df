//! Calls a service: chooses an endpoint, gets a connection, sends the request over it ([`super::send`]).
//!
//! Another endpoint is tried when none of the request has left; a connection that went stale in the pool is replaced once,
//! when nothing came back and repeating is safe.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http1::{Framing, Known, RequestHead};

use super::connect::Wish;
use super::grpc::Rpc;
use super::hedge;
use super::refused::{breaker_open, overloaded, refusal, unavailable};
use super::retry::{self, Cause, Tries};
use super::send::{body_timeout, exchange_heads, start};
use super::{
    Affinity, Connection, Endpoint, NO_BOUND, Picked, QueueFull, Service, Slot, Timeouts, Unavailable,
    balance,
};
use crate::accept::client::Interrupted;
use crate::accept::{Client, Pump};
use crate::clock;
use crate::exchange::{Exchange, Failed, Unserved};
use crate::refusal::Refusal;
use crate::snapshot::CallLimits;
use crate::translate::grpc_web::Transform;
use crate::worker::Worker;

/// Bodies up to this length that have already been read are held until the answer begins, so that the request
/// can be repeated on another connection.
const HELD_BODY: u64 = 16 * 1024;

/// A service's answer whose head has come. On the heap: half a kilobyte would be moved from hand to hand.
#[derive(Debug)]
pub struct Called {
    /// The endpoint that answers, and what is held for that.
    pub leg: Leg,
    /// Bytes of the request's body that were held and went with the head.
    pub held: u64,
    /// Whether the request has been sent whole.
    pub is_sent: bool,
    /// Whether the connection may serve another request afterwards.
    pub is_reusable: bool,
    /// What the answer's body becomes on its way, if anything.
    pub answer_transform: Option<Transform>,
    /// The time limits of this call.
    pub timeouts: Timeouts,
}

impl Called {
    /// The name of the service that answers.
    pub fn service(&self) -> &str {
        self.leg.picked.endpoint.health.service()
    }

    /// The exchange is over: the connection goes back into the pool if it may serve another.
    pub fn end(self: Box<Self>, worker: &Worker) {
        // A message of HTTP/2 is over; its connection was never taken out of use.
        if self.is_reusable && self.leg.connection.lease.is_none() {
            let Leg { picked, connection, .. } = self.leg;
            picked.endpoint.give_back(connection, worker);
        }
    }
}

/// An endpoint that is asked, and what is held for that.
#[derive(Debug)]
pub struct Leg {
    /// The endpoint.
    pub picked: Picked,
    /// The connection, the answer's body unread.
    pub connection: Connection,
    /// Lets the next request in when it is dropped: when the call is over, or becomes a tunnel.
    pub slot: Option<Slot>,
    /// The request's body, perhaps still on its way.
    pub body: Pump,
}

/// Why one try failed.
pub(super) enum Failure {
    Gone,
    Client(Refusal),
    /// No connection of the endpoint became free, for which it is not to blame.
    Queue(StatusCode, &'static str, &'static str),
    /// The service's side failed; `cause` for the operator.
    Service {
        status: StatusCode,
        code: &'static str,
        cause: String,
        heard: Heard,
        /// As what a route's rules may name it, if they can.
        retry: Option<Cause>,
        /// Whether it says something of the endpoint: some failures are due to the client, or to what it asks for.
        is_to_blame: bool,
    },
}

/// What came back from a service that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing: who knows what it did.
    Nothing,
    /// That it did nothing with the request (RFC 9113, section 8.7).
    NotProcessed,
    /// Something else.
    Something,
}

/// Calls the service, leaving the answer's head in the exchange.
pub async fn call(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    service: &Rc<Service>,
    limits: &CallLimits,
) -> Result<Box<Called>, Failed> {
    let turned_away = || failed(overloaded(service), true, clock::now());
    let _waiting = match &service.adaptive {
        Some(adaptive) => Some(adaptive.admit(limits.priority).ok_or_else(turned_away)?),
        None => None,
    };
    let rules = &limits.retry;
    let mut timeouts = limits.timeouts;
    let rpc = Rpc::begin(exchange, service, &mut timeouts)?;
    let due = exchange.started + timeouts.total;
    timeouts.first_byte = timeouts.first_byte.min(rules.timeout.unwrap_or(NO_BOUND));
    let resends = rules.resends(&exchange.request.method) && !rpc.is_body_translated();
    if resends {
        hold_body(worker, client, exchange, due).await?;
    }
    let held =
        if rpc.is_body_translated() { 0 } else { held_body(client, &exchange.request, exchange.max_body) };
    let may_resend = resends && (exchange.request.framing == Framing::None || held > 0);
    if held > 0
        && let Some(tap) = exchange.tap.take()
    {
        tap.take(&client.input.filled()[..held]);
    }
    let hash = affinity(exchange, service);
    let mut tries = Tries::new(rules, service);
    let told = service.spec.proxy_protocol.and_then(|_| client.endpoints(exchange.caller.ip));
    let is_tunnel = !exchange.request.upgrade.is_empty() || exchange.request.method == Method::CONNECT;
    let mut wish = Wish { opened_after: None, http1: is_tunnel, client: told, parts: timeouts.parts() };
    exchange.outcome.service = Some(Rc::clone(service));
    let mut is_unseen = true;
    loop {
        let began = clock::now();
        let picked = match tries.pick(hash, sticky(exchange, service)) {
            Ok(picked) => picked,
            Err(Unavailable::Until(wait)) => {
                return Err(failed(breaker_open(service, wait), is_unseen, began));
            }
            Err(Unavailable::NoEndpoint) => {
                return Err(failed(unavailable(service, exchange), is_unseen, began));
            }
        };
        exchange.outcome.attempt(&picked.endpoint);
        let (connection, slot) = match connect(worker, client, &picked.endpoint, timeouts, due, wish).await {
            Ok(ready) => ready,
            Err(Failure::Queue(status, code, cause)) => {
                let refusal = refusal(service, &picked.endpoint, status, code, cause.to_owned());
                // When the request's time is over it is over for everybody.
                return Err(failed(refusal, is_unseen && code == "upstream_busy", began));
            }
            Err(Failure::Service { status, code, cause, .. }) => {
                picked.failed(clock::now().saturating_duration_since(began));
                picked.endpoint.metrics.connect_failures.add(1);
                let pause = tries.again(Cause::Connect, picked.index, may_resend, None, due);
                let Some(pause) = pause else {
                    let refusal = refusal(service, &picked.endpoint, status, code, cause);
                    return Err(failed(refusal, is_unseen, began));
                };
                exchange.outcome.attempt_failed(began, code, None);
                wish.opened_after = None;
                drop(picked);
                rest(worker, client, pause, due).await?;
                continue;
            }
            Err(failure) => return Err(given_up(failure)),
        };
        exchange.outcome.connected();
        is_unseen = false;
        exchange.outcome.is_body_touched = exchange.request.framing != Framing::None && held == 0;
        rpc.tell_deadline(&mut exchange.request, due);
        let transform = rpc.request_transform();
        let body = start(client, exchange, &connection, held, transform);
        // Where it stays: it is not moved from hand to hand any more.
        let mut called = Box::new(Called {
            leg: Leg { picked, connection, slot: Some(slot), body },
            held: held as u64,
            is_sent: false,
            is_reusable: false,
            answer_transform: None,
            timeouts,
        });
        let leg = &mut called.leg;
        let heads = match limits.hedge.as_ref().filter(|rules| rules.fit(&exchange.request)) {
            None => exchange_heads(worker, client, exchange, leg, held, timeouts, due).await,
            // On the heap: those without it do not carry the state of two.
            Some(rules) => {
                let terms = hedge::Terms { rules, hash, wish, timeouts, due };
                Box::pin(hedge::race(worker, client, exchange, leg, &mut tries, terms)).await
            }
        };
        let Leg { picked, connection, body, .. } = &mut called.leg;
        match heads {
            Ok(progress) => {
                exchange.outcome.first_byte();
                let status = exchange.response.status;
                // First: the breaker that it opens allows no further attempt.
                picked.answered(status, exchange.outcome.since_sent());
                let may_reuse = !progress.write_failed && !has_unexpected_body(&exchange.request);
                let cause = Cause::Status(status);
                let asked = || exchange.response.fields.get(Known::RetryAfter).and_then(retry::retry_after);
                if rules.names(cause)
                    && let Some(pause) =
                        tries.again(cause, picked.index, may_resend && progress.is_sent, asked(), due)
                {
                    exchange.outcome.attempt_failed(began, "", Some(status));
                    let may_reuse = may_reuse && exchange.response.persistent;
                    if may_reuse && discard_body(connection, exchange.response.framing) {
                        let Leg { picked, connection, .. } = called.leg;
                        picked.endpoint.give_back(connection, worker);
                    } else {
                        drop(called);
                    }
                    exchange.response.clear();
                    wish.opened_after = None;
                    rest(worker, client, pause, due).await?;
                    continue;
                }
                if held > 0 {
                    client.input.consume(held);
                }
                set_sticky(service, picked, exchange);
                called.answer_transform = rpc.translate_answer(&mut exchange.response);
                called.is_sent = progress.is_sent;
                called.is_reusable = may_reuse;
                return Ok(called);
            }
            Err(Failure::Service { heard, .. })
                if wish.opened_after.is_none()
                    && body.is_untouched()
                    && may_repeat(heard, connection, &exchange.request, held) =>
            {
                wish.opened_after = Some(clock::refresh());
            }
            Err(Failure::Service { status, code, cause, retry, is_to_blame, .. }) => {
                if is_to_blame {
                    picked.failed(exchange.outcome.since_sent());
                }
                let may_resend = may_resend && body.is_untouched();
                let pause = retry.and_then(|cause| tries.again(cause, picked.index, may_resend, None, due));
                let Some(pause) = pause else {
                    return Err(refusal(service, &picked.endpoint, status, code, cause).into());
                };
                exchange.outcome.attempt_failed(began, code, None);
                exchange.response.clear();
                wish.opened_after = None;
                drop(called);
                rest(worker, client, pause, due).await?;
            }
            Err(failure) => return Err(given_up(failure)),
        }
    }
}

/// Reads a short body whole, so that it can be sent again.
async fn hold_body(
    worker: &Worker,
    client: &mut Client,
    exchange: &Exchange,
    due: Instant,
) -> Result<(), Failed> {
    match client.read_short_body(worker, &exchange.request, HELD_BODY, due).await {
        Ok(()) => Ok(()),
        Err(Interrupted::TimedOut) => Err(body_timeout().into()),
        Err(Interrupted::Gone) => Err(Failed::Gone),
    }
}

/// Pauses before a further attempt.
async fn rest(worker: &Worker, client: &mut Client, pause: Duration, due: Instant) -> Result<(), Failed> {
    if pause.is_zero() {
        return Ok(());
    }
    client.deadline.set(due.min(clock::now() + pause));
    match client.unless_gone(worker, std::future::pending::<()>()).await {
        Ok(()) | Err(Interrupted::TimedOut) => Ok(()),
        Err(Interrupted::Gone) => Err(Failed::Gone),
    }
}

/// Throws away an answer's body if all of it has come; says whether it has, so that the connection may be used again.
fn discard_body(connection: &mut Connection, framing: Framing) -> bool {
    let length = match framing {
        Framing::None => 0,
        Framing::Length(length) => length,
        Framing::Chunked | Framing::UntilClose => return false,
    };
    let is_whole = connection.input.filled().len() as u64 == length;
    if is_whole {
        connection.input.consume(length as usize);
    }
    is_whole && connection.lease.is_none()
}

/// A call that ends in a refusal; the service's fallback may answer instead where it has seen nothing of the request.
fn failed(refusal: Refusal, is_unseen: bool, began: Instant) -> Failed {
    if is_unseen { Failed::Unserved(Box::new(Unserved { refusal, began })) } else { refusal.into() }
}

fn given_up(failure: Failure) -> Failed {
    match failure {
        Failure::Client(refusal) => refusal.into(),
        _ => Failed::Gone,
    }
}

/// The length of the request's body when all of it has been read and it is short enough to hold.
fn held_body(client: &Client, request: &RequestHead, max: u64) -> usize {
    if request.framing == Framing::None || !client.has_whole_body(request) {
        return 0;
    }
    let length = match request.framing {
        Framing::Length(length) => length,
        _ => client.input.filled().len() as u64,
    };
    // One that is longer than the route allows is left to the pump, which refuses it.
    if length <= HELD_BODY.min(max) { length as usize } else { 0 }
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

/// The hash of the part of the request that decides the endpoint.
pub(super) fn affinity(exchange: &Exchange, service: &Service) -> Option<u64> {
    match &*service.spec.affinity {
        Affinity::None | Affinity::Cookie(_) => None,
        Affinity::ClientIp => Some(balance::hash_ip(exchange.caller.ip)),
        Affinity::Key(expression) => {
            exchange.evaluate_text(expression).map(|key| balance::hash_bytes(key.as_bytes()))
        }
    }
}

/// The cookie that names the endpoint of a client that was here before.
fn sticky<'a>(exchange: &'a Exchange, service: &Service) -> Option<&'a [u8]> {
    let Affinity::Cookie(name) = &*service.spec.affinity else { return None };
    exchange
        .request
        .fields
        .get_all(Known::Cookie)
        .find_map(|field| balance::find_cookie(field, name.as_bytes()))
}

fn set_sticky(service: &Service, picked: &Picked, exchange: &mut Exchange) {
    if let Affinity::Cookie(name) = &*service.spec.affinity
        && picked.set_sticky
        && let Some(id) = service.sticky_id(picked.index)
    {
        let cookie = balance::set_cookie(name, id, exchange.is_tls());
        exchange.response.fields.append(Known::SetCookie, cookie.as_bytes());
    }
}

/// Waits for leave to use a connection and gets one, from the pool unless it must be a new one.
async fn connect(
    worker: &Worker,
    client: &mut Client,
    endpoint: &Rc<Endpoint>,
    timeouts: Timeouts,
    due: Instant,
    wish: Wish,
) -> Result<(Connection, Slot), Failure> {
    let started = clock::now();
    client.deadline.set(due.min(started + endpoint.pool.limits().queue_for));
    let slot = match client.unless_gone(worker, endpoint.pool.slot()).await {
        Ok(Ok(slot)) => slot,
        Ok(Err(QueueFull)) => return Err(busy("the queue for its connections is full")),
        Err(Interrupted::TimedOut) if clock::now() < due => {
            return Err(busy("no connection of it became free in time"));
        }
        Err(Interrupted::TimedOut) => {
            let cause = "the request's time was over while it waited for a connection";
            return Err(Failure::Queue(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", cause));
        }
        Err(Interrupted::Gone) => return Err(Failure::Gone),
    };
    if let Some(connection) = endpoint.take(wish) {
        return Ok((connection, slot));
    }
    client.deadline.set(due.min(clock::now() + timeouts.opening()));
    // On the heap: most requests find a connection, and do not carry the state of opening one.
    match client.unless_gone(worker, Box::pin(endpoint.connect(wish))).await {
        Ok(Ok(connection)) => Ok((connection, slot)),
        Ok(Err(error)) => Err(Failure::Service {
            status: error.status(),
            code: error.code(),
            cause: error.to_string(),
            heard: Heard::Nothing,
            retry: Some(Cause::Connect),
            is_to_blame: true,
        }),
        Err(Interrupted::TimedOut) if clock::now() >= due => {
            let cause = "the request's time was over while a connection was opened";
            Err(Failure::Queue(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", cause))
        }
        Err(Interrupted::TimedOut) => Err(Failure::Service {
            status: StatusCode::GATEWAY_TIMEOUT,
            code: "upstream_connect_timeout",
            cause: "no connection came about in time".to_owned(),
            heard: Heard::Nothing,
            retry: Some(Cause::Connect),
            is_to_blame: true,
        }),
        Err(Interrupted::Gone) => Err(Failure::Gone),
    }
}

fn busy(cause: &'static str) -> Failure {
    Failure::Queue(StatusCode::SERVICE_UNAVAILABLE, "upstream_busy", cause)
}
