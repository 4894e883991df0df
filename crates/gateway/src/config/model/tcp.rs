//! `tcp` of a listener: which service its connections are passed on to, byte by byte.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::path;
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;

/// Where the connections of a listener that speaks no HTTP lead, byte by byte: `tcp: db`, or by the name that a TLS
/// client asks for.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Tcp {
    /// Services by the name that the client asks for (SNI): `db.example.com`, or `*.example.com` for every name below.
    /// The nearest name wins. TLS is passed on as it is: the service holds the certificate.
    #[schemars(default, with = "BTreeMap<String, String>")]
    pub sni: Vec<(Located<String>, Located<String>)>,
    /// The service for all other connections. Default: with `sni` they are closed with the alert `unrecognized_name`.
    #[schemars(with = "Option<String>")]
    pub default: Option<Located<String>>,
}

impl Tcp {
    /// The services that it leads to, each as often as it is named.
    pub fn services(&self) -> impl Iterator<Item = &Located<String>> {
        self.sni.iter().map(|(_, service)| service).chain(&self.default)
    }
}

impl Read for Tcp {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self { sni: Vec::new(), default: Some(read_service(node, reader)?) });
        }
        let mut map = reader.map(node, &TCP)?;
        let sni = map.take("sni").map(|node| read_names(node, reader)).unwrap_or_default();
        let default = map.take("default").and_then(|node| read_service(node, reader));
        if !map.has("sni") && !map.has("default") {
            reader.wrong(map.head(), "`tcp` names the service that the bytes go to, or some in `sni`");
        }
        map.finish(reader);
        Some(Self { sni, default })
    }
}

fn read_service(node: &Node, reader: &mut Reader) -> Option<Located<String>> {
    Some(Located::new(reader.text(node, "the name of a service")?, node.span))
}

fn read_names(node: &Node, reader: &mut Reader) -> Vec<(Located<String>, Located<String>)> {
    let mut names: Vec<(Located<String>, Located<String>)> = Vec::new();
    let entries = reader.entries(node, "services by the names that clients ask for");
    if entries.is_empty() && matches!(node.value, Value::Map(_)) {
        reader.wrong(node.head(), "`sni` is empty: leave it away, or name a host and its service");
    }
    for (key, value) in entries {
        let service = read_service(value, reader);
        let name = key.text.to_ascii_lowercase();
        if let Err(complaint) = check_name(&name) {
            reader.fault(Fault::error("bad_host", key.span, complaint));
        } else if names.iter().take(MAX_COMPARED).any(|(known, _)| known.value == name) {
            reader.fault(Fault::error("duplicate_key", key.span, "this name stands here twice"));
        } else if let Some(service) = service {
            names.push((Located::new(name, key.span), service));
        }
    }
    names
}

/// Clients ask for names only, never for addresses (RFC 6066, section 3).
fn check_name(name: &str) -> Result<(), String> {
    if name == "*" {
        return Err("`default` is the service for every other name".to_owned());
    }
    if name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("TLS clients ask for names only, never for addresses".to_owned());
    }
    path::check_host(name)
}

pub(super) static TCP: Keys = Keys { of: "`tcp`", known: &["sni", "default"], later: &[], shared: None };

/// Names against which each further one is compared: the cost grows with the square.
const MAX_COMPARED: usize = 256;
