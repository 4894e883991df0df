//! `adaptive` and `priority`: a service that has enough to do is given no more, and what matters less waits first.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_number;

/// How many calls a service is given at once, which follows from how long it takes to answer. A plain number is `target`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_number)]
pub struct Adaptive {
    /// The latency that is aimed at under load, beside that of the service when it has little to do, from 1.1 to 10. Default: `1.5`.
    #[schemars(with = "f64")]
    pub target: Ratio,
    /// Calls that each worker may have under way at least. Default: `2`.
    pub min: u32,
    /// At most. Default: `1000`.
    pub max: u32,
}

/// What the calls of a route are worth beside others, when not all can be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Priority {
    /// They are turned away first.
    Low,
    /// As most.
    #[default]
    Normal,
    /// They are turned away last.
    High,
}

/// One number beside another, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u32);

impl Ratio {
    /// As a number.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl serde::Serialize for Ratio {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl Priority {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { target: Ratio(150), min: 2, max: 1000 }
    }
}

impl fmt::Display for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times the latency, {} to {} calls", self.target, self.min, self.max)
    }
}

impl Read for Adaptive {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { target: Ratio::read(node, reader)?, ..default });
        }
        let mut map = reader.map(node, &ADAPTIVE)?;
        let adaptive = Self {
            target: map.or("target", default.target, reader),
            min: map.count("min", default.min, 1..=100_000, reader),
            max: map.count("max", default.max, 1..=100_000, reader),
        };
        if adaptive.min > adaptive.max {
            reader.wrong(
                map.key_span(if map.has("min") { "min" } else { "max" }),
                "`min` is larger than `max`",
            );
        }
        map.finish(reader);
        Some(adaptive)
    }
}

impl Read for Ratio {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        const WHAT: &str = "a number from 1.1 to 10, as in 1.5";
        reader.parsed(node, WHAT, |text| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number = text.parse::<f64>().ok().filter(|number| is_plain && (1.1..=10.0).contains(number));
            number
                .map(|number| Self((number * 100.0).round() as u32))
                .ok_or_else(|| format!("expected {WHAT}"))
        })
    }
}

impl Read for Priority {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("low", Self::Low), ("normal", Self::Normal), ("high", Self::High)])
    }
}

pub(super) static ADAPTIVE: Keys =
    Keys { of: "`adaptive`", known: &["target", "min", "max"], later: &[], shared: None };
