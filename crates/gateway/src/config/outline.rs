//! A configuration boiled down to what can be said of it, to compare the next one with.
//! A reload keeps this of the configuration in force and nothing else: what routes have in common is held once, so that
//! a route takes little more than its path.

mod callers;
mod settings;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write as _};
use std::hash::{Hash, Hasher};

use super::effective::{Action, EffectiveCall, EffectiveRoute, PlacedLimit};
use super::model::{
    Api, Balance, Config, Device, Headers, Hedge, ProxyVersion, Retry, Service, ServiceProtocol, Split,
    SplitBy, Timeouts, VersionBy, VersionState,
};
use super::values::{KeyHash, Secret};

/// What can be said of a configuration.
#[derive(Debug)]
pub struct Outline {
    pub(super) listeners: Things,
    pub(super) settings: Things,
    pub(super) token: Option<Secret>,
    pub(super) signing: Vec<Secret>,
    pub(super) services: Things,
    pub(super) devices: Things,
    pub(super) auth: Things,
    pub(super) plans: Things,
    pub(super) apps: Things,
    /// The secrets of keys, by the names of their apps and their own.
    pub(super) keys: BTreeMap<(String, String), KeyHash>,
    pub(super) apis: Things,
    /// In the order of the file.
    pub(super) routes: Vec<RouteOutline>,
    pub(super) terms: Vec<Terms>,
}

/// Things of one kind by their names.
pub(super) type Things = BTreeMap<String, Facets>;

/// What a route has of its own.
#[derive(Debug)]
pub(super) struct RouteOutline {
    pub(super) name: Option<Box<str>>,
    pub(super) host: Option<Box<str>>,
    pub(super) path: Box<str>,
    /// Whether limits or quotas count at it, under its name.
    pub(super) counts: bool,
    /// Where in `Outline::terms` the rest of it is.
    pub(super) terms: u32,
}

/// What many routes have in common.
#[derive(Debug)]
pub(super) struct Terms {
    /// The methods as a label begins with them: `GET,POST `.
    pub(super) methods: Box<str>,
    pub(super) version: Box<str>,
    /// What a request must be besides host and path, as one text.
    pub(super) conditions: Box<str>,
    pub(super) facets: Facets,
}

/// What can be said about a thing: aspects and their values, each aspect once, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facets(Vec<(Cow<'static, str>, Box<str>)>);

impl Outline {
    /// Takes down what can be said of a configuration.
    pub fn new(config: &Config) -> Self {
        let listeners = config.listeners.iter();
        let mut outline = Self {
            listeners: listeners
                .map(|one| (one.address.value.to_string(), settings::listener_facets(one)))
                .collect(),
            settings: settings::settings(config),
            token: config.admin.as_ref().and_then(|admin| admin.token.clone()),
            signing: config.identity.keys.iter().map(|key| key.value.clone()).collect(),
            services: named(&config.services, service_facets),
            devices: named(&config.devices, device_facets),
            auth: named(&config.auth, callers::auth_facets),
            plans: named(&config.plans, callers::plan_facets),
            apps: named(&config.apps, callers::app_facets),
            keys: callers::keys(config),
            apis: named(&config.apis, api_facets),
            routes: Vec::with_capacity(config.count_routes()),
            terms: Vec::new(),
        };
        // What can change within it, the cache of a compiled expression, is not part of the key.
        #[allow(clippy::mutable_key_type)]
        let mut known: HashMap<OnTerms<'_>, u32> = HashMap::new();
        for route in config.each_route() {
            let name = route.name.map(|name| name.value.as_str().into());
            let host = route.host.map(|host| host.value.as_str().into());
            let path = route.path.value.as_str().into();
            let counts = route.limits.as_ref().is_some_and(PlacedLimit::is_of_route)
                || route.quotas.as_ref().is_some_and(PlacedLimit::is_of_route);
            let terms = *known.entry(OnTerms(route)).or_insert_with_key(|route| {
                outline.terms.push(Terms::new(&route.0));
                (outline.terms.len() - 1) as u32
            });
            outline.routes.push(RouteOutline { name, host, path, counts, terms });
        }
        outline
    }

    pub(super) fn terms_of(&self, route: &RouteOutline) -> &Terms {
        &self.terms[route.terms as usize]
    }

    /// How a route is called: by its name, or by its methods, host and path.
    pub(super) fn label(&self, route: &RouteOutline) -> String {
        let front = &self.terms_of(route).methods;
        match &route.name {
            Some(name) => name.to_string(),
            None => format!("{front}{}{}", route.host.as_deref().unwrap_or_default(), route.path),
        }
    }

    /// All that can be said of a route.
    pub(super) fn facets(&self, route: &RouteOutline) -> Facets {
        let mut facets = self.terms_of(route).facets.clone();
        facets.may_say("name", route.name.as_ref());
        facets.may_say("host", route.host.as_ref());
        facets.says("path", &route.path);
        facets
    }
}

impl RouteOutline {
    /// What it has of its own, to compare.
    pub(super) fn own(&self) -> [Option<&str>; 3] {
        [self.name.as_deref(), self.host.as_deref(), Some(&self.path)]
    }
}

impl Facets {
    pub(super) fn get(&self, facet: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(facet)).ok()?;
        Some(&self.0[at].1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(facet, value)| (facet.as_ref(), value.as_ref()))
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(facet, _)| keep(facet));
    }

    fn says(&mut self, facet: impl Into<Cow<'static, str>>, value: impl Display) {
        let (facet, value) = (facet.into(), value.to_string().into());
        match self.0.binary_search_by(|(known, _)| known.cmp(&facet)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (facet, value)),
        }
    }

    /// What a call may take, each facet by the name that is made of its own.
    fn call(
        &mut self,
        timeouts: &Timeouts,
        retry: &Retry,
        hedge: Option<&Hedge>,
        name: impl Fn(&'static str) -> Cow<'static, str>,
    ) {
        self.says(name("connect timeout"), timeouts.connect);
        self.may_say(name("TLS timeout"), timeouts.tls);
        self.says(name("first-byte timeout"), timeouts.first_byte);
        self.says(name("idle timeout"), timeouts.idle);
        self.may_say(name("total timeout"), timeouts.total);
        self.may_say(name("tunnel's idle timeout"), timeouts.tunnel.idle);
        self.may_say(name("tunnel's total timeout"), timeouts.tunnel.total);
        if retry.attempts > 0 {
            self.says(name("retries"), retry.attempts);
            self.list(name("retries on"), &retry.on);
            self.list(name("retried methods"), &retry.methods);
            self.says(name("retry budget"), retry.budget);
            self.says(name("retry backoff"), retry.backoff);
            self.may_say(name("attempt's timeout"), retry.timeout);
        }
        if let Some(hedge) = hedge {
            self.says(name("hedged after"), hedge.after);
            self.list(name("hedged methods"), &hedge.methods);
        }
    }

    fn may_say(&mut self, facet: impl Into<Cow<'static, str>>, value: Option<impl Display>) {
        if let Some(value) = value {
            self.says(facet, value);
        }
    }

    fn list(&mut self, facet: impl Into<Cow<'static, str>>, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if !values.is_empty() {
            self.says(facet, values.join(", "));
        }
    }

    fn headers(&mut self, facet: &str, headers: &Headers) {
        for (name, value) in headers {
            self.says(format!("{facet} {name}"), &value.value);
        }
    }
}

/// A route known by its terms alone.
struct OnTerms<'c>(EffectiveRoute<'c>);

impl OnTerms<'_> {
    /// All that `Terms` are made from.
    fn terms(&self) -> impl Hash + PartialEq {
        let route = &self.0;
        let action = match route.action {
            Action::Forward { service, rewrite } => (Some(&service.name), None, rewrite, None),
            Action::Split { split, rewrite } => (None, Some(split), rewrite, None),
            Action::Respond(respond) => (None, None, None, Some(respond)),
        };
        let conditions = (route.headers, route.query, route.device, route.when);
        let version = route.version.map(|version| &version.version.name);
        let mirror = route.mirror.as_ref().map(|(mirror, call)| (mirror, &call.timeouts));
        let limits = route.limits.as_ref().map(|limits| limits.limit);
        let quotas = (route.quotas.as_ref().map(|quotas| quotas.limit), route.is_without_quota);
        let concurrency = route.concurrency.as_ref().map(|concurrency| concurrency.limit);
        let spike = route.spike.as_ref().map(|spike| spike.limit);
        let throttle = route.throttle.as_ref().map(|throttle| throttle.limit);
        let policies = (
            route.access,
            (
                route.ban,
                route.ip,
                route.bots,
                route.cors,
                route.csrf,
                route.request,
                limits,
                route.waf,
                route.validate,
            ),
            (spike, quotas, throttle, concurrency, route.has_plan_limits),
            &route.timeouts,
            route.retry,
            mirror,
            route.fault,
            route.priority,
            route.hedge,
        );
        let shaping = (route.secure_headers, route.response);
        let branches =
            route.branches.iter().map(|call| (&call.timeouts, call.retry, call.hedge)).collect::<Vec<_>>();
        (route.methods, conditions, version, action, branches, policies, shaping)
    }
}

impl Hash for OnTerms<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.terms().hash(state);
    }
}

impl PartialEq for OnTerms<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Both of one lifetime, or their opaque types would differ.
        let same = |one: &Self, other: &Self| one.terms() == other.terms();
        same(self, other)
    }
}

impl Eq for OnTerms<'_> {}

impl Terms {
    fn new(route: &EffectiveRoute<'_>) -> Self {
        let mut methods = route.methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        if !methods.is_empty() {
            methods.push(' ');
        }
        let version = route.version.map_or("", |version| version.version.name.value.as_str());
        Self {
            methods: methods.into(),
            version: version.into(),
            conditions: conditions(route).into(),
            facets: route_facets(route),
        }
    }
}

/// What a request must be besides host and path, all conditions taken together.
fn conditions(route: &EffectiveRoute<'_>) -> String {
    let mut text = format!("{:?}", route.methods);
    for (name, value) in route.headers {
        let _ = write!(text, " {name}={:?}", value.value);
    }
    for (name, value) in route.query {
        let _ = write!(text, " ?{name}={:?}", value.value);
    }
    let device = route.device.map(|device| &device.value);
    let _ = write!(text, " {device:?} {:?}", route.when.map(|when| &when.value));
    text
}

fn named<T>(things: &BTreeMap<String, T>, facets: impl Fn(&T) -> Facets) -> Things {
    things.iter().map(|(name, thing)| (name.clone(), facets(thing))).collect()
}

fn service_facets(service: &Service) -> Facets {
    let mut facets = Facets::default();
    for endpoint in &service.endpoints {
        facets.says(format!("endpoint {}", endpoint.url.value), format_args!("weight {}", endpoint.weight));
    }
    facets.may_say("discovery", service.discover.as_deref());
    facets.says(
        "balance",
        match &service.balance {
            Balance::RoundRobin => "round_robin".to_owned(),
            Balance::WeightedRandom => "weighted_random".to_owned(),
            Balance::Random => "random".to_owned(),
            Balance::LeastRequests => "least_requests".to_owned(),
            Balance::Ewma => "ewma".to_owned(),
            Balance::IpHash => "ip_hash".to_owned(),
            Balance::Hash(expression) => format!("hash of {}", expression.value),
            Balance::Sticky(cookie) => format!("sticky by cookie {}", cookie.value),
        },
    );
    facets.may_say("PROXY header", service.proxy_protocol.map(ProxyVersion::as_str));
    facets.says("connections per endpoint", service.pool.max);
    facets.says("idle connections per endpoint", service.pool.idle);
    facets.says("idle time of connections", service.pool.idle_for);
    facets.says("requests waiting for connections", service.pool.queue);
    facets.says("wait for connections", service.pool.queue_for);
    facets.may_say("health check", service.health.as_ref());
    if let Some(eject) = &service.eject {
        facets.may_say("ejection after failures", eject.errors);
        if let Some(share) = eject.share {
            let (calls, window) = (eject.calls, eject.window);
            facets.says("ejection by share", format_args!("{share} of at least {calls} calls in {window}"));
        }
        facets.says("ejection time", eject.time);
        facets.says("endpoints out at once", eject.max);
        facets.says("slow start", eject.slow_start);
    }
    if let Some(breaker) = &service.breaker {
        facets.may_say("breaker's failures", breaker.failures);
        facets.may_say("breaker's error share", breaker.errors);
        if let Some((share, after)) = breaker.slow.zip(breaker.slow_after) {
            facets.says("breaker's slow share", format_args!("{share} slower than {after}"));
        }
        facets.says("breaker's calls", breaker.calls);
        facets.says("breaker is per", breaker.per);
        facets.says("breaker's window", breaker.window);
        facets.says("breaker's open time", breaker.open_for);
        facets.says("breaker's trials", breaker.half_open);
    }
    facets.may_say("fallback", service.fallback.as_deref());
    facets.may_say("adaptive concurrency", service.adaptive);
    facets.may_say("when all are down", service.when_all_down);
    facets.may_say("protocol", service.protocol.map(ServiceProtocol::as_str));
    facets.may_say("TLS", service.tls.as_deref());
    facets
}

fn device_facets(device: &Device) -> Facets {
    let mut facets = Facets::default();
    match device {
        Device::UserAgent(pattern) => facets.says("user agent", pattern.regex()),
        Device::Header(name) => facets.says("header", name),
    }
    facets
}

fn api_facets(api: &Api) -> Facets {
    let mut facets = Facets::default();
    facets.may_say("title", api.title.as_ref());
    let Some(versions) = &api.versions else {
        return facets;
    };
    facets.says(
        "choice of version",
        match &versions.by {
            VersionBy::Path => "by path".to_owned(),
            VersionBy::Header(name) => format!("by header {name}"),
            VersionBy::MediaType(name) => format!("by media type {name}"),
        },
    );
    for version in &versions.list {
        let mut life = match version.state {
            VersionState::Current => "current",
            VersionState::Supported => "supported",
            VersionState::Deprecated => "deprecated",
            VersionState::Retired => "retired",
        }
        .to_owned();
        if let Some(since) = version.since {
            let _ = write!(life, " since {since}");
        }
        if let Some(sunset) = version.sunset {
            let _ = write!(life, ", sunset {sunset}");
        }
        facets.says(format!("version {}", version.name.value), life);
    }
    facets
}

fn split_facets(split: &Split, facets: &mut Facets) {
    let by = match &split.by {
        SplitBy::Cookie(name) => format!("cookie {}", name.value),
        SplitBy::Header(name) => format!("header {name}"),
        SplitBy::Hash(expression) => format!("hash of {}", expression.value),
    };
    facets.says("target", format_args!("split by {by}"));
    for branch in &split.branches {
        let sticky = if branch.sticky { ", sticky" } else { "" };
        facets
            .says(format!("share of {}", branch.to.value), format_args!("weight {}{sticky}", branch.weight));
    }
    facets.may_say("header that forces a service", split.force.as_ref());
}

/// What can be said of a route besides its name, host and path.
fn route_facets(route: &EffectiveRoute<'_>) -> Facets {
    let mut facets = Facets::default();
    facets.list("methods", route.methods);
    facets.headers("condition on header", route.headers);
    for (name, value) in route.query {
        facets.says(format!("condition on query parameter {name}"), &value.value);
    }
    facets.may_say("condition on device", route.device.map(|device| &device.value));
    facets.may_say("condition", route.when.map(|when| &when.value));
    match route.action {
        Action::Forward { service, rewrite } => {
            facets.says("target", format_args!("service {}", service.name.value));
            facets.may_say("rewrite", rewrite.map(|path| &path.value));
            facets.call(&route.timeouts, route.retry, route.hedge, Cow::Borrowed);
        }
        Action::Split { split, rewrite } => {
            split_facets(split, &mut facets);
            facets.may_say("rewrite", rewrite.map(|path| &path.value));
            for EffectiveCall { service, timeouts, retry, hedge } in &route.branches {
                let name = |facet: &str| Cow::Owned(format!("{facet} at {}", service.name.value));
                facets.call(timeouts, retry, *hedge, name);
            }
        }
        Action::Respond(respond) => {
            facets.says("answer", format_args!("status {}", respond.status.as_u16()));
            facets.may_say("answer's body", respond.body.as_ref().map(|body| format!("{:?}", body.value)));
            facets.headers("answer's header", &respond.headers);
        }
    }
    facets.says("priority", route.priority.as_str());
    facets.says("access", route.access.map_or("nobody".to_owned(), ToString::to_string));
    facets.may_say("ban", route.ban);
    if let Some(ip) = route.ip {
        facets.list("allowed networks", &ip.allow);
        facets.may_say("file of allowed networks", ip.allow_file.as_ref().map(|file| file.value.display()));
        facets.list("denied networks", &ip.deny);
        facets.may_say("file of denied networks", ip.deny_file.as_ref().map(|file| file.value.display()));
        facets.list("allowed countries", ip.allow_countries.iter().map(|country| country.value));
        facets.list("denied countries", ip.deny_countries.iter().map(|country| country.value));
    }
    facets.may_say("programs", route.bots);
    facets.may_say("CORS", route.cors);
    facets.may_say("pages that may change something", route.csrf);
    if let Some(request) = route.request {
        facets.may_say("body limit", request.max_body);
        facets.list("content types", request.content_types.iter().map(|kind| &kind.0));
        facets.may_say("URL limit", request.url);
        facets.may_say("header limit", request.headers);
        facets.may_say("header size limit", request.header_size);
        facets.may_say("JSON limits", request.json);
    }
    facets.may_say("spike arrest", route.spike.as_ref().map(|spike| spike.limit));
    facets.may_say("rate limit", route.limits.as_ref().map(|limits| limits.limit));
    facets.may_say("quota", route.quotas.as_ref().map(|quotas| quotas.limit));
    if route.is_without_quota {
        facets.says("quota", "none, nor that of a plan");
    }
    facets.may_say("throttle", route.throttle.as_ref().map(|throttle| throttle.limit));
    facets.may_say("limits of plans", route.has_plan_limits.then_some("hold too"));
    facets.may_say("requests under way", route.concurrency.as_ref().map(|concurrency| concurrency.limit));
    facets.may_say("firewall", route.waf);
    if let Some(validate) = route.validate {
        facets.may_say("schema of bodies", validate.body.as_ref().map(|file| file.value.display()));
        facets.may_say("OpenAPI document", validate.openapi.as_ref().map(|file| file.value.display()));
        facets.may_say("base of the document", validate.base.as_ref());
        facets.says("what the document does not speak of", validate.unknown.as_str());
        facets.says("answers that are not as it says", validate.response.as_str());
        facets.says("longest body that is looked at", validate.max_body);
    }
    if let Some((mirror, call)) = &route.mirror {
        facets.says("copies", mirror);
        facets.call(&call.timeouts, call.retry, None, |facet| Cow::Owned(format!("{facet} of copies")));
    }
    facets.may_say("injected faults", route.fault);
    facets.may_say("secure headers", route.secure_headers);
    if let Some(response) = route.response {
        facets.headers("response header set", &response.headers.set);
        facets.headers("response header added", &response.headers.add);
        facets.list("response headers removed", &response.headers.remove);
    }
    facets
}
