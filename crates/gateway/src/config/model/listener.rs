//! `listeners`: where requests come in, and the bounds of what a client may send.

use schemars::JsonSchema;

use super::per_address::read_requests;
use super::policy::Setting;
use super::proxy_protocol::ProxyProtocol;
use super::tcp::Tcp;
use super::tls::ListenerTls;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_text, or_text_or_list};
use crate::config::source::{Located, Span};
use crate::config::values::{Cidr, Duration, FileMode, ListenAddress, Rate, Size};

/// A socket that requests come in by. An address alone is enough: `- 0.0.0.0:8080`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Listener {
    /// Where to listen: `0.0.0.0:8080`, `[::1]:8080`, `:8080` for all IPv4 addresses, or `unix:/run/tollgate.sock`.
    #[schemars(with = "ListenAddress")]
    pub address: Located<ListenAddress>,
    /// Who may connect to a Unix socket: the permissions of its file, in octal digits. Default: `"0660"`, its owner and
    /// group.
    pub mode: Option<FileMode>,
    /// `https` answers every request with 308 to the same URL under `https://`, at the port of the first listener that has
    /// `tls`. Default: requests are served.
    pub redirect: Option<Redirect>,
    /// The protocols spoken here. With TLS the handshake agrees on one (ALPN), in clear the client's first bytes tell.
    /// Default: both.
    #[schemars(with = "Option<Vec<Protocol>>")]
    pub protocols: Protocols,
    /// TLS: certificates and who must show one. `dev` makes a certificate that signs itself. Default: in clear.
    pub tls: Option<Box<ListenerTls>>,
    /// Passes connections on byte by byte, without a word of HTTP: to one service, or by the name that a TLS client asks
    /// for. With `tls` it is ended here, and the service gets what is inside. Default: HTTP is spoken.
    pub tcp: Option<Tcp>,
    /// Peers that begin each connection with a PROXY header, which says whose it is. Default: nobody.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed. Default: nobody's; they are replaced.
    pub trust_forwarded: Option<TrustForwarded>,
    /// Bounds of what a client may send, and how slowly.
    #[schemars(default)]
    pub limits: Limits,
}

impl Listener {
    /// A listener with nothing but an address.
    pub(super) fn at(address: ListenAddress, span: Span) -> Self {
        Self {
            address: Located::new(address, span),
            mode: None,
            redirect: None,
            protocols: Protocols::BOTH,
            tls: None,
            tcp: None,
            proxy_protocol: None,
            trust_forwarded: None,
            limits: Limits::default(),
        }
    }
}

/// Where a listener sends its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Redirect {
    /// To the same URL under `https://`.
    Https,
}

/// A protocol that a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Protocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The protocols that one end of a connection speaks; none of them where bytes are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocols {
    /// HTTP/1.1 and HTTP/1.0.
    pub http1: bool,
    /// HTTP/2.
    pub http2: bool,
}

impl Protocols {
    /// Neither.
    pub const NONE: Self = Self { http1: false, http2: false };

    /// HTTP/1.1 and nothing else.
    pub const HTTP1: Self = Self { http1: true, http2: false };

    /// HTTP/2 and nothing else.
    pub const HTTP2: Self = Self { http1: false, http2: true };

    /// Both; where there is a choice, HTTP/2.
    pub const BOTH: Self = Self { http1: true, http2: true };
}

impl std::fmt::Display for Protocols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.http1, self.http2) {
            (true, true) => "http1, http2",
            (false, true) => "http2",
            (true, false) => "http1",
            (false, false) => "tcp",
        })
    }
}

/// Peers whose word about the client is believed: `trust_forwarded: 10.0.0.0/8`, a list, or a map.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text_or_list)]
pub struct TrustForwarded {
    /// Networks of those peers.
    pub from: Vec<Cidr>,
}

/// Bounds of what a client of a listener may send, and how slowly.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct Limits {
    /// Connections open at once, over all workers. Default: `50000`.
    pub connections: u32,
    /// Connections open at once from one address, over all workers; one of IPv6 stands for its /64. It is the client's, as the PROXY
    /// protocol tells it, and peers in `trust_forwarded` have no limit; `off` for none at all. Default: `1000`, but for loopback addresses
    /// and those in `proxy_protocol`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub connections_per_ip: Option<Setting<u32>>,
    /// New connections from one address, such as `50/s`: so many at once, and as many again in the time. Default: no limit.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub connection_rate_per_ip: Option<Rate>,
    /// Requests of one address, such as `100/s`, over all connections and workers; twice as many may come at once. It is the client's, as
    /// `trust_forwarded` or the PROXY protocol tells it, and one of IPv6 stands for its /64; `off` for no limit. Default: `5000/s`, but for
    /// loopback addresses and those in `proxy_protocol`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub requests_per_ip: Option<Setting<Rate>>,
    /// Time for a request's head to arrive, from its first byte (or the connection's start) to its end. Default: `10s`.
    pub header_timeout: Duration,
    /// Longest pause between two bytes of a request's body. Default: `30s`.
    pub body_timeout: Duration,
    /// Bytes of a request's body that must come in a second, over all the time that it is waited for; the first of them have
    /// `body_timeout`. Calls of gRPC have no least rate. Default: none.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub body_rate: Option<Size>,
    /// How long a connection is kept without a request. Default: `75s`.
    pub idle_timeout: Duration,
    /// Header fields in a request, from 1 to 1000. Default: `100`.
    pub headers: u32,
    /// Bytes of a request's head, its first line included, from 1KiB to 1MiB. Default: `32KiB`.
    pub header_size: Size,
    /// Bytes of a request's first line, which holds the URL, from 256 bytes to 1MiB. Default: `8KiB`.
    pub line_size: Size,
    /// Streams open at once on an HTTP/2 connection, from 1 to 10000. Default: `128`.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            connections_per_ip: None,
            connection_rate_per_ip: None,
            requests_per_ip: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate: None,
            idle_timeout: Duration::from_secs(75),
            headers: 100,
            header_size: Size::from_bytes(32 << 10),
            line_size: Size::from_bytes(8 << 10),
            streams: 128,
        }
    }
}

impl Read for Listener {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return ListenAddress::read(node, reader).map(|address| Self::at(address, node.span));
        }
        let mut map = reader.map(node, &LISTENER)?;
        let address: Option<Located<ListenAddress>> = map.required("address", reader);
        let mode_key = map.key_span("mode");
        let mode = map.optional("mode", reader);
        if mode.is_some() && address.as_ref().is_some_and(|address| address.value.tcp().is_some()) {
            reader.wrong(mode_key, "`mode` is for Unix sockets: `address: unix:/run/tollgate.sock`");
        }
        let redirect = map.take("redirect").and_then(|node| reader.word(node, &[("https", Redirect::Https)]));
        let tcp: Option<Tcp> = map.optional("tcp", reader);
        for key in OF_HTTP.iter().filter(|key| tcp.is_some() && map.has(key)) {
            let message = format!("`{key}` is about HTTP, of which a listener with `tcp` speaks none");
            reader.wrong(map.key_span(key), message);
        }
        let protocols = match map.take("protocols") {
            None if tcp.is_some() => Protocols::NONE,
            Some(node) => read_protocols(node, map.key_span("protocols"), reader),
            None => Protocols::BOTH,
        };
        let tls: Option<Box<ListenerTls>> = map.optional("tls", reader);
        if redirect.is_some() && tls.is_some() {
            let message = "a listener with `tls` serves https itself: it has nowhere to redirect to";
            reader.wrong(map.key_span("redirect"), message);
        }
        if tls.is_some() && tcp.as_ref().is_some_and(|tcp| !tcp.sni.is_empty()) {
            let message =
                "`sni` passes TLS on unread, and `tls` ends it here: name one service, `tcp: SERVICE`";
            reader.wrong(map.key_span("tcp"), message);
        }
        let proxy_protocol = map.optional("proxy_protocol", reader);
        let trust_forwarded = map.optional("trust_forwarded", reader);
        let limits = map.or("limits", Limits::default(), reader);
        map.finish(reader);
        Some(Self {
            address: address?,
            mode,
            redirect,
            protocols,
            tls,
            tcp,
            proxy_protocol,
            trust_forwarded,
            limits,
        })
    }
}

fn read_protocols(node: &Node, at: Span, reader: &mut Reader) -> Protocols {
    let mut protocols = Protocols { http1: false, http2: false };
    let items = reader.items(node, "a list of protocols");
    for item in items {
        match Protocol::read(item, reader) {
            Some(Protocol::Http1) => protocols.http1 = true,
            Some(Protocol::Http2) => protocols.http2 = true,
            None => {}
        }
    }
    if items.is_empty() && matches!(node.value, Value::List(_)) {
        reader.wrong(at, "`protocols` is empty: nobody could call");
    }
    protocols
}

impl Read for Protocol {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.is("http3") {
            reader.not_yet(node.span, "the protocol `http3`");
            return None;
        }
        reader.word(node, &[("http1", Self::Http1), ("http2", Self::Http2)])
    }
}

impl Read for TrustForwarded {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Vec::read(node, reader).map(|from| Self { from });
        }
        let mut map = reader.map(node, &TRUST_FORWARDED)?;
        let from = map.required("from", reader);
        map.finish(reader);
        Some(Self { from: from? })
    }
}

impl Read for Limits {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &LIMITS)?;
        let default = Self::default();
        let limits = Self {
            connections: map.count("connections", default.connections, 1..=MAX_CONNECTIONS, reader),
            connections_per_ip: map
                .take("connections_per_ip")
                .and_then(|node| read_connections(node, reader)),
            connection_rate_per_ip: map.optional("connection_rate_per_ip", reader),
            requests_per_ip: map.take("requests_per_ip").and_then(|node| read_requests(node, reader)),
            header_timeout: map.positive("header_timeout", default.header_timeout, reader),
            body_timeout: map.positive("body_timeout", default.body_timeout, reader),
            body_rate: map.take("body_rate").and_then(|node| reader.size(node, 1..=LARGEST_RATE)),
            idle_timeout: map.positive("idle_timeout", default.idle_timeout, reader),
            headers: map.count("headers", default.headers, 1..=1000, reader),
            header_size: map.size("header_size", default.header_size, (1 << 10)..=(1 << 20), reader),
            line_size: map.size("line_size", default.line_size, 256..=(1 << 20), reader),
            streams: map.count("streams", default.streams, 1..=10_000, reader),
        };
        map.finish(reader);
        Some(limits)
    }
}

fn read_connections(node: &Node, reader: &mut Reader) -> Option<Setting<u32>> {
    if node.is("off") { Some(Setting::Off) } else { reader.count(node, 1..=MAX_CONNECTIONS).map(Setting::On) }
}

pub(super) static LISTENER: Keys = Keys {
    of: "a listener",
    known: &[
        "address",
        "mode",
        "redirect",
        "protocols",
        "tls",
        "tcp",
        "proxy_protocol",
        "trust_forwarded",
        "limits",
    ],
    later: &[],
    shared: None,
};

/// Keys that mean nothing where no HTTP is spoken.
static OF_HTTP: [&str; 3] = ["redirect", "protocols", "trust_forwarded"];

pub(super) static TRUST_FORWARDED: Keys =
    Keys { of: "`trust_forwarded`", known: &["from"], later: &[], shared: None };

pub(super) static LIMITS: Keys = Keys {
    of: "the limits of a listener",
    known: &[
        "connections",
        "connections_per_ip",
        "connection_rate_per_ip",
        "requests_per_ip",
        "header_timeout",
        "body_timeout",
        "body_rate",
        "idle_timeout",
        "headers",
        "header_size",
        "line_size",
        "streams",
    ],
    later: &[],
    shared: None,
};

/// Bytes in a second: more would turn away whoever is far away.
const LARGEST_RATE: u64 = 1 << 20;

/// Descriptors that a process can have open on common systems.
const MAX_CONNECTIONS: u32 = 10_000_000;
