//! `cluster`: what gateways of one fleet share.

use schemars::JsonSchema;

use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::{Duration, RedisUrl, Secret};

/// What gateways of one fleet share. The URL of a Redis is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Cluster {
    /// A Redis or Valkey: `redis://127.0.0.1:6379`, `rediss://…` with TLS, `unix:/run/redis.sock`; `/2` behind it is the database 2.
    /// Nonces are kept there, so that what one gateway of the fleet has seen all have seen.
    #[schemars(with = "RedisUrl")]
    pub redis: Located<RedisUrl>,
    /// The user, where Redis has users.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// How long an answer of Redis is waited for, from 10ms to 5s. Default: `250ms`.
    #[schemars(default = "default_timeout")]
    pub timeout: Duration,
    /// What all names that the fleet uses there begin with. Default: `tg:`.
    #[schemars(default = "default_prefix")]
    pub prefix: String,
}

impl Read for Cluster {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let redis = Located::read(node, reader)?;
            let (timeout, prefix) = (default_timeout(), default_prefix());
            return Some(Self { redis, user: None, password: None, timeout, prefix });
        }
        let mut map = reader.map(node, &CLUSTER)?;
        let redis = map.required("redis", reader);
        let user = map.optional("user", reader);
        let password: Option<Secret> = map.optional("password", reader);
        let timeout: Duration = map.or("timeout", default_timeout(), reader);
        let prefix = map.or("prefix", default_prefix(), reader);
        if !(10..=5000).contains(&timeout.as_millis()) {
            reader.wrong(map.key_span("timeout"), "expected a duration from 10ms to 5s");
        }
        if prefix.len() > 64 || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            reader.wrong(map.key_span("prefix"), "expected up to 64 visible characters of ASCII");
        }
        if user.is_some() && !map.has("password") {
            reader.wrong(map.key_span("user"), "a user without a `password`");
        }
        map.finish(reader);
        Some(Self { redis: redis?, user, password, timeout, prefix })
    }
}

fn default_timeout() -> Duration {
    Duration::from_millis(250)
}

fn default_prefix() -> String {
    "tg:".to_owned()
}

pub(super) static CLUSTER: Keys = Keys {
    of: "`cluster`",
    known: &["redis", "user", "password", "timeout", "prefix"],
    later: &[],
    shared: None,
};
