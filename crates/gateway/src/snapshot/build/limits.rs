//! How many requests callers may make: the limits of routes, and those of plans.

use std::sync::Arc;

use super::Compiler;
use crate::config::values::Duration;
use crate::config::{self, EffectiveRoute, Fault, LimitBy, Located, PlacedLimit, RateLimits};
use crate::expression::{Expression, Purpose, Root, Roots};
use crate::plans::Plans;
use crate::policies::Policy;
use crate::policies::limit::rate_limit::{Expressions, Limits, RateLimit, Tables};
use crate::route::PathPattern;
use crate::shared::SharedBuckets;

impl Compiler<'_> {
    /// Compiles the limits of all plans, which no route changes.
    pub(super) fn compile_limits_of_plans(&mut self) {
        let of_plans = self.config.plans.iter();
        let plans = of_plans.filter_map(|(name, plan)| {
            let RateLimits(limits) = plan.rate_limit.as_ref()?;
            let known = Roots::ALL.without(Root::Params);
            let (expressions, _) = expressions(limits, known, |text, allowed, purpose| {
                let expression = self.of_head(text, allowed, Self::expression)?;
                Some(self.fit(text, expression, purpose))
            });
            let buckets = Arc::clone(self.buckets.get_or_insert_default());
            let tables = Tables { buckets: &buckets, lines: &self.waits.lines(&buckets) };
            Some((name.as_str().into(), Limits::of_plan(name, limits, expressions, tables)))
        });
        let plans: Plans<Limits> = plans.collect();
        self.plans = (!plans.is_empty()).then(|| Arc::new(plans));
    }

    /// One for all routes that share it, but for expressions, which may speak of what a route's path captures.
    pub(super) fn rate_limit(
        &mut self,
        route: &EffectiveRoute<'_>,
        path: &PathPattern,
    ) -> Option<Arc<dyn Policy>> {
        let plans = self.plans.clone().filter(|_| route.has_plan_limits);
        if route.limits.is_none() && plans.is_none() {
            return None;
        }
        if let Some(total) = route.timeouts.total {
            let mut limits = route.limits.iter().flat_map(|limits| &limits.limit.0);
            if let Some(fault) = limits.find_map(|limit| line_too_long(limit, total, route)) {
                self.faults.push(fault);
            }
        }
        let at = route.limits.as_ref().map(|limits| std::ptr::from_ref(limits.limit));
        let key = (at, plans.is_some());
        if let Some(policy) = self.rate_limits.get(&key) {
            return Some(Arc::clone(policy));
        }
        let buckets = Arc::clone(self.buckets.get_or_insert_default());
        let (own, is_of_route) = match &route.limits {
            Some(PlacedLimit { limit: RateLimits(limits), place }) => {
                let (expressions, has_some) = expressions(limits, Roots::ALL, |text, allowed, purpose| {
                    let expression = self.of_head(text, allowed, |compiler, text, allowed| {
                        compiler.of_route(text, path, allowed)
                    })?;
                    Some(self.fit(text, expression, purpose))
                });
                let lines = self.waits.lines(&buckets);
                let tables = Tables { buckets: &buckets, lines: &lines };
                (Limits::new(limits, expressions, place, tables), has_some)
            }
            None => (Limits::default(), false),
        };
        let of_plans = self.config.plans.values().filter_map(|plan| plan.rate_limit.as_ref());
        let own_limits = route.limits.iter().map(|limits| limits.limit);
        let mut all = own_limits.chain(of_plans.filter(|_| plans.is_some())).flat_map(|limits| &limits.0);
        let is_shared = all.any(|limit| limit.shared.is_some());
        let fleet = if is_shared { self.fleet() } else { None };
        let policy: Arc<dyn Policy> = Arc::new(RateLimit::new(own, plans, buckets, fleet));
        if !is_of_route {
            self.rate_limits.insert(key, Arc::clone(&policy));
        }
        Some(policy)
    }

    /// An expression that may speak of answers, but for their bodies.
    fn of_head(
        &mut self,
        text: &Located<String>,
        allowed: Roots,
        compile: impl FnOnce(&mut Self, &Located<String>, Roots) -> Option<Expression>,
    ) -> Option<Expression> {
        let expression = compile(self, text, allowed)?;
        if expression.needs_answer() {
            let message = "`response.body` is not known yet where this is evaluated";
            self.fault("invalid_expression", text, 0, message);
        }
        Some(expression)
    }

    /// The expression; that it can be told to be of no use for this is a fault.
    pub(super) fn fit(
        &mut self,
        text: &Located<String>,
        expression: Expression,
        purpose: Purpose,
    ) -> Expression {
        if let Err(message) = expression.check(purpose) {
            self.fault("invalid_expression", text, 0, message);
        }
        expression
    }

    /// The buckets that gateways take from together. A limit that wants them where there is no Redis has been refused before.
    pub(super) fn fleet(&mut self) -> Option<Arc<SharedBuckets>> {
        let redis = self.redis.as_ref()?;
        let secret = self.config.cluster.as_ref().and_then(|cluster| cluster.secret.as_ref());
        let fleet = SharedBuckets::of(redis, secret, self.fleet.as_ref().or(self.fleet_before.as_ref()));
        self.fleet = Some(Arc::clone(&fleet));
        Some(fleet)
    }
}

/// The complaint about a line whose last place is further from its end than a request may take in all.
fn line_too_long(limit: &config::RateLimit, total: Duration, route: &EffectiveRoute<'_>) -> Option<Fault> {
    let (queue, rate) = (u128::from(limit.queue?), limit.limit);
    let places = total.as_nanos() * u128::from(rate.count) / rate.period.as_nanos().max(1);
    if queue <= places {
        return None;
    }
    let message = format!(
        "the last of a `queue` of {queue} would wait for longer than a request may take, {total}: then it is refused instead"
    );
    let fault = Fault::warning("delay_too_long", route.span, message);
    Some(fault.help(match places {
        0 => {
            format!("make the `total` of `timeout` longer: at {rate} the next turn may come later than that")
        }
        _ => format!("write `queue: {places}` at most, or make the `total` of `timeout` longer"),
    }))
}

/// The expressions of limits, and whether there are any.
fn expressions(
    limits: &[config::RateLimit],
    known: Roots,
    mut compile: impl FnMut(&Located<String>, Roots, Purpose) -> Option<Expression>,
) -> (Vec<Expressions>, bool) {
    let before = known.without(Root::Response).without(Root::Body);
    let mut has_some = false;
    let mut compile = |text: Option<&Located<String>>, allowed, purpose| {
        has_some |= text.is_some();
        text.and_then(|text| compile(text, allowed, purpose))
    };
    let compiled = limits.iter().map(|limit| {
        let by = if let LimitBy::Expression(text) = &limit.by.value { Some(text) } else { None };
        Expressions {
            by: compile(by, before, Purpose::Key),
            when: compile(limit.when.as_ref(), before, Purpose::Condition),
            cost: compile(limit.cost.as_ref(), before, Purpose::Count),
            charge: compile(limit.charge.as_ref(), known.without(Root::Body), Purpose::Amount),
        }
    });
    (compiled.collect(), has_some)
}
