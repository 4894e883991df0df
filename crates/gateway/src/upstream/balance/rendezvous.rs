//! The same key to the same endpoint, and few keys moved when endpoints come and go: rendezvous hashing.
//!
//! A ring of virtual nodes misses the weights by about a tenth at a hundred nodes an endpoint, and lets the number
//! of nodes grow with the weights. Here all keys fall into a fixed number of slots, and each slot goes to the
//! endpoint that draws the best lot for it. Lots depend on nothing but slot, endpoint and its weight, so an endpoint
//! that comes takes just what it wins, in proportion to its weight, and one that goes leaves its slots to all the
//! others. Owners are worked out when first asked for, so that building costs nothing.

use std::cell::RefCell;

use super::hash::hash_bytes;
use super::random::mix;

/// 65,536 slots: at ten endpoints their shares are within about one percent of their weights (one standard
/// deviation), at a hundred within four. 128 KiB, of which only touched pages are resident.
const SLOT_BITS: u32 = 16;

#[derive(Debug)]
pub(super) struct Rendezvous {
    members: Box<[Member]>,
    equal_weights: bool,
    /// One more than the owner's position, by slot; 0 is not known yet.
    owners: RefCell<Vec<u16>>,
}

#[derive(Debug)]
struct Member {
    hash: u64,
    weight: u32,
}

impl Rendezvous {
    /// Of keys and weights.
    pub(super) fn new<'a>(members: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let members: Box<[Member]> =
            members.map(|(key, weight)| Member { hash: hash_bytes(key.as_bytes()), weight }).collect();
        let equal_weights = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { members, equal_weights, owners: RefCell::new(vec![0; 1 << SLOT_BITS]) }
    }

    /// The usable position that owns `hash`, or none if none is usable. While the owner is not usable, each of its
    /// slots goes to the one that would own it if the owner were gone.
    pub(super) fn owner(&self, hash: u64, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        // Mixed again, because what the caller hashed with need not have good upper bits.
        let slot = (mix(hash) >> (u64::BITS - SLOT_BITS)) as usize;
        let known = self.owners.borrow()[slot];
        let owner = if known == 0 {
            let position = self.best(slot, &mut |_| true)?;
            self.owners.borrow_mut()[slot] = position as u16 + 1;
            position
        } else {
            usize::from(known - 1)
        };
        if usable(owner) { Some(owner) } else { self.best(slot, usable) }
    }

    /// The usable position with the best lot for `slot`.
    fn best(&self, slot: usize, usable: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let slot = mix(slot as u64);
        let lots = self.members.iter().enumerate().filter(|&(position, _)| usable(position));
        let lots = lots.map(|(position, member)| (position, mix(member.hash ^ slot), member.weight));
        if self.equal_weights {
            return lots.max_by_key(|&(_, lot, _)| lot).map(|(position, ..)| position);
        }
        first(lots)
    }
}

/// Of some, each with a hash of its own and a weight above zero, the one that owns `hash`: without slots, for so few that all
/// can be looked at.
pub(in crate::upstream) fn owner<T>(hash: u64, members: impl Iterator<Item = (T, u64, u32)>) -> Option<T> {
    let hash = mix(hash);
    first(members.map(|(member, own, weight)| (member, mix(own ^ hash), weight)))
}

/// The one with the best lot for its weight.
///
/// `-ln(lot) / weight` is the time until something happens that happens `weight` times as often: the chance to be the first is
/// in proportion to the weight. It orders equal weights as the lots themselves do.
fn first<T>(lots: impl Iterator<Item = (T, u64, u32)>) -> Option<T> {
    lots.map(|(member, lot, weight)| (member, -unit(lot).ln() / f64::from(weight)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(member, _)| member)
}

/// `lot` as a fraction above 0 and below 1.
fn unit(lot: u64) -> f64 {
    ((lot >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}
