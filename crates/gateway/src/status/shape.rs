//! What the page says, member by member. Who reads it takes what is missing, as in an older gateway's answer, for zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{CLASSES, EndpointFigures, MergedHistogram, TIME_BOUNDS};
use crate::upstream::breaker::{State, Turns};
use crate::upstream::health::EndpointState;

/// The gateway at this moment. What is counted is counted since its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The version of the gateway.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long that runs.
    pub uptime_seconds: f64,
    /// Configurations put in force.
    pub generation: u64,
    /// Worker threads.
    pub workers: usize,
    /// Whether it is about to end.
    pub draining: bool,
    /// Connections of clients.
    pub connections: Connections,
    /// Requests of all routes, and of none.
    pub requests: Requests,
    /// Routes that were asked, the busiest first.
    pub routes: Vec<RouteStatus>,
    /// How many were asked that are not listed.
    pub routes_left_out: usize,
    /// Services, by name.
    pub services: Vec<ServiceStatus>,
    /// How many are not listed.
    pub services_left_out: usize,
}

/// Connections of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Open now.
    pub open: u64,
    /// Since the start.
    pub accepted: u64,
}

/// Requests by class of status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// All of them.
    pub total: u64,
    /// 100 to 199, which are answers to requests for another protocol.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

/// How long things took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
    /// Pairs of a bound in seconds, and how many took no longer.
    pub buckets: Vec<(f64, u64)>,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteStatus {
    /// Its name; empty for requests that found no route.
    pub name: String,
    /// Its API, or empty.
    pub api: String,
    /// The services that its requests go to: several where they are split, none where the gateway answers.
    pub services: Vec<String>,
    /// Its requests.
    pub requests: Requests,
    /// Refusals and broken answers, by code.
    pub refusals: BTreeMap<String, u64>,
    /// From a request's first byte to the end of its answer.
    pub duration_seconds: Times,
    /// Bytes of requests' bodies.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its balancer.
    pub balance: String,
    /// Its breaker, where it has one for all of its endpoints.
    pub breaker: Option<BreakerStatus>,
    /// The calls of all its endpoints, those that are not listed included.
    #[serde(flatten)]
    pub calls: Calls,
    /// Its endpoints.
    pub endpoints: Vec<EndpointStatus>,
    /// How many are not listed.
    pub endpoints_left_out: usize,
}

/// A breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// How it stands.
    pub state: State,
    /// How often it opened.
    pub opened: u64,
    /// How often it closed again.
    pub closed: u64,
}

impl From<(State, Turns)> for BreakerStatus {
    fn from((state, Turns { opened, closed }): (State, Turns)) -> Self {
        Self { state, opened, closed }
    }
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointStatus {
    /// Its URL.
    pub url: String,
    /// Its share of the requests beside the others'.
    pub weight: u32,
    /// How it stands.
    pub state: EndpointState,
    /// For how much longer it is out; only there while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_for_seconds: Option<f64>,
    /// Its breaker; only there where each endpoint has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerStatus>,
    /// Whether it is asked how it is.
    pub checked: bool,
    /// What became of calls to it.
    #[serde(flatten)]
    pub calls: Calls,
}

/// What became of calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// Answers.
    pub requests: Requests,
    /// From a request being sent to the head of its answer.
    pub first_byte_seconds: Times,
    /// Connections that did not come about.
    pub connect_failures: u64,
    /// Attempts beyond the first of a request.
    pub retries: u64,
    /// Failures after which the budget allowed none.
    pub retries_denied: u64,
    /// How often endpoints were put out.
    pub ejections: u64,
    /// Connections.
    pub pool: PoolStatus,
}

/// Connections to endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolStatus {
    /// Those that wait for a request, as of the last second.
    pub idle: u64,
    /// Opened since the start.
    pub opened: u64,
    /// Requests that went over one that was kept.
    pub reused: u64,
}

impl Default for EndpointStatus {
    fn default() -> Self {
        Self {
            url: String::new(),
            weight: 1,
            state: EndpointState::Up,
            out_for_seconds: None,
            breaker: None,
            checked: false,
            calls: Calls::default(),
        }
    }
}

impl Requests {
    /// Of counts from 1xx to 5xx.
    pub fn of(classes: &[u64; CLASSES]) -> Self {
        let &[informational, success, redirection, client_error, server_error] = classes;
        let total = classes.iter().sum();
        Self { total, informational, success, redirection, client_error, server_error }
    }
}

impl Times {
    pub(super) fn of(histogram: &MergedHistogram) -> Self {
        Self {
            count: histogram.count(),
            sum: histogram.sum(),
            buckets: histogram.cumulative(&TIME_BOUNDS).collect(),
        }
    }
}

impl Calls {
    pub(super) fn of(figures: &EndpointFigures) -> Self {
        Self {
            requests: Requests::of(&figures.requests),
            first_byte_seconds: Times::of(&figures.first_byte),
            connect_failures: figures.connect_failures,
            retries: figures.retries,
            retries_denied: figures.retries_denied,
            ejections: figures.ejections,
            pool: PoolStatus { idle: figures.idle, opened: figures.opened, reused: figures.reused },
        }
    }
}
