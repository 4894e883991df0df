//! Which endpoint a request belongs to: by the client's address, a value in it, or the cookie that it was given before.

use std::sync::Arc;

use http1::Known;

use super::{Picked, Service, balance};
use crate::exchange::Exchange;
use crate::expression::Expression;

/// Which part of a request decides the endpoint, for the policies that look at one.
#[derive(Debug)]
pub enum Affinity {
    /// None.
    None,
    /// The client's address.
    ClientIp,
    /// The value of an expression.
    Key(Expression),
    /// A cookie of this name.
    Cookie(Arc<str>),
}

/// The hash of the part of the request that decides the endpoint.
pub(super) fn hash(exchange: &Exchange, service: &Service) -> Option<u64> {
    match &*service.spec.affinity {
        Affinity::None | Affinity::Cookie(_) => None,
        Affinity::ClientIp => Some(balance::hash_ip(exchange.caller.ip)),
        Affinity::Key(expression) => {
            exchange.evaluate_text(expression).map(|key| balance::hash_bytes(key.as_bytes()))
        }
    }
}

/// The cookie that names the endpoint of a client that was here before.
pub(super) fn sticky<'a>(exchange: &'a Exchange, service: &Service) -> Option<&'a [u8]> {
    let Affinity::Cookie(name) = &*service.spec.affinity else { return None };
    exchange
        .request
        .fields
        .get_all(Known::Cookie)
        .find_map(|field| balance::find_cookie(field, name.as_bytes()))
}

/// Has the client bring the cookie of the endpoint that answered.
pub(super) fn set_sticky(service: &Service, picked: &Picked, exchange: &mut Exchange) {
    if let Affinity::Cookie(name) = &*service.spec.affinity
        && picked.set_sticky
        && let Some(id) = service.sticky_id(picked.index)
    {
        let cookie = balance::set_cookie(name, id, exchange.is_tls());
        exchange.response.fields.append(Known::SetCookie, cookie.as_bytes());
    }
}
