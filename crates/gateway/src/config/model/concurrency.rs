//! `concurrency`: how many requests may be under way at once.

use std::fmt;

use schemars::JsonSchema;

use super::ban::{read_ipv6_prefix, write_addresses};
use super::rate_limit::{LONGEST_QUEUE, LimitBy};
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_number;
use crate::config::source::Located;
use crate::config::values::Duration;
use crate::waiting::MOST_UNDER_WAY;

/// How many requests may be under way at once, from this limit until the last byte of the answer has been sent or the client is
/// gone. A plain number is `max`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_number)]
pub struct Concurrency {
    /// Requests at once, over all workers: from 1 to 1000000. A WebSocket is one as long as it is open.
    pub max: u32,
    /// Whose requests are counted together, as in `rate_limit`: those to one `route` or one `api`, `global` for all that the limit is
    /// for, or those of one `ip`, `app`, `user`, `key`, `plan` or `device`, or with one value of `header:NAME` or of an expression. Default: `route`.
    #[schemars(with = "Option<String>")]
    pub by: Located<LimitBy>,
    /// Requests that may wait for another to end, at most 10000; callers take turns. Others are refused. Default: `0`.
    #[schemars(default)]
    pub queue: u32,
    /// Longest wait. It is part of the `total` of `timeout`. Default: `2s`.
    #[schemars(default = "default_queue_for")]
    pub queue_for: Duration,
    /// Leading bits by which addresses of IPv6 are told apart, from 32 to 128. Default: `64`.
    pub ipv6_prefix: Option<u8>,
}

impl Read for Concurrency {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let max = reader.count(node, 1..=MOST_UNDER_WAY)?;
            let by = Located::new(LimitBy::Route, node.span);
            return Some(Self { max, by, queue: 0, queue_for: default_queue_for(), ipv6_prefix: None });
        }
        let mut map = reader.map(node, &CONCURRENCY)?;
        let max = map.demand("max", reader).and_then(|node| reader.count(node, 1..=MOST_UNDER_WAY));
        let at = map.head();
        let by = LimitBy::take(&mut map, LimitBy::Route, at, reader);
        let queue = map.count("queue", 0, 0..=LONGEST_QUEUE, reader);
        let queue_for = map.positive("queue_for", default_queue_for(), reader);
        if queue == 0 && map.has("queue_for") && !map.has("queue") {
            reader.wrong(map.key_span("queue_for"), "nobody waits without a `queue`");
        }
        let prefix_at = map.key_span("ipv6_prefix");
        let ipv6_prefix = read_ipv6_prefix(&mut map, reader);
        map.finish(reader);
        let by = by?;
        // Callers in the queue take turns, by their addresses where nothing else is known of them.
        if ipv6_prefix.is_some() && queue == 0 && !by.value.may_need_address() {
            let by = &by.value;
            reader.wrong(prefix_at, format!("`ipv6_prefix` with `by: {by}`: no addresses are told apart"));
        }
        Some(Self { max: max?, by, queue, queue_for, ipv6_prefix })
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once by {}", self.max, self.by.value)?;
        if self.queue > 0 {
            write!(f, ", {} more wait for up to {}", self.queue, self.queue_for)?;
        }
        write_addresses(f, &[], self.ipv6_prefix)
    }
}

fn default_queue_for() -> Duration {
    Duration::from_secs(2)
}

pub(super) static CONCURRENCY: Keys = Keys {
    of: "`concurrency`",
    known: &["max", "by", "queue", "queue_for", "ipv6_prefix"],
    later: &[],
    shared: None,
};
