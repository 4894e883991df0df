//! Checks of limits: those that go by who calls need a route that asks who calls, those that are shared a place to share.

use super::fault::{Fault, Faults};
use super::model::{Access, Api, Config, Policies, RateLimits, Route, Setting};

/// Reports limits that gateways are to share, where there is nothing to share them by.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    if config.cluster.is_some() {
        return;
    }
    for policies in config.policies() {
        let Some(Setting::On(RateLimits(limits))) = policies.rate_limit.as_deref() else { continue };
        for shared in limits.iter().filter_map(|limit| limit.shared.as_ref()) {
            let message = "gateways count together in a Redis, and there is none";
            let fault = Fault::error("no_redis", shared.span, message);
            faults.push(fault.help("name one, as in `cluster: { redis: redis://127.0.0.1:6379 }`"));
        }
    }
}

/// Reports a limit of a route, or one that it inherits, which goes by callers that the route does not know.
pub(super) fn check_route(config: &Config, api: Option<&Api>, route: &Route, faults: &mut Faults) {
    let levels = [Some(&route.policies), api.map(|api| &api.policies), Some(&config.defaults)];
    let levels = || levels.into_iter().flatten();
    let limits = levels().find_map(|policies: &Policies| policies.rate_limit.as_deref());
    let access = levels().find_map(|policies: &Policies| policies.access.as_ref());
    let (Some(Setting::On(RateLimits(limits))), Some(Setting::On(Access::Public))) = (limits, access) else {
        return;
    };
    for limit in limits.iter().filter(|limit| limit.by.value.needs_identity()) {
        let by = &limit.by.value;
        let is_own = route.policies.rate_limit.is_some();
        let (at, whose) =
            if is_own { (limit.by.span, "the route") } else { (route.span, "a limit that it inherits") };
        let message = if is_own {
            format!("{whose} is public: nobody finds out which {by} calls")
        } else {
            format!("this route is public, and {whose} goes by the {by}, which nobody finds out")
        };
        let fault = Fault::error("no_caller", at, message);
        faults.push(
            fault.help("name a way under `auth` in `access`, limit `by: ip`, or write `rate_limit: off`"),
        );
    }
}
