//! `jwt`: tokens that somebody else has signed.

use std::path::PathBuf;

use schemars::JsonSchema;

use super::outside::{check_tls, description, is_url, read_trusted_url};
use super::policy::Setting;
use super::tls::{ServiceTls, watched_file};
use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, HttpUrl};

/// Signed tokens (RFC 7519), as `Authorization: Bearer …`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Jwt {
    /// Who signs them: what `iss` must be, one of these.
    #[schemars(with = "Vec<String>")]
    pub issuer: Vec<String>,
    /// Where the keys to verify them by are, a JWK set (RFC 7517): a file, which is watched, or a URL. Default: where the issuer's
    /// description says, at its URL and `/.well-known/openid-configuration`.
    #[schemars(with = "Option<String>")]
    pub jwks: KeysAt,
    /// With a URL: how often the keys are fetched, from 10s to 1d. A key that is not known yet is asked for at once. What is known
    /// holds as long as the issuer does not answer. Default: `5m`.
    #[schemars(default = "default_refresh")]
    pub refresh: Duration,
    /// With a URL: TLS to the issuer.
    pub tls: Option<Box<ServiceTls>>,
    /// Whom they are for: `aud` must have one of these. `off` takes tokens that are for others, too.
    #[schemars(with = "Setting<Vec<String>>")]
    pub audience: Option<Vec<String>>,
    /// How they may be signed. What a token says of it decides nothing. Default: `RS256`, `ES256` and `EdDSA`.
    #[schemars(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ, up to 10m. Default: `30s`.
    #[schemars(default = "default_leeway")]
    pub leeway: Duration,
    /// The claim with the scopes, a text with spaces or a list; `a.b` is `b` within `a`. Default: `scope`.
    #[schemars(default = "default_scopes_claim")]
    pub scopes_claim: String,
    /// The claim with the user. Default: `sub`.
    #[schemars(default = "default_user_claim")]
    pub user_claim: String,
    /// The claim with the application, one of `apps`; others are no application. Default: `azp`.
    #[schemars(default = "default_app_claim")]
    pub app_claim: String,
    /// Further claims that a token must have. It always needs `exp`.
    #[schemars(with = "Option<Vec<String>>")]
    pub required: Vec<String>,
    /// Whether the service gets it too. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq)]
pub enum KeysAt {
    /// In a file.
    File(Located<PathBuf>),
    /// At a URL.
    Url(Located<HttpUrl>),
    /// Where the issuer's description says, which is at this URL.
    Discovered(Located<HttpUrl>),
}

impl KeysAt {
    /// The URL that is asked, if any is.
    pub fn url(&self) -> Option<&Located<HttpUrl>> {
        match self {
            Self::File(_) => None,
            Self::Url(url) | Self::Discovered(url) => Some(url),
        }
    }
}

/// How a token is signed (RFC 7518, section 3.1, and RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[allow(missing_docs)] // the names are the registry's
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// The registry's name for it.
    pub fn as_str(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// The algorithm of this name; there is none for `none`.
    pub fn of(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

impl Read for Algorithm {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, ALGORITHMS)
    }
}

impl Read for Jwt {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &JWT)?;
        let issuer: Option<Vec<String>> = map.required("issuer", reader);
        let tls: Option<Box<ServiceTls>> = map.optional("tls", reader);
        let jwks = read_keys(&mut map, issuer.as_deref().unwrap_or_default(), tls.as_deref(), reader);
        let refresh: Duration = map.or("refresh", default_refresh(), reader);
        let audience: Option<Setting<Vec<String>>> = map.required("audience", reader);
        let algorithms = map.or("algorithms", default_algorithms(), reader);
        let leeway: Duration = map.or("leeway", default_leeway(), reader);
        let scopes_claim = map.or("scopes_claim", default_scopes_claim(), reader);
        let user_claim = map.or("user_claim", default_user_claim(), reader);
        let app_claim = map.or("app_claim", default_app_claim(), reader);
        let required = map.or("required", Vec::new(), reader);
        let pass = map.or("pass", false, reader);
        for key in ["issuer", "audience", "algorithms"] {
            if map.is_empty_list(key) {
                reader.wrong(map.key_span(key), format!("`{key}` is empty: no token could be right"));
            }
        }
        if *leeway > *Duration::from_secs(600) {
            reader.wrong(map.key_span("leeway"), "clocks that differ by more than 10m are to be set");
        }
        if !(Duration::from_secs(10)..=Duration::from_secs(86400)).contains(&refresh) {
            reader.wrong(map.key_span("refresh"), "a duration from 10s to 1d is needed here");
        }
        match jwks.as_ref().map(KeysAt::url) {
            Some(Some(url)) => check_tls(&map, url.is_tls(), tls.as_deref(), reader),
            Some(None) => {
                for key in ["refresh", "tls"].into_iter().filter(|key| map.has(key)) {
                    let what = format!("`{key}` is for keys at a URL; a file is watched");
                    reader.wrong(map.key_span(key), what);
                }
            }
            None => {}
        }
        map.finish(reader);
        Some(Self {
            issuer: issuer?,
            jwks: jwks?,
            refresh,
            tls,
            audience: audience?.value().cloned(),
            algorithms,
            leeway,
            scopes_claim,
            user_claim,
            app_claim,
            required,
            pass,
        })
    }
}

fn read_keys(
    map: &mut MapReader<'_>,
    issuers: &[String],
    tls: Option<&ServiceTls>,
    reader: &mut Reader,
) -> Option<KeysAt> {
    if let Some(node) = map.take("jwks") {
        if is_url(node) {
            return read_trusted_url(node, tls, reader).map(KeysAt::Url);
        }
        return watched_file(node, reader).map(KeysAt::File);
    }
    let span = map.value_span("issuer")?;
    let [issuer] = issuers else {
        // An empty list is a fault of its own.
        if issuers.is_empty() {
            return None;
        }
        reader.wrong(span, "which of them has the keys? write `jwks`, a file or a URL");
        return None;
    };
    if !issuer.contains("://") {
        let what = "this issuer is no URL, where its keys could be asked for: write `jwks`, a file or a URL";
        reader.wrong(span, what);
        return None;
    }
    description(issuer, span, tls, "; or write `jwks`, a file or a URL", reader).map(KeysAt::Discovered)
}

fn default_refresh() -> Duration {
    Duration::from_secs(300)
}

pub(super) fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

pub(super) fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

pub(super) fn default_scopes_claim() -> String {
    "scope".to_owned()
}

pub(super) fn default_user_claim() -> String {
    "sub".to_owned()
}

fn default_app_claim() -> String {
    "azp".to_owned()
}

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("ES512", Algorithm::ES512),
    ("EdDSA", Algorithm::EdDSA),
];

pub(super) static JWT: Keys = Keys {
    of: "`jwt`",
    known: &[
        "issuer",
        "jwks",
        "refresh",
        "tls",
        "audience",
        "algorithms",
        "leeway",
        "scopes_claim",
        "user_claim",
        "app_claim",
        "required",
        "pass",
    ],
    later: &[],
    shared: None,
};
