//! How the Redis of the fleet stands, read when the metrics are asked for.

use super::render::Text;
use super::{Metrics, lock};

/// Its series; none where there is no fleet.
pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    let Some(reading) = lock(&metrics.process).redis.as_ref().map(|redis| redis.reading()) else { return };
    text.one("redis_up", "gauge", "Whether the Redis of the fleet answers.", u8::from(reading.is_up));
    let help = "Commands for the Redis of the fleet.";
    text.one("redis_commands_total", "counter", help, reading.commands);
    let help = "Commands without an answer, or without one in time.";
    text.one("redis_failures_total", "counter", help, reading.failures);
    let help = "Commands whose answer did not come in time.";
    text.one("redis_timeouts_total", "counter", help, reading.timeouts);
    if let Some(gateways) = reading.gateways {
        let help = "Gateways that share limits over the Redis of the fleet, this one among them.";
        text.one("redis_gateways", "gauge", help, gateways);
    }
    let help = "Time that answers were waited for, in all.";
    text.one("redis_seconds_total", "counter", help, reading.seconds);
}
