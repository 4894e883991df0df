//! Stages `admit` to `cache`: whether the listener and the route's policies let the request through.

use std::rc::Rc;
use std::time::Instant;

use http::StatusCode;

use super::refused::address_limited;
use super::{Exchange, Failed, find_route};
use crate::accept::Client;
use crate::accept::client::Interrupted;
use crate::accept::whole_body::Unread;
use crate::clock;
use crate::policies::{Policy, Resume, Step, Waiting};
use crate::refusal::{Refusal, Stage};
use crate::snapshot::Route;
use crate::worker::Worker;

/// Whether its address may make another request.
#[inline]
pub(super) fn limit_of_address(
    worker: &Worker,
    client: &Client,
    exchange: &mut Exchange,
) -> Result<(), Failed> {
    let Err(empty) = client.origin().requests.spend(client.listener(), &exchange.caller) else {
        return Ok(());
    };
    worker.tell_of_flood(client.listener(), exchange.caller.ip);
    // Its route, where there is one, counts the refusal and may ban for it.
    let _ = find_route(worker, &Rc::clone(&exchange.live), exchange);
    Err(address_limited(empty).into())
}

/// Asks the route's policies in the order of their stages.
pub(super) async fn policies(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    route: &Route,
) -> Result<(), Failed> {
    for policy in route.policies() {
        match policy.on_request(exchange) {
            Step::Continue => {}
            Step::Refuse(refusal) => return Err(Failed::Refused(refusal)),
            // On the heap: most requests wait for nothing, and do not carry the state of it.
            step => Box::pin(stay(worker, client, exchange, route, &**policy, step)).await?,
        }
    }
    Ok(())
}

/// Stays with one policy until it knows what follows.
async fn stay<'p>(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    route: &Route,
    policy: &'p dyn Policy,
    mut step: Step<'p>,
) -> Result<(), Failed> {
    let due = exchange.started + route.limits.timeouts.total;
    loop {
        step = match step {
            Step::Continue => return Ok(()),
            Step::Respond(answer) => return Err(Failed::Answered(answer)),
            Step::Refuse(refusal) => return Err(Failed::Refused(refusal)),
            Step::Body(most, then) => {
                read_body(worker, client, exchange, most, due).await?;
                then(exchange, client.whole_body(&exchange.request))
            }
            Step::StartOfBody(most, then) => {
                let start = read_start_of_body(worker, client, exchange, most, due).await?;
                then(exchange, start.as_deref().unwrap_or_else(|| client.whole_body(&exchange.request)))
            }
            Step::Wait(waiting) => {
                let late = "what has to be found out about the request took longer than the request may";
                let timed_out = || timed_out(policy.stage(), late);
                let go_on = wait(worker, client, exchange, waiting, due, timed_out).await?;
                go_on(exchange)
            }
            Step::Queue(waiting) => {
                let live = Rc::clone(&exchange.live);
                let _waits = live.route_metrics(worker, exchange.route).begin_wait();
                let late = "the request would have to wait for its turn for longer than it may take";
                let timed_out = || timed_out(policy.stage(), late);
                let go_on = wait(worker, client, exchange, waiting, due, timed_out).await?;
                go_on(exchange)
            }
        }
    }
}

/// Waits as long as the client does and the request may.
async fn wait<'p>(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    waiting: Waiting<'p>,
    due: Instant,
    timed_out: impl FnOnce() -> Refusal,
) -> Result<Resume<'p>, Failed> {
    client.deadline.set(due);
    let began = clock::now();
    let waited = client.unless_gone(worker, waiting).await;
    exchange.outcome.waited += clock::now().saturating_duration_since(began);
    waited.map_err(|interrupted| match interrupted {
        Interrupted::Gone => Failed::Gone,
        Interrupted::TimedOut => timed_out().into(),
    })
}

async fn read_body(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    most: u64,
    due: Instant,
) -> Result<(), Failed> {
    if exchange.is_body_read {
        let length = client.whole_body(&exchange.request).len() as u64;
        return if length > most { Err(body_unreadable(most).into()) } else { Ok(()) };
    }
    let limit = most.min(exchange.max_body);
    match client.read_whole_body(worker, &mut exchange.request, limit, due).await {
        Ok(()) => {
            exchange.is_body_read = true;
            Ok(())
        }
        Err(unread) => Err(unreadable(exchange, &unread, most)),
    }
}

/// Nothing where the whole body has been read.
async fn read_start_of_body(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    most: u64,
    due: Instant,
) -> Result<Option<Vec<u8>>, Failed> {
    if exchange.is_body_read {
        let body = client.whole_body(&exchange.request);
        return Ok(body.get(..most as usize).map(<[u8]>::to_vec));
    }
    let limit = most.min(exchange.max_body);
    match client.read_start_of_body(worker, &mut exchange.request, limit, due).await {
        Ok(Some(_)) if exchange.max_body <= most => Err(unreadable(exchange, &Unread::TooLong, most)),
        Ok(start) => {
            exchange.is_body_read = start.is_none();
            Ok(start)
        }
        Err(unread) => Err(unreadable(exchange, &unread, most)),
    }
}

fn unreadable(exchange: &mut Exchange, unread: &Unread, most: u64) -> Failed {
    match *unread {
        Unread::Gone => Failed::Gone,
        Unread::TimedOut => Refusal::body_timeout().into(),
        Unread::TooLong => {
            // Part of it may be gone from the buffer: nothing can follow on this connection.
            exchange.outcome.is_body_touched = true;
            let is_routes = exchange.max_body <= most;
            if is_routes { exchange.body_too_large() } else { body_unreadable(most) }.into()
        }
        Unread::Malformed(fault) => {
            exchange.outcome.is_body_touched = true;
            Refusal::malformed_body(fault).into()
        }
    }
}

/// A body that is too long to be looked at is not let through unseen.
fn body_unreadable(most: u64) -> Refusal {
    let detail = format!("the body is longer than the {most} bytes that are looked at here");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Stage::Admit, detail)
}

fn timed_out(stage: Stage, detail: &'static str) -> Refusal {
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, "policy_timeout", stage, detail)
}
