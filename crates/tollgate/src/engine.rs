//! What the commands need of the data plane, in one place.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::SystemTime;

use gateway::config::{self, Config, Faults};
use gateway::record::Metrics;
use gateway::server::{Server, raise_file_limit};
use gateway::snapshot::Snapshot;
use http::Request;

/// Compiles the configuration as a start would, without starting anything. Gives warnings, or errors.
pub(crate) fn check(config: &Config) -> Result<Faults, Faults> {
    Snapshot::build(config, None).map(|(_, warnings)| warnings)
}

/// The walk of one request, as text.
pub(crate) fn explain(config: &Config, request: &Request<()>) -> String {
    match Snapshot::build(config, None) {
        Ok((snapshot, _)) => snapshot.explain(&head_of(request)),
        Err(faults) => faults.render(false),
    }
}

/// The request as a client would send it.
fn head_of(request: &Request<()>) -> Vec<u8> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    if !request.headers().contains_key(http::header::HOST) {
        let host = uri.authority().map_or("localhost", http::uri::Authority::as_str);
        head.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
    }
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The workers of a gateway.
pub(crate) struct Engine {
    server: Mutex<Server>,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// Binds the listeners and starts the workers. The error is a sentence for the operator.
    pub(crate) fn start(config: &Config, workers: Option<u32>) -> Result<Self, String> {
        raise_file_limit();
        let (snapshot, _) = Snapshot::build(config, None).map_err(|faults| faults.render(false))?;
        let count = workers
            .or(config.workers)
            .map_or_else(|| available_parallelism().map_or(1, usize::from), |count| count as usize);
        let metrics = Metrics::new();
        let server = Server::start(snapshot, count, Arc::clone(&metrics)).map_err(|error| error.to_string())?;
        metrics.reloaded(true, SystemTime::now());
        Ok(Self { server: Mutex::new(server), metrics })
    }

    /// Where it listens, and what it speaks there.
    pub(crate) fn listeners(&self) -> Vec<(SocketAddr, &'static str)> {
        self.server().addresses().into_iter().map(|address| (address, "http1")).collect()
    }

    /// Puts a configuration in force: all of it, or none and the reason.
    pub(crate) fn apply(&self, config: &Config) -> Result<(), String> {
        let mut server = self.server();
        let (snapshot, _) =
            Snapshot::build(config, Some(server.snapshot())).map_err(|faults| faults.render(false))?;
        server.apply(snapshot).map_err(|error| error.to_string())?;
        self.metrics.reloaded(true, SystemTime::now());
        Ok(())
    }

    /// Counts a configuration that was refused.
    pub(crate) fn reload_refused(&self) {
        self.metrics.reloaded(false, SystemTime::now());
    }

    /// The metrics of all workers, in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// Opens the log files again, under the names that they have.
    pub(crate) fn reopen_logs(&self) {
        self.server().reopen_logs();
    }

    /// Stops accepting and waits until the last exchange has ended, but not longer than the configuration allows.
    pub(crate) fn drain(&self) {
        let mut server = self.server();
        server.drain();
        server.stop();
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Server> {
        // A panic while it was held left it whole: it is changed last in every call.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What changes for a user between two configurations.
pub(crate) fn diff(old: &Config, new: &Config) -> Vec<String> {
    config::diff(old, new).iter().map(ToString::to_string).collect()
}
