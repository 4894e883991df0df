//! `health`: endpoints are asked whether they are well.

use std::fmt;

use http::Method;
use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::{Duration, Pattern, StatusRange, header_value, method};

/// How endpoints are asked whether they are well, once for all workers. A path is enough; `tcp` only connects, `grpc` asks by the
/// health protocol of gRPC.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Health {
    /// What is asked. Default: `http`; `grpc` for services of `protocol: grpc`.
    pub check: Option<CheckKind>,
    /// The path of an HTTP check, which goes behind the endpoint's own. Default: `/`.
    pub path: Option<String>,
    /// The method of an HTTP check. Default: `GET`.
    #[schemars(with = "Option<String>")]
    pub method: Option<Method>,
    /// The host that an HTTP check names. Default: the endpoint's.
    pub host: Option<String>,
    /// Statuses that an HTTP check takes for well: `2xx`, `200`, `200-299`. Default: `200-299`.
    #[schemars(with = "Option<String>")]
    pub expect: Option<StatusRange>,
    /// A regular expression that must be found in the first 64 KiB of the body. Default: any body is well.
    pub body: Option<Pattern>,
    /// The service that a gRPC check asks for. Default: the server as a whole.
    pub service: Option<String>,
    /// How often; each pause is up to a tenth shorter or longer. Default: `5s`.
    #[schemars(default = "default_every")]
    pub every: Duration,
    /// How long an endpoint may take to answer. Default: `1s`.
    #[schemars(default = "default_timeout")]
    pub timeout: Duration,
    /// An endpoint that was not well gets requests again after so many answers in a row. Default: `2`.
    #[schemars(default = "default_healthy_after")]
    pub healthy_after: u32,
    /// An endpoint gets no more requests after so many failures in a row. Default: `3`.
    #[schemars(default = "default_unhealthy_after")]
    pub unhealthy_after: u32,
    /// What an endpoint is taken for before it was asked: one answer decides then. Default: `up`.
    pub start: Option<Start>,
}

/// What is asked of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum CheckKind {
    /// A request of HTTP.
    Http,
    /// A connection, and no more.
    Tcp,
    /// The health protocol of gRPC.
    Grpc,
}

/// What an endpoint is taken for before it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Start {
    /// Well.
    Up,
    /// Not well.
    Down,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (every, timeout) = (self.every, self.timeout);
        match self.check {
            None => f.write_str("as the protocol has it")?,
            Some(check) => write!(f, "by {}", check.as_str())?,
        }
        let parts = [
            ("method", self.method.as_ref().map(ToString::to_string)),
            ("path", self.path.clone()),
            ("host", self.host.clone()),
            ("expecting", self.expect.map(|expect| format!("{}-{}", expect.first, expect.last))),
            ("and in the body", self.body.as_ref().map(|body| body.regex().to_string())),
            ("service", self.service.clone()),
            ("start", self.start.map(|start| format!("{start:?}").to_ascii_lowercase())),
        ];
        for (what, value) in parts {
            if let Some(value) = value {
                write!(f, ", {what} {value}")?;
            }
        }
        let (well, ill) = (self.healthy_after, self.unhealthy_after);
        write!(f, ", every {every} within {timeout}, well after {well}, not after {ill}")
    }
}

impl CheckKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            check: None,
            path: None,
            method: None,
            host: None,
            expect: None,
            body: None,
            service: None,
            every: default_every(),
            timeout: default_timeout(),
            healthy_after: default_healthy_after(),
            unhealthy_after: default_unhealthy_after(),
            start: None,
        }
    }
}

impl Health {
    /// Whether it says what only a check by HTTP can heed.
    pub fn is_http(&self) -> bool {
        self.path.is_some()
            || self.method.is_some()
            || self.host.is_some()
            || self.expect.is_some()
            || self.body.is_some()
    }
}

fn default_every() -> Duration {
    Duration::from_secs(5)
}

fn default_timeout() -> Duration {
    Duration::from_secs(1)
}

fn default_healthy_after() -> u32 {
    2
}

fn default_unhealthy_after() -> u32 {
    3
}

impl Read for Health {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if let Value::Text(text) = &node.value {
            if text.starts_with('/') {
                return Some(Self { path: Some(read_path(node, reader)?), ..default });
            }
            return Some(Self { check: Some(CheckKind::read(node, reader)?), ..default });
        }
        let mut map = reader.map(node, &HEALTH)?;
        let health = Self {
            check: map.optional("check", reader),
            path: map.take("path").and_then(|node| read_path(node, reader)),
            method: map.take("method").and_then(|node| reader.parsed(node, "a method", method)),
            host: map.take("host").and_then(|node| {
                let plain = |text: &str| header_value(text).map(|_| text.to_owned());
                reader.parsed(node, "the name of a host", plain)
            }),
            expect: map
                .take("expect")
                .and_then(|node| reader.parsed(node, "status codes", StatusRange::parse)),
            body: map.optional("body", reader),
            service: map.optional("service", reader).map(|service: Located<String>| service.value),
            every: map.positive("every", default.every, reader),
            timeout: map.positive("timeout", default.timeout, reader),
            healthy_after: map.count("healthy_after", default.healthy_after, TIMES, reader),
            unhealthy_after: map.count("unhealthy_after", default.unhealthy_after, TIMES, reader),
            start: map.optional("start", reader),
        };
        for key in ["path", "method", "host", "expect", "body"] {
            if map.has(key) && !matches!(health.check, None | Some(CheckKind::Http)) {
                reader.wrong(map.key_span(key), format!("`{key}` is for checks by http"));
            }
        }
        let is_grpc = health.check.map_or(!health.is_http(), |check| check == CheckKind::Grpc);
        if map.has("service") && !is_grpc {
            reader.wrong(map.key_span("service"), "`service` is for checks by grpc");
        }
        map.finish(reader);
        Some(health)
    }
}

fn read_path(node: &Node, reader: &mut Reader) -> Option<String> {
    reader.parsed(node, "a path", |text| {
        let is_sound =
            text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if is_sound {
            Ok(text.to_owned())
        } else {
            Err("a path begins with `/` and has no spaces".to_owned())
        }
    })
}

impl Read for CheckKind {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("http", Self::Http), ("tcp", Self::Tcp), ("grpc", Self::Grpc)])
    }
}

impl Read for Start {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("up", Self::Up), ("down", Self::Down)])
    }
}

pub(super) static HEALTH: Keys = Keys {
    of: "`health`",
    known: &[
        "check",
        "path",
        "method",
        "host",
        "expect",
        "body",
        "service",
        "every",
        "timeout",
        "healthy_after",
        "unhealthy_after",
        "start",
    ],
    later: &[],
    shared: None,
};

const TIMES: std::ops::RangeInclusive<u32> = 1..=1000;
