//! Writes metrics in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Arc;

use super::cell::{Bounds, LONG, MergedHistogram, SHORT};
use super::codes::{ByCode, ByName, Family};
use super::figures::{
    EndpointFigures, RouteFigures, connections, merge_by_name, merge_endpoints, merge_routes,
};
use super::{CLASSES, Lost, MAX_SERIES, Metrics, Names, Shard, health, lock, services, shared, tcp};
use crate::overload::memory_used;

/// A counter's name, its help, and where it stands.
type Reading = (&'static str, &'static str, fn(&EndpointFigures) -> u64);

/// All of it as one text.
pub(super) fn render(metrics: &Metrics) -> String {
    let shards: Vec<Arc<Shard>> = lock(&metrics.shards).clone();
    let mut text = Text(String::with_capacity(16 * 1024));
    write_routes(&merge_routes(&shards), &mut text);
    write_codes(&shards, &mut text);
    write_endpoints(&merge_endpoints(&shards), &mut text);
    health::write(metrics, &mut text);
    services::write(metrics, &mut text);
    shared::write(metrics, &mut text);
    tcp::write(&shards, &mut text);
    write_connections(&shards, &mut text);
    write_certificates(metrics, &mut text);
    write_process(metrics, &mut text);
    text.0
}

fn write_routes(routes: &BTreeMap<Names, RouteFigures>, text: &mut Text) {
    text.begin("requests_total", "counter", "Requests by route and class of status.");
    for ((route, api), counts) in routes {
        let labels = labels(&[("route", route), ("api", api)]);
        text.classes("requests_total", &labels, &counts.requests);
    }
    let routes =
        || routes.iter().map(|((route, api), counts)| (labels(&[("route", route), ("api", api)]), counts));
    text.begin(
        "request_duration_seconds",
        "histogram",
        "From a request's first byte to the end of its answer.",
    );
    for (labels, counts) in routes() {
        text.histogram("request_duration_seconds", &labels, &LONG, &counts.duration);
    }
    text.begin(
        "gateway_duration_seconds",
        "histogram",
        "The time in which the gateway itself worked on requests.",
    );
    for (labels, counts) in routes() {
        text.histogram("gateway_duration_seconds", &labels, &SHORT, &counts.gateway);
    }
    text.begin("request_body_bytes_total", "counter", "Bytes of requests' bodies sent to services.");
    for (labels, counts) in routes() {
        text.sample("request_body_bytes_total", &labels, counts.bytes_in);
    }
    text.begin("response_body_bytes_total", "counter", "Bytes of answers' bodies.");
    for (labels, counts) in routes() {
        text.sample("response_body_bytes_total", &labels, counts.bytes_out);
    }
    // Routes that never had one are left out.
    let with_web_sockets = || routes().filter(|(_, counts)| counts.web_sockets_opened > 0);
    text.begin("web_sockets_total", "counter", "WebSockets opened.");
    for (labels, counts) in with_web_sockets() {
        text.sample("web_sockets_total", &labels, counts.web_sockets_opened);
    }
    text.begin("web_sockets_open", "gauge", "WebSockets that are open.");
    for (labels, counts) in with_web_sockets() {
        let open = counts.web_sockets_opened.saturating_sub(counts.web_sockets_closed);
        text.sample("web_sockets_open", &labels, open);
    }
    let with_waits = || routes().filter(|(_, counts)| counts.waits_begun > 0);
    text.begin("requests_waiting", "gauge", "Requests that wait for their turn at a limit.");
    for (labels, counts) in with_waits() {
        text.sample("requests_waiting", &labels, counts.waits_begun.saturating_sub(counts.waits_ended));
    }
    text.begin("requests_waited_total", "counter", "Requests that have waited, whatever came of it.");
    for (labels, counts) in with_waits() {
        text.sample("requests_waited_total", &labels, counts.waits_ended);
    }
    text.begin("requests_waited_seconds_total", "counter", "How long they have waited.");
    for (labels, counts) in with_waits() {
        text.sample("requests_waited_seconds_total", &labels, counts.waited_micros as f64 / 1e6);
    }
}

fn write_codes(shards: &[Arc<Shard>], text: &mut Text) {
    for kind in ByName::ALL {
        let counts = merge_by_name(shards, kind);
        let Family { name, help, of, label } = kind.family();
        text.begin(name, "counter", help);
        for ((named, code), count) in counts {
            text.sample(name, &labels(&[(of, &named), (label, code)]), count);
        }
    }
    for kind in ByCode::ALL {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for shard in shards {
            for (code, count) in &*lock(&shard.by_code[kind as usize]) {
                *counts.entry(code).or_default() += count.value();
            }
        }
        let Family { name, help, label, .. } = kind.family();
        text.begin(name, "counter", help);
        for (code, count) in counts {
            text.sample(name, &labels(&[(label, code)]), count);
        }
    }
}

fn write_endpoints(endpoints: &BTreeMap<Names, EndpointFigures>, text: &mut Text) {
    let all = || {
        endpoints.iter().map(|((service, endpoint), counts)| {
            (labels(&[("service", service), ("endpoint", endpoint)]), counts)
        })
    };
    text.begin("upstream_requests_total", "counter", "Answers of endpoints by class of status.");
    for (labels, counts) in all() {
        text.classes("upstream_requests_total", &labels, &counts.requests);
    }
    text.begin("upstream_first_byte_seconds", "histogram", "From a request being sent to its answer's head.");
    for (labels, counts) in all() {
        text.histogram("upstream_first_byte_seconds", &labels, &LONG, &counts.first_byte);
    }
    let counters: [Reading; 6] = [
        ("upstream_connect_failures_total", "Connections that did not come about.", |counts| {
            counts.connect_failures
        }),
        ("upstream_connections_opened_total", "Connections opened.", |counts| counts.opened),
        ("upstream_connections_reused_total", "Requests over a kept connection.", |counts| counts.reused),
        ("upstream_retries_total", "Attempts beyond the first of a request.", |counts| counts.retries),
        (
            "upstream_retries_denied_total",
            "Failures after which the budget of retries allowed no attempt.",
            |counts| counts.retries_denied,
        ),
        ("upstream_ejections_total", "How often endpoints were put out.", |counts| counts.ejections),
    ];
    for (name, help, value) in counters {
        text.begin(name, "counter", help);
        for (labels, counts) in all() {
            text.sample(name, &labels, value(counts));
        }
    }
    let name = "upstream_hedges_total";
    text.begin(name, "counter", "Requests that an endpoint was asked second, by what came of it.");
    // Endpoints that never were are left out.
    for (labels, counts) in all().filter(|(_, counts)| counts.hedges != [0; 3]) {
        for (result, count) in ["won", "lost", "denied"].iter().zip(counts.hedges) {
            text.sample(name, &format!("{labels},result=\"{result}\""), count);
        }
    }
    text.begin(
        "upstream_connections_idle",
        "gauge",
        "Connections that wait for a request; looked at once a second.",
    );
    for (labels, counts) in all() {
        text.sample("upstream_connections_idle", &labels, counts.idle);
    }
}

fn write_connections(shards: &[Arc<Shard>], text: &mut Text) {
    let sum = |value: fn(&Shard) -> u64| shards.iter().map(|shard| value(shard)).sum::<u64>();
    let (open, accepted) = connections(shards);
    let errors = sum(|shard| shard.accept_errors.value());
    let panics = sum(|shard| shard.panics.value());
    text.one("connections_total", "counter", "Connections of clients.", accepted);
    text.one("connections_open", "gauge", "Connections of clients that are open.", open);
    text.one("accept_errors_total", "counter", "Failures to accept a connection.", errors);
    text.one("panics_total", "counter", "Connections ended by a fault in the gateway itself.", panics);
    text.one("workers", "gauge", "Worker threads.", shards.len());
}

fn write_certificates(metrics: &Metrics, text: &mut Text) {
    let process = lock(&metrics.process);
    if process.certificates.is_empty() {
        return;
    }
    let name = "certificate_expiry_timestamp_seconds";
    text.begin(name, "gauge", "Until when a certificate is valid.");
    for one in process.certificates.iter().take(MAX_SERIES) {
        let labels = labels(&[("name", one.name()), ("file", &one.file), ("serial", &one.serial)]);
        text.sample(name, &labels, one.not_after);
    }
}

fn write_process(metrics: &Metrics, text: &mut Text) {
    let process = lock(&metrics.process);
    let dropped = process.lost_before + process.logs.iter().map(Lost::count).sum::<u64>();
    text.one("log_dropped_total", "counter", "Lines of the access log that were lost.", dropped);
    text.begin("reloads_total", "counter", "Configurations by what became of them, the first one included.");
    text.sample("reloads_total", &labels(&[("result", "ok")]), process.reloads_ok);
    text.sample("reloads_total", &labels(&[("result", "refused")]), process.reloads_refused);
    text.one(
        "config_generation",
        "gauge",
        "Configurations put in force since the start.",
        process.reloads_ok,
    );
    text.one("config_loaded_timestamp_seconds", "gauge", "When the last one was.", process.loaded_at);
    text.begin("build_info", "gauge", "The version.");
    text.sample("build_info", &labels(&[("version", env!("CARGO_PKG_VERSION"))]), 1);
    text.one("uptime_seconds", "gauge", "Time since the start.", metrics.started.elapsed().as_secs_f64());
    if let Some(usage) = Usage::read() {
        text.one("resident_memory_bytes", "gauge", "Resident memory.", usage.resident);
        text.one("cpu_seconds_total", "counter", "Processor time, user and system.", usage.cpu_seconds);
        text.one("open_files", "gauge", "Open file descriptors.", usage.open_files);
    }
}

/// What the process uses of the machine, from `/proc/self`.
struct Usage {
    resident: u64,
    cpu_seconds: f64,
    open_files: usize,
}

impl Usage {
    fn read() -> Option<Self> {
        let resident = memory_used()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name, in brackets, may hold spaces: count from its end.
        let mut numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user = numbers.next()?.parse::<u64>().ok()?;
        let system = numbers.next()?.parse::<u64>().ok()?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count();
        Some(Self { resident, cpu_seconds: (user + system) as f64 / ticks, open_files })
    }
}

/// The text under construction. Writing to a string cannot fail.
pub(super) struct Text(String);

impl Text {
    pub(super) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP tollgate_{name} {help}\n# TYPE tollgate_{name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "tollgate_{name}{{{labels}}} {value}");
    }

    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        let _ = writeln!(self.0, "tollgate_{name} {value}");
    }

    /// Classes that were never met are left out.
    pub(super) fn classes(&mut self, name: &str, labels: &str, counts: &[u64; CLASSES]) {
        for (class, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let _ = writeln!(self.0, "tollgate_{name}{{{labels},status=\"{}xx\"}} {count}", class + 1);
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, bounds: &Bounds, histogram: &MergedHistogram) {
        for (bound, count) in histogram.cumulative(bounds) {
            let _ = writeln!(self.0, "tollgate_{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (histogram.count(), histogram.sum());
        let _ = writeln!(self.0, "tollgate_{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(self.0, "tollgate_{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(self.0, "tollgate_{name}_count{{{labels}}} {count}");
    }
}

/// Labels as they stand between the braces; values are escaped.
pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                '\n' => text.push_str("\\n"),
                _ => text.push(character),
            }
        }
        text.push('"');
    }
    text
}
