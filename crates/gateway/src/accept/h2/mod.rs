//! The HTTP/2 end towards clients: a connection, and each of its streams as an exchange in a task of its own.

mod attack;
mod budget;
mod guard;
pub mod head;
mod limits;
mod stream;
mod wire;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};

use super::client::{Client, Origin};
use super::stream::Stream;
use crate::clock::{self, Deadline};
use crate::exchange::{self, After};
use crate::record::Line;
use crate::refusal::{Refusal, Stage};
use crate::worker::{OpenConnection, Worker};
pub use attack::Attack;
pub use guard::Guard;
pub use limits::{client_builder, server_builder};
pub use stream::MessageStream;
use wire::Wire;

/// How long a connection may take to end once nothing is under way on it: for its last words, and for requests that were
/// sent before the client heard of the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves one connection until it ends. What has been read of it is in the client's buffer.
pub(super) async fn serve(worker: Rc<Worker>, open: OpenConnection, mut client: Client) {
    let begun = client.input.filled().to_vec();
    client.input.consume(begun.len());
    client.release(&worker.buffers);
    let origin = Rc::clone(client.origin());
    let started = clock::now();
    let deadline = Deadline::default();
    deadline.set(started + client.listener().header_timeout);
    let head = client.listener().head;
    let guard = Rc::new(RefCell::new(Guard::new(head.head, clock::now())));
    let builder = server_builder(&head, client.listener().streams);
    let wire = Wire::new(client.stream, begun, Rc::clone(&guard));
    let Some(Ok(connection)) = deadline.bound(builder.handshake::<_, Bytes>(wire)).await else { return };
    let serving = Serving {
        worker,
        open,
        origin,
        connection,
        guard,
        streams: Rc::default(),
        deadline,
        started,
        is_ending: false,
        is_cut: false,
    };
    serving.run().await;
}

/// One connection while it is served.
struct Serving {
    worker: Rc<Worker>,
    open: OpenConnection,
    origin: Rc<Origin>,
    connection: Connection<Wire, Bytes>,
    guard: Rc<RefCell<Guard>>,
    streams: Rc<Streams>,
    deadline: Deadline,
    /// When the connection began to speak HTTP/2.
    started: Instant,
    /// Whether the client has been told to send no more requests.
    is_ending: bool,
    /// Whether it has been cut off, for an attack or for a breach of the protocol.
    is_cut: bool,
}

/// The streams under way on a connection.
#[derive(Default)]
struct Streams {
    count: Cell<usize>,
    /// The connection's task, to be told when the last one ends.
    waker: RefCell<Option<Waker>>,
}

impl Serving {
    async fn run(mut self) {
        let mut is_idle = false;
        let ended = poll_fn(|context| {
            self.open.wake_on_drain(context.waker());
            loop {
                match self.connection.poll_accept(context) {
                    Poll::Ready(Some(Ok((request, answer)))) => self.begin(request, answer),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => break,
                }
            }
            self.poll_end(context, &mut is_idle).map(Ok)
        })
        .await;
        let guard = self.guard.borrow();
        if let Some(attack) = guard.attack().or_else(|| guard.blame(&ended.err()?)) {
            self.record_attack(attack);
        }
    }

    /// Counts an abuse for which the connection ended, and says in the access log whose it was.
    fn record_attack(&self, attack: Attack) {
        let worker = &self.worker;
        worker.shard.http2_attack(attack.as_str());
        let mut id = String::new();
        worker.write_request_id(&mut id);
        worker.log().write(&Line {
            unix_ms: clock::unix_ms(),
            id: &id,
            client_ip: self.origin.peer.ip().to_canonical(),
            client_certificate: self.origin.certificate().map_or("", |certificate| &certificate.subject),
            protocol: "HTTP/2",
            status: StatusCode::BAD_REQUEST.as_u16(),
            code: attack.as_str(),
            stage: Stage::Parse.as_str(),
            duration_us: clock::now().saturating_duration_since(self.started).as_micros() as u64,
            ..Line::default()
        });
    }

    /// Ends a connection that has been idle too long, that goes down with the process, whose client is to be verified anew, or that
    /// attacks.
    fn poll_end(&mut self, context: &mut Context<'_>, is_idle: &mut bool) -> Poll<()> {
        if self.is_cut {
            // The client may not be reading what it is told.
            return self.deadline.poll_passed(context);
        }
        // What its exchange has finished may still wait for a slow client.
        let was_idle =
            std::mem::replace(is_idle, self.streams.count.get() == 0 && !self.connection.has_streams());
        if !*is_idle {
            self.streams.waker.replace(Some(context.waker().clone()));
            self.deadline.clear();
        } else if !was_idle {
            let patience = self.origin.listener.settings().idle_timeout;
            self.deadline.set(clock::now() + if self.is_ending { GOODBYE } else { patience });
        }
        let reason = self.guard.borrow().cut();
        self.is_cut = reason.is_some();
        if let Some(reason) = reason {
            self.connection.abrupt_shutdown(reason);
            self.deadline.set(clock::now() + GOODBYE);
            context.waker().wake_by_ref();
        } else if *is_idle && self.deadline.poll_passed(context).is_ready() {
            if self.is_ending {
                return Poll::Ready(());
            }
            self.is_ending = true;
            self.deadline.set(clock::now() + GOODBYE);
            self.connection.graceful_shutdown();
            context.waker().wake_by_ref();
        } else if !self.is_ending
            && (self.worker.is_draining() || self.origin.is_outdated(&self.origin.listener.settings()))
        {
            self.is_ending = true;
            self.connection.graceful_shutdown();
            self.deadline.set(clock::now() + GOODBYE);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn begin(&self, request: Request<RecvStream>, answer: SendResponse<Bytes>) {
        self.streams.count.set(self.streams.count.get() + 1);
        let place = Place { streams: Rc::clone(&self.streams), guard: Rc::clone(&self.guard) };
        let exchange = serve_stream(Rc::clone(&self.worker), Rc::clone(&self.origin), request, answer, place);
        // By pointer: the runtime moves what it is given more than once, and this is five kilobytes.
        tokio::task::spawn_local(Box::pin(exchange));
    }
}

/// One stream among those that the connection counts.
struct Place {
    streams: Rc<Streams>,
    guard: Rc<RefCell<Guard>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.streams.count.get() - 1;
        self.streams.count.set(left);
        if left == 0
            && let Some(waker) = self.streams.waker.take()
        {
            waker.wake();
        }
    }
}

async fn serve_stream(
    worker: Rc<Worker>,
    origin: Rc<Origin>,
    request: Request<RecvStream>,
    answer: SendResponse<Bytes>,
    place: Place,
) {
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let mut client = Client::new(Stream::message(MessageStream::serving(body, answer)), origin);
    let mut exchange = worker.begin_exchange(client.peer());
    let head = head::read_request(&parts, has_body, &client.listener().head, &mut exchange.request);
    // Malformed requests are answered, and are stream errors all the same (RFC 9113, section 8.1.1).
    if head.as_ref().is_err_and(|fault| fault.status() == StatusCode::BAD_REQUEST) {
        client.stream.reset_on_close(Reason::PROTOCOL_ERROR);
    }
    let head = head
        .map(drop)
        .map_err(|fault| Refusal::new(fault.status(), fault.code(), Stage::Parse, fault.to_string()))
        .map_err(Box::new);
    client.read_ahead(&worker, &exchange.request).await;
    let after = exchange::run(&worker, &mut client, &mut exchange, head).await;
    if after == After::Abort {
        if exchange.outcome.code == Some("client_slow") {
            worker.shard.http2_attack(Attack::WindowStall.as_str());
        }
        client.stream.reset_on_close(Reason::CANCEL);
    } else {
        place.guard.borrow_mut().served();
    }
    let reset = client.stream.as_message().and_then(|mut message| message.take_reset());
    if let Some(reason) = reset {
        // A reset takes back what has not been written. The connection's task, which has it, runs before this one goes on.
        tokio::task::yield_now().await;
        if let Some(mut message) = client.stream.as_message() {
            message.reset(reason);
        }
    }
    client.input.consume(client.input.filled().len());
    client.outbox.clear();
    client.release(&worker.buffers);
    worker.end_exchange(exchange);
}
