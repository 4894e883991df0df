//! How many requests a window of time has seen: the arithmetic of windows, fixed and sliding, without any state.
//!
//! They are windows of the clock on the wall: those of a minute begin with the minute, those of a day with the day of UTC. What is
//! kept of one is one number, as of a bucket: the time until which it counts, and a nanosecond more for each request. There are a
//! thousand nanoseconds for a request, so that no window reaches into the next; and the greater the number, the less is left,
//! whatever else has been added to it, on which the table relies where keys share a place.

use std::time::Duration;

use super::pace::{Empty, LEAST_INTERVAL};

/// So many requests in each window of such a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Nanoseconds.
    length: u64,
    count: u64,
    /// Requests that it may have seen: more where some count more than was left.
    most: u64,
}

impl Window {
    /// So many requests in the period. Nothing for what is faster than can be counted.
    pub fn new(count: u64, period: Duration) -> Option<Self> {
        let length = u64::try_from(period.as_nanos()).ok()?;
        (count > 0 && length / count >= LEAST_INTERVAL).then_some(Self { length, count, most: count })
    }

    /// The same, where what was made may count up to twice as much as may be.
    #[must_use]
    pub fn with_debt(self) -> Self {
        Self { most: self.count * 2, ..self }
    }

    /// Requests in a window.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Requests that it may have seen at most.
    pub fn most(self) -> u64 {
        self.most
    }

    /// Nanoseconds of a window.
    pub fn length(self) -> u64 {
        self.length
    }

    /// So many fewer in each window, and one at least.
    #[must_use]
    pub(super) fn part(self, gateways: u64) -> Self {
        let count = (self.count / gateways.max(1)).max(1);
        let most = if self.most > self.count { count * 2 } else { count };
        Self { count, most, ..self }
    }

    /// Takes so many of a fixed window, of which this is kept; gives what is then.
    ///
    /// `is_alone` says that nobody else has been at the number. Then one that is of a later window is of a worker whose clock is a
    /// little ahead, and this request belongs there too.
    #[inline]
    pub(super) fn take(
        self,
        kept: u64,
        cost: u64,
        now: u64,
        is_alone: impl Fn() -> bool,
    ) -> Result<u64, Empty> {
        let mut end = self.end(now);
        if kept >= end.saturating_add(self.length) && is_alone() {
            end = kept - kept % self.length;
        }
        if kept.saturating_sub(end).saturating_add(cost) <= self.count {
            return Ok(kept.max(end) + cost);
        }
        Err(Empty { wait: end - now, full_in: end - now })
    }

    /// Takes so many of a sliding window; gives what is then kept of the current window.
    ///
    /// Of the window before, so much counts as of it is still within one length: as if its requests had come evenly.
    #[inline]
    pub(super) fn slide(self, kept: u64, kept_before: u64, cost: u64, now: u64) -> Result<u64, Empty> {
        let turn = self.end(now);
        let until = turn + self.length;
        let current = kept.saturating_sub(until).min(self.most);
        let before = self.before(kept_before, now);
        let used = current + self.weight(before, now);
        if used.saturating_add(cost) <= self.count {
            return Ok(kept.max(until) + cost);
        }
        let remaining = turn - now;
        // There is enough when what remains of the window before is as short as this: in this window, or else in the next.
        let wait = if let Some(room) = self.count.saturating_sub(current).checked_sub(cost) {
            remaining.saturating_sub(share(self.length, room, before.max(1)))
        } else {
            let enough = share(self.length, self.count.saturating_sub(cost), current.max(1));
            remaining + self.length.saturating_sub(enough)
        };
        Err(Empty { wait, full_in: if current > 0 { until - now } else { remaining } })
    }

    /// Takes so many more, which may not be left, of the window whose numbers begin here; gives what is then kept.
    pub(super) fn owe(self, kept: u64, first: u64, more: u64) -> u64 {
        kept.max(first).saturating_add(more).min(first + self.most).max(kept)
    }

    /// Puts so many back that were taken of the window whose numbers begin here; gives what is then kept.
    pub(super) fn return_to(self, kept: u64, first: u64, less: u64) -> u64 {
        let is_of_window = (first..first + self.length).contains(&kept);
        if is_of_window { kept.saturating_sub(less).max(first) } else { kept }
    }

    /// Requests that a sliding window has left, with this kept of the current one.
    #[inline]
    pub(super) fn left(self, kept: u64, kept_before: u64, now: u64) -> u64 {
        let current = kept.saturating_sub(self.end(now) + self.length);
        self.count.saturating_sub(current + self.weight(self.before(kept_before, now), now))
    }

    /// The end of the window of this moment.
    #[inline]
    pub(super) fn end(self, now: u64) -> u64 {
        (now / self.length + 1) * self.length
    }

    /// Whether the current window is an odd one: what it counts is then kept apart from what even ones do.
    #[inline]
    pub(super) fn is_odd(self, now: u64) -> bool {
        now / self.length % 2 == 1
    }

    /// Requests of the window before.
    #[inline]
    fn before(self, kept: u64, now: u64) -> u64 {
        kept.saturating_sub(self.end(now)).min(self.most)
    }

    /// What so many requests of the window before count, rounded up.
    #[inline]
    fn weight(self, before: u64, now: u64) -> u64 {
        let remaining = self.end(now) - now;
        before - share(before, self.length - remaining, self.length)
    }
}

/// The share of a number that `part` is of `whole`, rounded down.
#[inline]
fn share(of: u64, part: u64, whole: u64) -> u64 {
    match of.checked_mul(part) {
        Some(product) => product / whole,
        None => u64::try_from(u128::from(of) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX),
    }
}
