//! Numbers that one thread writes and another may read: no locked instruction, only plain loads and stores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A count that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning thread may.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of buckets, in microseconds.
pub(super) type Bounds = [u64; BUCKETS];
/// Buckets of a histogram, the open one aside.
pub(super) const BUCKETS: usize = 16;

/// For whole requests and services: half a millisecond to a minute.
pub const LONG: Bounds = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// For the gateway's own part: 10 microseconds to a second.
pub(super) const SHORT: Bounds =
    [10, 25, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 250_000, 1_000_000];

/// How long things took. The order of its members is the one in memory: see [`super::RouteMetrics`].
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Histogram {
    sum_us: Counter,
    buckets: [Counter; BUCKETS + 1],
}

impl Histogram {
    /// Counts one observation in the bucket of its bound.
    pub(super) fn observe(&self, bounds: &Bounds, duration: Duration) {
        let micros = duration.as_micros() as u64;
        let bucket = bounds.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS);
        self.buckets[bucket].add(1);
        self.sum_us.add(micros);
    }

    /// Adds its counts, bucket by bucket, and its sum to those of other shards.
    pub(super) fn merge_into(&self, merged: &mut MergedHistogram) {
        for (count, bucket) in merged.buckets.iter_mut().zip(&self.buckets) {
            *count += bucket.value();
        }
        merged.sum_us += self.sum_us.value();
    }
}

/// Histograms of several shards, added up.
#[derive(Debug, Default, Clone)]
pub struct MergedHistogram {
    /// Counts, not yet cumulated.
    buckets: [u64; BUCKETS + 1],
    /// The sum, in microseconds.
    sum_us: u64,
}

impl MergedHistogram {
    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (count, bucket) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += bucket;
        }
        self.sum_us += other.sum_us;
    }

    /// For each bound, in seconds, how many took no longer; those beyond the last one are only in the count.
    pub fn cumulative(&self, bounds: &Bounds) -> impl Iterator<Item = (f64, u64)> {
        let mut count = 0;
        bounds.iter().zip(&self.buckets).map(move |(bound, bucket)| {
            count += bucket;
            (*bound as f64 / 1e6, count)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }
}
