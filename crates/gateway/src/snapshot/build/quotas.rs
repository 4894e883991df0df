//! The quotas of routes and of plans.

use std::sync::Arc;

use super::Compiler;
use crate::config::{self, Access, EffectiveRoute, Located};
use crate::expression::{Expression, Purpose, Root, Roots};
use crate::policies::limit::quota::{Expressions, Quota, Terms};
use crate::quotas::InForce;
use crate::route::PathPattern;

impl Compiler<'_> {
    /// One for all routes that share it, but for expressions, which may speak of what a route's path captures. Plans have a say where
    /// the route asks who calls.
    pub(super) fn quota(&mut self, route: &EffectiveRoute<'_>, path: &PathPattern) -> Option<Arc<Quota>> {
        let knows_plans = route.access.and_then(Access::terms).is_some() && !route.is_without_quota;
        let of_plans = if knows_plans { Arc::clone(&self.quotas_of_plans) } else { Arc::default() };
        let own = route.quotas.as_ref();
        if own.is_none() && of_plans.is_empty() {
            return None;
        }
        let key = (own.map_or(std::ptr::null(), |own| std::ptr::from_ref(own.limit)), !of_plans.is_empty());
        if let Some(policy) = self.quota_policies.get(&key) {
            return Some(Arc::clone(policy));
        }
        let mut has_expressions = false;
        let own = own.map(|own| {
            has_expressions = own.limit.0.iter().any(|quota| quota.when.is_some() || quota.cost.is_some());
            let allowed = Roots::BEFORE_RESPONSE.without(Root::Body);
            self.terms(own.limit, (&own.place, false), |this, text| this.of_route(text, path, allowed))
        });
        let policy = Arc::new(Quota::new(own.unwrap_or_default(), of_plans));
        if !has_expressions {
            self.quota_policies.insert(key, Arc::clone(&policy));
        }
        Some(policy)
    }

    /// Compiles the quotas of all plans, which no route changes.
    pub(super) fn compile_quotas_of_plans(&mut self) {
        let plans = self.config.plans.iter();
        let quotas = plans.filter_map(|(name, plan)| {
            let allowed = Roots::BEFORE_RESPONSE.without(Root::Body).without(Root::Params);
            let terms = self.terms(plan.quota.as_ref()?, (&format!("plan {name}"), true), |this, text| {
                this.expression(text, allowed)
            });
            Some((name.as_str().into(), terms))
        });
        self.quotas_of_plans = Arc::new(quotas.collect());
    }

    fn terms(
        &mut self,
        quotas: &config::Quotas,
        place: (&str, bool),
        compile: impl Fn(&mut Self, &Located<String>) -> Option<Expression>,
    ) -> Terms {
        let mut compiled = |text: Option<&Located<String>>, purpose| {
            let expression = compile(self, text?)?;
            Some(self.fit(text?, expression, purpose))
        };
        let expressions = quotas.0.iter().map(|quota| Expressions {
            when: compiled(quota.when.as_ref(), Purpose::Condition),
            cost: compiled(quota.cost.as_ref(), Purpose::Count),
        });
        let expressions = expressions.collect();
        let terms = Terms::new(quotas, expressions, place, &self.quotas);
        // Routes that share one each have it compiled where it has expressions.
        let known = terms.in_force().map(|quota| (quota.book.title.clone(), InForce::clone(quota)));
        self.quotas_in_force.extend(known);
        if quotas.0.iter().any(|quota| quota.shared.value) {
            self.fleet();
        }
        terms
    }
}
