//! Copies of requests to a service whose answers nobody waits for.
//!
//! A copy is a task of its own on the worker, begun before the request itself is sent and first run while that is waited for. It
//! holds nothing of the client's, has bounds of its own, and whatever becomes of it is counted and otherwise forgotten.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http1::{BodyDecoder, Fields, Framing, Known, Piece, RequestHead, ResponseHead};
use tokio::sync::oneshot;

use super::affinity;
use super::call::Failure;
use super::connect::{Setup, Wish};
use super::resend::{has_unexpected_body, may_repeat};
use super::send::{MAX_INTERIM, Progress, encode, malformed};
use super::{Connection, Endpoint, Memory, Picked, Service, Timeouts};
use crate::accept::proxy_protocol::Endpoints;
use crate::accept::{Buffer, Client, Ends, Pump, Tap};
use crate::clock::{self, Deadline};
use crate::exchange::Exchange;
use crate::signed_identity;
use crate::worker::Worker;

/// The compiled policy.
#[derive(Debug)]
pub struct Mirror {
    /// The service's place in the snapshot.
    pub service: usize,
    /// The share of the requests that are copied, in millionths.
    pub share: u32,
    /// The longest body that is copied.
    pub max_body: u64,
    /// Copies under way to the service at once, on one worker.
    pub max_in_flight: usize,
    /// How long a copy may take, as the service has it.
    pub timeouts: Timeouts,
    /// What it does, for `tollgate explain`.
    pub summary: Box<str>,
}

/// Tells a service that nobody waits for its answer.
const MARK: &[u8] = b"X-Tollgate-Mirror";
/// Bytes of an answer's body that are read to have the connection back; a longer one costs the connection.
const MOST_ANSWER: usize = 1024 * 1024;
/// The longest that one copy lives, where its service has no bound.
const LONGEST: Duration = Duration::from_mins(5);

/// What became of a copy, or why there was none, as the metrics name it.
const ANSWERED: &str = "answered";
const FAILED: &str = "failed";
const FULL: &str = "full";
const BODY: &str = "body";

impl Mirror {
    /// Sends a copy of the request to this service, if the lot falls on it and nothing stands against it. The body, if it has one, is taken down
    /// as it passes by.
    pub fn copy(
        &self,
        worker: &Worker,
        client: &Client,
        exchange: &mut Exchange,
        service: Rc<Service>,
        route: &str,
    ) {
        let request = &exchange.request;
        let is_copyable =
            request.upgrade.is_empty() && request.method != Method::CONNECT && exchange.dialect.is_none();
        if !is_copyable || worker.upstreams.random().below(1_000_000) >= u64::from(self.share) {
            return;
        }
        let Some(task) = worker.handle() else { return };
        let Some(place) = Place::take(&service, self.max_in_flight) else {
            return worker.shard.mirrored(route, FULL);
        };
        let body = match request.framing {
            Framing::None => None,
            Framing::Length(length) if length <= self.max_body => {
                let (tap, body) = Tap::new(length as usize);
                exchange.tap = Some(tap);
                Some((length, body))
            }
            // A short one over HTTP/2 has often come with its head, and says no length. One that is refused is not copied.
            Framing::Chunked
                if client.has_whole_body(request)
                    && client.input.filled().len() as u64 <= self.max_body.min(exchange.max_body) =>
            {
                let whole = client.input.filled();
                let (tap, body) = Tap::new(whole.len());
                tap.take(whole);
                Some((whole.len() as u64, body))
            }
            _ => return worker.shard.mirrored(route, BODY),
        };
        let length = body.as_ref().map_or(0, |(length, _)| *length);
        let copy = Duplicate {
            request: copy_of(exchange, &service.spec.name, length),
            hash: affinity::hash(exchange, &service),
            client: service.spec.proxy_protocol.and_then(|_| client.endpoints(exchange.caller.ip)),
            service,
            timeouts: self.timeouts,
            deadline: Deadline::default(),
            _place: place,
        };
        let route: Box<str> = route.into();
        tokio::task::spawn_local(async move {
            let result = copy.run(&task, body.map(|(_, body)| body)).await;
            task.shard.mirrored(&route, result);
        });
    }
}

/// The head as the service gets it, with a body of this length, shaped as that of the request itself.
fn copy_of(exchange: &Exchange, service: &Arc<str>, length: u64) -> RequestHead {
    let request = &exchange.request;
    let mut fields = request.fields.clone();
    // The body is there.
    fields.remove(Known::Expect);
    fields.set_named(MARK, b"1");
    if let Some(token) = exchange.signed_identity(service) {
        fields.set_named(signed_identity::FIELD, token.as_bytes());
    }
    RequestHead {
        method: request.method.clone(),
        version: request.version,
        form: request.form,
        path: if exchange.is_rewritten { exchange.rewritten.clone() } else { request.path.clone() },
        query: request.query.clone(),
        has_query: request.has_query,
        authority: request.authority.clone(),
        fields,
        framing: if length > 0 { Framing::Length(length) } else { Framing::None },
        ..RequestHead::default()
    }
}

/// A place among the copies under way to a service.
struct Place(Rc<Memory>);

impl Place {
    fn take(service: &Service, most: usize) -> Option<Self> {
        let copies = &service.memory.copies;
        if copies.get() >= most {
            return None;
        }
        copies.set(copies.get() + 1);
        Some(Self(Rc::clone(&service.memory)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get() - 1);
    }
}

/// A copy on its way.
struct Duplicate {
    request: RequestHead,
    service: Rc<Service>,
    hash: Option<u64>,
    client: Option<Endpoints>,
    timeouts: Timeouts,
    deadline: Deadline,
    _place: Place,
}

impl Duplicate {
    async fn run(&self, worker: &Worker, body: Option<oneshot::Receiver<Vec<u8>>>) -> &'static str {
        let body = match body {
            Some(body) => body.await,
            None => Ok(Vec::new()),
        };
        // It broke off, was refused, or is sent to nobody.
        let Ok(body) = body else { return BODY };
        let due = clock::now() + self.timeouts.total.min(LONGEST);
        let mut wish = Wish::default();
        loop {
            let now = clock::now();
            let Ok(permit) = self.service.admit(now) else { return FAILED };
            let Ok(picked) = self.service.pick(self.hash, None, &[], now) else { return FAILED };
            let picked = picked.with_permit(permit);
            // Requests that somebody waits for stand in the queue, and copies do not.
            if !picked.endpoint.pool.has_room() {
                return FULL;
            }
            let Ok(_slot) = picked.endpoint.pool.slot().await else { return FULL };
            let Some(mut connection) = self.connect(&picked, wish, due).await else { return FAILED };
            let connected_at = clock::now();
            match self.send(worker, &picked.endpoint, &mut connection, &body, due).await {
                Ok(answer) => {
                    let waited = clock::now().saturating_duration_since(connected_at);
                    picked.answered(answer.status, waited);
                    picked.endpoint.metrics.record(answer.status.as_u16(), waited);
                    self.end(worker, &picked.endpoint, connection, &answer, due).await;
                    return ANSWERED;
                }
                Err(Some(Failure::Service { heard, .. }))
                    if wish.opened_after.is_none()
                        && may_repeat(heard, &connection, &self.request, body.len()) =>
                {
                    wish.opened_after = Some(clock::refresh());
                }
                Err(failure) => {
                    if !matches!(failure, Some(Failure::Service { is_to_blame: false, .. })) {
                        picked.failed(clock::now().saturating_duration_since(connected_at));
                    }
                    return FAILED;
                }
            }
        }
    }

    async fn connect(&self, picked: &Picked, wish: Wish, due: Instant) -> Option<Connection> {
        let endpoint = &picked.endpoint;
        if let Some(connection) = endpoint.take(wish) {
            return Some(connection);
        }
        let began = clock::now();
        self.deadline.set(due.min(began + self.timeouts.opening()));
        let setup = Setup { client: self.client, parts: self.timeouts.parts() };
        if let Some(Ok(connection)) = self.deadline.bound(Box::pin(endpoint.connect(wish, setup))).await {
            return Some(connection);
        }
        picked.failed(clock::now().saturating_duration_since(began));
        endpoint.metrics.connect_failures.add(1);
        None
    }

    /// Sends the request until the head of its final answer is there; nothing when that takes too long.
    async fn send(
        &self,
        worker: &Worker,
        endpoint: &Endpoint,
        connection: &mut Connection,
        body: &[u8],
        due: Instant,
    ) -> Result<ResponseHead, Option<Failure>> {
        encode(worker, &self.request, &self.request.path, body, endpoint, connection, false)?;
        let mut answer = ResponseHead::default();
        // All of it waits in the outbox, so nothing is read to send it.
        let (mut pump, mut nothing) = (Pump::new(Framing::None, Framing::None, u64::MAX), Buffer::default());
        self.deadline.set(due.min(clock::now() + self.timeouts.first_byte));
        for _ in 0..=MAX_INTERIM {
            let mut progress = Progress::default();
            let head = poll_fn(|context| {
                let mut ends = Ends {
                    source: &connection.stream,
                    input: &mut nothing,
                    sink: &connection.stream,
                    outbox: &mut connection.outbox,
                    buffers: &worker.buffers,
                };
                // A service that takes no more may have answered before.
                let _ = pump.poll(context, &mut ends);
                progress.poll_head(context, worker, &self.request.method, &mut answer, connection)
            });
            self.deadline.bound(head).await.ok_or(None)??;
            if answer.status == StatusCode::SWITCHING_PROTOCOLS {
                break;
            }
            if !answer.status.is_informational() {
                return Ok(answer);
            }
        }
        Err(Some(malformed("it gave no final answer".to_owned())))
    }

    /// Throws the answer's body away; the connection goes back into the pool if it may serve another request.
    async fn end(
        &self,
        worker: &Worker,
        endpoint: &Endpoint,
        mut connection: Connection,
        answer: &ResponseHead,
        due: Instant,
    ) {
        let mut decoder = BodyDecoder::new(connection.incoming(answer.framing));
        let (mut trailers, mut read) = (Fields::new(), 0);
        self.deadline.set(due.min(clock::now() + self.timeouts.idle));
        let body = poll_fn(|context| {
            poll_discard(context, worker, &mut connection, &mut decoder, &mut trailers, &mut read)
        });
        let is_read = self.deadline.bound(body).await == Some(true);
        let is_reusable = is_read
            && answer.persistent
            && connection.outbox.is_empty()
            && connection.input.is_empty()
            && connection.lease.is_none()
            && !has_unexpected_body(&self.request);
        if is_reusable {
            endpoint.give_back(connection, worker);
        }
    }
}

/// Reads a body to its end, unless it is too long, and says whether it came there.
fn poll_discard(
    context: &mut Context<'_>,
    worker: &Worker,
    connection: &mut Connection,
    decoder: &mut BodyDecoder,
    trailers: &mut Fields,
    read: &mut usize,
) -> Poll<bool> {
    loop {
        let consumed = match decoder.decode(connection.input.filled(), trailers) {
            Ok(Piece::Data { skip, length }) => {
                connection.input.consume(skip + length);
                continue;
            }
            Ok(Piece::End { consumed }) => {
                connection.input.consume(consumed);
                return Poll::Ready(true);
            }
            Ok(Piece::More { consumed }) => consumed,
            Err(_) => return Poll::Ready(false),
        };
        connection.input.consume(consumed);
        match connection.stream.poll_read(context, connection.input.space(&worker.buffers)) {
            Poll::Ready(Ok(count)) if count > 0 && *read < MOST_ANSWER => {
                connection.input.fill(count);
                *read += count;
            }
            Poll::Ready(_) => return Poll::Ready(false),
            Poll::Pending => return Poll::Pending,
        }
    }
}
