//! A connection that is not, or no longer, HTTP: bytes copied both ways, unread, until both sides have ended.
//!
//! Of a WebSocket it is known where its frames end, so that the gateway can close it in order when its time is over. A tunnel holds
//! no buffers while it is silent.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::call::Called;
use super::farewell::FAREWELL;
use super::{Connection, Timeouts};
use crate::accept::{Client, Ends};
use crate::clock;
use crate::exchange::{After, Exchange};
use crate::translate::websocket::{FrameTracker, GOING_AWAY, write_close};
use crate::worker::Worker;

/// A direction that has moved this much at once gets a large buffer.
const LONG: usize = 16 * 1024;

/// Copies bytes both ways until both sides have ended; one side's end is passed on while the other goes on.
pub(super) async fn tunnel(
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    called: &mut Called,
) -> After {
    called.is_reusable = false;
    // It may last for days: requests do not wait for it.
    called.leg.slot = None;
    let is_web_socket = is_web_socket(exchange);
    if client.start_tunnel(worker, exchange).is_err() {
        exchange.outcome.broken("client_gone");
        return After::Abort;
    }
    if let Some(route) = exchange.route {
        exchange.outlast(Rc::new(exchange.live.for_record(worker, route)));
        exchange.route = Some(0);
    }
    let live = Rc::clone(&exchange.live);
    let _open = is_web_socket.then(|| live.route_metrics(worker, exchange.route).open_web_socket());
    let mut tunnel = Tunnel::new(&called.timeouts, is_web_socket);
    let mut place = worker.farewells.place();
    let ended = poll_fn(|context| {
        if is_web_socket && tunnel.ending.is_none() && place.is_told(context) {
            tunnel.begin_to_end(client, "tunnel_drained");
        }
        tunnel.poll(context, worker, client, &mut called.leg.connection)
    })
    .await;
    exchange.outcome.bytes_in = tunnel.bytes_in();
    exchange.outcome.bytes_out = tunnel.bytes_out();
    match ended {
        Ok(()) => After::Close,
        Err(code) => {
            exchange.outcome.broken(code);
            // What was said last is still on its way to the client.
            if tunnel.is_closed() { After::Close } else { After::Abort }
        }
    }
}

/// Whether that is what both sides speak from here on: what the service chose, or what the client asked for.
fn is_web_socket(exchange: &Exchange) -> bool {
    let chosen = &exchange.response.upgrade;
    let protocol = if chosen.is_empty() { &exchange.request.upgrade } else { chosen };
    protocol.eq_ignore_ascii_case("websocket")
}

/// Both directions of a tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// How long nothing may move.
    idle: Duration,
    /// When it must have ended.
    due: Instant,
    /// From the client to the service.
    up: Direction,
    /// From the service to the client.
    down: Direction,
    /// The bytes that had moved when the deadline was set.
    seen: u64,
    /// Why a WebSocket is being closed.
    ending: Option<&'static str>,
}

impl Tunnel {
    /// A tunnel that begins now.
    pub fn new(timeouts: &Timeouts, is_web_socket: bool) -> Self {
        Self {
            idle: timeouts.tunnel_idle,
            due: clock::now() + timeouts.tunnel_total,
            up: Direction::new(is_web_socket),
            down: Direction::new(is_web_socket),
            seen: u64::MAX,
            ending: None,
        }
    }

    /// Bytes that went to the service.
    pub fn bytes_in(&self) -> u64 {
        self.up.moved
    }

    /// Bytes that went to the client.
    pub fn bytes_out(&self) -> u64 {
        self.down.moved
    }

    /// Ready when both sides have ended, or with the code of why they were not waited for.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        connection: &mut Connection,
    ) -> Poll<Result<(), &'static str>> {
        loop {
            self.poll_directions(context, worker, client, connection)
                .map_err(|()| self.ending.unwrap_or("tunnel_broken"))?;
            if self.is_closed() {
                return Poll::Ready(self.ending.map_or(Ok(()), Err));
            }
            if client.poll_reset(context).is_ready() {
                return Poll::Ready(Err(self.ending.unwrap_or("tunnel_broken")));
            }
            if self.ending.is_none() && self.up.moved.wrapping_add(self.down.moved) != self.seen {
                self.seen = self.up.moved.wrapping_add(self.down.moved);
                client.deadline.set(self.due.min(clock::now() + self.idle));
            }
            ready!(client.deadline.poll_passed(context));
            let code = if clock::now() >= self.due { "tunnel_timeout" } else { "tunnel_idle" };
            match self.ending {
                Some(code) => return Poll::Ready(Err(code)),
                None if self.up.frames.is_none() => return Poll::Ready(Err(code)),
                None => self.begin_to_end(client, code),
            }
        }
    }

    fn poll_directions(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        connection: &mut Connection,
    ) -> Result<(), ()> {
        let Connection { stream, input, outbox, .. } = connection;
        let upward = Ends {
            source: &client.stream,
            input: &mut client.input,
            sink: stream,
            outbox,
            buffers: &worker.buffers,
        };
        self.up.poll(context, upward)?;
        let downward = Ends {
            source: stream,
            input,
            sink: &client.stream,
            outbox: &mut client.outbox,
            buffers: &worker.buffers,
        };
        self.down.poll(context, downward)
    }

    /// Closes a WebSocket: each side is told at the next boundary of a frame, and has a moment to answer.
    fn begin_to_end(&mut self, client: &Client, code: &'static str) {
        self.ending = Some(code);
        // Frames towards a server are masked (RFC 6455, section 5.3). What this one hides is no secret, so that without the system's
        // randomness none will do.
        let mut mask = [0; 4];
        let _ = getrandom::fill(&mut mask);
        self.up.farewell = Some(Farewell { code, mask: Some(mask), is_said: false });
        self.down.farewell = Some(Farewell { code, mask: None, is_said: false });
        // As long each side has to say that it has heard.
        client.deadline.set(clock::now() + FAREWELL);
    }

    fn is_closed(&self) -> bool {
        self.up.is_shut && self.down.is_shut
    }
}

/// One direction of a tunnel.
#[derive(Debug)]
struct Direction {
    /// Bytes that were passed on.
    moved: u64,
    /// Where the frames of a WebSocket end in them.
    frames: Option<FrameTracker>,
    /// The gateway's own last word.
    farewell: Option<Farewell>,
    /// Whether the last bytes came in one large piece.
    is_long: bool,
    /// Whether the source has ended.
    is_moved: bool,
    /// Whether the sink has been told.
    is_shut: bool,
}

/// A Close frame that the gateway puts into a WebSocket.
#[derive(Debug)]
struct Farewell {
    code: &'static str,
    mask: Option<[u8; 4]>,
    is_said: bool,
}

impl Direction {
    fn new(is_web_socket: bool) -> Self {
        Self {
            moved: 0,
            frames: is_web_socket.then(FrameTracker::default),
            farewell: None,
            is_long: false,
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

    /// Ready when the source has ended and the sink knows.
    fn poll_shut(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), ()>> {
        while !self.is_moved {
            ready!(self.poll_write(context, ends))?;
            ready!(self.poll_read(context, ends))?;
        }
        if !self.is_shut {
            ready!(self.poll_write(context, ends))?;
            ready!(ends.sink.poll_shutdown(context)).map_err(drop)?;
            self.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was read, and what the gateway itself has to say.
    fn poll_write(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), ()>> {
        loop {
            while !ends.outbox.is_empty() {
                let count = ready!(ends.sink.poll_write(context, ends.outbox.rest())).map_err(drop)?;
                ends.outbox.advance(count);
            }
            let length = self.end_in_order(ends);
            if length > 0 {
                let bytes = &ends.input.filled()[..length];
                let count = ready!(ends.sink.poll_write(context, bytes)).map_err(drop)?;
                if let Some(frames) = &mut self.frames {
                    frames.advance(&bytes[..count]);
                }
                ends.input.consume(count);
                self.moved += count as u64;
            } else if ends.outbox.is_empty() {
                ends.outbox.release(ends.buffers);
                return ends.sink.poll_flush(context).map_err(drop);
            }
        }
    }

    /// How many of the bytes that were read are to be passed on: all of them, but those up to the next boundary when the gateway has a last
    /// word, which goes into the outbox there, and none behind it.
    fn end_in_order(&mut self, ends: &mut Ends<'_>) -> usize {
        let read = ends.input.filled();
        let (Some(farewell), Some(frames)) = (&mut self.farewell, &mut self.frames) else {
            return read.len();
        };
        if farewell.is_said {
            // Only the other side's last word still counts.
            frames.advance(read);
            ends.input.consume(read.len());
            self.is_moved |= frames.has_closed();
            return 0;
        }
        if !frames.is_at_boundary() {
            return frames.clone().advance_to_boundary(read);
        }
        farewell.is_said = true;
        if !frames.has_closed() {
            write_close(GOING_AWAY, farewell.code, farewell.mask, ends.outbox.bytes(ends.buffers));
        }
        0
    }

    /// Reads what is there, or the end. No memory is held while nothing comes.
    fn poll_read(&mut self, context: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), ()>> {
        ends.input.release(ends.buffers);
        ready!(ends.source.poll_readable(context)).map_err(drop)?;
        if self.is_long {
            ends.input.enlarge(ends.buffers);
        }
        let space = ends.input.space(ends.buffers);
        let room = space.len();
        match ends.source.poll_read(context, space) {
            Poll::Ready(Ok(0)) => self.is_moved = true,
            Poll::Ready(Ok(count)) => {
                ends.input.fill(count);
                self.is_long = count == room && count >= LONG;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
            Poll::Pending => {
                ends.input.release(ends.buffers);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}
