//! `ban`: for how long who is refused too often is refused at once.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::values::{Cidr, Duration, Refusals};

/// Whoever is refused too often is refused at once, for a while, whatever it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub struct Ban {
    /// How often an address, of IPv6 a network, must be refused: `100 refusals in 1m`. Those are counted that its requests are to blame for:
    /// of a status from 400 to 499, and by the stages from `admit` to `validate`.
    pub after: Refusals,
    /// For how long it is then refused.
    #[schemars(rename = "for")]
    pub term: Duration,
    /// Networks that are never banned.
    #[schemars(default)]
    pub except: Vec<Cidr>,
    /// Leading bits by which addresses of IPv6 are told apart, from 32 to 128. Default: `64`.
    pub ipv6_prefix: Option<u8>,
}

impl Read for Ban {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &BAN)?;
        let after = map.required("after", reader);
        let term_at = map.value_span("for");
        let term: Option<Duration> = map.required("for", reader);
        let except = map.or("except", Vec::new(), reader);
        let ipv6_prefix = read_ipv6_prefix(&mut map, reader);
        map.finish(reader);
        let term = term?;
        if !(MIN_TERM..=MAX_TERM).contains(&term) {
            reader.wrong(term_at?, format!("a ban is for {MIN_TERM} to {MAX_TERM}"));
            return None;
        }
        Some(Self { after: after?, term, except, ipv6_prefix })
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {} after {}", self.term, self.after)?;
        write_addresses(f, &self.except, self.ipv6_prefix)
    }
}

/// By how many leading bits addresses of IPv6 are told apart, where a map says it.
pub(super) fn read_ipv6_prefix(map: &mut MapReader<'_>, reader: &mut Reader) -> Option<u8> {
    let bits = map.take("ipv6_prefix").and_then(|node| reader.count(node, 32..=128))?;
    u8::try_from(bits).ok()
}

/// Which addresses are left out, and which count as one.
pub(super) fn write_addresses(
    f: &mut fmt::Formatter<'_>,
    except: &[Cidr],
    ipv6_prefix: Option<u8>,
) -> fmt::Result {
    let mut before = ", except ";
    for network in except {
        write!(f, "{before}{network}")?;
        before = ", ";
    }
    match ipv6_prefix {
        Some(bits) => write!(f, ", IPv6 by /{bits}"),
        None => Ok(()),
    }
}

pub(super) static BAN: Keys =
    Keys { of: "`ban`", known: &["after", "for", "except", "ipv6_prefix"], later: &[], shared: None };

const MIN_TERM: Duration = Duration::from_secs(1);
const MAX_TERM: Duration = Duration::from_secs(365 * 86_400);
