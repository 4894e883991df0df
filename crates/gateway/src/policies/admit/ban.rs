//! `ban`: whoever is refused too often is refused at once, for a while.
//!
//! Refusals are counted by a sliding window, and a ban is a mark beside it: both stand in [`Buckets`], so that all workers know them, reloads
//! keep them, and no flood of addresses washes them out.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;

use crate::buckets::{Buckets, Key, Rule};
use crate::clock::whole_seconds;
use crate::config;
use crate::config::values::{Cidr, Refusals};
use crate::customer::{USUAL_PREFIX, with_octets};
use crate::exchange::Exchange;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Ban {
    after: Rule,
    /// Nanoseconds for which an address is banned.
    term: u64,
    except: Box<[Cidr]>,
    /// Leading bits by which addresses of IPv6 are told apart.
    ipv6_prefix: u8,
    /// What tells these counts from those of a `ban` with other numbers. The ban that follows is one for all.
    counts: u64,
    bans: u64,
    buckets: Arc<Buckets>,
    summary: Box<str>,
}

impl Ban {
    /// Compiles the configuration; nothing for numbers that no configuration without faults has.
    pub fn build(config: &config::Ban, buckets: Arc<Buckets>) -> Option<Self> {
        let Refusals { count, period } = config.after;
        let after = Rule::sliding_window(count, *period)?;
        buckets.reserve(after);
        buckets.reserve_marks();
        Some(Self {
            after,
            term: u64::try_from(config.term.as_nanos()).ok()?,
            except: config.except.clone().into(),
            ipv6_prefix: config.ipv6_prefix.unwrap_or(USUAL_PREFIX),
            counts: buckets.identity(("refusals", config.after)),
            bans: buckets.identity("ban"),
            buckets,
            summary: config.to_string().into(),
        })
    }

    /// Where it is kept that an address is banned.
    fn term_of(&self, address: IpAddr) -> Key {
        self.key(self.bans, address)
    }

    /// A network of IPv6 is another one by another prefix, also where all bits behind both are zero.
    fn key(&self, place: u64, address: IpAddr) -> Key {
        with_octets(address, self.ipv6_prefix, |octets| {
            let way = if octets.len() > IPV4 { self.ipv6_prefix } else { 0 };
            self.buckets.caller(place, way, octets)
        })
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        self.except.iter().any(|network| network.contains(address))
    }
}

impl Policy for Ban {
    fn name(&self) -> &'static str {
        "ban"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let address = exchange.caller.ip;
        let Some(left) = self.buckets.marked_for(self.term_of(address), self.buckets.now()) else {
            return Step::Continue;
        };
        if self.is_exempt(address) {
            return Step::Continue;
        }
        let detail = "too many requests from this address were refused; Retry-After says when to come back";
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "address_banned", Stage::Admit, detail);
        Step::refuse(refusal.with_retry_after(whole_seconds(left)))
    }

    fn on_response(&self, exchange: &mut Exchange) {
        let outcome = &exchange.outcome;
        if !outcome.is_callers_fault
            || outcome.code == Some("address_banned")
            || self.is_exempt(exchange.caller.ip)
        {
            return;
        }
        let (address, now) = (exchange.caller.ip, self.buckets.now());
        // What is refused before it comes to a ban prolongs none either.
        if self.buckets.marked_for(self.term_of(address), now).is_some() {
            return;
        }
        let key = self.key(self.counts, address);
        let counted = self.buckets.take(key, self.after, 1, now);
        // While the table is full others may count at its places, whose refusals are none of this one's.
        if counted.is_ok_and(|taken| taken.left > 0) || !self.buckets.is_alone(key, self.after, now) {
            return;
        }
        self.buckets.mark(self.term_of(address), self.term, now);
    }

    fn explain(&self) -> String {
        self.summary.to_string()
    }
}

/// Octets of an address of IPv4.
const IPV4: usize = 4;
