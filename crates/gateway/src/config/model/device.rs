//! `devices`: kinds of clients, told apart by what they send.

use http::HeaderName;
use schemars::JsonSchema;

use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::values::Pattern;

/// A kind of client.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Device {
    /// Clients whose `User-Agent` matches this regular expression, anywhere in it.
    UserAgent(Pattern),
    /// Clients that send this header, whatever its value.
    Header(#[schemars(with = "String")] HeaderName),
}

impl Read for Device {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &DEVICE)?;
        let both = map.has("user_agent") && map.has("header");
        let user_agent = map.optional("user_agent", reader).map(Self::UserAgent);
        let header = map.optional("header", reader).map(Self::Header);
        if both {
            reader.wrong(map.head(), "a device is told by `user_agent` or by `header`, not by both");
        } else if !map.has("user_agent") && !map.has("header") {
            reader.wrong(map.head(), "a device needs `user_agent` or `header` to be told by");
        }
        map.finish(reader);
        user_agent.or(header)
    }
}

pub(super) static DEVICE: Keys =
    Keys { of: "a device", known: &["user_agent", "header"], later: &[], shared: None };
