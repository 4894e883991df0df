//! Whose requests a limit counts together, for which it is, and what one counts.

use crate::config::LimitBy;
use crate::customer::{USUAL_PREFIX, with_octets};
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::identity::Identity;
use crate::route::detect;

/// The ways to tell whose requests they are, each at the place of its number ([`By::key`]).
pub(crate) const WAYS: [&str; 11] =
    ["ip", "app", "user", "key", "route", "api", "global", "header", "expression", "plan", "device"];

/// Whose requests are counted together, compiled.
#[derive(Debug)]
pub(crate) struct By {
    what: What,
    /// Leading bits by which addresses of IPv6 are told apart.
    ipv6_prefix: u8,
}

#[derive(Debug)]
enum What {
    Ip,
    App,
    User,
    Key,
    Plan,
    Device,
    Route,
    Api,
    Global,
    Header(Box<str>),
    Expression(Expression),
}

impl By {
    /// Nothing for one by an expression that is none.
    pub(crate) fn new(config: &LimitBy, expression: Option<Expression>) -> Option<Self> {
        let what = match config {
            LimitBy::Ip => What::Ip,
            LimitBy::App => What::App,
            LimitBy::User => What::User,
            LimitBy::Key => What::Key,
            LimitBy::Plan => What::Plan,
            LimitBy::Device => What::Device,
            LimitBy::Route => What::Route,
            LimitBy::Api => What::Api,
            LimitBy::Global => What::Global,
            LimitBy::Header(name) => What::Header(name.as_str().into()),
            LimitBy::Expression(_) => What::Expression(expression?),
        };
        Some(Self { what, ipv6_prefix: USUAL_PREFIX })
    }

    /// The same, with another prefix where one is said.
    pub(crate) fn with_prefix(self, ipv6_prefix: Option<u8>) -> Self {
        Self { ipv6_prefix: ipv6_prefix.unwrap_or(self.ipv6_prefix), ..self }
    }

    /// Each app, or each user where there is no app, or each address, told apart as here.
    pub(crate) fn caller(&self) -> Self {
        Self { what: What::App, ipv6_prefix: self.ipv6_prefix }
    }

    /// Whose request it is, as a key that is made of the way to tell and what tells. Each way has keys of its own: an app is not the
    /// user of the same name.
    pub(crate) fn key<K>(&self, exchange: &Exchange, key: impl Fn(u8, &[u8]) -> K) -> K {
        let ip = || with_octets(exchange.caller.ip, self.ipv6_prefix, |ip| key(0, ip));
        let identity = exchange.identity();
        let part = |way: u8, part: fn(&Identity) -> &str| {
            let text = identity.map(part).filter(|text| !text.is_empty())?;
            Some(key(way, text.as_bytes()))
        };
        let app = || part(1, |identity| &identity.app);
        let user = || part(2, |identity| &identity.user);
        let own_key = || part(3, |identity| &identity.key);
        let route = exchange.route.map(|index| &exchange.live.snapshot.routes[index]);
        match &self.what {
            What::Ip => ip(),
            What::App => app().or_else(user).unwrap_or_else(ip),
            What::User => user().or_else(app).unwrap_or_else(ip),
            What::Key => own_key().or_else(user).or_else(app).unwrap_or_else(ip),
            What::Plan => part(9, |identity| &identity.plan).or_else(app).or_else(user).unwrap_or_else(ip),
            What::Device => {
                let class = detect(&exchange.live.snapshot.devices, &exchange.request.fields);
                class.map_or_else(ip, |class| key(10, class.as_bytes()))
            }
            What::Route => key(4, route.map_or("", |route| &route.name).as_bytes()),
            What::Api => key(5, route.map_or("", |route| &route.api).as_bytes()),
            What::Global => key(6, b""),
            What::Header(name) => {
                let value = exchange.request.fields.get_named(name.as_bytes());
                value.map_or_else(ip, |value| key(7, value))
            }
            What::Expression(expression) => {
                let value = exchange.evaluate_text(expression);
                value.map_or_else(ip, |value| key(8, value.as_bytes()))
            }
        }
    }
}

/// Whether a limit is for a request. It is where that cannot be told.
pub(crate) fn is_for(when: Option<&Expression>, exchange: &Exchange) -> bool {
    when.is_none_or(|when| when.matches(&exchange.context()).unwrap_or(true))
}

/// What a request counts; nothing where it is not counted. It counts 1 where that cannot be told.
pub(crate) fn cost_of(cost: Option<&Expression>, exchange: &Exchange) -> Option<u64> {
    let Some(cost) = cost else { return Some(1) };
    Some(cost.evaluate_count(&exchange.context()).unwrap_or(1)).filter(|cost| *cost > 0)
}

/// Who may do no more, for who is refused: what comes behind `these are more requests than`.
pub(crate) fn who_may(by: &LimitBy) -> String {
    match by {
        LimitBy::Global => "all callers together may make".to_owned(),
        LimitBy::Route => "all callers together may make of this route".to_owned(),
        LimitBy::Api => "all callers together may make of this API".to_owned(),
        LimitBy::Plan => "all callers of one plan together may make".to_owned(),
        LimitBy::Device => "all of one kind of device together may make".to_owned(),
        LimitBy::Ip => "one address may make".to_owned(),
        LimitBy::Header(name) => format!("callers with one value of {name} may make"),
        LimitBy::Expression(_) => "one caller may make".to_owned(),
        by => format!("one {by} may make"),
    }
}

/// Whose requests they are, for who is refused: what comes behind `requests`.
pub(crate) fn whose(by: &LimitBy) -> String {
    match by {
        LimitBy::Global => "of all callers together".to_owned(),
        LimitBy::Route => "to this route".to_owned(),
        LimitBy::Api => "to this API".to_owned(),
        LimitBy::Plan => "of all callers of one plan".to_owned(),
        LimitBy::Device => "from one kind of device".to_owned(),
        LimitBy::Ip => "from one address".to_owned(),
        LimitBy::Header(name) => format!("with one value of {name}"),
        LimitBy::Expression(_) => "of one caller".to_owned(),
        by => format!("of one {by}"),
    }
}
