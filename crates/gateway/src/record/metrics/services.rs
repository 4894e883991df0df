//! What is measured of a service as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::render::{Text, labels};
use super::{Counter, Gauge, Metrics, WorkerShard, lock};

/// Counts of one service on one worker.
#[derive(Debug, Default)]
pub struct ServiceMetrics {
    /// Calls that may wait for their answers at once.
    pub limit: Gauge,
    /// The latency, in microseconds, that the limit is measured by.
    pub baseline_us: Gauge,
    /// Calls that were turned away.
    pub shed: Counter,
}

impl WorkerShard {
    /// The counts of a service whose concurrency is adapted.
    pub fn service(&self, service: &str) -> Arc<ServiceMetrics> {
        let mut services = lock(&self.shard.services);
        // Names of services that are gone are few: there are only as many as the configurations had.
        Arc::clone(services.entry(service.into()).or_default())
    }
}

/// The series of services whose concurrency is adapted.
pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    let mut services: BTreeMap<Box<str>, (u64, u64, u64)> = BTreeMap::new();
    for shard in &*lock(&metrics.shards) {
        for (name, part) in &*lock(&shard.services) {
            if Arc::strong_count(part) < 2 {
                continue;
            }
            let (limit, baseline, shed) = services.entry(name.clone()).or_default();
            *limit += part.limit.value();
            *baseline = (*baseline).max(part.baseline_us.value());
            *shed += part.shed.value();
        }
    }
    let name = "adaptive_limit";
    text.begin(name, "gauge", "Calls of a service that may wait for their answers at once, of all workers.");
    for (service, (limit, _, _)) in &services {
        text.sample(name, &labels(&[("service", service)]), *limit);
    }
    let name = "adaptive_baseline_seconds";
    text.begin(name, "gauge", "The latency of a service that has little to do, by which its limit is set.");
    for (service, (_, baseline, _)) in &services {
        text.sample(name, &labels(&[("service", service)]), *baseline as f64 / 1e6);
    }
    let name = "adaptive_shed_total";
    text.begin(name, "counter", "Calls that were turned away, as a service had enough to do.");
    for (service, (_, _, shed)) in &services {
        text.sample(name, &labels(&[("service", service)]), *shed);
    }
    let name = "overload_refused_share";
    text.begin(name, "gauge", "The share of requests that a worker refuses as it has too much to do.");
    for (worker, shard) in lock(&metrics.shards).iter().enumerate() {
        let share = shard.overload.value() as f64 / 1000.0;
        text.sample(name, &labels(&[("worker", &worker.to_string())]), share);
    }
}
