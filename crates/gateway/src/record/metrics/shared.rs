//! How the Redis of the fleet stands, read when the metrics are asked for.

use super::render::Text;
use super::{Metrics, lock};

/// Its series; none where there is no fleet.
pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    let Some(reading) = lock(&metrics.process).redis.as_ref().map(|redis| redis.reading()) else { return };
    text.begin("redis_up", "gauge", "Whether the Redis of the fleet answers.");
    text.sample("redis_up", "", u8::from(reading.is_up));
    text.begin("redis_commands_total", "counter", "Commands for the Redis of the fleet.");
    text.sample("redis_commands_total", "", reading.commands);
    text.begin("redis_failures_total", "counter", "Commands without an answer, or without one in time.");
    text.sample("redis_failures_total", "", reading.failures);
    text.begin("redis_seconds_total", "counter", "Time that answers were waited for, in all.");
    text.sample("redis_seconds_total", "", reading.seconds);
}
