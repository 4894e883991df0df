//! `basic`: users with passwords.

use std::path::PathBuf;

use schemars::JsonSchema;

use super::tls::watched_file;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, Scope};

/// A user's name and password, as `Authorization: Basic …` (RFC 7617).
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Basic {
    /// The file of users, as `htpasswd -B` writes it: a name, `:`, and the hash of a password on each line. Hashes are bcrypt with a
    /// cost of at most 15, and Argon2 (`$argon2id$…`, `$argon2i$…`) with at most 256 MiB; none weaker is taken. It is watched.
    #[schemars(with = "String")]
    pub users: Located<PathBuf>,
    /// How long a password that was compared is known to be right, or wrong, up to 1h: comparing takes long, and is meant to. A
    /// change of the file takes effect at once. Default: `60s`.
    #[schemars(default = "default_cache")]
    pub cache: Duration,
    /// The application, one of `apps`, that these users call by. Default: none.
    #[schemars(with = "Option<String>")]
    pub app: Option<Located<String>>,
    /// What these users may do. Default: nothing of that kind.
    #[schemars(default, with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// Whether the service gets name and password too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

impl Read for Basic {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &BASIC)?;
        let users = map.demand("users", reader).and_then(|node| watched_file(node, reader));
        let cache: Duration = map.or("cache", default_cache(), reader);
        let app = map.optional("app", reader);
        let scopes = map.or("scopes", Vec::new(), reader);
        let pass = map.or("pass", false, reader);
        if *cache > *Duration::from_secs(3600) {
            reader.wrong(map.key_span("cache"), "a password is compared at least once an hour: up to 1h");
        }
        map.finish(reader);
        Some(Self { users: users?, cache, app, scopes, pass })
    }
}

fn default_cache() -> Duration {
    Duration::from_secs(60)
}

pub(super) static BASIC: Keys =
    Keys { of: "`basic`", known: &["users", "cache", "app", "scopes", "pass"], later: &[], shared: None };
