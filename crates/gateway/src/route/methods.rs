//! Sets of methods as bits, so that a route's methods cost one test.

use http::Method;

/// The methods that a router knows: the usual ones and those its routes name.
#[derive(Debug, Clone, Default)]
pub(super) struct Methods {
    extensions: Vec<Method>,
}

/// A set of methods of one [`Methods`].
pub(super) type MethodBits = u64;

pub(super) const GET: MethodBits = 1;
pub(super) const HEAD: MethodBits = 1 << 1;
pub(super) const OPTIONS: MethodBits = 1 << 6;
pub(super) const CONNECT: MethodBits = 1 << 7;

const USUAL: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// What a route that takes any method is said to allow: RFC 9110's, without CONNECT and TRACE.
const ANY_SHOWN: MethodBits = 0b0111_1111;

/// Methods outside RFC 9110 and RFC 5789 that one configuration may name.
pub const MAX_EXTENSION_METHODS: usize = 64 - USUAL.len();

impl Methods {
    /// The bit of a method, which becomes known if it was not. `None` when there is no bit left.
    pub(super) fn learn(&mut self, method: &Method) -> Option<MethodBits> {
        let known = self.bit(method);
        if known != 0 {
            return Some(known);
        }
        if self.extensions.len() == MAX_EXTENSION_METHODS {
            return None;
        }
        self.extensions.push(method.clone());
        Some(self.bit(method))
    }

    /// The bit of a method, zero when no route names it.
    pub(super) fn bit(&self, method: &Method) -> MethodBits {
        match *method {
            Method::GET => GET,
            Method::HEAD => HEAD,
            Method::POST => 1 << 2,
            Method::PUT => 1 << 3,
            Method::PATCH => 1 << 4,
            Method::DELETE => 1 << 5,
            Method::OPTIONS => OPTIONS,
            Method::CONNECT => CONNECT,
            Method::TRACE => 1 << 8,
            _ => match self.extensions.iter().position(|known| known == method) {
                Some(at) => 1 << (USUAL.len() + at),
                None => 0,
            },
        }
    }

    fn names(&self, bits: MethodBits) -> impl Iterator<Item = &Method> {
        USUAL
            .iter()
            .chain(&self.extensions)
            .enumerate()
            .filter(move |(at, _)| bits >> at & 1 == 1)
            .map(|(_, m)| m)
    }
}

/// The methods that a path and host allow.
#[derive(Debug, Clone, Copy)]
pub struct AllowList<'r> {
    pub(super) methods: &'r Methods,
    pub(super) bits: MethodBits,
}

impl<'r> AllowList<'r> {
    /// What routes with these methods allow, the automatic answers included. `any` when one takes all.
    pub(super) fn new(methods: &'r Methods, mut bits: MethodBits, any: bool) -> Self {
        if any {
            bits |= ANY_SHOWN;
        }
        if bits & GET != 0 {
            bits |= HEAD;
        }
        Self { methods, bits: bits | OPTIONS }
    }

    /// The methods, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &'r Method> + use<'r> {
        self.methods.names(self.bits)
    }

    /// Appends the value of `Allow` (RFC 9110, section 10.2.1), e.g. `GET, HEAD, OPTIONS`.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (at, method) in self.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(method.as_str().as_bytes());
        }
    }
}

impl std::fmt::Display for AllowList<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, method) in self.iter().enumerate() {
            write!(formatter, "{}{method}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_bit_of_its_own_until_there_is_none_left() {
        let mut methods = Methods::default();
        let mut all = 0;
        for method in &USUAL {
            all |= methods.learn(method).unwrap();
        }
        for at in 0..MAX_EXTENSION_METHODS {
            let method = Method::from_bytes(format!("X{at}").as_bytes()).unwrap();
            assert_eq!(methods.bit(&method), 0);
            let bit = methods.learn(&method).unwrap();
            assert_eq!(all & bit, 0);
            assert_eq!(methods.learn(&method), Some(bit));
            all |= bit;
        }
        assert_eq!(all, u64::MAX);
        assert_eq!(methods.learn(&Method::from_bytes(b"Y").unwrap()), None);
    }

    #[test]
    fn an_allow_list_is_written_in_a_fixed_order_with_the_automatic_methods() {
        let mut methods = Methods::default();
        let purge = methods.learn(&Method::from_bytes(b"PURGE").unwrap()).unwrap();
        let post = methods.bit(&Method::POST);
        for (bits, any, expected) in [
            (post, false, "POST, OPTIONS"),
            (GET, false, "GET, HEAD, OPTIONS"),
            (purge | post | GET, false, "GET, HEAD, POST, OPTIONS, PURGE"),
            (purge, true, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PURGE"),
        ] {
            let mut out = Vec::new();
            let list = AllowList::new(&methods, bits, any);
            list.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(list.to_string(), expected);
        }
    }
}
