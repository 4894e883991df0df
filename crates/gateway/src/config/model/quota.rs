//! `quota`: how much callers may use in each day, week or month of the calendar.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::rate_limit::LimitBy;
use crate::config::fault::Fault;
use crate::config::node::{Node, Value};
use crate::config::read::{Keys, Read, Reader};
use crate::config::schema::or_text;
use crate::config::source::{Located, Span};
use crate::config::values::{CalendarRate, Percent, Zone};

/// The quotas of a route, or of a plan: a request needs room in each.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Quotas(pub Vec<Quota>);

/// How much callers may use in each day, week or month of the calendar. Plain text is `limit`.
#[derive(Clone, Debug, PartialEq, Hash, JsonSchema)]
#[schemars(transform = or_text)]
pub struct Quota {
    /// How many requests in each day, week (from Monday on) or month: `10000/d`, `50000/w`, `1000000/month`.
    pub limit: CalendarRate,
    /// Whose requests are counted together: those of one `app`, `user`, `key` or `plan`; or all of the `route` or the `api`, or `global` for
    /// all that the quota is for. Default: `app`.
    #[schemars(with = "Option<String>")]
    pub by: Located<LimitBy>,
    /// The time zone at whose midnight it begins anew. Default: `UTC`.
    #[schemars(with = "Option<Zone>")]
    pub zone: Zone,
    /// Whether nobody is refused who has used it up: answers then tell of it in `X-Quota-Warning`. Default: `false`.
    #[schemars(default)]
    pub soft: bool,
    /// The share of it from which on answers tell of it in `X-Quota-Warning`. Default: `100%` where it is `soft`, or else never.
    pub warn: Option<Percent>,
    /// An expression: only requests for which it is true are counted. Where it cannot be told, they are. Default: all.
    #[schemars(with = "Option<String>")]
    pub when: Option<Located<String>>,
    /// An expression: what a request counts, rounded up. With 0 it is not counted; where it cannot be told, it counts 1. Default: 1.
    #[schemars(with = "Option<String>")]
    pub cost: Option<Located<String>>,
    /// Whether answers tell of it in `RateLimit` and `RateLimit-Policy`. A refusal always has `Retry-After`. Default: `true`.
    #[schemars(default = "default_headers")]
    pub headers: bool,
    /// Whether all gateways with the same `cluster.redis` count together. Default: `false`.
    #[schemars(with = "Option<bool>")]
    pub shared: Located<bool>,
}

impl Quota {
    fn new(limit: CalendarRate, at: Span) -> Self {
        Self {
            limit,
            by: Located::new(LimitBy::App, at),
            zone: Zone::default(),
            soft: false,
            warn: None,
            when: None,
            cost: None,
            headers: default_headers(),
            shared: Located::new(false, at),
        }
    }

    /// How many requests must have been counted for callers to be warned; nothing where they are not.
    pub fn warned_from(&self) -> Option<u64> {
        const WHOLE: u128 = 1_000_000;
        let share = match self.warn {
            Some(share) => u128::from(share.millionths()),
            None if self.soft => WHOLE,
            None => return None,
        };
        u64::try_from((u128::from(self.limit.count) * share).div_ceil(WHOLE)).ok()
    }
}

impl Read for Quotas {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let quotas: Vec<Quota> = Vec::read(node, reader)?;
        if let Value::List(items) = &node.value {
            if items.is_empty() {
                reader.wrong(node.head(), "this list is empty: name a quota, or write `off`");
            } else if items.len() > MOST_QUOTAS {
                reader.wrong(node.head(), format!("there are at most {MOST_QUOTAS} quotas in a list"));
            }
        }
        Some(Self(quotas))
    }
}

impl Read for Quota {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Text(_)) {
            return Some(Self::new(CalendarRate::read(node, reader)?, node.span));
        }
        let mut map = reader.map(node, &QUOTA)?;
        let at = map.value_span("limit").unwrap_or(map.head());
        let limit: Option<CalendarRate> = map.required("limit", reader);
        let by = LimitBy::take(&mut map, LimitBy::App, at, reader).and_then(|by| known(by, reader));
        let zone = map.or("zone", Zone::default(), reader);
        let soft = map.or("soft", false, reader);
        let warn = map.optional("warn", reader);
        let when = map.optional("when", reader);
        let cost = map.optional("cost", reader);
        let headers = map.or("headers", default_headers(), reader);
        let shared = map.optional("shared", reader);
        map.finish(reader);
        let usual = Self::new(limit?, at);
        let shared = shared.unwrap_or(usual.shared);
        Some(Self { limit: usual.limit, by: by?, zone, soft, warn, when, cost, headers, shared })
    }
}

/// What made-up values would make endless is not for what is written down.
fn known(by: Located<LimitBy>, reader: &mut Reader) -> Option<Located<LimitBy>> {
    if matches!(by.value, LimitBy::Ip | LimitBy::Device | LimitBy::Header(_) | LimitBy::Expression(_)) {
        let message =
            "a quota is for who is known: app, user, key or plan, or for the route, the api or global";
        let fault = Fault::error("bad_value", by.span, message);
        reader.fault(fault.help("`rate_limit` with `algorithm: fixed_window` counts by the day for anybody"));
        return None;
    }
    Some(by)
}

impl JsonSchema for Quotas {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quotas".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Quota>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.limit, self.by.value)?;
        if self.zone != Zone::default() {
            write!(f, " in {}", self.zone)?;
        }
        if self.soft {
            f.write_str(", soft")?;
        }
        if let Some(share) = self.warn {
            write!(f, ", warned from {share}")?;
        }
        if let Some(when) = &self.when {
            write!(f, ", when {}", when.value)?;
        }
        if let Some(cost) = &self.cost {
            write!(f, ", cost {}", cost.value)?;
        }
        f.write_str(match (self.shared.value, self.headers) {
            (true, true) => ", shared",
            (true, false) => ", shared, told to nobody",
            (false, true) => "",
            (false, false) => ", told to nobody",
        })
    }
}

impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotas: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&quotas.join("; "))
    }
}

fn default_headers() -> bool {
    true
}

pub(super) static QUOTA: Keys = Keys {
    of: "`quota`",
    known: &["limit", "by", "zone", "soft", "warn", "when", "cost", "headers", "shared"],
    later: &[],
    shared: None,
};

/// Quotas in one place: each costs every request.
pub const MOST_QUOTAS: usize = 4;
