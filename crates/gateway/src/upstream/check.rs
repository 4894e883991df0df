//! What is asked of an endpoint to see whether it is well. Who asks is the control plane, once for all workers.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::config::values::{Pattern, StatusRange};

/// How the endpoints of a service are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Answers in a row after which an endpoint gets requests again.
    pub healthy_after: u32,
    /// Failures in a row after which it gets none.
    pub unhealthy_after: u32,
    /// Whether it gets none before it was asked.
    pub starts_down: bool,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A connection.
    Tcp,
    /// A request.
    Http {
        /// Its method.
        method: Method,
        /// Its path, behind the endpoint's own.
        path: String,
        /// The host that it names, where that is not the endpoint's.
        host: Option<String>,
        /// The statuses that are well.
        expect: StatusRange,
        /// What must be found in the answer's body.
        body: Option<Pattern>,
    },
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc {
        /// For this service; empty for the server as a whole.
        service: String,
    },
}

impl Probe {
    /// Whether an HTTP answer of this status is well.
    pub fn expects(&self, status: StatusCode) -> bool {
        match self {
            Self::Http { expect, .. } => expect.contains(status),
            Self::Tcp | Self::Grpc { .. } => status == StatusCode::OK,
        }
    }
}
