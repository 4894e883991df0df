//! How fast tokens come into a bucket and how many it holds: the arithmetic of the limit, without any state.
//!
//! A bucket is kept as one number, the time at which it is full again (the generic cell rate algorithm of ITU-T I.371). That
//! time is `due`, in nanoseconds as `now` is: with `due` past the bucket is full, and each token that is missing puts it off by the
//! interval between two tokens.

use std::time::Duration;

/// A token for each interval, and so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds between two tokens.
    interval: u64,
    /// Nanoseconds in which an empty bucket fills.
    span: u64,
    /// Nanoseconds in which one fills that is as empty as can be: longer where it may owe tokens.
    longest: u64,
}

/// Why there is nothing left, or not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// Nanoseconds until there is enough.
    pub wait: u64,
    /// Nanoseconds until all of them are there again.
    pub full_in: u64,
}

impl Pace {
    /// So many tokens in the period, and so many in a full bucket. Nothing for what is faster or slower than can be counted.
    ///
    /// The interval is rounded up to a nanosecond: it is never faster than was said.
    pub fn new(count: u64, period: Duration, burst: u64) -> Option<Self> {
        let period = u64::try_from(period.as_nanos()).ok()?;
        if count == 0 || burst == 0 {
            return None;
        }
        let interval = period.div_ceil(count);
        let span = interval.checked_mul(burst)?;
        (period / count >= LEAST_INTERVAL && span <= LONGEST_SPAN).then_some(Self {
            interval,
            span,
            longest: span,
        })
    }

    /// The same, where a bucket may owe as many tokens as it holds.
    #[must_use]
    pub fn with_debt(self) -> Self {
        Self { longest: self.span * 2, ..self }
    }

    /// The same where callers may also owe what comes in this time: of a bucket that is full again in longer than `span` something is
    /// owed. Nothing for what cannot be counted.
    pub fn with_delay(self, debt: Duration) -> Option<Self> {
        let span = self.span.checked_add(u64::try_from(debt.as_nanos()).ok()?)?;
        (span <= LONGEST_SPAN).then_some(Self { span, longest: span, ..self })
    }

    /// Takes so many tokens of a bucket that is full at `due`; gives when it then is.
    #[inline]
    pub fn take(self, due: u64, cost: u64, now: u64) -> Result<u64, Empty> {
        let after = due.max(now).saturating_add(self.interval.saturating_mul(cost));
        if after - now <= self.span {
            return Ok(after);
        }
        // A bucket that others have emptied further than this one can be is empty, and no more.
        let full_in = (due - now).min(self.longest);
        let wait = (after - now - self.span).min(self.longest);
        Err(Empty { wait, full_in })
    }

    /// Takes so many tokens more, which may not be there, as far as it may owe; gives when it then is full.
    pub(super) fn owe(self, due: u64, more: u64, now: u64) -> u64 {
        let after = due.max(now).saturating_add(self.interval.saturating_mul(more));
        after.min(now.saturating_add(self.longest)).max(due)
    }

    /// Tokens in a bucket that is full at `due`.
    #[inline]
    pub fn left(self, due: u64, now: u64) -> u64 {
        self.span.saturating_sub(due.saturating_sub(now)) / self.interval
    }

    /// Tokens in a full bucket.
    pub fn burst(self) -> u64 {
        self.span / self.interval
    }

    /// Nanoseconds in which an empty bucket fills.
    pub fn span(self) -> u64 {
        self.span
    }

    /// Nanoseconds in which a bucket fills that is as empty as can be.
    pub fn longest(self) -> u64 {
        self.longest
    }

    /// Nanoseconds between two tokens.
    pub fn interval(self) -> u64 {
        self.interval
    }

    /// The part of one gateway among so many: a bucket that holds and gets so much less, and one token at least.
    #[must_use]
    pub fn part(self, gateways: u64) -> Self {
        let interval = self.interval.saturating_mul(gateways.max(1)).min(LONGEST_SPAN);
        let span = interval.max(self.span / interval * interval);
        let longest = if self.longest > self.span { span * 2 } else { span };
        Self { interval, span, longest }
    }
}

/// A million tokens a second: at this pace rounding up to a nanosecond takes at most a thousandth of them.
pub(super) const LEAST_INTERVAL: u64 = 1000;

/// Ten years.
const LONGEST_SPAN: u64 = 3650 * 86_400_000_000_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_holds_its_burst_and_fills_at_its_pace() {
        let pace = Pace::new(10, Duration::from_secs(1), 3).unwrap();
        let mut due = 0;
        for left in [2, 1, 0] {
            due = pace.take(due, 1, SECOND).unwrap();
            assert_eq!(pace.left(due, SECOND), left);
        }
        let empty = Empty { wait: SECOND / 10, full_in: 3 * SECOND / 10 };
        assert_eq!(pace.take(due, 1, SECOND), Err(empty));
        assert_eq!(pace.take(due, 1, SECOND + SECOND / 10 - 1).unwrap_err().wait, 1);
        due = pace.take(due, 1, SECOND + SECOND / 10).unwrap();
        assert_eq!(pace.left(due, 2 * SECOND), 3);
        assert_eq!(pace.take(due, 3, SECOND + SECOND / 10).unwrap_err().wait, 3 * SECOND / 10);
        assert_eq!(pace.left(pace.take(due, 2, 2 * SECOND).unwrap(), 2 * SECOND), 1);
        assert_eq!((pace.burst(), pace.span()), (3, 3 * SECOND / 10));
    }

    #[test]
    fn a_part_is_so_much_less_and_at_least_one_token() {
        let pace = Pace::new(10, Duration::from_secs(1), 10).unwrap();
        for (gateways, interval, burst) in
            [(0, 100, 10), (1, 100, 10), (3, 300, 3), (4, 400, 2), (10, 1000, 1), (11, 1100, 1)]
        {
            let part = pace.part(gateways);
            assert_eq!((part.interval(), part.burst()), (interval * 1_000_000, burst), "{gateways}");
        }
        assert_eq!(pace.part(u64::MAX).burst(), 1);
    }

    #[test]
    fn what_cannot_be_counted_is_no_pace() {
        let new = |count, seconds, burst| Pace::new(count, Duration::from_secs(seconds), burst);
        assert!(new(1_000_000, 1, 1).is_some());
        for (count, seconds, burst) in
            [(1_000_001, 1, 1), (0, 1, 1), (1, 1, 0), (1, 86_400, 3651), (1, 86_400, u64::MAX)]
        {
            assert_eq!(new(count, seconds, burst), None, "{count} in {seconds} s, {burst} at once");
        }
        // Never faster than was said, and hardly slower.
        for count in [3, 7, 999_999] {
            let second = new(count, 1, count).unwrap().span();
            assert!((SECOND..SECOND + SECOND / 1000).contains(&second), "{count}");
        }
    }
}
