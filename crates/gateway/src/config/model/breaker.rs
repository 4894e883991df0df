//! `breaker`: a service that keeps failing is not called for a while.

use std::fmt;

use schemars::JsonSchema;

use super::eject::CALLS;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_integer;
use crate::config::values::{Duration, Percent};

/// When a service is not called for a while, and when it is again. A plain number is `failures`. What fails is what counts for
/// `eject`, at any of its endpoints; requests meanwhile are refused at once, with 503 and `Retry-After`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_integer)]
pub struct Breaker {
    /// Failures within `window` after which it opens, from 1 to 10000. Default: `5`, or none where there is `errors` or `slow`.
    pub failures: Option<u32>,
    /// The share of calls within `window` that fail, at which it opens. Default: no share is too much.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Percent>,
    /// The share of calls within `window` that are slow, at which it opens. Default: no share is too much.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub slow: Option<Percent>,
    /// From when on a call is slow: how long its answer took to begin. Beside `slow` it must be there.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub slow_after: Option<Duration>,
    /// Calls within `window`, of all workers together, below which `errors` and `slow` say nothing; from 1 to 1000000.
    /// Default: `20`.
    pub calls: u32,
    /// The time within which they count. Default: `30s`.
    pub window: Duration,
    /// How long the service is not called. Default: `60s`.
    pub open_for: Duration,
    /// Calls that then try it: as many at once at most, and as many must succeed before it is called as usual, from 1 to 1000.
    /// When one fails, or is slow, it opens again. Default: `3`.
    pub half_open: u32,
    /// What has a breaker: the service as a whole, or each endpoint for itself. Default: `service`.
    pub per: BreakerPer,
}

/// What has a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, serde::Serialize)]
#[schemars(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum BreakerPer {
    /// The service as a whole: while it is open, none of its endpoints is called.
    #[default]
    Service,
    /// Each endpoint: while it is open, requests go to the others.
    Endpoint,
}

impl fmt::Display for BreakerPer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Endpoint => "endpoint",
        })
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: Some(5),
            errors: None,
            slow: None,
            slow_after: None,
            calls: 20,
            window: Duration::from_secs(30),
            open_for: Duration::from_secs(60),
            half_open: 3,
            per: BreakerPer::Service,
        }
    }
}

impl Read for Breaker {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { failures: Some(reader.count(node, FAILURES)?), ..default });
        }
        let mut map = reader.map(node, &BREAKER)?;
        let by_share = map.has("errors") || map.has("slow");
        let failures = map.take("failures").and_then(|node| reader.count(node, FAILURES));
        let breaker = Self {
            failures: failures.or(default.failures.filter(|_| !by_share)),
            errors: map.share("errors", reader),
            slow: map.share("slow", reader),
            slow_after: map.take("slow_after").and_then(|node| reader.positive(node)),
            calls: map.count("calls", default.calls, CALLS, reader),
            window: map.positive("window", default.window, reader),
            open_for: map.positive("open_for", default.open_for, reader),
            half_open: map.count("half_open", default.half_open, 1..=1000, reader),
            per: map.or("per", default.per, reader),
        };
        if map.has("slow") && !map.has("slow_after") {
            map.missing("slow_after", reader);
        }
        if map.has("slow_after") && !map.has("slow") {
            reader.wrong(map.key_span("slow_after"), "`slow_after` has no effect without `slow`");
        }
        if map.has("calls") && !by_share {
            reader.wrong(map.key_span("calls"), "`calls` has no effect without `errors` or `slow`");
        }
        map.finish(reader);
        Some(breaker)
    }
}

impl Read for BreakerPer {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("service", Self::Service), ("endpoint", Self::Endpoint)])
    }
}

pub(super) static BREAKER: Keys = Keys {
    of: "`breaker`",
    known: &["failures", "errors", "slow", "slow_after", "calls", "window", "open_for", "half_open", "per"],
    later: &[],
    shared: None,
};

/// The time of each within the window is kept.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=10_000;
