//! `listeners`: where requests come in, and the bounds of what a client may send.

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::{or_text, or_text_or_list};
use crate::config::source::{Located, Span};
use crate::config::values::{Cidr, Duration, ListenAddress, Size};

/// A socket that requests come in by. An address alone is enough: `- 0.0.0.0:8080`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Listener {
    /// Where to listen: `0.0.0.0:8080`, `[::1]:8080`, or `:8080` for all IPv4 addresses.
    #[schemars(with = "ListenAddress")]
    pub address: Located<ListenAddress>,
    /// `https` answers every request with 308 to the same URL under `https://`. Default: requests are served.
    pub redirect: Option<Redirect>,
    /// The protocols spoken here. Default: `[http1]`.
    #[schemars(default)]
    pub protocols: Vec<Protocol>,
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
            redirect: None,
            protocols: vec![Protocol::Http1],
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
pub enum Protocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
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
    /// Time for a request's head to arrive, from its first byte (or the connection's start) to its end. Default: `10s`.
    pub header_timeout: Duration,
    /// Longest pause between two bytes of a request's body. Default: `30s`.
    pub body_timeout: Duration,
    /// How long a connection is kept without a request. Default: `75s`.
    pub idle_timeout: Duration,
    /// Header fields in a request, from 1 to 1000. Default: `100`.
    pub headers: u32,
    /// Bytes of a request's head, its first line included, from 1KiB to 1MiB. Default: `32KiB`.
    pub header_size: Size,
    /// Bytes of a request's first line, which holds the URL, from 256 bytes to 1MiB. Default: `8KiB`.
    pub line_size: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            headers: 100,
            header_size: Size::from_bytes(32 << 10),
            line_size: Size::from_bytes(8 << 10),
        }
    }
}

impl Read for Listener {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return ListenAddress::read(node, reader).map(|address| Self::at(address, node.span));
        }
        let mut map = reader.map(node, &LISTENER)?;
        let address = map.required("address", reader);
        let redirect = map.take("redirect").and_then(|node| reader.word(node, &[("https", Redirect::Https)]));
        let protocols = match map.take("protocols") {
            Some(node) => {
                let items = reader.items(node, "a list of protocols");
                items.iter().filter_map(|item| Protocol::read(item, reader)).collect()
            }
            None => vec![Protocol::Http1],
        };
        let trust_forwarded = map.optional("trust_forwarded", reader);
        let limits = map.or("limits", Limits::default(), reader);
        map.finish(reader);
        Some(Self { address: address?, redirect, protocols, trust_forwarded, limits })
    }
}

impl Read for Protocol {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Some(later) = ["http2", "http3"].into_iter().find(|word| node.is(word)) {
            reader.not_yet(node.span, &format!("the protocol `{later}`"));
            return None;
        }
        reader.word(node, &[("http1", Self::Http1)])
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
            header_timeout: map.positive("header_timeout", default.header_timeout, reader),
            body_timeout: map.positive("body_timeout", default.body_timeout, reader),
            idle_timeout: map.positive("idle_timeout", default.idle_timeout, reader),
            headers: map.count("headers", default.headers, 1..=1000, reader),
            header_size: map.size("header_size", default.header_size, (1 << 10)..=(1 << 20), reader),
            line_size: map.size("line_size", default.line_size, 256..=(1 << 20), reader),
        };
        map.finish(reader);
        Some(limits)
    }
}

pub(super) static LISTENER: Keys = Keys {
    of: "a listener",
    known: &["address", "redirect", "protocols", "trust_forwarded", "limits"],
    later: &["tls", "proxy_protocol"],
    shared: None,
};

pub(super) static TRUST_FORWARDED: Keys =
    Keys { of: "`trust_forwarded`", known: &["from"], later: &[], shared: None };

pub(super) static LIMITS: Keys = Keys {
    of: "the limits of a listener",
    known: &[
        "connections",
        "header_timeout",
        "body_timeout",
        "idle_timeout",
        "headers",
        "header_size",
        "line_size",
    ],
    later: &["connections_per_ip", "streams"],
    shared: None,
};

/// Descriptors that a process can have open on common systems.
const MAX_CONNECTIONS: u32 = 10_000_000;
