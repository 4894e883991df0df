//! Limits that the gateways of a fleet count together. A request draws what it can from leases at once; otherwise it waits for Redis, and no
//! longer than `cluster.timeout` for either. What Redis cannot tell is decided here, by the gateway's part of the limit.

use std::sync::Arc;

use http::StatusCode;
use http1::Known;

use super::{Limit, RateLimit};
use crate::buckets::{Allowance, Empty, Key, Pace, Rule, Taken};
use crate::config::{self, MOST_LIMITS, OnOutage, Sharing};
use crate::exchange::Exchange;
use crate::policies::Step;
use crate::refusal::{Refusal, Stage};
use crate::shared::{Drawn, Lease, Name, SharedBuckets};

/// How a limit is shared.
#[derive(Debug)]
pub(super) struct Shared {
    pace: Pace,
    sharing: Sharing,
    on_outage: OnOutage,
    /// What tells its buckets from those of other limits, to all gateways.
    place: Box<[u8]>,
}

/// One request, as far as it has got with its limits.
struct Round<'p> {
    policy: &'p RateLimit,
    fleet: &'p Arc<SharedBuckets>,
    turns: [Option<Turn>; MOST_LIMITS],
    /// Who has decided, as the metrics tell it.
    by: &'static str,
}

/// One limit that is for the request.
struct Turn {
    /// Its bucket in this process.
    key: Key,
    /// What the request counts there.
    cost: u64,
    standing: Standing,
}

enum Standing {
    /// It is counted here.
    Here,
    /// Redis is to be asked.
    Unasked(Name),
    /// A token is to come from the lease.
    Undrawn(Arc<Lease>),
    /// A token of Redis was taken.
    Counted(Name, Allowance),
    /// One of the lease was.
    Drawn(Arc<Lease>, Allowance),
    /// There is none.
    Empty(Empty),
    /// Redis has no answer.
    Out,
    /// Redis had no answer, and it was counted here.
    CountedHere(Taken),
}

/// What becomes of the request.
#[derive(Clone, Copy)]
enum Decision {
    Admitted { least: Option<Allowance>, by: &'static str },
    Refused { at: usize, empty: Empty, by: &'static str },
    Unknown,
}

impl Shared {
    pub(super) fn new(config: &config::RateLimit, rule: Rule, place: &str, name: &str) -> Option<Self> {
        let sharing = config.shared.as_ref()?.value;
        let Rule::TokenBucket(pace) = rule else { return None };
        let place = format!("{place}\n{name}\n{}", config.by.value).into_bytes().into();
        Some(Self { pace, sharing, on_outage: config.on_outage, place })
    }
}

impl RateLimit {
    /// Some of the limits are shared.
    pub(super) fn together<'p>(&'p self, fleet: &'p Arc<SharedBuckets>, exchange: &mut Exchange) -> Step<'p> {
        let mut round = match self.round(fleet, exchange) {
            Ok(round) => round,
            Err((at, empty)) => return self.refuse(exchange, at, empty),
        };
        if round.is_open() {
            return Step::wait(
                async move {
                    round.ask().await;
                    round.settle()
                },
                |exchange, decision| self.conclude(exchange, decision),
            );
        }
        let decision = round.settle();
        self.conclude(exchange, decision)
    }

    /// Whose buckets they are. First a look at those that are counted here, as none is charged when another refuses.
    fn round<'p>(
        &'p self,
        fleet: &'p Arc<SharedBuckets>,
        exchange: &Exchange,
    ) -> Result<Round<'p>, (usize, Empty)> {
        let now = self.buckets.now();
        let mut turns = [const { None }; MOST_LIMITS];
        for (at, limit) in self.limits.iter().enumerate() {
            let Some(cost) = limit.cost(exchange) else { continue };
            let turn = limit.by.key(exchange, |way, of| {
                let key = self.buckets.caller(limit.place, way, of);
                Turn { key, cost, standing: limit.standing(fleet, key, way, of) }
            });
            if limit.shared.is_none() {
                self.buckets.look(turn.key, limit.rule, cost, now).map_err(|empty| (at, empty))?;
            }
            turns[at] = Some(turn);
        }
        let mut round = Round { policy: self, fleet, turns, by: "lease" };
        round.draw();
        Ok(round)
    }

    fn conclude(&self, exchange: &mut Exchange, decision: Decision) -> Step<'_> {
        match decision {
            Decision::Admitted { least, by } => {
                exchange.outcome.limited_by = Some(by);
                exchange.allowance = least;
                Step::Continue
            }
            Decision::Refused { at, empty, by } => {
                exchange.outcome.limited_by = Some(by);
                self.refuse(exchange, at, empty)
            }
            Decision::Unknown => {
                exchange.outcome.limited_by = Some(OnOutage::Refuse.word());
                let detail = "how much has been used of a limit cannot be found out for the moment";
                let refusal =
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "limits_unavailable", Stage::Limit, detail);
                Step::refuse(refusal.with_field(Known::RetryAfter, "1".to_owned()))
            }
        }
    }
}

impl Limit {
    fn standing(&self, fleet: &Arc<SharedBuckets>, key: Key, way: u8, of: &[u8]) -> Standing {
        let Some(shared) = &self.shared else { return Standing::Here };
        let name = || fleet.name([&*shared.place, &[way], of]);
        if shared.sharing == Sharing::Fast
            && let Some(lease) = fleet.lease(key, shared.pace, name)
        {
            return Standing::Undrawn(lease);
        }
        // Also where there is no place for another lease.
        let name = name();
        if fleet.is_in_use(name) { Standing::Unasked(name) } else { Standing::Out }
    }
}

impl Round<'_> {
    /// Draws from leases what they have.
    fn draw(&mut self) {
        for (at, turn) in self.turns.iter_mut().enumerate() {
            let Some(Turn { standing, .. }) = turn else { continue };
            if let Standing::Undrawn(lease) = standing {
                match self.fleet.draw(lease) {
                    Drawn::Ask if self.fleet.is_in_use(lease.name()) => {}
                    Drawn::Ask => *standing = Standing::Out,
                    drawn => *standing = Standing::of(at, lease, drawn),
                }
            }
        }
    }

    /// Whether somebody has to be asked. Not where it is known already that a bucket is empty.
    fn is_open(&self) -> bool {
        let is_unknown = |turn: &Turn| matches!(turn.standing, Standing::Unasked(_) | Standing::Undrawn(_));
        self.first_empty().is_none() && self.turns.iter().flatten().any(is_unknown)
    }

    fn first_empty(&self) -> Option<(usize, Empty)> {
        self.turns.iter().enumerate().find_map(|(at, turn)| match turn.as_ref()?.standing {
            Standing::Empty(empty) => Some((at, empty)),
            _ => None,
        })
    }

    /// Waits for leases to be filled, and then for Redis to decide about all the others at once.
    async fn ask(&mut self) {
        // Those who fill leases notice that Redis does not answer.
        let _ = tokio::time::timeout(self.fleet.timeout(), self.await_tokens()).await;
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
        let wanted = self.names(|standing| match standing {
            Standing::Unasked(name) => Some(*name),
            _ => None,
        });
        if wanted.is_empty() {
            return;
        }
        let answer = self.fleet.take(&wanted).await;
        self.by = "redis";
        let asked = self.turns.iter_mut().enumerate().filter_map(|(at, turn)| {
            let standing = &mut turn.as_mut()?.standing;
            let Standing::Unasked(name) = *standing else { return None };
            Some((at, name, standing))
        });
        for (place, (at, name, standing)) in asked.enumerate() {
            match &answer {
                Ok(Ok(full_in)) => {
                    let full_in = full_in.get(place).copied().unwrap_or_default();
                    let left = wanted.get(place).map_or(0, |(_, pace)| pace.left(full_in, 0));
                    *standing = Standing::Counted(name, Allowance { limit: at, left, full_in });
                }
                Ok(Err((empty_at, empty))) if *empty_at == place => *standing = Standing::Empty(*empty),
                Ok(Err(_)) => {}
                Err(_) => *standing = Standing::Out,
            }
        }
    }

    /// Waits until each lease that was empty has given a token, or one cannot.
    async fn await_tokens(&mut self) {
        for (at, turn) in self.turns.iter_mut().enumerate() {
            let Some(Turn { standing, .. }) = turn else { continue };
            if let Standing::Undrawn(lease) = standing {
                *standing = match self.fleet.await_token(lease).await {
                    Some(drawn) => Standing::of(at, lease, drawn),
                    None => Standing::Out,
                };
            }
            if matches!(standing, Standing::Empty(_)) {
                return;
            }
        }
    }

    /// The last word, after which all has been taken or nothing.
    fn settle(&mut self) -> Decision {
        let mut by = self.by;
        if let Some((at, empty)) = self.first_empty() {
            self.undo();
            return Decision::Refused { at, empty, by };
        }
        let now = self.policy.buckets.now();
        let mut least: Option<Allowance> = None;
        for at in 0..MOST_LIMITS {
            let Some(turn) = &mut self.turns[at] else { continue };
            let limit = &self.policy.limits[at];
            let rule = match (&turn.standing, &limit.shared) {
                (Standing::Here, _) => limit.rule,
                (Standing::Out, Some(shared)) => {
                    by = shared.on_outage.word();
                    match shared.on_outage {
                        OnOutage::Local => Rule::TokenBucket(self.fleet.part(shared.pace)),
                        OnOutage::Allow => continue,
                        OnOutage::Refuse => {
                            self.undo();
                            return Decision::Unknown;
                        }
                    }
                }
                (Standing::Counted(_, allowance) | Standing::Drawn(_, allowance), _) => {
                    least = limit.least(least, *allowance);
                    continue;
                }
                _ => continue,
            };
            match self.policy.buckets.take(turn.key, rule, turn.cost, now) {
                Ok(taken) => {
                    least = limit.least(least, limit.allowance(at, &taken));
                    turn.standing = Standing::CountedHere(taken);
                }
                Err(empty) => {
                    self.undo();
                    return Decision::Refused { at, empty, by };
                }
            }
        }
        self.count_here(now);
        self.turns = Default::default();
        Decision::Admitted { least, by }
    }

    /// What others count is counted here too, so that a Redis that goes leaves no full buckets behind.
    fn count_here(&self, now: u64) {
        for (turn, limit) in self.turns.iter().zip(&self.policy.limits) {
            if let (Some(turn), Some(shared)) = (turn, &limit.shared)
                && matches!(turn.standing, Standing::Counted(..) | Standing::Drawn(..))
            {
                // One who gets more than a gateway's part has none of it left.
                let part = Rule::TokenBucket(self.fleet.part(shared.pace));
                let _ = self.policy.buckets.take(turn.key, part, turn.cost, now);
            }
        }
    }

    /// Puts back all that was taken.
    fn undo(&mut self) {
        for turn in self.turns.iter().flatten() {
            match &turn.standing {
                Standing::CountedHere(taken) => self.policy.buckets.give_back(taken),
                Standing::Drawn(lease, _) => lease.put_back(),
                _ => {}
            }
        }
        self.fleet.give_back(self.names(|standing| match standing {
            Standing::Counted(name, _) => Some(*name),
            _ => None,
        }));
        self.turns = Default::default();
    }

    fn names(&self, of: impl Fn(&Standing) -> Option<Name>) -> Vec<(Name, Pace)> {
        let turns = self.turns.iter().zip(&self.policy.limits);
        turns
            .filter_map(|(turn, limit)| Some((of(&turn.as_ref()?.standing)?, limit.shared.as_ref()?.pace)))
            .collect()
    }
}

impl Drop for Round<'_> {
    /// The client may have left while something was waited for.
    fn drop(&mut self) {
        self.undo();
    }
}

impl Standing {
    fn of(at: usize, lease: &Arc<Lease>, drawn: Drawn) -> Self {
        match drawn {
            Drawn::Token { left, full_in } => {
                Self::Drawn(Arc::clone(lease), Allowance { limit: at, left, full_in })
            }
            Drawn::Empty(empty) => Self::Empty(empty),
            Drawn::Ask => Self::Undrawn(Arc::clone(lease)),
        }
    }
}
