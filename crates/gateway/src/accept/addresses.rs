//! How many connections an address has open, and how fast it makes new ones, over all workers of a listener.
//!
//! A table of fixed size that nobody locks. Each address has a slot in each of two rows, at places that only this process can foretell. It is
//! refused when both of its slots are full, so that it takes two others in its way before somebody is taken for who they are not. However
//! many addresses there are, the memory stays the same, and nothing is ever looked for or thrown out.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use crate::clock;
use crate::config::PerAddress;
use crate::config::values::Rate;
use crate::customer::customer;
use crate::notice::NowAndThen;

/// What one address may do, or a whole /64 of IPv6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressLimits {
    /// Connections open at once.
    pub connections: Option<PerAddress<u32>>,
    /// New connections: so many at once, and as many again in the time.
    pub rate: Option<Rate>,
}

/// What is known of addresses.
#[derive(Debug)]
pub struct Addresses {
    places: RandomState,
    slots: Box<[Slot]>,
    began: Instant,
    /// Refusals.
    pub refused: NowAndThen,
}

/// One place: what all addresses that share it have done.
#[derive(Debug, Default)]
struct Slot {
    open: AtomicU32,
    /// When the last new connection would have come at the slowest allowed pace, in nanoseconds from the beginning.
    due: AtomicU64,
}

/// A connection that counts for its address.
#[derive(Debug)]
pub struct AddressPlace {
    addresses: Arc<Addresses>,
    slots: [usize; ROWS],
}

/// Why an address may make no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// It has too many.
    Open,
    /// It makes them too fast.
    New,
}

impl Crowded {
    /// The reason in the metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Open => "address_limit",
            Self::New => "address_rate",
        }
    }
}

impl AddressLimits {
    /// Whether anything is limited.
    pub fn is_some(&self) -> bool {
        self.connections.is_some() || self.rate.is_some()
    }
}

impl Default for Addresses {
    fn default() -> Self {
        let began = clock::refresh();
        Self {
            places: RandomState::new(),
            slots: (0..ROWS * SLOTS).map(|_| Slot::default()).collect(),
            began,
            refused: NowAndThen::since(began),
        }
    }
}

impl Addresses {
    /// Counts a new connection of this address, unless it may have none.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &AddressLimits,
        now: Instant,
    ) -> Result<AddressPlace, Crowded> {
        let hash = self.places.hash_one(customer(address));
        let place = AddressPlace {
            addresses: Arc::clone(self),
            // A half of the hash for each row.
            slots: [(hash as u32 as usize) % SLOTS, SLOTS + (hash >> 32) as usize % SLOTS],
        };
        let slots = place.slots.map(|at| &self.slots[at]);
        // Counted first: two workers that look at the same time must not both see the last place.
        let open = slots.map(|slot| slot.open.fetch_add(1, Ordering::Relaxed) + 1);
        if limits.connections.is_some_and(|limit| open.iter().all(|open| *open > limit.most)) {
            return Err(Crowded::Open);
        }
        if let Some(rate) = limits.rate {
            let now = now.saturating_duration_since(self.began).as_nanos() as u64;
            // Both, and not only until one has room: each counts all that it lets through.
            let has_room = slots.map(|slot| slot.takes(rate, now));
            if has_room == [false; ROWS] {
                return Err(Crowded::New);
            }
        }
        Ok(place)
    }
}

impl Slot {
    /// Counts one more at this time if the pace allows it (a bucket of tokens, kept as the time at which it is full again).
    fn takes(&self, rate: Rate, now: u64) -> bool {
        let period = rate.period.as_nanos() as u64;
        let each = period / rate.count.max(1);
        let next = |due: u64| {
            let due = due.max(now) + each;
            (due - now <= period).then_some(due)
        };
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        for at in self.slots {
            self.addresses.slots[at].open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

const ROWS: usize = 2;
/// Places in a row: 1 MiB in all.
const SLOTS: usize = 1 << 15;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(connections: Option<u32>, rate: Option<&str>) -> AddressLimits {
        let connections = connections.map(|most| PerAddress { most, is_default: false });
        AddressLimits { connections, rate: rate.map(|rate| Rate::parse(rate).unwrap()) }
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may() {
        let table = Arc::new(Addresses::default());
        let two = limits(Some(2), None);
        let admit = |text: &str| table.admit(address(text), &two, table.began);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Crowded::Open);
        let _other = admit("192.0.2.2").unwrap();
        drop(first);
        let _third = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Crowded::Open);
        // What is one customer's counts as one.
        let _v6 = [admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap()];
        assert!(admit("2001:db8::3:0:0:1").is_err());
        assert!(admit("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn an_address_makes_connections_as_fast_as_it_may() {
        let table = Arc::new(Addresses::default());
        let ten = limits(None, Some("10/s"));
        let at = |millis: u64| {
            let now = table.began + Duration::from_millis(millis);
            table.admit(address("192.0.2.1"), &ten, now).map(drop)
        };
        assert!((0..10).all(|_| at(0).is_ok()));
        assert_eq!(at(0), Err(Crowded::New));
        assert_eq!(at(99), Err(Crowded::New));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(100), Err(Crowded::New));
        // A refusal costs nothing: who waits is let in.
        assert_eq!((0..25).filter(|_| at(2000).is_ok()).count(), 10);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_memory_and_hardly_anybodys_place() {
        let table = Arc::new(Addresses::default());
        let some = limits(Some(20), Some("20/s"));
        let flood: Vec<_> = (0..100_000_u32)
            .map(|number| IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64 | 0x2001 << 112)))
            .map(|address| table.admit(address, &some, table.began))
            .collect();
        assert!(flood.iter().all(Result::is_ok));
        assert_eq!(table.slots.len(), ROWS * SLOTS);
        assert!(table.admit(address("192.0.2.1"), &some, table.began).is_ok());
        drop(flood);
        assert!(table.slots.iter().all(|slot| slot.open.load(Ordering::Relaxed) == 0));
    }
}
