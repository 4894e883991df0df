//! `rate_limit`: how many requests callers may make. A request takes a token of each limit that is for it, or of none.
//!
//! What is used up stands in [`Buckets`], which all workers and all snapshots share; here is whose bucket it is, and what
//! callers are told. Whoever is let through costs no allocation, unless a limit goes by an expression.

mod leaky;
mod shared;

use std::sync::Arc;

use http::StatusCode;
use http1::{Fields, Known, PreparedField};

use crate::allowance::{Allowance, tell};
use crate::buckets::{Buckets, Empty, Key, Rule, Taken};
use crate::clock::{self, whole_seconds};
use crate::config::{self, LimitBy, MOST_LIMITS};
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::By;
use crate::policies::{Policy, Step};
use crate::record::decimal::write_before;
use crate::refusal::{Refusal, Stage};
use crate::shared::SharedBuckets;
use crate::waiting::Lines;
use leaky::Leaky;
use shared::Shared;

/// The compiled policy.
#[derive(Debug)]
pub struct RateLimit {
    limits: Box<[Limit]>,
    buckets: Arc<Buckets>,
    /// Where some are shared.
    fleet: Option<Arc<SharedBuckets>>,
    /// `RateLimit-Policy`, with nothing where nobody is told.
    told: PreparedField,
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
}

#[derive(Debug)]
struct Limit {
    rule: Rule,
    /// Where requests wait for it, and go one by one.
    leaky: Option<Leaky>,
    /// Nanoseconds by which a bucket fills more slowly than was said, which callers are not told of.
    late: u64,
    by: By,
    /// What tells its buckets from those of other limits, whatever the numbers, and from those of another way to count.
    place: u64,
    shared: Option<Shared>,
    when: Option<Expression>,
    cost: Option<Expression>,
    /// `RateLimit`, with its name as far as the number behind it: `"ip";r=`.
    told: Option<PreparedField>,
    /// The value of `X-RateLimit-Limit`.
    legacy: Option<Box<str>>,
    /// What a refused caller is told.
    refusal: Box<str>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

impl RateLimit {
    /// Compiles limits that stand at this place, with their expressions. One whose expression is none has been refused before.
    pub fn new(
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        place: &str,
        buckets: Arc<Buckets>,
        lines: &Arc<Lines>,
        fleet: Option<Arc<SharedBuckets>>,
    ) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        let mut compiled = Vec::new();
        for (config, Expressions { by, when, cost }) in limits.iter().zip(expressions).take(MOST_LIMITS) {
            let Some((rule, by)) = config.rule().zip(By::new(&config.by.value, by)) else { continue };
            buckets.reserve(rule);
            let leaky = config.queue.map(|queue| Leaky { queue: queue as usize, lines: Arc::clone(lines) });
            // Of a line: until all who may wait have gone, and one more could.
            let span = rule.span().saturating_mul(config.capacity() / rule.quota());
            let late = span - exact_span(config).min(span);
            let word = config.by.value.word();
            let before = names.iter().filter(|name| *name == word).count();
            let name = if before == 0 { word.to_owned() } else { format!("{word}-{}", before + 1) };
            names.push(word.to_owned());
            if config.headers {
                let (quota, window) = (config.capacity(), whole_seconds(span - late));
                told.push(format!("\"{name}\";q={quota};w={window}"));
            }
            compiled.push(Limit {
                rule,
                leaky,
                late,
                by,
                place: buckets.identity((place, &name, config.by.value.to_string(), rule.family())),
                shared: Shared::new(config, rule, place, &name),
                when,
                cost,
                told: config.headers.then(|| PreparedField::new(Known::RateLimit, &format!("\"{name}\";r="))),
                legacy: config.legacy_headers.then(|| config.capacity().to_string().into()),
                refusal: refusal(config).into(),
                summary: config.to_string(),
            });
        }
        Self {
            limits: compiled.into(),
            buckets,
            fleet,
            told: PreparedField::new(Known::RateLimitPolicy, &told.join(", ")),
        }
    }

    /// One limit, as most routes have it.
    fn one(&self, exchange: &mut Exchange, limit: &Limit) -> Step<'_> {
        let Some(cost) = limit.cost(exchange) else { return Step::Continue };
        let key = self.key(exchange, limit);
        if limit.leaky.is_some() {
            return self.line_up(exchange, 0, key, || ());
        }
        match self.buckets.take(key, limit.rule, cost, self.buckets.now()) {
            Ok(taken) => {
                exchange.allowance = Some(limit.allowance(0, &taken));
                Step::Continue
            }
            Err(empty) => self.refuse(exchange, 0, empty),
        }
    }

    /// Several: first a look at all, as none is charged when another refuses.
    fn several(&self, exchange: &mut Exchange) -> Step<'_> {
        let now = self.buckets.now();
        let mut keys = [None; MOST_LIMITS];
        for ((at, limit), key) in self.limits.iter().enumerate().zip(&mut keys) {
            let Some(cost) = limit.cost(exchange) else { continue };
            let found = self.key(exchange, limit);
            let lacks = match &limit.leaky {
                Some(_) => limit.is_full(found, now),
                None => self.buckets.look(found, limit.rule, cost, now).err(),
            };
            if let Some(empty) = lacks {
                return self.refuse(exchange, at, empty);
            }
            *key = Some((found, cost));
        }
        let mut charged: [Option<Taken>; MOST_LIMITS] = [const { None }; MOST_LIMITS];
        let mut least: Option<Allowance> = None;
        let mut line = None;
        for (at, (limit, key)) in self.limits.iter().zip(keys).enumerate() {
            let Some((key, cost)) = key else { continue };
            if limit.leaky.is_some() {
                line = Some((at, key));
                continue;
            }
            match self.buckets.take(key, limit.rule, cost, now) {
                Ok(taken) => {
                    least = limit.least(least, limit.allowance(at, &taken));
                    charged[at] = Some(taken);
                }
                // Another worker took the last token in between.
                Err(empty) => {
                    charged.iter().flatten().for_each(|taken| self.buckets.give_back(taken));
                    return self.refuse(exchange, at, empty);
                }
            }
        }
        exchange.allowance = least;
        // Last, as it may have to wait: there is one at most.
        let give_back = || charged.iter().flatten().for_each(|taken| self.buckets.give_back(taken));
        line.map_or(Step::Continue, |(at, key)| self.line_up(exchange, at, key, give_back))
    }

    /// Whose bucket it is.
    fn key(&self, exchange: &Exchange, limit: &Limit) -> Key {
        limit.by.key(exchange, |way, of| self.buckets.caller(limit.place, way, of))
    }

    fn refuse(&self, exchange: &mut Exchange, at: usize, empty: Empty) -> Step<'_> {
        let limit = &self.limits[at];
        let full_in = whole_seconds(empty.full_in.saturating_sub(limit.late));
        exchange.allowance = Some(Allowance { limit: at, left: 0, full_in });
        let refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            Stage::Limit,
            limit.refusal.to_string(),
        );
        Step::refuse(refusal.with_retry_after(whole_seconds(empty.wait).max(1)))
    }
}

impl Limit {
    /// What a request counts; nothing where the limit is not for it. It is where that cannot be told, and counts 1.
    fn cost(&self, exchange: &Exchange) -> Option<u64> {
        if let Some(when) = &self.when
            && !when.matches(&exchange.context()).unwrap_or(true)
        {
            return None;
        }
        let Some(cost) = &self.cost else { return Some(1) };
        let cost = cost.evaluate_count(&exchange.context()).unwrap_or(1);
        (cost > 0).then(|| cost.min(self.rule.quota()))
    }

    /// Whether callers are told of it at all.
    fn is_told(&self) -> bool {
        self.told.is_some() || self.legacy.is_some()
    }

    /// What is left, where this limit stands at this place among those of its route.
    fn allowance(&self, at: usize, taken: &Taken) -> Allowance {
        self.rest(at, taken.left, taken.full_in)
    }

    /// The same, with nanoseconds until all of it is there again.
    fn rest(&self, at: usize, left: u64, full_in: u64) -> Allowance {
        Allowance { limit: at, left, full_in: whole_seconds(full_in.saturating_sub(self.late)) }
    }

    /// The lesser of two, where callers are told of this one.
    fn least(&self, least: Option<Allowance>, other: Allowance) -> Option<Allowance> {
        let is_less = least.is_none_or(|least| other.left < least.left);
        if self.is_told() && is_less { Some(other) } else { least }
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
        if let Some(fleet) = &self.fleet {
            return self.together(fleet, exchange);
        }
        match &*self.limits {
            [limit] => self.one(exchange, limit),
            _ => self.several(exchange),
        }
    }

    /// `RateLimit-Policy` tells of all limits, the others of the one with the least left.
    fn on_response(&self, exchange: &mut Exchange) {
        let Some(allowance) = exchange.allowance else { return };
        let Some(limit) = self.limits.get(allowance.limit) else { return };
        let fields = &mut exchange.response.fields;
        if let Some(told) = &limit.told {
            fields.append_prepared(&self.told, b"");
            tell(allowance, told, fields);
        }
        if let Some(quota) = &limit.legacy {
            tell_as_before(allowance, quota, fields);
        }
    }

    fn explain(&self) -> String {
        self.limits.iter().map(|limit| limit.summary.as_str()).collect::<Vec<_>>().join("; ")
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

fn refusal(config: &config::RateLimit) -> String {
    let of = match &config.by.value {
        LimitBy::Global => "all callers together may make".to_owned(),
        LimitBy::Route => "all callers together may make of this route".to_owned(),
        LimitBy::Api => "all callers together may make of this API".to_owned(),
        LimitBy::Ip => "one address may make".to_owned(),
        LimitBy::Header(name) => format!("callers with one value of {name} may make"),
        LimitBy::Expression(_) => "one caller may make".to_owned(),
        by => format!("one {by} may make"),
    };
    let by_cost = if config.cost.is_some() { ", by what they cost," } else { "" };
    let limit = config.limit;
    match config.queue {
        Some(queue) => format!(
            "these are more requests than {of} ({limit}), and as many wait as may ({queue}); Retry-After says when to come back"
        ),
        None => format!(
            "these are more requests{by_cost} than {of} ({limit}); Retry-After says when to come back"
        ),
    }
}

const LEGACY_FIELDS: [&[u8]; 3] = [b"X-RateLimit-Limit", b"X-RateLimit-Remaining", b"X-RateLimit-Reset"];

/// Digits of a number.
const LONGEST_NUMBER: usize = 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{Setting, load_text};

    /// The limits that are written so, compiled.
    fn compiled(text: &str, place: &str, buckets: &Arc<Buckets>) -> RateLimit {
        let text = format!("defaults: {{ access: public, rate_limit: {text} }}");
        let config = load_text(&text).unwrap().0;
        let Some(Setting::On(limits)) = config.defaults.rate_limit.as_deref() else { panic!("no limits") };
        let none = || Expressions { by: None, when: None, cost: None };
        let expressions = limits.0.iter().map(|_| none()).collect();
        let lines = Arc::new(Lines::new(Arc::clone(buckets)));
        RateLimit::new(&limits.0, expressions, place, Arc::clone(buckets), &lines, None)
    }

    #[test]
    fn callers_are_told_how_much_may_come_at_once_and_how_soon_again() {
        let buckets = Arc::new(Buckets::with_sets(1));
        for (text, told) in [
            ("100/m", "\"ip\";q=100;w=60"),
            ("{ limit: 10/s, burst: 25 }", "\"ip\";q=25;w=3"),
            ("{ limit: 1/d, by: global, headers: false }", ""),
            ("{ limit: 7/s, algorithm: leaky_bucket, queue: 6 }", "\"ip\";q=7;w=1"),
            (
                "[ 5/s, 100/h, { limit: 9/s, by: 'header:X-A' } ]",
                "\"ip\";q=5;w=1, \"ip-2\";q=100;w=3600, \"header\";q=9;w=1",
            ),
        ] {
            assert_eq!(compiled(text, "defaults", &buckets).told.value(), told.as_bytes(), "{text}");
        }
    }

    #[test]
    fn older_clients_are_told_the_same_number() {
        let buckets = Arc::new(Buckets::with_sets(1));
        for (text, told) in [
            ("limit: 10/s, burst: 25", "25"),
            ("limit: 10/s, algorithm: sliding_window", "10"),
            ("limit: 10/s, algorithm: leaky_bucket, queue: 4", "5"),
        ] {
            let policy = compiled(&format!("{{ {text}, legacy_headers: true }}"), "defaults", &buckets);
            assert_eq!(policy.limits[0].legacy.as_deref(), Some(told), "{text}");
            let policy = String::from_utf8_lossy(policy.told.value()).into_owned();
            assert!(policy.contains(&format!("q={told};")), "{policy}");
        }
    }

    #[test]
    fn a_limit_is_the_same_whatever_its_numbers_and_another_elsewhere() {
        let buckets = Arc::new(Buckets::with_sets(1));
        let places = |text: &str, place: &str| {
            let policy = compiled(text, place, &buckets);
            policy.limits.iter().map(|limit| limit.place).collect::<Vec<_>>()
        };
        let before = places("[ 5/s, { limit: 1/h, by: global } ]", "defaults");
        assert_eq!(
            places("[ { limit: 7/m, by: global }, { limit: 3/h, burst: 7 } ]", "defaults"),
            [before[1], before[0]]
        );
        for (other, place) in
            [("5/s", "route a"), ("{ limit: 5/s, by: route }", "defaults"), ("[ 1/s, 1/m ]", "api defaults")]
        {
            assert!(!places(other, place).contains(&before[0]), "{other} in {place}");
        }
        let twice = places("[ 1/s, 1/m ]", "defaults");
        assert_ne!(twice[0], twice[1]);
    }
}
