//! `quota`: how much callers may use in each day, week or month, by the route and by their plan.
//!
//! What is used stands in [`crate::quotas`], which all workers and all snapshots share, and which is written down beside the requests;
//! here is whose account it is, and what callers are told.

use std::sync::Arc;

use http::StatusCode;
use http1::{Known, PreparedField};

use crate::allowance::{Allowance, name_among, tell};
use crate::clock;
use crate::config;
use crate::config::values::CalendarUnit;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::{By, cost_of, is_for, who_may};
use crate::plans::Plans;
use crate::policies::{Policy, Step};
use crate::quotas::{Calendar, InForce, Period, Quotas, Spent, Title};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Quota {
    own: Terms,
    /// Those of its callers' plans. None on routes that do not ask who calls.
    of_plans: Arc<Plans<Terms>>,
}

/// The same before a line, in which nobody stands who has nothing left: it counts nothing yet.
#[derive(Debug)]
pub struct BeforeLine(Arc<Quota>);

/// The quotas of one place.
#[derive(Debug, Default)]
pub struct Terms {
    limits: Box<[Limit]>,
    /// `RateLimit-Policy`, where anybody is told.
    told: Option<PreparedField>,
}

/// The expressions of a quota, compiled.
#[derive(Debug, Default)]
pub struct Expressions {
    /// When it is for a request.
    pub when: Option<Expression>,
    /// What a request costs.
    pub cost: Option<Expression>,
}

#[derive(Debug)]
struct Limit {
    in_force: InForce,
    by: By,
    /// Uses from which on callers are warned.
    warned_from: u64,
    when: Option<Expression>,
    cost: Option<Expression>,
    /// `RateLimit`, with its name as far as the number behind it: `"app-month";r=`.
    told: Option<PreparedField>,
    /// What is more than one may use, for who is refused.
    refusal: Box<str>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

/// What a caller has used of a quota, as an answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The quota's place among those of the route and of the plan.
    limit: usize,
    used: u64,
    /// When, in seconds since the Unix epoch.
    at: u64,
    /// Seconds until it begins anew.
    anew_in: u64,
}

impl Terms {
    /// Compiles quotas that stand at this place, which may be a plan, with their expressions.
    pub fn new(
        quotas: &config::Quotas,
        expressions: Vec<Expressions>,
        (place, is_of_plan): (&str, bool),
        accounts: &Quotas,
    ) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        let mut limits = Vec::new();
        for (config, Expressions { when, cost }) in quotas.0.iter().zip(expressions) {
            // One by an expression has been refused before.
            let Some(by) = By::new(&config.by.value, None) else { continue };
            let unit = config.limit.unit;
            let of_plan = if is_of_plan { "plan-" } else { "" };
            let word = format!("{of_plan}{}-{}", config.by.value.word(), unit.word());
            let name = name_among(&mut names, word);
            if config.headers {
                told.push(format!("\"{name}\";q={}{}", config.limit.count, window(unit)));
            }
            let title = Title { place: place.into(), name: name.as_str().into() };
            let in_force = InForce {
                book: accounts.book(title),
                rate: config.limit,
                calendar: Arc::new(Calendar::new(unit, config.zone.clone())),
                is_soft: config.soft,
                is_shared: config.shared.value,
            };
            limits.push(Limit {
                in_force,
                by,
                warned_from: config.warned_from().unwrap_or(u64::MAX),
                when,
                cost,
                told: config.headers.then(|| PreparedField::new(Known::RateLimit, &format!("\"{name}\";r="))),
                refusal: if config.headers {
                    refusal(config, is_of_plan.then_some(place)).into()
                } else {
                    UNTOLD.into()
                },
                summary: config.to_string(),
            });
        }
        let told = (!told.is_empty()).then(|| PreparedField::new(Known::RateLimitPolicy, &told.join(", ")));
        Self { limits: limits.into(), told }
    }

    fn explain(&self) -> String {
        self.limits.iter().map(|limit| limit.summary.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// Those that are in force with it.
    pub fn in_force(&self) -> impl Iterator<Item = &InForce> {
        self.limits.iter().map(|limit| &limit.in_force)
    }
}

impl Quota {
    /// The quotas of a route, and those of plans for callers that have one.
    pub fn new(own: Terms, of_plans: Arc<Plans<Terms>>) -> Self {
        Self { own, of_plans }
    }

    /// The first quota that has not enough for a request, which is not counted.
    fn lacking(&self, exchange: &Exchange, now: u64) -> Option<(&Limit, Period, Usage)> {
        self.limits(exchange).enumerate().find_map(|(at, limit)| {
            let cost = limit.cost(exchange)?;
            let period = limit.in_force.calendar.period(now);
            let used = limit.used(exchange, period);
            let is_lacking = !limit.in_force.is_soft && used.saturating_add(cost) > limit.in_force.rate.count;
            let usage = Usage { limit: at, used, at: now, anew_in: period.ends - now };
            is_lacking.then_some((limit, period, usage))
        })
    }

    /// All that are for a request.
    fn limits(&self, exchange: &Exchange) -> impl Iterator<Item = &Limit> {
        let of_plan = self.of_plans.of(exchange).map_or(&[][..], |terms| &terms.limits);
        self.own.limits.iter().chain(of_plan)
    }

    /// Takes back what was counted of the first so many, in the period of this day.
    fn give_back(&self, exchange: &Exchange, first: usize, day: impl Fn(&Calendar) -> u32) {
        for limit in self.limits(exchange).take(first) {
            if let Some(cost) = limit.cost(exchange) {
                let day = day(&limit.in_force.calendar);
                limit.by.key(exchange, |way, of| {
                    limit.in_force.book.account(way, of, |account| account.give_back(day, cost));
                });
            }
        }
    }
}

impl Limit {
    /// What a request counts; nothing where the quota is not for it. It is where that cannot be told, and counts 1.
    fn cost(&self, exchange: &Exchange) -> Option<u64> {
        if !is_for(self.when.as_ref(), exchange) {
            return None;
        }
        cost_of(self.cost.as_ref(), exchange)
    }

    fn spend(&self, exchange: &Exchange, cost: u64, period: Period) -> Spent {
        let most = if self.in_force.is_soft { u64::MAX } else { self.in_force.rate.count };
        self.by.key(exchange, |way, of| {
            self.in_force.book.account(way, of, |account| account.spend(period.day, cost, most))
        })
    }

    fn used(&self, exchange: &Exchange, period: Period) -> u64 {
        self.by.key(exchange, |way, of| {
            self.in_force.book.account(way, of, |account| account.used_in(period.day))
        })
    }

    fn warning(&self, Usage { used, anew_in, .. }: Usage) -> String {
        let InForce { book, rate, .. } = &self.in_force;
        format!("\"{}\";used={used};of={};t={anew_in}", book.title.name, rate.count)
    }

    /// Whether a greater share is used of this one than of another.
    fn is_more_used(&self, used: u64, other: &Limit, by_other: u64) -> bool {
        let share = |used: u64, of: &Limit| u128::from(used) * u128::from(of.in_force.rate.count);
        share(used, other) > share(by_other, self)
    }

    fn refuse(&self, exchange: &mut Exchange, period: Period, usage: Usage) -> Step<'_> {
        exchange.quota = Some(usage);
        exchange.outcome.limit = Some(Arc::clone(&self.in_force.book.title.name));
        let anew = self.in_force.calendar.time(period.ends);
        let detail = format!("{}; it begins anew at {anew}", self.refusal);
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", Stage::Limit, detail);
        Step::refuse(refusal.with_retry_after(usage.anew_in.max(1)))
    }
}

impl Policy for Quota {
    fn name(&self) -> &'static str {
        "quota"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let now = clock::unix_seconds();
        let mut most: Option<(&Limit, Usage)> = None;
        let mut refused = None;
        for (at, limit) in self.limits(exchange).enumerate() {
            let Some(cost) = limit.cost(exchange) else { continue };
            let period = limit.in_force.calendar.period(now);
            let anew_in = period.ends - now;
            match limit.spend(exchange, cost, period) {
                Spent::Within(used) => {
                    if most.is_none_or(|(other, usage)| limit.is_more_used(used, other, usage.used)) {
                        most = Some((limit, Usage { limit: at, used, at: now, anew_in }));
                    }
                }
                Spent::Beyond(used) => {
                    refused = Some((limit, period, Usage { limit: at, used, at: now, anew_in }));
                    break;
                }
            }
        }
        let Some((limit, period, usage)) = refused else {
            exchange.quota = most.map(|(_, usage)| usage);
            return Step::Continue;
        };
        // None is charged when another refuses.
        self.give_back(exchange, usage.limit, |calendar| calendar.period(now).day);
        limit.refuse(exchange, period, usage)
    }

    /// `RateLimit-Policy` tells of all, the others of the one of which the greatest share is used.
    fn on_response(&self, exchange: &mut Exchange) {
        let Some(usage) = exchange.quota else { return };
        let Some(limit) = self.limits(exchange).nth(usage.limit) else { return };
        if exchange.outcome.stage == Some(Stage::Limit.as_str())
            && exchange.outcome.code != Some("quota_exceeded")
        {
            // Another limit has refused it since, maybe after midnight.
            self.give_back(exchange, usize::MAX, |calendar| calendar.day_at(usage.at));
            return;
        }
        let places = [Some(&self.own), self.of_plans.of(exchange)];
        let fields = &mut exchange.response.fields;
        if let Some(name) = &limit.told {
            for policy in places.into_iter().flatten().filter_map(|terms| terms.told.as_ref()) {
                fields.append_prepared(policy, b"");
            }
            let left = limit.in_force.rate.count.saturating_sub(usage.used);
            tell(Allowance { limit: usage.limit, left, full_in: usage.anew_in }, name, fields);
        }
        if usage.used >= limit.warned_from {
            fields.set_named(WARNING, limit.warning(usage).as_bytes());
        }
    }

    fn explain(&self) -> String {
        let own = (!self.own.limits.is_empty()).then(|| self.own.explain());
        let of_plans = self.of_plans.explain(Terms::explain);
        own.into_iter().chain(of_plans).collect::<Vec<_>>().join("; ")
    }
}

impl BeforeLine {
    /// What these quotas say.
    pub fn new(quota: Arc<Quota>) -> Self {
        Self(quota)
    }
}

impl Policy for BeforeLine {
    fn name(&self) -> &'static str {
        "quota"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let Some((limit, period, usage)) = self.0.lacking(exchange, clock::unix_seconds()) else {
            return Step::Continue;
        };
        limit.refuse(exchange, period, usage)
    }

    fn explain(&self) -> String {
        "who has nothing left stands in no line".to_owned()
    }
}

/// A month has no length of its own.
fn window(unit: CalendarUnit) -> &'static str {
    match unit {
        CalendarUnit::Day => ";w=86400",
        CalendarUnit::Week => ";w=604800",
        CalendarUnit::Month => "",
    }
}

/// What the refused are told; of a plan's, whose it is: `plan gold`.
fn refusal(config: &config::Quota, plan: Option<&str>) -> String {
    let unit = config.limit.unit.word();
    let by_cost = if config.cost.is_some() { ", by what they cost," } else { "" };
    let by_plan = plan.map(|plan| format!(", by the {plan}")).unwrap_or_default();
    let of = who_may(&config.by.value);
    format!("these are more requests{by_cost} than {of} in a {unit} ({}{by_plan})", config.limit.count)
}

/// What is said of a quota that is kept to itself.
const UNTOLD: &str = "what may be used is used up";

const WARNING: &[u8] = b"X-Quota-Warning";
