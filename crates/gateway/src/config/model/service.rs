//! `services`: sets of endpoints that do the same job.

use schemars::JsonSchema;

use super::adaptive::Adaptive;
use super::breaker::Breaker;
use super::discover::{Discover, Scheme};
use super::eject::{Eject, WhenAllDown};
use super::fallback::Fallback;
use super::health::Health;
use super::hedge::Hedge;
use super::listener::Protocols;
use super::policy::{Setting, Timeouts};
use super::proxy_protocol::ProxyVersion;
use super::retry::Retry;
use super::tls::ServiceTls;
use crate::config::fault::Fault;
use crate::config::node::{Key, Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_text, or_text_or_list};
use crate::config::source::{Located, Span};
use crate::config::values::{Duration, EndpointUrl};

/// A set of endpoints that do the same job. One URL or a list of them is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text_or_list)]
pub struct Service {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// Where the service runs: URLs, or maps with `url` and `weight`. Beside `discover`: until it has found some.
    #[schemars(default)]
    pub endpoints: Vec<Endpoint>,
    /// Where its endpoints are found, which may come and go while the gateway runs.
    pub discover: Option<Box<Discover>>,
    /// How an endpoint is chosen for a request. Default: `round_robin`.
    #[schemars(default)]
    pub balance: Balance,
    /// How long to wait for an endpoint. A route's or API's own `timeout` comes before it, `defaults` after it.
    pub timeout: Option<Setting<Timeouts>>,
    /// Connections kept to each endpoint.
    #[schemars(default)]
    pub pool: Pool,
    /// Further attempts after one that failed. A route's or API's own `retry` comes before it, `defaults` after it.
    /// Default: one, when no connection could be made; `off` for none.
    pub retry: Option<Setting<Retry>>,
    /// A slow request is asked of another endpoint too. A route's or API's own `hedge` comes before it, `defaults` after it.
    /// Default: it is not.
    pub hedge: Option<Box<Setting<Hedge>>>,
    /// Endpoints are asked whether they are well. Default: they are not.
    pub health: Option<Box<Health>>,
    /// Endpoints that fail are put out for a while. Default: none is.
    pub eject: Option<Eject>,
    /// The service is not called while it keeps failing. Default: it always is.
    pub breaker: Option<Breaker>,
    /// What answers when the service cannot be called. Default: the gateway, with a refusal.
    pub fallback: Option<Box<Fallback>>,
    /// The service is given no more calls at once than it can work on, by what its latency tells. Default: as many as come.
    pub adaptive: Option<Adaptive>,
    /// What becomes of requests while all endpoints are out: `try` sends them all the same, `fail` refuses them with 503.
    /// Default: `try`.
    pub when_all_down: Option<WhenAllDown>,
    /// The protocol that the endpoints speak. Default: `http1`; at `https://` endpoints what the handshake agrees on
    /// (ALPN), `http2` or `http1`.
    pub protocol: Option<ServiceProtocol>,
    /// TLS to its `https://` endpoints. Default: their certificates are checked by the authorities of the system.
    pub tls: Option<Box<ServiceTls>>,
    /// Each connection to the service begins with a PROXY header of this version, which tells the client's address. It
    /// then serves no other client: no connection is kept, and `http2` is not spoken. Default: none is sent.
    pub proxy_protocol: Option<ProxyVersion>,
}

impl Service {
    /// A service of these endpoints, all else as by default.
    pub(in crate::config) fn of(name: Located<String>, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name,
            endpoints,
            discover: None,
            balance: Balance::RoundRobin,
            timeout: None,
            pool: Pool::default(),
            retry: None,
            hedge: None,
            health: None,
            eject: None,
            breaker: None,
            fallback: None,
            adaptive: None,
            when_all_down: None,
            protocol: None,
            tls: None,
            proxy_protocol: None,
        }
    }

    /// Reads a service; also one with faults, as far as it goes.
    pub(super) fn read(key: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut service = Self::of(Located::new(key.text.to_string(), key.span), Vec::new());
        if !matches!(node.value, Value::Map(_)) {
            service.endpoints = read_endpoints(node, key.span, reader);
            return Some(service);
        }
        let mut map = reader.map(node, &SERVICE)?;
        match map.take("endpoints") {
            Some(node) => service.endpoints = read_endpoints(node, map.key_span("endpoints"), reader),
            None if map.has("discover") => {}
            None => map.missing("endpoints", reader),
        }
        service.discover = map.optional("discover", reader);
        let finds_tcp = service.discover.as_ref().is_some_and(|discover| discover.scheme() == Scheme::Tcp);
        if finds_tcp && service.endpoints.iter().any(|endpoint| !endpoint.url.value.is_tcp) {
            reader.wrong(
                map.key_span("endpoints"),
                "with `scheme: tcp` in `discover` these are tcp:// endpoints too",
            );
        }
        service.balance = map.or("balance", Balance::default(), reader);
        service.timeout = map.optional("timeout", reader);
        service.pool = map.or("pool", Pool::default(), reader);
        service.retry = map.optional("retry", reader);
        service.hedge = map.optional("hedge", reader);
        service.health = map.optional("health", reader);
        service.eject = map.optional("eject", reader);
        service.breaker = map.optional("breaker", reader);
        service.fallback = map.optional("fallback", reader);
        service.adaptive = map.optional("adaptive", reader);
        service.when_all_down = map.optional("when_all_down", reader);
        service.protocol = map.optional("protocol", reader);
        service.tls = map.optional("tls", reader);
        service.proxy_protocol = map.optional("proxy_protocol", reader);
        let is_shared = service.protocol.is_some_and(|protocol| protocol.protocols().http2);
        if is_shared && service.proxy_protocol.is_some() {
            let message =
                "an HTTP/2 connection carries the requests of many clients, and its header names one";
            reader.wrong(map.key_span("proxy_protocol"), message);
        }
        map.finish(reader);
        Some(service)
    }
}

/// One place where a service runs. A URL alone is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Endpoint {
    /// `http://host:port` or `https://host:port`, where a path goes before the path of each request; or
    /// `unix:/run/app.sock`. `tcp://host:port` for a service that speaks no HTTP, behind a listener with `tcp`.
    #[schemars(with = "EndpointUrl")]
    pub url: Located<EndpointUrl>,
    /// Its share of requests beside the others', from 0 (none) to 1000. Default: `1`.
    #[schemars(default = "default_weight")]
    pub weight: u32,
}

fn default_weight() -> u32 {
    1
}

/// How an endpoint is chosen for a request.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Balance {
    /// One after another, each as often as its weight says.
    #[default]
    RoundRobin,
    /// At random, by weight.
    WeightedRandom,
    /// At random, all alike.
    Random,
    /// The one of two, drawn at random, that has fewer requests under way.
    LeastRequests,
    /// The one of two, drawn at random, that has been answering faster.
    Ewma,
    /// By the client's address: the same client, the same endpoint.
    IpHash,
    /// By the value of a CEL expression, on a consistent ring: `{ hash: "request.headers['x-tenant']" }`.
    Hash(#[schemars(with = "String")] Located<String>),
    /// By a cookie of this name, which the gateway sets: `{ sticky: tg_session }`.
    Sticky(#[schemars(with = "String")] Located<String>),
}

/// Connections kept to each endpoint.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct Pool {
    /// Connections open at once to one endpoint, per worker. Default: `256`.
    pub max: u32,
    /// Idle connections kept to one endpoint, per worker. More are kept, up to `max`, as long as they are used at least
    /// once a second, so that bursts do not open them anew. Default: `64`.
    pub idle: u32,
    /// How long an idle connection is kept. Default: `60s`.
    pub idle_for: Duration,
    /// Requests that wait when all connections of every endpoint are in use, per endpoint and worker; others are refused with 503.
    /// In order, until the oldest has waited a tenth of `queue_for`: then the newest is served first. Default: `1000`.
    pub queue: u32,
    /// How long each of them waits at most. Default: `2s`.
    pub queue_for: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            max: 256,
            idle: 64,
            idle_for: Duration::from_secs(60),
            queue: 1000,
            queue_for: Duration::from_secs(2),
        }
    }
}

/// The protocol that a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ServiceProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; at `http://` endpoints without asking first (prior knowledge).
    Http2,
    /// gRPC, which is HTTP/2 with rules of its own.
    Grpc,
}

impl ServiceProtocol {
    /// The protocols that connections to such a service may speak.
    pub fn protocols(self) -> Protocols {
        match self {
            Self::Http1 => Protocols::HTTP1,
            Self::Http2 | Self::Grpc => Protocols::HTTP2,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}

/// A list of endpoints, or the only one.
pub(in crate::config) fn read_endpoints(node: &Node, at: Span, reader: &mut Reader) -> Vec<Endpoint> {
    let items = reader.items(node, "the URL of an endpoint, or a list of them");
    let endpoints: Vec<Endpoint> = items.iter().filter_map(|item| Endpoint::read(item, reader)).collect();
    if items.is_empty() && matches!(node.value, Value::List(_)) {
        reader.wrong(at, "a service needs at least one endpoint");
    }
    if endpoints.len() == items.len() && !endpoints.is_empty() && endpoints.iter().all(|one| one.weight == 0)
    {
        reader.wrong(at, "all endpoints have weight 0: none would ever be chosen");
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..index.min(MAX_COMPARED)].iter().any(|earlier| earlier.url == endpoint.url) {
            let message = "this endpoint stands in the service twice; use `weight` to give it more";
            reader.fault(Fault::warning("duplicate_endpoint", endpoint.url.span, message));
        }
    }
    endpoints
}

impl Read for Endpoint {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { url: Located::read(node, reader)?, weight: default_weight() });
        }
        let mut map = reader.map(node, &ENDPOINT)?;
        let url = map.required("url", reader);
        let weight = map.count("weight", default_weight(), 0..=1000, reader);
        map.finish(reader);
        Some(Self { url: url?, weight })
    }
}

impl Read for Balance {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let words = [
            ("round_robin", 0),
            ("weighted_random", 1),
            ("random", 2),
            ("least_requests", 3),
            ("ewma", 4),
            ("ip_hash", 5),
        ];
        if !matches!(node.value, Value::Map(_)) {
            let balances = [
                Self::RoundRobin,
                Self::WeightedRandom,
                Self::Random,
                Self::LeastRequests,
                Self::Ewma,
                Self::IpHash,
            ];
            return reader.word(node, &words).map(|index: usize| balances[index].clone());
        }
        let mut map = reader.map(node, &BALANCE)?;
        if map.has("hash") == map.has("sticky") {
            reader.wrong(map.head(), "expected one of `hash` and `sticky`");
        }
        let hash = map.optional("hash", reader).map(Self::Hash);
        let sticky = map.take("sticky").and_then(|node| read_cookie_name(node, reader)).map(Self::Sticky);
        map.finish(reader);
        hash.or(sticky)
    }
}

/// The name of a cookie is a token (RFC 6265, section 4.1.1).
pub(super) fn read_cookie_name(node: &Node, reader: &mut Reader) -> Option<Located<String>> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = reader.parsed(node, "the name of a cookie", |text| {
        if (1..=MAX_COOKIE_NAME).contains(&text.len()) && text.bytes().all(token) {
            return Ok(text.to_owned());
        }
        Err(format!("the name of a cookie has 1 to {MAX_COOKIE_NAME} letters, digits, `-`, `_` or `.`"))
    })?;
    Some(Located::new(name, node.span))
}

impl Read for Pool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &POOL)?;
        let default = Self::default();
        let max = map.count("max", default.max, 1..=1_000_000, reader);
        let idle = map.count("idle", default.idle.min(max), 0..=1_000_000, reader);
        let idle_for = map.positive("idle_for", default.idle_for, reader);
        let queue = map.count("queue", default.queue, 0..=1_000_000, reader);
        let queue_for = map.positive("queue_for", default.queue_for, reader);
        if idle > max {
            reader.wrong(map.key_span("idle"), "`idle` is larger than `max`");
        }
        map.finish(reader);
        Some(Self { max, idle, idle_for, queue, queue_for })
    }
}

impl Read for ServiceProtocol {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("http1", Self::Http1), ("http2", Self::Http2), ("grpc", Self::Grpc)])
    }
}

pub(super) static SERVICE: Keys = Keys {
    of: "a service",
    known: &[
        "endpoints",
        "discover",
        "balance",
        "timeout",
        "pool",
        "retry",
        "hedge",
        "health",
        "eject",
        "breaker",
        "fallback",
        "adaptive",
        "when_all_down",
        "protocol",
        "tls",
        "proxy_protocol",
    ],
    later: &["proto"],
    shared: None,
};

pub(super) static ENDPOINT: Keys =
    Keys { of: "an endpoint", known: &["url", "weight"], later: &[], shared: None };

pub(super) static BALANCE: Keys =
    Keys { of: "`balance`", known: &["hash", "sticky"], later: &[], shared: None };

pub(super) static POOL: Keys = Keys {
    of: "the pool of a service",
    known: &["max", "idle", "idle_for", "queue", "queue_for"],
    later: &[],
    shared: None,
};

const MAX_COOKIE_NAME: usize = 64;

/// Endpoints against which each further one is compared: the cost grows with the square.
const MAX_COMPARED: usize = 256;
