//! `breaker`: a service that keeps failing is not called for a while.

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_integer;
use crate::config::values::Duration;

/// When a service is not called for a while, and when it is again. A plain number is `failures`. What fails is what counts for
/// `eject`, at any of its endpoints; requests meanwhile are refused at once, with 503 and `Retry-After`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_integer)]
pub struct Breaker {
    /// Failures after which it opens, from 1 to 10000. Default: `5`.
    pub failures: u32,
    /// The time within which they count. Default: `30s`.
    pub window: Duration,
    /// How long the service is not called. Default: `60s`.
    pub open_for: Duration,
    /// Calls that then try it: as many at once at most, and as many must succeed before it is called as usual, from 1 to 1000.
    /// When one fails it opens again. Default: `3`.
    pub half_open: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(30), open_for: Duration::from_secs(60), half_open: 3 }
    }
}

impl Read for Breaker {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { failures: reader.count(node, FAILURES)?, ..default });
        }
        let mut map = reader.map(node, &BREAKER)?;
        let breaker = Self {
            failures: map.count("failures", default.failures, FAILURES, reader),
            window: map.positive("window", default.window, reader),
            open_for: map.positive("open_for", default.open_for, reader),
            half_open: map.count("half_open", default.half_open, 1..=1000, reader),
        };
        map.finish(reader);
        Some(breaker)
    }
}

pub(super) static BREAKER: Keys = Keys {
    of: "`breaker`",
    known: &["failures", "window", "open_for", "half_open"],
    later: &[],
    shared: None,
};

/// The time of each within the window is kept.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=10_000;
