//! Counts of connections that are passed on byte by byte, by listener and service.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::render::{Text, labels};
use super::{CLASSES, Counter, Names, Shard, class, lock};

/// Counts of one listener's connections to one service on one worker.
#[derive(Debug, Default)]
pub struct TcpMetrics {
    opened: Counter,
    ended: [Counter; CLASSES],
    /// Bytes from clients.
    pub bytes_in: Counter,
    /// Bytes to clients.
    pub bytes_out: Counter,
}

impl TcpMetrics {
    /// Counts a connection in.
    pub fn opened(&self) {
        self.opened.add(1);
    }

    /// Counts it out, with what became of it.
    pub fn ended(&self, status: u16) {
        self.ended[class(status)].add(1);
    }
}

/// The counts of all workers.
#[derive(Default)]
struct Merged {
    opened: u64,
    ended: [u64; CLASSES],
    bytes_in: u64,
    bytes_out: u64,
}

/// Appends the series.
pub(super) fn write(shards: &[Arc<Shard>], text: &mut Text) {
    let merged = merge(shards);
    let all = || {
        merged.iter().map(|((listener, service), counts)| {
            (labels(&[("listener", listener), ("service", service)]), counts)
        })
    };
    text.begin(
        "tcp_connections_total",
        "counter",
        "Connections passed on that have ended, by class of status.",
    );
    for (labels, counts) in all() {
        text.classes("tcp_connections_total", &labels, &counts.ended);
    }
    text.begin("tcp_connections_open", "gauge", "Connections that are passed on now.");
    for (labels, counts) in all() {
        let ended = counts.ended.iter().sum();
        text.sample("tcp_connections_open", &labels, counts.opened.saturating_sub(ended));
    }
    text.begin("tcp_received_bytes_total", "counter", "Bytes from clients that were passed on.");
    for (labels, counts) in all() {
        text.sample("tcp_received_bytes_total", &labels, counts.bytes_in);
    }
    text.begin("tcp_sent_bytes_total", "counter", "Bytes to clients that were passed on.");
    for (labels, counts) in all() {
        text.sample("tcp_sent_bytes_total", &labels, counts.bytes_out);
    }
}

fn merge(shards: &[Arc<Shard>]) -> BTreeMap<Names, Merged> {
    let mut merged: BTreeMap<Names, Merged> = BTreeMap::new();
    for shard in shards {
        for (names, part) in &*lock(&shard.tcp) {
            let counts = merged.entry(names.clone()).or_default();
            // Ended ones first: one that ends meanwhile is still counted as open, never the other way round.
            for (sum, part) in counts.ended.iter_mut().zip(&part.ended) {
                *sum += part.value();
            }
            counts.opened += part.opened.value();
            counts.bytes_in += part.bytes_in.value();
            counts.bytes_out += part.bytes_out.value();
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use crate::record::Metrics;

    #[test]
    fn connections_of_all_workers_are_added_up() {
        let metrics = Metrics::new();
        let (first, second) = (metrics.shard(), metrics.shard());
        for shard in [&first, &second] {
            let counts = shard.tcp("0.0.0.0:6379", "cache");
            (0..3).for_each(|_| counts.opened());
            counts.ended(200);
            counts.bytes_in.add(7);
            counts.bytes_out.add(9);
        }
        first.tcp("0.0.0.0:6379", "cache").ended(502);
        let text = metrics.render();
        for line in [
            "tollgate_tcp_connections_total{listener=\"0.0.0.0:6379\",service=\"cache\",status=\"2xx\"} 2",
            "tollgate_tcp_connections_total{listener=\"0.0.0.0:6379\",service=\"cache\",status=\"5xx\"} 1",
            "tollgate_tcp_connections_open{listener=\"0.0.0.0:6379\",service=\"cache\"} 3",
            "tollgate_tcp_received_bytes_total{listener=\"0.0.0.0:6379\",service=\"cache\"} 14",
            "tollgate_tcp_sent_bytes_total{listener=\"0.0.0.0:6379\",service=\"cache\"} 18",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
