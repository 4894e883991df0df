//! `access`: who may call, and what they need to be.

use schemars::JsonSchema;

use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::Scope;

use super::policy::Setting;

/// Who may call.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Access {
    /// Everybody, without proof of who they are.
    Public,
    /// Who proves who they are, and is one of those who may.
    Proven(AccessTerms),
}

/// Who may call. The name of a way under `auth` is enough; `public` is everybody, without proof of who they are.
#[derive(Clone, Debug, Default, PartialEq, Hash, JsonSchema)]
#[schemars(rename = "Access", transform = or_text)]
pub struct AccessTerms {
    /// Names under `auth`: a caller proves who they are in one of these ways. The first that finds who it is decides.
    #[schemars(default, with = "Vec<String>")]
    pub any: Vec<Located<String>>,
    /// Names under `auth`: a caller proves who they are in each of these ways, and is the same application in all of them. What the
    /// first of them tells of the caller holds.
    #[schemars(default, with = "Vec<String>")]
    pub all: Vec<Located<String>>,
    /// Scopes that the caller must have, all of them.
    #[schemars(default, with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// Names under `apps`: only these applications. Default: any.
    #[schemars(default, with = "Vec<String>")]
    pub apps: Vec<Located<String>>,
    /// Names under `plans`: only applications with one of these. Default: any.
    #[schemars(default, with = "Vec<String>")]
    pub plans: Vec<Located<String>>,
    /// An expression over `identity`, `request` and `params` that must be true. Where it cannot be told, nobody is let in.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
}

impl AccessTerms {
    /// The names of the ways to prove who one is.
    pub fn ways(&self) -> impl Iterator<Item = &Located<String>> {
        self.any.iter().chain(&self.all)
    }
}

impl Access {
    /// What a caller must be; nothing for everybody.
    pub fn terms(&self) -> Option<&AccessTerms> {
        match self {
            Self::Public => None,
            Self::Proven(terms) => Some(terms),
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Proven(terms) = self else { return f.write_str("public") };
        let names = |names: &[Located<String>]| {
            names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ")
        };
        let scopes = || terms.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ");
        match terms.any.as_slice() {
            [one] => f.write_str(&one.value)?,
            [] => write!(f, "all of {}", names(&terms.all))?,
            several => write!(f, "any of {}", names(several))?,
        }
        let clauses = [
            (!terms.scopes.is_empty()).then(|| format!("scopes {}", scopes())),
            (!terms.apps.is_empty()).then(|| format!("apps {}", names(&terms.apps))),
            (!terms.plans.is_empty()).then(|| format!("plans {}", names(&terms.plans))),
            terms.when.as_ref().map(|when| format!("when {}", when.value)),
        ];
        clauses.into_iter().flatten().try_for_each(|clause| write!(f, "; {clause}"))
    }
}

/// Reads `access`. Where it has a fault it becomes `Off`: set, so that its absence is no second fault, and open to nobody.
pub(super) fn read_access(node: &Node, reader: &mut Reader) -> Setting<Access> {
    match &node.value {
        Value::Text(text) if text == PUBLIC => return Setting::On(Access::Public),
        Value::Text(text) if text == "off" => {
            reader.fault(
                Fault::error("bad_value", node.span, "`access` cannot be turned off")
                    .help("write `access: public` to let everybody in"),
            );
        }
        Value::Text(text) => {
            let any = vec![Located::new(text.to_string(), node.span)];
            return Setting::On(Access::Proven(AccessTerms { any, ..AccessTerms::default() }));
        }
        Value::Map(_) => {
            if let Some(terms) = read_terms(node, reader) {
                return Setting::On(Access::Proven(terms));
            }
        }
        Value::Null => {
            let message = "the value is missing: expected `public`, or a name under `auth`";
            reader.fault(Fault::error("wrong_type", node.span, message));
        }
        Value::List(_) => {
            reader.fault(
                Fault::error("wrong_type", node.head(), "expected one name, or a map")
                    .help("`{ any: […] }` asks for one of them, `{ all: […] }` for each"),
            );
        }
    }
    Setting::Off
}

fn read_terms(node: &Node, reader: &mut Reader) -> Option<AccessTerms> {
    let mut map = reader.map(node, &ACCESS)?;
    let (has_any, has_all) = (map.has("any"), map.has("all"));
    let terms = AccessTerms {
        any: map.or("any", Vec::new(), reader),
        all: map.or("all", Vec::new(), reader),
        scopes: map.or("scopes", Vec::new(), reader),
        apps: map.or("apps", Vec::new(), reader),
        plans: map.or("plans", Vec::new(), reader),
        when: map.optional("when", reader),
    };
    let mut is_good = true;
    for key in ["any", "all", "scopes", "apps", "plans"] {
        if map.is_empty_list(key) {
            let message = format!("`{key}` is empty: name one, or leave it out");
            reader.wrong(map.key_span(key), message);
            is_good = false;
        }
    }
    match (has_any, has_all) {
        (true, true) => {
            reader.wrong(map.key_span("all"), "either `any` of some ways or `all` of them, not both");
            is_good = false;
        }
        (false, false) => {
            if !map.misspelled("any") && !map.misspelled("all") {
                reader.fault(
                    Fault::error("missing_key", map.head(), "nothing says how callers prove who they are")
                        .help("add `any: […]` with names under `auth`"),
                );
            }
            is_good = false;
        }
        _ => {}
    }
    for way in terms.ways().filter(|way| way.value == PUBLIC) {
        reader.wrong(way.span, "`public` stands alone: `access: public`");
        is_good = false;
    }
    map.finish(reader);
    is_good.then_some(terms)
}

/// The word for everybody.
pub(in crate::config) const PUBLIC: &str = "public";

pub(super) static ACCESS: Keys = Keys {
    of: "`access`",
    known: &["any", "all", "scopes", "apps", "plans", "when"],
    later: &[],
    shared: None,
};
