//! Connections that are passed on byte by byte, unread but for the name that a TLS client asks for: so that a database or
//! a broker can stand behind the same gateway.
//!
//! The client's half-close is passed on, and so is the service's. No word is added to either side's bytes, but for an alert
//! when no service has the name.

mod connect;
mod hello;
mod record;
mod targets;

use std::future::poll_fn;
use std::rc::Rc;

use h2::Reason;
use http::StatusCode;

use super::Client;
use crate::record::TcpMetrics;
use crate::refusal::Stage;
use crate::upstream::tunnel::Tunnel;
use crate::worker::{OpenConnection, Worker};

use connect::Connected;
use record::Relay;
pub use targets::{Target, Targets};

/// Passes one connection on until it ends.
pub async fn serve(worker: Rc<Worker>, _open: OpenConnection, mut client: Client) {
    let mut relay = Relay::begin(&worker, &client);
    if let Some(target) = hello::find_target(&worker, &mut client, &mut relay).await {
        pass_on(&worker, &mut client, &mut relay, target).await;
    }
    relay.end(&worker, &client);
    client.input.consume(client.input.filled().len());
    client.outbox.clear();
    client.release(&worker.buffers);
}

async fn pass_on(worker: &Worker, client: &mut Client, relay: &mut Relay, target: Target) {
    let Some(service) = worker.live().service_of(worker, &target.service) else {
        return relay.refused(Stage::Call, "upstream_unavailable", StatusCode::SERVICE_UNAVAILABLE);
    };
    let metrics = worker.shard.tcp(&client.listener().name.to_string(), &service.spec.name);
    relay.outcome.service = Some(Rc::clone(&service.name));
    metrics.opened();
    // On the heap, and gone when the connection is there.
    let connected = Box::pin(connect::connect(client, relay, &service, &target)).await;
    if let Some(mut connected) = connected {
        copy(worker, client, relay, &mut connected, &metrics).await;
        connected.connection.input.consume(connected.connection.input.filled().len());
        connected.connection.input.release(&worker.buffers);
    }
    metrics.ended(relay.status());
}

async fn copy(
    worker: &Worker,
    client: &mut Client,
    relay: &mut Relay,
    connected: &mut Connected,
    metrics: &TcpMetrics,
) {
    let Connected { connection, timeouts, .. } = connected;
    let mut tunnel = Tunnel::new(timeouts, false);
    // Until both sides have ended nobody must take what came so far for all there is, even if the process ends first.
    client.stream.reset_on_close(Reason::CONNECT_ERROR);
    connection.stream.reset_on_close(Reason::CONNECT_ERROR);
    let (mut counted_in, mut counted_out) = (0, 0);
    let ended = poll_fn(|context| {
        let result = tunnel.poll(context, worker, client, connection);
        // As they go, not at the end: a connection to a database may live for weeks.
        metrics.bytes_in.add(tunnel.bytes_in() - counted_in);
        metrics.bytes_out.add(tunnel.bytes_out() - counted_out);
        (counted_in, counted_out) = (tunnel.bytes_in(), tunnel.bytes_out());
        result
    })
    .await;
    relay.outcome.bytes_in = counted_in;
    relay.outcome.bytes_out = counted_out;
    match ended {
        Ok(()) => {
            client.stream.close_in_order();
            connection.stream.close_in_order();
        }
        Err(code) => relay.outcome.broken(code),
    }
}
