//! `cluster`: what gateways of one fleet share.

use schemars::JsonSchema;

use super::tls::ServiceTls;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::Located;
use crate::config::values::{Duration, RedisServers, RedisUrl, Secret};

/// What gateways of one fleet share. The URL of a Redis is enough.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Cluster {
    /// A Redis or Valkey: `redis://127.0.0.1:6379`, `rediss://…` with TLS, `unix:/run/redis.sock`; `/2` behind it is the database 2.
    /// `redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster` is the one that these sentinels call the master of this name,
    /// `redis+cluster://10.0.0.1:7000,10.0.0.2:7000` a Redis Cluster of which these are some; both with `rediss` where they have TLS.
    /// Nonces are kept there, so that what one gateway of the fleet has seen all have seen, and limits that are `shared`.
    #[schemars(with = "RedisUrl")]
    pub redis: Located<RedisUrl>,
    /// The user, where Redis has users.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The password of the sentinels, where they have one.
    pub sentinel_password: Option<Secret>,
    /// TLS to a Redis whose URL begins with `rediss`. Default: its certificates are checked by the authorities of the system.
    pub tls: Option<Box<ServiceTls>>,
    /// How long an answer of Redis is waited for, from 10ms to 5s. Default: `250ms`.
    #[schemars(default = "default_timeout")]
    pub timeout: Duration,
    /// What all names that the fleet uses there begin with. Default: `tg:`.
    #[schemars(default = "default_prefix")]
    pub prefix: String,
    /// What names of callers there are made unreadable with, the same on all gateways of the fleet: at least 16 characters. Default:
    /// none, so that who can read that Redis can find out by trial which addresses called.
    pub secret: Option<Secret>,
    /// Gateways that the fleet has at least. While Redis does not answer each allows its part of a `shared` limit. Default: as many as were
    /// last heard of there.
    pub gateways: Option<u32>,
}

impl Read for Cluster {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let redis = Located::read(node, reader)?;
            return Some(Self {
                redis,
                user: None,
                password: None,
                sentinel_password: None,
                tls: None,
                timeout: default_timeout(),
                prefix: default_prefix(),
                secret: None,
                gateways: None,
            });
        }
        let mut map = reader.map(node, &CLUSTER)?;
        let redis = map.required("redis", reader);
        let user = map.optional("user", reader);
        let password: Option<Secret> = map.optional("password", reader);
        let sentinel_password: Option<Secret> = map.optional("sentinel_password", reader);
        let tls: Option<Box<ServiceTls>> = map.optional("tls", reader).map(Box::new);
        let timeout: Duration = map.or("timeout", default_timeout(), reader);
        let prefix = map.or("prefix", default_prefix(), reader);
        let secret: Option<Secret> = map.optional("secret", reader);
        let gateways = map.take("gateways").and_then(|node| reader.count(node, 1..=MOST_GATEWAYS));
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < LEAST_SECRET) {
            reader.wrong(map.key_span("secret"), format!("a secret of at least {LEAST_SECRET} characters"));
        }
        if !(10..=5000).contains(&timeout.as_millis()) {
            reader.wrong(map.key_span("timeout"), "expected a duration from 10ms to 5s");
        }
        if prefix.len() > 64 || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            reader.wrong(map.key_span("prefix"), "expected up to 64 visible characters of ASCII");
        }
        if user.is_some() && !map.has("password") {
            reader.wrong(map.key_span("user"), "a user without a `password`");
        }
        if let Some(Located { value: RedisUrl { servers, is_tls, .. }, .. }) = &redis {
            if sentinel_password.is_some() && !matches!(servers, RedisServers::Sentinels(..)) {
                let complaint =
                    "a password for sentinels where there are none: their URL begins with redis+sentinel://";
                reader.wrong(map.key_span("sentinel_password"), complaint);
            }
            if tls.is_some() && !is_tls {
                reader.wrong(
                    map.key_span("tls"),
                    "`tls` for a Redis without TLS: the URL of one with TLS begins with `rediss`",
                );
            }
        }
        map.finish(reader);
        Some(Self {
            redis: redis?,
            user,
            password,
            sentinel_password,
            tls,
            timeout,
            prefix,
            secret,
            gateways,
        })
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
    known: &[
        "redis",
        "user",
        "password",
        "sentinel_password",
        "tls",
        "timeout",
        "prefix",
        "secret",
        "gateways",
    ],
    later: &[],
    shared: None,
};

/// Gateways of a fleet.
const MOST_GATEWAYS: u32 = 10_000;
/// Characters of a secret.
const LEAST_SECRET: usize = 16;
