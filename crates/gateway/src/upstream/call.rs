//! Calls a service: chooses an endpoint, gets a connection, sends the request over it ([`super::send`]).
//!
//! Another endpoint is tried when none of the request has left; a connection that went stale in the pool is replaced once,
//! when nothing came back and repeating is safe.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http1::{Framing, Known};

use super::adaptive::Waiting;
use super::affinity;
use super::connect::{Setup, Wish};
use super::grpc::Rpc;
use super::hedge;
use super::refused::{breaker_open, overloaded, refusal, unavailable};
use super::resend;
use super::retry::{self, Cause, Tries};
use super::send::{Progress, exchange_heads, start};
use super::{Connection, Endpoint, NO_BOUND, Picked, QueueFull, Service, Slot, Timeouts, Unavailable};
use crate::accept::client::Interrupted;
use crate::accept::{Client, Pump, Tap};
use crate::clock;
use crate::exchange::{Exchange, Failed, Unserved};
use crate::refusal::Refusal;
use crate::snapshot::CallLimits;
use crate::translate::grpc_web::Transform;
use crate::worker::Worker;

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
    /// Who takes the answer's body down.
    pub answer_tap: Option<Rc<Tap>>,
    /// The time limits of this call.
    pub timeouts: Timeouts,
    /// When it must be over.
    pub due: Instant,
}

impl Called {
    /// The name of the service that answers.
    pub fn service(&self) -> &str {
        self.leg.picked.endpoint.health.service()
    }

    /// Nobody gets the answer. What is left of the request is not for the service any more either.
    pub fn discard(mut self: Box<Self>, worker: &Worker, exchange: &mut Exchange) {
        exchange.outcome.bytes_in = self.held + self.leg.body.moved();
        let is_read = self.leg.body.has_read_all();
        exchange.outcome.is_body_touched = !is_read;
        if is_read {
            // What follows at the client is its next request.
            exchange.request.framing = Framing::None;
        }
        let response = &exchange.response;
        self.is_reusable &=
            self.is_sent && response.persistent && discard_body(&mut self.leg.connection, response.framing);
        self.end(worker);
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

/// How long an attempt may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// When the call is over, with all its attempts.
    pub(super) due: Instant,
    /// From the request being sent to the first byte of the answer.
    pub(super) first_byte: Duration,
    /// Between two movements of a body.
    pub(super) idle: Duration,
}

impl Bounds {
    /// When an answer must have begun that is waited for since then.
    pub(super) fn first_byte_due(&self, since: Instant) -> Instant {
        self.due.min(since + self.first_byte)
    }
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

/// A call, and what its attempts share.
struct Call<'c> {
    service: &'c Rc<Service>,
    limits: &'c CallLimits,
    rpc: Rpc,
    bounds: Bounds,
    tries: Tries<'c>,
    /// Of the part of the request that decides the endpoint.
    hash: Option<u64>,
    wish: Wish,
    /// Bytes of the request's body that are held and go with the head.
    held: usize,
    /// Whether the route's rules let the request be sent again.
    may_resend: bool,
    /// Whether no service has seen anything of the request.
    is_unseen: bool,
}

/// How an attempt ended.
enum Attempt {
    /// With an answer.
    Answered(Box<Called>),
    /// Another one may follow after this pause.
    Failed(Duration),
    /// The connection had gone stale; another one is asked at once.
    Stale,
}

/// Calls the service, leaving the answer's head in the exchange.
pub async fn call(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    service: &Rc<Service>,
    limits: &CallLimits,
) -> Result<Box<Called>, Failed> {
    let mut call = Call::new(exchange, service, limits)?;
    call.hold_body(worker, client, exchange).await?;
    // Not before: a client that takes its time is no work of the service.
    let _waiting = call.admit()?;
    loop {
        match call.attempt(worker, client, exchange).await? {
            Attempt::Answered(called) => return Ok(called),
            Attempt::Stale => call.wish.opened_after = Some(clock::refresh()),
            Attempt::Failed(pause) => {
                call.wish.opened_after = None;
                rest(worker, client, pause, call.bounds.due).await?;
            }
        }
    }
}

impl<'c> Call<'c> {
    fn new(
        exchange: &mut Exchange,
        service: &'c Rc<Service>,
        limits: &'c CallLimits,
    ) -> Result<Self, Refusal> {
        let CallLimits { timeouts, retry, .. } = limits;
        let mut total = timeouts.total;
        let rpc = Rpc::begin(exchange, service, &mut total)?;
        let due = exchange.started + total;
        let first_byte = timeouts.first_byte.min(retry.timeout.unwrap_or(NO_BOUND));
        let is_tunnel = !exchange.request.upgrade.is_empty() || exchange.request.method == Method::CONNECT;
        exchange.outcome.service = Some(Rc::clone(&service.name));
        Ok(Self {
            service,
            limits,
            may_resend: retry.resends(&exchange.request.method) && !rpc.is_body_translated(),
            rpc,
            bounds: Bounds { due, first_byte, idle: timeouts.idle },
            tries: Tries::new(retry, service),
            hash: affinity::hash(exchange, service),
            wish: Wish { opened_after: None, http1: is_tunnel },
            held: 0,
            is_unseen: true,
        })
    }

    /// Keeps a short body, so that it can be sent again. Where that is wanted it is waited for.
    async fn hold_body(
        &mut self,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
    ) -> Result<(), Failed> {
        if exchange.request.framing == Framing::None {
            return Ok(());
        }
        if self.may_resend {
            resend::read_body(worker, client, exchange, self.bounds.due).await?;
        }
        if !self.rpc.is_body_translated() {
            self.held = resend::held_body(client, exchange);
        }
        self.may_resend &= self.held > 0;
        if self.held > 0
            && let Some(tap) = exchange.tap.take()
        {
            tap.take(&client.input.filled()[..self.held]);
        }
        Ok(())
    }

    /// A place among the calls that the service is given at once, where that is adapted.
    fn admit(&self) -> Result<Option<Waiting>, Failed> {
        let Some(adaptive) = &self.service.adaptive else { return Ok(None) };
        let turned_away = || failed(overloaded(self.service), true, clock::now());
        adaptive.admit(self.limits.priority).map(Some).ok_or_else(turned_away)
    }

    /// Asks one endpoint.
    async fn attempt(
        &mut self,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
    ) -> Result<Attempt, Failed> {
        let began = clock::now();
        let mut called = 'begun: {
            let picked = self.pick(exchange, began)?;
            exchange.outcome.attempt(&picked.endpoint);
            let slot = match at_hand(&picked.endpoint, self.wish) {
                Ok((connection, slot)) => {
                    break 'begun self.begin(client, exchange, picked, connection, slot);
                }
                Err(slot) => slot,
            };
            // On the heap: most requests find a connection, and do not carry the state of getting one.
            match Box::pin(self.connect(worker, client, exchange, &picked.endpoint, slot)).await {
                Ok((connection, slot)) => self.begin(client, exchange, picked, connection, slot),
                Err(failure) => return self.not_reached(exchange, &picked, failure, began),
            }
        };
        let leg = &mut called.leg;
        let heads = match self.limits.hedge.as_ref().filter(|rules| rules.fit(&exchange.request)) {
            None => exchange_heads(worker, client, exchange, leg, self.held, &self.bounds).await,
            // On the heap: those without it do not carry the state of two.
            Some(rules) => {
                let Self { hash, wish, bounds, tries, .. } = self;
                let timeouts = &self.limits.timeouts;
                let terms = hedge::Terms { rules, hash: *hash, wish: *wish, timeouts, bounds };
                Box::pin(hedge::race(worker, client, exchange, leg, tries, terms)).await
            }
        };
        match heads {
            Ok(progress) => Ok(self.answered(worker, client, exchange, called, &progress, began)),
            Err(failure) => self.failed(exchange, &called.leg, failure, began),
        }
    }

    /// The endpoint to ask.
    fn pick(&mut self, exchange: &Exchange, now: Instant) -> Result<Picked, Failed> {
        self.tries.pick(self.hash, affinity::sticky(exchange, self.service)).map_err(|none| {
            let refusal = match none {
                Unavailable::Until(wait) => breaker_open(self.service, wait),
                Unavailable::NoEndpoint => unavailable(self.service, exchange),
            };
            failed(refusal, self.is_unseen, now)
        })
    }

    /// Begins to send the request over a connection to the endpoint.
    fn begin(
        &mut self,
        client: &Client,
        exchange: &mut Exchange,
        picked: Picked,
        connection: Connection,
        slot: Slot,
    ) -> Box<Called> {
        exchange.outcome.connected();
        self.is_unseen = false;
        exchange.outcome.is_body_touched = exchange.request.framing != Framing::None && self.held == 0;
        self.rpc.tell_deadline(&mut exchange.request, self.bounds.due);
        let body = start(client, exchange, &connection, self.held, self.rpc.request_transform());
        // Where it stays: it is not moved from hand to hand any more.
        Box::new(Called {
            leg: Leg { picked, connection, slot: Some(slot), body },
            held: self.held as u64,
            is_sent: false,
            is_reusable: false,
            answer_transform: None,
            answer_tap: None,
            timeouts: self.limits.timeouts,
            due: self.bounds.due,
        })
    }

    /// There was no connection to the endpoint.
    fn not_reached(
        &mut self,
        exchange: &mut Exchange,
        picked: &Picked,
        failure: Failure,
        began: Instant,
    ) -> Result<Attempt, Failed> {
        match failure {
            Failure::Queue(status, code, cause) => {
                let refusal = refusal(self.service, &picked.endpoint, status, code, cause.to_owned());
                // When the request's time is over it is over for everybody.
                Err(failed(refusal, self.is_unseen && code == "upstream_busy", began))
            }
            Failure::Service { status, code, cause, .. } => {
                picked.failed(clock::now().saturating_duration_since(began));
                picked.endpoint.metrics.connect_failures.add(1);
                let pause =
                    self.tries.again(Cause::Connect, picked.index, self.may_resend, None, self.bounds.due);
                let Some(pause) = pause else {
                    let refusal = refusal(self.service, &picked.endpoint, status, code, cause);
                    return Err(failed(refusal, self.is_unseen, began));
                };
                exchange.outcome.attempt_failed(began, code, None);
                Ok(Attempt::Failed(pause))
            }
            failure => Err(given_up(failure)),
        }
    }

    /// An answer has begun, which may still be one that the route's rules want nobody to see.
    fn answered(
        &mut self,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        mut called: Box<Called>,
        progress: &Progress,
        began: Instant,
    ) -> Attempt {
        exchange.outcome.first_byte();
        let status = exchange.response.status;
        let picked = &called.leg.picked;
        // First: the breaker that it opens allows no further attempt.
        picked.answered(status, exchange.outcome.since_sent());
        let may_reuse = !progress.write_failed && !resend::has_unexpected_body(&exchange.request);
        let cause = Cause::Status(status);
        let asked = || exchange.response.fields.get(Known::RetryAfter).and_then(retry::retry_after);
        let may_resend = self.may_resend && progress.is_sent;
        if self.limits.retry.names(cause)
            && let Some(pause) = self.tries.again(cause, picked.index, may_resend, asked(), self.bounds.due)
        {
            exchange.outcome.attempt_failed(began, "", Some(status));
            let may_reuse = may_reuse && exchange.response.persistent;
            let Leg { picked, mut connection, .. } = called.leg;
            if may_reuse && discard_body(&mut connection, exchange.response.framing) {
                picked.endpoint.give_back(connection, worker);
            }
            exchange.response.clear();
            return Attempt::Failed(pause);
        }
        if self.held > 0 {
            client.input.consume(self.held);
        }
        affinity::set_sticky(self.service, picked, exchange);
        called.answer_transform = self.rpc.translate_answer(&mut exchange.response);
        called.is_sent = progress.is_sent;
        called.is_reusable = may_reuse;
        Attempt::Answered(called)
    }

    /// No answer came over the connection.
    fn failed(
        &mut self,
        exchange: &mut Exchange,
        leg: &Leg,
        failure: Failure,
        began: Instant,
    ) -> Result<Attempt, Failed> {
        let Failure::Service { status, code, cause, heard, retry, is_to_blame } = failure else {
            return Err(given_up(failure));
        };
        let Leg { picked, connection, body, .. } = leg;
        let is_untouched = body.is_untouched();
        if self.wish.opened_after.is_none()
            && is_untouched
            && resend::may_repeat(heard, connection, &exchange.request, self.held)
        {
            return Ok(Attempt::Stale);
        }
        if is_to_blame {
            picked.failed(exchange.outcome.since_sent());
        }
        let may_resend = self.may_resend && is_untouched;
        let again = |cause| self.tries.again(cause, picked.index, may_resend, None, self.bounds.due);
        let Some(pause) = retry.and_then(again) else {
            return Err(refusal(self.service, &picked.endpoint, status, code, cause).into());
        };
        exchange.outcome.attempt_failed(began, code, None);
        exchange.response.clear();
        Ok(Attempt::Failed(pause))
    }

    /// Waits for leave to use a connection, unless that is given, and opens one, if none has come back meanwhile.
    async fn connect(
        &self,
        worker: &Worker,
        client: &mut Client,
        exchange: &Exchange,
        endpoint: &Rc<Endpoint>,
        slot: Option<Slot>,
    ) -> Result<(Connection, Slot), Failure> {
        let (timeouts, due) = (&self.limits.timeouts, self.bounds.due);
        let slot = if let Some(slot) = slot {
            slot
        } else {
            let slot = wait_for_slot(worker, client, endpoint, due).await?;
            if let Some(connection) = endpoint.take(self.wish) {
                return Ok((connection, slot));
            }
            slot
        };
        client.deadline.set(due.min(clock::now() + timeouts.opening()));
        let setup = Setup::new(client, exchange.caller.ip, endpoint, timeouts);
        match client.unless_gone(worker, Box::pin(endpoint.connect(self.wish, setup))).await {
            Ok(Ok(connection)) => Ok((connection, slot)),
            Ok(Err(error)) => Err(not_opened(error.status(), error.code(), error.to_string())),
            Err(Interrupted::TimedOut) if clock::now() >= due => {
                let cause = "the request's time was over while a connection was opened";
                Err(Failure::Queue(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", cause))
            }
            Err(Interrupted::TimedOut) => {
                let cause = "no connection came about in time".to_owned();
                Err(not_opened(StatusCode::GATEWAY_TIMEOUT, "upstream_connect_timeout", cause))
            }
            Err(Interrupted::Gone) => Err(Failure::Gone),
        }
    }
}

/// A connection that is there at once; otherwise leave to open one, if there is room for it.
fn at_hand(endpoint: &Endpoint, wish: Wish) -> Result<(Connection, Slot), Option<Slot>> {
    let slot = endpoint.pool.try_slot().ok_or(None)?;
    match endpoint.take(wish) {
        Some(connection) => Ok((connection, slot)),
        None => Err(Some(slot)),
    }
}

async fn wait_for_slot(
    worker: &Worker,
    client: &mut Client,
    endpoint: &Endpoint,
    due: Instant,
) -> Result<Slot, Failure> {
    client.deadline.set(due.min(clock::now() + endpoint.pool.limits().queue_for));
    match client.unless_gone(worker, endpoint.pool.slot()).await {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(QueueFull)) => Err(busy("the queue for its connections is full")),
        Err(Interrupted::TimedOut) if clock::now() < due => {
            Err(busy("no connection of it became free in time"))
        }
        Err(Interrupted::TimedOut) => {
            let cause = "the request's time was over while it waited for a connection";
            Err(Failure::Queue(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", cause))
        }
        Err(Interrupted::Gone) => Err(Failure::Gone),
    }
}

fn busy(cause: &'static str) -> Failure {
    Failure::Queue(StatusCode::SERVICE_UNAVAILABLE, "upstream_busy", cause)
}

fn not_opened(status: StatusCode, code: &'static str, cause: String) -> Failure {
    Failure::Service {
        status,
        code,
        cause,
        heard: Heard::Nothing,
        retry: Some(Cause::Connect),
        is_to_blame: true,
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
