//! What one caller has used in the current period.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// An account: a period, told by the number of the day with which it began, and what was used in it.
#[derive(Debug, Default)]
pub struct Account {
    used: AtomicU64,
    /// The same as it was when it was last settled: what all who count together had used.
    settled: AtomicU64,
    /// The same as it was last kept.
    kept: AtomicU64,
}

/// What a request finds in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is counted; this is used by now.
    Within(u64),
    /// It is not: so much was used before.
    Beyond(u64),
}

impl Account {
    /// As it was written down.
    pub(super) fn restored(day: u32, used: u64) -> Self {
        let packed = pack(day, used);
        Self { used: packed.into(), settled: packed.into(), kept: packed.into() }
    }

    /// Counts a request that costs so much in the period that began with this day, where no more than `most` is used with it.
    #[inline]
    pub fn spend(&self, day: u32, cost: u64, most: u64) -> Spent {
        let mut before = self.used.load(Relaxed);
        loop {
            let used = used_in(before, day);
            let after = used.saturating_add(cost);
            if after > most {
                return Spent::Beyond(used);
            }
            match self.used.compare_exchange_weak(before, pack(day, after), AcqRel, Relaxed) {
                Ok(_) => return Spent::Within(after.min(MOST)),
                Err(now) => before = now,
            }
        }
    }

    /// Takes back what was counted for nothing.
    pub fn give_back(&self, day: u32, cost: u64) {
        self.change(day, |used| used.saturating_sub(cost));
    }

    /// What is used in the period that began with this day.
    pub fn used_in(&self, day: u32) -> u64 {
        used_in(self.used.load(Relaxed), day)
    }

    /// The day with which its last period began, what was known of it and what is used, where the two differ.
    pub(super) fn unsettled(&self) -> Option<(u32, u64, u64)> {
        self.all().filter(|(_, known, used)| known != used)
    }

    /// The same, also where they are alike; nothing where nothing is used.
    pub(super) fn all(&self) -> Option<(u32, u64, u64)> {
        let (used, settled) = (self.used.load(Acquire), self.settled.load(Relaxed));
        let day = day_of(used);
        (used != 0).then(|| (day, used_in(settled, day), used_in(used, day)))
    }

    /// All together have used so much, with what was used here when they were asked.
    pub(super) fn settle(&self, day: u32, used: u64, total: u64) {
        self.settled.store(pack(day, total), Relaxed);
        // Requests have come since.
        self.change(day, |now| (now + total).saturating_sub(used));
    }

    /// The day with which its last period began and what is used, where that is not what was kept.
    pub(super) fn unkept(&self) -> Option<(u32, u64)> {
        let used = self.used.load(Acquire);
        (used != self.kept.load(Relaxed)).then(|| (day_of(used), used & MOST))
    }

    pub(super) fn keep(&self, day: u32, used: u64) {
        self.kept.store(pack(day, used), Relaxed);
    }

    /// Whether its last period began before this day, and it has been settled since or never will be.
    pub(super) fn is_past(&self, day: u32) -> bool {
        day_of(self.used.load(Relaxed)) < day
    }

    /// Changes what is used in this period; nothing if another has begun.
    fn change(&self, day: u32, to: impl Fn(u64) -> u64) {
        // It fails where nothing is to be changed.
        let _ = self.used.fetch_update(AcqRel, Relaxed, |before| {
            (day_of(before) == day).then(|| pack(day, to(before & MOST)))
        });
    }
}

/// Days stand in front: 24 bits are enough for 45,000 years.
fn pack(day: u32, used: u64) -> u64 {
    u64::from(day) << USED_BITS | used.min(MOST)
}

fn day_of(packed: u64) -> u32 {
    (packed >> USED_BITS) as u32
}

fn used_in(packed: u64, day: u32) -> u64 {
    if day_of(packed) == day { packed & MOST } else { 0 }
}

const USED_BITS: u32 = 40;
/// The most that an account holds; what comes on top is not counted.
pub(super) const MOST: u64 = (1 << USED_BITS) - 1;
