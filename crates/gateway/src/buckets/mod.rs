//! What callers have used up of their limits: one table of buckets for the whole process, which outlives snapshots.
//!
//! Its size is fixed, and nobody waits in it: a key has one set of places, where it finds its own or takes one whose bucket is full, which
//! is as good as none. Where no place is free, a key goes on the one that its hash says, together with its owner: both may only do what
//! is left to the two together, so that a flood of keys makes nobody freer. `docs/decisions/0019-buckets-in-a-fixed-table.md` has the why.

mod pace;
mod set;

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Instant;

pub use pace::{Empty, Pace};

use crate::clock;
use set::{Set, Standing};

/// The buckets of a process.
#[derive(Debug)]
pub struct Buckets {
    places: RandomState,
    sets: Box<[Set]>,
    began: Instant,
}

/// Whose bucket it is: the same in all snapshots of the process, and foretold by nobody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The number that it is.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A token that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Tokens that are left.
    pub left: u64,
    /// Nanoseconds until the bucket is full again.
    pub full_in: u64,
    key: Key,
    standing: Standing,
    before: u64,
    after: u64,
}

/// What a caller may still do, as an answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The place of the limit that it is about among those of its route.
    pub limit: usize,
    /// Requests that are left.
    pub left: u64,
    /// Seconds until all of them are there again.
    pub full_in: u64,
}

impl Default for Buckets {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Buckets {
    /// With so many sets of seven places.
    pub fn with_sets(sets: usize) -> Self {
        Self {
            places: RandomState::new(),
            sets: (0..sets.max(1)).map(|_| Set::default()).collect(),
            began: clock::refresh(),
        }
    }

    /// The key of something.
    #[inline]
    pub fn key(&self, of: impl Hash) -> Key {
        Key(self.places.hash_one(of).max(1))
    }

    /// A number for something, to make keys of.
    pub fn identity(&self, of: impl Hash) -> u64 {
        self.places.hash_one(of)
    }

    /// The time, as of the worker's last reading: nanoseconds since the table was made.
    #[inline]
    pub fn now(&self) -> u64 {
        clock::now().saturating_duration_since(self.began).as_nanos() as u64
    }

    /// Whether there is a token, without taking it.
    pub fn look(&self, key: Key, pace: Pace, now: u64) -> Result<(), Empty> {
        let set = self.set(key);
        let due = match set.find(key.0) {
            Some(way) => set.settle(way, pace, now),
            None => set.outlook(key.0, now),
        };
        pace.take(due, now).map(drop)
    }

    /// Takes a token.
    #[inline]
    pub fn take(&self, key: Key, pace: Pace, now: u64) -> Result<Taken, Empty> {
        let set = self.set(key);
        loop {
            let standing = set.stand(key.0, now);
            let before = match standing {
                Standing::Own(way) => set.settle(way, pace, now),
                Standing::Guest(way) => set.due(way),
            };
            let after = pace.take(before, now)?;
            if set.charge(key.0, standing, before, after) {
                let left = pace.left(after, now);
                return Ok(Taken { left, full_in: after - now, key, standing, before, after });
            }
        }
    }

    /// Puts back a token that was taken for nothing. Where somebody has been at the bucket since, it stays taken.
    pub fn give_back(&self, taken: &Taken) {
        self.set(taken.key).restore(taken.standing, taken.after, taken.before);
    }

    #[inline]
    fn set(&self, key: Key) -> &Set {
        &self.sets[key.0 as usize % self.sets.len()]
    }
}

/// 16 MiB, and 917,504 callers at once who have used up something.
const SETS: usize = 1 << 17;

#[cfg(test)]
mod tests;
