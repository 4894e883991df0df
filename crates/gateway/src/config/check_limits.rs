//! Checks of limits: those that go by who calls need a route that asks who calls.

use super::fault::{Fault, Faults};
use super::model::{Access, Api, Config, Policies, RateLimits, Route, Setting};

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
