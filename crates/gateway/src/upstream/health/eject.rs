//! Passive ejection: an endpoint that fails several times in a row, or in too large a share of its calls, is put out for a while,
//! each time for longer.
//!
//! When the while is over it gets few requests at first, then more. It never happens to more than a share of a service's
//! endpoints: where most fail the fault may be elsewhere, and the others would break down under what is left.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{EndpointHealth, lock};
use crate::upstream::tally::{Counts, Lane, Share, Verdict};

/// When endpoints of a service are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectRules {
    /// After so many failures one after another.
    pub errors: Option<u32>,
    /// When so many of its calls failed within this time.
    pub share: Option<(Share, Duration)>,
    /// For how long, the first time.
    pub time: Duration,
    /// The share of the endpoints that may be out at once, in millionths.
    pub most: u32,
    /// For how long it gets fewer requests afterwards.
    pub slow_start: Duration,
}

/// How much longer than the first time an endpoint is put out at most.
pub(super) const LONGEST: u32 = 10;

/// What puts endpoints of a service out, as one worker has it.
#[derive(Debug)]
pub struct Ejection {
    /// The rules.
    pub rules: EjectRules,
    /// Endpoints that get requests.
    serving: usize,
    /// Where the worker counts the calls of each endpoint, if a share of them matters.
    lanes: Box<[Arc<Lane>]>,
}

/// That an endpoint was put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejected {
    /// For how long.
    pub time: Duration,
    /// What for.
    pub reason: Reason,
}

/// What an endpoint was put out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// So many failures one after another.
    InARow(u32),
    /// Too many of these calls failed.
    Share(Counts),
}

impl Ejection {
    /// That of a service with these endpoints, so many of which get requests.
    pub fn new<'e>(
        rules: EjectRules,
        endpoints: impl Iterator<Item = &'e EndpointHealth>,
        serving: usize,
        worker: usize,
    ) -> Self {
        let window = rules.share.map(|(_, window)| window);
        let lanes = endpoints.filter_map(|endpoint| Some(endpoint.tally.lane(worker, window?)));
        Self { rules, serving, lanes: lanes.collect() }
    }

    /// The endpoint in this place answered as it should.
    pub fn succeeded(&self, endpoint: &EndpointHealth, index: usize, now: Instant) {
        endpoint.succeeded();
        if let Some(lane) = self.lanes.get(index) {
            lane.count(Verdict::default(), endpoint.service.millis(now));
        }
    }

    /// The endpoint in this place failed. Whether it was put out for that.
    pub fn failed(&self, endpoint: &EndpointHealth, index: usize, now: Instant) -> Option<Ejected> {
        let now = endpoint.service.millis(now);
        if let Some(lane) = self.lanes.get(index) {
            lane.count(Verdict { failed: true, slow: false }, now);
        }
        endpoint.failed(&self.rules, self.serving, now)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(errors) => write!(f, "after {errors} failures in a row"),
            Self::Share(counts) => write!(f, "as {} of {} calls failed", counts.failed, counts.calls),
        }
    }
}

impl EndpointHealth {
    /// It answered as it should.
    pub(super) fn succeeded(&self) {
        // Only read as a rule: what nobody writes to stays in every core's cache.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It failed, one of so many that serve. Whether it was put out for that.
    pub(super) fn failed(&self, rules: &EjectRules, serving: usize, now_ms: u64) -> Option<Ejected> {
        // What was under way when it was put out says nothing new; and where none may be out nothing is counted.
        let most = serving as u64 * u64::from(rules.most) / 1_000_000;
        if most == 0 || now_ms < self.out_until.load(Ordering::Relaxed) {
            return None;
        }
        let reason = self.reason(rules, now_ms)?;
        let endpoints = lock(&self.service.endpoints);
        let out_until = self.out_until.load(Ordering::Relaxed);
        if now_ms < out_until {
            // Another worker was faster.
            return None;
        }
        let is_out = |one: &Arc<EndpointHealth>| {
            one.is_down.load(Ordering::Relaxed) || now_ms < one.out_until.load(Ordering::Relaxed)
        };
        let out = endpoints.values().filter_map(Weak::upgrade).filter(is_out).count() as u64;
        if out >= most {
            // Not asked again for every failure of an outage.
            self.count_anew(now_ms);
            return None;
        }
        // Whoever stayed in for as long as the longest time begins anew.
        let longest = rules.time.saturating_mul(LONGEST).as_millis() as u64;
        let stayed = out_until == 0 || now_ms - out_until > longest;
        let ejections = if stayed { 1 } else { self.ejections.load(Ordering::Relaxed).saturating_add(1) };
        let time = rules.time.saturating_mul(ejections.min(LONGEST));
        let out_until = now_ms.saturating_add(time.as_millis() as u64);
        self.ejections.store(ejections, Ordering::Relaxed);
        self.count_anew(out_until);
        self.out_until.store(out_until, Ordering::Relaxed);
        Some(Ejected { time, reason })
    }

    /// What it is to be put out for after one more failure, if for anything.
    fn reason(&self, rules: &EjectRules, now_ms: u64) -> Option<Reason> {
        if let Some(errors) = rules.errors {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures >= errors {
                return Some(Reason::InARow(errors));
            }
        }
        let (share, window) = rules.share?;
        let counts = self.tally.sum(window, self.counted_from.load(Ordering::Relaxed), now_ms);
        share.is_reached(counts.failed, counts.calls).then_some(Reason::Share(counts))
    }
}
