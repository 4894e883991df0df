//! `charge`: what a request has cost, where only its answer tells. What it took at the start is made more, or less.

use super::{Limit, RateLimit};
use crate::allowance::Allowance;
use crate::buckets::Spent;
use crate::clock::whole_seconds;
use crate::exchange::Exchange;
use crate::expression::ResponseFacts;

impl RateLimit {
    /// Settles what the request has taken, by the head of the answer, and tells what is left after it.
    pub(super) fn charge(&self, exchange: &mut Exchange) {
        let mut spent = std::mem::take(&mut exchange.spent);
        let now = self.buckets.now();
        let of_plan = self.of_plan(exchange);
        // Of one in whose line the request has waited nothing is settled.
        let is_settled = |told: &Allowance| spent.iter().any(|spent| spent.allowance.limit == told.limit);
        let mut least = exchange.allowance.filter(|told| !is_settled(told));
        for spent in &spent {
            let Some(limit) = self.numbered(spent.allowance.limit, of_plan) else { continue };
            least = limit.least(least, self.settle(exchange, limit, spent, now));
        }
        exchange.allowance = least;
        // Its memory is used again.
        spent.clear();
        exchange.spent = spent;
    }

    /// Where the cost cannot be told, what was taken at the start stays.
    fn settle(&self, exchange: &Exchange, limit: &Limit, spent: &Spent, now: u64) -> Allowance {
        let charged =
            limit.total(exchange).and_then(|total| self.buckets.charge(limit.rule, spent, total, now));
        let Some((left, full_in)) = charged else { return spent.allowance };
        Allowance { limit: limit.number, left, full_in: whole_seconds(full_in.saturating_sub(limit.late)) }
    }
}

impl Limit {
    /// Whether the answer says what a request costs.
    pub(super) fn is_charged(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.charge.is_some())
    }

    /// What the request has cost in all, by what its service has answered.
    fn total(&self, exchange: &Exchange) -> Option<u64> {
        let charge = self.terms.as_ref()?.charge.as_ref()?;
        let outcome = &exchange.outcome;
        if outcome.first_byte_at.is_none() || outcome.code.is_some() {
            return None;
        }
        let mut context = exchange.context();
        let response = &exchange.response;
        context.response =
            Some(ResponseFacts { status: response.status.as_u16(), fields: &response.fields, body: None });
        charge.evaluate_amount(&context).ok()
    }
}
