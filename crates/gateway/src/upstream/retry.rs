//! Whether and when a call that failed is tried again: a route's rules, and what a service's retries may add to its requests.

use std::cell::Cell;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::balance::Random;
use super::latency::Latencies;
use super::{Affinity, Picked, Service, Unavailable};
use crate::clock;

/// A route's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Attempts in all, the first among them.
    pub attempts: u32,
    /// Whether to try again when no connection came about.
    pub on_connect: bool,
    /// Whether to try again when the connection broke before an answer began.
    pub on_reset: bool,
    /// Whether to try again when no answer began in time.
    pub on_timeout: bool,
    /// Answers after which to try again.
    pub statuses: Box<[u16]>,
    /// Methods of requests that may be sent twice.
    pub methods: Box<[Method]>,
    /// Millionths of a retry that each request makes room for.
    pub budget: u32,
    /// The longest pause before the second attempt.
    pub backoff: Duration,
    /// How long one attempt may take to begin its answer, where that is less than any call may.
    pub timeout: Option<Duration>,
}

/// Why an attempt led to no answer, or to none that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection came about.
    Connect,
    /// The connection broke before an answer began.
    Reset,
    /// No answer began in time.
    Timeout,
    /// This answer.
    Status(StatusCode),
}

/// The longest that a request is held because an endpoint asks for it: more clients would come meanwhile than leave.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Pauses grow up to so many times the first.
const LONGEST_PAUSE: u32 = 10;

impl Rules {
    /// Whether requests may be sent twice, so that their bodies are worth holding.
    pub fn resends(&self, method: &Method) -> bool {
        self.attempts > 1
            && (self.on_reset || self.on_timeout || !self.statuses.is_empty())
            && self.methods.contains(method)
    }

    /// Whether this is a failure after which to try again.
    pub fn names(&self, cause: Cause) -> bool {
        match cause {
            Cause::Connect => self.on_connect,
            Cause::Reset => self.on_reset,
            Cause::Timeout => self.on_timeout,
            Cause::Status(status) => self.statuses.contains(&status.as_u16()),
        }
    }

    /// The pause before a further attempt, drawn from none to the longest ("full jitter").
    pub(super) fn pause(&self, made: u32, random: &Random) -> Duration {
        let times = 1_u32.checked_shl(made.saturating_sub(1)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        let longest = self.backoff.saturating_mul(times).as_micros();
        Duration::from_micros(random.below(u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1)))
    }
}

/// What the retries of a service may add to its requests, on one worker: an account in millionths of a retry, into which
/// every request pays the route's share.
///
/// In an outage every request wants to be sent again, to endpoints that are too busy as it is. With a share of 20 % they get
/// 1.2 times what they would get, and not a multiple.
#[derive(Debug)]
pub(super) struct Budget {
    millionths: Cell<u64>,
    paid_at: Cell<Option<Instant>>,
}

const RETRY: u64 = 1_000_000;
/// What is kept for those who fail together, as when an endpoint dies: more would be an outage.
const MOST: u64 = 100 * RETRY;
/// How often a retry is allowed that nobody has paid for: a service that is rarely called has retries too.
const EVERY: Duration = Duration::from_secs(1);

impl Default for Budget {
    fn default() -> Self {
        Self { millionths: Cell::new(MOST), paid_at: Cell::new(None) }
    }
}

impl Budget {
    /// A request pays its share.
    pub(super) fn pay(&self, share: u32) {
        self.millionths.set((self.millionths.get() + u64::from(share)).min(MOST));
    }

    /// Takes what one retry costs, if it is there.
    pub(super) fn take(&self, now: Instant) -> bool {
        let paid_at = self.paid_at.get();
        if paid_at.is_none_or(|paid_at| now.saturating_duration_since(paid_at) >= EVERY) {
            self.paid_at.set(Some(now));
            return true;
        }
        let rest = self.millionths.get().checked_sub(RETRY);
        if let Some(rest) = rest {
            self.millionths.set(rest);
        }
        rest.is_some()
    }
}

/// What one request has tried.
#[derive(Debug)]
pub(super) struct Tries<'c> {
    rules: &'c Rules,
    service: &'c Service,
    /// Endpoints that have failed, by their place.
    failed: Vec<usize>,
    /// Whether all have, so that they are tried again.
    went_round: bool,
    made: u32,
}

impl<'c> Tries<'c> {
    /// A request pays its share, and has tried nothing.
    pub(super) fn new(rules: &'c Rules, service: &'c Service) -> Self {
        service.memory.budget.pay(rules.budget);
        Self { rules, service, failed: Vec::new(), went_round: false, made: 0 }
    }

    /// The endpoint for the next attempt: one that has not failed yet, while there is one.
    pub(super) fn pick(&mut self, hash: Option<u64>, sticky: Option<&[u8]>) -> Result<Picked, Unavailable> {
        let now = clock::now();
        let permit = self.service.admit(now).map_err(Unavailable::Until)?;
        let mut picked = self.service.pick(hash, sticky, &self.failed, now);
        if picked.is_err() && !self.failed.is_empty() {
            self.failed.clear();
            self.went_round = true;
            picked = self.service.pick(hash, sticky, &[], now);
        }
        if let Ok(picked) = &picked
            && self.made > 0
        {
            picked.endpoint.metrics.retries.add(1);
        }
        picked.map(|picked| picked.with_permit(permit))
    }

    /// Another endpoint to ask the same of while this one has not answered, if the budget has room for it. None while the service
    /// fails, where a cookie says which endpoint it is, and none that nobody can be let in to at once.
    pub(super) fn hedge(&mut self, than: &Picked, hash: Option<u64>) -> Option<Picked> {
        let now = clock::now();
        let service = self.service;
        if matches!(*service.spec.affinity, Affinity::Cookie(_)) || !service.is_closed(now) {
            return None;
        }
        let permit = service.admit(now).ok()?;
        let mut tried = self.failed.clone();
        tried.push(than.index);
        let picked = service.pick(hash, None, &tried, now).ok()?;
        if !picked.endpoint.pool.has_room() {
            return None;
        }
        if !service.memory.budget.take(now) {
            picked.endpoint.metrics.hedges_denied.add(1);
            return None;
        }
        Some(picked.with_permit(permit))
    }

    /// Whether an answer is one that another may be better than.
    pub(super) fn is_unwanted(&self, status: StatusCode) -> bool {
        matches!(status.as_u16(), 502..=504) || self.rules.names(Cause::Status(status))
    }

    /// How long the service's answers take to begin.
    pub(super) fn latencies(&self) -> &Latencies {
        self.service.memory.latencies.get_or_init(Box::default)
    }

    /// After an attempt at the endpoint in this place: the pause before the next one, or nothing if there is none. An endpoint
    /// that `asked` to be left alone for a time is, unless another can be tried.
    pub(super) fn again(
        &mut self,
        cause: Cause,
        index: usize,
        may_resend: bool,
        asked: Option<Duration>,
        due: Instant,
    ) -> Option<Duration> {
        self.made += 1;
        let is_sendable = cause == Cause::Connect || may_resend;
        if self.made >= self.rules.attempts || !is_sendable || !self.rules.names(cause) {
            return None;
        }
        self.failed.push(index);
        let now = clock::now();
        let has_other = !self.went_round && self.service.has_other(&self.failed, now);
        let asked = asked.unwrap_or_default();
        // What came back is worth more than the word that the service is not called.
        let is_vain = !self.service.is_closed(now) || !has_other && asked > LONGEST_WAIT;
        if is_vain {
            return None;
        }
        if cause == Cause::Connect && has_other {
            // Nobody has more to do for it.
            return (now < due).then_some(Duration::ZERO);
        }
        let mut pause = self.rules.pause(self.made, &self.service.memory.random);
        if !has_other {
            pause = pause.max(asked);
        }
        if now.checked_add(pause).is_none_or(|then| then >= due) {
            return None;
        }
        let is_paid = self.service.memory.budget.take(now);
        if !is_paid {
            self.service.endpoints[index].metrics.retries_denied.add(1);
        }
        is_paid.then_some(pause)
    }
}

/// The seconds that an answer asks to be left alone for (RFC 9110, section 10.2.3); a date is not heeded.
pub(super) fn retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn rules() -> Rules {
        Rules {
            attempts: 3,
            on_connect: true,
            on_reset: false,
            on_timeout: false,
            statuses: Box::new([502, 503]),
            methods: Box::new([Method::GET, Method::PUT]),
            budget: 200_000,
            backoff: Duration::from_millis(25),
            timeout: None,
        }
    }

    #[test]
    fn only_what_the_rules_name_is_tried_again() {
        let rules = rules();
        assert!(rules.names(Cause::Connect));
        assert!(!rules.names(Cause::Reset));
        assert!(!rules.names(Cause::Timeout));
        assert!(rules.names(Cause::Status(StatusCode::BAD_GATEWAY)));
        assert!(!rules.names(Cause::Status(StatusCode::GATEWAY_TIMEOUT)));
        assert!(rules.resends(&Method::PUT));
        assert!(!rules.resends(&Method::POST));
        assert!(!Rules { attempts: 1, ..rules.clone() }.resends(&Method::GET));
        assert!(!Rules { statuses: Box::default(), ..rules }.resends(&Method::GET));
    }

    #[test]
    fn retries_are_the_share_of_the_requests_beside_what_was_kept() {
        let budget = Budget::default();
        let now = Instant::now();
        let mut taken = 0;
        for _ in 0..10_000 {
            budget.pay(200_000);
            taken += u64::from(budget.take(now));
        }
        // The first second's, what was kept, and the share, less what there was no room for.
        assert!((2_098..=2_101).contains(&taken), "{taken}");
        assert!(!budget.take(now));
        assert!(budget.take(now + EVERY), "one a second in any case");
        assert!(!budget.take(now + EVERY));
    }

    #[test]
    fn retry_after_is_read_as_seconds() {
        assert_eq!(retry_after(b"7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(b" 0 "), Some(Duration::ZERO));
        assert_eq!(retry_after(b"Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(retry_after(b"-1"), None);
        assert_eq!(retry_after(b""), None);
        assert_eq!(retry_after(b"99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(made in 1_u32..100, seed in any::<u64>()) {
            let rules = rules();
            let pause = rules.pause(made, &Random::new(seed, 0));
            let times = 2_u32.saturating_pow(made - 1).min(LONGEST_PAUSE);
            prop_assert!(pause <= rules.backoff * times);
        }
    }
}
