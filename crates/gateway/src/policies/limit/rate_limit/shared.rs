//! Limits that the gateways of a fleet count together. A request draws what it can from leases at once; otherwise it waits for Redis, and no
//! longer than `cluster.timeout` for either. What Redis cannot tell is decided here, by the gateway's part of the limit. A line, which is this
//! gateway's own, comes last.

use std::sync::Arc;

use http::StatusCode;

use super::charge::{Keeper, Shares};
use super::{Limit, RateLimit, Spent};
use crate::allowance::Allowance;
use crate::buckets::{Buckets, Empty, Key, Rule, Taken};
use crate::config::{self, MOST_LIMITS, OnOutage, Sharing};
use crate::exchange::Exchange;
use crate::policies::Step;
use crate::refusal::{Refusal, Stage};
use crate::shared::{Drawn, Lease, Name, Rest, SharedBuckets, Wanted};

/// How a limit is shared.
#[derive(Debug)]
pub(super) struct Shared {
    sharing: Sharing,
    on_outage: OnOutage,
    /// What tells its buckets from those of other limits, to all gateways.
    place: Box<[u8]>,
}

/// One request, as far as it has got with its limits.
struct Round<'p> {
    policy: &'p RateLimit,
    fleet: &'p Arc<SharedBuckets>,
    turns: [Option<Turn<'p>>; MOST_LIMITS],
    /// The limit that has it wait in line, which comes last.
    line: Option<(&'p Limit, Key)>,
    /// Who has decided, as the metrics tell it.
    by: &'static str,
}

/// One limit that is for the request.
struct Turn<'p> {
    limit: &'p Limit,
    /// Its bucket in this process.
    key: Key,
    /// What the request counts there.
    cost: u64,
    standing: Standing,
    /// What was taken of this gateway's part, beside what others count.
    here: Option<Taken>,
}

enum Standing {
    /// It is counted here.
    Here,
    /// Redis is to be asked.
    Unasked(Name),
    /// Tokens are to come from the lease.
    Undrawn(Arc<Lease>),
    /// Redis has counted it.
    Counted(Name, Rest),
    /// Tokens of the lease were taken.
    Drawn(Arc<Lease>, Rest),
    /// There is not enough.
    Empty(Empty),
    /// Redis has no answer.
    Out,
    /// Redis had no answer, and it was counted here.
    CountedHere(Taken),
}

/// What becomes of the request.
enum Decision<'p> {
    Admitted { least: Option<Allowance>, spent: Vec<Spent>, by: &'static str },
    Refused { limit: &'p Limit, empty: Empty, by: &'static str },
    Unknown,
}

impl Shared {
    pub(super) fn new(config: &config::RateLimit, rule: Rule, place: &str, name: &str) -> Option<Self> {
        let sharing = config.shared.as_ref()?.value;
        let place = format!("{place}\n{name}\n{}{}", config.by.value, family(rule)).into_bytes().into();
        Some(Self { sharing, on_outage: config.on_outage, place })
    }
}

impl RateLimit {
    /// Some of the limits are shared.
    pub(super) fn together<'p>(
        &'p self,
        fleet: &'p Arc<SharedBuckets>,
        exchange: &mut Exchange,
        limits: impl Iterator<Item = &'p Limit>,
    ) -> Step<'p> {
        let mut round = match self.round(fleet, exchange, limits) {
            Ok(round) => round,
            Err((limit, empty)) => return limit.refuse(exchange, empty, limit.left_with(empty)),
        };
        if round.is_open() {
            return Step::wait(
                async move {
                    round.ask().await;
                    round
                },
                |exchange, round| self.conclude(exchange, round),
            );
        }
        self.conclude(exchange, round)
    }

    /// Whose buckets they are. First a look at those that are counted here, as none is charged when another refuses.
    fn round<'p>(
        &'p self,
        fleet: &'p Arc<SharedBuckets>,
        exchange: &Exchange,
        limits: impl Iterator<Item = &'p Limit>,
    ) -> Result<Round<'p>, (&'p Limit, Empty)> {
        let now = self.buckets.now();
        let mut turns = [const { None }; MOST_LIMITS];
        let mut line = None;
        for (limit, place) in limits.zip(&mut turns) {
            let Some(cost) = limit.cost(exchange) else { continue };
            if limit.leaky.is_some() {
                let key = self.key(exchange, limit);
                limit.is_full(key, now).map_or(Ok(()), |empty| Err((limit, empty)))?;
                line = Some((limit, key));
                continue;
            }
            let turn = limit.by.key(exchange, |way, of| {
                let key = self.buckets.caller(limit.place, way, of);
                Turn { limit, key, cost, standing: limit.standing(fleet, key, way, of), here: None }
            });
            if limit.shared.is_none() {
                self.buckets.look(turn.key, limit.rule, cost, now).map_err(|empty| (limit, empty))?;
            }
            *place = Some(turn);
        }
        let mut round = Round { policy: self, fleet, turns, line, by: "lease" };
        round.draw();
        Ok(round)
    }

    fn conclude<'p>(&'p self, exchange: &mut Exchange, mut round: Round<'p>) -> Step<'p> {
        match round.settle() {
            Decision::Admitted { least, spent, by } => {
                exchange.outcome.limited_by = Some(by);
                exchange.spent.extend(spent);
                exchange.allowance = least;
                let step = round.line.map_or(Step::Continue, |(limit, key)| {
                    self.line_up(exchange, limit, key, || round.undo())
                });
                // What is not undone by now was not taken for nothing.
                round.turns = Default::default();
                step
            }
            Decision::Refused { limit, empty, by } => {
                exchange.outcome.limited_by = Some(by);
                limit.refuse(exchange, empty, limit.left_with(empty))
            }
            Decision::Unknown => {
                exchange.outcome.limited_by = Some(OnOutage::Refuse.word());
                let detail = "how much has been used of a limit cannot be found out for the moment";
                let refusal =
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "limits_unavailable", Stage::Limit, detail);
                Step::refuse(refusal.with_retry_after(1))
            }
        }
    }
}

impl Limit {
    /// What is left where not all of it is there for so long, as far as that tells.
    fn left_with(&self, empty: Empty) -> u64 {
        match self.rule {
            Rule::TokenBucket(pace) => pace.left(empty.full_in, 0),
            Rule::FixedWindow(_) | Rule::SlidingLog(_) | Rule::SlidingCounter(_) => 0,
        }
    }

    fn standing(&self, fleet: &Arc<SharedBuckets>, key: Key, way: u8, of: &[u8]) -> Standing {
        let Some(shared) = &self.shared else { return Standing::Here };
        let name = || fleet.name([&*shared.place, &[way], of]);
        if let (Sharing::Fast, Rule::TokenBucket(pace)) = (shared.sharing, self.rule)
            && let Some(lease) = fleet.lease(key, pace, name)
        {
            return Standing::Undrawn(lease);
        }
        // Also where there is no place for another lease.
        let name = name();
        if fleet.is_in_use(name) { Standing::Unasked(name) } else { Standing::Out }
    }
}

impl Standing {
    /// What has come of a lease.
    fn of(lease: &Arc<Lease>, drawn: Drawn) -> Self {
        match drawn {
            Drawn::Tokens { left, full_in } => Self::Drawn(Arc::clone(lease), Rest { at: 0, left, full_in }),
            Drawn::Empty(empty) => Self::Empty(empty),
            Drawn::Ask => Self::Undrawn(Arc::clone(lease)),
        }
    }
}

impl<'p> Round<'p> {
    /// Draws from leases what they have.
    fn draw(&mut self) {
        for Turn { cost, standing, .. } in self.turns.iter_mut().flatten() {
            if let Standing::Undrawn(lease) = standing {
                *standing = match self.fleet.draw(lease, *cost) {
                    Drawn::Ask if !self.fleet.is_in_use(lease.name()) => Standing::Out,
                    Drawn::Ask if !lease.is_for(*cost) => Standing::Unasked(lease.name()),
                    drawn => Standing::of(lease, drawn),
                };
            }
        }
    }

    /// Whether somebody has to be asked. Not where it is known already that a bucket is empty.
    fn is_open(&self) -> bool {
        let is_unknown = |turn: &Turn| matches!(turn.standing, Standing::Unasked(_) | Standing::Undrawn(_));
        self.first_empty().is_none() && self.turns.iter().flatten().any(is_unknown)
    }

    fn first_empty(&self) -> Option<(&'p Limit, Empty)> {
        self.turns.iter().flatten().find_map(|turn| match turn.standing {
            Standing::Empty(empty) => Some((turn.limit, empty)),
            _ => None,
        })
    }

    /// Waits for leases to be filled, and then for Redis to decide about all the others at once.
    async fn ask(&mut self) {
        // Those who fill leases notice that Redis does not answer.
        let _ = tokio::time::timeout(self.fleet.timeout(), self.await_leases()).await;
        if self.first_empty().is_some() {
            return;
        }
        for Turn { standing, .. } in self.turns.iter_mut().flatten() {
            let is_out = match standing {
                Standing::Undrawn(_) => true,
                Standing::Unasked(name) => !self.fleet.is_in_use(*name),
                _ => false,
            };
            if is_out {
                *standing = Standing::Out;
            }
        }
        let unasked = self.turns.iter().flatten().filter_map(|turn| match turn.standing {
            Standing::Unasked(name) => Some(turn.wanted(name)),
            _ => None,
        });
        let wanted: Vec<Wanted> = unasked.collect();
        if wanted.is_empty() {
            return;
        }
        let answer = self.fleet.take(&wanted).await;
        self.by = "redis";
        let asked = self.turns.iter_mut().flatten().filter_map(|Turn { standing, .. }| {
            let Standing::Unasked(name) = *standing else { return None };
            Some((name, standing))
        });
        for (place, (name, standing)) in asked.enumerate() {
            match &answer {
                Ok(Ok(granted)) => {
                    let rest = granted.rest.get(place).copied().flatten();
                    *standing = rest.map_or(Standing::Out, |rest| Standing::Counted(name, rest));
                }
                Ok(Err((empty_at, empty))) if *empty_at == place => *standing = Standing::Empty(*empty),
                Ok(Err(_)) => {}
                Err(_) => *standing = Standing::Out,
            }
        }
    }

    /// Waits until each lease that was empty has given tokens, or one cannot.
    async fn await_leases(&mut self) {
        for Turn { cost, standing, .. } in self.turns.iter_mut().flatten() {
            if let Standing::Undrawn(lease) = standing {
                *standing = match self.fleet.await_tokens(lease, *cost).await {
                    Some(drawn) => Standing::of(lease, drawn),
                    None => Standing::Out,
                };
            }
            if matches!(standing, Standing::Empty(_)) {
                return;
            }
        }
    }

    /// The last word, after which all has been taken or nothing.
    fn settle(&mut self) -> Decision<'p> {
        let mut by = self.by;
        if let Some((limit, empty)) = self.first_empty() {
            self.undo();
            return Decision::Refused { limit, empty, by };
        }
        let now = self.policy.buckets.now();
        for at in 0..MOST_LIMITS {
            let Some(turn) = &mut self.turns[at] else { continue };
            let limit = turn.limit;
            let rule = match (&turn.standing, &limit.shared) {
                (Standing::Here, _) => limit.rule,
                (Standing::Out, Some(shared)) => {
                    by = shared.on_outage.word();
                    match shared.on_outage {
                        OnOutage::Local => self.fleet.part(limit.rule),
                        OnOutage::Allow => continue,
                        OnOutage::Refuse => {
                            self.undo();
                            return Decision::Unknown;
                        }
                    }
                }
                _ => continue,
            };
            // Of a part too there may be all of it at most.
            match self.policy.buckets.take(turn.key, rule, turn.cost.min(rule.quota()), now) {
                Ok(taken) => turn.standing = Standing::CountedHere(taken),
                Err(empty) => {
                    self.undo();
                    return Decision::Refused { limit, empty, by };
                }
            }
        }
        let is_charged = self.turns.iter().flatten().any(|turn| turn.limit.is_charged());
        let (mut least, mut spent) = (None, Vec::new());
        let (buckets, fleet) = (&self.policy.buckets, self.fleet);
        for turn in self.turns.iter_mut().flatten() {
            let Some((left, full_in)) = turn.rest() else { continue };
            let allowance = turn.limit.rest(left, full_in);
            least = turn.limit.least(least, allowance);
            let part = turn.count_here(buckets, fleet, now);
            if is_charged {
                let (key, cost, shared) = (turn.key, turn.cost, turn.shares(part));
                spent.push(Spent { key, cost, at: now, left, full_in, allowance, shared });
            }
        }
        Decision::Admitted { least, spent, by }
    }

    /// Puts back all that was taken.
    fn undo(&mut self) {
        for turn in self.turns.iter().flatten() {
            if let Some(taken) = &turn.here {
                self.policy.buckets.give_back(taken);
            }
            match &turn.standing {
                Standing::CountedHere(taken) => self.policy.buckets.give_back(taken),
                Standing::Drawn(lease, _) => self.fleet.put_back(lease, turn.cost),
                _ => {}
            }
        }
        let counted = self.turns.iter().flatten().filter_map(|turn| match turn.standing {
            Standing::Counted(name, rest) => Some((turn.wanted(name), rest.at)),
            _ => None,
        });
        self.fleet.give_back(counted.collect());
        self.turns = Default::default();
    }
}

impl Turn<'_> {
    /// What others count is counted here too, so that a Redis that goes leaves no full buckets behind. Says how much of it is.
    fn count_here(&mut self, buckets: &Buckets, fleet: &SharedBuckets, now: u64) -> u64 {
        let part = fleet.part(self.limit.rule);
        let cost = self.cost.min(part.quota());
        match self.standing {
            // One who gets more than a gateway's part has none of it left, or less than a request costs.
            Standing::Counted(..) | Standing::Drawn(..) => {
                self.here = buckets.take(self.key, part, cost, now).ok();
                if self.here.is_some() { cost } else { 0 }
            }
            _ => cost,
        }
    }

    /// What is left of what was taken of, and nanoseconds until all is there again; nothing where nothing was.
    fn rest(&self) -> Option<(u64, u64)> {
        match &self.standing {
            Standing::Counted(_, Rest { left, full_in, .. })
            | Standing::Drawn(_, Rest { left, full_in, .. }) => Some((*left, *full_in)),
            Standing::CountedHere(taken) => Some((taken.left, taken.full_in)),
            _ => None,
        }
    }

    /// Who has counted what was taken of it, and so much of this gateway's part; nothing where it is not shared.
    fn shares(&self, part: u64) -> Option<Shares> {
        let keeper = match &self.standing {
            Standing::Counted(name, rest) => Some(Keeper::Redis(*name, rest.at)),
            Standing::Drawn(lease, _) => Some(Keeper::Lease(Arc::clone(lease))),
            _ => None,
        };
        self.limit.shared.as_ref().map(|_| Shares { part, keeper })
    }

    /// What Redis is to count, or has counted, by this name.
    fn wanted(&self, name: Name) -> Wanted {
        Wanted { name, rule: self.limit.rule, cost: self.cost }
    }
}

impl Drop for Round<'_> {
    /// The client may have left while something was waited for.
    fn drop(&mut self) {
        self.undo();
    }
}

/// What is counted apart from what another way has counted, as its bucket's name has it.
fn family(rule: Rule) -> String {
    match rule {
        Rule::TokenBucket(_) => String::new(),
        Rule::FixedWindow(window) => format!("\nfixed window {}", window.length()),
        Rule::SlidingLog(window) => format!("\nsliding log {}", window.length()),
        Rule::SlidingCounter(window) => format!("\nsliding counts {}", window.length()),
    }
}
