//! `to: { split: … }`: the requests of a route divided among services.

use http::HeaderName;
use schemars::JsonSchema;

use super::service::read_cookie_name;
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};

/// The requests of a route divided among services.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
pub struct Split {
    /// Services among which the requests are divided by weight, from 2 to 16, each once. With `split` there is no `service`.
    #[schemars(rename = "split")]
    pub branches: Vec<Branch>,
    /// What a choice goes by, with `split`: the name of a cookie, which those get whom a branch with `sticky` answers; or
    /// `{ header: x-user }` or `{ hash: "params.id" }`, by whose value the same caller gets the same branch. Default: the
    /// cookie `tg_split`.
    #[schemars(with = "Option<SplitBy>")]
    pub by: SplitBy,
    /// A header of requests whose value names the service that answers, whatever its weight, with `split`: for testers. Any
    /// caller can send it. A value that names none of the services is not heeded. Default: there is none.
    #[schemars(with = "Option<String>")]
    pub force: Option<HeaderName>,
}

/// A service that gets a share of the requests.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
pub struct Branch {
    /// The name of the service.
    #[schemars(with = "String")]
    pub to: Located<String>,
    /// Its share of the requests beside the others', from 0 (none) to 1000. Default: `1`.
    #[schemars(default = "default_weight")]
    pub weight: u32,
    /// Whether a caller whom this service answered keeps it, by a cookie, until the browser closes or its weight is 0.
    /// Default: `false`.
    #[schemars(default)]
    pub sticky: bool,
}

/// What the choice of a branch goes by: the name of a cookie, or a map.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text, rename_all = "snake_case")]
pub enum SplitBy {
    /// Chance, and a cookie of this name that remembers it.
    #[schemars(skip)]
    Cookie(Located<String>),
    /// The value of this header: the same value, the same branch. Without it the choice is left to chance.
    Header(#[schemars(with = "String")] HeaderName),
    /// The value of this CEL expression: the same value, the same branch. Where it has none the choice is left to chance.
    Hash(#[schemars(with = "String")] Located<String>),
}

impl Split {
    /// Takes the keys of a split out of the map of a target.
    pub(super) fn take(map: &mut MapReader<'_>, reader: &mut Reader) -> Option<Self> {
        let at = map.key_span("split");
        let branches = map.take("split").map(|node| read_branches(node, at, reader));
        let by = map.optional("by", reader);
        let force = map.optional("force", reader);
        let Some(branches) = branches else {
            for key in ["by", "force"].into_iter().filter(|key| map.has(key)) {
                reader.wrong(
                    map.key_span(key),
                    format!("`{key}` says something of a `split`, and there is none"),
                );
            }
            return None;
        };
        let is_remembered = branches.iter().any(|branch| branch.sticky);
        match &by {
            Some(SplitBy::Header(_) | SplitBy::Hash(_)) if is_remembered => {
                let message = "by a header or an expression every choice stays as it is: `sticky` would add a cookie to no end";
                reader.fault(
                    Fault::error("bad_value", map.key_span("by"), message)
                        .help("take `sticky` away, or choose by a cookie: `by: tg_split`"),
                );
            }
            Some(SplitBy::Cookie(name)) if !is_remembered && !branches.is_empty() => {
                let message =
                    "nothing is remembered by this cookie: no service of the split has `sticky: true`";
                reader.fault(Fault::warning("unused_cookie", name.span, message));
            }
            _ => {}
        }
        let by = by.unwrap_or_else(|| SplitBy::Cookie(Located::new(USUAL_COOKIE.to_owned(), at)));
        Some(Self { branches, by, force })
    }
}

fn read_branches(node: &Node, at: Span, reader: &mut Reader) -> Vec<Branch> {
    let items = reader.items(node, "a list of services");
    let branches: Vec<Branch> = items.iter().filter_map(|item| Branch::read(item, reader)).collect();
    let is_whole = branches.len() == items.len() && !matches!(node.value, Value::Null);
    if is_whole && !(2..=MOST_BRANCHES).contains(&branches.len()) {
        reader.wrong(at, format!("requests are split among 2 to {MOST_BRANCHES} services"));
    } else if is_whole && branches.iter().all(|branch| branch.weight == 0) {
        reader.wrong(at, "all services have weight 0: none would ever be chosen");
    }
    for (index, branch) in branches.iter().enumerate() {
        if branches[..index].iter().any(|earlier| earlier.to == branch.to) {
            reader
                .wrong(branch.to.span, "this service stands in the split twice; one `weight` says its share");
        }
    }
    branches
}

impl Read for Branch {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &BRANCH)?;
        let to = map.required("to", reader);
        let weight = map.count("weight", default_weight(), 0..=1000, reader);
        let sticky = map.or("sticky", false, reader);
        map.finish(reader);
        Some(Self { to: to?, weight, sticky })
    }
}

impl Read for SplitBy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return read_cookie_name(node, reader).map(Self::Cookie);
        }
        let mut map = reader.map(node, &SPLIT_BY)?;
        if map.has("header") == map.has("hash") {
            reader.wrong(map.head(), "expected the name of a cookie, or one of `header` and `hash`");
        }
        let header = map.optional("header", reader).map(Self::Header);
        let hash = map.optional("hash", reader).map(Self::Hash);
        map.finish(reader);
        header.or(hash)
    }
}

fn default_weight() -> u32 {
    1
}

pub(super) static BRANCH: Keys =
    Keys { of: "a service of the split", known: &["to", "weight", "sticky"], later: &[], shared: None };

pub(super) static SPLIT_BY: Keys = Keys { of: "`by`", known: &["header", "hash"], later: &[], shared: None };

/// Each choice by a value looks at all of them.
const MOST_BRANCHES: usize = 16;

const USUAL_COOKIE: &str = "tg_split";
