//! `throttle`: how fast callers may go before they are slowed down.

use std::fmt;

use schemars::JsonSchema;

use super::rate_limit::{LONGEST_QUEUE, LimitBy, MOST_BURST};
use crate::buckets::Pace;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};
use crate::config::values::{Duration, Rate};

/// How fast callers may go. Whoever is faster waits until its time comes, and then goes on: it is not refused. A plain rate is
/// `limit`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Throttle {
    /// How many in a second, minute, hour or day, evenly. At most `1000000/s`.
    pub limit: Rate,
    /// Requests that may come at once before one has to wait. Default: as many as `limit` counts.
    pub burst: Option<u64>,
    /// Whose requests are counted together, as in `rate_limit`: those of one `ip`, `app`, `user` or `key`, or with one value of
    /// `header:NAME` or of an expression; or all of the `route` or the `api`, or `global` for all that the throttle is for. Default:
    /// `ip`.
    #[schemars(with = "Option<String>")]
    pub by: Located<LimitBy>,
    /// Longest wait, at most `60s`, after which a request goes on, too fast or not. It is part of the `total` of `timeout`. Default:
    /// `1s`.
    #[schemars(default = "default_delay")]
    pub delay: Duration,
    /// Requests of those counted together that may wait at once, at most 10000. Others are refused. Default: `1000`.
    #[schemars(default = "default_queue")]
    pub queue: u32,
    /// An expression: only requests for which it is true are counted. Where it cannot be told, they are. Default: all.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
}

impl Throttle {
    fn new(limit: Rate, at: Span) -> Self {
        Self {
            limit,
            burst: None,
            by: Located::new(LimitBy::Ip, at),
            delay: default_delay(),
            queue: default_queue(),
            when: None,
        }
    }

    /// What may come without a wait; nothing for what no configuration without faults has.
    pub fn pace(&self) -> Option<Pace> {
        Pace::new(self.limit.count, *self.limit.period, self.burst.unwrap_or(self.limit.count))
    }

    fn check(self, limit: Span, burst: Span, reader: &mut Reader) -> Option<Self> {
        if Pace::new(self.limit.count, *self.limit.period, 1).is_none() {
            reader.wrong(limit, "a limit is at most 1000000/s");
            return None;
        }
        if self.pace().and_then(|pace| pace.with_delay(*MAX_DELAY)).is_none() {
            reader.wrong(burst, "a bucket that is empty must be full again within ten years");
            return None;
        }
        Some(self)
    }
}

impl Read for Throttle {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let limit = Rate::read(node, reader)?;
            return Self::new(limit, node.span).check(node.span, node.span, reader);
        }
        let mut map = reader.map(node, &THROTTLE)?;
        let at = map.value_span("limit").unwrap_or(map.head());
        let limit: Option<Rate> = map.required("limit", reader);
        let burst_at = map.value_span("burst").unwrap_or(at);
        let burst = map.take("burst").and_then(|node| reader.count(node, 1..=MOST_BURST)).map(u64::from);
        let by = LimitBy::take(&mut map, LimitBy::Ip, at, reader);
        let delay_at = map.value_span("delay").unwrap_or(at);
        let delay = map.positive("delay", default_delay(), reader);
        let queue = map.count("queue", default_queue(), 1..=LONGEST_QUEUE, reader);
        let when = map.optional("when", reader);
        map.finish(reader);
        if delay > MAX_DELAY {
            reader.wrong(delay_at, format!("nobody is held up for longer than {MAX_DELAY}"));
            return None;
        }
        Self { limit: limit?, burst, by: by?, delay, queue, when }.check(at, burst_at, reader)
    }
}

impl fmt::Display for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.limit, self.by.value)?;
        if let Some(burst) = self.burst {
            write!(f, ", burst {burst}")?;
        }
        write!(f, ", beyond it {} wait for up to {}", self.queue, self.delay)?;
        match &self.when {
            Some(when) => write!(f, ", when {}", when.value),
            None => Ok(()),
        }
    }
}

fn default_delay() -> Duration {
    Duration::from_secs(1)
}

fn default_queue() -> u32 {
    1000
}

pub(super) static THROTTLE: Keys = Keys {
    of: "`throttle`",
    known: &["limit", "burst", "by", "delay", "queue", "when"],
    later: &[],
    shared: None,
};

const MAX_DELAY: Duration = Duration::from_secs(60);
