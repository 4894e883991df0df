//! Stage `record`: access log, metrics, request ids.
//!
//! A worker writes its own shard and its own buffer; merging and writing happen on other threads.

mod appender;
mod batch;
pub mod decimal;
mod id;
mod line;
mod metrics;
mod redact;
mod sink;

pub use id::{IdGenerator, IdText, is_acceptable};
pub use line::{FailedAttempt, Format, Line};
pub use metrics::{
    BreakerReading, CLASSES, Counter, DiscoveryReading, EndpointFigures, EndpointMetrics, EndpointReading,
    Figures, Gauge, HealthReadings, KeySetReading, MergedHistogram, Metrics, OTHER, RouteFigures,
    RouteMetrics, ServiceMetrics, TIME_BOUNDS, TcpMetrics, WorkerShard,
};
pub use redact::{redact, redact_reference};
pub use sink::{LogConfig, LogSink, LogTarget, LogWriter};
