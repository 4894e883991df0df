//! `mirror`: copies of requests to a service whose answers nobody waits for.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::{Share, Size};

/// Copies of requests to another service, whose answers are thrown away: callers notice nothing of them. The name of the service
/// is enough.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Mirror {
    /// The name of the service. It gets requests that change something too, so it must not share data with the one that answers.
    #[schemars(with = "String")]
    pub to: Located<String>,
    /// The share of the requests that are copied, in percent. Default: `100`.
    #[schemars(with = "Option<Share>")]
    pub percent: Share,
    /// The longest body that is copied, up to 10 MiB; a request with a longer one, or one of unknown length, is not. Default:
    /// `64KiB`.
    #[schemars(with = "Option<Size>")]
    pub max_body: Size,
    /// Copies under way to the service at once, per worker, from 1 to 10000; beyond it requests are not copied. Default: `100`.
    #[schemars(default = "default_in_flight")]
    pub max_in_flight: u32,
}

impl Mirror {
    fn of(to: Located<String>) -> Self {
        Self { to, percent: Share::ALL, max_body: MAX_BODY, max_in_flight: default_in_flight() }
    }
}

impl Read for Mirror {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Located::read(node, reader).map(Self::of);
        }
        let mut map = reader.map(node, &MIRROR)?;
        let to = map.required("to", reader);
        let percent = map.or("percent", Share::ALL, reader);
        let max_body = map.size("max_body", MAX_BODY, 0..=LARGEST_BODY, reader);
        let max_in_flight = map.count("max_in_flight", default_in_flight(), 1..=10_000, reader);
        map.finish(reader);
        Some(Self { to: to?, percent, max_body, max_in_flight })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, percent, max_body, max_in_flight } = self;
        write!(f, "{percent} to {}, bodies up to {max_body}, {max_in_flight} at once", to.value)
    }
}

fn default_in_flight() -> u32 {
    100
}

pub(super) static MIRROR: Keys =
    Keys { of: "`mirror`", known: &["to", "percent", "max_body", "max_in_flight"], later: &[], shared: None };

const MAX_BODY: Size = Size::from_bytes(64 * 1024);
const LARGEST_BODY: u64 = 10 * 1024 * 1024;
