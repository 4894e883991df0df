//! A core's thread: its runtime, its listeners, its connections to services, its shard of the metrics.
//!
//! Everything here belongs to one thread. The outside speaks to it through one channel of commands.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http1::Known;
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop::has_budget_remaining;
use tokio::time::MissedTickBehavior;

use crate::accept::addresses::Crowded;
use crate::accept::connection;
use crate::accept::listener::{Admission, Listener, ListenerSpec, NotAdmitted};
use crate::accept::socket::{Acceptor, ListenerName, ListeningSocket};
use crate::accept::{Buffers, Kept, Socket};
use crate::clock;
use crate::customer::customer;
use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::notice::notice;
use crate::overload::{self, Bounds, Overload, Turn};
use crate::record::{IdGenerator, Line, LogWriter, WorkerShard, redact, redact_reference};
use crate::snapshot::{Live, Snapshot};
use crate::upstream::farewell::Farewells;
use crate::upstream::health::Healths;
use crate::upstream::{Registry, ServiceSpec};

/// Spare exchanges that a worker keeps.
const EXCHANGES_KEPT: usize = 256;
/// How often idle connections to services are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long a line of the access log may wait for others.
const LOG_EVERY: Duration = Duration::from_millis(100);
/// Names that are looked up at once.
const RESOLVERS: usize = 16;
/// What an operator can do whose clients all seem to be one.
const FOR_PROXIES: &str = "; if it is a proxy, name it in `trust_forwarded` or `proxy_protocol`, so that its clients count one by one";
/// After `accept` failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the outside asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// Serve by this snapshot from now on, on these sockets; those of unchanged listeners are kept.
    Apply {
        /// The snapshot.
        snapshot: Arc<Snapshot>,
        /// New sockets by the listener's place in the snapshot.
        sockets: Vec<(usize, ListeningSocket)>,
        /// Where log lines go from now on, when that has changed.
        log: Option<LogWriter>,
        /// Told when done.
        done: oneshot::Sender<()>,
    },
    /// These services have other endpoints from now on.
    Endpoints {
        /// Each with its place in the snapshot that is served.
        services: Vec<(usize, Arc<ServiceSpec>)>,
    },
    /// Close what does not end by itself: the process is about to go.
    Farewell,
    /// Stop accepting, close idle connections, tell the others to close; told when none is left.
    Drain {
        /// Told when no connection is open any more.
        done: oneshot::Sender<()>,
    },
}

/// What a worker is made with.
#[derive(Debug)]
pub struct Setup {
    /// Its number.
    pub id: usize,
    /// Its part of the metrics.
    pub shard: WorkerShard,
    /// What all workers know of endpoints.
    pub healths: Arc<Healths>,
    /// Where its log lines go.
    pub log: LogWriter,
    /// What it serves.
    pub snapshot: Arc<Snapshot>,
}

/// One worker's state.
#[derive(Debug)]
pub struct Worker {
    /// Its number.
    pub id: usize,
    /// Spare buffers.
    pub buffers: Buffers,
    /// Its part of the metrics.
    pub shard: WorkerShard,
    /// What it knows of endpoints.
    pub upstreams: Registry,
    /// What is to be told when it goes down.
    pub farewells: Farewells,
    /// What it refuses when there is too much to do.
    pub overload: Overload,
    /// What bodies of answers may take that policies look at.
    pub kept: Rc<Kept>,
    log: RefCell<LogWriter>,
    ids: RefCell<IdGenerator>,
    live: RefCell<Rc<Live>>,
    // Boxed, as they pass from here to a connection and back: moving a pointer, not a kilobyte.
    #[allow(clippy::vec_box)]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    listeners: RefCell<HashMap<ListenerName, OpenListener>>,
    connections: RefCell<slab::Slab<Option<Waker>>>,
    /// Tasks that accept connections.
    accepting: Cell<usize>,
    draining: Cell<bool>,
    drained: RefCell<Option<oneshot::Sender<()>>>,
    me: Weak<Self>,
}

#[derive(Debug)]
struct OpenListener {
    listener: Rc<Listener>,
    /// One for each of its sockets.
    closing: Vec<Rc<Closing>>,
}

impl OpenListener {
    fn close(&self) {
        for closing in &self.closing {
            closing.want();
        }
    }
}

/// The word to the task of a listening socket that it is to end.
#[derive(Debug, Default)]
struct Closing {
    is_wanted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Closing {
    fn want(&self) {
        self.is_wanted.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_wanted.get() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Runs a worker on this thread until its commands end.
pub fn run(setup: Setup, commands: mpsc::UnboundedReceiver<Command>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(RESOLVERS)
        .on_thread_unpark(|| {
            clock::refresh();
        })
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(Worker::new(setup).obey(commands));
    // A look-up of a name may take long yet, and nobody waits for it any more.
    runtime.shutdown_background();
    Ok(())
}

impl Worker {
    fn new(setup: Setup) -> Rc<Self> {
        let live = Rc::new(Live::new(setup.snapshot));
        Rc::new_cyclic(|me| Self {
            id: setup.id,
            buffers: Buffers::default(),
            shard: setup.shard,
            upstreams: Registry::new(setup.healths, setup.id),
            farewells: Farewells::default(),
            overload: Overload::default(),
            kept: Rc::default(),
            log: RefCell::new(setup.log),
            ids: RefCell::new(IdGenerator::new()),
            live: RefCell::new(live),
            exchanges: RefCell::default(),
            listeners: RefCell::default(),
            connections: RefCell::default(),
            accepting: Cell::new(0),
            draining: Cell::new(false),
            drained: RefCell::default(),
            me: Weak::clone(me),
        })
    }

    async fn obey(self: Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        tokio::task::spawn_local(Rc::clone(&self).keep_house());
        tokio::task::spawn_local(Rc::clone(&self).flush_logs());
        tokio::task::spawn_local(Rc::clone(&self).watch_overload());
        while let Some(command) = commands.recv().await {
            match command {
                Command::Apply { snapshot, sockets, log, done } => {
                    self.apply(&snapshot, sockets, log);
                    // Nobody waits any more when the process is going down.
                    let _ = done.send(());
                }
                Command::Endpoints { services } => self.set_endpoints(&services),
                Command::Drain { done } => self.drain(done),
                Command::Farewell => self.farewells.say(),
            }
        }
        self.log.borrow_mut().flush();
    }

    fn apply(
        self: &Rc<Self>,
        snapshot: &Arc<Snapshot>,
        sockets: Vec<(usize, ListeningSocket)>,
        log: Option<LogWriter>,
    ) {
        if let Some(log) = log {
            self.log.borrow_mut().flush();
            *self.log.borrow_mut() = log;
        }
        let live = Rc::new(Live::new(Arc::clone(snapshot)));
        let old = self.live.replace(Rc::clone(&live));
        // Services in use keep their endpoints, and so their connections and what is known of their load.
        live.adopt(self, &old);
        drop(old);
        self.shard.reloaded();
        // Spare exchanges hold on to the old view.
        self.exchanges.borrow_mut().clear();
        let mut open = self.listeners.borrow_mut();
        open.retain(|name, open| {
            let spec = snapshot.listener(name);
            match spec {
                Some(spec) => open.listener.set(Arc::clone(spec)),
                None => open.close(),
            }
            spec.is_some()
        });
        for (index, socket) in sockets {
            let spec = &snapshot.listeners[index];
            let listener = open.entry(spec.name.clone()).or_insert_with(|| OpenListener {
                listener: Listener::new(Arc::clone(spec)),
                closing: Vec::new(),
            });
            match socket.into_acceptor() {
                Ok(socket) => {
                    let closing = Rc::new(Closing::default());
                    listener.closing.push(Rc::clone(&closing));
                    self.accepting.set(self.accepting.get() + 1);
                    let listener = Rc::clone(&listener.listener);
                    tokio::task::spawn_local(Rc::clone(self).accept(socket, listener, closing));
                }
                Err(error) => notice(format_args!("cannot listen on {}: {error}", spec.name)),
            }
        }
        self.upstreams.retain_used();
    }

    fn set_endpoints(&self, services: &[(usize, Arc<ServiceSpec>)]) {
        let live = self.live();
        for (index, spec) in services {
            live.set_service(self, *index, spec);
        }
        self.shard.endpoints_changed();
        self.upstreams.retain_used();
    }

    async fn accept(self: Rc<Self>, socket: Acceptor, listener: Rc<Listener>, closing: Rc<Closing>) {
        loop {
            let accepted = poll_fn(|context| match socket.poll_accept(context) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                // It has only accepted as many as a task may in one turn.
                Poll::Pending if !has_budget_remaining() => Poll::Pending,
                // Only when nobody waits in the kernel's queue: closing the socket would reset those.
                Poll::Pending => closing.poll(context).map(|()| None),
            })
            .await;
            match accepted {
                Some(Ok((socket, peer))) => self.admit(socket, peer, &listener),
                Some(Err(error)) => {
                    self.shard.accept_failed(&error);
                    // Too many open files does not get better at once, and spinning would starve who could close some.
                    #[allow(clippy::disallowed_methods)]
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break,
            }
        }
        while let Some((socket, peer)) = socket.accept_waiting() {
            self.admit(socket, peer, &listener);
        }
        drop(socket);
        self.accepting.set(self.accepting.get() - 1);
        self.tell_if_drained();
    }

    fn admit(self: &Rc<Self>, socket: Socket, peer: SocketAddr, listener: &Rc<Listener>) {
        let settings = listener.settings();
        let admission = match Admission::of(&settings, peer, clock::now()) {
            Ok(admission) => admission,
            Err(NotAdmitted::Full) => return self.shard.connection_refused("limit"),
            Err(NotAdmitted::Crowded(why)) => return self.refuse_address(&settings, peer.ip(), why),
        };
        // Counted before its task runs, or a drain could end in between.
        let open = self.open_connection(admission);
        tokio::task::spawn_local(connection::serve(Rc::clone(self), Rc::clone(listener), open, socket, peer));
    }

    /// Counts, and now and then tells, that a client makes more connections than it may.
    fn refuse_address(&self, spec: &ListenerSpec, client: IpAddr, why: Crowded) {
        self.shard.connection_refused(why.code());
        let told = spec.addresses.as_ref().and_then(|known| known.refused.count(clock::now()));
        let Some(count) = told else { return };
        let (name, client) = (&spec.name, customer(client));
        let is_default = spec.address_limits.connections.is_some_and(|limit| limit.is_default);
        let (what, key, hint) = match why {
            Crowded::Open if is_default => {
                ("has as many connections as it may by default", "connections_per_ip", FOR_PROXIES)
            }
            Crowded::Open => ("has as many connections as it may", "connections_per_ip", ""),
            Crowded::New => ("makes connections faster than it may", "connection_rate_per_ip", ""),
        };
        notice(format_args!(
            "listener {name}: {client} {what} (`{key}`); {count} refused lately, of all addresses{hint}"
        ));
    }

    /// Now and then tells that a client makes more requests than it may.
    pub fn tell_of_flood(&self, spec: &ListenerSpec, client: IpAddr) {
        let Some(limit) = &spec.requests else { return };
        let Some(count) = limit.refused.count(clock::now()) else { return };
        let (name, client) = (&spec.name, customer(client));
        let hint = if limit.is_default() { FOR_PROXIES } else { "" };
        notice(format_args!(
            "listener {name}: {client} makes more requests than it may (`requests_per_ip`: {limit}); {count} refused lately, of all addresses{hint}"
        ));
    }

    fn open_connection(self: &Rc<Self>, admission: Admission) -> OpenConnection {
        self.shard.connection_opened();
        let key = self.connections.borrow_mut().insert(None);
        OpenConnection { worker: Rc::clone(self), key, admission }
    }

    /// A handle on it for a task that outlives the exchange.
    pub fn handle(&self) -> Option<Rc<Self>> {
        self.me.upgrade()
    }

    /// What it serves now.
    pub fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live.borrow())
    }

    /// Whether the worker is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn drain(&self, done: oneshot::Sender<()>) {
        self.draining.set(true);
        for (_, listener) in self.listeners.borrow_mut().drain() {
            listener.close();
        }
        for (_, waker) in &mut *self.connections.borrow_mut() {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        *self.drained.borrow_mut() = Some(done);
        self.tell_if_drained();
    }

    /// Answers the wish to drain once nothing is accepted any more and no connection is open.
    fn tell_if_drained(&self) {
        let is_idle = self.accepting.get() == 0 && self.connections.borrow().is_empty();
        if is_idle && let Some(done) = self.drained.borrow_mut().take() {
            // Nobody waits any more when the time to drain is over.
            let _ = done.send(());
        }
    }

    /// An exchange that begins now, made of spare memory.
    pub fn begin_exchange(&self, peer: SocketAddr) -> Box<Exchange> {
        let live = Rc::clone(&self.live.borrow());
        match self.exchanges.borrow_mut().pop() {
            Some(mut exchange) => {
                exchange.begin(live, peer);
                exchange
            }
            None => Box::new(Exchange::new(live, peer)),
        }
    }

    /// Keeps the exchange's memory for the next one.
    pub fn end_exchange(&self, mut exchange: Box<Exchange>) {
        // One that began before a reload would hold on to the old snapshot.
        let is_current = Rc::ptr_eq(&exchange.live, &self.live.borrow());
        let mut exchanges = self.exchanges.borrow_mut();
        if is_current && exchanges.len() < EXCHANGES_KEPT {
            exchange.end();
            exchanges.push(exchange);
        }
    }

    /// Writes a new request id.
    pub fn write_request_id(&self, out: &mut String) {
        out.clear();
        out.push_str(self.ids.borrow_mut().next(clock::unix_ms()).as_str());
    }

    /// The writer of the access log.
    pub fn log(&self) -> std::cell::RefMut<'_, LogWriter> {
        self.log.borrow_mut()
    }

    /// Writes an exchange's log line and counts it.
    pub fn record(&self, exchange: &Exchange, status: u16, total: Duration) {
        let outcome = &exchange.outcome;
        let live = &exchange.live;
        // An answer that begins while the request is still being sent is timed from the connection.
        let sent_at = outcome.sent_at.or(outcome.connected_at);
        let waited = outcome
            .first_byte_at
            .map(|at| sent_at.map_or(Duration::ZERO, |sent| at.saturating_duration_since(sent)));
        live.route_metrics(self, exchange.route).record(
            status,
            total,
            outcome.worked,
            outcome.bytes_in,
            outcome.bytes_out,
        );
        if let (Some(endpoint), Some(waited)) = (&outcome.endpoint, waited) {
            endpoint.metrics.record(status, waited);
        }
        let route = exchange.route.map(|index| &live.snapshot.routes[index]);
        let route_name = route.map_or("", |route| &route.name);
        if let Some(code) = outcome.code {
            self.shard.refusal(route_name, code);
        }
        if let Some(code) = outcome.fallback {
            self.shard.fallback(route_name, code);
        }
        for category in outcome.findings.iter().flat_map(|findings| findings.categories()) {
            self.shard.firewall_hit(route_name, category);
        }
        if let Some(result) = outcome.review {
            self.shard.reviewed(route_name, result);
        }
        if let Some(by) = outcome.limited_by {
            self.shard.limited(route_name, by);
        }
        if let Some(status) = outcome.grpc_status {
            self.shard.grpc_call(route_name, status);
        }
        let request = &exchange.request;
        let query = request.query().map(|query| redact(query, &live.snapshot.secret_parameters));
        let referer = request.fields.get(Known::Referer).unwrap_or_default();
        let referer = redact_reference(referer, &live.snapshot.secret_parameters);
        let identity = exchange.identity();
        if let Some(identity) = identity.filter(|identity| !identity.app.is_empty()) {
            self.shard.app_request(&identity.app, status);
        }
        let caller = |part: fn(&Identity) -> &str| identity.map_or("", part);
        self.log.borrow_mut().write(&Line {
            id: &exchange.id,
            client_ip: exchange.caller.ip,
            client_certificate: exchange.certificate().map_or("", |certificate| &certificate.subject),
            app: caller(|identity| &identity.app),
            user: caller(|identity| &identity.user),
            plan: caller(|identity| &identity.plan),
            key: caller(|identity| &identity.key),
            auth: exchange.identified_by(),
            method: request.method.as_str(),
            host: &request.authority,
            path: &request.path,
            query: query.as_deref(),
            protocol: match request.version {
                http::Version::HTTP_2 => "HTTP/2",
                http::Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status,
            route: route_name,
            api: route.map_or("", |route| &route.api),
            duration_us: total.as_micros() as u64,
            upstream_us: waited.map(|waited| waited.as_micros() as u64),
            user_agent: request.fields.get(Known::UserAgent).unwrap_or_default(),
            referer: &referer,
            ..outcome.line(exchange.started)
        });
    }

    /// Closes what idled too long, once a second.
    async fn keep_house(self: Rc<Self>) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        loop {
            tick.tick().await;
            self.upstreams.retain_used();
            self.upstreams.sweep(clock::now());
        }
    }

    /// Looks whether it comes late to what is ready, and whether the process has used up its memory.
    async fn watch_overload(self: Rc<Self>) {
        let mut tick = tokio::time::interval(overload::LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in (0..overload::MEMORY_EVERY).cycle() {
            let due = tick.tick().await;
            let bounds = self.live.borrow().snapshot.overload;
            if look == 0
                && let (Some(used), Some(of)) = (overload::memory_used(), overload::memory_limit())
            {
                self.tell(self.overload.saw_memory(used, of, bounds), bounds);
            }
            self.tell(self.overload.saw_lag(due.elapsed(), bounds), bounds);
            self.shard.overload.set(u64::from(self.overload.share()));
        }
    }

    fn tell(&self, turn: Option<Turn>, bounds: Bounds) {
        let Some(turn) = turn else { return };
        let (lag, id) = (bounds.lag.unwrap_or_default(), self.id);
        match turn {
            Turn::Late => notice(format_args!(
                "worker {id} has too much to do, it comes more than {lag:?} late: it refuses requests"
            )),
            Turn::InTime => notice(format_args!("worker {id} is in time again, and refuses no more")),
            Turn::NoMemory => notice(format_args!(
                "worker {id} refuses requests: the process has used up its memory (`overload.memory`)"
            )),
            Turn::Room => notice(format_args!("worker {id} refuses no more: the process has memory again")),
        }
    }

    /// Hands over log lines that waited long enough for others.
    async fn flush_logs(self: Rc<Self>) {
        let mut tick = tokio::time::interval(LOG_EVERY);
        loop {
            tick.tick().await;
            self.log.borrow_mut().flush();
        }
    }
}

/// An open connection, as long as it is held.
#[derive(Debug)]
pub struct OpenConnection {
    worker: Rc<Worker>,
    key: usize,
    admission: Admission,
}

impl OpenConnection {
    /// Counts it for the client whose it is, as a proxy says; whether that one may have it.
    pub fn is_admitted(&mut self, spec: &ListenerSpec, client: IpAddr) -> bool {
        let admitted = self.admission.count_for(spec, client, clock::now());
        admitted.map_err(|why| self.worker.refuse_address(spec, client, why)).is_ok()
    }

    /// Has the connection's task woken when the worker begins to drain.
    pub fn wake_on_drain(&self, waker: &Waker) {
        let mut connections = self.worker.connections.borrow_mut();
        let slot = &mut connections[self.key];
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.shard.connection_closed();
        if std::thread::panicking() {
            // The runtime catches it at the task's edge: this connection ends, the others do not notice.
            self.worker.shard.panicked();
        }
        self.worker.connections.borrow_mut().remove(self.key);
        self.worker.tell_if_drained();
    }
}
