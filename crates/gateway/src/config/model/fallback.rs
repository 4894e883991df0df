//! `fallback`: what answers when a service cannot be called.

use std::fmt;

use schemars::JsonSchema;

use super::route::Respond;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;

/// What answers when a service cannot be called: while its breaker is open, when no endpoint takes requests or can be reached, or when
/// the queue for its connections is full or too slow. Never after it has seen something of the request.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Fallback {
    /// An answer of the gateway's own. A plain number is `status`. Calls of gRPC and requests for tunnels are refused as without it.
    Respond(Respond),
    /// Another service, called by its own `timeout` and `retry` or those of `defaults`. Its own `fallback` is not used for it.
    To(#[schemars(with = "String")] Located<String>),
}

impl Fallback {
    /// The service that it leads to, if any.
    pub fn service(&self) -> Option<&Located<String>> {
        match self {
            Self::Respond(_) => None,
            Self::To(service) => Some(service),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(service) => write!(f, "service {}", service.value),
            Self::Respond(respond) => {
                write!(f, "status {}", respond.status.as_u16())?;
                for (name, value) in &respond.headers {
                    write!(f, ", {name}: {}", value.value)?;
                }
                respond.body.as_ref().map_or(Ok(()), |body| write!(f, ", body {:?}", body.value))
            }
        }
    }
}

impl Read for Fallback {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &FALLBACK)?;
        let respond = map.optional("respond", reader).map(Self::Respond);
        let to = map.optional("to", reader).map(Self::To);
        let is_misspelled = map.misspelled("respond") || map.misspelled("to");
        if map.has("respond") == map.has("to") && !is_misspelled {
            reader.wrong(map.head(), "expected one of `respond` and `to`");
        }
        map.finish(reader);
        respond.or(to)
    }
}

pub(super) static FALLBACK: Keys =
    Keys { of: "`fallback`", known: &["respond", "to"], later: &[], shared: None };
