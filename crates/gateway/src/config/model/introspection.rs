//! `introspection`: tokens that somebody else is asked about.

use schemars::JsonSchema;

use super::outside::{check_tls, read_trusted_url};
use super::policy::Setting;
use super::tls::ServiceTls;
use crate::config::node::Node;
use crate::config::read::{Keys, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, HttpUrl, Secret};

/// Tokens that mean nothing by themselves (RFC 7662), as `Authorization: Bearer …`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Introspection {
    /// Who is asked about a token.
    #[schemars(with = "String")]
    pub url: Located<HttpUrl>,
    /// What the gateway is called there.
    pub client_id: String,
    /// The secret that it has there.
    pub client_secret: Secret,
    /// How long an answer is believed, unless the token ends before. `0s` asks about every request. Default: `60s`.
    #[schemars(default = "default_cache")]
    pub cache: Duration,
    /// How long an answer is believed that a token is worth nothing. Default: `5s`.
    #[schemars(default = "default_negative_cache")]
    pub negative_cache: Duration,
    /// How long an answer is waited for. Default: `2s`.
    #[schemars(default = "default_timeout")]
    pub timeout: Duration,
    /// What `iss` must be, one of these. Default: anything.
    #[schemars(with = "Option<Vec<String>>")]
    pub issuer: Vec<String>,
    /// Whom tokens are for: `aud` must have one of these. `off`, the default, takes tokens that are for others, too.
    #[schemars(with = "Option<Setting<Vec<String>>>")]
    pub audience: Option<Vec<String>>,
    /// The member with the scopes. Default: `scope`.
    #[schemars(default = "default_scopes_claim")]
    pub scopes_claim: String,
    /// The member with the user. Default: `sub`.
    #[schemars(default = "default_user_claim")]
    pub user_claim: String,
    /// The member with the application, one of `apps`; others are no application. Default: `client_id`.
    #[schemars(default = "default_app_claim")]
    pub app_claim: String,
    /// TLS to who is asked.
    pub tls: Option<Box<ServiceTls>>,
    /// Whether the service gets the token too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

impl Read for Introspection {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &INTROSPECTION)?;
        let tls: Option<Box<ServiceTls>> = map.optional("tls", reader);
        let url = map.demand("url", reader).and_then(|node| read_trusted_url(node, tls.as_deref(), reader));
        let client_id = map.required("client_id", reader);
        let client_secret = map.required("client_secret", reader);
        let cache: Duration = map.or("cache", default_cache(), reader);
        let negative_cache: Duration = map.or("negative_cache", default_negative_cache(), reader);
        let timeout = map.or("timeout", default_timeout(), reader);
        let issuer = map.or("issuer", Vec::new(), reader);
        let audience: Option<Setting<Vec<String>>> = map.optional("audience", reader);
        let scopes_claim = map.or("scopes_claim", default_scopes_claim(), reader);
        let user_claim = map.or("user_claim", default_user_claim(), reader);
        let app_claim = map.or("app_claim", default_app_claim(), reader);
        let pass = map.or("pass", false, reader);
        for (key, value) in [("cache", cache), ("negative_cache", negative_cache)] {
            if *value > *LONGEST_CACHE {
                reader
                    .wrong(map.key_span(key), format!("nothing is believed for longer than {LONGEST_CACHE}"));
            }
        }
        for key in ["issuer", "audience"].into_iter().filter(|key| map.is_empty_list(key)) {
            reader.wrong(map.key_span(key), format!("`{key}` is empty: no token could be right"));
        }
        if let Some(url) = &url {
            check_tls(&map, url.is_tls(), tls.as_deref(), reader);
        }
        map.finish(reader);
        Some(Self {
            url: url?,
            client_id: client_id?,
            client_secret: client_secret?,
            cache,
            negative_cache,
            timeout,
            issuer,
            audience: audience.and_then(|audience| audience.value().cloned()),
            scopes_claim,
            user_claim,
            app_claim,
            tls,
            pass,
        })
    }
}

const LONGEST_CACHE: Duration = Duration::from_secs(3600);

fn default_cache() -> Duration {
    Duration::from_secs(60)
}

fn default_negative_cache() -> Duration {
    Duration::from_secs(5)
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

fn default_scopes_claim() -> String {
    "scope".to_owned()
}

fn default_user_claim() -> String {
    "sub".to_owned()
}

fn default_app_claim() -> String {
    "client_id".to_owned()
}

pub(super) static INTROSPECTION: Keys = Keys {
    of: "`introspection`",
    known: &[
        "url",
        "client_id",
        "client_secret",
        "cache",
        "negative_cache",
        "timeout",
        "issuer",
        "audience",
        "scopes_claim",
        "user_claim",
        "app_claim",
        "tls",
        "pass",
    ],
    later: &[],
    shared: None,
};
