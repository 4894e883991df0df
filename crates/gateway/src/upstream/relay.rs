//! Brings a service's answer back to the client: head, body and trailers, or a tunnel ([`super::tunnel`]).

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::Reason;
use http::{Method, StatusCode, Version};
use http1::Framing;

use super::call::Called;
use super::grpc;
use super::tunnel::tunnel;
use crate::accept::{Client, Ends, Pump, Side, Trouble};
use crate::clock;
use crate::exchange::{After, Exchange};
use crate::worker::Worker;

/// Sends the answer whose head is in the exchange, and what follows it, to the client. Afterwards `called` says whether its
/// connection may serve another request.
pub async fn relay(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    called: &mut Called,
) -> After {
    let status = exchange.response.status;
    exchange.outcome.status = Some(status);
    let is_tunnel = status == StatusCode::SWITCHING_PROTOCOLS
        || exchange.request.method == Method::CONNECT && status.is_success();
    if is_tunnel {
        tunnel(worker, client, exchange, called).await
    } else {
        answer(worker, client, exchange, called).await
    }
}

async fn answer(worker: &Worker, client: &mut Client, exchange: &mut Exchange, called: &mut Called) -> After {
    let incoming = called.leg.connection.incoming(exchange.response.framing);
    let outgoing = match exchange.response.framing {
        Framing::None => Framing::None,
        _ if client.stream.is_message() => Framing::UntilClose,
        Framing::Chunked | Framing::UntilClose if exchange.request.version == Version::HTTP_11 => {
            Framing::Chunked
        }
        Framing::Chunked => Framing::UntilClose,
        framing => framing,
    };
    // After an answer that does not wait for the rest of the request, that rest would be taken for the next one.
    let persistent = exchange.request.persistent
        && called.is_sent
        && called.leg.body.has_read_all()
        && outgoing != Framing::UntilClose
        && !worker.is_draining();
    if client.start_answer(worker, exchange, outgoing, persistent).is_err() {
        called.is_reusable = false;
        exchange.outcome.broken("client_gone");
        return After::Abort;
    }
    let mut body = Pump::new(incoming, outgoing, u64::MAX);
    if let Some(transform) = called.answer_transform.take() {
        body.set_transform(transform);
    }
    body.set_tap(called.answer_tap.take());
    let due = called.due;
    let mut patience = Patience::new(due, called.timeouts.idle);
    // Calls of gRPC may last for hours, and their callers understand a word of parting.
    let mut place = exchange.dialect.map(|_| worker.farewells.place());
    let is_grpc = place.is_some();
    let ended = poll_fn(|context| {
        if place.as_mut().is_some_and(|place| place.is_told(context)) {
            return Poll::Ready(Err(Broken::Drained));
        }
        loop {
            let result = poll_answer(context, worker, client, called, &mut body, is_grpc);
            if result.is_ready() {
                return result;
            }
            let progress = body.progress() + called.leg.body.progress();
            ready!(patience.poll_last_try(context, client, called, progress))?;
        }
    })
    .await;
    exchange.outcome.bytes_in = called.held + called.leg.body.moved();
    exchange.outcome.bytes_out = body.moved();
    match ended {
        Ok(()) => {
            grpc::note_status(exchange, body.trailers());
            let is_read = called.leg.body.has_read_all();
            // Bytes behind the answer belong to nobody: such a connection is not trusted again.
            called.is_reusable &=
                called.is_sent && exchange.response.persistent && called.leg.connection.input.is_empty();
            match (persistent, is_read) {
                (true, _) => After::KeepAlive,
                (false, true) => After::Close,
                (false, false) => After::Linger,
            }
        }
        Err(broken) => {
            called.is_reusable = false;
            let code = match broken {
                Broken::Gone => "client_gone",
                Broken::Service(_) => "upstream_truncated",
                Broken::Drained => "call_drained",
                Broken::Request(code) => code,
                Broken::TimedOut if clock::now() >= due => "total_timeout",
                Broken::TimedOut if body.waits_for() == Side::Sink => "client_slow",
                Broken::TimedOut => "upstream_idle_timeout",
            };
            exchange.outcome.broken(code);
            // A client that does not read would not hear it, and a service's own reason is told as it is.
            let has_reason = matches!(broken, Broken::Service(reason) if reason != Reason::INTERNAL_ERROR);
            let is_heard = body.waits_for() == Side::Source;
            if is_heard && !has_reason && grpc::end_early(client, exchange, code) {
                return After::Close;
            }
            // Only a reset tells a client whose answer ends with the connection, or its stream, that it did not end well.
            match broken {
                Broken::Service(reason) if outgoing == Framing::UntilClose => {
                    client.stream.reset_on_close(reason);
                }
                // What a client does not read would stay in the kernel, and be offered to it for a long time yet.
                Broken::TimedOut if body.waits_for() == Side::Sink => {
                    client.stream.reset_on_close(Reason::CANCEL);
                }
                _ if outgoing == Framing::UntilClose => client.stream.reset_on_close(Reason::CANCEL),
                _ => {}
            }
            After::Abort
        }
    }
}

/// For how long bodies may stand still.
pub(super) struct Patience {
    due: Instant,
    idle: Duration,
    /// How far they were when they last moved.
    seen: u64,
    is_last_try: bool,
}

impl Patience {
    /// Until then in all, and for so long between two movements.
    pub(super) fn new(due: Instant, idle: Duration) -> Self {
        Self { due, idle, seen: u64::MAX, is_last_try: false }
    }

    /// After nothing could be moved. Ready when it is over, or when it is to be tried once more.
    pub(super) fn poll_last_try(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
        called: &Called,
        progress: u64,
    ) -> Poll<Result<(), Broken>> {
        if progress != self.seen {
            self.seen = progress;
            self.is_last_try = false;
            client.deadline.set(self.due.min(clock::now() + self.idle));
        }
        ready!(client.deadline.poll_passed(context));
        if self.is_last_try || clock::now() >= self.due {
            return Poll::Ready(Err(Broken::TimedOut));
        }
        // Nobody is called slow who has taken something of which no event tells yet.
        self.is_last_try = true;
        client.stream.write_impatiently();
        called.leg.connection.stream.write_impatiently();
        Poll::Ready(Ok(()))
    }
}

/// What ends an answer before its time.
pub(super) enum Broken {
    Gone,
    /// What an HTTP/2 client is told of it.
    Service(Reason),
    TimedOut,
    /// The gateway is about to end.
    Drained,
    /// The rest of the request is refused, with this code, and the service would wait for it.
    Request(&'static str),
}

fn poll_answer(
    context: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    called: &mut Called,
    body: &mut Pump,
    is_grpc: bool,
) -> Poll<Result<(), Broken>> {
    let mut ends = Ends {
        source: &called.leg.connection.stream,
        input: &mut called.leg.connection.input,
        sink: &client.stream,
        outbox: &mut client.outbox,
        buffers: &worker.buffers,
    };
    match body.poll(context, &mut ends) {
        Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
        Poll::Ready(Err(Trouble::Write(_))) => return Poll::Ready(Err(Broken::Gone)),
        Poll::Ready(Err(Trouble::Read(error))) => return Poll::Ready(Err(Broken::Service(reason(&error)))),
        Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Service(Reason::INTERNAL_ERROR))),
        Poll::Pending => {}
    }
    poll_request(context, worker, client, called, is_grpc).map(Err)
}

/// Moves what is left of the request while the answer comes; ready when that has no sense any more.
pub(super) fn poll_request(
    context: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    called: &mut Called,
    is_grpc: bool,
) -> Poll<Broken> {
    if called.is_sent {
        return client.poll_gone(context, &worker.buffers).map(|()| Broken::Gone);
    }
    if client.poll_reset(context).is_ready() {
        return Poll::Ready(Broken::Gone);
    }
    let mut ends = Ends {
        source: &client.stream,
        input: &mut client.input,
        sink: &called.leg.connection.stream,
        outbox: &mut called.leg.connection.outbox,
        buffers: &worker.buffers,
    };
    match called.leg.body.poll(context, &mut ends) {
        Poll::Ready(Err(Trouble::Read(_) | Trouble::Truncated)) => Poll::Ready(Broken::Gone),
        // A service may begin to answer a call whose messages are still to come, and then waits for them.
        Poll::Ready(Err(Trouble::TooLarge)) if is_grpc => Poll::Ready(Broken::Request("body_too_large")),
        Poll::Ready(Err(Trouble::Malformed(fault))) if is_grpc => Poll::Ready(Broken::Request(fault.code())),
        Poll::Ready(Err(Trouble::Untranslatable(_))) => Poll::Ready(Broken::Request("grpc_web_malformed")),
        // The service takes no more, or gets no more that makes sense; its answer still counts.
        Poll::Ready(result) => {
            called.is_sent = true;
            called.is_reusable &= result.is_ok();
            client.poll_gone(context, &worker.buffers).map(|()| Broken::Gone)
        }
        Poll::Pending => Poll::Pending,
    }
}

/// What a service that speaks HTTP/2 gave as its reason, for a client that does. Its answer had begun, so it did not do
/// nothing (RFC 9113, section 7).
fn reason(error: &io::Error) -> Reason {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<h2::Error>());
    match error.and_then(h2::Error::reason) {
        None | Some(Reason::NO_ERROR | Reason::REFUSED_STREAM) => Reason::INTERNAL_ERROR,
        Some(reason) => reason,
    }
}
