//! HTTP/2 connections to an endpoint, each shared by the requests of one worker.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use tokio::sync::Notify;

use super::Connection;
use super::send::ANSWER_LIMITS;
use crate::accept::Stream;
use crate::accept::h2::{MessageStream, client_builder};
use crate::clock::{self, Deadline};

/// Requests under way at once on one connection, where the service does not say how many it takes.
pub(super) const STREAMS: usize = 128;
/// How often a connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    requests: SendRequest<Bytes>,
    streams: Cell<usize>,
    /// Whether it has served a request before: then a failure may only mean that it went stale.
    is_used: Cell<bool>,
    idle_since: Cell<Instant>,
    opened: Instant,
    state: Rc<State>,
}

/// What a connection's task and its users tell each other.
#[derive(Debug, Default)]
struct State {
    /// No further request can be sent over it.
    is_closed: Cell<bool>,
    /// The service has sent its settings.
    is_ready: Cell<bool>,
    /// Either of these has changed.
    changed: Notify,
}

/// A request's place on a connection, as long as it is held.
#[derive(Debug)]
pub struct Lease {
    session: Rc<Session>,
}

/// A worker's HTTP/2 connections to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: RefCell<Vec<Rc<Session>>>,
    /// Whether somebody opens one, for which others wait.
    is_opening: Cell<bool>,
    opened: Notify,
}

/// Leave to open a connection; dropping it lets another try.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    sessions: &'a Sessions,
}

impl Sessions {
    /// A place on a connection that takes further requests. Where one has failed, only on one opened after that.
    pub(super) fn lease(&self, opened_after: Option<Instant>) -> Option<Connection> {
        let mut open = self.open.borrow_mut();
        open.retain(|session| !session.state.is_closed.get());
        // The fullest that has room: others can then run empty and be closed.
        let session = open
            .iter()
            .filter(|session| session.has_room() && opened_after.is_none_or(|time| session.opened > time))
            .max_by_key(|session| session.streams.get())?;
        Some(session.lease())
    }

    /// Leave to open a further connection; none while another request does.
    pub(super) fn opening(&self) -> Option<Opening<'_>> {
        (!self.is_opening.replace(true)).then_some(Opening { sessions: self })
    }

    /// Waits until whoever opens a connection has ended.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Has further requests sent over a connection.
    pub(super) fn keep(&self, session: Rc<Session>) {
        self.open.borrow_mut().push(session);
    }

    /// Lets go of connections that idled for too long, and of those that are closed.
    pub(super) fn sweep(&self, now: Instant, idle_for: Duration) {
        self.open.borrow_mut().retain(|session| {
            let is_idle = session.streams.get() == 0
                && now.saturating_duration_since(session.idle_since.get()) >= idle_for;
            !is_idle && !session.state.is_closed.get()
        });
    }

    /// Has no further request sent over any of them; those under way go on.
    pub(super) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    /// Connections without a request under way.
    pub(super) fn idle_count(&self) -> usize {
        self.open.borrow().iter().filter(|session| session.streams.get() == 0).count()
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.sessions.is_opening.set(false);
        self.sessions.opened.notify_waiters();
    }
}

impl Session {
    /// Makes a connection of a stream that speaks HTTP/2.
    /// It is ready once the service has said how many requests it takes at once: those that waited for it must not
    /// be queued beyond that.
    pub(super) async fn open(stream: Stream) -> Result<Rc<Self>, String> {
        let builder = client_builder(&ANSWER_LIMITS, STREAMS as u32);
        let handshake = builder.handshake::<_, Bytes>(stream).await;
        let (requests, mut connection) = handshake.map_err(|error| error.to_string())?;
        let state = Rc::new(State::default());
        let session = Rc::new(Session {
            requests,
            streams: Cell::new(0),
            is_used: Cell::new(false),
            idle_since: Cell::new(clock::now()),
            opened: clock::refresh(),
            state: Rc::clone(&state),
        });
        let ready = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            let mut health = connection.ping_pong().map(Health::new);
            poll_fn(|context| {
                // It ends when the service ends it, and when its last user is gone.
                if std::pin::Pin::new(&mut connection).poll(context).is_ready() {
                    return Poll::Ready(());
                }
                if !state.is_ready.get() && connection.max_concurrent_send_streams() > 0 {
                    state.is_ready.set(true);
                    state.changed.notify_waiters();
                }
                health.as_mut().map_or(Poll::Pending, |health| health.poll_dead(context))
            })
            .await;
            state.is_closed.set(true);
            state.changed.notify_waiters();
        });
        while !ready.is_ready.get() {
            if ready.is_closed.get() {
                return Err("it ended the connection before it said what it takes".to_owned());
            }
            ready.changed.notified().await;
        }
        Ok(session)
    }

    fn has_room(&self) -> bool {
        self.streams.get() < STREAMS.min(self.requests.current_max_send_streams())
    }

    /// A place on it.
    pub(super) fn lease(self: &Rc<Self>) -> Connection {
        self.streams.set(self.streams.get() + 1);
        let message = MessageStream::calling(self.requests.clone());
        let mut connection = Connection::new(Stream::message(message));
        connection.reused = self.is_used.replace(true);
        connection.lease = Some(Lease { session: Rc::clone(self) });
        connection
    }
}

impl Lease {
    /// Has no further request sent over the connection; those under way go on.
    pub fn close(&self) {
        self.session.state.is_closed.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let session = &self.session;
        session.streams.set(session.streams.get() - 1);
        session.idle_since.set(clock::now());
    }
}

/// Asks a connection from time to time whether it still lives (RFC 9113, section 6.7).
struct Health {
    pings: PingPong,
    due: Deadline,
    is_asked: bool,
}

impl Health {
    fn new(pings: PingPong) -> Self {
        let due = Deadline::default();
        due.set(clock::now() + PING_EVERY);
        Self { pings, due, is_asked: false }
    }

    /// Ready when it gave no answer.
    fn poll_dead(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_asked && self.pings.poll_pong(context).is_ready() {
            self.is_asked = false;
            self.due.set(clock::now() + PING_EVERY);
        }
        while self.due.poll_passed(context).is_ready() {
            if self.is_asked || self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.is_asked = true;
            self.due.set(clock::now() + PONG_WITHIN);
            if self.pings.poll_pong(context).is_ready() {
                self.is_asked = false;
                self.due.set(clock::now() + PING_EVERY);
            }
        }
        Poll::Pending
    }
}
