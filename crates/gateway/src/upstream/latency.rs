//! How long a service takes to begin its answers, as one worker has seen it of late: counts in buckets that grow by an eighth.

use std::cell::RefCell;
use std::time::Duration;

/// Answers that must have been seen before anything is said of their share.
const ENOUGH: u32 = 100;
/// At so many all counts are halved: what was long ago fades.
const MOST: u32 = 2000;
/// Buckets between a time and its double.
const PARTS: u64 = 8;
const PART_BITS: u32 = PARTS.ilog2();
/// From microseconds to two minutes; what takes longer counts as much.
const BUCKETS: usize = 200;

/// Times to first bytes.
#[derive(Debug)]
pub(super) struct Latencies(RefCell<Counts>);

#[derive(Debug)]
struct Counts {
    buckets: [u32; BUCKETS],
    total: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self(RefCell::new(Counts { buckets: [0; BUCKETS], total: 0 }))
    }
}

impl Latencies {
    /// An answer took this long to begin.
    pub(super) fn observe(&self, latency: Duration) {
        let mut counts = self.0.borrow_mut();
        counts.buckets[bucket(latency)] += 1;
        counts.total += 1;
        if counts.total >= MOST {
            counts.buckets.iter_mut().for_each(|count| *count /= 2);
            counts.total = counts.buckets.iter().sum();
        }
    }

    /// The time within which this percentage of the answers began; nothing while too few were seen.
    pub(super) fn percentile(&self, percent: u8) -> Option<Duration> {
        let counts = self.0.borrow();
        if counts.total < ENOUGH {
            return None;
        }
        let rank = (u64::from(counts.total) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let place = counts.buckets.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        place.map(end)
    }
}

fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    if micros < PARTS {
        return micros as usize;
    }
    let power = micros.ilog2();
    let part = (micros >> (power - PART_BITS)) & (PARTS - 1);
    let place = u64::from(power - PART_BITS + 1) * PARTS + part;
    (place as usize).min(BUCKETS - 1)
}

/// Where a bucket ends.
fn end(place: usize) -> Duration {
    let place = place as u64;
    let micros = match (place / PARTS).checked_sub(1) {
        None => place + 1,
        Some(power) => (PARTS + place % PARTS + 1) << power,
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_said_of_few_answers() {
        let latencies = Latencies::default();
        for _ in 1..ENOUGH {
            latencies.observe(millis(5));
        }
        assert_eq!(latencies.percentile(95), None);
        latencies.observe(millis(5));
        let told = latencies.percentile(95).unwrap();
        assert!(told >= millis(5) && told <= millis(6), "{told:?}");
    }

    #[test]
    fn a_percentile_is_the_time_within_which_that_many_answered() {
        let latencies = Latencies::default();
        for number in 1..=1000 {
            latencies.observe(millis(number));
        }
        for percent in [50, 90, 95, 99] {
            let exact = millis(u64::from(percent) * 10);
            let told = latencies.percentile(percent).unwrap();
            assert!(told >= exact && told <= exact * 9 / 8 + millis(1), "{percent}: {told:?}");
        }
    }

    #[test]
    fn what_was_long_ago_fades() {
        let latencies = Latencies::default();
        (0..5000).for_each(|_| latencies.observe(millis(1000)));
        assert!(latencies.percentile(50).unwrap() >= millis(1000));
        (0..5000).for_each(|_| latencies.observe(millis(10)));
        assert!(latencies.percentile(50).unwrap() <= millis(12));
    }

    proptest! {
        #[test]
        fn a_time_lies_within_its_bucket(micros in 0_u64..100_000_000) {
            let time = Duration::from_micros(micros);
            let place = bucket(time);
            prop_assert!(time < end(place));
            prop_assert!(place == 0 || end(place - 1) <= time);
            prop_assert!(end(place).as_micros() <= u128::from(micros) * 9 / 8 + 1);
        }
    }
}
