//! The HTTP/1.1 end towards clients: stages `accept` and `parse`, and the gateway's own answers.
//!
//! A connection holds no buffers while it idles, and the state of an exchange lives only as long as the exchange.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};
use http1::{BodyDecoder, Fields, Framing, Known, Piece, RequestFault, encode_response, parse_request};
use tokio::net::TcpStream;

use super::buffer::{Buffer, Buffers, Outbox};
use super::forwarded::PeerText;
use super::listener::{Listener, ListenerSpec};
use super::stream::Stream;
use crate::clock::{self, Deadline};
use crate::exchange::{self, After, Exchange};
use crate::refusal::{Refusal, Stage};
use crate::worker::{OpenConnection, Worker};

/// How long a client may take to read a last answer while it is still sending.
const LINGER: Duration = Duration::from_secs(2);
/// When the gateway goes down, how long an idle connection may still bring a request that is already on its way.
const LAST_CALL: Duration = Duration::from_millis(500);
/// Bytes of an unwanted request that are thrown away meanwhile.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    /// The socket.
    pub stream: Stream,
    /// What was read from it: the rest of a head or body, or requests that wait their turn.
    pub input: Buffer,
    /// What is to be written to it.
    pub outbox: Outbox,
    /// What the connection waits for must happen before this.
    pub deadline: Deadline,
    peer: SocketAddr,
    peer_text: PeerText,
    listener: Rc<Listener>,
    settings: Arc<ListenerSpec>,
}

/// Why waiting ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The client closed the connection.
    Gone,
    /// The deadline passed.
    TimedOut,
}

/// How reading a head ended.
enum Head {
    Complete,
    Refused(RequestFault),
    TimedOut,
    Gone,
}

/// Serves one connection until it ends.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    open: OpenConnection,
    socket: TcpStream,
    peer: SocketAddr,
) {
    let mut client = Client::new(&listener, socket, peer);
    let mut is_first = true;
    while client.wait_for_request(&worker, &open, is_first).await {
        is_first = false;
        // On the heap, so that an idle connection does not carry the state of a busy one.
        let after = Box::pin(serve_one(&worker, &mut client)).await;
        match after {
            After::KeepAlive => {}
            // Closing over unread bytes would reset the connection and might destroy the answer.
            After::Close if client.input.is_empty() => break,
            After::Close | After::Linger => {
                Box::pin(client.linger(&worker)).await;
                break;
            }
            After::Abort => break,
        }
    }
    client.input.consume(client.input.filled().len());
    client.outbox.clear();
    client.release(&worker.buffers);
}

async fn serve_one(worker: &Worker, client: &mut Client) -> After {
    client.listener.update(&mut client.settings);
    let mut exchange = worker.begin_exchange(client.peer);
    let after = match client.read_head(worker, &mut exchange).await {
        Head::Complete => exchange::run(worker, client, &mut exchange, Ok(())).await,
        Head::Refused(fault) => client.refuse_head(worker, &mut exchange, parse_refusal(fault)).await,
        Head::TimedOut => client.refuse_head(worker, &mut exchange, head_timeout()).await,
        Head::Gone => After::Abort,
    };
    worker.end_exchange(exchange);
    after
}

impl Client {
    fn new(listener: &Rc<Listener>, socket: TcpStream, peer: SocketAddr) -> Self {
        Self {
            stream: Stream::new(socket),
            input: Buffer::default(),
            outbox: Outbox::default(),
            deadline: Deadline::default(),
            peer,
            peer_text: PeerText::new(peer.ip().to_canonical()),
            listener: Rc::clone(listener),
            settings: listener.settings(),
        }
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Its address as fields write it.
    pub fn peer_text(&self) -> &PeerText {
        &self.peer_text
    }

    /// The listener's settings as of the current exchange.
    pub fn listener(&self) -> &ListenerSpec {
        &self.settings
    }

    /// Writes all that is in the outbox before the deadline passes.
    pub async fn flush_in_time(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            if let Poll::Ready(result) = self.poll_flush(context) {
                return Poll::Ready(result);
            }
            self.deadline.poll_passed(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Ready when the client has closed the connection. What it sends instead (the next request) is kept, and
    /// once the buffer is full no longer looked for.
    pub fn poll_gone(&mut self, context: &mut Context<'_>, buffers: &Buffers) -> Poll<()> {
        loop {
            if ready!(self.stream.poll_readable(context)).is_err() {
                return Poll::Ready(());
            }
            let space = self.input.space(buffers);
            if space.is_empty() {
                return Poll::Pending;
            }
            match ready!(self.stream.poll_read(context, space)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(count) => self.input.fill(count),
            }
        }
    }

    /// Runs a future until it ends, the client leaves, or the deadline passes.
    pub async fn unless_gone<F: Future>(
        &mut self,
        worker: &Worker,
        future: F,
    ) -> Result<F::Output, Interrupted> {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if self.poll_gone(context, &worker.buffers).is_ready() {
                return Poll::Ready(Err(Interrupted::Gone));
            }
            self.deadline.poll_passed(context).map(|()| Err(Interrupted::TimedOut))
        })
        .await
    }

    /// Sends an answer of the gateway's own, whose fields, shaped, are in the exchange. The connection stays open if
    /// the request's body is here whole.
    pub async fn answer(
        &mut self,
        worker: &Worker,
        exchange: &mut Exchange,
        status: StatusCode,
        body: &[u8],
    ) -> After {
        let is_head = exchange.request.method == Method::HEAD;
        let is_read = self.discard_body(exchange);
        let persistent = is_read && exchange.request.persistent && !worker.is_draining();
        exchange.outcome.status = Some(status);
        exchange.response.fields.set(Known::XRequestId, exchange.id.as_bytes());
        let has_length = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED
            && !(is_head && body.is_empty());
        let sent: &[u8] = if is_head || !has_length { b"" } else { body };
        self.outbox.clear();
        let out = self.outbox.bytes(&worker.buffers);
        encode_response(
            out,
            exchange.request.version,
            status,
            &exchange.response.fields,
            if sent.is_empty() { Framing::None } else { Framing::Length(sent.len() as u64) },
            has_length.then_some(body.len() as u64),
            persistent,
            &clock::date(),
        );
        out.extend_from_slice(sent);
        exchange.outcome.bytes_out = sent.len() as u64;
        self.deadline.set(clock::now() + self.settings.idle_timeout);
        let is_sent = self.flush_in_time().await.is_ok();
        match (is_sent, persistent, is_read) {
            (false, _, _) => After::Abort,
            (true, true, _) => After::KeepAlive,
            (true, false, true) => After::Close,
            (true, false, false) => After::Linger,
        }
    }

    /// Waits, without buffers, until the client has sent something; false when the connection is to be closed.
    async fn wait_for_request(&mut self, worker: &Worker, open: &OpenConnection, is_first: bool) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        self.release(&worker.buffers);
        let patience = if is_first { self.settings.header_timeout } else { self.settings.idle_timeout };
        self.deadline.set(clock::now() + patience);
        let mut is_registered = false;
        let mut is_last_call = false;
        poll_fn(|context| {
            if !is_registered {
                open.wake_on_drain(context.waker());
                is_registered = true;
            }
            // The buffer is taken only when there is something to put into it.
            if self.stream.poll_readable(context).is_ready() {
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(count)) => {
                        self.input.fill(count);
                        return Poll::Ready(true);
                    }
                    Poll::Pending => self.input.release(&worker.buffers),
                }
            }
            if worker.is_draining() && !is_last_call {
                is_last_call = true;
                self.deadline.set(clock::now() + LAST_CALL.min(patience));
            }
            self.deadline.poll_passed(context).map(|()| false)
        })
        .await
    }

    async fn read_head(&mut self, worker: &Worker, exchange: &mut Exchange) -> Head {
        let limits = self.settings.head;
        self.deadline.set(exchange.started + self.settings.header_timeout);
        let mut scanned = 0;
        poll_fn(|context| {
            loop {
                if !self.input.is_empty() {
                    match parse_request(self.input.filled(), &mut scanned, &limits, &mut exchange.request) {
                        Ok(Some(length)) => {
                            self.input.consume(length);
                            return Poll::Ready(Head::Complete);
                        }
                        Ok(None) if self.input.space(&worker.buffers).is_empty() => {
                            self.input.grow(limits.head + 1);
                        }
                        Ok(None) => {}
                        Err(fault) => return Poll::Ready(Head::Refused(fault)),
                    }
                }
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Head::Gone),
                    Poll::Ready(Ok(count)) => self.input.fill(count),
                    Poll::Pending => return self.deadline.poll_passed(context).map(|()| Head::TimedOut),
                }
            }
        })
        .await
    }

    /// Answers a request whose head could not be read; the connection ends with it.
    async fn refuse_head(&mut self, worker: &Worker, exchange: &mut Exchange, refusal: Refusal) -> After {
        http1::salvage_request(self.input.filled(), &mut exchange.request);
        let after = exchange::run(worker, self, exchange, Err(refusal)).await;
        if after == After::Abort { after } else { After::Linger }
    }

    /// Throws away a request body that nobody wants, as far as it has been read; whether that was all of it.
    fn discard_body(&mut self, exchange: &Exchange) -> bool {
        if exchange.outcome.is_body_touched {
            return false;
        }
        let mut decoder = BodyDecoder::new(exchange.request.framing);
        let mut trailers = Fields::new();
        loop {
            match decoder.decode(self.input.filled(), &mut trailers) {
                Ok(Piece::Data { skip, length }) => self.input.consume(skip + length),
                Ok(Piece::End { consumed }) => {
                    self.input.consume(consumed);
                    return true;
                }
                Ok(Piece::More { .. }) | Err(_) => return false,
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let written = ready!(self.stream.poll_write(context, self.outbox.rest()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection so that a client that is still sending can read the last answer: closing at once would
    /// reset the connection and might destroy it (RFC 9112, section 9.6).
    async fn linger(&mut self, worker: &Worker) {
        self.deadline.set(clock::now() + LINGER);
        let mut left = LINGER_BYTES;
        let mut is_shut = false;
        poll_fn(|context| {
            if !is_shut {
                if ready!(self.stream.poll_shutdown(context)).is_err() {
                    return Poll::Ready(());
                }
                is_shut = true;
            }
            loop {
                self.input.consume(self.input.filled().len());
                match self.stream.poll_read(context, self.input.space(&worker.buffers)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) if count < left => left -= count,
                    Poll::Ready(Ok(_)) => return Poll::Ready(()),
                    Poll::Pending => return self.deadline.poll_passed(context),
                }
            }
        })
        .await;
    }

    fn release(&mut self, buffers: &Buffers) {
        self.input.release(buffers);
        self.outbox.release(buffers);
    }
}

fn parse_refusal(fault: RequestFault) -> Refusal {
    Refusal::new(fault.status(), fault.code(), Stage::Parse, fault.to_string())
}

fn head_timeout() -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "header_timeout",
        Stage::Parse,
        "the request's head did not come in time",
    )
}
