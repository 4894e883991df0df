//! `ip`: which addresses may call.

use std::path::PathBuf;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::Cidr;

use super::tls::watched_file;

/// Which addresses may call: the client's, as `trust_forwarded` and the PROXY protocol tell it. What is denied is refused, whatever is
/// allowed.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
pub struct IpPolicy {
    /// Networks that may call; no others may then. Default: all.
    #[schemars(default, with = "Vec<Cidr>")]
    pub allow: Vec<Cidr>,
    /// Networks that may not.
    #[schemars(default, with = "Vec<Cidr>")]
    pub deny: Vec<Cidr>,
    /// A file with networks that may call, one on each line; `#` begins a comment. It is watched.
    #[schemars(with = "Option<String>")]
    pub allow_file: Option<Located<PathBuf>>,
    /// A file with networks that may not.
    #[schemars(with = "Option<String>")]
    pub deny_file: Option<Located<PathBuf>>,
}

impl Read for IpPolicy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &IP)?;
        let policy = Self {
            allow: map.or("allow", Vec::new(), reader),
            deny: map.or("deny", Vec::new(), reader),
            allow_file: map.take("allow_file").and_then(|node| watched_file(node, reader)),
            deny_file: map.take("deny_file").and_then(|node| watched_file(node, reader)),
        };
        if map.is_empty_list("allow") {
            reader.wrong(map.key_span("allow"), "`allow` is empty: leave it out, or nobody could call");
        }
        if !IP.known.iter().any(|key| map.has(key)) {
            let fault = Fault::error("bad_value", map.head(), "`ip` says nothing of any address");
            reader.fault(fault.help("`allow` and `deny` are lists of networks"));
        }
        map.finish(reader);
        Some(policy)
    }
}

pub(super) static IP: Keys = Keys {
    of: "`ip`",
    known: &["allow", "deny", "allow_file", "deny_file"],
    later: &["allow_countries", "deny_countries"],
    shared: None,
};
