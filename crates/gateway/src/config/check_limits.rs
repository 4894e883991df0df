//! Checks of limits: those that go by who calls need a route that asks who calls, those that are shared a place to share.

use super::fault::{Fault, Faults};
use super::model::{Access, Api, Config, Declared, LimitBy, Policies, Quota, RateLimits, Route, Setting};
use super::source::{Located, Span};

/// Reports what would be forgotten, and limits that gateways are to share, where there is nothing to share them by.
pub(super) fn check(config: &Config, declared: &Declared, faults: &mut Faults) {
    check_quotas(config, declared, faults);
    if config.cluster.is_some() {
        return;
    }
    for policies in config.policies() {
        let Some(Setting::On(RateLimits(limits))) = policies.rate_limit.as_deref() else { continue };
        for shared in limits.iter().filter_map(|limit| limit.shared.as_ref()) {
            faults.push(no_redis(shared.span));
        }
    }
}

/// Reports the first quota that would be forgotten when the gateway is started anew, and those that nobody could share.
fn check_quotas(config: &Config, declared: &Declared, faults: &mut Faults) {
    let mut has_store = declared.has_store;
    let of_routes = config.policies().filter_map(|policies| policies.quota.as_deref()?.value());
    let of_plans = config.plans.values().filter_map(|plan| plan.quota.as_ref());
    for Quota { shared, by, .. } in of_routes.chain(of_plans).flat_map(|quotas| &quotas.0) {
        if shared.value && config.cluster.is_none() {
            faults.push(no_redis(shared.span));
        } else if !shared.value && !has_store {
            let message = "a quota is to outlast a restart, and there is no store to keep it in";
            let fault = Fault::error("no_store", by.span, message);
            faults
                .push(fault.help(
                    "name one, as in `store: sqlite:tollgate.db`, or count in Redis by `shared: true`",
                ));
            has_store = true;
        }
    }
}

fn no_redis(at: Span) -> Fault {
    let message = "gateways count together in a Redis, and there is none";
    let fault = Fault::error("no_redis", at, message);
    fault.help("name one, as in `cluster: { redis: redis://127.0.0.1:6379 }`")
}

/// Reports a limit of a route, or one that it inherits, which goes by callers that the route does not know.
pub(super) fn check_route(config: &Config, api: Option<&Api>, route: &Route, faults: &mut Faults) {
    let levels = [Some(&route.policies), api.map(|api| &api.policies), Some(&config.defaults)];
    let levels = || levels.into_iter().flatten();
    let access = levels().find_map(|policies: &Policies| policies.access.as_ref());
    let Some(Setting::On(Access::Public)) = access else { return };
    let mut check = |by: &Located<LimitBy>, is_own: bool, key: &str| {
        let Located { value: by, span } = by;
        let (at, message) = if is_own {
            (*span, format!("the route is public: nobody finds out which {by} calls"))
        } else {
            let message = "this route is public, and a limit that it inherits goes by the";
            (route.span, format!("{message} {by}, which nobody finds out"))
        };
        let or_by = if key == "quota" { "count `by: global`" } else { "limit `by: ip`" };
        let help = format!("name a way under `auth` in `access`, {or_by}, or write `{key}: off`");
        faults.push(Fault::error("no_caller", at, message).help(help));
    };
    let limits = levels().find_map(|policies| policies.rate_limit.as_deref()).and_then(Setting::value);
    for limit in limits.into_iter().flat_map(|limits| &limits.0) {
        if limit.by.value.needs_identity() {
            check(&limit.by, route.policies.rate_limit.is_some(), "rate_limit");
        }
    }
    let quotas = levels().find_map(|policies| policies.quota.as_deref()).and_then(Setting::value);
    for quota in quotas.into_iter().flat_map(|quotas| &quotas.0) {
        if quota.by.value.needs_identity() {
            check(&quota.by, route.policies.quota.is_some(), "quota");
        }
    }
    let spike = levels().find_map(|policies| policies.spike.as_deref()).and_then(Setting::value);
    if let Some(spike) = spike.filter(|spike| spike.by.value.needs_identity()) {
        check(&spike.by, route.policies.spike.is_some(), "spike");
    }
    let throttle = levels().find_map(|policies| policies.throttle.as_deref()).and_then(Setting::value);
    if let Some(throttle) = throttle.filter(|throttle| throttle.by.value.needs_identity()) {
        check(&throttle.by, route.policies.throttle.is_some(), "throttle");
    }
    let limit = levels().find_map(|policies| policies.concurrency.as_deref()).and_then(Setting::value);
    if let Some(limit) = limit.filter(|limit| limit.by.value.needs_identity()) {
        check(&limit.by, route.policies.concurrency.is_some(), "concurrency");
    }
}
