//! Policies: what holds for routes. Each may stand on `defaults`, on an API and on a route; the nearest wins, whole.

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::access::{Access, AccessTerms, read_access};
use super::adaptive::Priority;
use super::ban::Ban;
use super::bots::Bots;
use super::concurrency::Concurrency;
use super::cors::Cors;
use super::csrf::Csrf;
use super::hedge::Hedge;
use super::injection::FaultInjection;
use super::ip::IpPolicy;
use super::mirror::Mirror;
use super::quota::Quotas;
use super::rate_limit::RateLimits;
use super::request::RequestPolicy;
use super::retry::Retry;
use super::route::{Headers, read_headers};
use super::secure_headers::SecureHeaders;
use super::spike::Spike;
use super::throttle::Throttle;
use super::validate::ValidatePolicy;
use super::waf::Waf;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::Duration;

/// A policy that is set: to something, or to `off`, which removes what would be inherited.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting<T> {
    /// Nothing is inherited and nothing is set.
    Off,
    /// This holds, whatever would be inherited.
    On(T),
}

impl<T> Setting<T> {
    /// What is set, unless it is `off`.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

// What most routes do not set themselves is boxed: then it takes no room in them.
/// Policies of a route, an API, or of all routes.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
pub struct Policies {
    /// Who may call. Every route has one, its own or inherited.
    #[schemars(with = "Option<AccessTerms>")]
    pub access: Option<Setting<Access>>,
    /// Who is refused for a while, after it was refused too often. Default: nobody.
    pub ban: Option<Box<Setting<Ban>>>,
    /// Which addresses may call.
    pub ip: Option<Box<Setting<IpPolicy>>>,
    /// Which programs may call, by what they say of themselves.
    pub bots: Option<Box<Setting<Bots>>>,
    /// Which pages of other origins may call from a browser.
    pub cors: Option<Box<Setting<Cors>>>,
    /// Whether pages of other origins may change something in the name of whoever looks at them.
    pub csrf: Option<Box<Setting<Csrf>>>,
    /// What a request may bring.
    pub request: Option<Box<Setting<RequestPolicy>>>,
    /// How evenly requests have to come; what comes in a burst is refused. A plain rate is `limit`. Default: as they like.
    pub spike: Option<Box<Setting<Spike>>>,
    /// How many requests callers may make: one limit, or a list of up to 8, of which each must have room. A plain rate is `limit`.
    /// Default: as many as they like.
    pub rate_limit: Option<Box<Setting<RateLimits>>>,
    /// How much callers may use by the calendar: one quota, or a list of up to 4, of which each must have room. Plain text is `limit`.
    /// Default: as much as they like.
    pub quota: Option<Box<Setting<Quotas>>>,
    /// How fast callers may go; whoever is faster is held up. A plain rate is `limit`. Default: as fast as they like.
    pub throttle: Option<Box<Setting<Throttle>>>,
    /// How many requests may be under way at once, and how many wait for that. A plain number is `max`. Default: as many as come.
    pub concurrency: Option<Box<Setting<Concurrency>>>,
    /// What is done about requests that look like an attack. A plain word is `mode`. Default: nothing looks for attacks.
    pub waf: Option<Box<Setting<Waf>>>,
    /// What requests must be like. A plain file is `body`. Default: they are not looked at.
    pub validate: Option<Box<Setting<ValidatePolicy>>>,
    /// How long to wait for the service. A plain duration is `total`.
    pub timeout: Option<Box<Setting<Timeouts>>>,
    /// Further attempts after one that failed. A plain number is `attempts`. Default: one, when no connection could be
    /// made, as nothing was sent yet; `off` for none.
    pub retry: Option<Box<Setting<Retry>>>,
    /// A slow request is asked of another endpoint too. A percentile or duration alone is `after`. Default: it is not.
    pub hedge: Option<Box<Setting<Hedge>>>,
    /// What calls are worth beside others when a service or the gateway has too much to do: `low`, `normal` or `high`. Default:
    /// `normal`.
    #[schemars(with = "Option<Priority>")]
    pub priority: Option<Setting<Priority>>,
    /// Headers that make browsers careful: `true`, or a map that says which.
    pub secure_headers: Option<Box<Setting<SecureHeaders>>>,
    /// Copies of requests go to another service too, whose answers are thrown away. Default: there are none.
    pub mirror: Option<Box<Setting<Mirror>>>,
    /// Trouble made on purpose, to see how callers bear it. Default: none.
    pub fault: Option<Box<Setting<FaultInjection>>>,
    /// What is changed in the answer.
    pub response: Option<Box<Setting<ResponsePolicy>>>,
}

/// How long to wait for a service. A plain duration is `total`; what is left out has its default.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(default, transform = or_text)]
pub struct Timeouts {
    /// For a connection to an endpoint, and its TLS handshake unless `tls` is there. Default: `1s`.
    pub connect: Duration,
    /// For the TLS handshake alone, after `connect`. Default: `connect` is for both.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Duration>,
    /// From the request's last byte to the answer's first. Default: `15s`.
    pub first_byte: Duration,
    /// Longest pause between two bytes of the answer, or of a tunnel such as a WebSocket. Default: `60s`.
    pub idle: Duration,
    /// For the whole call, all attempts included; `off` for no bound. It does not end a tunnel. Default: `60s`.
    #[schemars(with = "Setting<Duration>")]
    pub total: Option<Duration>,
    /// For tunnels such as WebSockets, where that differs. A plain duration is `total`.
    pub tunnel: TunnelTimeouts,
}

/// How long a tunnel, such as a WebSocket, may last. A plain duration is `total`.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct TunnelTimeouts {
    /// Longest silence of both sides, pings included: they count as bytes. Default: the `idle` of `timeout`.
    pub idle: Option<Duration>,
    /// From its beginning to its end, busy or not. Default: no bound.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            tls: None,
            first_byte: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            total: Some(Duration::from_secs(60)),
            tunnel: TunnelTimeouts::default(),
        }
    }
}

/// What is changed in the answer.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
pub struct ResponsePolicy {
    /// Changes to its header fields: first `remove`, then `set`, then `add`.
    #[schemars(default)]
    pub headers: HeaderChanges,
}

/// Changes to header fields.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
pub struct HeaderChanges {
    /// Fields to set, in place of any of the same name.
    #[schemars(default, with = "std::collections::BTreeMap<String, String>")]
    pub set: Headers,
    /// Fields to add beside any of the same name.
    #[schemars(default, with = "std::collections::BTreeMap<String, String>")]
    pub add: Headers,
    /// Names of fields to remove.
    #[schemars(default, with = "Vec<String>")]
    pub remove: Vec<HeaderName>,
}

impl<T: Read> Read for Setting<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.is("off") { Some(Self::Off) } else { T::read(node, reader).map(Self::On) }
    }
}

impl<T: JsonSchema> JsonSchema for Setting<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Setting", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [value, { "const": "off" }] })
    }
}

impl Policies {
    /// Reads the policies among the keys of a map that may hold others.
    pub(super) fn take(map: &mut MapReader<'_>, reader: &mut Reader) -> Self {
        let access = map.take("access").map(|node| read_access(node, reader));
        let spike = map.take("spike").map(|node| Box::new(read_or_off(node, reader)));
        let rate_limit = map.take("rate_limit").map(|node| Box::new(read_or_off(node, reader)));
        let quota = map.take("quota").map(|node| Box::new(read_or_off(node, reader)));
        let throttle = map.take("throttle").map(|node| Box::new(read_or_off(node, reader)));
        let concurrency = map.take("concurrency").map(|node| Box::new(read_or_off(node, reader)));
        Self {
            access: access.or_else(|| map.misspelled("access").then_some(Setting::Off)),
            ban: map.optional("ban", reader),
            ip: map.optional("ip", reader),
            bots: map.optional("bots", reader),
            cors: map.optional("cors", reader),
            csrf: map.optional("csrf", reader),
            request: map.optional("request", reader),
            spike,
            rate_limit,
            quota,
            throttle,
            concurrency,
            waf: map.optional("waf", reader),
            validate: map.optional("validate", reader),
            timeout: map.optional("timeout", reader),
            retry: map.optional("retry", reader),
            hedge: map.optional("hedge", reader),
            priority: map.optional("priority", reader),
            secure_headers: map.optional("secure_headers", reader),
            mirror: map.optional("mirror", reader),
            fault: map.optional("fault", reader),
            response: map.optional("response", reader),
        }
    }
}

/// A setting that could not be read is none that is inherited either: a second fault would be about that.
fn read_or_off<T: Read>(node: &Node, reader: &mut Reader) -> Setting<T> {
    Setting::read(node, reader).unwrap_or(Setting::Off)
}

impl Read for Policies {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &POLICIES)?;
        let policies = Self::take(&mut map, reader);
        map.finish(reader);
        Some(policies)
    }
}

impl Read for Timeouts {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let default = Self::default();
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { total: Some(reader.positive(node)?), ..default });
        }
        let mut map = reader.map(node, &TIMEOUTS)?;
        let timeouts = Self {
            connect: map.positive("connect", default.connect, reader),
            tls: map.take("tls").and_then(|node| reader.positive(node)),
            first_byte: map.positive("first_byte", default.first_byte, reader),
            idle: map.positive("idle", default.idle, reader),
            total: match map.take("total") {
                Some(node) if node.is("off") => None,
                Some(node) => reader.positive(node),
                None => default.total,
            },
            tunnel: map.or("tunnel", default.tunnel, reader),
        };
        map.finish(reader);
        Some(timeouts)
    }
}

impl Read for TunnelTimeouts {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { total: Some(reader.positive(node)?), idle: None });
        }
        let mut map = reader.map(node, &TUNNEL)?;
        let idle = map.take("idle").and_then(|node| reader.positive(node));
        let total = map.take("total").and_then(|node| reader.positive(node));
        map.finish(reader);
        Some(Self { idle, total })
    }
}

impl Read for ResponsePolicy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &RESPONSE)?;
        let headers = map.or("headers", HeaderChanges::default(), reader);
        map.finish(reader);
        Some(Self { headers })
    }
}

impl Read for HeaderChanges {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &HEADER_CHANGES)?;
        let set = map.take("set").map(|node| read_headers(node, reader)).unwrap_or_default();
        let add = map.take("add").map(|node| read_headers(node, reader)).unwrap_or_default();
        let remove: Vec<Located<HeaderName>> = map.or("remove", Vec::new(), reader);
        for name in remove.iter().filter(|name| super::route::is_framing(name)) {
            reader.wrong(name.span, super::route::FRAMING);
        }
        map.finish(reader);
        Some(Self { set, add, remove: remove.into_iter().map(|name| name.value).collect() })
    }
}

pub(super) static POLICIES: Keys = Keys {
    of: "`defaults`",
    known: &[
        "access",
        "ban",
        "ip",
        "bots",
        "cors",
        "csrf",
        "request",
        "spike",
        "rate_limit",
        "quota",
        "throttle",
        "concurrency",
        "waf",
        "validate",
        "timeout",
        "retry",
        "hedge",
        "priority",
        "secure_headers",
        "mirror",
        "fault",
        "response",
    ],
    later: &["compress", "cache", "async", "compose"],
    shared: None,
};

pub(super) static TIMEOUTS: Keys = Keys {
    of: "`timeout`",
    known: &["connect", "tls", "first_byte", "idle", "total", "tunnel"],
    later: &[],
    shared: None,
};

pub(super) static TUNNEL: Keys = Keys { of: "`tunnel`", known: &["idle", "total"], later: &[], shared: None };

pub(super) static RESPONSE: Keys =
    Keys { of: "`response`", known: &["headers"], later: &["fields"], shared: None };

pub(super) static HEADER_CHANGES: Keys =
    Keys { of: "the header changes", known: &["set", "add", "remove"], later: &[], shared: None };
