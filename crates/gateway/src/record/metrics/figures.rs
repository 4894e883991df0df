//! What the workers have counted, added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cell::MergedHistogram;
use super::codes::ByName;
use super::{CLASSES, Counter, Metrics, Names, Shard, lock};

/// The counts of all workers.
#[derive(Debug)]
pub struct Figures {
    /// By route and API; both empty for requests that found no route.
    pub routes: BTreeMap<Names, RouteFigures>,
    /// By service and endpoint.
    pub endpoints: BTreeMap<Names, EndpointFigures>,
    /// Refusals and broken answers, by route and code.
    pub refusals: BTreeMap<(Box<str>, &'static str), u64>,
    /// Connections of clients that are open.
    pub open: u64,
    /// Connections of clients since the start.
    pub accepted: u64,
    /// Workers.
    pub workers: usize,
    /// Configurations put in force.
    pub generation: u64,
    /// Since the start.
    pub uptime: Duration,
}

/// A route's counts on all workers.
#[derive(Debug, Default)]
pub struct RouteFigures {
    /// Requests by class of status, 1xx to 5xx.
    pub requests: [u64; CLASSES],
    /// How long they took.
    pub duration: MergedHistogram,
    /// How long the gateway itself worked on them.
    pub gateway: MergedHistogram,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    pub(super) web_sockets_opened: u64,
    pub(super) web_sockets_closed: u64,
    pub(super) waits_begun: u64,
    pub(super) waits_ended: u64,
    pub(super) waited_micros: u64,
}

/// An endpoint's counts on all workers.
#[derive(Debug, Default, Clone)]
pub struct EndpointFigures {
    /// Answers by class of status, 1xx to 5xx.
    pub requests: [u64; CLASSES],
    /// How long they took to begin.
    pub first_byte: MergedHistogram,
    /// Connections that did not come about.
    pub connect_failures: u64,
    /// Connections opened.
    pub opened: u64,
    /// Requests over a kept connection.
    pub reused: u64,
    /// Connections that wait for a request.
    pub idle: u64,
    /// Attempts beyond the first of a request.
    pub retries: u64,
    /// Failures after which the budget allowed none.
    pub retries_denied: u64,
    /// How often it was put out.
    pub ejections: u64,
    /// Requests that it was asked second: won, lost, denied.
    pub hedges: [u64; 3],
}

impl EndpointFigures {
    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in self.requests.iter_mut().zip(&other.requests) {
            *sum += part;
        }
        self.first_byte.add(&other.first_byte);
        self.connect_failures += other.connect_failures;
        self.opened += other.opened;
        self.reused += other.reused;
        self.idle += other.idle;
        self.retries += other.retries;
        self.retries_denied += other.retries_denied;
        self.ejections += other.ejections;
        for (sum, part) in self.hedges.iter_mut().zip(&other.hedges) {
            *sum += part;
        }
    }
}

/// All of it.
pub(super) fn read(metrics: &Metrics) -> Figures {
    let shards: Vec<Arc<Shard>> = lock(&metrics.shards).clone();
    let (open, accepted) = connections(&shards);
    Figures {
        routes: merge_routes(&shards),
        endpoints: merge_endpoints(&shards),
        refusals: merge_by_name(&shards, ByName::Refusals),
        open,
        accepted,
        workers: shards.len(),
        generation: lock(&metrics.process).reloads_ok,
        uptime: metrics.started.elapsed(),
    }
}

pub(super) fn merge_routes(shards: &[Arc<Shard>]) -> BTreeMap<Names, RouteFigures> {
    let mut routes: BTreeMap<Names, RouteFigures> = BTreeMap::new();
    for shard in shards {
        for (names, part) in &*lock(&shard.routes) {
            let route = routes.entry(names.clone()).or_default();
            add(&mut route.requests, &part.requests);
            part.duration.merge_into(&mut route.duration);
            part.gateway.merge_into(&mut route.gateway);
            route.bytes_in += part.bytes_in.value();
            route.bytes_out += part.bytes_out.value();
            // Read first: what closes meanwhile must not seem never to have opened.
            route.web_sockets_closed += part.web_sockets_closed.value();
            route.web_sockets_opened += part.web_sockets_opened.value();
            route.waits_ended += part.waits.ended.value();
            route.waits_begun += part.waits.begun.value();
            route.waited_micros += part.waits.micros.value();
        }
    }
    routes
}

pub(super) fn merge_endpoints(shards: &[Arc<Shard>]) -> BTreeMap<Names, EndpointFigures> {
    let mut endpoints: BTreeMap<Names, EndpointFigures> = BTreeMap::new();
    for shard in shards {
        for (names, part) in &*lock(&shard.endpoints) {
            let endpoint = endpoints.entry(names.clone()).or_default();
            add(&mut endpoint.requests, &part.requests);
            part.first_byte.merge_into(&mut endpoint.first_byte);
            endpoint.connect_failures += part.connect_failures.value();
            endpoint.opened += part.pool_opened.value();
            endpoint.reused += part.pool_reused.value();
            endpoint.idle += part.pool_idle.value();
            endpoint.retries += part.retries.value();
            endpoint.retries_denied += part.retries_denied.value();
            endpoint.ejections += part.ejections.value();
            let hedges = [&part.hedges_won, &part.hedges_lost, &part.hedges_denied];
            for (sum, part) in endpoint.hedges.iter_mut().zip(hedges) {
                *sum += part.value();
            }
        }
    }
    endpoints
}

pub(super) fn merge_by_name(
    shards: &[Arc<Shard>],
    family: ByName,
) -> BTreeMap<(Box<str>, &'static str), u64> {
    let mut counts: BTreeMap<(Box<str>, &'static str), u64> = BTreeMap::new();
    for shard in shards {
        for ((route, code), count) in &*lock(&shard.by_name[family as usize]) {
            *counts.entry((route.clone(), code)).or_default() += count.value();
        }
    }
    counts
}

/// Connections of clients, those that are open and all.
pub(super) fn connections(shards: &[Arc<Shard>]) -> (u64, u64) {
    // Closed ones first: what closes meanwhile must not seem never to have opened.
    let closed: u64 = shards.iter().map(|shard| shard.closed.value()).sum();
    let accepted: u64 = shards.iter().map(|shard| shard.accepted.value()).sum();
    (accepted.saturating_sub(closed), accepted)
}

fn add(sums: &mut [u64; CLASSES], parts: &[Counter; CLASSES]) {
    for (sum, part) in sums.iter_mut().zip(parts) {
        *sum += part.value();
    }
}
