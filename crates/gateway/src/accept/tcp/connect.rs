//! A connection to the service for one that is passed on: another endpoint is tried when one cannot be reached.

use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;

use super::record::Relay;
use crate::accept::Client;
use crate::clock;
use crate::refusal::Stage;
use crate::snapshot::CallLimits;
use crate::upstream::{Affinity, Connection, Picked, Service, Slot, Timeouts, balance};

/// How long a client waits for leave to connect when an endpoint has all the connections it may have.
const QUEUE_FOR: Duration = Duration::from_secs(2);

/// A connection to an endpoint, and what is held as long as it is used.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) timeouts: Timeouts,
    _picked: Picked,
    _slot: Slot,
}

/// Connects; where that fails, why stands in the outcome. The client is not watched meanwhile: it may have ended its half,
/// and still wants the answer.
pub(super) async fn connect(
    client: &Client,
    relay: &mut Relay,
    service: &Rc<Service>,
    limits: CallLimits,
) -> Option<Connected> {
    let CallLimits { timeouts, attempts } = limits;
    let peer = client.peer().ip().to_canonical();
    let told = service.spec.proxy_protocol.and_then(|_| client.endpoints(peer));
    let hash = match service.spec.affinity {
        Affinity::ClientIp => Some(balance::hash_ip(peer)),
        Affinity::None | Affinity::Key(_) | Affinity::Cookie(_) => None,
    };
    let mut tried: Vec<usize> = Vec::new();
    loop {
        let Some(picked) = service.pick(hash, None, &tried, clock::now()) else {
            relay.refused(Stage::Call, "upstream_unavailable", StatusCode::SERVICE_UNAVAILABLE);
            return None;
        };
        let endpoint = Rc::clone(&picked.endpoint);
        relay.outcome.endpoint = Some(Rc::clone(&endpoint));
        relay.outcome.attempts += 1;
        client.deadline.set(clock::now() + QUEUE_FOR);
        let Some(Ok(slot)) = client.deadline.bound(endpoint.pool.slot()).await else {
            relay.refused(Stage::Call, "upstream_busy", StatusCode::SERVICE_UNAVAILABLE);
            return None;
        };
        let began = clock::now();
        client.deadline.set(began + timeouts.connect);
        let (code, status) = match client.deadline.bound(endpoint.open_unread(told)).await {
            Some(Ok(connection)) => {
                relay.outcome.connected();
                picked.in_flight.answered(clock::now().saturating_duration_since(began), clock::now());
                return Some(Connected { connection, timeouts, _picked: picked, _slot: slot });
            }
            Some(Err(error)) => {
                relay.outcome.cause = error.to_string();
                (error.code(), StatusCode::BAD_GATEWAY)
            }
            None => {
                "no connection came about in time".clone_into(&mut relay.outcome.cause);
                ("upstream_connect_timeout", StatusCode::GATEWAY_TIMEOUT)
            }
        };
        endpoint.metrics.connect_failures.add(1);
        tried.push(picked.index);
        picked.in_flight.failed(clock::now().saturating_duration_since(began), clock::now());
        if tried.len() as u32 >= attempts || tried.len() >= service.endpoints.len() {
            relay.refused(Stage::Call, code, status);
            return None;
        }
    }
}
