//! Compiles a configuration. Every fault found here is shown at its place, like those of the language itself.

mod canary;
mod limits;
mod listeners;
mod pacing;
mod places;
mod policies;
mod quotas;
mod security;
mod services;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::service as parts;
use super::{CallLimits, Extras, Route, Snapshot, Target, Told};
use crate::accept::tcp::{Target as TcpTarget, Targets};
use crate::answer::StaticAnswer;
use crate::buckets::Buckets;
use crate::clock;
use crate::config::values::Secret;
use crate::config::{
    self, AccessLog, AccessTerms, Action, Api, Config, EffectiveRoute, EffectiveVersion, Fault, Faults,
    Hedge, IdentityForm, IdentityHeaders, Located, LogFormat, Priority, RateLimits, Respond, Retry, RetryOn,
    VersionBy as ConfiguredVersionBy, VersionState, Waf,
};
use crate::expression::{Expression, Roots};
use crate::geo::Database;
use crate::identity::Callers;
use crate::overload::Bounds;
use crate::plans::Plans;
use crate::policies::Policy;
use crate::policies::identify::{Authenticator, Means, build_ways};
use crate::policies::limit::quota::{self, Quota};
use crate::policies::limit::rate_limit::Limits;
use crate::quotas::{InForce, Quotas, Title};
use crate::record::{Format, LogConfig, LogTarget};
use crate::route::{
    Device, HostPattern, PathPattern, Regexes, Rewrite, RouteMatch, Router, RouterFault, ValueMatch,
    VersionBy, VersionMatch,
};
use crate::shared::{Nonces, Redis, SharedBuckets};
use crate::signed_identity::Signer;
use crate::upstream::{ServiceSpec, Timeouts};
use crate::waiting::Waits;

use listeners::compile_listeners;
use security::Security;

impl Snapshot {
    /// Compiles a configuration; all its faults at once, or the snapshot with warnings.
    ///
    /// Counters of listeners that were there `before` are kept.
    pub fn build(config: &Config, before: Option<&Self>) -> Result<(Self, Faults), Faults> {
        let turns = before.map_or_else(Arc::default, |before| Arc::clone(&before.turns));
        // On the threads that load configurations nothing else reads the clock.
        clock::refresh();
        let registry = before.map_or_else(Arc::default, |before| Arc::clone(&before.tls));
        let key_sets = before.map_or_else(Arc::default, |before| Arc::clone(&before.key_sets));
        let outside = before.map_or_else(Arc::default, |before| Arc::clone(&before.outside));
        let logins = before.map_or_else(Arc::default, |before| Arc::clone(&before.logins));
        let mut faults = config.faults();
        let mut security = Security::compile(config, before, &registry, &mut faults);
        let redis = config
            .cluster
            .as_ref()
            .map(|cluster| Redis::of(cluster, security.redis.as_ref(), before.and_then(Self::redis)));
        let nonces = before.map_or_else(Nonces::default, |before| before.nonces.clone()).with(redis.clone());
        let callers = Callers::new(config);
        let means = Means {
            callers: &callers,
            tls: std::mem::take(&mut security.ways),
            key_sets: &key_sets,
            outside: &outside,
            logins: &logins,
            turns: &turns,
            nonces: &nonces,
        };
        let ways = build_ways(config, &means, &mut faults);
        let geo_before = before.and_then(|before| before.geo.as_ref());
        let geo = config.geo.as_ref().and_then(|geo| Database::load(geo, geo_before, &mut faults));
        let mut compiler = Compiler::new(config, callers, ways, faults);
        compiler.geo = geo;
        compiler.buckets = before.and_then(|before| before.buckets.clone());
        compiler.quotas = before.map_or_else(Arc::default, |before| Arc::clone(&before.quotas));
        compiler.waits = before.map(|before| before.waits.clone()).unwrap_or_default();
        compiler.fleet_before = before.and_then(|before| before.fleet.clone());
        compiler.redis.clone_from(&redis);
        compiler.compile_limits_of_plans();
        compiler.compile_quotas_of_plans();
        let services: Vec<Arc<ServiceSpec>> = config
            .services
            .values()
            .zip(security.services)
            .map(|(service, tls)| Arc::new(compiler.service(service, tls)))
            .collect();
        let most = config.count_routes();
        let mut matches = Vec::with_capacity(most);
        let mut routes = Vec::with_capacity(most);
        let mut spans = Vec::with_capacity(most);
        // First, as of equal routes the first wins.
        for (matching, compiled, span) in compiler.places() {
            matches.push(matching);
            routes.push(compiled);
            spans.push(span);
        }
        for route in config.each_route() {
            if let Some((matching, compiled)) = compiler.route(&route) {
                matches.push(matching);
                routes.push(compiled);
                spans.push(route.span);
            }
        }
        let told = compile_told(&config.identity, &mut compiler.faults);
        let listeners = compile_listeners(&mut compiler, security.listeners, before);
        let mut faults = compiler.faults;
        if faults.has_errors() {
            return Err(faults);
        }
        let router = match Router::build(matches) {
            Ok(built) => built,
            Err(fault) => {
                let at = match fault {
                    RouterFault::TooManyMethods(route) => spans[route],
                    RouterFault::TooManyRoutes(_) => config::Span::default(),
                };
                faults.push(Fault::error("too_many", at, fault.to_string()));
                return Err(faults);
            }
        };
        for unreachable in router.unreachable() {
            let message =
                format!("this route can never match: {} comes first", routes[unreachable.winner].name);
            let fault = Fault::warning("unreachable_route", spans[unreachable.loser], message);
            faults.push(fault.help(unreachable.reason));
        }
        let snapshot = Self {
            listeners,
            router,
            routes,
            services,
            devices: compiler.devices.into_values().collect(),
            callers: compiler.callers,
            told,
            secret_parameters: policies::secret_parameters(config),
            logs: compile_logs(&config.logs),
            drain: *config.drain,
            overload: Bounds {
                lag: config.overload.lag.map(|lag| *lag),
                memory: config.overload.memory.map(config::values::Percent::millionths),
            },
            tls: registry,
            key_sets,
            outside,
            logins,
            turns,
            nonces,
            geo: compiler.geo,
            buckets: compiler.buckets,
            waits: compiler.waits,
            quotas: compiler.quotas,
            quotas_in_force: compiler.quotas_in_force.into_values().collect(),
            store: config.store.as_ref().map(|store| store.value.clone()),
            fleet: compiler.fleet,
            redis,
        };
        Ok((snapshot, faults))
    }
}

type LimitsKey = (Timeouts, *const Retry, Option<*const Hedge>, Priority);

struct Compiler<'c> {
    config: &'c Config,
    faults: Faults,
    regexes: Regexes,
    devices: HashMap<String, Arc<Device>>,
    services: HashMap<&'c str, usize>,
    apis: HashMap<&'c str, Arc<str>>,
    no_api: Arc<str>,
    callers: Callers,
    ways: HashMap<Box<str>, Arc<dyn Authenticator>>,
    geo: Option<Arc<Database>>,
    /// By where they stand, as routes share them.
    identifies: HashMap<(*const AccessTerms, Option<*const Api>), Arc<dyn Policy>>,
    /// Policies by where what they are made from stands; nothing where a file of one has faults.
    shared: HashMap<*const (), Option<Arc<dyn Policy>>>,
    /// Limits by where they stand, and whether those of plans hold too.
    rate_limits: HashMap<(Option<*const RateLimits>, bool), Arc<dyn Policy>>,
    /// The limits of plans, where some have any.
    plans: Option<Arc<Plans<Limits>>>,
    firewalls: HashMap<*const Waf, policies::Halves>,
    /// Made when the first limit needs it: it is large.
    buckets: Option<Arc<Buckets>>,
    waits: Waits,
    /// What was used of quotas, and those that are in force.
    quotas: Arc<Quotas>,
    quotas_in_force: BTreeMap<Title, InForce>,
    /// Those of plans, and the policies by the quotas of their routes and whether plans have a say.
    quotas_of_plans: Arc<Plans<quota::Terms>>,
    quota_policies: HashMap<(*const config::Quotas, bool), Arc<Quota>>,
    /// Those of the fleet, once a limit is shared, those of the snapshot before, and where they stand.
    fleet: Option<Arc<SharedBuckets>>,
    fleet_before: Option<Arc<SharedBuckets>>,
    redis: Option<Arc<Redis>>,
    /// By what they are made from: the rules by where they stand, as most routes share theirs.
    limits: HashMap<LimitsKey, Arc<CallLimits>>,
}

impl<'c> Compiler<'c> {
    fn new(
        config: &'c Config,
        callers: Callers,
        ways: HashMap<Box<str>, Arc<dyn Authenticator>>,
        faults: Faults,
    ) -> Self {
        let services =
            config.services.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let apis = config.apis.keys().map(|name| (name.as_str(), Arc::from(name.as_str()))).collect();
        let devices = config
            .devices
            .iter()
            .map(|(name, device)| {
                let (user_agent, header) = match device {
                    config::Device::UserAgent(pattern) => (Some(pattern.regex().clone()), None),
                    config::Device::Header(header) => (None, Some(header.as_str().into())),
                };
                (name.clone(), Arc::new(Device { name: name.as_str().into(), user_agent, header }))
            })
            .collect();
        Self {
            config,
            regexes: Regexes::default(),
            devices,
            services,
            apis,
            no_api: Arc::from(""),
            ways,
            callers,
            geo: None,
            identifies: HashMap::new(),
            faults,
            shared: HashMap::new(),
            rate_limits: HashMap::new(),
            plans: None,
            firewalls: HashMap::new(),
            buckets: None,
            quotas: Arc::default(),
            quotas_in_force: BTreeMap::new(),
            quotas_of_plans: Arc::default(),
            quota_policies: HashMap::new(),
            waits: Waits::default(),
            fleet: None,
            fleet_before: None,
            redis: None,
            limits: HashMap::new(),
        }
    }

    /// Reports a fault at an offset of a value.
    fn fault(
        &mut self,
        code: &'static str,
        value: &Located<String>,
        offset: usize,
        message: impl Into<String>,
    ) {
        let end = value.value.len().max(offset);
        let span = self.config.source().part(value, offset..end);
        self.faults.push(Fault::error(code, span, message.into()));
    }

    fn expression(&mut self, text: &Located<String>, allowed: Roots) -> Option<Expression> {
        match Expression::compile_for(&text.value, allowed) {
            Ok(expression) => Some(expression),
            Err(fault) => {
                self.fault("invalid_expression", text, fault.offset, fault.message);
                None
            }
        }
    }

    /// The condition of a route, which speaks of nothing that is not known when the route is chosen.
    fn when(&mut self, text: &Located<String>, path: &PathPattern) -> Option<Expression> {
        self.of_route(text, path, Roots::AT_ROUTE)
    }

    /// An expression that may speak of what the route's path captures.
    fn of_route(&mut self, text: &Located<String>, path: &PathPattern, allowed: Roots) -> Option<Expression> {
        let expression = self.expression(text, allowed)?;
        for name in expression.param_names().filter(|name| path.position_of(name).is_none()) {
            let offset = text.value.find(&format!("params.{name}")).or_else(|| text.value.find("params"));
            let message = format!("the path has no parameter `{name}`");
            self.fault("invalid_expression", text, offset.unwrap_or_default(), message);
        }
        Some(expression)
    }

    fn route(&mut self, route: &EffectiveRoute<'_>) -> Option<(RouteMatch, Route)> {
        let path = match PathPattern::parse_with(&route.path.value, &mut self.regexes) {
            Ok(path) => path,
            Err(fault) => {
                self.fault("invalid_path", &route.path, fault.offset, fault.message);
                return None;
            }
        };
        let (target, rewrite) = match route.action {
            Action::Forward { service, rewrite } => {
                let index = *self.services.get(service.name.value.as_str())?;
                (Target::Service(index), rewrite.and_then(|text| self.rewrite(text, &path)))
            }
            Action::Split { split, rewrite } => {
                let split = self.split(split, route, &path)?;
                (Target::Split(Box::new(split)), rewrite.and_then(|text| self.rewrite(text, &path)))
            }
            Action::Respond(respond) => (Target::Respond(Arc::new(compile_answer(respond))), None),
        };
        let target = if is_retired(route.version) { Target::Retired } else { target };
        let policies = self.policies(route, &path);
        let compiled = Route {
            name: route.label.as_str().into(),
            api: route.api.map_or_else(
                || Arc::clone(&self.no_api),
                |api| {
                    self.apis
                        .get(api.name.value.as_str())
                        .map_or_else(|| Arc::clone(&self.no_api), Arc::clone)
                },
            ),
            target,
            limits: self.limits(&route.timeouts, route.retry, route.hedge, route.priority),
            extras: extras(Extras {
                rewrite,
                mirror: self.mirror(route),
                fault: canary::fault(route),
                reviewer: policies.iter().position(|policy| policy.reviews_answers()),
                policies: policies.into(),
            }),
        };
        let when = route.when.and_then(|text| self.when(text, &path));
        let matching = RouteMatch {
            host: self.host(route)?,
            methods: route.methods.to_vec(),
            path,
            headers: self.values(route.headers.iter().map(|(name, value)| (name.as_str(), value))),
            query: self.values(route.query.iter().map(|(name, value)| (name.as_str(), value))),
            device: route.device.and_then(|name| self.devices.get(&name.value).map(Arc::clone)),
            when,
            version: route.version.and_then(compile_version),
        };
        Some((matching, compiled))
    }

    /// The services of a listener that passes connections on. Names that are none have been refused before.
    fn tcp(&self, tcp: &config::Tcp) -> Targets {
        let target = |name: &Located<String>| {
            let service = self.config.services.get(&name.value)?;
            let (timeouts, retry) = self.config.service_limits(service);
            let service = Arc::from(name.value.as_str());
            let attempts = if retry.on.contains(&RetryOn::Connect) { retry.attempts + 1 } else { 1 };
            Some(TcpTarget { service, timeouts: parts::timeouts(&timeouts), attempts })
        };
        let names = tcp.sni.iter().filter_map(|(pattern, service)| {
            Some((HostPattern::parse(&pattern.value).ok()?, target(service)?))
        });
        Targets::new(names.collect(), tcp.default.as_ref().and_then(target))
    }

    /// One copy for all routes with the same: they are read with every request.
    fn limits(
        &mut self,
        timeouts: &config::Timeouts,
        retry: &Retry,
        hedge: Option<&Hedge>,
        priority: Priority,
    ) -> Arc<CallLimits> {
        let timeouts = parts::timeouts(timeouts);
        let key = (timeouts, std::ptr::from_ref(retry), hedge.map(std::ptr::from_ref), priority);
        let limits = self.limits.entry(key);
        let hedge = || hedge.map(parts::hedge);
        let compile =
            || Arc::new(CallLimits { timeouts, retry: parts::retry(retry), hedge: hedge(), priority });
        Arc::clone(limits.or_insert_with(compile))
    }

    fn host(&mut self, route: &EffectiveRoute<'_>) -> Option<HostPattern> {
        let Some(host) = route.host else { return Some(HostPattern::Any) };
        match HostPattern::parse(&host.value) {
            Ok(pattern) => Some(pattern),
            Err(fault) => {
                self.fault("invalid_host", host, fault.offset, fault.message);
                None
            }
        }
    }

    fn rewrite(&mut self, text: &Located<String>, path: &PathPattern) -> Option<Rewrite> {
        match Rewrite::parse(&text.value, path) {
            Ok(rewrite) => Some(rewrite),
            Err(fault) => {
                self.fault("invalid_rewrite", text, fault.offset, fault.message);
                None
            }
        }
    }

    fn values<'v>(
        &mut self,
        pairs: impl Iterator<Item = (&'v str, &'v Located<String>)>,
    ) -> Vec<(Box<str>, ValueMatch)> {
        let mut matches = Vec::new();
        for (name, value) in pairs {
            match ValueMatch::parse(&value.value) {
                Ok(matching) => matches.push((name.into(), matching)),
                Err(message) => self.fault("invalid_condition", value, 0, message),
            }
        }
        matches
    }
}

fn extras(extras: Extras) -> Option<Box<Extras>> {
    let Extras { rewrite, mirror, fault, policies, .. } = &extras;
    let has_any = rewrite.is_some() || mirror.is_some() || fault.is_some() || !policies.is_empty();
    has_any.then(|| Box::new(extras))
}

fn is_retired(version: Option<EffectiveVersion<'_>>) -> bool {
    version.is_some_and(|version| version.version.state == VersionState::Retired)
}

fn compile_version(version: EffectiveVersion<'_>) -> Option<VersionMatch> {
    let by = match version.by {
        ConfiguredVersionBy::Path => return None,
        ConfiguredVersionBy::Header(name) => VersionBy::Header(name.as_str().into()),
        ConfiguredVersionBy::MediaType(name) => VersionBy::MediaType(name.as_str().into()),
    };
    Some(VersionMatch {
        by,
        version: version.version.name.value.as_str().into(),
        default: version.version.state == VersionState::Current,
    })
}

/// Reads the keys that sign what services are told; one that cannot be used is reported.
fn compile_told(identity: &IdentityHeaders, faults: &mut Faults) -> Told {
    let secrets: Vec<Secret> = identity.keys.iter().map(|key| key.value.clone()).collect();
    let signer = match Signer::new(&secrets, &identity.issuer, identity.valid_for.as_secs()) {
        Ok(signer) => signer.map(Arc::new),
        Err((number, why)) => {
            let fault = Fault::error("bad_keys", identity.keys[number].span, why);
            faults.push(fault.help("`openssl genpkey -algorithm ed25519` makes one that can be used"));
            None
        }
    };
    Told { is_plain: identity.headers.contains(&IdentityForm::Plain), signer }
}

fn compile_answer(respond: &Respond) -> StaticAnswer {
    let mut answer = StaticAnswer::empty(respond.status);
    for (name, value) in &respond.headers {
        answer.fields.push((name.as_str().into(), value.value.as_bytes().into()));
    }
    if let Some(body) = &respond.body {
        let is_typed = respond.headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE);
        if !is_typed {
            answer = answer.with_field(http1::Known::ContentType, "text/plain; charset=utf-8");
        }
        answer.body = body.value.as_bytes().into();
    }
    answer
}

fn compile_logs(logs: &config::Logs) -> LogConfig {
    LogConfig {
        target: match &logs.access {
            AccessLog::Stdout => LogTarget::Stdout,
            AccessLog::Off => LogTarget::Off,
            AccessLog::File(path) => LogTarget::File(path.clone()),
        },
        format: match logs.format {
            LogFormat::Json => Format::Json,
            LogFormat::Common => Format::Common,
        },
        sample: logs
            .sample
            .iter()
            .map(|(statuses, share)| {
                (statuses.first, statuses.last, f64::from(share.millionths()) / 1_000_000.0)
            })
            .collect(),
    }
}
