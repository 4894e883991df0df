//! `rate_limit`: how many requests callers may make. A request takes a token of each limit that is for it, or of none.
//!
//! What is used up stands in [`Buckets`], which all workers and all snapshots share; here is whose bucket it is, and what
//! callers are told. Whoever is let through costs no allocation, unless a limit goes by an expression.

mod charge;
mod leaky;
mod shared;

use std::sync::Arc;

use http::StatusCode;
use http1::{Fields, Known, PreparedField};

use crate::allowance::{Allowance, name_among, tell};
use crate::buckets::{Buckets, Empty, Key, Rule, Taken};
use crate::clock::{self, whole_seconds};
use crate::config::values::Cidr;
use crate::config::{self, MOST_LIMITS};
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::{By, cost_of, is_for, who_may};
use crate::plans::Plans;
use crate::policies::{Policy, Step};
use crate::record::decimal::write_before;
use crate::refusal::{Prepared, Refusal, Stage};
use crate::shared::SharedBuckets;
use crate::waiting::Lines;
pub use charge::Spent;
use leaky::Leaky;
use shared::Shared;

/// The compiled policy.
#[derive(Debug)]
pub struct RateLimit {
    /// The route's own.
    own: Limits,
    /// Those of its callers' plans, where the route knows its callers.
    plans: Option<Arc<Plans<Limits>>>,
    buckets: Arc<Buckets>,
    /// Where some are shared.
    fleet: Option<Arc<SharedBuckets>>,
    /// Whether there may be more to decide on than a single limit of the route's own that is counted here.
    may_have_more: bool,
}

/// Limits that stand at one place.
#[derive(Debug, Default)]
pub struct Limits {
    list: Box<[Limit]>,
    /// `RateLimit-Policy`, where anybody is told.
    told: Option<PreparedField>,
}

/// The expressions of a limit, compiled.
#[derive(Debug)]
pub struct Expressions {
    /// What it goes by, where that is an expression.
    pub by: Option<Expression>,
    /// When it is for a request.
    pub when: Option<Expression>,
    /// What a request costs.
    pub cost: Option<Expression>,
    /// What it has cost, by its answer.
    pub charge: Option<Expression>,
}

#[derive(Debug)]
struct Limit {
    /// Which it is: of a route from 0 on, of a plan from [`MOST_LIMITS`] on.
    number: usize,
    /// What callers know it as, where they are told of it.
    name: Arc<str>,
    rule: Rule,
    /// Where requests wait for it, and go one by one.
    leaky: Option<Leaky>,
    /// Nanoseconds by which a bucket fills more slowly than was said, which callers are not told of.
    late: u64,
    by: By,
    /// What tells its buckets from those of other limits, whatever the numbers, and from those of another way to count.
    place: u64,
    shared: Option<Shared>,
    terms: Option<Box<Terms>>,
    /// `RateLimit`, with its name as far as the number behind it: `"ip";r=`.
    told: Option<PreparedField>,
    /// The value of `X-RateLimit-Limit`.
    legacy: Option<Box<str>>,
    /// What a refused caller is told.
    refusal: Arc<Prepared>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

/// What limits are counted in, for all that are compiled together.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'t> {
    /// What callers have used up.
    pub buckets: &'t Arc<Buckets>,
    /// Who waits.
    pub lines: &'t Arc<Lines>,
}

/// For whom a limit is, and what requests cost, where it is not for all of them and one does not cost one.
#[derive(Debug)]
struct Terms {
    except: Box<[Cidr]>,
    when: Option<Expression>,
    cost: Option<Expression>,
    charge: Option<Expression>,
}

impl Limits {
    /// Compiles limits that stand at this place, with their expressions. One whose expression is none has been refused before.
    pub fn new(
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        place: &str,
        tables: Tables<'_>,
    ) -> Self {
        Self::compile(limits, expressions, place, None, tables)
    }

    /// The same of a plan, where all routes count together.
    pub fn of_plan(
        name: &str,
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        tables: Tables<'_>,
    ) -> Self {
        Self::compile(limits, expressions, &format!("plan {name}"), Some(name), tables)
    }

    /// The same, or those of a plan.
    fn compile(
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        place: &str,
        plan: Option<&str>,
        Tables { buckets, lines }: Tables<'_>,
    ) -> Self {
        let (before_name, first) = if plan.is_some() { ("plan-", MOST_LIMITS) } else { ("", 0) };
        let mut names: Vec<String> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        let mut compiled = Vec::new();
        for (config, Expressions { by, when, cost, charge }) in
            limits.iter().zip(expressions).take(MOST_LIMITS)
        {
            let Some((rule, by)) = config.rule().zip(By::new(&config.by.value, by)) else { continue };
            buckets.reserve(rule);
            let leaky = config.queue.map(|queue| Leaky { queue: queue as usize, lines: Arc::clone(lines) });
            // Of a line: until all who may wait have gone, and one more could.
            let span = rule.span().saturating_mul(config.capacity() / rule.quota());
            let late = span - exact_span(config).min(span);
            let word = config.by.value.word();
            let name = name_among(&mut names, word.to_owned());
            let public_name = format!("{before_name}{name}");
            if config.headers {
                let (quota, window) = (config.capacity(), whole_seconds(span - late));
                told.push(format!("\"{public_name}\";q={quota};w={window}"));
            }
            compiled.push(Limit {
                number: first + compiled.len(),
                name: public_name.as_str().into(),
                rule,
                leaky,
                late,
                by: by.with_prefix(config.ipv6_prefix),
                place: buckets.identity((place, &name, config.by.value.to_string(), rule.family())),
                shared: Shared::new(config, rule, place, &name),
                terms: Terms { except: config.except.clone().into(), when, cost, charge }.unless_usual(),
                told: config
                    .headers
                    .then(|| PreparedField::new(Known::RateLimit, &format!("\"{public_name}\";r="))),
                legacy: config.legacy_headers.then(|| config.capacity().to_string().into()),
                refusal: refusal(config, plan),
                summary: config.to_string(),
            });
        }
        let told = (!told.is_empty()).then(|| PreparedField::new(Known::RateLimitPolicy, &told.join(", ")));
        Self { list: compiled.into(), told }
    }

    /// They are a list, which may come in several fields (RFC 9110, section 5.3).
    fn tell(&self, fields: &mut Fields) {
        if let Some(told) = &self.told {
            fields.append_prepared(told, b"");
        }
    }

    fn explain(&self) -> String {
        self.list.iter().map(|limit| limit.summary.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl RateLimit {
    /// The limits of a route, and those of its callers' plans.
    pub fn new(
        own: Limits,
        plans: Option<Arc<Plans<Limits>>>,
        buckets: Arc<Buckets>,
        fleet: Option<Arc<SharedBuckets>>,
    ) -> Self {
        let may_have_more = fleet.is_some() || plans.is_some();
        Self { own, plans, buckets, fleet, may_have_more }
    }

    /// One limit, as most routes have it.
    fn one<'p>(&'p self, exchange: &mut Exchange, limit: &'p Limit) -> Step<'p> {
        let Some(cost) = limit.cost(exchange) else { return Step::Continue };
        let key = self.key(exchange, limit);
        if limit.leaky.is_some() {
            return self.line_up(exchange, limit, key, || ());
        }
        let now = self.buckets.now();
        match self.buckets.take(key, limit.rule, cost, now) {
            Ok(taken) => {
                let allowance = limit.allowance(&taken);
                if limit.is_charged() {
                    exchange.spent.push(Spent::here(key, cost, now, &taken, allowance));
                }
                exchange.allowance = Some(allowance);
                Step::Continue
            }
            Err(empty) => limit.refuse(exchange, empty, self.left_of(limit, key, cost, now)),
        }
    }

    /// Several: first a look at all, as none is charged when another refuses.
    fn several<'p>(
        &'p self,
        exchange: &mut Exchange,
        limits: impl Iterator<Item = &'p Limit> + Clone,
    ) -> Step<'p> {
        let now = self.buckets.now();
        let is_charged = limits.clone().any(Limit::is_charged);
        let mut keys = [None; MOST_LIMITS];
        for (limit, key) in limits.clone().zip(&mut keys) {
            let Some(cost) = limit.cost(exchange) else { continue };
            let found = self.key(exchange, limit);
            let lacks = match &limit.leaky {
                Some(_) => limit.is_full(found, now),
                None => self.buckets.look(found, limit.rule, cost, now).err(),
            };
            if let Some(empty) = lacks {
                return limit.refuse(exchange, empty, self.left_of(limit, found, cost, now));
            }
            *key = Some((found, cost));
        }
        let mut charged: [Option<Taken>; MOST_LIMITS] = [const { None }; MOST_LIMITS];
        let mut least: Option<Allowance> = None;
        let mut line = None;
        for (at, (limit, key)) in limits.zip(keys).enumerate() {
            let Some((key, cost)) = key else { continue };
            if limit.leaky.is_some() {
                line = Some((limit, key));
                continue;
            }
            match self.buckets.take(key, limit.rule, cost, now) {
                Ok(taken) => {
                    let allowance = limit.allowance(&taken);
                    if is_charged {
                        exchange.spent.push(Spent::here(key, cost, now, &taken, allowance));
                    }
                    least = limit.least(least, allowance);
                    charged[at] = Some(taken);
                }
                // Another worker took the last token in between.
                Err(empty) => {
                    charged.iter().flatten().for_each(|taken| self.buckets.give_back(taken));
                    return limit.refuse(exchange, empty, 0);
                }
            }
        }
        exchange.allowance = least;
        // Last, as it may have to wait: there is one at most.
        let give_back = || charged.iter().flatten().for_each(|taken| self.buckets.give_back(taken));
        line.map_or(Step::Continue, |(limit, key)| self.line_up(exchange, limit, key, give_back))
    }

    /// What is left for who is refused, as it costs more.
    fn left_of(&self, limit: &Limit, key: Key, cost: u64, now: u64) -> u64 {
        if cost > 1 && limit.leaky.is_none() { self.buckets.standing(key, limit.rule, now).0 } else { 0 }
    }

    /// Whose bucket it is.
    fn key(&self, exchange: &Exchange, limit: &Limit) -> Key {
        limit.by.key(exchange, |way, of| self.buckets.caller(limit.place, way, of))
    }

    /// The limit of this number, where the caller's plan has these.
    fn numbered<'p>(&'p self, number: usize, of_plan: Option<&'p Limits>) -> Option<&'p Limit> {
        match number.checked_sub(MOST_LIMITS) {
            None => self.own.list.get(number),
            Some(place) => of_plan?.list.get(place),
        }
    }

    /// The limits of the caller's plan.
    fn of_plan(&self, exchange: &Exchange) -> Option<&Limits> {
        self.plans.as_ref()?.of(exchange)
    }
}

impl Limit {
    /// What a request counts; nothing where the limit is not for it. It is where that cannot be told, and counts 1.
    fn cost(&self, exchange: &Exchange) -> Option<u64> {
        match &self.terms {
            None => Some(1),
            Some(terms) => terms.cost(exchange).map(|cost| cost.min(self.rule.quota())),
        }
    }

    fn refuse<'p>(&self, exchange: &mut Exchange, empty: Empty, left: u64) -> Step<'p> {
        exchange.allowance = Some(self.rest(left, empty.full_in));
        exchange.spent.clear();
        exchange.outcome.limit = Some(Arc::clone(&self.name));
        let refusal = Refusal::prepared(&self.refusal);
        Step::refuse(refusal.with_retry_after(whole_seconds(empty.wait).max(1)))
    }

    /// Whether callers are told of it at all.
    fn is_told(&self) -> bool {
        self.told.is_some() || self.legacy.is_some()
    }

    /// What is left.
    fn allowance(&self, taken: &Taken) -> Allowance {
        self.rest(taken.left, taken.full_in)
    }

    /// The same, with nanoseconds until all of it is there again.
    fn rest(&self, left: u64, full_in: u64) -> Allowance {
        let full_in = whole_seconds(full_in.saturating_sub(self.late));
        Allowance { limit: self.number, left, full_in }
    }

    /// The lesser of two, where callers are told of this one.
    fn least(&self, least: Option<Allowance>, other: Allowance) -> Option<Allowance> {
        let is_less = least.is_none_or(|least| other.left < least.left);
        if self.is_told() && is_less { Some(other) } else { least }
    }
}

impl Terms {
    /// Nothing where all requests cost one.
    fn unless_usual(self) -> Option<Box<Self>> {
        let Self { except, when, cost, charge } = &self;
        let is_usual = except.is_empty() && when.is_none() && cost.is_none() && charge.is_none();
        (!is_usual).then(|| Box::new(self))
    }

    fn cost(&self, exchange: &Exchange) -> Option<u64> {
        if self.except.iter().any(|network| network.contains(exchange.caller.ip)) {
            return None;
        }
        if !is_for(self.when.as_ref(), exchange) {
            return None;
        }
        cost_of(self.cost.as_ref(), exchange)
    }
}

impl Policy for RateLimit {
    fn name(&self) -> &'static str {
        "rate_limit"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if let ([limit], false) = (&*self.own.list, self.may_have_more) {
            return self.one(exchange, limit);
        }
        let (own, of_plan) = (&*self.own.list, self.of_plan(exchange).map_or(&[][..], |limits| &limits.list));
        let all = own.iter().chain(of_plan);
        match (&self.fleet, own, of_plan) {
            (_, [], []) => Step::Continue,
            (Some(fleet), ..) if all.clone().any(|limit| limit.shared.is_some()) => {
                self.together(fleet, exchange, all)
            }
            (_, [limit], []) | (_, [], [limit]) => self.one(exchange, limit),
            _ => self.several(exchange, all),
        }
    }

    /// `RateLimit-Policy` tells of all limits, the others of the one with the least left.
    fn on_response(&self, exchange: &mut Exchange) {
        if !exchange.spent.is_empty() {
            self.charge(exchange);
        }
        let Some(allowance) = exchange.allowance else { return };
        let of_plan = self.of_plan(exchange);
        let Some(limit) = self.numbered(allowance.limit, of_plan) else { return };
        let fields = &mut exchange.response.fields;
        for limits in [Some(&self.own), of_plan].into_iter().flatten() {
            limits.tell(fields);
        }
        if let Some(told) = &limit.told {
            tell(allowance, told, fields);
        }
        let mut all = self.own.list.iter().chain(of_plan.into_iter().flat_map(|limits| &limits.list));
        match &limit.legacy {
            Some(quota) => tell_as_before(allowance, quota, fields),
            // Those of the service would be taken for those of another limit.
            None if all.any(|limit| limit.legacy.is_some()) => {
                for name in LEGACY_FIELDS {
                    fields.remove_named(name);
                }
            }
            None => {}
        }
    }

    fn explain(&self) -> String {
        let own = (!self.own.list.is_empty()).then(|| self.own.explain());
        let of_plans = self.plans.iter().flat_map(|plans| plans.explain(Limits::explain));
        own.into_iter().chain(of_plans).collect::<Vec<_>>().join("; ")
    }
}

/// The fields that were common before the draft. They are no lists: those of the service go.
fn tell_as_before(Allowance { left, full_in, .. }: Allowance, quota: &str, fields: &mut Fields) {
    let [limit, remaining, reset] = LEGACY_FIELDS;
    fields.set_named(limit, quota.as_bytes());
    for (name, number) in [(remaining, left), (reset, clock::unix_seconds().saturating_add(full_in))] {
        let mut text = [0; LONGEST_NUMBER];
        let start = write_before(LONGEST_NUMBER, number, &mut text);
        fields.set_named(name, &text[start..]);
    }
}

/// Nanoseconds in which an empty bucket would fill, or a line drain, if nothing were rounded.
fn exact_span(config: &config::RateLimit) -> u64 {
    let span =
        config.limit.period.as_nanos() * u128::from(config.capacity()) / u128::from(config.limit.count);
    u64::try_from(span).unwrap_or(u64::MAX)
}

fn refusal(config: &config::RateLimit, plan: Option<&str>) -> Arc<Prepared> {
    let detail = if config.is_told() { detail(config, plan) } else { UNTOLD.to_owned() };
    Prepared::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", Stage::Limit, &detail)
}

fn detail(config: &config::RateLimit, plan: Option<&str>) -> String {
    let of = who_may(&config.by.value);
    let is_by_cost = config.cost.is_some() || config.charge.is_some();
    let by_cost = if is_by_cost { ", by what they cost," } else { "" };
    let by_plan = plan.map(|name| format!(", by the plan {name}")).unwrap_or_default();
    let limit = format!("{}{by_plan}", config.limit);
    match config.queue {
        Some(queue) => format!(
            "these are more requests than {of} ({limit}), and as many wait as may ({queue}); Retry-After says when to come back"
        ),
        None => format!(
            "these are more requests{by_cost} than {of} ({limit}); Retry-After says when to come back"
        ),
    }
}

/// What is said of a limit that is kept to itself.
const UNTOLD: &str = "these are too many requests; Retry-After says when to come back";

const LEGACY_FIELDS: [&[u8]; 3] = [b"X-RateLimit-Limit", b"X-RateLimit-Remaining", b"X-RateLimit-Reset"];

/// Digits of a number.
const LONGEST_NUMBER: usize = 20;

#[cfg(test)]
mod tests;
