//! The policies of a route that are about how fast requests come.

use std::sync::Arc;

use super::Compiler;
use crate::config::values::Duration;
use crate::config::{self, EffectiveRoute, Fault, LimitBy, Located, PlacedLimit};
use crate::expression::{Expression, Purpose, Root, Roots};
use crate::policies::Policy;
use crate::policies::limit::spike::Spike;
use crate::policies::limit::throttle::Throttle;
use crate::route::PathPattern;

impl Compiler<'_> {
    /// One for all routes that share it, but for expressions, which may speak of what a route's path captures.
    pub(super) fn spike(
        &mut self,
        spike: &PlacedLimit<'_, config::Spike>,
        path: &PathPattern,
    ) -> Option<Arc<dyn Policy>> {
        let PlacedLimit { limit, place } = spike;
        let expressions = self.by_and_when(&limit.by.value, limit.when.as_ref(), path);
        let buckets = Arc::clone(self.buckets.get_or_insert_default());
        let is_own = expressions.iter().any(Option::is_some);
        self.own_or_shared(*limit, is_own, || Spike::new(limit, expressions, place, buckets))
    }

    /// The same.
    pub(super) fn throttle(
        &mut self,
        throttle: &PlacedLimit<'_, config::Throttle>,
        route: &EffectiveRoute<'_>,
        path: &PathPattern,
    ) -> Option<Arc<dyn Policy>> {
        let PlacedLimit { limit, place } = throttle;
        self.check_delay(route, "throttle", ("delay", limit.delay));
        let expressions = self.by_and_when(&limit.by.value, limit.when.as_ref(), path);
        let buckets = Arc::clone(self.buckets.get_or_insert_default());
        let waiting = self.waits.gates();
        let is_own = expressions.iter().any(Option::is_some);
        self.own_or_shared(*limit, is_own, || Throttle::new(limit, expressions, place, buckets, waiting))
    }

    /// Warns of a wait that takes all the time that a request has.
    pub(super) fn check_delay(
        &mut self,
        route: &EffectiveRoute<'_>,
        policy: &str,
        (key, longest): (&str, Duration),
    ) {
        let Some(total) = route.timeouts.total.filter(|total| *total <= longest) else { return };
        let message = format!(
            "`{policy}` may hold a request up for {longest}, and it may take {total}: then it is refused instead"
        );
        let help = format!("make its `{key}` shorter, or the `total` of `timeout` longer");
        self.faults.push(Fault::warning("delay_too_long", route.span, message).help(help));
    }

    /// What a limit goes by, and for which requests it is, where these are expressions.
    pub(super) fn by_and_when(
        &mut self,
        by: &LimitBy,
        when: Option<&Located<String>>,
        path: &PathPattern,
    ) -> [Option<Expression>; 2] {
        let by = if let LimitBy::Expression(text) = by { Some(text) } else { None };
        [(by, Purpose::Key), (when, Purpose::Condition)].map(|(text, purpose)| {
            let expression = self.of_route(text?, path, Roots::BEFORE_RESPONSE.without(Root::Body))?;
            Some(self.fit(text?, expression, purpose))
        })
    }
}
