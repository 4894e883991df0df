//! `rate_limit`: how many requests callers may make. A request takes a token of each limit that is for it, or of none.
//!
//! What is used up stands in [`Buckets`], which all workers and all snapshots share; here is whose bucket it is, and what
//! callers are told. Whoever is let through costs no allocation, unless a limit goes by an expression.

mod shared;

use std::sync::Arc;

use http::StatusCode;
use http1::Known;

use crate::buckets::{Allowance, Buckets, Empty, Key, Pace, Taken};
use crate::config::{self, LimitBy, MOST_LIMITS};
use crate::customer::customer;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::identity::Identity;
use crate::policies::{Policy, Step};
use crate::record::decimal::write_before;
use crate::refusal::{Refusal, Stage};
use crate::shared::SharedBuckets;
use shared::Shared;

/// The compiled policy.
#[derive(Debug)]
pub struct RateLimit {
    limits: Box<[Limit]>,
    buckets: Arc<Buckets>,
    /// Where some are shared.
    fleet: Option<Arc<SharedBuckets>>,
    /// The value of `RateLimit-Policy`; empty where nobody is told.
    told: Box<str>,
}

/// The expressions of a limit, compiled.
#[derive(Debug)]
pub struct Expressions {
    /// What it goes by, where that is an expression.
    pub by: Option<Expression>,
    /// When it is for a request.
    pub when: Option<Expression>,
}

#[derive(Debug)]
struct Limit {
    pace: Pace,
    /// Nanoseconds by which a bucket fills more slowly than was said, which callers are not told of.
    late: u64,
    by: By,
    /// What tells its buckets from those of other limits, whatever the numbers.
    place: u64,
    shared: Option<Shared>,
    when: Option<Expression>,
    /// Its name in what callers are told, as far as the number behind it: `"ip";r=`.
    told: Option<Box<str>>,
    /// What a refused caller is told.
    refusal: Box<str>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

/// Whose requests are counted together.
#[derive(Debug)]
enum By {
    Ip,
    App,
    User,
    Key,
    Route,
    Api,
    Global,
    Header(Box<str>),
    Expression(Expression),
}

impl RateLimit {
    /// Compiles limits that stand at this place, with their expressions. One whose expression is none has been refused before.
    pub fn new(
        limits: &[config::RateLimit],
        expressions: Vec<Expressions>,
        place: &str,
        buckets: Arc<Buckets>,
        fleet: Option<Arc<SharedBuckets>>,
    ) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut told: Vec<String> = Vec::new();
        let mut compiled = Vec::new();
        for (config, Expressions { by, when }) in limits.iter().zip(expressions).take(MOST_LIMITS) {
            let Some((pace, by)) = config.pace().zip(By::new(&config.by.value, by)) else { continue };
            let late = pace.span() - exact_span(config).min(pace.span());
            let word = config.by.value.word();
            let before = names.iter().filter(|name| *name == word).count();
            let name = if before == 0 { word.to_owned() } else { format!("{word}-{}", before + 1) };
            names.push(word.to_owned());
            if config.headers {
                let (quota, window) = (pace.burst(), seconds(pace.span() - late));
                told.push(format!("\"{name}\";q={quota};w={window}"));
            }
            compiled.push(Limit {
                pace,
                late,
                by,
                shared: Shared::new(config, pace, place, &name),
                place: buckets.identity((place, &name, config.by.value.to_string())),
                when,
                told: config.headers.then(|| format!("\"{name}\";r=").into()),
                refusal: refusal(config).into(),
                summary: config.to_string(),
            });
        }
        let fleet = fleet.filter(|_| compiled.iter().any(|limit| limit.shared.is_some()));
        Self { limits: compiled.into(), buckets, fleet, told: told.join(", ").into() }
    }

    /// One limit, as most routes have it.
    fn one(&self, exchange: &mut Exchange, limit: &Limit) -> Step<'_> {
        let key = self.key(exchange, limit);
        match self.buckets.take(key, limit.pace, self.buckets.now()) {
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
            if !limit.is_for(exchange) {
                continue;
            }
            let found = self.key(exchange, limit);
            if let Err(empty) = self.buckets.look(found, limit.pace, now) {
                return self.refuse(exchange, at, empty);
            }
            *key = Some(found);
        }
        let mut charged: [Option<Taken>; MOST_LIMITS] = [const { None }; MOST_LIMITS];
        let mut least: Option<Allowance> = None;
        for (at, (limit, key)) in self.limits.iter().zip(keys).enumerate() {
            let Some(key) = key else { continue };
            match self.buckets.take(key, limit.pace, now) {
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
        Step::Continue
    }

    fn key(&self, exchange: &Exchange, limit: &Limit) -> Key {
        limit.owner(exchange, |way, of| self.buckets.key((limit.place, way, of)))
    }

    fn refuse(&self, exchange: &mut Exchange, at: usize, empty: Empty) -> Step<'_> {
        let limit = &self.limits[at];
        let full_in = seconds(empty.full_in.saturating_sub(limit.late));
        exchange.allowance = Some(Allowance { limit: at, left: 0, full_in });
        let refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            Stage::Limit,
            limit.refusal.to_string(),
        );
        Step::refuse(refusal.with_field(Known::RetryAfter, seconds(empty.wait).max(1).to_string()))
    }
}

impl Limit {
    /// Whose bucket it is. Each way has keys of its own: an app is not the user of the same name.
    fn owner<T>(&self, exchange: &Exchange, key: impl Fn(u8, &[u8]) -> T) -> T {
        let ip = || match customer(exchange.caller.ip) {
            std::net::IpAddr::V4(ip) => key(0, &ip.octets()),
            std::net::IpAddr::V6(ip) => key(0, &ip.octets()),
        };
        let identity = exchange.identity();
        let part = |way: u8, part: fn(&Identity) -> &str| {
            let text = identity.map(part).filter(|text| !text.is_empty())?;
            Some(key(way, text.as_bytes()))
        };
        let app = || part(1, |identity| &identity.app);
        let user = || part(2, |identity| &identity.user);
        let own_key = || part(3, |identity| &identity.key);
        let route = exchange.route.map(|index| &exchange.live.snapshot.routes[index]);
        match &self.by {
            By::Ip => ip(),
            By::App => app().or_else(user).unwrap_or_else(ip),
            By::User => user().or_else(app).unwrap_or_else(ip),
            By::Key => own_key().or_else(user).or_else(app).unwrap_or_else(ip),
            By::Route => key(4, route.map_or("", |route| &route.name).as_bytes()),
            By::Api => key(5, route.map_or("", |route| &route.api).as_bytes()),
            By::Global => key(6, b""),
            By::Header(name) => {
                let value = exchange.request.fields.get_named(name.as_bytes());
                value.map_or_else(ip, |value| key(7, value))
            }
            By::Expression(expression) => {
                let value = exchange.evaluate_text(expression);
                value.map_or_else(ip, |value| key(8, value.as_bytes()))
            }
        }
    }

    /// Whether it is for this request; also where that cannot be told.
    fn is_for(&self, exchange: &Exchange) -> bool {
        self.when.as_ref().is_none_or(|when| when.matches(&exchange.context()).unwrap_or(true))
    }

    /// What is left, where this limit stands at this place among those of its route.
    fn allowance(&self, at: usize, taken: &Taken) -> Allowance {
        let full_in = seconds(taken.full_in.saturating_sub(self.late));
        Allowance { limit: at, left: taken.left, full_in }
    }

    /// The lesser of two, where callers are told of this one.
    fn least(&self, least: Option<Allowance>, other: Allowance) -> Option<Allowance> {
        let is_less = least.is_none_or(|least| other.left < least.left);
        if self.told.is_some() && is_less { Some(other) } else { least }
    }
}

impl By {
    fn new(config: &LimitBy, expression: Option<Expression>) -> Option<Self> {
        Some(match config {
            LimitBy::Ip => Self::Ip,
            LimitBy::App => Self::App,
            LimitBy::User => Self::User,
            LimitBy::Key => Self::Key,
            LimitBy::Route => Self::Route,
            LimitBy::Api => Self::Api,
            LimitBy::Global => Self::Global,
            LimitBy::Header(name) => Self::Header(name.as_str().into()),
            LimitBy::Expression(_) => Self::Expression(expression?),
        })
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
            [limit] if limit.is_for(exchange) => self.one(exchange, limit),
            [_] => Step::Continue,
            _ => self.several(exchange),
        }
    }

    /// `RateLimit-Policy` tells of all limits, `RateLimit` of the one with the least left
    /// (draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4).
    fn on_response(&self, exchange: &mut Exchange) {
        let Some(Allowance { limit, left, full_in }) = exchange.allowance else { return };
        let Some(told) = self.limits.get(limit).and_then(|limit| limit.told.as_ref()) else { return };
        let fields = &mut exchange.response.fields;
        fields.append_named(POLICY_FIELD, self.told.as_bytes());
        // From its end to its beginning, as numbers are written.
        let mut text = [0; LONGEST_VALUE];
        let mut start = write_before(LONGEST_VALUE, full_in, &mut text);
        for (part, number) in [(BEFORE_TIME, Some(left)), (told.as_bytes(), None)] {
            start -= part.len();
            text[start..start + part.len()].copy_from_slice(part);
            start = number.map_or(start, |number| write_before(start, number, &mut text));
        }
        fields.append_named(FIELD, &text[start..]);
    }

    fn explain(&self) -> String {
        self.limits.iter().map(|limit| limit.summary.as_str()).collect::<Vec<_>>().join("; ")
    }
}

/// Nanoseconds in which an empty bucket would fill if nothing were rounded.
fn exact_span(config: &config::RateLimit) -> u64 {
    let span = config.limit.period.as_nanos() * u128::from(config.burst()) / u128::from(config.limit.count);
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
    format!("these are more requests than {of} ({}); Retry-After says when to come back", config.limit)
}

/// Whole seconds, rounded up: who waits so long has waited long enough.
fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}

const FIELD: &[u8] = b"RateLimit";
const POLICY_FIELD: &[u8] = b"RateLimit-Policy";
const BEFORE_TIME: &[u8] = b";t=";

/// Bytes of a value of `RateLimit`: the longest name, two numbers and what is between them.
const LONGEST_VALUE: usize = 64;

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
        let none = || Expressions { by: None, when: None };
        let expressions = limits.0.iter().map(|_| none()).collect();
        RateLimit::new(&limits.0, expressions, place, Arc::clone(buckets), None)
    }

    #[test]
    fn callers_are_told_how_much_may_come_at_once_and_how_soon_again() {
        let buckets = Arc::new(Buckets::with_sets(1));
        for (text, told) in [
            ("100/m", "\"ip\";q=100;w=60"),
            ("{ limit: 10/s, burst: 25 }", "\"ip\";q=25;w=3"),
            ("{ limit: 1/d, by: global, headers: false }", ""),
            (
                "[ 5/s, 100/h, { limit: 9/s, by: 'header:X-A' } ]",
                "\"ip\";q=5;w=1, \"ip-2\";q=100;w=3600, \"header\";q=9;w=1",
            ),
        ] {
            assert_eq!(&*compiled(text, "defaults", &buckets).told, told, "{text}");
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

    #[test]
    fn waits_are_told_in_whole_seconds_that_suffice() {
        assert_eq!([0, 1, 1_000_000_000, 1_000_000_001].map(seconds), [0, 1, 1, 2]);
    }
}
