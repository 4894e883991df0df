//! A connection to the service for one that is passed on: another endpoint is tried when one cannot be reached.

use std::rc::Rc;

use http::StatusCode;

use super::Target;
use super::record::Relay;
use crate::accept::Client;
use crate::clock;
use crate::refusal::Stage;
use crate::upstream::{Affinity, Connection, Picked, Service, Setup, Slot, Timeouts, Unavailable, balance};

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
    target: &Target,
) -> Option<Connected> {
    let &Target { timeouts, attempts, .. } = target;
    let peer = client.peer().ip().to_canonical();
    let hash = match *service.spec.affinity {
        Affinity::ClientIp => Some(balance::hash_ip(peer)),
        Affinity::None | Affinity::Key(_) | Affinity::Cookie(_) => None,
    };
    let mut tried: Vec<usize> = Vec::new();
    let mut last = ("upstream_unavailable", StatusCode::SERVICE_UNAVAILABLE);
    loop {
        let now = clock::now();
        let Ok(permit) = service.admit(now) else {
            relay.refused(Stage::Call, "breaker_open", StatusCode::SERVICE_UNAVAILABLE);
            return None;
        };
        let picked = match service.pick(hash, None, &tried, now) {
            Ok(picked) => picked,
            Err(Unavailable::Until(_)) if tried.is_empty() => {
                relay.refused(Stage::Call, "breaker_open", StatusCode::SERVICE_UNAVAILABLE);
                return None;
            }
            Err(_) => {
                relay.refused(Stage::Call, last.0, last.1);
                return None;
            }
        };
        let picked = picked.with_permit(permit);
        let endpoint = Rc::clone(&picked.endpoint);
        relay.outcome.attempt(&endpoint);
        client.deadline.set(clock::now() + endpoint.pool.limits().queue_for);
        let Some(Ok(slot)) = client.deadline.bound(endpoint.pool.slot()).await else {
            relay.refused(Stage::Call, "upstream_busy", StatusCode::SERVICE_UNAVAILABLE);
            return None;
        };
        let began = clock::now();
        client.deadline.set(began + timeouts.opening());
        let setup = Setup::new(client, peer, &endpoint, &timeouts);
        let (code, status) = match client.deadline.bound(endpoint.open_unread(setup)).await {
            Some(Ok(connection)) => {
                relay.outcome.connected();
                picked.reached(clock::now().saturating_duration_since(began));
                return Some(Connected { connection, timeouts, _picked: picked, _slot: slot });
            }
            Some(Err(error)) => {
                relay.outcome.cause = error.to_string();
                (error.code(), error.status())
            }
            None => {
                "no connection came about in time".clone_into(&mut relay.outcome.cause);
                ("upstream_connect_timeout", StatusCode::GATEWAY_TIMEOUT)
            }
        };
        endpoint.metrics.connect_failures.add(1);
        tried.push(picked.index);
        last = (code, status);
        picked.failed(clock::now().saturating_duration_since(began));
        if tried.len() as u32 >= attempts || tried.len() >= service.endpoints.len() {
            relay.refused(Stage::Call, code, status);
            return None;
        }
    }
}
