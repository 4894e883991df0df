//! `geo`: where addresses are.

use std::path::PathBuf;

use schemars::JsonSchema;

use super::tls::watched_file;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;

/// Where addresses are. The path of a database is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Geo {
    /// A file in the format of MaxMind DB that says the countries of addresses: GeoLite2 and GeoIP2 (Country or City), DB-IP, IPinfo.
    /// It is watched.
    #[schemars(with = "String")]
    pub database: Located<PathBuf>,
}

impl Read for Geo {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { database: watched_file(node, reader)? });
        }
        let mut map = reader.map(node, &GEO)?;
        let database = map.demand("database", reader).and_then(|node| watched_file(node, reader));
        map.finish(reader);
        Some(Self { database: database? })
    }
}

pub(super) static GEO: Keys = Keys { of: "`geo`", known: &["database"], later: &[], shared: None };
