//! `apps`, the applications that call, and `plans`, what they may use.

use schemars::JsonSchema;

use super::policy::Setting;
use super::quota::Quotas;
use super::rate_limit::RateLimits;
use crate::config::fault::Fault;
use crate::config::node::{Key, Node};
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Date, KeyHash, KeyId, Scope, Secret};

/// An application that calls.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct App {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// The name of its plan.
    #[schemars(with = "Option<String>")]
    pub plan: Option<Located<String>>,
    /// Its keys, several so that one can be replaced before it is revoked, and each for no more than it is needed for.
    #[schemars(default)]
    pub keys: Vec<AppKey>,
}

/// A key of an application. The caller sends `id.secret`; `tollgate key new` makes one.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct AppKey {
    /// What tells it from all other keys, and what the log shows of it: letters, digits, `-` and `_`.
    #[schemars(with = "KeyId")]
    pub id: Located<KeyId>,
    /// `sha256:` and the SHA-256 of the secret in hexadecimal digits: the secret itself is kept nowhere.
    pub hash: Option<KeyHash>,
    /// The secret, in place of its hash.
    pub secret: Option<Secret>,
    /// What it is for.
    #[schemars(default, with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// The day from whose beginning (UTC) it is refused. Default: never.
    #[schemars(with = "Option<Date>")]
    pub expires: Option<Located<Date>>,
}

/// What an application may use.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Plan {
    /// Its name.
    #[schemars(skip)]
    pub name: Located<String>,
    /// How much each of its applications may use by the calendar, over all routes together: one quota, or a list of up to 4. Default: as
    /// much as they like.
    pub quota: Option<Quotas>,
    /// How many requests each of its applications may make, beside what routes say: one limit, or a list. They are as on a route, but
    /// `by` is `app` where it is not said, there is no `leaky_bucket`, and expressions know no `params`. All routes count together
    /// whose `access` finds out who calls, unless `rate_limit` is `off` there. Default: as many as they like.
    #[schemars(with = "Option<Setting<RateLimits>>")]
    pub rate_limit: Option<RateLimits>,
}

impl App {
    pub(super) fn read(name: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &APP)?;
        let plan = map.optional("plan", reader);
        let keys = map.or("keys", Vec::new(), reader);
        map.finish(reader);
        Some(Self { name: Located::new(name.text.to_string(), name.span), plan, keys })
    }
}

impl Read for AppKey {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &APP_KEY)?;
        let id = map.required("id", reader);
        let (has_hash, has_secret) = (map.has("hash"), map.has("secret"));
        let key = Some((map.optional("hash", reader), map.optional("secret", reader)));
        if has_hash == has_secret {
            let message = if has_hash {
                "a key has the hash of its secret or the secret itself, not both"
            } else {
                "a key needs the hash of its secret"
            };
            let fault = Fault::error("bad_value", map.head(), message);
            reader.fault(fault.help("`tollgate key new` makes a key and its line for the configuration"));
        }
        let scopes = map.or("scopes", Vec::new(), reader);
        let expires = map.optional("expires", reader);
        map.finish(reader);
        let (hash, secret) = key?;
        Some(Self { id: id?, hash, secret, scopes, expires })
    }
}

impl App {
    /// The name of its plan; empty without one.
    pub fn plan_name(&self) -> &str {
        self.plan.as_ref().map_or("", |plan| &plan.value)
    }
}

impl AppKey {
    /// The SHA-256 of its secret.
    pub fn digest(&self) -> Option<KeyHash> {
        self.hash.or_else(|| self.secret.as_ref().map(|secret| KeyHash::of(secret.expose())))
    }
}

impl Plan {
    pub(super) fn read(name: &Key, node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &PLAN)?;
        let rate_limit = map.take("rate_limit").filter(|node| !node.is("off"));
        let rate_limit = rate_limit.and_then(|node| RateLimits::of_plan(node, reader));
        let quota = map.optional("quota", reader);
        map.finish(reader);
        Some(Self { name: Located::new(name.text.to_string(), name.span), rate_limit, quota })
    }
}

pub(super) static APP: Keys = Keys { of: "an app", known: &["plan", "keys"], later: &[], shared: None };

pub(super) static APP_KEY: Keys =
    Keys { of: "a key", known: &["id", "hash", "secret", "scopes", "expires"], later: &[], shared: None };

pub(super) static PLAN: Keys =
    Keys { of: "a plan", known: &["rate_limit", "quota"], later: &["price"], shared: None };
