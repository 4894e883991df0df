//! Whose requests a limit counts together.

use crate::config::LimitBy;
use crate::customer::with_octets;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::identity::Identity;
use crate::route::detect;

/// Whose requests are counted together, compiled.
#[derive(Debug)]
pub(crate) enum By {
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
        Some(match config {
            LimitBy::Ip => Self::Ip,
            LimitBy::App => Self::App,
            LimitBy::User => Self::User,
            LimitBy::Key => Self::Key,
            LimitBy::Plan => Self::Plan,
            LimitBy::Device => Self::Device,
            LimitBy::Route => Self::Route,
            LimitBy::Api => Self::Api,
            LimitBy::Global => Self::Global,
            LimitBy::Header(name) => Self::Header(name.as_str().into()),
            LimitBy::Expression(_) => Self::Expression(expression?),
        })
    }

    /// Whose request it is, as a key that is made of the way to tell and what tells. Each way has keys of its own: an app is not the
    /// user of the same name.
    /// An address of IPv6 is told by so many leading bits.
    pub(crate) fn key<K>(&self, exchange: &Exchange, ipv6_prefix: u8, key: impl Fn(u8, &[u8]) -> K) -> K {
        let ip = || with_octets(exchange.caller.ip, ipv6_prefix, |ip| key(0, ip));
        let identity = exchange.identity();
        let part = |way: u8, part: fn(&Identity) -> &str| {
            let text = identity.map(part).filter(|text| !text.is_empty())?;
            Some(key(way, text.as_bytes()))
        };
        let app = || part(1, |identity| &identity.app);
        let user = || part(2, |identity| &identity.user);
        let own_key = || part(3, |identity| &identity.key);
        let route = exchange.route.map(|index| &exchange.live.snapshot.routes[index]);
        match self {
            Self::Ip => ip(),
            Self::App => app().or_else(user).unwrap_or_else(ip),
            Self::User => user().or_else(app).unwrap_or_else(ip),
            Self::Key => own_key().or_else(user).or_else(app).unwrap_or_else(ip),
            Self::Plan => part(9, |identity| &identity.plan).or_else(app).or_else(user).unwrap_or_else(ip),
            Self::Device => {
                let class = detect(&exchange.live.snapshot.devices, &exchange.request.fields);
                class.map_or_else(ip, |class| key(10, class.as_bytes()))
            }
            Self::Route => key(4, route.map_or("", |route| &route.name).as_bytes()),
            Self::Api => key(5, route.map_or("", |route| &route.api).as_bytes()),
            Self::Global => key(6, b""),
            Self::Header(name) => {
                let value = exchange.request.fields.get_named(name.as_bytes());
                value.map_or_else(ip, |value| key(7, value))
            }
            Self::Expression(expression) => {
                let value = exchange.evaluate_text(expression);
                value.map_or_else(ip, |value| key(8, value.as_bytes()))
            }
        }
    }
}
