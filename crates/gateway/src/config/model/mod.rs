//! The typed model: what a configuration says, each part in the file of its name.
//! The comments on the fields are the user's manual: the JSON Schema and the reference are made from them.

mod access;
mod adaptive;
mod admin;
mod api;
mod app;
mod auth;
mod ban;
mod basic;
mod bots;
mod breaker;
mod cluster;
mod concurrency;
mod cors;
mod csrf;
mod device;
mod discover;
mod eject;
mod fallback;
mod forward;
mod geo;
mod health;
mod hedge;
mod hmac;
mod identity;
mod injection;
mod introspection;
mod ip;
mod jwt;
mod listener;
mod log;
mod mirror;
mod mtls;
mod oidc;
mod outside;
mod overload;
mod per_address;
mod policy;
mod proxy_protocol;
mod quota;
mod rate_limit;
mod request;
mod retry;
mod route;
mod secure_headers;
mod service;
mod sharing;
mod signature;
mod spike;
mod split;
mod tcp;
mod throttle;
mod tls;
mod validate;
mod waf;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;

pub(super) use self::access::PUBLIC;
pub use self::access::{Access, AccessTerms};
pub use self::adaptive::{Adaptive, Priority};
pub use self::admin::Admin;
pub use self::api::{Api, Version, VersionBy, VersionState, Versions};
pub use self::app::{App, AppKey, Plan};
pub use self::auth::{ApiKey, Authenticator};
pub use self::ban::Ban;
pub use self::basic::Basic;
pub use self::bots::{AgentPattern, Bots, EmptyAgent};
pub use self::breaker::{Breaker, BreakerPer};
pub use self::cluster::Cluster;
pub use self::concurrency::Concurrency;
pub use self::cors::Cors;
pub use self::csrf::Csrf;
pub use self::device::Device;
pub use self::discover::{Discover, Scheme};
pub use self::eject::{Eject, WhenAllDown};
pub use self::fallback::Fallback;
pub use self::forward::Forward;
pub use self::geo::Geo;
pub use self::health::{CheckKind, Health, Start};
pub use self::hedge::{Hedge, HedgeAfter};
pub use self::hmac::{Hmac, HmacHash, HmacHeaders, SignedBody};
pub use self::identity::{IdentityForm, IdentityHeaders};
pub use self::injection::{FaultAbort, FaultDelay, FaultInjection};
pub use self::introspection::Introspection;
pub use self::ip::IpPolicy;
pub use self::jwt::{Algorithm, Jwt, KeysAt};
pub use self::listener::{Limits, Listener, Protocols, Redirect, TrustForwarded};
pub use self::log::{AccessLog, LogFormat, Logs};
pub use self::mirror::Mirror;
pub use self::mtls::Mtls;
pub use self::oidc::{AccessToken, ClientAuth, LoginCookie, LoginSession, LoginUrl, Oidc, SameSite};
pub use self::overload::Overload;
pub use self::per_address::{PerAddress, request_pace};
pub use self::policy::{HeaderChanges, Policies, ResponsePolicy, Setting, Timeouts, TunnelTimeouts};
pub use self::proxy_protocol::{ProxyProtocol, ProxyVersion};
pub use self::quota::{MOST_QUOTAS, Quota, Quotas};
pub use self::rate_limit::{LimitAlgorithm, LimitBy, MOST_LIMITS, RateLimit, RateLimits};
pub use self::request::{JsonLimits, MediaType, RequestPolicy};
pub use self::retry::{Retry, RetryOn};
pub use self::route::{Headers, Match, Respond, Route, Target};
pub use self::secure_headers::{FrameOptions, Hsts, SecureHeaders};
pub(super) use self::service::read_endpoints;
pub use self::service::{Balance, Endpoint, Pool, Service, ServiceProtocol};
pub use self::sharing::{OnOutage, Sharing};
pub use self::signature::{Signature, SignatureAlgorithm, SignatureKey};
pub use self::spike::Spike;
pub use self::split::{Branch, Split, SplitBy};
pub use self::tcp::Tcp;
pub use self::throttle::Throttle;
pub use self::tls::{CertificateFiles, ClientCertificates, ListenerTls, ServiceTls, TlsVersion};
pub use self::validate::{CheckResponse, Unknown, ValidatePolicy};
pub use self::waf::{Oversize, Waf, WafMode};

use super::fault::Faults;
use super::node::{Node, Value};
use super::read::{Keys, Read, Reader, named};
use super::source::{Located, Source, Span};
use super::values::{Duration, ListenAddress, StoreUrl};

/// The configuration of a gateway.
#[derive(Clone, Debug, JsonSchema)]
pub struct Config {
    /// Where to listen for requests. Default: `127.0.0.1:8080`, so that nothing is open to others by accident.
    #[schemars(default)]
    pub listeners: Vec<Listener>,
    /// Number of worker threads, from 1 to 1024. Default: one per core.
    pub workers: Option<u32>,
    /// How long a graceful stop waits for requests under way before it closes their connections. Default: `30s`.
    #[schemars(default = "default_drain")]
    pub drain: Duration,
    /// The admin address: `/metrics`, `/status`, `/quotas`, `/healthz`, `/readyz`, `/.well-known/jwks.json`. An address, a map, or `off`. Default: `127.0.0.1:9900`.
    #[schemars(with = "Option<admin::AdminSetting>")]
    pub admin: Option<Admin>,
    /// When the gateway itself has too much to do, and refuses requests. A map, or `off`.
    #[schemars(with = "Setting<Overload>", default)]
    pub overload: Overload,
    /// Where records are kept: what callers have used of their quotas. `sqlite:` and the path of a file, which is made where there is
    /// none. Default: nowhere.
    #[schemars(with = "Option<StoreUrl>")]
    pub store: Option<Located<StoreUrl>>,
    /// What gateways of one fleet share. Default: nothing.
    pub cluster: Option<Cluster>,
    /// Where addresses are. Default: nobody knows.
    pub geo: Option<Geo>,
    /// Services by name: each a set of endpoints that do the same job.
    #[schemars(default)]
    pub services: BTreeMap<String, Service>,
    /// Ways to find out who calls, by names that `access` uses.
    #[schemars(default)]
    pub auth: BTreeMap<String, Authenticator>,
    /// Plans by name: what applications may use.
    #[schemars(default)]
    pub plans: BTreeMap<String, Plan>,
    /// Applications by name: those that call, and their keys.
    #[schemars(default)]
    pub apps: BTreeMap<String, App>,
    /// What services are told of callers. Default: plain fields.
    #[schemars(default)]
    pub identity: IdentityHeaders,
    /// Kinds of clients by name, for `match: { device: … }`.
    #[schemars(default)]
    pub devices: BTreeMap<String, Device>,
    /// Policies that hold for every route, unless its API or the route itself sets the same key.
    #[schemars(default)]
    pub defaults: Policies,
    /// APIs by name: routes with a shared front.
    #[schemars(default)]
    pub apis: BTreeMap<String, Api>,
    /// Routes that belong to no API. Their order has no meaning, except that among equal routes the first wins.
    #[schemars(default)]
    pub routes: Vec<Route>,
    /// What is written about each request. Default: one line of JSON to standard output.
    #[schemars(default)]
    pub logs: Logs,
    /// Text and name of the file, to show later faults in.
    #[schemars(skip)]
    pub(in crate::config) source: Arc<Source>,
    /// The files that it names: certificates, keys, and those of `${file:…}`.
    #[schemars(skip)]
    pub(in crate::config) files: BTreeSet<PathBuf>,
}

impl Config {
    /// An empty collection for faults that a later stage finds in this configuration.
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.source)).with_files(self.files.clone())
    }

    /// The policies of every level: routes, APIs and defaults.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Policies> {
        let routes = self.routes.iter().chain(self.apis.values().flat_map(|api| &api.routes));
        let own = routes.map(|route| &route.policies);
        own.chain(self.apis.values().map(|api| &api.policies)).chain([&self.defaults])
    }

    /// The services that routes, policies and fallbacks name, each as often as it is named.
    pub(super) fn called_services(&self) -> impl Iterator<Item = &Located<String>> {
        let routes = self.routes.iter().chain(self.apis.values().flat_map(|api| &api.routes));
        let targets = routes.filter_map(|route| route.to.as_ref()).flat_map(Target::services);
        let mirrors = self.policies().filter_map(|policies| policies.mirror.as_ref()?.value());
        let fallbacks = self.services.values().filter_map(|service| service.fallback.as_ref()?.service());
        targets.chain(mirrors.map(|mirror| &mirror.to)).chain(fallbacks)
    }

    /// The text of the file, to find places in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Files besides the configuration itself that it was made from, whether they exist or not.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }
}

/// Names that are declared, even where the thing itself could not be read: a use of one is no second fault.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) services: BTreeSet<String>,
    pub(super) auth: BTreeSet<String>,
    pub(super) plans: BTreeSet<String>,
    pub(super) apps: BTreeSet<String>,
    pub(super) devices: BTreeSet<String>,
    pub(super) has_geo: bool,
    pub(super) has_store: bool,
}

/// Reads the whole file; what could not be read is reported and left out.
pub(super) fn read(root: &Node, source: Arc<Source>, reader: &mut Reader) -> (Config, Declared) {
    let empty = Node { value: Value::Map(Vec::new()), span: Span::default() };
    let root = if matches!(root.value, Value::Null) { &empty } else { root };
    let mut config = Config {
        listeners: Vec::new(),
        workers: None,
        drain: default_drain(),
        admin: Some(Admin::default()),
        overload: Overload::default(),
        store: None,
        cluster: None,
        geo: None,
        services: BTreeMap::new(),
        auth: BTreeMap::new(),
        plans: BTreeMap::new(),
        apps: BTreeMap::new(),
        identity: IdentityHeaders::default(),
        devices: BTreeMap::new(),
        defaults: Policies::default(),
        apis: BTreeMap::new(),
        routes: Vec::new(),
        logs: Logs::default(),
        source,
        files: BTreeSet::new(),
    };
    let mut declared = Declared::default();
    let Some(mut map) = reader.map(root, &CONFIG) else {
        return (config, declared);
    };
    match map.take("listeners") {
        Some(node) => {
            let items = reader.items(node, "a list of listeners");
            if items.is_empty() && matches!(node.value, Value::List(_)) {
                reader.wrong(map.key_span("listeners"), "`listeners` is empty: nobody could call");
            }
            config.listeners = items.iter().filter_map(|item| Listener::read(item, reader)).collect();
        }
        None => config.listeners.push(Listener::at(ListenAddress::USUAL, map.head())),
    }
    config.workers = map.take("workers").and_then(|node| reader.count(node, 1..=MAX_WORKERS));
    config.drain = map.or("drain", default_drain(), reader);
    if let Some(node) = map.take("admin") {
        config.admin = if node.is("off") { None } else { Admin::read(node, reader) };
    }
    config.overload = map.or("overload", Overload::default(), reader);
    declared.has_store = map.has("store");
    config.store = map.take("store").and_then(|node| read_store(node, reader));
    config.cluster = map.optional("cluster", reader);
    declared.has_geo = map.has("geo");
    config.geo = map.optional("geo", reader);
    if let Some(node) = map.take("services") {
        declared.services = names(node);
        config.services = named(node, "services by name", reader, Service::read);
    }
    if let Some(node) = map.take("auth") {
        declared.auth = names(node);
        config.auth = named(node, "ways to find out who calls, by name", reader, Authenticator::read);
    }
    if let Some(node) = map.take("plans") {
        declared.plans = names(node);
        config.plans = named(node, "plans by name", reader, Plan::read);
    }
    if let Some(node) = map.take("apps") {
        declared.apps = names(node);
        config.apps = named(node, "applications by name", reader, App::read);
    }
    config.identity = map.or("identity", IdentityHeaders::default(), reader);
    if let Some(node) = map.take("devices") {
        declared.devices = names(node);
        config.devices = named(node, "devices by name", reader, |_, node, reader| Device::read(node, reader));
    }
    config.defaults = map.or("defaults", Policies::default(), reader);
    if let Some(node) = map.take("apis") {
        config.apis = named(node, "APIs by name", reader, Api::read);
    }
    config.routes = map.or("routes", Vec::new(), reader);
    config.logs = map.or("logs", Logs::default(), reader);
    map.finish(reader);
    (config, declared)
}

/// A store, whose path is relative to the configuration file.
fn read_store(node: &Node, reader: &mut Reader) -> Option<Located<StoreUrl>> {
    let store = StoreUrl::read(node, reader)?;
    let path = reader.path(&store.path().to_string_lossy());
    Some(Located::new(StoreUrl::at(path), node.span))
}

fn names(node: &Node) -> BTreeSet<String> {
    match &node.value {
        Value::Map(entries) => entries.iter().map(|(key, _)| key.text.to_string()).collect(),
        Value::Null | Value::Text(_) | Value::List(_) => BTreeSet::new(),
    }
}

/// The keys of the file itself.
static CONFIG: Keys = Keys {
    of: "the configuration",
    known: &[
        "listeners",
        "workers",
        "drain",
        "admin",
        "overload",
        "store",
        "cluster",
        "geo",
        "services",
        "auth",
        "plans",
        "apps",
        "identity",
        "devices",
        "defaults",
        "apis",
        "routes",
        "logs",
    ],
    later: &["traces", "alerts"],
    shared: None,
};

fn default_drain() -> Duration {
    Duration::from_secs(30)
}

const MAX_WORKERS: u32 = 1024;

/// Every kind of map with the name of its schema, for the test that the two agree.
#[cfg(test)]
pub(super) static ALL_KEYS: &[(&str, &Keys)] = &[
    ("Config", &CONFIG),
    ("Listener", &listener::LISTENER),
    ("Limits", &listener::LIMITS),
    ("TrustForwarded", &listener::TRUST_FORWARDED),
    ("ProxyProtocol", &proxy_protocol::PROXY_PROTOCOL),
    ("Tcp", &tcp::TCP),
    ("ListenerTls", &tls::LISTENER_TLS),
    ("CertificateFiles", &tls::CERTIFICATE_FILES),
    ("ClientCertificates", &tls::CLIENT_CERTIFICATES),
    ("ServiceTls", &tls::SERVICE_TLS),
    ("Admin", &admin::ADMIN),
    ("Service", &service::SERVICE),
    ("Endpoint", &service::ENDPOINT),
    ("Discover", &discover::DISCOVER),
    ("Adaptive", &adaptive::ADAPTIVE),
    ("Overload", &overload::OVERLOAD),
    ("Cluster", &cluster::CLUSTER),
    ("Geo", &geo::GEO),
    ("Balance", &service::BALANCE),
    ("Pool", &service::POOL),
    ("Authenticator", &auth::AUTHENTICATOR),
    ("ApiKey", &auth::API_KEY),
    ("Introspection", &introspection::INTROSPECTION),
    ("Forward", &forward::FORWARD),
    ("Jwt", &jwt::JWT),
    ("Mtls", &mtls::MTLS),
    ("Oidc", &oidc::OIDC),
    ("LoginCookie", &oidc::LOGIN_COOKIE),
    ("LoginSession", &oidc::LOGIN_SESSION),
    ("Basic", &basic::BASIC),
    ("Hmac", &hmac::HMAC),
    ("HmacHeaders", &hmac::HMAC_HEADERS),
    ("Signature", &signature::SIGNATURE),
    ("SignatureKey", &signature::SIGNATURE_KEY),
    ("Plan", &app::PLAN),
    ("App", &app::APP),
    ("AppKey", &app::APP_KEY),
    ("IdentityHeaders", &identity::IDENTITY),
    ("Device", &device::DEVICE),
    ("Policies", &policy::POLICIES),
    ("Access", &access::ACCESS),
    ("IpPolicy", &ip::IP),
    ("Ban", &ban::BAN),
    ("Bots", &bots::BOTS),
    ("Cors", &cors::CORS),
    ("Csrf", &csrf::CSRF),
    ("RequestPolicy", &request::REQUEST),
    ("Spike", &spike::SPIKE),
    ("RateLimit", &rate_limit::RATE_LIMIT),
    ("Quota", &quota::QUOTA),
    ("Throttle", &throttle::THROTTLE),
    ("Concurrency", &concurrency::CONCURRENCY),
    ("JsonLimits", &request::JSON),
    ("Waf", &waf::WAF),
    ("ValidatePolicy", &validate::VALIDATE),
    ("ResponsePolicy", &policy::RESPONSE),
    ("HeaderChanges", &policy::HEADER_CHANGES),
    ("SecureHeaders", &secure_headers::SECURE_HEADERS),
    ("Hsts", &secure_headers::HSTS),
    ("Timeouts", &policy::TIMEOUTS),
    ("TunnelTimeouts", &policy::TUNNEL),
    ("Breaker", &breaker::BREAKER),
    ("Eject", &eject::EJECT),
    ("Fallback", &fallback::FALLBACK),
    ("Health", &health::HEALTH),
    ("Hedge", &hedge::HEDGE),
    ("Retry", &retry::RETRY),
    ("Mirror", &mirror::MIRROR),
    ("FaultInjection", &injection::FAULT),
    ("FaultDelay", &injection::DELAY),
    ("FaultAbort", &injection::ABORT),
    ("Api", &api::API),
    ("Versions", &api::VERSIONS),
    ("VersionBy", &api::VERSION_BY),
    ("Version", &api::VERSION),
    ("Route", &route::ROUTE),
    ("Match", &route::MATCH),
    ("Target", &route::TARGET),
    ("Branch", &split::BRANCH),
    ("SplitBy", &split::SPLIT_BY),
    ("Respond", &route::RESPOND),
    ("Logs", &log::LOGS),
];
