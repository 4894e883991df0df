//! How the Redis of the fleet and the store stand, read when the metrics are asked for.

use std::sync::atomic::Ordering::Relaxed;

use super::render::Text;
use super::{Metrics, lock};

/// The series of both.
pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    write_redis(metrics, text);
    write_store(metrics, text);
}

/// None where there is no store.
fn write_store(metrics: &Metrics, text: &mut Text) {
    let Some(quotas) = lock(&metrics.process).quotas.clone() else { return };
    let store = &quotas.store;
    if !store.is_there.load(Relaxed) {
        return;
    }
    text.one(
        "store_up",
        "gauge",
        "Whether the store could be written when that was last tried.",
        u8::from(store.is_up.load(Relaxed)),
    );
    let help = "Accounts of quotas that were written to the store.";
    text.one("store_writes_total", "counter", help, store.written.load(Relaxed));
    let help = "Attempts to write to the store that failed.";
    text.one("store_failures_total", "counter", help, store.failures.load(Relaxed));
}

/// None where there is no fleet.
fn write_redis(metrics: &Metrics, text: &mut Text) {
    let Some(reading) = lock(&metrics.process).redis.as_ref().map(|redis| redis.reading()) else { return };
    text.one("redis_up", "gauge", "Whether the Redis of the fleet answers.", u8::from(reading.is_up));
    let help = "Commands for the Redis of the fleet.";
    text.one("redis_commands_total", "counter", help, reading.commands);
    let help = "Commands without an answer, or without one in time.";
    text.one("redis_failures_total", "counter", help, reading.failures);
    let help = "Commands whose answer did not come in time.";
    text.one("redis_timeouts_total", "counter", help, reading.timeouts);
    let help = "Answers whose `charge` it was not told.";
    text.one("redis_lost_charges_total", "counter", help, reading.lost_charges);
    if let Some(gateways) = reading.gateways {
        let help = "Gateways that share limits over the Redis of the fleet, this one among them.";
        text.one("redis_gateways", "gauge", help, gateways);
    }
    let help = "Time that answers were waited for, in all.";
    text.one("redis_seconds_total", "counter", help, reading.seconds);
}
