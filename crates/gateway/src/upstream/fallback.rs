//! What answers in place of a refusal when a service cannot be called: an answer of the gateway's own, or another service.
//!
//! Only where the service has seen nothing of the request, and for one step: what stands in for it has no fallback of its own.

use std::sync::Arc;

use http::Method;

use super::Service;
use super::call::{self, Called};
use crate::accept::Client;
use crate::answer::StaticAnswer;
use crate::exchange::{Exchange, Failed, Unserved};
use crate::snapshot::CallLimits;
use crate::translate::grpc::Dialect;
use crate::worker::Worker;

/// What answers.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// The gateway.
    Respond(Arc<StaticAnswer>),
    /// Another service.
    To {
        /// Its name.
        service: Arc<str>,
        /// What its calls may take.
        limits: Arc<CallLimits>,
    },
}

/// Turns to the service's fallback, if it has one and this is the kind of failure for it. Another service may answer then, or the
/// configuration ([`Failed::Answered`]).
pub async fn instead(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    service: &Service,
    failed: Failed,
) -> Result<Box<Called>, Failed> {
    let Failed::Unserved(unserved) = failed else { return Err(failed) };
    match &service.spec.fallback {
        Some(Fallback::Respond(answer)) if takes_answer(exchange) => {
            fall_back(exchange, &unserved);
            Err(Failed::Answered(Arc::clone(answer)))
        }
        // One of gRPC-Web may have been translated for the service that it was for.
        Some(Fallback::To { service, limits }) if matches!(exchange.dialect, None | Some(Dialect::Grpc)) => {
            // As it is now: one of before a reload would bring its transport back.
            let Some(other) = worker.live().service_of(worker, service) else {
                return Err(Failed::Unserved(unserved));
            };
            fall_back(exchange, &unserved);
            // Nobody is to be kept by a service that could not be called.
            exchange.cookie = None;
            exchange.tell_signed(&other.spec.name);
            call::call(worker, client, exchange, &other, limits).await
        }
        _ => Err(Failed::Unserved(unserved)),
    }
}

/// Whether a plain answer means to the caller what it says: a call of gRPC has a status elsewhere, and who asked for a tunnel could take
/// a success for one.
fn takes_answer(exchange: &Exchange) -> bool {
    let request = &exchange.request;
    exchange.dialect.is_none() && request.upgrade.is_empty() && request.method != Method::CONNECT
}

fn fall_back(exchange: &mut Exchange, unserved: &Unserved) {
    exchange.outcome.attempt_failed(unserved.began, unserved.refusal.code, None);
    exchange.outcome.fell_back(&unserved.refusal);
}
