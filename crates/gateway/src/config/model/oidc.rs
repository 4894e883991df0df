//! `oidc`: logins in the browser.

use http1::is_token;
use schemars::JsonSchema;

use super::jwt::{Algorithm, default_algorithms, default_leeway, default_scopes_claim, default_user_claim};
use super::outside::{check_tls, description};
use super::tls::ServiceTls;
use crate::config::node::Node;
use crate::config::read::{Keys, MapReader, Read, Reader};
use crate::config::source::Located;
use crate::config::values::{Duration, HttpUrl, Scope, Secret};

/// A login in the browser at a provider (`OpenID` Connect 1.0, authorization code flow with PKCE), and the session that follows, which
/// is kept in an encrypted cookie. A browser that opens a page without a session is sent to the provider and comes back to that page.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct Oidc {
    /// The provider: what `iss` must be. At this URL and `/.well-known/openid-configuration` it describes itself.
    pub issuer: String,
    #[schemars(skip)]
    /// Where it describes itself.
    pub description: Located<HttpUrl>,
    /// TLS to the provider.
    pub tls: Option<Box<ServiceTls>>,
    /// The name by which the provider knows the gateway.
    pub client_id: String,
    /// What the gateway proves it with. Default: nothing, as a public client, which PKCE alone protects.
    #[schemars(with = "Option<Secret>")]
    pub client_secret: Option<Secret>,
    /// How the secret is sent: `basic`, in `Authorization`, or `post`, in the body. Default: `basic`.
    #[schemars(default)]
    pub client_auth: ClientAuth,
    /// Where the provider sends browsers back to: a path of the hosts that the way is used on, or the whole URL where the gateway cannot
    /// know it. The gateway answers there itself. It has to be registered with the provider.
    #[schemars(with = "String")]
    pub redirect: LoginUrl,
    /// The path at which the session ends, here and at the provider. Default: there is none.
    pub logout: Option<String>,
    /// Where a browser goes after that: a path. It has to be registered with the provider, with scheme and host. Default: `/`.
    #[schemars(default = "default_after")]
    pub after_logout: String,
    /// What the provider is asked for besides `openid`; many give a refresh token for `offline_access` alone. Default: `profile` and
    /// `email`.
    #[schemars(with = "Option<Vec<String>>")]
    pub scopes: Vec<Scope>,
    /// How the provider may sign. Default: `RS256`, `ES256` and `EdDSA`.
    #[schemars(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ, up to 10m. Default: `30s`.
    #[schemars(default = "default_leeway")]
    pub leeway: Duration,
    /// The claim with the user. Default: `sub`.
    #[schemars(default = "default_user_claim")]
    pub user_claim: String,
    /// The claim with the scopes, a text with spaces or a list; `a.b` is `b` within `a`. Where there is none, they are what the provider
    /// has granted. Default: `scope`.
    #[schemars(default = "default_scopes_claim")]
    pub scopes_claim: String,
    /// Further claims that are kept in the session, where there are any. Default: `name`, `preferred_username` and `email`.
    #[schemars(with = "Option<Vec<String>>")]
    pub claims: Vec<String>,
    /// The cookie that holds the session.
    #[schemars(default)]
    pub cookie: LoginCookie,
    /// How long a session lasts.
    #[schemars(default)]
    pub session: LoginSession,
    /// `pass` sends the provider's access token to the service as `Authorization: Bearer …`. Default: `off`.
    #[schemars(default)]
    pub token: AccessToken,
    /// Whether the service gets the cookies too: it could act as the user with them. Default: `false`.
    #[schemars(default)]
    pub pass: bool,
}

/// How a client proves who it is (`OpenID` Connect Core 1.0, section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In `Authorization: Basic …`.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// What becomes of the access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum AccessToken {
    /// It is not kept.
    #[default]
    Off,
    /// The service gets it.
    Pass,
}

/// Where the provider sends browsers back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUrl {
    /// Scheme, host and port, where they are said.
    pub origin: Option<String>,
    /// The host of it.
    pub host: Option<String>,
    /// The path.
    pub path: String,
}

/// The cookie that holds a session, encrypted.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
pub struct LoginCookie {
    /// What it is encrypted with, at least 32 characters; of a list the first, the others still open what they have closed: put a new one
    /// in front to change it. Gateways that share a host share it. Default: derived from `client_secret`.
    #[schemars(default, with = "Option<Vec<Secret>>")]
    pub key: Vec<Secret>,
    /// Its name. Default: `__Host-tg_login` under https, where no other host can set it, and `tg_login` without, or with a `domain`.
    #[schemars(with = "Option<String>")]
    pub name: Option<Located<String>>,
    /// Whether requests that other sites cause bring it: `lax`, when they open a page, or `none`, always. Default: `lax`.
    #[schemars(default)]
    pub same_site: SameSite,
    /// The domain, so that all its hosts share the session. Default: the host alone.
    pub domain: Option<String>,
}

/// When other sites' requests bring a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum SameSite {
    /// When they open a page.
    #[default]
    Lax,
    /// Always.
    None,
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(default)]
pub struct LoginSession {
    /// It ends when it has not been used for so long. Default: `30m`.
    pub idle: Duration,
    /// It ends so long after the login, used or not; up to 30d. Default: `12h`.
    pub max: Duration,
}

impl Default for LoginSession {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), max: Duration::from_secs(12 * 3600) }
    }
}

impl LoginCookie {
    /// Its name under https, and without.
    pub fn names(&self) -> (&str, &str) {
        match (&self.name, &self.domain) {
            (Some(name), _) => (&name.value, &name.value),
            (None, Some(_)) => ("tg_login", "tg_login"),
            (None, None) => ("__Host-tg_login", "tg_login"),
        }
    }
}

impl LoginUrl {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self { origin: None, host: None, path: path(text)? });
        }
        let url = HttpUrl::parse(text).map_err(
            |_| "expected a path such as /callback, or a URL such as https://app.example.com/callback",
        )?;
        let scheme = if url.is_tls() { "https" } else { "http" };
        Ok(Self {
            origin: Some(format!("{scheme}://{}", url.authority())),
            host: Some(url.host().to_string()),
            path: path(url.path())?,
        })
    }
}

/// A path that is written as it is.
fn path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let is_plain = text.starts_with('/') && text.bytes().all(is_plain) && !text.contains("//");
    if is_plain && !text.split('/').any(|part| matches!(part, "." | "..")) {
        Ok(text.to_owned())
    } else {
        Err("expected a path of letters, digits and `-._~`, as in /callback".to_owned())
    }
}

impl Read for ClientAuth {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("basic", Self::Basic), ("post", Self::Post)])
    }
}

impl Read for AccessToken {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, &[("off", Self::Off), ("pass", Self::Pass)])
    }
}

impl Read for SameSite {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.is("strict") || node.is("Strict") {
            reader.wrong(
                node.span,
                "browsers that come back from the provider would not bring it: write `lax`",
            );
            return None;
        }
        reader
            .word(node, &[("lax", Self::Lax), ("none", Self::None), ("Lax", Self::Lax), ("None", Self::None)])
    }
}

impl Read for LoginCookie {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &LOGIN_COOKIE)?;
        let key: Vec<Secret> = map.or("key", Vec::new(), reader);
        if key.iter().any(|key| key.expose().len() < SHORTEST_KEY) {
            let what =
                format!("a key has at least {SHORTEST_KEY} characters: `openssl rand -base64 32` makes one");
            reader.wrong(map.key_span("key"), what);
        }
        let name: Option<Located<String>> = map.optional("name", reader);
        let same_site = map.or("same_site", SameSite::default(), reader);
        let domain: Option<Located<String>> = map.optional("domain", reader);
        if let Some(name) = &name {
            if !is_token(name.value.as_bytes()) || name.value.len() > LONGEST_NAME {
                let what =
                    format!("the name of a cookie has up to {LONGEST_NAME} letters, digits, `-` and `_`");
                reader.wrong(name.span, what);
            }
            if name.value.starts_with("__Host-") && domain.is_some() {
                reader.wrong(name.span, "browsers take no cookie of such a name for a `domain`");
            }
        }
        if let Some(domain) = &domain {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            if domain.value.is_empty() || !domain.value.bytes().all(is_plain) {
                reader.wrong(domain.span, "expected a domain such as example.com");
            }
        }
        map.finish(reader);
        Some(Self { key, name, same_site, domain: domain.map(|domain| domain.value) })
    }
}

impl Read for LoginSession {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &LOGIN_SESSION)?;
        let usual = Self::default();
        let has_idle = map.has("idle");
        let mut session = Self {
            idle: map.positive("idle", usual.idle, reader),
            max: map.positive("max", usual.max, reader),
        };
        if *session.max > LONGEST_SESSION {
            reader.wrong(map.key_span("max"), "a session lasts up to 30d");
        }
        if session.idle > session.max {
            if has_idle {
                reader.wrong(
                    map.key_span("idle"),
                    "a session cannot be idle for longer than it lasts: see `max`",
                );
            }
            session.idle = session.max;
        }
        map.finish(reader);
        Some(session)
    }
}

impl Read for Oidc {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut map = reader.map(node, &OIDC)?;
        let issuer: Option<Located<String>> = map.required("issuer", reader);
        let tls: Option<Box<ServiceTls>> = map.optional("tls", reader);
        let description = issuer
            .as_ref()
            .and_then(|issuer| description(&issuer.value, issuer.span, tls.as_deref(), "", reader));
        if let Some(url) = &description {
            check_tls(&map, url.value.is_tls(), tls.as_deref(), reader);
        }
        let client_id: Option<String> = map.required("client_id", reader);
        let client_secret: Option<Secret> = map.optional("client_secret", reader);
        let client_auth = map.or("client_auth", ClientAuth::default(), reader);
        let redirect = map.demand("redirect", reader);
        let redirect = redirect.and_then(|node| reader.parsed(node, "a path, or a URL", LoginUrl::parse));
        let read_path = |key, map: &mut MapReader<'_>, reader: &mut Reader| {
            map.take(key).and_then(|node| reader.parsed(node, "a path", path))
        };
        let logout = read_path("logout", &mut map, reader);
        let after_logout = read_path("after_logout", &mut map, reader).unwrap_or_else(default_after);
        let scopes = map.or("scopes", default_scopes(), reader);
        let algorithms: Vec<Algorithm> = map.or("algorithms", default_algorithms(), reader);
        let leeway: Duration = map.or("leeway", default_leeway(), reader);
        let user_claim = map.or("user_claim", default_user_claim(), reader);
        let scopes_claim = map.or("scopes_claim", default_scopes_claim(), reader);
        let claims = map.or("claims", default_claims(), reader);
        let cookie: LoginCookie = map.or("cookie", LoginCookie::default(), reader);
        let session = map.or("session", LoginSession::default(), reader);
        let token = map.or("token", AccessToken::default(), reader);
        let pass = map.or("pass", false, reader);
        if map.is_empty_list("algorithms") {
            reader.wrong(map.key_span("algorithms"), "`algorithms` is empty: no token could be right");
        }
        if algorithms.iter().any(|one| one.as_str().starts_with("HS")) {
            let what =
                "the keys that a provider publishes are no shared secrets: name RS…, PS…, ES… or EdDSA";
            reader.wrong(map.key_span("algorithms"), what);
        }
        if *leeway > *Duration::from_secs(600) {
            reader.wrong(map.key_span("leeway"), "clocks that differ by more than 10m are to be set");
        }
        if let (Some(redirect), Some(logout)) = (&redirect, &logout)
            && redirect.path == *logout
        {
            reader.wrong(map.key_span("logout"), "this is the path of `redirect`: give it another one");
        }
        let has_cookie_key = map.has("cookie") && !cookie.key.is_empty();
        if !map.has("client_secret") && !has_cookie_key {
            let what = "nothing to encrypt the session with: write `client_secret`, or `cookie: { key: … }`";
            reader.wrong(map.head(), what);
        }
        if map.has("client_auth") && !map.has("client_secret") {
            reader.wrong(map.key_span("client_auth"), "there is no `client_secret` that could be sent");
        }
        map.finish(reader);
        Some(Self {
            issuer: issuer?.value,
            description: description?,
            tls,
            client_id: client_id?,
            client_secret,
            client_auth,
            redirect: redirect?,
            logout,
            after_logout,
            scopes,
            algorithms,
            leeway,
            user_claim,
            scopes_claim,
            claims,
            cookie,
            session,
            token,
            pass,
        })
    }
}

fn default_after() -> String {
    "/".to_owned()
}

fn default_scopes() -> Vec<Scope> {
    ["profile", "email"].into_iter().filter_map(|scope| Scope::parse(scope).ok()).collect()
}

fn default_claims() -> Vec<String> {
    ["name", "preferred_username", "email"].map(str::to_owned).into()
}

/// Characters of a cookie's key.
const SHORTEST_KEY: usize = 32;
/// Characters of a cookie's name.
const LONGEST_NAME: usize = 64;
/// How long a session may last.
const LONGEST_SESSION: std::time::Duration = std::time::Duration::from_hours(30 * 24);

pub(super) static OIDC: Keys = Keys {
    of: "`oidc`",
    known: &[
        "issuer",
        "tls",
        "client_id",
        "client_secret",
        "client_auth",
        "redirect",
        "logout",
        "after_logout",
        "scopes",
        "algorithms",
        "leeway",
        "user_claim",
        "scopes_claim",
        "claims",
        "cookie",
        "session",
        "token",
        "pass",
    ],
    later: &[],
    shared: None,
};

pub(super) static LOGIN_COOKIE: Keys =
    Keys { of: "`cookie`", known: &["key", "name", "same_site", "domain"], later: &[], shared: None };

pub(super) static LOGIN_SESSION: Keys =
    Keys { of: "`session`", known: &["idle", "max"], later: &[], shared: None };
