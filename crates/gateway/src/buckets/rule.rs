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

    /// How many of so many that were too much come back after this time, in nanoseconds, where it was so long until all was there when they
    /// were taken. Of a bucket no more than what has not come by itself since: it may have been full meanwhile.
    pub fn returned(self, less: u64, full_in: u64, elapsed: u64) -> u64 {
        match self {
            Self::TokenBucket(pace) => less.min(full_in.saturating_sub(elapsed) / pace.interval()),
            Self::FixedWindow(_) | Self::SlidingLog(_) | Self::SlidingCounter(_) => less,
        }
    }

    /// What is left, and the nanoseconds until all is, where that was so before a request has cost so much more or less.
    pub fn after(self, (left, full_in): (u64, u64), cost: u64, total: u64) -> (u64, u64) {
        let (more, less) = (total.saturating_sub(cost), cost.saturating_sub(total));
        let left = left.saturating_sub(more).saturating_add(less).min(self.quota());
        let full_in = match self {
            Self::TokenBucket(pace) => {
                let time = |tokens: u64| pace.interval().saturating_mul(tokens);
                full_in.saturating_add(time(more)).saturating_sub(time(less)).min(pace.longest())
            }
            Self::SlidingLog(window) if more > 0 => window.length(),
            Self::FixedWindow(_) | Self::SlidingLog(_) | Self::SlidingCounter(_) => full_in,
        };
        (left, full_in)
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
