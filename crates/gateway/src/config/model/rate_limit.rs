//! `rate_limit`: how many requests callers may make.

use std::fmt;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::ban::{read_ipv6_prefix, write_addresses};
use super::sharing::{OnOutage, Sharing};
use crate::buckets::{LONGEST_LOG, Rule};
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, MapReader, Read, Reader, nearest};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};
use crate::config::values::{Cidr, Rate, header_name};

/// The limits of a route: a request needs a token of each.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct RateLimits(pub Vec<RateLimit>);

/// One of them, where it stands at a plan.
struct OfPlan(RateLimit);

/// How many requests callers may make. A plain rate is `limit`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct RateLimit {
    /// How many in a second, minute, hour or day, as `algorithm` counts them. At most `1000000/s`.
    pub limit: Rate,
    /// For `token_bucket`: tokens in a full bucket, which is what may come at once. Default: as many as `limit` counts.
    pub burst: Option<u64>,
    /// Whose requests are counted together: those of one `ip` (of IPv6 one /64), `app`, `user` or `key`, or with one value of
    /// `header:NAME` or of an expression; of all callers of one `plan` or with one kind of `device`; or all of the `route` or the `api`,
    /// or `global` for all that the limit is for. Default: `ip`.
    #[schemars(with = "Option<String>")]
    pub by: Located<LimitBy>,
    /// How it is counted. Default: `token_bucket`.
    #[schemars(with = "Option<LimitAlgorithm>")]
    pub algorithm: LimitAlgorithm,
    /// Requests that may wait for a `leaky_bucket`, up to 10000, which has to say it. Others are refused.
    pub queue: Option<u32>,
    /// An expression: only requests for which it is true are counted. Where it cannot be told, they are. Default: all.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
    /// An expression: what a request counts, a number, rounded up. With 0 the limit is not for it, with more than can come at once it
    /// counts that; where it cannot be told, it counts 1. Default: 1.
    #[schemars(with = "Option<String>")]
    pub cost: Option<Located<String>>,
    /// An expression over the answer's head: what the request has cost in all, where only its service can tell, rounded up. What is more
    /// than `cost` is taken afterwards, also where it is not there, up to as much again as there may be; what is less comes back. A text
    /// of digits, with a fraction if need be, counts as a number. Where it cannot be told, `cost` stays. Default: `cost` is all.
    #[schemars(with = "Option<String>")]
    pub charge: Option<Located<String>>,
    /// Networks that it is not for. Default: none.
    #[schemars(default)]
    pub except: Vec<Cidr>,
    /// Leading bits by which addresses of IPv6 are told apart, from 32 to 128. Default: `64`.
    pub ipv6_prefix: Option<u8>,
    /// Whether answers tell of it in `RateLimit` and `RateLimit-Policy`. A refusal always has `Retry-After`. Default: `true`.
    #[schemars(default = "default_headers")]
    pub headers: bool,
    /// Whether they tell of it in `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, the last in seconds since
    /// 1970. Default: `false`.
    #[schemars(default)]
    pub legacy_headers: bool,
    /// Whether all gateways with the same `cluster.redis` count together: `true` asks Redis for every request, `fast` takes a few tokens
    /// of a `token_bucket` at once, so that hardly any request waits. Not for `leaky_bucket`. Default: `false`.
    #[schemars(with = "Option<Sharing>")]
    pub shared: Option<Located<Sharing>>,
    /// What becomes of a `shared` limit while Redis does not answer: `local`, each gateway allows its part of it; `refuse`, there is
    /// nothing without Redis; `allow`, there is no limit. Default: `local`.
    #[schemars(with = "Option<OnOutage>")]
    pub on_outage: OnOutage,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum LimitBy {
    /// Those from one address, or one /64.
    Ip,
    /// Those of one application.
    App,
    /// Those of one user.
    User,
    /// Those with one key.
    Key,
    /// Those of all callers of one plan.
    Plan,
    /// Those of one class of `devices`.
    Device,
    /// Those to one route.
    Route,
    /// Those to one API.
    Api,
    /// All.
    Global,
    /// Those with one value of this header.
    Header(HeaderName),
    /// Those with one value of this expression.
    Expression(Located<String>),
}

/// How requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum LimitAlgorithm {
    /// A bucket holds `burst` tokens, and gets new ones evenly.
    TokenBucket,
    /// So many in each second, minute, hour or day of the clock, in UTC.
    FixedWindow,
    /// So many in any second, minute, hour or day: exactly up to 16, beyond that by the counts of two windows.
    SlidingWindow,
    /// Requests go one by one, evenly; up to `queue` of them wait for it in the order in which they came.
    LeakyBucket,
}

impl LimitBy {
    /// What `by` of a map says, or this where it says nothing; nothing where it is wrong.
    pub(super) fn take(
        map: &mut MapReader<'_>,
        usual: Self,
        at: Span,
        reader: &mut Reader,
    ) -> Option<Located<Self>> {
        match map.take("by") {
            Some(node) => Located::read(node, reader),
            None => Some(Located::new(usual, at)),
        }
    }

    /// Whether it goes by what only `access` finds out.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::App | Self::User | Self::Key | Self::Plan)
    }

    /// Whether it goes by an address, or may have to.
    pub fn may_need_address(&self) -> bool {
        !matches!(self, Self::Route | Self::Api | Self::Global)
    }

    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::App => "app",
            Self::User => "user",
            Self::Key => "key",
            Self::Plan => "plan",
            Self::Device => "device",
            Self::Route => "route",
            Self::Api => "api",
            Self::Global => "global",
            Self::Header(_) => "header",
            Self::Expression(_) => "expression",
        }
    }
}

impl LimitAlgorithm {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TokenBucket => "token_bucket",
            Self::FixedWindow => "fixed_window",
            Self::SlidingWindow => "sliding_window",
            Self::LeakyBucket => "leaky_bucket",
        }
    }
}

impl RateLimit {
    /// What may come at once. Requests that wait go one by one.
    pub fn burst(&self) -> u64 {
        if self.queue.is_some() { 1 } else { self.burst.unwrap_or(self.limit.count) }
    }

    /// Requests that may come at once without any being refused.
    pub fn capacity(&self) -> u64 {
        self.queue.map_or(self.burst(), |queue| u64::from(queue) + 1)
    }

    /// What is counted, and how; nothing for what no configuration without faults has.
    pub fn rule(&self) -> Option<Rule> {
        let (count, period) = (self.limit.count, *self.limit.period);
        match self.algorithm {
            LimitAlgorithm::TokenBucket | LimitAlgorithm::LeakyBucket => {
                Rule::token_bucket(count, period, self.burst())
            }
            LimitAlgorithm::FixedWindow => Rule::fixed_window(count, period),
            LimitAlgorithm::SlidingWindow => Rule::sliding_window(count, period),
        }
        .map(|rule| if self.charge.is_some() { rule.with_debt() } else { rule })
    }
}

impl Read for RateLimits {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let limits = Self(Vec::read(node, reader)?);
        limits.check(node, reader);
        Some(limits)
    }
}

impl RateLimits {
    /// Reads those of a plan.
    pub(super) fn of_plan(node: &Node, reader: &mut Reader) -> Option<Self> {
        let limits: Vec<OfPlan> = Vec::read(node, reader)?;
        let limits = Self(limits.into_iter().map(|OfPlan(limit)| limit).collect());
        limits.check(node, reader);
        Some(limits)
    }

    /// Whether requests stand in line for one of them.
    pub fn have_line(&self) -> bool {
        self.0.iter().any(|limit| limit.queue.is_some())
    }

    fn check(&self, node: &Node, reader: &mut Reader) {
        let Self(limits) = self;
        if let Value::List(items) = &node.value {
            if items.is_empty() {
                reader.wrong(node.head(), "this list is empty: name a limit, or write `off`");
            } else if items.len() > MOST_LIMITS {
                reader.wrong(node.head(), format!("a route or a plan has at most {MOST_LIMITS} limits"));
            }
            if limits.iter().filter(|limit| limit.queue.is_some()).count() > 1 {
                reader.wrong(
                    node.head(),
                    "only one of a route's limits may be a `leaky_bucket`: a request waits in one line",
                );
            }
        }
    }
}

impl Read for OfPlan {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let limit = RateLimit::read_by(LimitBy::App, node, reader)?;
        if limit.queue.is_some() {
            let message = "a plan has no `leaky_bucket`: a request waits in one line, that of its route";
            reader.wrong(node.head(), message);
            return None;
        }
        Some(Self(limit))
    }
}

impl Read for RateLimit {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Self::read_by(LimitBy::Ip, node, reader)
    }
}

impl RateLimit {
    /// Reads one that goes by this where it does not say by what.
    fn read_by(usual: LimitBy, node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            let limit = Rate::read(node, reader)?;
            return Self::new(limit, Located::new(usual, node.span)).check(node.span, node.span, reader);
        }
        let mut map = reader.map(node, &RATE_LIMIT)?;
        let at = map.value_span("limit").unwrap_or(map.head());
        let limit: Option<Rate> = map.required("limit", reader);
        let burst_at = map.value_span("burst").unwrap_or(at);
        let burst = map.take("burst").and_then(|node| reader.count(node, 1..=MOST_BURST)).map(u64::from);
        let by = LimitBy::take(&mut map, usual, at, reader);
        let algorithm = map.take("algorithm").and_then(|node| LimitAlgorithm::read(node, reader));
        let queue = map.take("queue").and_then(|node| reader.count(node, 1..=LONGEST_QUEUE));
        let is_queue_right = check_queue(&map, algorithm, reader);
        let when = map.optional("when", reader);
        let cost = map.optional("cost", reader);
        let charge = map.optional("charge", reader);
        let except = map.or("except", Vec::new(), reader);
        let prefix_at = map.key_span("ipv6_prefix");
        let ipv6_prefix = read_ipv6_prefix(&mut map, reader);
        let headers = map.or("headers", default_headers(), reader);
        let legacy_headers = map.or("legacy_headers", false, reader);
        let shared = map.optional("shared", reader);
        let on_outage: Option<OnOutage> = map.optional("on_outage", reader);
        if on_outage.is_some() && !map.has("shared") {
            reader.wrong(
                map.key_span("on_outage"),
                "`on_outage` without `shared`: nothing is asked that could be out",
            );
        }
        map.finish(reader);
        if !is_queue_right {
            return None;
        }
        let by = by?;
        if ipv6_prefix.is_some() && !by.value.may_need_address() {
            let message = format!("`ipv6_prefix` with `by: {}`: no addresses are told apart", by.value);
            reader.wrong(prefix_at, message);
            return None;
        }
        let algorithm = algorithm.unwrap_or(LimitAlgorithm::TokenBucket);
        let on_outage = on_outage.unwrap_or_default();
        Self {
            limit: limit?,
            burst,
            by,
            algorithm,
            queue,
            when,
            cost,
            charge,
            except,
            ipv6_prefix,
            headers,
            legacy_headers,
            shared,
            on_outage,
        }
        .check(at, burst_at, reader)
    }

    /// Whether callers are told of it.
    pub fn is_told(&self) -> bool {
        self.headers || self.legacy_headers
    }

    fn new(limit: Rate, by: Located<LimitBy>) -> Self {
        Self {
            limit,
            burst: None,
            by,
            algorithm: LimitAlgorithm::TokenBucket,
            queue: None,
            when: None,
            cost: None,
            charge: None,
            except: Vec::new(),
            ipv6_prefix: None,
            headers: default_headers(),
            legacy_headers: false,
            shared: None,
            on_outage: OnOutage::default(),
        }
    }

    fn check(self, limit: Span, burst: Span, reader: &mut Reader) -> Option<Self> {
        let is_window = matches!(self.algorithm, LimitAlgorithm::FixedWindow | LimitAlgorithm::SlidingWindow);
        if self.burst.is_some() && is_window {
            let word = self.algorithm.word();
            let message = format!("`{word}` has no `burst`: as many may come in a window as `limit` counts");
            let fault = Fault::error("bad_value", burst, message);
            reader.fault(fault.help("leave it out, or count by `algorithm: token_bucket`"));
            return None;
        }
        if let Some(rule) = self.rule() {
            if let Some(shared) = &self.shared {
                self.check_shared(rule, shared, reader)?;
            }
            return Some(self);
        }
        if Rule::fixed_window(self.limit.count, *self.limit.period).is_none() {
            reader.wrong(limit, "a limit is at most 1000000/s");
        } else {
            reader.wrong(burst, "a bucket that is empty must be full again within ten years");
        }
        None
    }

    /// Nothing for what gateways cannot count together.
    fn check_shared(&self, rule: Rule, shared: &Located<Sharing>, reader: &mut Reader) -> Option<()> {
        let (message, help) = match (self.algorithm, shared.value) {
            (LimitAlgorithm::LeakyBucket, _) => (
                "requests wait in line at the gateway to which they came: a `leaky_bucket` cannot be `shared`",
                "leave it out and write the part of one gateway, or count by `algorithm: token_bucket`",
            ),
            (LimitAlgorithm::FixedWindow | LimitAlgorithm::SlidingWindow, Sharing::Fast) => (
                "`fast` is for buckets of tokens: what gateways have taken of a window is lost when it ends",
                "write `shared: true`, or count by `algorithm: token_bucket`",
            ),
            (LimitAlgorithm::TokenBucket, _) if rule.longest() > LONGEST_SHARED_SPAN => {
                let and = if self.charge.is_some() { ", and in fifty with `charge`" } else { "" };
                let message =
                    format!("a shared bucket that is empty must be full again within a hundred days{and}");
                reader.wrong(shared.span, message);
                return None;
            }
            _ => return Some(()),
        };
        reader.fault(Fault::error("bad_value", shared.span, message).help(help));
        None
    }
}

/// Whether there is a queue where there has to be one, and nowhere else.
fn check_queue(map: &MapReader<'_>, algorithm: Option<LimitAlgorithm>, reader: &mut Reader) -> bool {
    let is_leaky = algorithm == Some(LimitAlgorithm::LeakyBucket);
    if is_leaky && map.has("burst") {
        reader.wrong(map.key_span("burst"), "a `leaky_bucket` has no `burst`: requests go one by one");
    }
    for key in ["cost", "charge"].into_iter().filter(|key| is_leaky && map.has(key)) {
        reader.wrong(map.key_span(key), format!("a `leaky_bucket` has no `{key}`: requests go one by one"));
    }
    if is_leaky && !map.has("queue") {
        let at = map.value_span("algorithm").unwrap_or(map.head());
        reader.wrong(at, "a `leaky_bucket` needs `queue`: how many may wait");
    } else if !is_leaky && map.has("queue") {
        reader.wrong(map.key_span("queue"), "requests wait only with `algorithm: leaky_bucket`");
    }
    is_leaky == map.has("queue")
}

impl Read for LimitBy {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        const WHAT: &str =
            "ip, app, user, key, plan, device, route, api, global, header:NAME or an expression";
        let text = reader.text(node, WHAT)?;
        if let Some((_, by)) = words().into_iter().find(|(word, _)| *word == text) {
            return Some(by);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match header_name(name) {
                Ok(name) => Some(Self::Header(name)),
                Err(complaint) => {
                    reader.wrong(node.span, complaint);
                    None
                }
            };
        }
        // One word is no expression over a request: nothing there has a name without a dot but `api` and `route`.
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            let fault = Fault::error("bad_value", node.span, format!("expected {WHAT}"));
            let known: Vec<&str> = words().iter().map(|(word, _)| *word).collect();
            reader.fault(match nearest(&text, &known) {
                Some(word) => fault.help(format!("did you mean `{word}`?")),
                None => fault,
            });
            return None;
        }
        Some(Self::Expression(Located::new(text, node.span)))
    }
}

impl Read for LimitAlgorithm {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let words = [Self::TokenBucket, Self::FixedWindow, Self::SlidingWindow, Self::LeakyBucket];
        reader.word(node, &words.map(|way| (way.word(), way)))
    }
}

impl JsonSchema for RateLimits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimits".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<RateLimit>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl fmt::Display for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Expression(text) => f.write_str(&text.value),
            other => f.write_str(other.word()),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.limit, self.by.value)?;
        if let Some(burst) = self.burst {
            write!(f, ", burst {burst}")?;
        }
        match self.algorithm {
            LimitAlgorithm::TokenBucket => {}
            LimitAlgorithm::FixedWindow => f.write_str(", fixed window")?,
            LimitAlgorithm::SlidingWindow if self.limit.count <= LONGEST_LOG => {
                f.write_str(", sliding window")?;
            }
            LimitAlgorithm::SlidingWindow => f.write_str(", sliding window of two counts")?,
            LimitAlgorithm::LeakyBucket => {
                write!(f, ", one by one, {} wait", self.queue.unwrap_or_default())?;
            }
        }
        if let Some(when) = &self.when {
            write!(f, ", when {}", when.value)?;
        }
        if let Some(cost) = &self.cost {
            write!(f, ", cost {}", cost.value)?;
        }
        if let Some(charge) = &self.charge {
            write!(f, ", charge {}", charge.value)?;
        }
        write_addresses(f, &self.except, self.ipv6_prefix)?;
        if let Some(shared) = &self.shared {
            let how = if shared.value == Sharing::Fast { " by leases" } else { "" };
            write!(f, ", shared{how}, without Redis {}", self.on_outage.word())?;
        }
        f.write_str(match (self.headers, self.legacy_headers) {
            (true, false) => "",
            (true, true) => ", told in X-RateLimit too",
            (false, true) => ", told in X-RateLimit only",
            (false, false) => ", told to nobody",
        })
    }
}

impl fmt::Display for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&limits.join("; "))
    }
}

fn words() -> [(&'static str, LimitBy); 9] {
    [
        LimitBy::Ip,
        LimitBy::App,
        LimitBy::User,
        LimitBy::Key,
        LimitBy::Plan,
        LimitBy::Device,
        LimitBy::Route,
        LimitBy::Api,
        LimitBy::Global,
    ]
    .map(|by| (by.word(), by))
}

fn default_headers() -> bool {
    true
}

pub(super) static RATE_LIMIT: Keys = Keys {
    of: "`rate_limit`",
    known: &[
        "limit",
        "burst",
        "by",
        "algorithm",
        "queue",
        "when",
        "cost",
        "charge",
        "except",
        "ipv6_prefix",
        "headers",
        "legacy_headers",
        "shared",
        "on_outage",
    ],
    later: &[],
    shared: None,
};

/// Limits of a route: each costs every request.
pub const MOST_LIMITS: usize = 8;

/// Requests that wait for one limit of one caller.
pub(super) const LONGEST_QUEUE: u32 = 10_000;
/// Nanoseconds in which a shared bucket fills: Redis counts in numbers that are exact up to 2^53.
const LONGEST_SHARED_SPAN: u64 = 100 * 86_400_000_000_000;

/// Tokens in a bucket.
pub(super) const MOST_BURST: u32 = 1_000_000_000;
