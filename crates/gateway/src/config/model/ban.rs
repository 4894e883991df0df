//! `ban`: for how long who is refused too often is refused at once.

use std::fmt;

use schemars::JsonSchema;

use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::values::{Cidr, Duration, Refusals};

/// Whoever is refused too often is refused at once, for a while, whatever it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub struct Ban {
    /// How often an address, of IPv6 a /64, must be refused: `100 refusals in 1m`. Those are counted that its requests are to blame for:
    /// of a status from 400 to 499, and by the stages from `admit` to `validate`.
    pub after: Refusals,
    /// For how long it is then refused.
    #[schemars(rename = "for")]
    pub term: Duration,
    /// Networks that are never banned.
    #[schemars(default)]
    pub except: Vec<Cidr>,
}

impl Read for Ban {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &BAN)?;
        let after = map.required("after", reader);
        let term_at = map.value_span("for");
        let term: Option<Duration> = map.required("for", reader);
        let except = map.or("except", Vec::new(), reader);
        map.finish(reader);
        let term = term?;
        if !(MIN_TERM..=MAX_TERM).contains(&term) {
            reader.wrong(term_at?, format!("a ban is for {MIN_TERM} to {MAX_TERM}"));
            return None;
        }
        Some(Self { after: after?, term, except })
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {} after {}", self.term, self.after)?;
        let mut before = ", except ";
        for network in &self.except {
            write!(f, "{before}{network}")?;
            before = ", ";
        }
        Ok(())
    }
}

pub(super) static BAN: Keys =
    Keys { of: "`ban`", known: &["after", "for", "except"], later: &[], shared: None };

const MIN_TERM: Duration = Duration::from_secs(1);
const MAX_TERM: Duration = Duration::from_secs(365 * 86_400);
