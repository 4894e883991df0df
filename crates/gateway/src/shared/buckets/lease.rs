//! A lease: tokens of one bucket that this gateway has taken before they were needed. Whoever needs one takes it here, by one atomic
//! operation; more are fetched when few are left.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::Notify;

use super::{Name, Wanted};
use crate::buckets::{Empty, Pace, Rule};

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
    /// Tokens for which requests wait.
    pub(super) waiting: AtomicU64,
    /// Questions that found no answer.
    pub(super) failures: AtomicU64,
    pub(super) answered: Notify,
}

/// What comes of the wish for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// There they are.
    Tokens {
        /// Tokens that are left, here and in the bucket.
        left: u64,
        /// Nanoseconds until the bucket is full.
        full_in: u64,
    },
    /// There are not enough.
    Empty(Empty),
    /// There are not enough here, and Redis has to be asked.
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
            failures: AtomicU64::new(0),
            answered: Notify::new(),
        }
    }

    /// Whose bucket it is of.
    pub fn name(&self) -> Name {
        self.name
    }

    /// So many tokens of its bucket.
    pub(super) fn tokens(&self, cost: u64) -> Wanted {
        Wanted { name: self.name, rule: Rule::TokenBucket(self.pace), cost }
    }

    /// Whether it is for requests that cost so much: what costs more than it holds is asked for in Redis.
    pub fn is_for(&self, cost: u64) -> bool {
        cost <= batch(self.pace)
    }

    /// Takes so many tokens of those here.
    pub(super) fn draw(&self, cost: u64, now: u64) -> Drawn {
        if self.used_at.load(SeqCst) < now {
            self.used_at.store(now, SeqCst);
        }
        let taken = self.held.fetch_update(SeqCst, SeqCst, |held| held.checked_sub(cost));
        let full_at = self.full_at.load(SeqCst);
        let full_in = full_at.saturating_sub(now);
        match taken {
            Ok(held) => {
                let left = (held - cost).saturating_add(self.pace.left(full_at, now)).min(self.pace.burst());
                Drawn::Tokens { left, full_in }
            }
            Err(held) => match self.rests_until.load(SeqCst).saturating_sub(now) {
                0 => Drawn::Ask,
                rest => {
                    let others = (cost - held - 1).saturating_mul(self.pace.interval());
                    let wait = self.token_at.load(SeqCst).saturating_sub(now).saturating_add(others);
                    Drawn::Empty(Empty { wait: wait.max(rest), full_in })
                }
            },
        }
    }

    /// Puts tokens back that were taken for nothing, as far as it may hold them; how many it may not.
    #[must_use]
    pub(super) fn put_back(&self, cost: u64) -> u64 {
        let beyond = self.hold(cost, self.most());
        self.answered.notify_waiters();
        beyond
    }

    /// Holds no more than it may, as who waited may have left; how many more it held.
    #[must_use]
    pub(super) fn trim(&self) -> u64 {
        self.cut(self.most())
    }

    /// Holds no more than a batch beside what requests wait for, where no more are under way; how many more it held.
    #[must_use]
    pub(super) fn settle(&self) -> u64 {
        if self.is_asking.load(SeqCst) { 0 } else { self.cut(self.usual()) }
    }

    fn cut(&self, most: u64) -> u64 {
        let (Ok(held) | Err(held)) = self.held.fetch_update(SeqCst, SeqCst, |held| Some(held.min(most)));
        held.saturating_sub(most)
    }

    /// Takes so many, or all that there are but for those who wait; how many are missing then.
    pub(super) fn pay(&self, tokens: u64) -> u64 {
        let waiting = self.waiting.load(SeqCst);
        let payable = |held: u64| tokens.min(held.saturating_sub(waiting));
        let (Ok(held) | Err(held)) =
            self.held.fetch_update(SeqCst, SeqCst, |held| Some(held - payable(held)));
        tokens - payable(held)
    }

    /// Puts back what was too much, as far as it may hold that for nobody; how much it may not. While more are under way it may hold none
    /// beside them.
    pub(super) fn keep(&self, tokens: u64) -> u64 {
        if self.is_asking.load(SeqCst) {
            return tokens;
        }
        let beyond = self.hold(tokens, batch(self.pace));
        if beyond < tokens {
            self.answered.notify_waiters();
        }
        beyond
    }

    /// What it asks for and is left with: what requests wait for, and a batch.
    fn usual(&self) -> u64 {
        batch(self.pace) + self.waiting.load(SeqCst)
    }

    /// The most that it may hold: a batch beyond that, for a moment. Without it, what is put back while more comes would have to go, and
    /// nobody here would get it soon.
    fn most(&self) -> u64 {
        self.usual() + batch(self.pace)
    }

    /// Holds so many more, up to `most`; how many are beyond it.
    fn hold(&self, tokens: u64, most: u64) -> u64 {
        let room = |held: u64| tokens.min(most.saturating_sub(held));
        let (Ok(held) | Err(held)) = self.held.fetch_update(SeqCst, SeqCst, |held| Some(held + room(held)));
        tokens - room(held)
    }

    /// How many to ask for, where it is time to; whoever is told asks, and nobody else meanwhile.
    pub(super) fn wants(&self, now: u64) -> Option<u64> {
        let held = self.held.load(SeqCst);
        let batch = batch(self.pace);
        let waiting = self.waiting.load(SeqCst);
        let is_low = held * 2 <= batch || held < waiting;
        if !is_low || self.rests_until.load(SeqCst) > now || self.is_asking.swap(true, SeqCst) {
            return None;
        }
        Some(batch.saturating_sub(held).max(1) + waiting)
    }

    /// Fewer came than were wanted, or none: for how long there is none, and how long the bucket takes to fill.
    pub(super) fn is_short(&self, wait: u64, full_in: u64, now: u64) {
        let least = LEAST_PAUSE.min(batch(self.pace) * self.pace.interval());
        self.full_at.store(now.saturating_add(full_in), SeqCst);
        self.token_at.store(now.saturating_add(wait), SeqCst);
        // Others may give something back before it comes by itself.
        self.rests_until.store(now.saturating_add(wait.clamp(least, LONGEST_PAUSE)), SeqCst);
    }

    /// So many came. How many of them it may not hold: who waited for them may have left, or got others.
    #[must_use]
    pub(super) fn receive(&self, tokens: u64, full_in: u64, now: u64) -> u64 {
        self.full_at.store(now.saturating_add(full_in), SeqCst);
        self.hold(tokens, self.most())
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

/// How many tokens a gateway holds for nobody yet: a twentieth of a full bucket, and for a moment twice that. It is what the fleet may allow
/// too much.
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

    use proptest::prelude::*;

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
        assert_eq!(lease.draw(1, 0), Drawn::Ask);
        assert_eq!(lease.wants(0), Some(5));
        assert_eq!(lease.wants(0), None, "one asks at a time");
        assert_eq!(lease.receive(5, SECOND / 20, 0), 0);
        lease.has_asked();
        for left in [99, 98, 97] {
            assert_eq!(lease.wants(0), None);
            assert_eq!(lease.draw(1, 0), Drawn::Tokens { left, full_in: SECOND / 20 });
        }
        assert_eq!(lease.wants(0), Some(3));
    }

    #[test]
    fn an_empty_bucket_is_not_asked_before_it_has_something() {
        let lease = lease();
        lease.is_short(SECOND / 50, SECOND, 0);
        let empty = |wait, full_in| Drawn::Empty(Empty { wait, full_in });
        assert_eq!(lease.draw(1, 0), empty(SECOND / 50, SECOND));
        assert_eq!(lease.wants(SECOND / 50 - 1), None);
        assert_eq!(lease.draw(1, SECOND / 50), Drawn::Ask);
        // And where one comes sooner than that, not as often.
        lease.is_short(1, SECOND, SECOND);
        assert_eq!(lease.draw(1, SECOND), empty(LEAST_PAUSE, SECOND));
        // Nor as seldom as one may be long in coming.
        lease.is_short(10 * SECOND, 10 * SECOND, 2 * SECOND);
        assert_eq!(lease.draw(1, 3 * SECOND - 1), empty(9 * SECOND + 1, 9 * SECOND + 1));
        assert_eq!(lease.draw(1, 3 * SECOND), Drawn::Ask);
    }

    #[test]
    fn what_nobody_uses_is_given_up_once() {
        let lease = lease();
        assert_eq!(lease.receive(5, 0, 0), 0);
        lease.draw(1, SECOND);
        assert_eq!(lease.put_back(1), 0);
        assert_eq!(lease.give_up(SECOND), None, "it was used just then");
        assert_eq!(lease.give_up(SECOND + 1), Some(5));
        assert_eq!(lease.give_up(SECOND + 1), Some(0));
    }

    #[test]
    fn what_costs_more_is_drawn_whole_or_waits_for_as_much() {
        let lease = lease();
        assert_eq!(lease.receive(3, 0, 0), 0);
        assert_eq!(lease.draw(4, 0), Drawn::Ask);
        assert_eq!(lease.wants(0), None, "there are enough for those that cost one");
        lease.waiting.fetch_add(4, SeqCst);
        assert_eq!(lease.wants(0), Some(6));
        assert_eq!(lease.receive(6, 0, 0), 0);
        lease.has_asked();
        assert_eq!(lease.draw(4, 0), Drawn::Tokens { left: 100, full_in: 0 });
        assert_eq!(lease.put_back(4), 0, "it is still waited for");
        lease.waiting.fetch_sub(4, SeqCst);
        assert_eq!((lease.trim(), lease.settle(), lease.settle()), (0, 4, 0), "who waited has left");
        assert_eq!((lease.receive(6, 0, 0), lease.trim(), lease.settle()), (1, 0, 5));
        assert!(lease.is_for(5) && !lease.is_for(6));
        // Three of ten are here, and the others come one after another.
        lease.draw(2, 0);
        lease.is_short(SECOND / 100, SECOND, 0);
        let empty = Empty { wait: SECOND / 100 * 7, full_in: SECOND };
        assert_eq!(lease.draw(10, 0), Drawn::Empty(empty));
    }

    #[test]
    fn what_an_answer_says_is_paid_from_what_is_here_and_kept_as_far_as_it_may_be() {
        let lease = lease();
        assert_eq!(lease.receive(3, 0, 0), 0);
        assert_eq!((lease.pay(2), lease.pay(4), lease.pay(0)), (0, 3, 0));
        // Five are what it may hold.
        assert_eq!((lease.keep(2), lease.keep(7), lease.keep(1)), (0, 4, 1));
        assert_eq!(lease.draw(5, 0), Drawn::Tokens { left: 100, full_in: 0 });
        // More than that it holds where requests wait, for whom it is.
        lease.waiting.fetch_add(7, SeqCst);
        assert_eq!(lease.receive(9, 0, 0), 0);
        assert_eq!((lease.keep(1), lease.pay(9)), (1, 7));
        // While it asks for more it would have twice as many when they come.
        lease.waiting.fetch_sub(7, SeqCst);
        assert_eq!(lease.draw(5, 0), Drawn::Tokens { left: 100, full_in: 0 });
        assert_eq!((lease.wants(0), lease.keep(1)), (Some(3), 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_answers_say_loses_nothing_and_is_not_held_beyond_what_may_be(
            steps in prop::collection::vec((0..4_u32, 1..12_u64, 0..40_u64), 1..80),
        ) {
            let lease = lease();
            let (mut taken, mut used) = (0, 0);
            let mut under_way = None;
            for (what, cost, total) in steps {
                let cost = 1 + cost % batch(lease.pace);
                if what == 0 {
                    // Somebody asks for more, or gets them.
                    let Some(tokens) = under_way.take() else {
                        under_way = lease.wants(0);
                        continue;
                    };
                    taken += tokens - lease.receive(tokens, 0, 0);
                    lease.has_asked();
                } else if let Drawn::Tokens { .. } = lease.draw(cost, 0) {
                    // Of what is owed and what goes back Redis hears.
                    taken += lease.pay(total.saturating_sub(cost));
                    taken -= lease.keep(cost.saturating_sub(total));
                    used += total;
                }
                let held = lease.held.load(SeqCst);
                prop_assert_eq!(taken, used + held);
                prop_assert!(held <= batch(lease.pace));
            }
        }
    }

    /// A bucket in Redis, and the leases of two gateways.
    struct Fleet {
        pace: Pace,
        due: u64,
        taken: u64,
        leases: [Lease; 2],
    }

    impl Fleet {
        fn new(pace: Pace) -> Self {
            let lease = || Lease::new(1, Name { digest: [0; 16], slot: 0 }, pace, 0);
            Self { pace, due: 0, taken: 0, leases: [lease(), lease()] }
        }

        /// What one who waits gets; Redis answers at once.
        fn draw(&mut self, gate: usize, cost: u64, now: u64) -> Drawn {
            self.leases[gate].waiting.fetch_add(cost, SeqCst);
            let mut drawn = self.leases[gate].draw(cost, now);
            while drawn == Drawn::Ask {
                self.fill(gate, now).expect("somebody asks for one who waits");
                drawn = self.leases[gate].draw(cost, now);
            }
            self.leases[gate].waiting.fetch_sub(cost, SeqCst);
            drawn
        }

        fn fill(&mut self, gate: usize, now: u64) -> Option<()> {
            let (pace, lease) = (self.pace, &self.leases[gate]);
            let tokens = lease.wants(now)?;
            let granted = tokens.min(pace.left(self.due, now));
            match pace.take(self.due, granted.max(1), now) {
                Ok(due) => {
                    if granted < tokens {
                        lease.is_short(0, due - now, now);
                    }
                    (self.due, self.taken) = (due, self.taken + granted);
                    let beyond = lease.receive(granted, due - now, now);
                    self.give(beyond);
                }
                Err(empty) => lease.is_short(empty.wait, empty.full_in, now),
            }
            self.leases[gate].has_asked();
            Some(())
        }

        /// Puts so many back into the bucket.
        fn give(&mut self, tokens: u64) {
            self.taken -= tokens;
            self.due = self.due.saturating_sub(tokens * self.pace.interval());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn leases_let_at_most_as_many_more_through_as_they_hold_and_lose_nothing(
            burst in 1..200_u64,
            arrivals in prop::collection::vec(
                (prop_oneof![Just(0), 0..SECOND / 50, 0..SECOND], 0..2_usize, 1..12_u64, 0..10_u32), 1..80,
            ),
        ) {
            let pace = |burst| Pace::new(100, Duration::from_secs(1), burst).unwrap();
            let mut fleet = Fleet::new(pace(burst));
            let (most, mut due) = (pace(burst + 4 * batch(fleet.pace)), 0);
            let (mut now, mut used) = (SECOND, 0);
            for (gap, gate, cost, what) in arrivals {
                now += gap;
                let cost = 1 + cost % batch(fleet.pace);
                match what {
                    // What is swept is lost to nobody: it goes back.
                    0 => {
                        let lease = &fleet.leases[gate];
                        let swept = lease.give_up(now).unwrap_or_else(|| lease.settle());
                        fleet.give(swept);
                    }
                    1 => drop(fleet.fill(gate, now)),
                    // Many wait, and leave before they get something.
                    2 => {
                        fleet.leases[gate].waiting.fetch_add(20 * cost, SeqCst);
                        fleet.fill(gate, now);
                        fleet.leases[gate].waiting.fetch_sub(20 * cost, SeqCst);
                        let beyond = fleet.leases[gate].trim();
                        fleet.give(beyond);
                    }
                    // Others refuse who has got something, and more has come meanwhile.
                    3 => if let Drawn::Tokens { .. } = fleet.draw(gate, cost, now) {
                        fleet.fill(gate, now);
                        let beyond = fleet.leases[gate].put_back(cost);
                        fleet.give(beyond);
                    },
                    _ => match fleet.draw(gate, cost, now) {
                        Drawn::Tokens { .. } => {
                            used += cost;
                            let after = most.take(due, cost, now);
                            prop_assert!(after.is_ok(), "too many");
                            due = after.unwrap();
                        }
                        Drawn::Empty(empty) => prop_assert!(empty.wait > 0),
                        Drawn::Ask => prop_assert!(false, "somebody waits for ever"),
                    },
                }
                let held: u64 = fleet.leases.iter().map(|lease| lease.held.load(SeqCst)).sum();
                prop_assert_eq!(fleet.taken, used + held);
                prop_assert!(held <= 4 * batch(fleet.pace));
            }
        }
    }
}
