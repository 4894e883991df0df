//! `fault`: trouble made on purpose, to see how callers bear it.

use std::fmt;

use http::{HeaderName, StatusCode};
use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_integer, or_text};
use crate::config::values::{Duration, Share};

/// Trouble made on purpose, to see how callers bear it: a share of the requests waits, or gets an error in the place of the
/// service's answer. At least one of both.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
pub struct FaultInjection {
    /// Requests wait before they go on. A plain duration is `time`. Default: none does.
    pub delay: Option<FaultDelay>,
    /// Requests get an error, after their delay if they have one. A plain number is `status`. Default: none does.
    pub abort: Option<FaultAbort>,
}

/// Requests that wait. A plain duration is `time`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct FaultDelay {
    /// For how long. The `total` of `timeout` goes on meanwhile, and ends the request with 504.
    pub time: Duration,
    /// The share of the requests that wait, in percent. Default: `100`.
    #[schemars(with = "Option<Share>")]
    pub percent: Share,
    /// Only requests with this header, whatever its value. Any caller can send it. Default: all.
    #[schemars(with = "Option<String>")]
    pub header: Option<HeaderName>,
}

/// Requests that get an error. A plain number is `status`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_integer)]
pub struct FaultAbort {
    /// The error, from 400 to 599.
    #[schemars(with = "u16")]
    pub status: StatusCode,
    /// The share of the requests that get it, in percent. Default: `100`.
    #[schemars(with = "Option<Share>")]
    pub percent: Share,
    /// Only requests with this header, whatever its value. Any caller can send it. Default: all.
    #[schemars(with = "Option<String>")]
    pub header: Option<HeaderName>,
}

impl Read for FaultInjection {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &FAULT)?;
        let is_said = ["delay", "abort"].into_iter().any(|key| map.has(key) || map.misspelled(key));
        if !is_said {
            reader.wrong(map.head(), "`fault` needs `delay`, `abort` or both");
        }
        let delay = map.optional("delay", reader);
        let abort = map.optional("abort", reader);
        map.finish(reader);
        Some(Self { delay, abort })
    }
}

impl Read for FaultDelay {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { time: reader.positive(node)?, percent: Share::ALL, header: None });
        }
        let mut map = reader.map(node, &DELAY)?;
        let time = map.demand("time", reader).and_then(|node| reader.positive(node));
        let percent = map.or("percent", Share::ALL, reader);
        let header = map.optional("header", reader);
        map.finish(reader);
        Some(Self { time: time?, percent, header })
    }
}

impl Read for FaultAbort {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { status: read_error(node, reader)?, percent: Share::ALL, header: None });
        }
        let mut map = reader.map(node, &ABORT)?;
        let status = map.demand("status", reader).and_then(|node| read_error(node, reader));
        let percent = map.or("percent", Share::ALL, reader);
        let header = map.optional("header", reader);
        map.finish(reader);
        Some(Self { status: status?, percent, header })
    }
}

fn read_error(node: &Node, reader: &mut Reader) -> Option<StatusCode> {
    reader.parsed(node, "a status from 400 to 599", |text| {
        let status = text.parse().ok().filter(|status| (400..=599).contains(status));
        let status = status.and_then(|status: u16| StatusCode::from_u16(status).ok());
        status.ok_or_else(|| "expected the status of an error, from 400 to 599".to_owned())
    })
}

impl fmt::Display for FaultInjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(FaultDelay { time, percent, header }) = &self.delay {
            write!(f, "{percent} wait {time}{}", OnlyWith(header.as_ref()))?;
        }
        if self.delay.is_some() && self.abort.is_some() {
            f.write_str("; ")?;
        }
        if let Some(FaultAbort { status, percent, header }) = &self.abort {
            write!(f, "{percent} get {}{}", status.as_u16(), OnlyWith(header.as_ref()))?;
        }
        Ok(())
    }
}

/// The condition in words.
struct OnlyWith<'h>(Option<&'h HeaderName>);

impl fmt::Display for OnlyWith<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |header| write!(f, " (of those with {header})"))
    }
}

pub(super) static FAULT: Keys = Keys { of: "`fault`", known: &["delay", "abort"], later: &[], shared: None };

pub(super) static DELAY: Keys =
    Keys { of: "`delay`", known: &["time", "percent", "header"], later: &[], shared: None };

pub(super) static ABORT: Keys =
    Keys { of: "`abort`", known: &["status", "percent", "header"], later: &[], shared: None };
