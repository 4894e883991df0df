//! Routes as they hold: with the front of their API applied and every policy decided, nearest first.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::Method;

use super::model::{
    Access, Api, Ban, Bots, Concurrency, Config, Cors, Csrf, FaultInjection, Headers, Hedge, IpPolicy,
    Mirror, Policies, Priority, Quotas, RateLimits, RequestPolicy, Respond, ResponsePolicy, Retry, Route,
    SecureHeaders, Service, Setting, Spike, Split, Throttle, Timeouts, ValidatePolicy, Version, VersionBy,
    Waf,
};
use super::source::{Located, Span};

/// One route, ready to be compiled: one for each version of its API that it belongs to.
#[derive(Clone, Debug)]
pub struct EffectiveRoute<'c> {
    /// Its name, or else its methods, host and path: stable as long as what it matches stays.
    pub label: String,
    /// The name that the user gave it, if any.
    pub name: Option<&'c Located<String>>,
    /// Its API, when it belongs to one.
    pub api: Option<&'c Api>,
    /// The version of its API, when that has versions.
    pub version: Option<EffectiveVersion<'c>>,
    /// The methods that it takes; empty for any.
    pub methods: &'c [Method],
    /// Its path with the API's base and version before it; a place in it is the route's own path.
    pub path: Located<String>,
    /// The host that it answers on; any without one.
    pub host: Option<&'c Located<String>>,
    /// Header fields that must have these values.
    pub headers: &'c Headers,
    /// Query parameters that must have these values.
    pub query: &'c [(String, Located<String>)],
    /// The kind of client that it is for, one of `Config::devices`.
    pub device: Option<&'c Located<String>>,
    /// The expression that must be true.
    pub when: Option<&'c Located<String>>,
    /// What becomes of its requests.
    pub action: Action<'c>,
    /// The services among which they are split, in the order of the split; none where they are not.
    pub branches: Vec<EffectiveCall<'c>>,
    /// Who may call; nobody without one, which no configuration without faults has.
    pub access: Option<&'c Access>,
    /// Who is refused for a while.
    pub ban: Option<&'c Ban>,
    /// Which addresses may call.
    pub ip: Option<&'c IpPolicy>,
    /// Which programs may call, by what they say of themselves.
    pub bots: Option<&'c Bots>,
    /// Which pages of other origins may call from a browser.
    pub cors: Option<&'c Cors>,
    /// Which pages may change something in the name of whoever looks at them; any without it.
    pub csrf: Option<&'c Csrf>,
    /// What a request may bring.
    pub request: Option<&'c RequestPolicy>,
    /// How evenly requests have to come.
    pub spike: Option<PlacedLimit<'c, Spike>>,
    /// How many requests callers may make.
    pub limits: Option<PlacedLimit<'c, RateLimits>>,
    /// How much callers may use by the calendar.
    pub quotas: Option<PlacedLimit<'c, Quotas>>,
    /// Whether `quota: off` lifts what plans say of it too.
    pub is_without_quota: bool,
    /// How fast callers may go before they are held up.
    pub throttle: Option<PlacedLimit<'c, Throttle>>,
    /// Whether the limits of a caller's plan hold too. They do where callers are known, unless `rate_limit` is `off`.
    pub has_plan_limits: bool,
    /// How many may be under way at once.
    pub concurrency: Option<PlacedLimit<'c, Concurrency>>,
    /// What is done about requests that look like an attack.
    pub waf: Option<&'c Waf>,
    /// What requests must be like.
    pub validate: Option<&'c ValidatePolicy>,
    /// How long to wait for the service.
    pub timeouts: Timeouts,
    /// Further attempts after one that failed; none is said by the number.
    pub retry: &'c Retry,
    /// When another endpoint is asked beside a slow one.
    pub hedge: Option<&'c Hedge>,
    /// Where copies of its requests go, and what those may take.
    pub mirror: Option<(&'c Mirror, EffectiveCall<'c>)>,
    /// Trouble made on purpose.
    pub fault: Option<&'c FaultInjection>,
    /// What its calls are worth beside others.
    pub priority: Priority,
    /// Headers that make browsers careful.
    pub secure_headers: Option<&'c SecureHeaders>,
    /// What is changed in the answer.
    pub response: Option<&'c ResponsePolicy>,
    /// Where the route begins in the file.
    pub span: Span,
}

/// The version of an API that a route belongs to, and how a request chooses it.
#[derive(Clone, Copy, Debug)]
pub struct EffectiveVersion<'c> {
    /// The version.
    pub version: &'c Version,
    /// How a request chooses it; for `Path`, its name is in the route's path already.
    pub by: &'c VersionBy,
}

/// A limit, and where it stands: what is counted is counted there, for all routes that inherit it.
#[derive(Clone, Debug)]
pub struct PlacedLimit<'c, T> {
    /// The limit, or several.
    pub limit: &'c T,
    /// A text for the place that stays as long as the route, the API or `defaults` stays.
    pub place: Cow<'static, str>,
}

impl<T> PlacedLimit<'_, T> {
    /// Whether it is a route's own.
    pub(super) fn is_of_route(&self) -> bool {
        self.place.starts_with(OF_ROUTE)
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Action<'c> {
    /// It goes to a service.
    Forward {
        /// The service.
        service: &'c Service,
        /// The path that the service sees, when not the one that came.
        rewrite: Option<&'c Located<String>>,
    },
    /// It goes to one of several services.
    Split {
        /// Which, and how one is chosen; what calls of each may take is in `EffectiveRoute::branches`.
        split: &'c Split,
        /// The path that they see, when not the one that came.
        rewrite: Option<&'c Located<String>>,
    },
    /// The gateway answers itself.
    Respond(&'c Respond),
}

/// A service with what calls of it may take: a service has a say of its own where neither route nor API has.
#[derive(Clone, Debug)]
pub struct EffectiveCall<'c> {
    /// The service.
    pub service: &'c Service,
    /// How long to wait for it.
    pub timeouts: Timeouts,
    /// Further attempts after one that failed.
    pub retry: &'c Retry,
    /// When another endpoint is asked beside a slow one.
    pub hedge: Option<&'c Hedge>,
}

impl Config {
    /// All routes as they hold, in the order of the file.
    ///
    /// A route whose target does not exist is left out: no configuration without faults has one.
    pub fn routes(&self) -> Vec<EffectiveRoute<'_>> {
        self.each_route().collect()
    }

    /// As `routes`, one at a time: many thousands together take much memory.
    pub(crate) fn each_route(&self) -> impl Iterator<Item = EffectiveRoute<'_>> {
        let own = self.routes.iter().map(|route| (None, route));
        let of_apis =
            self.apis.values().flat_map(|api| api.routes.iter().map(move |route| (Some(api), route)));
        let mut pairs: Vec<(Option<&Api>, &Route)> = own.chain(of_apis).collect();
        pairs.sort_by_key(|(_, route)| route.span.start());
        pairs.into_iter().flat_map(|(api, route)| self.resolve(api, route))
    }

    /// How many routes there are at most, to make room for.
    pub(crate) fn count_routes(&self) -> usize {
        let of_apis = self.apis.values().flat_map(|api| {
            let versions = api.versions.as_ref();
            let in_all = versions.map_or(1, |versions| versions.list.len());
            api.routes.iter().map(move |route| match (versions, route.versions.len()) {
                (None, _) | (_, 0) => in_all,
                (Some(_), some) => some,
            })
        });
        self.routes.len() + of_apis.sum::<usize>()
    }

    /// How long to wait for a service, and further attempts after one that failed, where no route has a say.
    pub fn service_limits<'c>(&'c self, service: &'c Service) -> (Timeouts, &'c Retry) {
        self.limits([None, None], Some(service))
    }

    /// The same where a route and an API may have a say.
    fn limits<'c>(
        &'c self,
        near: [Option<&'c Policies>; 2],
        service: Option<&'c Service>,
    ) -> (Timeouts, &'c Retry) {
        let timeouts = nearest(near, |policies| policies.timeout.as_deref())
            .or_else(|| service?.timeout.as_ref())
            .or(self.defaults.timeout.as_deref())
            .and_then(Setting::value);
        let retry = nearest(near, |policies| policies.retry.as_deref())
            .or_else(|| service?.retry.as_ref())
            .or(self.defaults.retry.as_deref());
        (timeouts.cloned().unwrap_or_default(), effective_retry(retry))
    }

    /// When another endpoint is asked beside a slow one, where no route has a say.
    pub fn service_hedge<'c>(&'c self, service: &'c Service) -> Option<&'c Hedge> {
        self.hedge([None, None], Some(service))
    }

    /// The same where a route and an API may have a say.
    fn hedge<'c>(
        &'c self,
        near: [Option<&'c Policies>; 2],
        service: Option<&'c Service>,
    ) -> Option<&'c Hedge> {
        nearest(near, |policies| policies.hedge.as_deref())
            .or_else(|| service?.hedge.as_deref())
            .or(self.defaults.hedge.as_deref())
            .and_then(Setting::value)
    }

    fn call<'c>(&'c self, near: [Option<&'c Policies>; 2], service: &'c Service) -> EffectiveCall<'c> {
        let (timeouts, retry) = self.limits(near, Some(service));
        EffectiveCall { service, timeouts, retry, hedge: self.hedge(near, Some(service)) }
    }

    /// Nobody waits for a copy, and nobody sends it again: the service alone says how long it may take.
    fn mirror_call<'c>(&'c self, mirror: &'c Mirror) -> Option<EffectiveCall<'c>> {
        let service = self.services.get(mirror.to.as_str())?;
        let (timeouts, _) = self.service_limits(service);
        Some(EffectiveCall { service, timeouts, retry: effective_retry(Some(&Setting::Off)), hedge: None })
    }

    fn resolve<'c>(
        &'c self,
        api: Option<&'c Api>,
        route: &'c Route,
    ) -> impl Iterator<Item = EffectiveRoute<'c>> {
        let versions = api.and_then(|api| api.versions.as_ref());
        let in_versions = versions.into_iter().flat_map(move |versions| {
            let all = versions.list.iter();
            let chosen = all.filter(|version| {
                route.versions.is_empty()
                    || route.versions.iter().any(|name| name.value == version.name.value)
            });
            chosen.map(|version| Some(EffectiveVersion { version, by: &versions.by }))
        });
        let places = versions.is_none().then_some(None).into_iter().chain(in_versions);
        places.filter_map(move |version| self.resolve_in(api, route, version))
    }

    fn resolve_in<'c>(
        &'c self,
        api: Option<&'c Api>,
        route: &'c Route,
        version: Option<EffectiveVersion<'c>>,
    ) -> Option<EffectiveRoute<'c>> {
        let action = self.action(route)?;
        let near = [Some(&route.policies), api.map(|api| &api.policies)];
        let (service, branches) = match action {
            Action::Forward { service, .. } => (Some(service), Vec::new()),
            Action::Split { split, .. } => {
                let services = split.branches.iter().map(|branch| self.services.get(branch.to.as_str()));
                let calls = services.map(|service| Some(self.call(near, service?)));
                (None, calls.collect::<Option<_>>()?)
            }
            Action::Respond(_) => (None, Vec::new()),
        };
        let (timeouts, retry) = self.limits(near, service);
        let all = [near[0], near[1], Some(&self.defaults)];
        let mirror = nearest(all, |policies| policies.mirror.as_deref()).and_then(Setting::value);
        let mirror = mirror.filter(|_| !matches!(action, Action::Respond(_)));
        let access = nearest(all, |policies| policies.access.as_ref()).and_then(Setting::value);
        let rate_limit = nearest(all, |policies| policies.rate_limit.as_deref());
        let matches = &route.matches;
        let name = route.name.as_ref();
        let host = matches.host.as_ref().or(api.and_then(|api| api.host.as_ref()));
        let path = full_path(api, version, &matches.path.value);
        Some(EffectiveRoute {
            label: match name {
                Some(name) => name.value.clone(),
                None => label(&matches.methods, host.map(|host| host.value.as_str()), &path),
            },
            name,
            api,
            version,
            methods: &matches.methods,
            path: Located::new(path, matches.path.span),
            host,
            headers: &matches.headers,
            query: &matches.query,
            device: matches.device.as_ref(),
            when: matches.when.as_ref(),
            action,
            branches,
            access,
            ban: nearest(all, |policies| policies.ban.as_deref()).and_then(Setting::value),
            ip: nearest(all, |policies| policies.ip.as_deref()).and_then(Setting::value),
            bots: nearest(all, |policies| policies.bots.as_deref()).and_then(Setting::value),
            cors: nearest(all, |policies| policies.cors.as_deref()).and_then(Setting::value),
            csrf: nearest(all, |policies| policies.csrf.as_deref()).and_then(Setting::value),
            request: nearest(all, |policies| policies.request.as_deref()).and_then(Setting::value),
            spike: self.placed(api, route, |policies| policies.spike.as_deref()),
            limits: self.placed(api, route, |policies| policies.rate_limit.as_deref()),
            quotas: self.placed(api, route, |policies| policies.quota.as_deref()),
            is_without_quota: nearest(all, |policies| policies.quota.as_deref()) == Some(&Setting::Off),
            throttle: self.placed(api, route, |policies| policies.throttle.as_deref()),
            has_plan_limits: access.is_some_and(|access| access.terms().is_some())
                && rate_limit != Some(&Setting::Off)
                && self.plans.values().any(|plan| plan.rate_limit.is_some()),
            concurrency: self.placed(api, route, |policies| policies.concurrency.as_deref()),
            waf: nearest(all, |policies| policies.waf.as_deref()).and_then(Setting::value),
            validate: nearest(all, |policies| policies.validate.as_deref()).and_then(Setting::value),
            timeouts,
            retry,
            hedge: self.hedge(near, service),
            priority: nearest(all, |policies| policies.priority.as_ref())
                .and_then(Setting::value)
                .copied()
                .unwrap_or_default(),
            mirror: mirror.and_then(|mirror| Some((mirror, self.mirror_call(mirror)?))),
            fault: nearest(all, |policies| policies.fault.as_deref()).and_then(Setting::value),
            secure_headers: nearest(all, |policies| policies.secure_headers.as_deref())
                .and_then(Setting::value),
            response: nearest(all, |policies| policies.response.as_deref()).and_then(Setting::value),
            span: route.span,
        })
    }

    /// The nearest setting of a limit, and a text for the place where it stands.
    fn placed<'c, T>(
        &'c self,
        api: Option<&'c Api>,
        route: &'c Route,
        set: impl Fn(&'c Policies) -> Option<&'c Setting<T>>,
    ) -> Option<PlacedLimit<'c, T>> {
        let (limit, place) = if let Some(own) = set(&route.policies) {
            // One for all versions of the API.
            let path = || full_path(api, None, &route.matches.path.value);
            let host = route.matches.host.as_ref().or(api.and_then(|api| api.host.as_ref()));
            let name = match &route.name {
                Some(name) => name.value.clone(),
                None => label(&route.matches.methods, host.map(|host| host.value.as_str()), &path()),
            };
            (own, Cow::Owned(format!("{OF_ROUTE}{name}")))
        } else if let Some((api, of_api)) = api.and_then(|api| Some((api, set(&api.policies)?))) {
            (of_api, Cow::Owned(format!("api {}", api.name.value)))
        } else {
            (set(&self.defaults)?, Cow::Borrowed("defaults"))
        };
        limit.value().map(|limit| PlacedLimit { limit, place })
    }

    fn action<'c>(&'c self, route: &'c Route) -> Option<Action<'c>> {
        if let Some(respond) = &route.respond {
            return Some(Action::Respond(respond));
        }
        let (target, rewrite) = (route.to.as_ref()?, route.rewrite.as_ref());
        if let Some(split) = &target.split {
            return Some(Action::Split { split, rewrite });
        }
        let service = self.services.get(target.service.as_ref()?.as_str())?;
        Some(Action::Forward { service, rewrite })
    }
}

/// A route's path with the base of its API and the version before it.
fn full_path(api: Option<&Api>, version: Option<EffectiveVersion<'_>>, own: &str) -> String {
    let base = api.and_then(|api| api.base.as_ref()).map_or("", |base| base.value.as_str());
    let in_path = version.filter(|version| *version.by == VersionBy::Path);
    let version = in_path.map_or("", |version| version.version.name.value.as_str());
    let mut path = String::with_capacity(base.len() + version.len() + own.len() + 1);
    path.push_str(base.trim_end_matches('/'));
    if !version.is_empty() {
        path.push('/');
        path.push_str(version);
    }
    // The root of an API is its base itself, `/shop` rather than `/shop/`.
    if own != "/" || path.is_empty() {
        path.push_str(own);
    }
    path
}

/// Methods, host and path: `GET,POST api.example.com/shop/users`.
fn label(methods: &[Method], host: Option<&str>, path: &str) -> String {
    let host = host.unwrap_or_default();
    let of_methods: usize = methods.iter().map(|method| method.as_str().len() + 1).sum();
    let mut label = String::with_capacity(of_methods + host.len() + path.len());
    for (at, method) in methods.iter().enumerate() {
        if at > 0 {
            label.push(',');
        }
        label.push_str(method.as_str());
    }
    if !label.is_empty() {
        label.push(' ');
    }
    label.push_str(host);
    label.push_str(path);
    label
}

/// Where nothing is said, a request whose connection failed goes to another endpoint: it has reached nobody.
fn effective_retry(retry: Option<&Setting<Retry>>) -> &Retry {
    static USUAL: LazyLock<Retry> = LazyLock::new(Retry::default);
    static NONE: LazyLock<Retry> = LazyLock::new(Retry::none);
    match retry {
        None => &USUAL,
        Some(Setting::Off) => &NONE,
        Some(Setting::On(retry)) => retry,
    }
}

/// The nearest of some levels that sets a policy at all.
fn nearest<'c, T, const N: usize>(
    levels: [Option<&'c Policies>; N],
    policy: impl Fn(&'c Policies) -> Option<&'c Setting<T>>,
) -> Option<&'c Setting<T>> {
    levels.into_iter().flatten().find_map(policy)
}

/// What the text for a place begins with, where it is a route.
const OF_ROUTE: &str = "route ";
