//! `discover`: the endpoints of a service are found elsewhere, and change while the gateway runs.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;

use super::route::{Headers, read_headers};
use super::tls::ServiceTls;
use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::values::{Duration, Host, HostPort, HttpUrl, Secret};

/// Where the endpoints of a service are found: exactly one of `dns`, `srv`, `file`, `etcd`, `consul` and `http`. The last good
/// answer holds as long as there is no better one: neither a failure nor an empty answer takes endpoints away.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Discover {
    /// `host:port`: every address of this name (A and AAAA) is an endpoint.
    pub dns: Option<HostPort>,
    /// The name of SRV records: `_http._tcp.orders.internal`. Those of the lowest priority number are endpoints.
    pub srv: Option<String>,
    /// A YAML file with a list as under `endpoints`, which is read again when it changes.
    pub file: Option<PathBuf>,
    /// URLs of an etcd cluster (version 3.4 or later), tried in turn. Every key under `prefix` is an endpoint.
    pub etcd: Option<Vec<HttpUrl>>,
    /// The URL of a Consul agent.
    pub consul: Option<HttpUrl>,
    /// A URL that answers with a JSON list of endpoints: URLs, or maps with `url` and `weight`.
    pub http: Option<HttpUrl>,
    /// With `dns` and `srv` the longest time between two questions; answers are asked for again when their TTL is over, but at
    /// most once a second (default: `30s`). With `http` the time between two questions (default: `5s`).
    pub every: Option<Duration>,
    /// With `dns` and `srv`: the DNS server to ask, an address and a port. Default: those of the system.
    #[schemars(with = "Option<String>")]
    pub server: Option<SocketAddr>,
    /// What endpoints speak where the source does not say it, as it names only hosts and ports. Default: `http`.
    pub scheme: Option<Scheme>,
    /// With `etcd`: what the keys begin with. A value is a URL, `host:port`, or `{"url": …, "weight": …}`.
    pub prefix: Option<String>,
    /// With `etcd`: the user, where it wants one.
    pub user: Option<String>,
    /// With `etcd`: the user's password.
    pub password: Option<Secret>,
    /// With `consul`: the name of the service there. Only instances whose checks pass are endpoints.
    pub service: Option<String>,
    /// With `consul`: tags that an instance must all have.
    #[schemars(with = "Option<Vec<String>>")]
    pub tag: Vec<String>,
    /// With `consul`: the datacenter. Default: the agent's own.
    pub datacenter: Option<String>,
    /// With `consul`: the ACL token.
    pub token: Option<Secret>,
    /// With `http`: header fields of the question.
    #[schemars(with = "Option<std::collections::BTreeMap<String, String>>")]
    pub headers: Headers,
    /// With `etcd`, `consul` and `http` at `https://` URLs: TLS to them. TLS to the endpoints is the service's own `tls`.
    pub tls: Option<Box<ServiceTls>>,
}

/// What endpoints speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Scheme {
    /// HTTP in clear.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// Anything, behind a listener with `tcp`.
    Tcp,
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }
}

impl Discover {
    /// The name of the source's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self { dns: Some(_), .. } => "dns",
            Self { srv: Some(_), .. } => "srv",
            Self { file: Some(_), .. } => "file",
            Self { etcd: Some(_), .. } => "etcd",
            Self { consul: Some(_), .. } => "consul",
            _ => "http",
        }
    }

    /// The first URL of its own that speaks TLS.
    pub fn asks_by_tls(&self) -> bool {
        let urls = self.etcd.iter().flatten().chain(&self.consul).chain(&self.http);
        urls.into_iter().any(HttpUrl::is_tls)
    }

    /// Whether endpoints may turn out to speak TLS.
    pub fn may_find_tls(&self) -> bool {
        match self.scheme() {
            Scheme::Tcp => false,
            Scheme::Https => true,
            Scheme::Http => self.file.is_some() || self.etcd.is_some() || self.http.is_some(),
        }
    }

    /// What endpoints speak where the source does not say it.
    pub fn scheme(&self) -> Scheme {
        self.scheme.unwrap_or_default()
    }
}

impl fmt::Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", self.kind())?;
        let urls = self
            .etcd
            .as_ref()
            .map(|urls| urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        let parts = [
            ("", self.dns.as_ref().map(ToString::to_string)),
            ("", self.srv.clone()),
            ("", self.file.as_ref().map(|file| file.display().to_string())),
            ("", urls),
            ("", self.consul.as_ref().or(self.http.as_ref()).map(ToString::to_string)),
            (", every ", self.every.map(|every| every.to_string())),
            (", asking ", self.server.map(|server| server.to_string())),
            (", speaking ", self.scheme.map(|scheme| scheme.as_str().to_owned())),
            (", prefix ", self.prefix.clone()),
            (", user ", self.user.clone()),
            (", service ", self.service.clone()),
            (", tags ", (!self.tag.is_empty()).then(|| self.tag.join(" and "))),
            (", datacenter ", self.datacenter.clone()),
            (", TLS ", self.tls.as_ref().map(ToString::to_string)),
        ];
        for (what, value) in parts {
            if let Some(value) = value {
                let space = if what.is_empty() { " " } else { what };
                write!(f, "{space}{value}")?;
            }
        }
        Ok(())
    }
}

impl Read for Discover {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &DISCOVER)?;
        check_kind(&map, reader);
        let discover = Self {
            dns: map.optional("dns", reader),
            srv: map.take("srv").and_then(|node| read_srv(node, reader)),
            file: map
                .take("file")
                .and_then(|node| reader.text(node, "the path of a file"))
                .map(|path| reader.path(&path)),
            etcd: map.optional("etcd", reader),
            consul: map.optional("consul", reader),
            http: map.optional("http", reader),
            every: map.take("every").and_then(|node| read_every(node, reader)),
            server: map.take("server").and_then(|node| read_server(node, reader)),
            scheme: map.optional("scheme", reader),
            prefix: map.take("prefix").and_then(|node| read_name(node, "what keys begin with", reader)),
            user: map.optional("user", reader),
            password: map.optional("password", reader),
            service: map
                .take("service")
                .and_then(|node| read_name(node, "the name of a service in Consul", reader)),
            tag: map.or("tag", Vec::new(), reader),
            datacenter: map.optional("datacenter", reader),
            token: map.optional("token", reader),
            headers: map.take("headers").map(|node| read_headers(node, reader)).unwrap_or_default(),
            tls: map.optional("tls", reader),
        };
        for url in discover.etcd.iter().flatten().chain(&discover.consul) {
            if !url.is_root() {
                let key = if map.has("etcd") { "etcd" } else { "consul" };
                reader.wrong(
                    map.key_span(key),
                    format!("the URL of {key} has no path: http://host:port is enough"),
                );
            }
        }
        if map.has("etcd") && !map.has("prefix") {
            map.missing("prefix", reader);
        }
        if map.has("consul") && !map.has("service") {
            map.missing("service", reader);
        }
        if map.has("user") != map.has("password") {
            let there = if map.has("user") { "user" } else { "password" };
            reader.wrong(map.key_span(there), "`user` and `password` belong together");
        }
        let asks = discover.etcd.is_some() || discover.consul.is_some() || discover.http.is_some();
        if map.has("tls") && asks && !discover.asks_by_tls() {
            reader.wrong(
                map.key_span("tls"),
                "no URL here begins with https://; TLS to endpoints is `tls` of the service",
            );
        }
        map.finish(reader);
        Some(discover)
    }
}

/// One kind of source, and no keys of another.
fn check_kind(map: &MapReader<'_>, reader: &mut Reader) {
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| map.has(kind)).collect();
    let [kind] = kinds[..] else {
        let is_misspelled = KINDS.iter().any(|kind| map.misspelled(kind));
        if !(kinds.is_empty() && is_misspelled) {
            let at = kinds.get(1).map_or(map.head(), |second| map.key_span(second));
            reader.wrong(at, "expected one of `dns`, `srv`, `file`, `etcd`, `consul` and `http`");
        }
        return;
    };
    for (key, of) in OF_KINDS {
        if map.has(key) && !of.contains(&kind) {
            let with = of.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
            reader.wrong(map.key_span(key), format!("`{key}` goes with {with}, not with `{kind}`"));
        }
    }
}

/// Nobody is asked in a row without end.
fn read_every(node: &Node, reader: &mut Reader) -> Option<Duration> {
    let every = Duration::read(node, reader)?;
    if every < SHORTEST_EVERY {
        reader.wrong(node.span, format!("a duration of at least {SHORTEST_EVERY} is needed here"));
        return None;
    }
    Some(every)
}

fn read_srv(node: &Node, reader: &mut Reader) -> Option<String> {
    let what = "the name of SRV records, as in _http._tcp.orders.internal";
    reader.parsed(node, what, |text| match Host::parse(text) {
        Some(Host::Name(name)) => Ok(name),
        _ => Err(format!("expected {what}")),
    })
}

fn read_server(node: &Node, reader: &mut Reader) -> Option<SocketAddr> {
    let what = "the address and port of a DNS server, as in 10.0.0.2:53";
    reader.parsed(node, what, |text| text.parse().map_err(|_| format!("expected {what}")))
}

fn read_name(node: &Node, what: &str, reader: &mut Reader) -> Option<String> {
    reader.parsed(node, what, |text| {
        let is_sound = !text.is_empty() && !text.chars().any(char::is_control);
        if is_sound { Ok(text.to_owned()) } else { Err(format!("expected {what}")) }
    })
}

impl Read for Scheme {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("http", Self::Http), ("https", Self::Https), ("tcp", Self::Tcp)])
    }
}

const SHORTEST_EVERY: Duration = Duration::from_millis(100);

const KINDS: [&str; 6] = ["dns", "srv", "file", "etcd", "consul", "http"];

/// Keys that not every kind has, and those that have them.
const OF_KINDS: &[(&str, &[&str])] = &[
    ("every", &["dns", "srv", "http"]),
    ("server", &["dns", "srv"]),
    ("prefix", &["etcd"]),
    ("user", &["etcd"]),
    ("password", &["etcd"]),
    ("service", &["consul"]),
    ("tag", &["consul"]),
    ("datacenter", &["consul"]),
    ("token", &["consul"]),
    ("headers", &["http"]),
    ("tls", &["etcd", "consul", "http"]),
];

pub(super) static DISCOVER: Keys = Keys {
    of: "`discover`",
    known: &[
        "dns",
        "srv",
        "file",
        "etcd",
        "consul",
        "http",
        "every",
        "server",
        "scheme",
        "prefix",
        "user",
        "password",
        "service",
        "tag",
        "datacenter",
        "token",
        "headers",
        "tls",
    ],
    later: &[],
    shared: None,
};
