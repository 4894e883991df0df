//! Hedging: a request whose answer is slow to begin is asked of another endpoint too, and the first answer wins.
//!
//! Both are polled by the exchange's one task. The second has a connection, a place in its pool and the head of an answer of its own;
//! where it wins they take the place of the first's, and who loses is dropped, which ends what it was asked.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http1::{Framing, RequestHead, ResponseHead};

use super::call::{Bounds, Failure, Heard, Leg};
use super::connect::{Setup, Wish};
use super::retry::{Cause, Tries};
use super::send::{MAX_INTERIM, Progress, encode_leg, malformed, start};
use super::{Connection, Endpoint, Picked, Slot, Timeouts};
use crate::accept::Client;
use crate::clock::{self, Deadline};
use crate::exchange::Exchange;
use crate::translate::grpc::Dialect;
use crate::worker::Worker;

/// What the log calls an attempt that another was faster than.
const OUTRUN: &str = "outrun";

/// When another endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// When no answer has begun by then.
    pub after: After,
    /// For requests of these methods.
    pub methods: Box<[Method]>,
}

/// How long the first endpoint has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// This long.
    Time(Duration),
    /// As long as this percentage of the service's answers take.
    Percentile(u8),
}

/// What a call may take, and what it wants.
pub(super) struct Terms<'t> {
    pub(super) rules: &'t Rules,
    pub(super) hash: Option<u64>,
    pub(super) wish: Wish,
    pub(super) timeouts: &'t Timeouts,
    pub(super) bounds: &'t Bounds,
}

/// A race for one answer.
struct Race<'r, 'c> {
    terms: Terms<'r>,
    tries: &'r mut Tries<'c>,
    first: Progress,
    began: Instant,
    /// What became of the first, when the second still runs.
    first_failed: Option<Failure>,
    after: Option<Duration>,
    timer: Deadline,
    second: Second,
}

/// How far the second endpoint is.
enum Second {
    /// It may be asked.
    None,
    /// A connection to it is opened, since then.
    Connecting(Picked, Instant, Connecting),
    /// It is asked.
    Asked(Box<Asked>),
    /// It has failed, or there is none.
    Over,
}

type Connecting = Pin<Box<dyn Future<Output = Result<(Connection, Slot), &'static str>>>>;

/// What the second endpoint is asked with.
struct Asked {
    leg: Leg,
    progress: Progress,
    response: ResponseHead,
    began: Instant,
    sent_at: Instant,
}

/// Whose answer has begun.
enum Winner {
    First,
    Second(Box<Asked>),
}

impl Rules {
    /// Whether such a request may be asked twice at a time: one that changes nothing and has no body.
    pub fn fit(&self, request: &RequestHead) -> bool {
        self.methods.contains(&request.method)
            && request.framing == Framing::None
            && request.upgrade.is_empty()
            && Dialect::of(request).is_none()
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{time:?}"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

/// As [`super::send::exchange_heads`], with a second endpoint when the first is slow. In the end the leg is the winner's.
pub(super) async fn race(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    leg: &mut Leg,
    tries: &mut Tries<'_>,
    terms: Terms<'_>,
) -> Result<Progress, Failure> {
    encode_leg(worker, exchange, leg, &[])?;
    let began = clock::now();
    client.deadline.set(terms.bounds.first_byte_due(began));
    let timer = Deadline::default();
    let after = match terms.rules.after {
        After::Time(time) => Some(time),
        After::Percentile(percent) => tries.latencies().percentile(percent),
    };
    if let Some(after) = after {
        timer.set(began + after);
    }
    let mut race = Race {
        terms,
        tries,
        first: Progress::default(),
        began,
        first_failed: None,
        after,
        timer,
        second: Second::None,
    };
    for _ in 0..=MAX_INTERIM {
        let result = poll_fn(|context| race.poll(context, worker, client, exchange, leg)).await;
        race.tell_latency(exchange, &result);
        match result {
            Ok(Winner::First) => {
                let status = exchange.response.status;
                if status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(malformed("it switched protocols, which nobody asked for".to_owned()));
                }
                if !status.is_informational() {
                    race.end_second(exchange, OUTRUN, None);
                    return Ok(race.first);
                }
                client.send_interim(worker, exchange).await.map_err(|_| Failure::Gone)?;
                race.first.interim(status);
            }
            Ok(Winner::Second(asked)) => return Ok(race.replace(exchange, leg, *asked)),
            Err(failure) => {
                race.end_second(exchange, OUTRUN, None);
                return Err(failure);
            }
        }
    }
    Err(malformed("it sent too many interim answers".to_owned()))
}

impl Race<'_, '_> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
        leg: &mut Leg,
    ) -> Poll<Result<Winner, Failure>> {
        let bounds = self.terms.bounds;
        if self.first_failed.is_none() {
            match self.first.poll(context, worker, client, exchange, leg, bounds) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Winner::First)),
                Poll::Ready(Err(failure @ Failure::Service { .. })) if self.has_second() => {
                    self.first_failed = Some(failure);
                    client.deadline.set(bounds.first_byte_due(clock::now()));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {}
            }
        }
        // In the same turn: nobody else would see to it that the second's time is over some day.
        if self.first_failed.is_some() {
            if client.poll_gone(context, &worker.buffers).is_ready() {
                return Poll::Ready(Err(Failure::Gone));
            }
            if client.deadline.poll_passed(context).is_ready() {
                self.end_second(exchange, "upstream_timeout", None);
            }
        }
        // What the percentile is of begins when all has been sent; until then the start has to do.
        if let (Some(after), Some(sent_at)) = (self.after, exchange.outcome.sent_at) {
            self.timer.set(sent_at + after);
        }
        if matches!(self.second, Second::None) && self.timer.poll_passed(context).is_ready() {
            self.begin_second(client, exchange, leg);
        }
        self.poll_connecting(context, worker, client, exchange);
        if let Poll::Ready(asked) = self.poll_asked(context, worker, client, exchange) {
            return Poll::Ready(Ok(Winner::Second(asked)));
        }
        if !self.has_second()
            && let Some(failure) = self.first_failed.take()
        {
            return Poll::Ready(Err(failure));
        }
        Poll::Pending
    }

    fn has_second(&self) -> bool {
        matches!(self.second, Second::Connecting(..) | Second::Asked(_))
    }

    fn begin_second(&mut self, client: &Client, exchange: &mut Exchange, leg: &Leg) {
        self.second = Second::Over;
        let Some(picked) = self.tries.hedge(&leg.picked, self.terms.hash) else { return };
        exchange.outcome.attempts += 1;
        let Terms { wish, timeouts, .. } = self.terms;
        let setup = Setup::new(client, exchange.caller.ip, &picked.endpoint, timeouts);
        let reached = reach(Rc::clone(&picked.endpoint), wish, setup, timeouts.opening());
        self.second = Second::Connecting(picked, clock::now(), Box::pin(reached));
    }

    /// Sends the request to the second endpoint once there is a connection to it.
    fn poll_connecting(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &Client,
        exchange: &mut Exchange,
    ) {
        let Second::Connecting(_, _, connecting) = &mut self.second else { return };
        let Poll::Ready(reached) = connecting.as_mut().poll(context) else { return };
        let Second::Connecting(picked, began, _) = std::mem::replace(&mut self.second, Second::Over) else {
            return;
        };
        match reached {
            Ok((connection, slot)) => {
                let body = start(client, exchange, &connection, 0, None);
                let mut leg = Leg { picked, connection, slot: Some(slot), body };
                if encode_leg(worker, exchange, &mut leg, &[]).is_err() {
                    return note_lost(exchange, &leg.picked, began, "upstream_malformed", None);
                }
                let (progress, response) = (Progress::default(), ResponseHead::default());
                self.second =
                    Second::Asked(Box::new(Asked { leg, progress, response, began, sent_at: clock::now() }));
            }
            Err(code) => {
                picked.endpoint.metrics.connect_failures.add(1);
                picked.failed(clock::now().saturating_duration_since(began));
                note_lost(exchange, &picked, began, code, None);
            }
        }
    }

    /// Ready when the second has an answer that is wanted.
    fn poll_asked(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        exchange: &mut Exchange,
    ) -> Poll<Box<Asked>> {
        loop {
            let Second::Asked(asked) = &mut self.second else { return Poll::Pending };
            let result = ready!(asked.poll(context, worker, client, &exchange.request.method));
            let waited = clock::now().saturating_duration_since(asked.sent_at);
            let status = asked.response.status;
            match result {
                // The client hears of what the first endpoint is about, and of nothing else.
                Ok(()) if is_interim(status) => {
                    asked.progress.interim(status);
                    asked.response.clear();
                }
                Ok(()) if status.is_informational() => {
                    asked.leg.picked.failed(waited);
                    self.end_second(exchange, "upstream_malformed", None);
                }
                Ok(()) if self.first_failed.is_none() && self.tries.is_unwanted(status) => {
                    asked.leg.picked.answered(status, waited);
                    self.end_second(exchange, "", Some(status));
                }
                Ok(()) => {
                    if let Second::Asked(asked) = std::mem::replace(&mut self.second, Second::Over) {
                        return Poll::Ready(asked);
                    }
                }
                Err(Failure::Service { code, is_to_blame, heard, .. }) => {
                    // A kept connection that had been closed says nothing of the endpoint.
                    let is_stale = heard == Heard::Nothing && asked.leg.connection.reused;
                    if is_to_blame && !is_stale {
                        asked.leg.picked.failed(waited);
                    }
                    self.end_second(exchange, code, None);
                }
                Err(_) => self.end_second(exchange, OUTRUN, None),
            }
        }
    }

    /// The second was for nothing: it has lost or failed. What is under way with it ends.
    fn end_second(&mut self, exchange: &mut Exchange, code: &'static str, status: Option<StatusCode>) {
        match std::mem::replace(&mut self.second, Second::Over) {
            Second::Connecting(picked, began, _) => note_lost(exchange, &picked, began, code, status),
            Second::Asked(asked) => note_lost(exchange, &asked.leg.picked, asked.began, code, status),
            Second::None | Second::Over => {}
        }
    }

    /// The second has won: it takes the place of the first.
    fn replace(self, exchange: &mut Exchange, leg: &mut Leg, asked: Asked) -> Progress {
        let Asked { leg: winner, progress, response, began, sent_at } = asked;
        let waited = exchange.outcome.since_sent();
        let mut code = OUTRUN;
        if let Some(Failure::Service { code: failed, is_to_blame, heard, .. }) = self.first_failed {
            code = failed;
            let is_stale = heard == Heard::Nothing && leg.connection.reused;
            if is_to_blame && !is_stale {
                leg.picked.failed(waited);
            }
        } else {
            leg.picked.outrun(waited);
        }
        winner.picked.endpoint.metrics.hedges_won.add(1);
        exchange.outcome.outrun(self.began, code, &winner.picked.endpoint, [began, sent_at]);
        exchange.response = response;
        *leg = winner;
        progress
    }

    /// What is known of the service's latency: an answer that was not waited for took at least as long.
    fn tell_latency(&self, exchange: &Exchange, result: &Result<Winner, Failure>) {
        let is_timeout = |failure: &Failure| {
            matches!(failure, Failure::Service { retry: Some(Cause::Timeout), is_to_blame: true, .. })
        };
        let says_something = match result {
            Ok(Winner::First) => !is_interim(exchange.response.status),
            Ok(Winner::Second(..)) => self.first_failed.as_ref().is_none_or(is_timeout),
            Err(failure) => is_timeout(failure),
        };
        if says_something {
            self.tries.latencies().observe(exchange.outcome.since_sent());
        }
    }
}

impl Asked {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        method: &Method,
    ) -> Poll<Result<(), Failure>> {
        self.progress.poll_apart(context, worker, client, &mut self.leg, method, &mut self.response)
    }
}

/// Takes down that a second endpoint was asked for nothing.
fn note_lost(
    exchange: &mut Exchange,
    picked: &Picked,
    began: Instant,
    code: &'static str,
    status: Option<StatusCode>,
) {
    picked.endpoint.metrics.hedges_lost.add(1);
    exchange.outcome.note_failed(&picked.endpoint, began, code, status);
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// A connection to the second endpoint, where there was room for one; nobody waits for its time to be over.
async fn reach(
    endpoint: Rc<Endpoint>,
    wish: Wish,
    setup: Setup,
    limit: Duration,
) -> Result<(Connection, Slot), &'static str> {
    let Ok(slot) = endpoint.pool.slot().await else { return Err("upstream_busy") };
    if let Some(connection) = endpoint.take(wish) {
        return Ok((connection, slot));
    }
    match tokio::time::timeout(limit, endpoint.connect(wish, setup)).await {
        Ok(Ok(connection)) => Ok((connection, slot)),
        Ok(Err(error)) => Err(error.code()),
        Err(_) => Err("upstream_connect_timeout"),
    }
}
