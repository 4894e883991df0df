//! `admin`: the address for operators, apart from the listeners.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};
use crate::config::values::{Secret, TcpAddress};

/// The address for operators. An address alone is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(default, transform = or_text)]
pub struct Admin {
    /// Where to listen. Anything but a loopback address needs a `token`. Default: `127.0.0.1:9900`.
    #[schemars(with = "TcpAddress")]
    pub address: Located<TcpAddress>,
    /// What callers send as `Authorization: Bearer …`. Default: none, which only a loopback address may have.
    pub token: Option<Secret>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: Located::new(DEFAULT_ADDRESS, Span::default()), token: None }
    }
}

impl Read for Admin {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { address: Located::read(node, reader)?, token: None });
        }
        let mut map = reader.map(node, &ADMIN)?;
        let address = map.or("address", Located::new(DEFAULT_ADDRESS, map.head()), reader);
        // A token that could not be read was meant to be there: the fault about it is enough.
        let unreadable = map.has("token");
        let token: Option<Secret> = map.optional("token", reader);
        map.finish(reader);
        if token.is_none() && unreadable {
            return None;
        }
        Some(Self { address, token })
    }
}

/// The schema of the key: an admin address or `off`.
pub(super) struct AdminSetting;

impl JsonSchema for AdminSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AdminSetting".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let admin = generator.subschema_for::<Admin>();
        schemars::json_schema!({ "anyOf": [admin, { "const": "off" }] })
    }
}

pub(super) static ADMIN: Keys =
    Keys { of: "`admin`", known: &["address", "token"], later: &[], shared: None };

const DEFAULT_ADDRESS: TcpAddress = TcpAddress::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900));
