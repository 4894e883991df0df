//! `proxy_protocol` of listeners and services: who may say whose connection it passes on, and who wants to be told.

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text_or_list;
use crate::config::values::Cidr;

/// Peers that begin each connection with a PROXY header, version 1 or 2: `proxy_protocol: 10.0.0.0/8`, a list, or a map.
/// They must send it; from all others it is a malformed request.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text_or_list)]
pub struct ProxyProtocol {
    /// Networks of those peers.
    pub from: Vec<Cidr>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyVersion {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl Read for ProxyProtocol {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Vec::read(node, reader).map(|from| Self { from });
        }
        let mut map = reader.map(node, &PROXY_PROTOCOL)?;
        let from = map.required("from", reader);
        map.finish(reader);
        Some(Self { from: from? })
    }
}

impl Read for ProxyVersion {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("v1", Self::V1), ("v2", Self::V2)])
    }
}

pub(super) static PROXY_PROTOCOL: Keys =
    Keys { of: "`proxy_protocol`", known: &["from"], later: &[], shared: None };
