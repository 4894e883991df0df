//! `spike`: how evenly requests have to come.

use std::fmt;

use schemars::JsonSchema;

use super::rate_limit::LimitBy;
use crate::buckets::Rule;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};
use crate::config::values::{Duration, Rate};

/// How evenly requests have to come: never more at once than the rate lets come in a moment. A plain rate is `limit`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Spike {
    /// How many in a second, minute, hour or day, evenly. At most `1000000/s`.
    pub limit: Rate,
    /// Whose requests are counted together, as in `rate_limit`: those to one `route` or one `api`, `global` for all that it is for, or
    /// those of one `ip`, `app`, `user` or `key`, or with one value of `header:NAME` or of an expression. Default: `route`.
    #[schemars(with = "Option<String>")]
    pub by: Located<LimitBy>,
    /// The moment, at most `60s`: what `limit` lets come in it may come at once, and at least one request may. Default: `100ms`.
    #[schemars(default = "default_smooth")]
    pub smooth: Duration,
    /// An expression: only requests for which it is true are counted. Where it cannot be told, they are. Default: all.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
}

impl Spike {
    fn new(limit: Rate, at: Span) -> Self {
        Self { limit, by: Located::new(LimitBy::Route, at), smooth: default_smooth(), when: None }
    }

    /// Requests that may come at once.
    pub fn at_once(&self) -> u64 {
        let count = u128::from(self.limit.count) * self.smooth.as_nanos() / self.limit.period.as_nanos();
        u64::try_from(count).unwrap_or(u64::MAX).max(1)
    }

    /// How they are counted; nothing for what no configuration without faults has.
    pub fn rule(&self) -> Option<Rule> {
        Rule::token_bucket(self.limit.count, *self.limit.period, self.at_once())
    }

    fn check(self, limit: Span, reader: &mut Reader) -> Option<Self> {
        if self.rule().is_none() {
            reader.wrong(limit, "a limit is at most 1000000/s");
            return None;
        }
        Some(self)
    }
}

impl Read for Spike {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let limit = Rate::read(node, reader)?;
            return Self::new(limit, node.span).check(node.span, reader);
        }
        let mut map = reader.map(node, &SPIKE)?;
        let at = map.value_span("limit").unwrap_or(map.head());
        let limit: Option<Rate> = map.required("limit", reader);
        let by = LimitBy::take(&mut map, LimitBy::Route, at, reader);
        let smooth_at = map.value_span("smooth").unwrap_or(at);
        let smooth = map.positive("smooth", default_smooth(), reader);
        let when = map.optional("when", reader);
        map.finish(reader);
        if smooth > MAX_SMOOTH {
            reader.wrong(smooth_at, format!("what comes within more than {MAX_SMOOTH} is no spike"));
            return None;
        }
        Self { limit: limit?, by: by?, smooth, when }.check(at, reader)
    }
}

impl fmt::Display for Spike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}, {} at once", self.limit, self.by.value, self.at_once())?;
        match &self.when {
            Some(when) => write!(f, ", when {}", when.value),
            None => Ok(()),
        }
    }
}

fn default_smooth() -> Duration {
    Duration::from_millis(100)
}

pub(super) static SPIKE: Keys =
    Keys { of: "`spike`", known: &["limit", "by", "smooth", "when"], later: &[], shared: None };

const MAX_SMOOTH: Duration = Duration::from_secs(60);
