//! Checks of limits: those that go by who calls need a route that asks who calls, those that are shared a place to share.

use super::fault::{Fault, Faults};
use super::model::{Access, Api, Config, Declared, LimitBy, MOST_LIMITS, Policies, Quota, Route, Setting};
use super::source::{Located, Span};

/// Reports what would be forgotten, limits that gateways are to share, where there is nothing to share them by, and those that go by
/// devices, where there are none.
pub(super) fn check(config: &Config, declared: &Declared, faults: &mut Faults) {
    check_quotas(config, declared, faults);
    let of_plans = || config.plans.values().filter_map(|plan| plan.rate_limit.as_ref());
    let of_policies = || config.policies().filter_map(|policies| policies.rate_limit.as_ref()?.value());
    let limits = || of_policies().chain(of_plans()).flat_map(|limits| &limits.0);
    if config.devices.is_empty() {
        let others = config.policies().flat_map(other_ways);
        let by = limits().map(|limit| &limit.by).chain(others);
        for by in by.filter(|by| by.value == LimitBy::Device) {
            let fault = Fault::error("unknown_device", by.span, "there are no devices to go by");
            faults.push(fault.help("name some, as in `devices: { mobile: { user_agent: mobile } }`"));
        }
    }
    if config.cluster.is_none() {
        for shared in limits().filter_map(|limit| limit.shared.as_ref()) {
            faults.push(no_redis(shared.span));
        }
    }
}

/// Whose requests the limits besides `rate_limit` count together.
fn other_ways(policies: &Policies) -> impl Iterator<Item = &Located<LimitBy>> {
    let quotas = policies.quota.as_deref().and_then(Setting::value);
    let concurrency = policies.concurrency.as_deref().and_then(Setting::value);
    let spike = policies.spike.as_deref().and_then(Setting::value);
    let throttle = policies.throttle.as_deref().and_then(Setting::value);
    let of_quotas = quotas.into_iter().flat_map(|quotas| &quotas.0).map(|quota| &quota.by);
    let of_others = [concurrency.map(|it| &it.by), spike.map(|it| &it.by), throttle.map(|it| &it.by)];
    of_quotas.chain(of_others.into_iter().flatten())
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

/// Reports a limit of a route, or one that it inherits, which goes by callers that the route does not know, and limits of the route and a
/// plan that are too many together.
pub(super) fn check_route(config: &Config, api: Option<&Api>, route: &Route, faults: &mut Faults) {
    check_charges(route, faults);
    let levels = [Some(&route.policies), api.map(|api| &api.policies), Some(&config.defaults)];
    let levels = || levels.into_iter().flatten();
    let access = levels().find_map(|policies: &Policies| policies.access.as_ref());
    let Some(Setting::On(Access::Public)) = access else {
        return check_plans(config, levels(), route, faults);
    };
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

/// Reports what a route would have services say, where it asks none. One that inherits it has `cost` instead.
fn check_charges(route: &Route, faults: &mut Faults) {
    let own =
        route.policies.rate_limit.as_deref().and_then(Setting::value).filter(|_| route.respond.is_some());
    for charge in own.into_iter().flat_map(|limits| &limits.0).filter_map(|limit| limit.charge.as_ref()) {
        let message = "`charge` has no effect beside `respond`: no service is called";
        faults.push(Fault::error("bad_value", charge.span, message).help("write `cost` instead"));
    }
}

/// A request has the limits of its route and of its caller's plan.
fn check_plans<'c>(
    config: &Config,
    mut levels: impl Iterator<Item = &'c Policies>,
    route: &Route,
    faults: &mut Faults,
) {
    let Some(Setting::On(own)) = levels.find_map(|policies| policies.rate_limit.as_deref()) else { return };
    let at =
        own.0.first().filter(|_| route.policies.rate_limit.is_some()).map_or(route.span, |own| own.by.span);
    let with_limits = || config.plans.values().filter_map(|plan| Some((plan, plan.rate_limit.as_ref()?)));
    if let Some((plan, limits)) = with_limits().find(|(_, limits)| own.0.len() + limits.0.len() > MOST_LIMITS)
    {
        let (of_route, of_plan, name) = (own.0.len(), limits.0.len(), &plan.name.value);
        let message = format!(
            "a request has at most {MOST_LIMITS} limits, and this route has {of_route} beside {of_plan} of the plan `{name}`"
        );
        faults.push(Fault::error("too_many", at, message));
    }
}
