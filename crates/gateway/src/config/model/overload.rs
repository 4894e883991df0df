//! `overload`: when the gateway itself has too much to do.

use schemars::JsonSchema;

use super::policy::Setting;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::values::{Duration, Percent};

/// When the gateway itself has too much to do, and refuses requests at once with 503: those of low `priority` first, those of high
/// last. The admin listener goes on answering.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct Overload {
    /// How long a worker may take until it comes to what is ready, all the time; `off` for no bound. Default: `500ms`.
    #[schemars(with = "Setting<Duration>")]
    pub lag: Option<Duration>,
    /// The share of the memory that the process may have (its cgroup's, else the machine's) above which requests are refused,
    /// those of high priority aside; `off` for no bound. Default: `90%`.
    #[schemars(with = "Setting<Percent>")]
    pub memory: Option<Percent>,
}

impl Default for Overload {
    fn default() -> Self {
        Self { lag: Some(Duration::from_millis(500)), memory: Some(Percent::of(90)) }
    }
}

impl Read for Overload {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if node.is("off") {
            return Some(Self { lag: None, memory: None });
        }
        let mut map = reader.map(node, &OVERLOAD)?;
        let overload = Self {
            lag: match map.take("lag") {
                Some(node) if node.is("off") => None,
                Some(node) => read_lag(node, reader),
                None => default.lag,
            },
            memory: match map.take("memory") {
                Some(node) if node.is("off") => None,
                Some(_) => map.share("memory", reader),
                None => default.memory,
            },
        };
        map.finish(reader);
        Some(overload)
    }
}

/// Timers are exact to a millisecond: less than a few of them would be lag all the time.
fn read_lag(node: &Node, reader: &mut Reader) -> Option<Duration> {
    let lag = Duration::read(node, reader)?;
    if lag < SHORTEST_LAG {
        reader.wrong(node.span, format!("a lag of at least {SHORTEST_LAG} is needed here"));
        return None;
    }
    Some(lag)
}

const SHORTEST_LAG: Duration = Duration::from_millis(10);

pub(super) static OVERLOAD: Keys =
    Keys { of: "`overload`", known: &["lag", "memory"], later: &[], shared: None };
