//! Calls within a window of time, by what came of them: shares of them put endpoints out and open breakers.
//!
//! Every worker counts in a [`Lane`] of its own, which no other core writes to: a call that went well costs two stores there and
//! no lock. Who must know the whole, as after a failure, sums the lanes up.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Parts of a window: calls are forgotten part by part, so that what counts is between nine tenths of it and the whole.
const SLOTS: u64 = 10;

/// A share of the calls that is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// In millionths.
    pub most: u32,
    /// Fewer calls say nothing.
    pub calls: u32,
}

/// Calls, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were slow, whether they failed or not.
    pub slow: u64,
}

/// What one call was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It failed.
    pub failed: bool,
    /// It was slow.
    pub slow: bool,
}

/// The lanes of all workers.
#[derive(Debug, Default)]
pub struct Tally {
    lanes: Mutex<Vec<(usize, Arc<Lane>)>>,
}

/// One worker's counts, on lines of the cache of their own.
#[derive(Debug)]
#[repr(align(64))]
pub struct Lane {
    /// Milliseconds of a slot.
    step: u64,
    slots: [Slot; SLOTS as usize],
}

#[derive(Debug, Default)]
struct Slot {
    /// Which part of time it counts, from 1; 0 while it is emptied.
    turn: AtomicU64,
    calls: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
}

impl Share {
    /// Whether so many of the calls are too many.
    pub fn is_reached(&self, some: u64, calls: u64) -> bool {
        let most = u128::from(self.most) * u128::from(calls);
        calls >= u64::from(self.calls) && some > 0 && u128::from(some) * 1_000_000 >= most
    }
}

impl Counts {
    /// So many of the calls, in percent.
    pub fn percent(&self, some: u64) -> u64 {
        some * 100 / self.calls.max(1)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }
}

impl Tally {
    /// The lane of a worker. It lasts over reloads that leave the window as it is.
    pub fn lane(&self, worker: usize, window: Duration) -> Arc<Lane> {
        let mut lanes = self.lanes();
        let step = step(window);
        if let Some((_, lane)) = lanes.iter().find(|(known, lane)| *known == worker && lane.step == step) {
            return Arc::clone(lane);
        }
        lanes.retain(|(known, _)| *known != worker);
        let lane = Arc::new(Lane { step, slots: Default::default() });
        lanes.push((worker, Arc::clone(&lane)));
        lane
    }

    /// What has been counted within the window until now, but nothing that began before `since`.
    pub fn sum(&self, window: Duration, since: u64, now: u64) -> Counts {
        let step = step(window);
        let last = turn(now, step);
        let first = last.saturating_sub(SLOTS - 1).max(turn(since.saturating_add(step - 1), step));
        let mut sum = Counts::default();
        for (_, lane) in self.lanes().iter().filter(|(_, lane)| lane.step == step) {
            for slot in &lane.slots {
                sum += slot.read(first, last);
            }
        }
        sum
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<(usize, Arc<Lane>)>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Counts a call that ended at this time, in milliseconds. Only the lane's own worker does.
    pub fn count(&self, verdict: Verdict, now: u64) {
        let turn = turn(now, self.step);
        let slot = &self.slots[(turn % SLOTS) as usize];
        if slot.turn.load(Ordering::Relaxed) != turn {
            // Who reads meanwhile passes it over.
            slot.turn.store(0, Ordering::Relaxed);
            fence(Ordering::Release);
            for count in [&slot.calls, &slot.failed, &slot.slow] {
                count.store(0, Ordering::Relaxed);
            }
            slot.turn.store(turn, Ordering::Release);
        }
        add(&slot.calls);
        if verdict.failed {
            add(&slot.failed);
        }
        if verdict.slow {
            add(&slot.slow);
        }
    }
}

impl Slot {
    fn read(&self, first: u64, last: u64) -> Counts {
        let turn = self.turn.load(Ordering::Acquire);
        let counts = Counts {
            calls: self.calls.load(Ordering::Relaxed).into(),
            failed: self.failed.load(Ordering::Relaxed).into(),
            slow: self.slow.load(Ordering::Relaxed).into(),
        };
        fence(Ordering::Acquire);
        let is_whole = turn == self.turn.load(Ordering::Relaxed);
        if is_whole && (first..=last).contains(&turn) { counts } else { Counts::default() }
    }
}

/// One writer alone: no exchange with other cores is needed.
fn add(count: &AtomicU32) {
    count.store(count.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
}

fn step(window: Duration) -> u64 {
    (window.as_millis() as u64 / SLOTS).max(1)
}

/// Which part of time this is, from 1.
fn turn(now: u64, step: u64) -> u64 {
    now / step + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);
    const FAILED: Verdict = Verdict { failed: true, slow: false };
    const FINE: Verdict = Verdict { failed: false, slow: false };

    fn counts(calls: u64, failed: u64, slow: u64) -> Counts {
        Counts { calls, failed, slow }
    }

    #[test]
    fn calls_of_all_workers_count_as_long_as_the_window_has_them() {
        let tally = Tally::default();
        let lanes = [tally.lane(0, WINDOW), tally.lane(1, WINDOW)];
        lanes[0].count(FAILED, 0);
        lanes[1].count(FINE, 500);
        lanes[1].count(Verdict { failed: true, slow: true }, 5_000);
        assert_eq!(tally.sum(WINDOW, 0, 5_000), counts(3, 2, 1));
        assert_eq!(tally.sum(WINDOW, 0, 9_999), counts(3, 2, 1));
        assert_eq!(tally.sum(WINDOW, 0, 10_000), counts(1, 1, 1), "the first second is over");
        assert_eq!(tally.sum(WINDOW, 0, 15_000), Counts::default());
        // The same place of the lane, another time.
        lanes[0].count(FINE, 20_000);
        assert_eq!(tally.sum(WINDOW, 0, 20_000), counts(1, 0, 0));
    }

    #[test]
    fn what_was_before_a_new_beginning_does_not_count() {
        let tally = Tally::default();
        let lane = tally.lane(0, WINDOW);
        lane.count(FAILED, 2_500);
        lane.count(FAILED, 3_500);
        assert_eq!(tally.sum(WINDOW, 3_000, 4_000), counts(1, 1, 0));
        assert_eq!(
            tally.sum(WINDOW, 3_001, 4_000),
            Counts::default(),
            "a part in which it began is left out"
        );
        assert_eq!(tally.sum(WINDOW, u64::MAX, 4_000), Counts::default());
    }

    #[test]
    fn a_lane_outlives_reloads_that_leave_the_window_as_it_is() {
        let tally = Tally::default();
        tally.lane(0, WINDOW).count(FAILED, 0);
        assert_eq!(tally.sum(WINDOW, 0, 0).calls, 1);
        tally.lane(0, WINDOW).count(FAILED, 0);
        assert_eq!(tally.sum(WINDOW, 0, 0).calls, 2);
        let _ = tally.lane(0, WINDOW * 2);
        assert_eq!(tally.sum(WINDOW * 2, 0, 0).calls, 0);
        assert_eq!(tally.lanes().len(), 1);
    }

    #[test]
    fn a_share_says_nothing_of_few_calls() {
        let share = Share { most: 500_000, calls: 20 };
        assert!(!share.is_reached(19, 19));
        assert!(share.is_reached(10, 20));
        assert!(!share.is_reached(9, 20));
        assert!(!share.is_reached(0, 20), "nothing is never too much");
        let all = Share { most: 1_000_000, calls: 1 };
        assert!(all.is_reached(u64::MAX, u64::MAX));
        assert!(!all.is_reached(99, 100));
    }

    proptest! {
        #[test]
        fn a_window_forgets_nothing_of_its_last_nine_tenths_and_has_nothing_older_than_itself(
            calls in proptest::collection::vec((0_usize..3, 0_u64..3_000, any::<bool>()), 1..200),
            window in 1_u64..5_000,
        ) {
            let tally = Tally::default();
            let window_time = Duration::from_millis(window);
            let lanes: Vec<_> = (0..3).map(|worker| tally.lane(worker, window_time)).collect();
            let (mut now, mut made) = (0, Vec::new());
            for (worker, pause, failed) in calls {
                now += pause;
                lanes[worker].count(Verdict { failed, slow: !failed }, now);
                made.push((now, failed));
                let sum = tally.sum(window_time, 0, now);
                let within = |time: u64| made.iter().filter(|(at, _)| now - at < time).count() as u64;
                // A window of few milliseconds is no shorter than its parts.
                let step = (window / SLOTS).max(1);
                prop_assert!(sum.calls >= within(step * (SLOTS - 1)), "{sum:?} at {now}");
                prop_assert!(sum.calls <= within(step * SLOTS), "{sum:?} at {now}");
                prop_assert_eq!(sum.failed + sum.slow, sum.calls);
            }
        }
    }
}
