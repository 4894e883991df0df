//! `charge`: what a request has cost, where only its answer tells. What it took at the start is made more, or less.

use std::sync::Arc;

use super::{Limit, RateLimit};
use crate::allowance::Allowance;
use crate::buckets::Key;
use crate::exchange::Exchange;
use crate::expression::ResponseFacts;
use crate::shared::{Lease, Name, Rest, SharedBuckets, Wanted};

/// What a request has taken of a limit.
#[derive(Debug)]
pub struct Spent {
    /// Whose bucket it was, in this process.
    pub(super) key: Key,
    /// How many it was.
    pub(super) cost: u64,
    /// When, as buckets of this process tell the time.
    pub(super) at: u64,
    /// What was left.
    pub(super) allowance: Allowance,
    /// Who has counted it, where others count too.
    pub(super) shared: Option<Shares>,
}

/// What a request has taken of a limit that is shared.
#[derive(Debug)]
pub(super) struct Shares {
    /// Of this gateway's part.
    pub(super) part: u64,
    /// Who counts for all of them, and what there was still; nobody while Redis does not answer.
    pub(super) fleet: Option<(Keeper, Rest)>,
}

/// Who counts for a fleet.
#[derive(Debug)]
pub(super) enum Keeper {
    Redis(Name),
    Lease(Arc<Lease>),
}

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
            // Where the cost cannot be told, what was taken at the start stays.
            let allowance = match limit.total(exchange) {
                Some(total) => self.settle(limit, spent, total, now),
                None => spent.allowance,
            };
            least = limit.least(least, allowance);
        }
        exchange.allowance = least;
        // Its memory is used again.
        spent.clear();
        exchange.spent = spent;
    }

    fn settle(&self, limit: &Limit, spent: &Spent, total: u64, now: u64) -> Allowance {
        let (left, full_in) = match (&spent.shared, &self.fleet) {
            (Some(shares), Some(fleet)) => self.settle_shared(fleet, limit, spent, shares, total, now),
            _ => self.buckets.charge(spent.key, limit.rule, (spent.cost, spent.at), total, now),
        };
        limit.rest(left, full_in)
    }

    /// The fleet is told beside the request, which waits for nobody: what is left is then what was, but for this.
    fn settle_shared(
        &self,
        fleet: &Arc<SharedBuckets>,
        limit: &Limit,
        Spent { key, cost, at, .. }: &Spent,
        Shares { part, fleet: keeper }: &Shares,
        total: u64,
        now: u64,
    ) -> (u64, u64) {
        let (rule, total_of_part) =
            (fleet.part(limit.rule), part.saturating_add(total).saturating_sub(*cost));
        let here = self.buckets.charge(*key, rule, (*part, *at), total_of_part, now);
        let Some((keeper, rest)) = keeper else { return here };
        match keeper {
            Keeper::Redis(name) => {
                fleet.charge(Wanted { name: *name, rule: limit.rule, cost: *cost }, rest.at, total);
            }
            Keeper::Lease(lease) => fleet.charge_lease(lease, *cost, total),
        }
        limit.rule.after((rest.left, rest.full_in), *cost, total)
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
