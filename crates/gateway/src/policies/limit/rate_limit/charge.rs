//! `charge`: what a request has cost, where only its answer tells. What it took at the start is made more, or less.

use std::sync::Arc;

use super::{Limit, RateLimit};
use crate::allowance::Allowance;
use crate::buckets::{Difference, Key, Taken};
use crate::exchange::Exchange;
use crate::expression::ResponseFacts;
use crate::shared::{Lease, Name, SharedBuckets};

/// What a request has taken of a limit.
#[derive(Debug)]
pub struct Spent {
    /// Whose bucket it was, in this process.
    pub(super) key: Key,
    /// How many it was.
    pub(super) cost: u64,
    /// When, as buckets of this process tell the time.
    pub(super) at: u64,
    /// How many were left.
    pub(super) left: u64,
    /// Nanoseconds until all were there again.
    pub(super) full_in: u64,
    /// What answers tell of that.
    pub(super) allowance: Allowance,
    /// Who has counted it, where others count too.
    pub(super) shared: Option<Shares>,
}

/// What a request has taken of a limit that is shared.
#[derive(Debug)]
pub(super) struct Shares {
    /// Of this gateway's part.
    pub(super) part: u64,
    /// Who counts for all of them; nobody while Redis does not answer.
    pub(super) keeper: Option<Keeper>,
}

/// Who counts for a fleet.
#[derive(Debug)]
pub(super) enum Keeper {
    /// Redis, at this time of its clock.
    Redis(Name, u64),
    Lease(Arc<Lease>),
}

impl Spent {
    /// Of a limit that is counted in this gateway alone.
    pub(super) fn here(key: Key, cost: u64, at: u64, taken: &Taken, allowance: Allowance) -> Self {
        Self { key, cost, at, left: taken.left, full_in: taken.full_in, allowance, shared: None }
    }
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
        let Spent { key, cost, at, full_in, .. } = *spent;
        let (left, full_in) = if let Some((shares, fleet)) = spent.shared.as_ref().zip(self.fleet.as_ref()) {
            self.settle_shared(fleet, limit, spent, shares, total, now)
        } else {
            let difference = limit.rule.difference(cost, total, full_in, now.saturating_sub(at));
            self.buckets.charge(key, limit.rule, at, difference, now);
            self.buckets.standing(key, limit.rule, now)
        };
        limit.rest(left, full_in)
    }

    /// The fleet is told beside the request, which waits for nobody: what is left is then what was, but for this.
    fn settle_shared(
        &self,
        fleet: &Arc<SharedBuckets>,
        limit: &Limit,
        spent: &Spent,
        Shares { part, keeper }: &Shares,
        total: u64,
        now: u64,
    ) -> (u64, u64) {
        let Spent { key, cost, at, left, full_in, .. } = *spent;
        let (rule, elapsed) = (fleet.part(limit.rule), now.saturating_sub(at));
        let total_here = part.saturating_add(total).saturating_sub(cost);
        let here = rule.difference(*part, total_here, full_in, elapsed);
        let Some(keeper) = keeper else {
            self.buckets.charge(key, rule, at, here, now);
            return self.buckets.standing(key, rule, now);
        };
        let here = match here {
            // Where the fleet counts, one who gets more than a gateway's part has none of it left, and owes nothing there.
            Difference::More(more) => Difference::More(more.min(self.buckets.standing(key, rule, now).0)),
            less @ Difference::Less(_) => less,
        };
        self.buckets.charge(key, rule, at, here, now);
        let difference = limit.rule.difference(cost, total, full_in, elapsed);
        match keeper {
            Keeper::Redis(name, at) => fleet.charge(*name, limit.rule, *at, difference),
            Keeper::Lease(lease) => fleet.charge_lease(lease, difference),
        }
        limit.rule.after((left, full_in.saturating_sub(elapsed)), difference)
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
