//! What became of an exchange: noted on the way, and turned into a log line and metrics at its end (stage `record`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::clock;
use crate::config::values::Country;
use crate::exchange::Exchange;
use crate::firewall::Findings;
use crate::record::{FailedAttempt, Line};
use crate::refusal::{Refusal, Stage};
use crate::upstream::Endpoint;
use crate::worker::Worker;

/// The status in the log when the client left before it got one, as nginx writes it.
const CLIENT_GONE: u16 = 499;

/// What became of an exchange.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The status that was sent, if any.
    pub status: Option<StatusCode>,
    /// The status of a call of gRPC, by name.
    pub grpc_status: Option<&'static str>,
    /// The country that it came from, where a policy asked.
    pub country: Option<Country>,
    /// Why the gateway refused, or what broke.
    pub code: Option<&'static str>,
    /// The stage that refused.
    pub stage: Option<&'static str>,
    /// Whether the request itself was to blame for it, by what a policy of the route found.
    pub is_callers_fault: bool,
    /// What the service's side did wrong, for the operator.
    pub cause: String,
    /// In place of which refusal a fallback answered.
    pub fallback: Option<&'static str>,
    /// What the firewall found in the request.
    pub findings: Option<Box<Findings>>,
    /// The limit that refused, as `RateLimit-Policy` names it, be it told there or not.
    pub limit: Option<Arc<str>>,
    /// What decided on limits that gateways share.
    pub limited_by: Option<&'static str>,
    /// The service that was called.
    pub service: Option<Rc<str>>,
    /// The endpoint that was tried last.
    pub endpoint: Option<Rc<Endpoint>>,
    /// Tries to reach an endpoint.
    pub attempts: u32,
    /// Those that were followed by another.
    pub failed_attempts: Vec<FailedAttempt>,
    /// Whether some of the request's body may have been taken from the client's connection.
    pub is_body_touched: bool,
    /// What came of a look at the service's answer, where a policy took one.
    pub review: Option<&'static str>,
    /// What was wrong with it.
    pub violations: Option<Box<Violated>>,
    /// Bytes of the request's body that were moved.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// How long policies had it wait: for its turn at a limit, or for whom they had to ask.
    pub waited: Duration,
    /// When the attempt that counts began.
    pub attempted_at: Option<Instant>,
    /// When its connection to the service was there.
    pub connected_at: Option<Instant>,
    /// When the request had been sent.
    pub sent_at: Option<Instant>,
    /// When the answer's head was there.
    pub first_byte_at: Option<Instant>,
    /// How long the gateway worked on it, waiting for nobody.
    pub worked: Duration,
}

/// What was wrong with a service's answer.
#[derive(Debug)]
pub struct Violated {
    /// How many things, as far as they were counted.
    pub count: usize,
    /// The first of them.
    pub first: String,
}

impl Outcome {
    /// Forgets everything.
    pub fn clear(&mut self) {
        let mut cause = std::mem::take(&mut self.cause);
        cause.clear();
        *self = Self { cause, ..Self::default() };
    }

    /// The gateway answered itself.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.code = Some(refusal.code);
        self.stage = Some(refusal.stage.as_str());
        let is_policys = (Stage::Admit..=Stage::Validate).contains(&refusal.stage);
        self.is_callers_fault = is_policys && refusal.status.is_client_error();
        self.blame(refusal);
    }

    /// A policy has not seen all of the service's answer; what it has seen may have been enough.
    pub fn unseen(&mut self, why: &'static str) {
        self.review.get_or_insert(why);
    }

    /// A fallback answers instead of the gateway's refusal, or tries to.
    pub fn fell_back(&mut self, refusal: &Refusal) {
        self.fallback = Some(refusal.code);
        self.blame(refusal);
    }

    fn blame(&mut self, refusal: &Refusal) {
        if let Some(upstream) = &refusal.upstream {
            self.cause.clear();
            self.cause.push_str(&upstream.cause);
        }
    }

    /// The answer did not reach its end.
    pub fn broken(&mut self, code: &'static str) {
        self.code = Some(code);
    }

    /// An endpoint is tried.
    pub fn attempt(&mut self, endpoint: &Rc<Endpoint>) {
        self.endpoint = Some(Rc::clone(endpoint));
        self.attempts += 1;
        self.attempted_at = Some(clock::now());
        self.connected_at = None;
    }

    /// What was tried has failed, and something else will be.
    pub fn attempt_failed(&mut self, began: Instant, code: &'static str, status: Option<StatusCode>) {
        let Some(endpoint) = self.endpoint.take() else { return };
        self.note_failed(&endpoint, began, code, status);
        self.connected_at = None;
        self.sent_at = None;
        self.first_byte_at = None;
    }

    /// An attempt beside the one that counts has failed.
    pub fn note_failed(
        &mut self,
        endpoint: &Endpoint,
        began: Instant,
        code: &'static str,
        status: Option<StatusCode>,
    ) {
        self.failed_attempts.push(FailedAttempt {
            endpoint: Arc::clone(&endpoint.spec.url),
            code,
            status: status.map_or(0, |status| status.as_u16()),
            duration_us: clock::now().saturating_duration_since(began).as_micros() as u64,
        });
    }

    /// What was tried has failed, or was slower than another endpoint, which was turned to and sent the request at these times.
    pub fn outrun(
        &mut self,
        began: Instant,
        code: &'static str,
        by: &Rc<Endpoint>,
        [attempted_at, sent_at]: [Instant; 2],
    ) {
        self.attempt_failed(began, code, None);
        self.endpoint = Some(Rc::clone(by));
        self.attempted_at = Some(attempted_at);
        self.connected_at = Some(sent_at);
        self.sent_at = Some(sent_at);
    }

    /// A connection to the service is there.
    pub fn connected(&mut self) {
        self.connected_at = Some(clock::now());
        self.sent_at = None;
    }

    /// The request has been sent whole. Reads the clock, so that our own work does not count as the service's.
    pub fn sent(&mut self) {
        self.sent_at = Some(clock::refresh());
    }

    /// The answer's head is there.
    pub fn first_byte(&mut self) {
        self.first_byte_at = Some(clock::now());
    }

    /// What the access log says of it, whatever it was; times count from `started`.
    #[expect(clippy::inline_always, reason = "a line is large, and half of it is filled in by whoever asks")]
    #[inline(always)]
    pub fn line(&self, started: Instant) -> Line<'_> {
        let micros = |from: Instant, to: Instant| to.saturating_duration_since(from).as_micros() as u64;
        let connection = self.attempted_at.zip(self.connected_at);
        Line {
            unix_ms: clock::unix_ms(),
            country: self.country.map_or("", Country::as_str),
            grpc_status: self.grpc_status.unwrap_or_default(),
            service: self.service.as_deref().unwrap_or_default(),
            endpoint: self.endpoint.as_ref().map_or("", |endpoint| &endpoint.spec.url),
            code: self.code.unwrap_or_default(),
            stage: self.stage.unwrap_or_default(),
            limit: self.limit.as_deref().unwrap_or_default(),
            cause: &self.cause,
            fallback: self.fallback.unwrap_or_default(),
            violations: self.violations.as_ref().map_or(0, |violated| violated.count),
            first_violations: self.violations.as_ref().map_or("", |violated| &violated.first),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            wait_us: (!self.waited.is_zero()).then_some(self.waited.as_micros() as u64),
            connect_us: connection.map(|(from, to)| micros(from, to)),
            first_byte_us: self.first_byte_at.map(|at| micros(started, at)),
            attempts: self.attempts,
            failed_attempts: &self.failed_attempts,
            findings: self.findings.as_deref(),
            ..Line::default()
        }
    }

    /// The time since the request was sent, or since there was a connection to send it on.
    pub fn since_sent(&self) -> Duration {
        let since = self.sent_at.or(self.connected_at);
        since.map_or(Duration::ZERO, |since| clock::now().saturating_duration_since(since))
    }
}

/// Stage `record`: the metrics and the log line of an exchange that has ended.
pub fn record(worker: &Worker, exchange: &Exchange) {
    let outcome = &exchange.outcome;
    let now = clock::now();
    let total = now.saturating_duration_since(exchange.started);
    let status = outcome.status.map_or(CLIENT_GONE, |status| status.as_u16());
    worker.record(exchange, status, total);
}
