//! A client as an exchange sees it, whatever protocol it speaks: an HTTP/1.1 connection, or one stream of HTTP/2.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use h2::Reason;
use http::{Method, StatusCode, Version};
use http1::{BodyDecoder, Fields, Framing, Known, Piece, RequestHead, encode_interim, encode_response};

use super::buffer::{Buffer, Buffers, Outbox};
use super::forwarded::PeerText;
use super::h2::head;
use super::listener::{Listener, ListenerSpec, Settings};
use super::pace::Pace;
use super::proxy_protocol::Endpoints;
use super::requests::Portion;
use super::socket::UNIX_PEER;
use super::stream::Stream;
use crate::clock::{self, Deadline};
use crate::exchange::{After, Exchange};
use crate::tls::PeerCertificate;
use crate::worker::Worker;

/// A client's end of an exchange.
#[derive(Debug)]
pub struct Client {
    /// Its bytes.
    pub stream: Stream,
    /// What was read from it: the rest of a head or body, or requests that wait their turn.
    pub input: Buffer,
    /// What is to be written to it.
    pub outbox: Outbox,
    /// What the exchange waits for must happen before this.
    pub deadline: Deadline,
    origin: Rc<Origin>,
    settings: Settings,
}

/// Where a connection came from, and how: the same for all that is asked over it.
#[derive(Debug)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Its address as fields write it.
    pub peer_text: PeerText,
    /// Whether the peer passes on somebody's connection and does not say whose: what is said over it, nobody vouches for.
    pub is_anonymous: bool,
    /// The address that the client connected to, if it is known and some service may have to be told.
    pub destination: Option<SocketAddr>,
    /// The listener that it came by.
    pub listener: Rc<Listener>,
    /// How it is secured.
    pub security: Security,
    /// What its client was verified by; see [`crate::tls::ServerTls::clients`].
    pub admitted_by: Option<[u8; 32]>,
    /// What it may ask before its address's limit is looked at again.
    pub requests: Portion,
}

/// How a connection is secured.
#[derive(Debug)]
pub enum Security {
    /// Not at all, as its listener has it.
    Clear,
    /// Not at all, against what its listener asks for: every request is refused.
    Missing,
    /// By TLS.
    Tls {
        /// What the client has shown and the listener has verified.
        certificate: Option<PeerCertificate>,
    },
}

impl Origin {
    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.security, Security::Tls { .. })
    }

    /// Whether by now the listener verifies clients otherwise than when this one came: it should come again.
    pub fn is_outdated(&self, settings: &ListenerSpec) -> bool {
        let required = settings.tls.as_ref().and_then(|tls| tls.clients());
        required.is_some() && required != self.admitted_by
    }

    /// The verified certificate of the client.
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        match &self.security {
            Security::Tls { certificate } => certificate.as_ref(),
            _ => None,
        }
    }
}

/// Why waiting ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The client closed the connection.
    Gone,
    /// The deadline passed.
    TimedOut,
}

impl Client {
    /// A client of whom nothing has been read.
    pub fn new(stream: Stream, origin: Rc<Origin>) -> Self {
        Self {
            stream,
            input: Buffer::default(),
            outbox: Outbox::default(),
            deadline: Deadline::default(),
            settings: origin.listener.settings(),
            origin,
        }
    }

    /// Where it came from.
    pub fn origin(&self) -> &Rc<Origin> {
        &self.origin
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.origin.peer
    }

    /// The two ends of the client's connection as a service is told them; nothing of one on a Unix socket. `ip` is the
    /// client's address as this exchange sees it.
    pub fn endpoints(&self, ip: IpAddr) -> Option<Endpoints> {
        let peer = self.origin.peer;
        // An address that the peer passed on came without a port.
        let source = if peer.ip().to_canonical() == ip { peer } else { SocketAddr::new(ip, 0) };
        if source == UNIX_PEER {
            return None;
        }
        let unknown = match ip {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        Some(Endpoints { source, destination: self.origin.destination.unwrap_or(unknown) })
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.origin.is_tls()
    }

    /// The listener's settings as of the current exchange.
    pub fn listener(&self) -> &ListenerSpec {
        &self.settings
    }

    /// Brings them up to date.
    pub(super) fn update(&mut self) {
        self.origin.listener.update(&mut self.settings);
    }

    /// How the request's body is delimited where it is read: a message of HTTP/2 has an end of its own.
    pub fn incoming(&self, request: &RequestHead) -> Framing {
        if request.framing != Framing::None && self.stream.is_message() {
            return Framing::UntilClose;
        }
        request.framing
    }

    /// Takes from an HTTP/2 message a short body that is there already, as one often comes with its head: the request can then
    /// be sent again over another connection.
    pub(super) async fn read_ahead(&mut self, worker: &Worker, request: &RequestHead) {
        if matches!(request.framing, Framing::None | Framing::UntilClose) || !request.upgrade.is_empty() {
            return;
        }
        poll_fn(|context| {
            loop {
                let space = self.input.space(&worker.buffers);
                if space.is_empty() {
                    return Poll::Ready(());
                }
                match self.stream.poll_read(context, space) {
                    Poll::Ready(Ok(count)) if count > 0 => self.input.fill(count),
                    // A fault is met again by whoever reads on.
                    Poll::Ready(_) | Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// Reads a body of at most so many bytes whole, as far as the buffer holds it; a longer one is left where it is, and one that
    /// waits for leave to come.
    pub async fn read_short_body(
        &mut self,
        worker: &Worker,
        request: &RequestHead,
        most: u64,
        due: Instant,
    ) -> Result<(), Interrupted> {
        let is_short = matches!(request.framing, Framing::Length(length) if length <= most);
        if !is_short || request.expects_continue {
            return Ok(());
        }
        let mut is_waiting = false;
        let mut pace = Pace::new(self.settings.body_timeout, self.settings.body_rate);
        poll_fn(|context| {
            while !self.has_whole_body(request) {
                let space = self.input.space(&worker.buffers);
                if space.is_empty() {
                    break;
                }
                match self.stream.poll_read(context, space) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        self.input.fill(count);
                        is_waiting = false;
                    }
                    // A message of HTTP/2 has an end of its own, perhaps with trailers.
                    Poll::Ready(Ok(_)) if self.stream.is_message() => break,
                    Poll::Ready(_) => return Poll::Ready(Err(Interrupted::Gone)),
                    Poll::Pending => {
                        if !is_waiting {
                            let count = self.input.filled().len() as u64;
                            self.deadline.set(due.min(pace.wait(clock::now(), count)));
                            is_waiting = true;
                        }
                        return self.deadline.poll_passed(context).map(|()| Err(Interrupted::TimedOut));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Whether the whole body of the request has been read, so that what is in the buffer is all of it.
    pub fn has_whole_body(&self, request: &RequestHead) -> bool {
        match (request.framing, self.stream.as_message()) {
            (_, Some(message)) => message.is_read() && !message.has_trailers(),
            (Framing::Length(length), None) => self.input.filled().len() as u64 >= length,
            _ => false,
        }
    }

    /// Writes all that is in the outbox before the deadline passes.
    pub(super) async fn flush_in_time(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            if let Poll::Ready(result) = self.poll_flush(context) {
                return Poll::Ready(result);
            }
            self.deadline.poll_passed(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Writes what is in the outbox; behind it an HTTP/2 message ends, whose head has gone ahead.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let rest = self.outbox.rest();
            let written = match self.stream.as_message() {
                Some(mut message) => ready!(message.poll_send(context, rest, true))?,
                None => ready!(self.stream.poll_write(context, rest))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
        }
        self.stream.poll_flush(context)
    }

    /// Ready when the client has closed the connection. What it sends instead (the next request) is kept, and
    /// once the buffer is full no longer looked for.
    pub fn poll_gone(&mut self, context: &mut Context<'_>, buffers: &Buffers) -> Poll<()> {
        if let Some(mut message) = self.stream.as_message() {
            return message.poll_gone(context);
        }
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

    /// Ready when an HTTP/2 client has reset its stream, of whose body there may be more to read.
    pub fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.stream.as_message() {
            Some(mut message) => message.poll_gone(context),
            None => Poll::Pending,
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
        let has_length = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED
            && !(is_head && body.is_empty());
        let sent: &[u8] = if is_head || !has_length { b"" } else { body };
        exchange.response.status = status;
        exchange.response.content_length = has_length.then_some(body.len() as u64);
        exchange.outcome.status = Some(status);
        exchange.outcome.bytes_out = sent.len() as u64;
        let framing = if sent.is_empty() { Framing::None } else { Framing::Length(sent.len() as u64) };
        self.outbox.clear();
        if self.start_answer(worker, exchange, framing, persistent).is_err() {
            return After::Abort;
        }
        self.outbox.bytes(&worker.buffers).extend_from_slice(sent);
        self.deadline.set(clock::now() + self.settings.idle_timeout);
        let is_sent = self.flush_in_time().await.is_ok();
        if !is_sent {
            // What is not read must not stay in the kernel.
            self.stream.reset_on_close(Reason::CANCEL);
        }
        match (is_sent, persistent, is_read) {
            (false, _, _) => After::Abort,
            (true, true, _) => After::KeepAlive,
            (true, false, true) => After::Close,
            (true, false, false) => After::Linger,
        }
    }

    /// Begins the answer whose head is in the exchange: what follows goes behind it. Of `framing` HTTP/2 asks only whether a
    /// body follows, and `persistent` nothing.
    pub fn start_answer(
        &mut self,
        worker: &Worker,
        exchange: &mut Exchange,
        framing: Framing,
        persistent: bool,
    ) -> io::Result<()> {
        let Exchange { request, response, id, .. } = exchange;
        response.fields.set(Known::XRequestId, id.as_bytes());
        if let Some(mut message) = self.stream.as_message() {
            let head = head::write_response(response, &clock::date());
            return message.send_answer(head, framing == Framing::None).map_err(io::Error::other);
        }
        encode_response(
            self.outbox.bytes(&worker.buffers),
            request.version,
            response.status,
            &response.fields,
            framing,
            response.content_length,
            persistent,
            &clock::date(),
        );
        Ok(())
    }

    /// Begins an answer behind which both sides speak another protocol.
    pub fn start_tunnel(&mut self, worker: &Worker, exchange: &mut Exchange) -> io::Result<()> {
        let Exchange { request, response, id, .. } = exchange;
        response.fields.set(Known::XRequestId, id.as_bytes());
        if let Some(mut message) = self.stream.as_message() {
            // What HTTP/1.1 says with 101 is a success here, and no key was asked to be accepted (RFC 8441, section 5).
            response.status = StatusCode::OK;
            response.content_length = None;
            response.fields.remove_named(b"sec-websocket-accept");
            let head = head::write_response(response, &clock::date());
            return message.send_answer(head, false).map_err(io::Error::other);
        }
        let out = self.outbox.bytes(&worker.buffers);
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            encode_interim(out, response.status, &response.upgrade, &response.fields);
        } else {
            let date = clock::date();
            let (version, status) = (request.version, response.status);
            encode_response(out, version, status, &response.fields, Framing::None, None, true, &date);
        }
        Ok(())
    }

    /// Writes the last bytes of a connection that speaks no HTTP, as long as the deadline that is set allows.
    pub(super) async fn send_last(&mut self, worker: &Worker, bytes: &[u8]) {
        self.outbox.bytes(&worker.buffers).extend_from_slice(bytes);
        // Nobody is left to be told that it failed.
        let _ = self.flush_in_time().await;
    }

    /// Passes an interim answer on (RFC 9110, section 15.2). Bounded by the deadline that is set: a client that does not read
    /// must not hold the service.
    pub async fn send_interim(&mut self, worker: &Worker, exchange: &Exchange) -> io::Result<()> {
        let response = &exchange.response;
        if let Some(mut message) = self.stream.as_message() {
            return message.send_interim(head::write_interim(response)).map_err(io::Error::other);
        }
        // A client of HTTP/1.0 knows none.
        if exchange.request.version == Version::HTTP_10 {
            return Ok(());
        }
        encode_interim(self.outbox.bytes(&worker.buffers), response.status, "", &response.fields);
        self.flush_in_time().await
    }

    /// Throws away a request body that nobody wants, as far as it has been read; whether that was all of it.
    fn discard_body(&mut self, exchange: &Exchange) -> bool {
        if self.stream.is_message() {
            // It stays in its stream, which ends with the answer.
            return true;
        }
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

    pub(super) fn release(&mut self, buffers: &Buffers) {
        self.input.release(buffers);
        self.outbox.release(buffers);
    }
}
