//! Trouble made on purpose before the call: a share of the requests waits, or gets an error in the place of an answer.

use std::time::Duration;

use http::StatusCode;

use super::balance::Random;
use crate::accept::Client;
use crate::accept::client::Interrupted;
use crate::clock;
use crate::exchange::{Exchange, Failed};
use crate::refusal::{Refusal, Stage};
use crate::worker::Worker;

/// The compiled policy.
#[derive(Debug)]
pub struct Injection {
    /// How long requests wait.
    pub delay: Option<(Duration, Lot)>,
    /// The error that they get.
    pub abort: Option<(StatusCode, Lot)>,
    /// What it does, for `tollgate explain`.
    pub summary: Box<str>,
}

/// Which requests it falls on.
#[derive(Debug)]
pub struct Lot {
    /// The share of them, in millionths.
    pub share: u32,
    /// Only those with this header.
    pub header: Option<Box<str>>,
}

impl Lot {
    fn falls_on(&self, exchange: &Exchange, random: &Random) -> bool {
        let fields = &exchange.request.fields;
        let is_meant = self.header.as_ref().is_none_or(|name| fields.get_named(name.as_bytes()).is_some());
        is_meant && random.below(1_000_000) < u64::from(self.share)
    }
}

impl Injection {
    /// Holds a request up, or refuses it, if the lot falls on it. A delay ends with the client, and with the `total` time of
    /// the request.
    pub async fn inject(
        &self,
        worker: &Worker,
        client: &mut Client,
        exchange: &Exchange,
        route: &str,
        total: Duration,
    ) -> Result<(), Failed> {
        let random = worker.upstreams.random();
        if let Some((time, lot)) = &self.delay
            && lot.falls_on(exchange, random)
        {
            worker.shard.fault_injected(route, "delay");
            let due = exchange.started + total;
            client.deadline.set(due.min(clock::now() + *time));
            let waited = client.unless_gone(worker, std::future::pending::<()>()).await;
            if waited == Err(Interrupted::Gone) {
                return Err(Failed::Gone);
            }
            if clock::now() >= due {
                return Err(injected(StatusCode::GATEWAY_TIMEOUT).into());
            }
        }
        if let Some((status, lot)) = &self.abort
            && lot.falls_on(exchange, random)
        {
            worker.shard.fault_injected(route, "abort");
            return Err(injected(*status).into());
        }
        Ok(())
    }
}

fn injected(status: StatusCode) -> Refusal {
    let detail = "this is a fault made on purpose, as the route's `fault` has it; no service was called";
    Refusal::new(status, "fault_injected", Stage::Call, detail)
}
