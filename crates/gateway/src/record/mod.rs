//! Stage `record` (placeholder until its branch is merged).
#![allow(missing_docs)]
use std::{io, net::IpAddr, path::PathBuf, sync::Arc, time::{Duration, SystemTime}};
#[derive(Debug, Default)] pub struct IdGenerator(u64);
#[derive(Debug)] pub struct IdText(String);
impl IdGenerator { pub fn new() -> Self { Self(0) } pub fn next(&mut self, _: u64) -> IdText { self.0 += 1; IdText(format!("{:036}", self.0)) } }
impl IdText { pub fn as_str(&self) -> &str { &self.0 } }
pub fn is_acceptable(_: &[u8]) -> bool { true }
#[derive(Debug)] pub struct Line<'a> { pub unix_ms: u64, pub id: &'a str, pub client_ip: IpAddr, pub method: &'a str, pub host: &'a str, pub path: &'a str, pub query: Option<&'a str>, pub protocol: &'static str, pub status: u16, pub route: &'a str, pub api: &'a str, pub service: &'a str, pub endpoint: &'a str, pub code: &'a str, pub stage: &'a str, pub cause: &'a str, pub bytes_in: u64, pub bytes_out: u64, pub duration_us: u64, pub connect_us: Option<u64>, pub first_byte_us: Option<u64>, pub upstream_us: Option<u64>, pub attempts: u32, pub user_agent: &'a [u8], pub referer: &'a [u8] }
#[derive(Debug, PartialEq, Clone)] pub enum Format { Json, Common }
#[derive(Debug, PartialEq, Clone)] pub enum LogTarget { Stdout, Off, File(PathBuf) }
#[derive(Debug, PartialEq, Clone)] pub struct LogConfig { pub target: LogTarget, pub format: Format, pub sample: Vec<(u16, u16, f64)> }
#[derive(Debug, Clone)] pub struct LogSink;
impl LogSink { pub fn open(_: &LogConfig) -> io::Result<Self> { Ok(Self) } pub fn writer(&self) -> LogWriter { LogWriter } pub fn reopen(&self) {} pub fn shutdown(&self) {} }
#[derive(Debug)] pub struct LogWriter;
impl LogWriter { pub fn write(&mut self, _: &Line<'_>) {} pub fn flush(&mut self) {} }
#[derive(Debug)] pub struct Metrics;
impl Metrics { pub fn new() -> Arc<Self> { Arc::new(Self) } pub fn shard(self: &Arc<Self>) -> WorkerShard { WorkerShard } pub fn render(&self) -> String { String::new() } pub fn reloaded(&self, _: bool, _: SystemTime) {} pub fn watch_log(&self, _: LogSink) {} }
#[derive(Debug)] pub struct WorkerShard;
impl WorkerShard { pub fn route(&self, _: &str, _: &str) -> Arc<RouteMetrics> { Arc::new(RouteMetrics) } pub fn endpoint(&self, _: &str, _: &str) -> Arc<EndpointMetrics> { Arc::default() } pub fn refusal(&self, _: &str, _: &'static str) {} pub fn parse_refusal(&self, _: &'static str) {} pub fn connection_opened(&self) {} pub fn connection_closed(&self) {} pub fn connection_refused(&self, _: &'static str) {} pub fn accept_failed(&self, _: &io::Error) {} pub fn panicked(&self) {} }
#[derive(Debug)] pub struct RouteMetrics;
impl RouteMetrics { pub fn record(&self, _: u16, _: Duration, _: Duration, _: u64, _: u64) {} }
#[derive(Debug, Default)] pub struct EndpointMetrics { pub connect_failures: Counter, pub pool_opened: Counter, pub pool_reused: Counter, pub pool_idle: Gauge }
impl EndpointMetrics { pub fn record(&self, _: u16, _: Duration) {} }
#[derive(Debug, Default)] pub struct Counter; impl Counter { pub fn add(&self, _: u64) {} }
#[derive(Debug, Default)] pub struct Gauge; impl Gauge { pub fn set(&self, _: u64) {} }
