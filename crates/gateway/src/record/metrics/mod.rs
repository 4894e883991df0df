//! Metrics: a shard for each worker, merged when they are asked for.
//!
//! Series are keyed by stable names, so that a reload resets none. Their number is bounded: beyond the bound they
//! are counted under the name `other`.

mod cell;
mod codes;
mod figures;
mod health;
mod render;
mod services;
mod shared;
mod tcp;
mod waits;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use cell::{Counter, Gauge, LONG as TIME_BOUNDS, MergedHistogram};
pub use figures::{EndpointFigures, Figures, RouteFigures};
pub use health::{BreakerReading, DiscoveryReading, EndpointReading, HealthReadings, KeySetReading};
pub use services::ServiceMetrics;
pub use tcp::TcpMetrics;

use super::batch::Lost;
use super::sink::LogSink;
use crate::quotas::Quotas;
use crate::shared::Redis;
use crate::tls::Certificate;
use cell::{Histogram, LONG, SHORT};
use codes::{ByCode, ByName, CodeSeries, Codes, NamedCodes, NamedSeries};
use health::HealthReader;
use waits::Waits;

/// Routes, and endpoints, that have series of their own.
const MAX_SERIES: usize = 10_000;
/// Pairs of route and refusal code, and other codes, that are told apart.
const MAX_CODES: usize = 10_000;
/// The name for all beyond a bound.
pub const OTHER: &str = "other";
/// Classes of status: 1xx to 5xx.
pub const CLASSES: usize = 5;
const CLASS_NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The process's metrics.
#[derive(Debug)]
pub struct Metrics {
    shards: Mutex<Vec<Arc<Shard>>>,
    process: Mutex<Process>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Process {
    reloads_ok: u64,
    reloads_refused: u64,
    loaded_at: u64,
    /// Lost lines of logs that can still lose some: the one in force, and those that still have to write.
    logs: Vec<Lost>,
    /// Lost lines of the logs before them.
    lost_before: u64,
    /// Those of the configuration in force.
    certificates: Vec<Certificate>,
    health: Option<HealthReader>,
    redis: Option<Arc<Redis>>,
    quotas: Option<Arc<Quotas>>,
}

/// Two names that make a series.
type Names = (Box<str>, Box<str>);
/// Series by what they are told apart by.
type Series<K, T> = HashMap<K, Arc<T>>;

/// One worker's part. Maps are locked when a series is made and when all are read, not when one is counted.
#[derive(Debug, Default)]
struct Shard {
    routes: Mutex<Series<Names, RouteMetrics>>,
    endpoints: Mutex<Series<Names, EndpointMetrics>>,
    services: Mutex<Series<Box<str>, ServiceMetrics>>,
    tcp: Mutex<Series<Names, TcpMetrics>>,
    by_name: [Mutex<NamedSeries>; ByName::ALL.len()],
    by_code: [Mutex<CodeSeries>; ByCode::ALL.len()],
    accepted: Counter,
    closed: Counter,
    accept_errors: Counter,
    overload: Arc<Gauge>,
    panics: Counter,
}

/// A worker's handle on its part. It belongs to the worker's thread: what was counted once is counted again without a
/// lock and without memory, however long a scrape takes.
#[derive(Debug)]
pub struct WorkerShard {
    shard: Arc<Shard>,
    /// The share of requests that the worker refuses, in thousandths.
    pub overload: Arc<Gauge>,
    by_name: [RefCell<NamedCodes>; ByName::ALL.len()],
    by_code: [RefCell<Codes>; ByCode::ALL.len()],
    may_forget_routes: Cell<bool>,
    may_forget_endpoints: Cell<bool>,
    may_forget_tcp: Cell<bool>,
}

/// Counts of one route on one worker. In this order a usual request (under 100 ms, 150 us of it ours) writes to three
/// lines of the cache: with many routes every one of them is a miss.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct RouteMetrics {
    requests: [Counter; CLASSES],
    bytes_in: Counter,
    bytes_out: Counter,
    duration: Histogram,
    gateway: Histogram,
    web_sockets_opened: Counter,
    web_sockets_closed: Counter,
    waits: Waits,
}

/// An open WebSocket, counted as one until it is dropped.
#[derive(Debug)]
pub struct OpenWebSocket<'m>(&'m RouteMetrics);

/// Counts of one endpoint of a service on one worker.
#[derive(Debug, Default)]
pub struct EndpointMetrics {
    /// Connections that did not come about.
    pub connect_failures: Counter,
    /// Connections opened.
    pub pool_opened: Counter,
    /// Requests that went over a kept connection.
    pub pool_reused: Counter,
    /// Connections that wait for a request.
    pub pool_idle: Gauge,
    /// Attempts that came after another of the same request.
    pub retries: Counter,
    /// Attempts after which there was none, as too many were made already.
    pub retries_denied: Counter,
    /// Requests that it was asked second, and answered first.
    pub hedges_won: Counter,
    /// Those that it was asked for nothing.
    pub hedges_lost: Counter,
    /// Those that it was not asked, as too many were made already.
    pub hedges_denied: Counter,
    /// How often it was put out.
    pub ejections: Counter,
    requests: [Counter; CLASSES],
    first_byte: Histogram,
}

impl Metrics {
    /// Metrics without any count.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { shards: Mutex::default(), process: Mutex::default(), started: Instant::now() })
    }

    /// A new worker's part.
    pub fn shard(&self) -> WorkerShard {
        let shard = Arc::new(Shard::default());
        lock(&self.shards).push(Arc::clone(&shard));
        WorkerShard {
            overload: Arc::clone(&shard.overload),
            shard,
            by_name: Default::default(),
            by_code: Default::default(),
            may_forget_routes: Cell::default(),
            may_forget_endpoints: Cell::default(),
            may_forget_tcp: Cell::default(),
        }
    }

    /// Counts a configuration that was put in force, or refused.
    pub fn reloaded(&self, ok: bool, at: SystemTime) {
        let mut process = lock(&self.process);
        if ok {
            process.reloads_ok += 1;
            process.loaded_at = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        } else {
            process.reloads_refused += 1;
        }
    }

    /// Tells until when these certificates are valid, which are those of the configuration in force.
    pub fn watch_certificates(&self, certificates: Vec<Certificate>) {
        lock(&self.process).certificates = certificates;
    }

    /// Tells how services stand, by what this reads.
    pub fn watch_health(&self, read: impl Fn() -> HealthReadings + Send + 'static) {
        lock(&self.process).health = Some(HealthReader(Box::new(read)));
    }

    /// Tells how the Redis of the configuration in force stands, and the store.
    pub fn watch_shared(&self, redis: Option<Arc<Redis>>, quotas: &Arc<Quotas>) {
        let mut process = lock(&self.process);
        process.redis = redis;
        process.quotas = Some(Arc::clone(quotas));
    }

    /// Reads the lost lines of this log too from now on.
    pub fn watch_log(&self, log: &LogSink) {
        self.watch_lost(log.lost());
    }

    fn watch_lost(&self, lost: Lost) {
        let mut process = lock(&self.process);
        let ended: u64 = process.logs.extract_if(.., |lost| lost.is_final()).map(|lost| lost.count()).sum();
        process.lost_before += ended;
        process.logs.push(lost);
    }

    /// What was counted of routes, endpoints and connections.
    pub fn figures(&self) -> Figures {
        figures::read(self)
    }

    /// All series as Prometheus reads them (text format 0.0.4).
    pub fn render(&self) -> String {
        render::render(self)
    }
}

impl WorkerShard {
    /// Another configuration is in force: names that are gone may make room for new ones, should they be too many.
    pub fn reloaded(&self) {
        self.may_forget_routes.set(true);
        self.may_forget_endpoints.set(true);
        self.may_forget_tcp.set(true);
        for (codes, shared) in self.by_name.iter().zip(&self.shard.by_name) {
            codes.borrow_mut().forget_if_full(shared);
        }
    }

    /// Services have other endpoints: those that are gone may make room for new ones, should they be too many.
    pub fn endpoints_changed(&self) {
        self.may_forget_endpoints.set(true);
    }

    /// The counts of a route; both names empty for requests that found none.
    pub fn route(&self, route: &str, api: &str) -> Arc<RouteMetrics> {
        series(&self.shard.routes, route, api, &self.may_forget_routes)
    }

    /// The counts of an endpoint.
    pub fn endpoint(&self, service: &str, endpoint: &str) -> Arc<EndpointMetrics> {
        series(&self.shard.endpoints, service, endpoint, &self.may_forget_endpoints)
    }

    /// The counts of a listener's connections that are passed on to a service.
    pub fn tcp(&self, listener: &str, service: &str) -> Arc<TcpMetrics> {
        series(&self.shard.tcp, listener, service, &self.may_forget_tcp)
    }

    /// Counts a refusal, or an answer that broke.
    pub fn refusal(&self, route: &str, code: &'static str) {
        self.count_by_name(ByName::Refusals, route, code);
    }

    /// Counts a request that a fallback was turned to for, by the refusal in whose place.
    pub fn fallback(&self, route: &str, code: &'static str) {
        self.count_by_name(ByName::Fallbacks, route, code);
    }

    /// Counts a request in which the firewall found something of a category.
    pub fn firewall_hit(&self, route: &str, category: &'static str) {
        self.count_by_name(ByName::FirewallHits, route, category);
    }

    /// Counts a call of gRPC, by its status.
    pub fn grpc_call(&self, route: &str, status: &'static str) {
        self.count_by_name(ByName::GrpcCalls, route, status);
    }

    /// Counts a copy of a request, by what became of it.
    pub fn mirrored(&self, route: &str, result: &'static str) {
        self.count_by_name(ByName::Mirrored, route, result);
    }

    /// Counts trouble that was made on purpose, by its kind.
    pub fn fault_injected(&self, route: &str, fault: &'static str) {
        self.count_by_name(ByName::InjectedFaults, route, fault);
    }

    /// Counts an answer of a service that was looked at, by what came of it.
    pub fn reviewed(&self, route: &str, result: &'static str) {
        self.count_by_name(ByName::ReviewedAnswers, route, result);
    }

    /// Counts a request with limits that gateways share, by what decided on it.
    pub fn limited(&self, route: &str, by: &'static str) {
        self.count_by_name(ByName::SharedLimits, route, by);
    }

    /// Counts a request of an application.
    pub fn app_request(&self, app: &str, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        self.count_by_name(ByName::AppRequests, app, CLASS_NAMES[class]);
    }

    /// Counts a request that was refused for its syntax, sizes or slowness.
    pub fn parse_refusal(&self, code: &'static str) {
        self.count(ByCode::ParseRefusals, code);
    }

    /// Counts a connection in.
    pub fn connection_opened(&self) {
        self.shard.accepted.add(1);
    }

    /// Counts a connection out.
    pub fn connection_closed(&self) {
        self.shard.closed.add(1);
    }

    /// Counts a connection that was not let in.
    pub fn connection_refused(&self, reason: &'static str) {
        self.count(ByCode::ConnectionsRefused, reason);
    }

    /// Counts a TLS handshake with a client, by what came of it.
    pub fn tls_handshake(&self, result: &'static str) {
        self.count(ByCode::TlsHandshakes, result);
    }

    /// Counts an HTTP/2 connection that was ended because it was abused.
    pub fn http2_attack(&self, attack: &'static str) {
        self.count(ByCode::Http2Attacks, attack);
    }

    /// Counts a failure of `accept` itself.
    pub fn accept_failed(&self, _error: &io::Error) {
        self.shard.accept_errors.add(1);
    }

    /// Counts a connection that a panic ended.
    pub fn panicked(&self) {
        self.shard.panics.add(1);
    }

    fn count(&self, family: ByCode, code: &'static str) {
        self.by_code[family as usize].borrow_mut().count(code, &self.shard.by_code[family as usize]);
    }

    fn count_by_name(&self, family: ByName, name: &str, code: &'static str) {
        let shared = &self.shard.by_name[family as usize];
        self.by_name[family as usize].borrow_mut().count(name, code, shared);
    }
}

impl RouteMetrics {
    /// Counts an exchange: its status, how long it took in all, how long the gateway worked on it, and the bytes of
    /// both bodies.
    pub fn record(&self, status: u16, total: Duration, gateway: Duration, bytes_in: u64, bytes_out: u64) {
        self.requests[class(status)].add(1);
        self.duration.observe(&LONG, total);
        self.gateway.observe(&SHORT, gateway);
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
    }

    /// Counts a WebSocket that has opened.
    pub fn open_web_socket(&self) -> OpenWebSocket<'_> {
        self.web_sockets_opened.add(1);
        OpenWebSocket(self)
    }
}

impl Drop for OpenWebSocket<'_> {
    fn drop(&mut self) {
        self.0.web_sockets_closed.add(1);
    }
}

impl EndpointMetrics {
    /// Counts an answer and the time to its first byte.
    pub fn record(&self, status: u16, first_byte: Duration) {
        self.requests[class(status)].add(1);
        self.first_byte.observe(&LONG, first_byte);
    }
}

fn class(status: u16) -> usize {
    usize::from((status / 100).clamp(1, CLASSES as u16)) - 1
}

/// The series of these names, made if it is new; that of `other` when there are too many. Once after each reload
/// those that nobody holds any more make room.
fn series<T: Default>(
    map: &Mutex<Series<Names, T>>,
    first: &str,
    second: &str,
    may_forget: &Cell<bool>,
) -> Arc<T> {
    let mut map = lock(map);
    let names: Names = (first.into(), second.into());
    if map.len() >= MAX_SERIES && !map.contains_key(&names) && may_forget.replace(false) {
        map.retain(|_, series| Arc::strong_count(series) > 1);
    }
    let is_full = map.len() >= MAX_SERIES && !map.contains_key(&names);
    let key = if is_full { (OTHER.into(), OTHER.into()) } else { names };
    Arc::clone(map.entry(key).or_default())
}

/// Counts are whole after a panic too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_merged_and_names_are_kept_over_reloads() {
        let metrics = Metrics::new();
        let (first, second) = (metrics.shard(), metrics.shard());
        let micros = Duration::from_micros;
        first.route("users", "shop").record(200, micros(1_200), micros(30), 10, 300);
        second.route("users", "shop").record(204, micros(700), micros(20), 5, 0);
        first.route("users", "shop").record(503, micros(10), micros(10), 0, 9);
        drop(first.route("users", "shop").open_web_socket());
        let other = second.route("users", "shop");
        let _open = other.open_web_socket();
        first.refusal("users", "upstream_busy");
        second.refusal("users", "upstream_busy");
        let text = metrics.render();
        for line in [
            "tollgate_requests_total{route=\"users\",api=\"shop\",status=\"2xx\"} 2",
            "tollgate_requests_total{route=\"users\",api=\"shop\",status=\"5xx\"} 1",
            "tollgate_request_body_bytes_total{route=\"users\",api=\"shop\"} 15",
            "tollgate_web_sockets_total{route=\"users\",api=\"shop\"} 2",
            "tollgate_web_sockets_open{route=\"users\",api=\"shop\"} 1",
            "tollgate_refusals_total{route=\"users\",code=\"upstream_busy\"} 2",
            "tollgate_request_duration_seconds_bucket{route=\"users\",api=\"shop\",le=\"0.001\"} 2",
            "tollgate_request_duration_seconds_count{route=\"users\",api=\"shop\"} 3",
            "tollgate_request_duration_seconds_sum{route=\"users\",api=\"shop\"} 0.00191",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn beyond_the_bound_series_are_counted_together() {
        let metrics = Metrics::new();
        let shard = metrics.shard();
        for route in 0..MAX_SERIES + 50 {
            shard.route(&route.to_string(), "").record(200, Duration::ZERO, Duration::ZERO, 0, 0);
        }
        let text = metrics.render();
        assert!(text.contains("tollgate_requests_total{route=\"other\",api=\"other\",status=\"2xx\"} 50"));
    }

    #[test]
    fn what_was_counted_once_is_counted_again_while_a_scrape_holds_every_lock() {
        let metrics = Metrics::new();
        let worker = metrics.shard();
        let count = |worker: &WorkerShard| {
            worker.refusal("users", "upstream_busy");
            worker.refusal("", "no_route");
            worker.parse_refusal("host_missing");
            worker.connection_refused("limit");
        };
        count(&worker);
        let shard = Arc::clone(&worker.shard);
        let held = (shard.by_name.each_ref().map(lock), shard.by_code.each_ref().map(lock));
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            count(&worker);
            let _ = done.send(());
        });
        assert!(is_done.recv_timeout(Duration::from_secs(10)).is_ok(), "it waits for a lock");
        drop(held);
        let text = metrics.render();
        for line in [
            "tollgate_refusals_total{route=\"\",code=\"no_route\"} 2",
            "tollgate_refusals_total{route=\"users\",code=\"upstream_busy\"} 2",
            "tollgate_parse_refusals_total{code=\"host_missing\"} 2",
            "tollgate_connections_refused_total{reason=\"limit\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn beyond_the_bound_refusals_are_counted_by_their_code_alone() {
        let metrics = Metrics::new();
        let worker = metrics.shard();
        for _ in 0..2 {
            for route in 0..MAX_CODES + 50 {
                worker.refusal(&route.to_string(), "upstream_busy");
            }
        }
        worker.refusal("0", "upstream_timeout");
        let text = metrics.render();
        for line in [
            "tollgate_refusals_total{route=\"0\",code=\"upstream_busy\"} 2",
            "tollgate_refusals_total{route=\"other\",code=\"upstream_busy\"} 100",
            "tollgate_refusals_total{route=\"other\",code=\"upstream_timeout\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not there");
        }
    }

    #[test]
    fn lines_that_a_former_log_loses_late_are_counted_too() {
        let metrics = Metrics::new();
        let dropped =
            |count: u64| metrics.render().contains(&format!("tollgate_log_dropped_total {count}\n"));
        let former = Lost::default();
        metrics.watch_lost(former.clone());
        metrics.watch_lost(Lost::default());
        former.add(3);
        assert!(dropped(3));
        drop(former);
        for _ in 0..2 {
            metrics.watch_lost(Lost::default());
            assert!(dropped(3));
        }
        assert_eq!(lock(&metrics.process).logs.len(), 1, "those that have ended are summed up");
    }

    #[test]
    fn names_that_are_gone_make_room_after_a_reload() {
        let metrics = Metrics::new();
        let shard = metrics.shard();
        for old in 0..MAX_SERIES {
            shard.endpoint("pods", &old.to_string()).record(200, Duration::ZERO);
            shard.refusal(&old.to_string(), "no_route");
        }
        shard.reloaded();
        let held = shard.endpoint("pods", "new");
        held.record(200, Duration::ZERO);
        shard.refusal("new", "no_route");
        let text = metrics.render();
        assert!(text.contains("endpoint=\"new\""));
        assert!(text.contains("tollgate_refusals_total{route=\"new\",code=\"no_route\"} 1"));
        assert!(!text.contains("other"));
    }

    #[test]
    fn the_last_days_of_certificates_are_told() {
        let metrics = Metrics::new();
        assert!(!metrics.render().contains("certificate"));
        let certificate = |names: &[&str]| Certificate {
            file: "a.pem".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            subject: "CN=a".to_owned(),
            serial: "0a".to_owned(),
            fingerprint: String::new(),
            not_before: 0,
            not_after: 1_767_225_600,
        };
        for (names, name) in [(&["a.test", "b.test"][..], "a.test"), (&[], "CN=a")] {
            metrics.watch_certificates(vec![certificate(names)]);
            let line = format!(
                "tollgate_certificate_expiry_timestamp_seconds{{name=\"{name}\",file=\"a.pem\",serial=\"0a\"}} 1767225600"
            );
            assert!(metrics.render().lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample_and_labels_are_escaped() {
        let metrics = Metrics::new();
        let shard = metrics.shard();
        shard.route("a\"b\\c\nd", "").record(200, Duration::ZERO, Duration::ZERO, 0, 0);
        let _ = shard.endpoint("users", "http://127.0.0.1:1");
        shard.parse_refusal("host_missing");
        shard.connection_refused("limit");
        let text = metrics.render();
        assert!(text.contains(r#"route="a\"b\\c\nd""#));
        for line in text.lines() {
            let is_comment = line.starts_with("# HELP tollgate_") || line.starts_with("# TYPE tollgate_");
            let is_sample = line
                .rsplit_once(' ')
                .is_some_and(|(name, value)| name.starts_with("tollgate_") && value.parse::<f64>().is_ok());
            assert!(is_comment || is_sample, "{line}");
        }
    }
}
