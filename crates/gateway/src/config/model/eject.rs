//! `eject` and `when_all_down`: endpoints that fail are left alone for a while.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_integer;
use crate::config::values::{Duration, Percent};

/// When an endpoint that fails is put out for a while. A plain number is `errors`. Failures are connections that do not come
/// about or break, answers that do not begin in time or are malformed, and the statuses 502, 503 and 504.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_integer)]
pub struct Eject {
    /// Failures one after another, from 1 to 1000. Default: `5`, or none where there is a `share`.
    pub errors: Option<u32>,
    /// The share of its calls that failed within `window`. Default: no share is too much.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// The time over which `share` is looked at. Default: `10s`.
    pub window: Duration,
    /// Calls within `window`, of all workers together, below which `share` says nothing; from 1 to 1000000. Default: `20`.
    pub calls: u32,
    /// For how long, the first time; then twice, three times as long, up to ten times. Who stays in for ten times this long
    /// begins anew. Default: `30s`.
    #[schemars(rename = "for")]
    pub time: Duration,
    /// The share of the service's endpoints that may be out at once. Default: `50%`.
    pub max: Percent,
    /// For how long an endpoint that comes back gets fewer requests: a tenth at first, then more and more. Default: `10s`.
    pub slow_start: Duration,
}

/// What becomes of requests while all endpoints are out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum WhenAllDown {
    /// They are sent to the endpoints all the same: one may answer.
    #[default]
    Try,
    /// They are refused with 503.
    Fail,
}

impl fmt::Display for WhenAllDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Try => "try",
            Self::Fail => "fail",
        })
    }
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            errors: Some(5),
            share: None,
            window: Duration::from_secs(10),
            calls: 20,
            time: Duration::from_secs(30),
            max: Percent::of(50),
            slow_start: Duration::from_secs(10),
        }
    }
}

impl Read for Eject {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { errors: Some(reader.count(node, ERRORS)?), ..default });
        }
        let mut map = reader.map(node, &EJECT)?;
        let errors = map.take("errors").and_then(|node| reader.count(node, ERRORS));
        let share = map.share("share", reader);
        for key in ["window", "calls"] {
            if map.has(key) && !map.has("share") {
                reader.wrong(map.key_span(key), format!("`{key}` has no effect without `share`"));
            }
        }
        let eject = Self {
            errors: errors.or(default.errors.filter(|_| !map.has("share"))),
            share,
            window: map.positive("window", default.window, reader),
            calls: map.count("calls", default.calls, CALLS, reader),
            time: map.positive("for", default.time, reader),
            max: map.or("max", default.max, reader),
            slow_start: map.or("slow_start", default.slow_start, reader),
        };
        map.finish(reader);
        Some(eject)
    }
}

impl Read for WhenAllDown {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("try", Self::Try), ("fail", Self::Fail)])
    }
}

pub(super) static EJECT: Keys = Keys {
    of: "`eject`",
    known: &["errors", "share", "window", "calls", "for", "max", "slow_start"],
    later: &[],
    shared: None,
};

/// Calls below which a share says nothing.
pub(super) const CALLS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
const ERRORS: std::ops::RangeInclusive<u32> = 1..=1000;
