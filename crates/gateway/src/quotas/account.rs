//! What one caller has used in the current period.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// An account: a period, told by the number of the day with which it began, and what was used in it.
#[derive(Debug, Default)]
pub struct Account {
    used: AtomicU64,
    /// The same of the period before, of which the last moments may not have been settled when it ended.
    ended: AtomicU64,
    /// What all who count together had used when it was last settled.
    settled: Known,
    /// What was last kept.
    kept: Known,
}

/// What is known elsewhere of the last period, and of the one before. Who settles changes it, each period by itself.
#[derive(Debug, Default)]
struct Known {
    current: AtomicU64,
    ended: AtomicU64,
}

/// What was used in one period: the number of the day with which it began, what is known elsewhere and what is used.
pub(super) type Use = (u32, u64, u64);

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
        let known = || Known { current: packed.into(), ended: AtomicU64::default() };
        Self { used: packed.into(), ended: AtomicU64::default(), settled: known(), kept: known() }
    }

    /// Counts a request that costs so much in the period that began with this day, where no more than `most` is used with it.
    #[inline]
    pub fn spend(&self, day: u32, cost: u64, most: u64) -> Spent {
        let mut before = self.used.load(Acquire);
        loop {
            if day < day_of(before) && day_of(self.ended.load(Acquire)) == day {
                return self.spend_late(day, cost, most);
            }
            let used = used_in(before, day);
            let after = used.saturating_add(cost);
            if after > most {
                return Spent::Beyond(used);
            }
            if before != 0 && day_of(before) != day {
                self.end(before);
            }
            match self.used.compare_exchange_weak(before, pack(day, after), AcqRel, Acquire) {
                Ok(_) => return Spent::Within(after.min(MOST)),
                Err(now) => before = now,
            }
        }
    }

    /// The same in the period before, for a worker whose clock is a little late.
    #[cold]
    fn spend_late(&self, day: u32, cost: u64, most: u64) -> Spent {
        let mut before = self.ended.load(Acquire);
        loop {
            let used = used_in(before, day);
            let after = used.saturating_add(cost);
            // Another has begun since, which is a day ago.
            if after > most || day_of(before) != day {
                return Spent::Beyond(used);
            }
            match self.ended.compare_exchange_weak(before, pack(day, after), AcqRel, Acquire) {
                Ok(_) => return Spent::Within(after.min(MOST)),
                Err(now) => before = now,
            }
        }
    }

    /// What was used in a period, before another begins. Whoever loses the race to begin it says as much, or less; what is given back just
    /// then may stay counted.
    #[cold]
    fn end(&self, last: u64) {
        let greater = |ended| Some(if day_of(ended) == day_of(last) { last.max(ended) } else { last });
        // It never fails.
        let _ = self.ended.fetch_update(AcqRel, Relaxed, greater);
    }

    /// Takes back what was counted for nothing.
    pub fn give_back(&self, day: u32, cost: u64) {
        self.change(day, |used| used.saturating_sub(cost));
    }

    /// What is used in the period that began with this day, if that is the last or the one before.
    pub fn used_in(&self, day: u32) -> u64 {
        let used = self.used.load(Relaxed);
        used_in(if day_of(used) == day { used } else { self.ended.load(Relaxed) }, day)
    }

    /// What was used in the period before and in the last, where that differs from what was settled.
    pub(super) fn unsettled(&self) -> [Option<Use>; 2] {
        self.all().map(unless_known)
    }

    /// The same, also where they are alike.
    pub(super) fn all(&self) -> [Option<Use>; 2] {
        self.uses(&self.settled)
    }

    /// The same, where that differs from what was kept.
    pub(super) fn unkept(&self) -> [Option<Use>; 2] {
        self.uses(&self.kept).map(unless_known)
    }

    fn uses(&self, known: &Known) -> [Option<Use>; 2] {
        // It is ended before the next begins.
        let current = self.used.load(Acquire);
        let ended = self.ended.load(Acquire);
        let (day, last) = (day_of(current), day_of(ended));
        let of_ended = (ended != 0 && last != day).then(|| (last, known.of_ended(last), ended & MOST));
        let of_current =
            (current != 0).then(|| (day, used_in(known.current.load(Relaxed), day), current & MOST));
        [of_ended, of_current]
    }

    /// All together have used so much, with what was used here when they were asked. Nothing where others have settled it since, as when it
    /// became shared meanwhile: what was said is counted there.
    pub(super) fn settle(&self, (day, known, used): Use, total: u64) {
        if self.all().into_iter().flatten().any(|(of, now_known, _)| of == day && now_known != known) {
            return;
        }
        self.know(&self.settled, day, total);
        // Requests have come since.
        self.change(day, |now| (now + total).saturating_sub(used));
    }

    pub(super) fn keep(&self, day: u32, used: u64) {
        self.know(&self.kept, day, used);
    }

    fn know(&self, known: &Known, day: u32, used: u64) {
        if day_of(self.used.load(Acquire)) == day {
            known.set_current(pack(day, used), day_of(self.ended.load(Acquire)));
        } else {
            known.ended.store(pack(day, used), Relaxed);
        }
    }

    /// Whether its last period began before this day.
    pub(super) fn is_past(&self, day: u32) -> bool {
        day_of(self.used.load(Relaxed)) < day
    }

    /// Whether all of it is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled() == [None, None]
    }

    /// Changes what is used in this period, or was if it has just ended.
    fn change(&self, day: u32, to: impl Fn(u64) -> u64) {
        let change = |before| (day_of(before) == day).then(|| pack(day, to(before & MOST)));
        if self.used.fetch_update(AcqRel, Relaxed, change).is_err() {
            // It fails where nothing is to be changed.
            let _ = self.ended.fetch_update(AcqRel, Relaxed, change);
        }
    }
}

impl Known {
    fn of_ended(&self, day: u32) -> u64 {
        let ended = self.ended.load(Relaxed);
        used_in(if day_of(ended) == day { ended } else { self.current.load(Relaxed) }, day)
    }

    /// This is known of the last period. What was known of the one that has ended stays known.
    fn set_current(&self, packed: u64, ended: u32) {
        let before = self.current.swap(packed, Relaxed);
        let is_of_ended = day_of(before) == ended && day_of(packed) != ended;
        let known = self.ended.load(Relaxed);
        if is_of_ended && day_of(known) != ended {
            // It fails where it has just been settled, and more is known.
            let _ = self.ended.compare_exchange(known, before, Relaxed, Relaxed);
        }
    }
}

fn unless_known(of: Option<Use>) -> Option<Use> {
    of.filter(|(_, known, used)| known != used)
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
