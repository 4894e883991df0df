//! A connection that has stopped being HTTP: bytes copied both ways, unread, until both sides have ended.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use http1::Framing;

use super::Connection;
use super::call::Called;
use crate::accept::{Client, Ends, Pump};
use crate::clock;
use crate::exchange::{After, Exchange};
use crate::worker::Worker;

/// Copies bytes both ways until both sides have ended; one side's end is passed on while the other goes on.
pub(super) async fn tunnel(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    mut called: Called,
) -> After {
    if client.start_tunnel(worker, exchange).is_err() {
        exchange.outcome.broken("client_gone");
        return After::Abort;
    }
    let mut up = HalfTunnel::new();
    let mut down = HalfTunnel::new();
    let mut seen = u64::MAX;
    let ended = poll_fn(|context| {
        let Connection { stream, input, outbox, .. } = &mut called.connection;
        let upward = Ends {
            source: &client.stream,
            input: &mut client.input,
            sink: stream,
            outbox,
            buffers: &worker.buffers,
        };
        if up.poll(context, upward).is_err() {
            return Poll::Ready(Err("tunnel_broken"));
        }
        let downward = Ends {
            source: stream,
            input,
            sink: &client.stream,
            outbox: &mut client.outbox,
            buffers: &worker.buffers,
        };
        if down.poll(context, downward).is_err() {
            return Poll::Ready(Err("tunnel_broken"));
        }
        if up.is_shut && down.is_shut {
            return Poll::Ready(Ok(()));
        }
        let progress = up.pump.progress() + down.pump.progress();
        if progress != seen {
            seen = progress;
            client.deadline.set(clock::now() + called.timeouts.idle);
        }
        client.deadline.poll_passed(context).map(|()| Err("tunnel_idle"))
    })
    .await;
    exchange.outcome.bytes_in = up.pump.moved();
    exchange.outcome.bytes_out = down.pump.moved();
    if let Err(code) = ended {
        exchange.outcome.broken(code);
    }
    After::Abort
}

/// One direction of a tunnel.
struct HalfTunnel {
    pump: Pump,
    is_moved: bool,
    is_shut: bool,
}

impl HalfTunnel {
    fn new() -> Self {
        Self {
            pump: Pump::new(Framing::UntilClose, Framing::UntilClose, u64::MAX),
            is_moved: false,
            is_shut: false,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, mut ends: Ends<'_>) -> Result<(), ()> {
        match self.poll_shut(context, &mut ends) {
            Poll::Ready(Err(())) => Err(()),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_shut(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), ()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        if !self.is_moved {
            ready!(self.pump.poll(context, ends)).map_err(|_| ())?;
            self.is_moved = true;
        }
        ready!(ends.sink.poll_shutdown(context)).map_err(|_| ())?;
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}
