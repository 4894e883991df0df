//! `ip`: which addresses may call.

use std::path::PathBuf;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Cidr, Country};

use super::tls::watched_file;

/// Which addresses may call: the client's, as `trust_forwarded` and the PROXY protocol tell it. What is denied is refused, whatever is
/// allowed.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
pub struct IpPolicy {
    /// Networks that may call; no others may then, unless their countries may. Default: all.
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
    /// Countries that may call, by the codes of ISO 3166-1; no others may then, unless their networks may. `unknown` is where no country
    /// is known, as of private addresses. They need `geo`.
    #[schemars(default, with = "Vec<Country>")]
    pub allow_countries: Vec<Located<Country>>,
    /// Countries that may not.
    #[schemars(default, with = "Vec<Country>")]
    pub deny_countries: Vec<Located<Country>>,
}

impl IpPolicy {
    /// The countries that it names.
    pub fn countries(&self) -> impl Iterator<Item = &Located<Country>> {
        self.allow_countries.iter().chain(&self.deny_countries)
    }
}

impl Read for IpPolicy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &IP)?;
        let policy = Self {
            allow: map.or("allow", Vec::new(), reader),
            deny: map.or("deny", Vec::new(), reader),
            allow_file: map.take("allow_file").and_then(|node| watched_file(node, reader)),
            deny_file: map.take("deny_file").and_then(|node| watched_file(node, reader)),
            allow_countries: map.or("allow_countries", Vec::new(), reader),
            deny_countries: map.or("deny_countries", Vec::new(), reader),
        };
        for key in ["allow", "allow_countries"].into_iter().filter(|key| map.is_empty_list(key)) {
            reader.wrong(map.key_span(key), format!("`{key}` is empty: leave it out, or nobody could call"));
        }
        for country in policy.allow_countries.iter().filter(|country| policy.deny_countries.contains(country))
        {
            reader.wrong(country.span, "this country stands in `deny_countries` too, which wins");
        }
        if !IP.known.iter().any(|key| map.has(key)) {
            let fault = Fault::error("bad_value", map.head(), "`ip` says nothing of any address");
            reader.fault(fault.help("`allow` and `deny` are lists of networks, `allow_countries` and `deny_countries` of countries"));
        }
        map.finish(reader);
        Some(policy)
    }
}

pub(super) static IP: Keys = Keys {
    of: "`ip`",
    known: &["allow", "deny", "allow_file", "deny_file", "allow_countries", "deny_countries"],
    later: &[],
    shared: None,
};
