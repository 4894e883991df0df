//! How many requests one address may make of a listener (`limits.requests_per_ip`), at next to no cost for those that are let through.
//!
//! What an address has used up stands in [`Buckets`], where all workers look. A connection takes of it in advance, the more at once the
//! faster it goes on, and its requests take from there: most of them look at nothing that another core may have written. What a
//! connection has taken and not used it puts back when it ends.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::listener::{Listener, ListenerSpec};
use super::socket::ListenerName;
use crate::buckets::{Buckets, Empty, Key, Pace, Rule};
use crate::clock;
use crate::config::values::Rate;
use crate::config::{PerAddress, request_pace};
use crate::customer::{USUAL_PREFIX, with_octets};
use crate::exchange::Caller;
use crate::notice::NowAndThen;

/// The limit of a listener, compiled.
#[derive(Debug)]
pub struct RequestLimit {
    limit: PerAddress<Rate>,
    pace: Pace,
    /// What a connection takes in advance, at most.
    most_ahead: u32,
    /// What tells its buckets from those of other listeners.
    place: u64,
    buckets: Arc<Buckets>,
    /// Refusals.
    pub refused: NowAndThen,
}

/// What a connection has of its address's limit.
#[derive(Debug)]
pub struct Portion {
    listener: Rc<Listener>,
    address: IpAddr,
    /// Whether it is a proxy's own, such as its health checks, or nobody knows whose: it is not limited.
    is_proxys: bool,
    left: Cell<u32>,
    /// How much was taken last, and until when that counts as just now.
    taken: Cell<u32>,
    until: Cell<Option<Instant>>,
    /// What it was taken of; nothing where it is not limited.
    of: Cell<Option<Pace>>,
}

impl RequestLimit {
    /// Compiles the limit of this listener, with the buckets that it had `before`, or else those of all limits.
    ///
    /// Nothing for a rate that no configuration without faults has.
    pub fn new(
        limit: PerAddress<Rate>,
        name: &ListenerName,
        before: Option<&Self>,
        all: impl FnOnce() -> Arc<Buckets>,
    ) -> Option<Self> {
        let pace = request_pace(limit.most)?;
        let buckets = match before {
            Some(before) if before.limit.is_default == limit.is_default => Arc::clone(&before.buckets),
            _ if limit.is_default => Arc::new(Buckets::with_sets(SETS_OF_DEFAULT)),
            _ => all(),
        };
        buckets.reserve(Rule::TokenBucket(pace));
        Some(Self {
            limit,
            pace,
            most_ahead: u32::try_from(pace.burst() / PORTIONS).unwrap_or(MOST_AHEAD).clamp(1, MOST_AHEAD),
            place: buckets.identity(("requests", name)),
            buckets,
            refused: NowAndThen::since(clock::now()),
        })
    }

    /// Whether nobody has set it.
    pub fn is_default(&self) -> bool {
        self.limit.is_default
    }

    fn key(&self, address: IpAddr) -> Key {
        with_octets(address, USUAL_PREFIX, |octets| self.buckets.caller(self.place, 0, octets))
    }

    fn take(&self, key: Key, count: u32) -> Result<(), Empty> {
        let rule = Rule::TokenBucket(self.pace);
        self.buckets.take(key, rule, u64::from(count), self.buckets.now()).map(drop)
    }

    fn put_back(&self, address: IpAddr, count: u32) {
        let (rule, now) = (Rule::TokenBucket(self.pace), self.buckets.now());
        self.buckets.put_back(self.key(address), rule, (rule.returned(u64::from(count)), now), now);
    }
}

impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limit.fmt(f)
    }
}

impl Portion {
    /// That of a connection from this address, before its first request.
    pub fn new(listener: Rc<Listener>, address: IpAddr, is_proxys: bool) -> Self {
        Self {
            listener,
            address: address.to_canonical(),
            is_proxys,
            left: Cell::new(0),
            taken: Cell::new(0),
            until: Cell::new(None),
            of: Cell::new(None),
        }
    }

    /// Counts a request, unless its address has none left.
    #[inline]
    pub fn spend(&self, spec: &ListenerSpec, caller: &Caller) -> Result<(), Empty> {
        // Whoever is believed about others brings those of many.
        if caller.trusted {
            let limit = spec.requests_of(caller.ip);
            return limit.map_or(Ok(()), |limit| limit.take(limit.key(caller.ip), 1));
        }
        let left = self.left.get();
        if left > 0 && self.until.get().is_some_and(|until| clock::now() < until) {
            self.left.set(left - 1);
            return Ok(());
        }
        self.take(spec)
    }

    /// Takes the next portion, and a request of it.
    #[cold]
    fn take(&self, spec: &ListenerSpec) -> Result<(), Empty> {
        self.put_back();
        let now = clock::now();
        let is_fast = self.until.get().is_some_and(|until| now < until);
        let Some(limit) = spec.requests_of(self.address).filter(|_| !self.is_proxys) else {
            self.hold(MOST_AHEAD, None, now);
            return Ok(());
        };
        let ahead = if is_fast { (self.taken.get() * 2).clamp(1, limit.most_ahead) } else { 1 };
        let key = limit.key(self.address);
        let taken = match limit.take(key, ahead) {
            Ok(()) => ahead,
            Err(empty) if ahead == 1 => return Err(empty),
            // To the last one.
            Err(_) => limit.take(key, 1).map(|()| 1)?,
        };
        self.hold(taken, Some(limit.pace), now);
        Ok(())
    }

    fn hold(&self, taken: u32, of: Option<Pace>, now: Instant) {
        self.left.set(taken - 1);
        self.taken.set(taken);
        self.until.set(Some(now + GOOD_FOR));
        self.of.set(of);
    }

    /// What was not used, unless by now another limit holds.
    fn put_back(&self) {
        let left = self.left.take();
        if left == 0 || self.of.get().is_none() {
            return;
        }
        let settings = self.listener.settings();
        if let Some(limit) = settings.requests.as_ref().filter(|limit| Some(limit.pace) == self.of.get()) {
            limit.put_back(self.address, left);
        }
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// How much a connection takes in advance, at most: then one request in so many looks at the table.
const MOST_AHEAD: u32 = 32;

/// And at most the so manieth part of what may come at once, so that many connections do not take it from each other. Where that is less
/// than one, each request is counted by itself.
const PORTIONS: u64 = 256;

/// For how long it holds what it has taken: by then as much has come again.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Places for seven addresses each: at the rate of the default a request keeps its place for a fifth of a millisecond.
const SETS_OF_DEFAULT: usize = 1 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::load_text;
    use crate::snapshot::Snapshot;

    fn listener(text: &str) -> Rc<Listener> {
        let text = format!("listeners: [{text}]\nroutes: [{{ match: /a, respond: 200, access: public }}]");
        let (snapshot, _) = Snapshot::build(&load_text(&text).unwrap().0, None).unwrap();
        Listener::new(Arc::clone(&snapshot.listeners[0]))
    }

    fn limited(limit: &str) -> Rc<Listener> {
        listener(&format!("{{ address: :8080, limits: {{ requests_per_ip: {limit} }} }}"))
    }

    fn connection(listener: &Rc<Listener>, address: &str) -> Portion {
        Portion::new(Rc::clone(listener), address.parse().unwrap(), false)
    }

    fn asks(portion: &Portion) -> Result<(), Empty> {
        let peer = (portion.address, 4711).into();
        portion.spend(&portion.listener.settings(), &Caller { peer, ip: portion.address, trusted: false })
    }

    /// How many requests a connection gets through, at most so many.
    fn count(portion: &Portion, most: usize) -> usize {
        (0..most).take_while(|_| asks(portion).is_ok()).count()
    }

    #[test]
    fn an_address_makes_as_many_requests_as_it_may_over_all_its_connections() {
        for (limit, most) in [("1/h", 2), ("10/s", 20), ("1000/s", 2000), ("5000/s", 10_000)] {
            let listener = limited(limit);
            let connections: Vec<_> = (0..7).map(|_| connection(&listener, "192.0.2.1")).collect();
            let through = connections.iter().cycle().take(2 * most).filter(|one| asks(one).is_ok()).count();
            assert_eq!(through, most, "{limit}");
            assert!(asks(&connection(&listener, "192.0.2.1")).is_err(), "{limit}");
            assert!(asks(&connection(&listener, "192.0.2.2")).is_ok(), "{limit}");
        }
    }

    #[test]
    fn who_is_refused_hears_when_to_come_back() {
        let listener = limited("1/m");
        let client = connection(&listener, "192.0.2.1");
        assert_eq!(count(&client, 9), 2);
        let wait = Duration::from_nanos(asks(&client).unwrap_err().wait);
        assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn what_a_connection_took_in_advance_is_there_for_others_when_it_ends() {
        let listener = limited("5000/s");
        for _ in 0..100 {
            // The last portion is of 32, and hardly begun.
            assert_eq!(count(&connection(&listener, "192.0.2.1"), 65), 65);
        }
        assert_eq!(count(&connection(&listener, "192.0.2.1"), 10_000), 10_000 - 6500);
    }

    #[test]
    fn a_customer_of_ipv6_counts_as_one() {
        let listener = limited("5/h");
        assert_eq!(count(&connection(&listener, "2001:db8::1"), 99), 10);
        assert_eq!(count(&connection(&listener, "2001:db8::2"), 99), 0);
        assert_eq!(count(&connection(&listener, "2001:db8:0:1::1"), 99), 10);
    }

    #[test]
    fn another_limit_holds_as_soon_as_a_portion_is_used_up() {
        let listener = limited("off");
        let client = connection(&listener, "192.0.2.1");
        assert_eq!(count(&client, 33), 33);
        listener.set(Arc::clone(&limited("1/h").settings()));
        assert_eq!(count(&client, 99), 31 + 2);
    }

    #[test]
    fn a_default_is_not_for_who_may_be_many_and_nothing_for_who_speaks_for_others() {
        let near = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"];
        let more = "trust_forwarded: 10.0.0.0/8, proxy_protocol: 192.0.2.0/24";
        let default = listener(&format!("{{ address: :8080, {more} }}")).settings();
        let exact = listener(&format!("{{ address: :8080, {more}, limits: {{ requests_per_ip: 10/s }} }}"))
            .settings();
        let socket =
            listener("{ address: 'unix:/run/a.sock', limits: { requests_per_ip: 10/s } }").settings();
        let is_limited = |spec: &ListenerSpec, address: &str| {
            spec.requests_of(address.parse::<IpAddr>().unwrap().to_canonical()).is_some()
        };
        for address in near {
            assert_eq!([&default, &exact].map(|spec| is_limited(spec, address)), [false, true], "{address}");
        }
        for (address, limited) in
            [("10.1.1.1", [false, false]), ("192.0.2.1", [false, true]), ("203.0.113.9", [true, true])]
        {
            assert_eq!([&default, &exact].map(|spec| is_limited(spec, address)), limited, "{address}");
        }
        assert!(!is_limited(&socket, "127.0.0.1"));
        assert!(is_limited(&socket, "203.0.113.9"));
        let own = Portion::new(limited("1/h"), "203.0.113.9".parse().unwrap(), true);
        assert_eq!(count(&own, 99), 99);
    }
}
