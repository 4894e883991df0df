//! Checks of limits: those that go by who calls need a route that asks who calls, those that are shared a place to share.

use super::fault::{Fault, Faults};
use super::model::{Access, Api, Config, LimitBy, MOST_LIMITS, Policies, Route, Setting};
use super::source::Located;

/// Reports limits that gateways are to share, where there is nothing to share them by, and those that go by devices, where there are
/// none.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    let of_plans = || config.plans.values().filter_map(|plan| plan.rate_limit.as_ref());
    let of_policies = || config.policies().filter_map(|policies| policies.rate_limit.as_ref()?.value());
    let limits = || of_policies().chain(of_plans()).flat_map(|limits| &limits.0);
    if config.devices.is_empty() {
        let concurrency = config.policies().filter_map(|policies| policies.concurrency.as_ref()?.value());
        let by = limits().map(|limit| &limit.by).chain(concurrency.map(|limit| &limit.by));
        for by in by.filter(|by| by.value == LimitBy::Device) {
            let fault = Fault::error("unknown_device", by.span, "there are no devices to go by");
            faults.push(fault.help("name some, as in `devices: { mobile: { user_agent: mobile } }`"));
        }
    }
    if config.cluster.is_none() {
        for shared in limits().filter_map(|limit| limit.shared.as_ref()) {
            let message = "gateways count together in a Redis, and there is none";
            let fault = Fault::error("no_redis", shared.span, message);
            faults.push(fault.help("name one, as in `cluster: { redis: redis://127.0.0.1:6379 }`"));
        }
    }
}

/// Reports a limit of a route, or one that it inherits, which goes by callers that the route does not know, and limits of the route and a
/// plan that cannot be together.
pub(super) fn check_route(config: &Config, api: Option<&Api>, route: &Route, faults: &mut Faults) {
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
        let help = format!("name a way under `auth` in `access`, limit `by: ip`, or write `{key}: off`");
        faults.push(Fault::error("no_caller", at, message).help(help));
    };
    let limits = levels().find_map(|policies| policies.rate_limit.as_deref()).and_then(Setting::value);
    for limit in limits.into_iter().flat_map(|limits| &limits.0) {
        if limit.by.value.needs_identity() {
            check(&limit.by, route.policies.rate_limit.is_some(), "rate_limit");
        }
    }
    let limit = levels().find_map(|policies| policies.concurrency.as_deref()).and_then(Setting::value);
    if let Some(limit) = limit.filter(|limit| limit.by.value.needs_identity()) {
        check(&limit.by, route.policies.concurrency.is_some(), "concurrency");
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
    let has_line = own.0.iter().any(|limit| limit.queue.is_some());
    let shared = with_limits().find(|(_, limits)| limits.0.iter().any(|limit| limit.shared.is_some()));
    if let Some((plan, _)) = shared.filter(|_| has_line) {
        let name = &plan.name.value;
        let message = format!(
            "a `leaky_bucket` beside a `shared` limit, which the plan `{name}` has, is not supported yet"
        );
        faults.push(Fault::error("not_supported_yet", at, message));
    }
}
