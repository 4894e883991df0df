//! The policies of a route.

use std::sync::Arc;

use super::Compiler;
use crate::config::{
    self, AccessTerms, Config, EffectiveRoute, EffectiveVersion, Faults, PlacedLimit, VersionState,
};
use crate::expression::{Root, Roots};
use crate::firewall::Firewall;
use crate::policies::Policy;
use crate::policies::admit::ban::Ban;
use crate::policies::admit::bots::Bots;
use crate::policies::admit::cors::Cors;
use crate::policies::admit::csrf::Csrf;
use crate::policies::admit::ip::Ip;
use crate::policies::admit::request::Request;
use crate::policies::admit::waf::WafOfHead;
use crate::policies::authorize::Authorize;
use crate::policies::identify::Identify;
use crate::policies::limit::concurrency::Concurrency;
use crate::policies::limit::quota::BeforeLine;
use crate::policies::shape::lifecycle::Lifecycle;
use crate::policies::shape::response::Response;
use crate::policies::shape::secure_headers::SecureHeaders;
use crate::policies::validate::contract::Validate;
use crate::policies::validate::json::Json;
use crate::policies::validate::waf::WafOfBody;
use crate::route::PathPattern;

/// What looks at the head of a request, and at its body.
pub(super) type Halves = (Arc<dyn Policy>, Arc<dyn Policy>);

impl Compiler<'_> {
    /// A route's policies in the order of their stages: this is the one list that registers them.
    pub(super) fn policies(
        &mut self,
        route: &EffectiveRoute<'_>,
        path: &PathPattern,
    ) -> Vec<Arc<dyn Policy>> {
        let mut policies: Vec<Arc<dyn Policy>> = Vec::new();
        // admit: before anything is spent on the request, and first who is turned away whatever it is
        if let Some(ban) = route.ban {
            let buckets = Arc::clone(self.buckets.get_or_insert_default());
            policies.extend(self.shared(ban, |ban, _| Some(Arc::new(Ban::build(ban, buckets)?))));
        }
        if let Some(ip) = route.ip {
            let geo = self.geo.clone();
            policies.extend(self.shared(ip, |ip, faults| Some(Arc::new(Ip::build(ip, geo, faults)))));
        }
        if let Some(bots) = route.bots {
            policies.extend(self.shared(bots, |bots, _| Some(Arc::new(Bots::new(bots)))));
        }
        // preflights end here: they prove nothing of who calls
        if let Some(cors) = route.cors {
            policies.extend(self.shared(cors, |cors, _| Some(Arc::new(Cors::new(cors)))));
        }
        if let Some(csrf) = route.csrf {
            policies.extend(self.shared(csrf, |csrf, _| Some(Arc::new(Csrf::new(csrf)))));
        }
        if let Some(policy) = route.request.and_then(Request::build) {
            policies.push(Arc::new(policy));
        }
        let firewall = route.waf.map(|config| self.firewall(config));
        if let Some((head, _)) = &firewall {
            policies.push(Arc::clone(head));
        }
        if let Some(terms) = route.access.and_then(config::Access::terms) {
            // identify: what comes later may depend on who calls
            policies.push(self.identify(terms, route));
            // authorize: nothing is counted or read of a request that may not be made
            let when = terms.when.as_ref();
            let when =
                when.and_then(|text| self.of_route(text, path, Roots::BEFORE_RESPONSE.without(Root::Body)));
            if let Some(policy) = Authorize::build(terms, when) {
                policies.push(Arc::new(policy));
            }
        }
        // limit: only what may be made takes of what callers have
        // first a burst, which takes nothing of what its callers have
        if let Some(spike) = &route.spike {
            policies.extend(self.spike(spike, path));
        }
        // nobody stands in line who has nothing left
        let quota = self.quota(route, path);
        let has_line = route.limits.as_ref().is_some_and(|limits| limits.limit.have_line());
        if let Some(quota) = quota.as_ref().filter(|_| has_line) {
            policies.push(Arc::new(BeforeLine::new(Arc::clone(quota))));
        }
        policies.extend(self.rate_limit(route, path));
        // what is refused for a moment is not what was bought
        policies.extend(quota.map(|quota| quota as Arc<dyn Policy>));
        // nobody waits who is refused after that
        if let Some(throttle) = &route.throttle {
            policies.extend(self.throttle(throttle, route, path));
        }
        // what may not come, or not yet, is not under way
        if let Some(concurrency) = &route.concurrency {
            policies.extend(self.concurrency(concurrency, route, path));
        }
        // validate: bodies are held in memory only for who may send them
        if let Some(policy) = route.request.and_then(Json::build) {
            policies.push(Arc::new(policy));
        }
        policies.extend(firewall.map(|(_, body)| body));
        // what JSON may hold has been bounded before a schema looks at it
        if let Some(validate) = route.validate {
            policies.extend(self.shared(validate, |validate, faults| {
                Validate::build(validate, faults).map(|policy| Arc::new(policy) as Arc<dyn Policy>)
            }));
        }
        // shape: the version's word first, so that `response` can still change it
        if let Some(policy) = route.version.and_then(lifecycle) {
            policies.push(Arc::new(policy));
        }
        // only what the service left out; `response` may still change or remove it
        if let Some(policy) = route.secure_headers.and_then(SecureHeaders::build) {
            policies.push(Arc::new(policy));
        }
        if let Some(policy) = route.response.and_then(Response::build) {
            policies.push(Arc::new(policy));
        }
        policies
    }

    /// One for all routes that share its configuration, as it may be large; none where that has faults.
    pub(super) fn shared<T>(
        &mut self,
        config: &T,
        build: impl FnOnce(&T, &mut Faults) -> Option<Arc<dyn Policy>>,
    ) -> Option<Arc<dyn Policy>> {
        let key = std::ptr::from_ref(config).cast();
        if let Some(policy) = self.shared.get(&key) {
            return policy.clone();
        }
        let policy = build(config, &mut self.faults);
        self.shared.insert(key, policy.clone());
        policy
    }

    /// One for all routes that share it, in its two halves.
    fn firewall(&mut self, config: &config::Waf) -> Halves {
        let halves = self.firewalls.entry(std::ptr::from_ref(config)).or_insert_with(|| {
            let firewall = Arc::new(Firewall::new(config));
            (Arc::new(WafOfHead::new(Arc::clone(&firewall))), Arc::new(WafOfBody::new(firewall)))
        });
        halves.clone()
    }

    /// One for all routes that share it, but for expressions, which may speak of what a route's path captures.
    fn concurrency(
        &mut self,
        concurrency: &PlacedLimit<'_, config::Concurrency>,
        route: &EffectiveRoute<'_>,
        path: &PathPattern,
    ) -> Option<Arc<dyn Policy>> {
        let PlacedLimit { limit, place } = concurrency;
        if limit.queue > 0 {
            self.check_delay(route, "concurrency", ("queue_for", limit.queue_for));
        }
        let gates = self.waits.gates();
        let [by, _] = self.by_and_when(&limit.by.value, None, path);
        let is_own = by.is_some();
        self.own_or_shared(*limit, is_own, || Concurrency::new(limit, by, place, gates))
    }

    /// One for all routes that share its configuration, unless it has expressions, which may speak of what a route's path captures.
    pub(super) fn own_or_shared<T, P: Policy + 'static>(
        &mut self,
        config: &T,
        is_own: bool,
        build: impl FnOnce() -> Option<P>,
    ) -> Option<Arc<dyn Policy>> {
        let build = || Some(Arc::new(build()?) as Arc<dyn Policy>);
        if is_own { build() } else { self.shared(config, |_, _| build()) }
    }

    /// One for all routes of an API that share what they ask. Names that are none have been refused before.
    fn identify(&mut self, terms: &AccessTerms, route: &EffectiveRoute<'_>) -> Arc<dyn Policy> {
        let key = (std::ptr::from_ref(terms), route.api.map(std::ptr::from_ref));
        if let Some(policy) = self.identifies.get(&key) {
            return Arc::clone(policy);
        }
        let ways = terms.ways().filter_map(|name| {
            let way = self.ways.get(name.value.as_str())?;
            Some((name.value.as_str().into(), Arc::clone(way)))
        });
        let realm = route.api.map_or("api", |api| &api.name.value);
        let policy: Arc<dyn Policy> = Arc::new(Identify::new(ways.collect(), terms.any.is_empty(), realm));
        self.identifies.insert(key, Arc::clone(&policy));
        policy
    }
}

/// The query parameters that hold credentials.
pub(super) fn secret_parameters(config: &Config) -> Arc<[Box<str>]> {
    config.auth.values().filter_map(|way| Some(way.api_key.as_ref()?.query.as_deref()?.into())).collect()
}

fn lifecycle(version: EffectiveVersion<'_>) -> Option<Lifecycle> {
    let version = version.version;
    let is_deprecated = matches!(version.state, VersionState::Deprecated | VersionState::Retired);
    let since = version.since.filter(|_| is_deprecated);
    Lifecycle::build(
        since.map(config::values::Date::unix_seconds),
        version.sunset.map(config::values::Date::unix_seconds),
    )
}
