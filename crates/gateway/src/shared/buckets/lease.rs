//! A lease: tokens of one bucket that this gateway has taken before they were needed. Whoever needs one takes it here, by one atomic
//! operation; more are fetched when few are left.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::Notify;

use super::Name;
use crate::buckets::{Empty, Pace};

/// A lease. Times are nanoseconds as its holder counts them.
#[derive(Debug)]
pub struct Lease {
    /// What it is known by in this process.
    pub(super) key: u64,
    pub(super) name: Name,
    pub(super) pace: Pace,
    held: AtomicU64,
    /// When the bucket is full, as far as was heard.
    full_at: AtomicU64,
    /// When the bucket has a token again, as far as was heard.
    token_at: AtomicU64,
    /// Until when nobody asks for more.
    rests_until: AtomicU64,
    used_at: AtomicU64,
    /// Whether somebody is asking for more.
    is_asking: AtomicBool,
    /// Requests that wait for that.
    pub(super) waiting: AtomicU64,
    pub(super) answered: Notify,
}

/// What comes of the wish for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// There it is.
    Token {
        /// Tokens that are left, here and in the bucket.
        left: u64,
        /// Nanoseconds until the bucket is full.
        full_in: u64,
    },
    /// There is none.
    Empty(Empty),
    /// There is none here, and Redis has to be asked.
    Ask,
}

impl Lease {
    pub(super) fn new(key: u64, name: Name, pace: Pace, now: u64) -> Self {
        Self {
            key,
            name,
            pace,
            held: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            token_at: AtomicU64::new(0),
            rests_until: AtomicU64::new(0),
            used_at: AtomicU64::new(now),
            is_asking: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            answered: Notify::new(),
        }
    }

    /// What its bucket is called.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Takes a token of those here.
    pub(super) fn draw(&self, now: u64) -> Drawn {
        if self.used_at.load(SeqCst) < now {
            self.used_at.store(now, SeqCst);
        }
        let taken = self.held.fetch_update(SeqCst, SeqCst, |held| held.checked_sub(1));
        let full_at = self.full_at.load(SeqCst);
        let full_in = full_at.saturating_sub(now);
        match taken {
            Ok(held) => {
                Drawn::Token { left: (held - 1).saturating_add(self.pace.left(full_at, now)), full_in }
            }
            Err(_) => match self.rests_until.load(SeqCst).saturating_sub(now) {
                0 => Drawn::Ask,
                rest => {
                    let wait = self.token_at.load(SeqCst).saturating_sub(now).max(rest);
                    Drawn::Empty(Empty { wait, full_in })
                }
            },
        }
    }

    /// Puts a token back that was taken for nothing.
    pub fn put_back(&self) {
        self.held.fetch_add(1, SeqCst);
    }

    /// How many to ask for, where it is time to; whoever is told asks, and nobody else meanwhile.
    pub(super) fn wants(&self, now: u64) -> Option<u64> {
        let held = self.held.load(SeqCst);
        let batch = batch(self.pace);
        let is_low = held * 2 <= batch;
        if !is_low || self.rests_until.load(SeqCst) > now || self.is_asking.swap(true, SeqCst) {
            return None;
        }
        Some(batch.saturating_sub(held).max(1) + self.waiting.load(SeqCst))
    }

    /// Fewer came than were wanted, or none: for how long there is none, and how long the bucket takes to fill.
    pub(super) fn is_short(&self, wait: u64, full_in: u64, now: u64) {
        let least = LEAST_PAUSE.min(batch(self.pace) * self.pace.interval());
        self.full_at.store(now.saturating_add(full_in), SeqCst);
        self.token_at.store(now.saturating_add(wait), SeqCst);
        // Others may give something back before it comes by itself.
        self.rests_until.store(now.saturating_add(wait.clamp(least, LONGEST_PAUSE)), SeqCst);
    }

    /// So many came.
    pub(super) fn receive(&self, tokens: u64, full_in: u64, now: u64) {
        self.full_at.store(now.saturating_add(full_in), SeqCst);
        self.held.fetch_add(tokens, SeqCst);
    }

    /// Nobody asks any more, whatever came of it.
    pub(super) fn has_asked(&self) {
        self.is_asking.store(false, SeqCst);
        self.answered.notify_waiters();
    }

    /// What is held for nobody, where it was not used since then; it is held no more.
    pub(super) fn give_up(&self, since: u64) -> Option<u64> {
        let is_idle = self.used_at.load(SeqCst) < since && !self.is_asking.load(SeqCst);
        is_idle.then(|| self.held.swap(0, SeqCst))
    }
}

/// How many tokens a gateway holds at most for nobody yet: a twentieth of a full bucket. It is what the fleet may allow too much.
pub(super) fn batch(pace: Pace) -> u64 {
    (pace.burst() / 20).max(1)
}

/// Nanoseconds between two questions for a bucket that had less than was wanted, unless a batch comes sooner.
const LEAST_PAUSE: u64 = 10_000_000;
/// The longest that it is not asked.
const LONGEST_PAUSE: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn lease() -> Lease {
        Lease::new(
            1,
            Name { digest: [0; 16], slot: 0 },
            Pace::new(100, Duration::from_secs(1), 100).unwrap(),
            0,
        )
    }

    #[test]
    fn tokens_are_drawn_once_and_more_are_wanted_when_few_are_left() {
        let lease = lease();
        assert_eq!(lease.draw(0), Drawn::Ask);
        assert_eq!(lease.wants(0), Some(5));
        assert_eq!(lease.wants(0), None, "one asks at a time");
        lease.receive(5, SECOND / 20, 0);
        lease.has_asked();
        for left in [99, 98, 97] {
            assert_eq!(lease.wants(0), None);
            assert_eq!(lease.draw(0), Drawn::Token { left, full_in: SECOND / 20 });
        }
        assert_eq!(lease.wants(0), Some(3));
    }

    #[test]
    fn an_empty_bucket_is_not_asked_before_it_has_something() {
        let lease = lease();
        lease.is_short(SECOND / 50, SECOND, 0);
        let empty = |wait, full_in| Drawn::Empty(Empty { wait, full_in });
        assert_eq!(lease.draw(0), empty(SECOND / 50, SECOND));
        assert_eq!(lease.wants(SECOND / 50 - 1), None);
        assert_eq!(lease.draw(SECOND / 50), Drawn::Ask);
        // And where one comes sooner than that, not as often.
        lease.is_short(1, SECOND, SECOND);
        assert_eq!(lease.draw(SECOND), empty(LEAST_PAUSE, SECOND));
        // Nor as seldom as one may be long in coming.
        lease.is_short(10 * SECOND, 10 * SECOND, 2 * SECOND);
        assert_eq!(lease.draw(3 * SECOND - 1), empty(9 * SECOND + 1, 9 * SECOND + 1));
        assert_eq!(lease.draw(3 * SECOND), Drawn::Ask);
    }

    #[test]
    fn what_nobody_uses_is_given_up_once() {
        let lease = lease();
        lease.receive(5, 0, 0);
        lease.draw(SECOND);
        lease.put_back();
        assert_eq!(lease.give_up(SECOND), None, "it was used just then");
        assert_eq!(lease.give_up(SECOND + 1), Some(5));
        assert_eq!(lease.give_up(SECOND + 1), Some(0));
    }
}
