//! The ways in which requests are counted. Each is arithmetic on numbers that places of the table keep.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use super::{Pace, Window};

/// What callers may do, and how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A bucket of tokens that come evenly: one place.
    TokenBucket(Pace),
    /// A count for each window of the clock: one place, until the window ends.
    FixedWindow(Window),
    /// When each of the last requests came: a place for each of them, until it is as old as the window is long.
    SlidingLog(Window),
    /// The counts of the current window and of the one before: two places, each until the window after its own ends.
    SlidingCounter(Window),
}

/// What a request has cost beyond what it took, or of what it took it has not cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// So many more.
    More(u64),
    /// So much less.
    Less(Returned),
}

/// What comes back to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// Of a window: so many.
    pub count: u64,
    /// Of a bucket: the nanoseconds in which it would come by itself.
    pub time: u64,
}

impl Rule {
    /// A bucket of tokens. Nothing for what cannot be counted, as with all rules.
    pub fn token_bucket(count: u64, period: Duration, burst: u64) -> Option<Self> {
        Pace::new(count, period, burst).map(Self::TokenBucket)
    }

    /// So many in each window.
    pub fn fixed_window(count: u64, period: Duration) -> Option<Self> {
        Window::new(count, period).map(Self::FixedWindow)
    }

    /// So many in each stretch of time of this length: exactly for a few, nearly for more.
    pub fn sliding_window(count: u64, period: Duration) -> Option<Self> {
        let rule = if count <= LONGEST_LOG { Self::SlidingLog } else { Self::SlidingCounter };
        Window::new(count, period).map(rule)
    }

    /// The same, where a request may turn out to have cost more than was left: as much again as there may be, and then the caller waits
    /// for it.
    #[must_use]
    pub fn with_debt(self) -> Self {
        match self {
            Self::TokenBucket(pace) => Self::TokenBucket(pace.with_debt()),
            Self::FixedWindow(window) => Self::FixedWindow(window.with_debt()),
            Self::SlidingLog(window) => Self::SlidingLog(window),
            Self::SlidingCounter(window) => Self::SlidingCounter(window.with_debt()),
        }
    }

    /// What may come at once when nothing is used up, which is also what one request may cost.
    pub fn quota(self) -> u64 {
        match self {
            Self::TokenBucket(pace) => pace.burst(),
            Self::FixedWindow(window) | Self::SlidingLog(window) | Self::SlidingCounter(window) => {
                window.count()
            }
        }
    }

    /// Nanoseconds in which the quota comes.
    pub fn span(self) -> u64 {
        match self {
            Self::TokenBucket(pace) => pace.span(),
            Self::FixedWindow(window) | Self::SlidingLog(window) | Self::SlidingCounter(window) => {
                window.length()
            }
        }
    }

    /// Nanoseconds in which all of it comes where as much is used up, or owed, as can be.
    pub fn longest(self) -> u64 {
        match self {
            Self::TokenBucket(pace) => pace.longest(),
            Self::SlidingCounter(window) => window.length() * 2,
            Self::FixedWindow(window) | Self::SlidingLog(window) => window.length(),
        }
    }

    /// What it means that a request which took `cost` has cost `total`, after so many nanoseconds, where it was `full_in` until all was there
    /// when it took them. Of a bucket no more comes back than has not come by itself since: it may have been full meanwhile.
    pub fn difference(self, cost: u64, total: u64, full_in: u64, elapsed: u64) -> Difference {
        if total >= cost {
            return Difference::More(total - cost);
        }
        let returned = self.returned(cost - total);
        Difference::Less(Returned { time: returned.time.min(full_in.saturating_sub(elapsed)), ..returned })
    }

    /// So many, whole.
    pub fn returned(self, count: u64) -> Returned {
        let interval = if let Self::TokenBucket(pace) = self { pace.interval() } else { 0 };
        Returned { count, time: interval.saturating_mul(count) }
    }

    /// What is left, and the nanoseconds until all is, where that was so before a request has cost more or less.
    pub fn after(self, (left, full_in): (u64, u64), difference: Difference) -> (u64, u64) {
        match (self, difference) {
            (Self::TokenBucket(pace), Difference::More(more)) => {
                let time = pace.interval().saturating_mul(more);
                (left.saturating_sub(more), full_in.saturating_add(time).min(pace.longest()))
            }
            (Self::TokenBucket(pace), Difference::Less(Returned { time, .. })) => {
                let full_in = full_in.saturating_sub(time);
                (pace.left(full_in, 0), full_in)
            }
            (Self::SlidingLog(window), Difference::More(more @ 1..)) => {
                (left.saturating_sub(more), window.length())
            }
            (_, Difference::More(more)) => (left.saturating_sub(more), full_in),
            (_, Difference::Less(Returned { count, .. })) => {
                (left.saturating_add(count).min(self.quota()), full_in)
            }
        }
    }

    /// The part of one gateway among so many: one at least.
    #[must_use]
    pub fn part(self, gateways: u64) -> Self {
        match self {
            Self::TokenBucket(pace) => Self::TokenBucket(pace.part(gateways)),
            Self::FixedWindow(window) => Self::FixedWindow(window.part(gateways)),
            Self::SlidingLog(window) => Self::SlidingLog(window.part(gateways)),
            Self::SlidingCounter(window) => Self::SlidingCounter(window.part(gateways)),
        }
    }

    /// What two rules have in common of which one can go on with what the other has counted.
    pub fn family(self) -> (Discriminant<Self>, u64) {
        let length = if let Self::TokenBucket(_) = self { 0 } else { self.span() };
        (discriminant(&self), length)
    }

    /// In which table it counts. A window keeps its place until it ends, whatever its count: days would block those who want one
    /// for a moment. Buckets stay together, as any of them may go on with what another has counted.
    #[inline]
    pub(super) fn table(self) -> usize {
        match self {
            Self::TokenBucket(_) => 0,
            Self::FixedWindow(window) | Self::SlidingLog(window) | Self::SlidingCounter(window) => {
                usize::from(window.length() > MINUTE) + usize::from(window.length() > HOUR)
            }
        }
    }
}

/// Tables of places.
pub(super) const TABLES: usize = 3;

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

/// Requests that a sliding window tells apart one by one.
pub const LONGEST_LOG: u64 = 16;
