//! `retry`: further attempts after one that failed.

use std::fmt;

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_integer;
use crate::config::values::{Duration, Percent};

/// Further attempts after one that failed, at another endpoint where there is one. A plain number is `attempts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_integer)]
pub struct Retry {
    /// Attempts after the first, from 1 to 10. Default: `1`.
    #[schemars(default = "default_attempts")]
    pub attempts: u32,
    /// Failures after which to try again: `connect`, `reset`, `timeout`, and statuses from 400 to 599. Default: `[connect]`,
    /// after which nothing was sent yet.
    #[schemars(with = "Option<Vec<RetryOn>>")]
    pub on: Vec<RetryOn>,
    /// Methods of requests that may be sent twice. After `connect` any may, as nothing was sent. Default:
    /// `[GET, HEAD, OPTIONS, TRACE, PUT, DELETE]`, which do the same once or twice.
    #[schemars(with = "Option<Vec<String>>")]
    pub methods: Vec<Method>,
    /// How many requests may be retries, beside the others: in an outage more would only add to it. Once a second one is
    /// allowed whatever the share. Default: `20%`.
    #[schemars(with = "Option<Percent>")]
    pub budget: Percent,
    /// Longest pause before the second attempt; twice that before the third, and so on up to ten times. Each pause is drawn
    /// at random, from none to the longest, so that those who failed together do not come back together. Without a pause
    /// after `connect`, while there is another endpoint. Default: `25ms`.
    #[schemars(default = "default_backoff")]
    pub backoff: Duration,
    /// How long one attempt may take to begin its answer, after which `timeout` tries again. Default: the `first_byte` of
    /// `timeout`.
    pub timeout: Option<Duration>,
}

/// A failure after which to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection broke before an answer began.
    Reset,
    /// No answer began in time.
    Timeout,
    /// An answer of this status.
    Status(u16),
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: default_attempts(),
            on: vec![RetryOn::Connect],
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::TRACE,
                Method::PUT,
                Method::DELETE,
            ],
            budget: Percent::of(20),
            backoff: default_backoff(),
            timeout: None,
        }
    }
}

impl Retry {
    /// No attempt after the first.
    pub fn none() -> Self {
        Self { attempts: 0, ..Self::default() }
    }
}

fn default_attempts() -> u32 {
    1
}

fn default_backoff() -> Duration {
    Duration::from_millis(25)
}

impl Read for Retry {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { attempts: reader.count(node, ATTEMPTS)?, ..default });
        }
        let mut map = reader.map(node, &RETRY)?;
        let retry = Self {
            attempts: map.count("attempts", default.attempts, ATTEMPTS, reader),
            on: map.or("on", default.on, reader),
            methods: map.or("methods", default.methods, reader),
            budget: map.or("budget", default.budget, reader),
            backoff: map.or("backoff", default.backoff, reader),
            timeout: map.take("timeout").and_then(|node| reader.positive(node)),
        };
        map.finish(reader);
        Some(retry)
    }
}

impl Read for RetryOn {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Value::Text(text) = &node.value
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return reader.parsed(node, "a status", |text| match text.parse() {
                Ok(status @ 400..=599) => Ok(Self::Status(status)),
                _ => Err("expected a status from 400 to 599".to_owned()),
            });
        }
        reader.word(node, &[("connect", Self::Connect), ("reset", Self::Reset), ("timeout", Self::Timeout)])
    }
}

impl JsonSchema for RetryOn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RetryOn".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [
            { "enum": ["connect", "reset", "timeout"] },
            { "type": "integer", "minimum": 400, "maximum": 599 }
        ] })
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

pub(super) static RETRY: Keys = Keys {
    of: "`retry`",
    known: &["attempts", "on", "methods", "budget", "backoff", "timeout"],
    later: &[],
    shared: None,
};

/// Attempts after the first: more only multiplies an outage.
const ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=10;
