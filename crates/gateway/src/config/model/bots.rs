//! `bots`: which programs may call, by what they say of themselves.

use std::fmt;

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text_or_list;

/// Which programs may call, by what they say of themselves in `User-Agent`. That proves nothing; it keeps out who does not bother. What
/// to deny, alone or as a list, is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(transform = or_text_or_list)]
pub struct Bots {
    /// Parts of `User-Agent`, in any case, whose programs are refused: `curl/`, `bot`; `known` for scanners that look for holes, `"*"` for
    /// all.
    #[schemars(default, with = "Vec<String>")]
    pub deny: Vec<AgentPattern>,
    /// Parts of `User-Agent` whose programs may call although `deny` or `empty` says otherwise.
    #[schemars(default, with = "Vec<String>")]
    pub allow: Vec<AgentPattern>,
    /// Whether a request without `User-Agent` is let through: `allow` or `deny`. Default: `allow`.
    #[schemars(with = "Option<EmptyAgent>")]
    pub empty: EmptyAgent,
}

/// Programs by what they say of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentPattern {
    /// Those of the list that comes with the gateway.
    Known,
    /// All that say anything.
    All,
    /// Those that say this somewhere.
    Part(String),
}

/// What becomes of requests that say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum EmptyAgent {
    /// They are served.
    #[default]
    Allow,
    /// They are refused.
    Deny,
}

impl Read for Bots {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let deny: Vec<AgentPattern> = Vec::read(node, reader)?;
            if matches!(&node.value, Value::List(items) if items.is_empty()) {
                reader.wrong(node.head(), "this list is empty: name what to deny, or write `off`");
            }
            return Some(Self { deny, ..Self::default() });
        }
        let mut map = reader.map(node, &BOTS)?;
        let bots = Self {
            deny: map.or("deny", Vec::new(), reader),
            allow: map.or("allow", Vec::new(), reader),
            empty: map.or("empty", EmptyAgent::Allow, reader),
        };
        if !["deny", "empty"].iter().any(|key| map.has(key) || map.misspelled(key)) {
            let fault =
                Fault::error("bad_value", map.head(), "`bots` says of no program that it may not call");
            reader.fault(
                fault.help("`deny: known` refuses scanners, `deny: \"*\"` all that `allow` does not name"),
            );
        }
        map.finish(reader);
        Some(bots)
    }
}

impl Read for AgentPattern {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.parsed(node, "a part of `User-Agent`, `known`, or `\"*\"`", |text| match text {
            "known" => Ok(Self::Known),
            "*" => Ok(Self::All),
            _ if text.trim().is_empty() => Err("a part of `User-Agent` is not empty".to_owned()),
            _ if text.len() > MAX_PART => Err(format!("a part of `User-Agent` has at most {MAX_PART} bytes")),
            _ => Ok(Self::Part(text.to_owned())),
        })
    }
}

impl Read for EmptyAgent {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("allow", Self::Allow), ("deny", Self::Deny)])
    }
}

impl fmt::Display for AgentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("known scanners"),
            Self::All => f.write_str("all"),
            Self::Part(part) => write!(f, "{part:?}"),
        }
    }
}

impl fmt::Display for Bots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |patterns: &[AgentPattern]| {
            patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let clauses = [
            (!self.deny.is_empty()).then(|| format!("not {}", list(&self.deny))),
            (self.empty == EmptyAgent::Deny).then(|| "none that says nothing".to_owned()),
            (!self.allow.is_empty()).then(|| format!("but {}", list(&self.allow))),
        ];
        f.write_str(&clauses.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

pub(super) static BOTS: Keys =
    Keys { of: "`bots`", known: &["deny", "allow", "empty"], later: &[], shared: None };

/// Bytes of a part: longer ones are a slip.
const MAX_PART: usize = 256;
