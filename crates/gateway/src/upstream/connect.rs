//! Opens a connection to an endpoint: resolves its name, tries its addresses in turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::StatusCode;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use super::session::Session;
use super::{Connection, Endpoint, Timeouts};
use crate::accept::proxy_protocol::{Endpoints, encode};
use crate::accept::{Client, Socket, Stream};
use crate::clock;
use crate::config::Protocols;
use crate::config::values::Host;
use crate::server::UNSENT;

/// How long the addresses of a name are believed. The system's resolver tells no TTL.
const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// How long nothing is asked after a lookup failed, while older addresses are there.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// Between two attempts to get into the full queue of a Unix socket.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// How long an endpoint that chose HTTP/1.1 is not asked again: it may be replaced by one that speaks more.
const CHOICE_FOR: Duration = Duration::from_mins(1);
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or the resolver failed.
    #[error("cannot resolve the name: {0}")]
    Resolve(String),
    /// Every address refused or failed; this is the last one's error.
    #[error("{0}")]
    Connect(io::Error),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// There was no connection in time.
    #[error("no connection came about in time")]
    TimedOut,
    /// The TLS handshake took too long.
    #[error("the TLS handshake did not end in time")]
    TlsTimedOut,
    /// Its host is no name to ask for in TLS.
    #[error("its host is no name that can be asked for in TLS; `tls.server_name` names one")]
    ServerName,
    /// It speaks TLS, and did not choose HTTP/2.
    #[error("it did not choose HTTP/2 in the TLS handshake (ALPN); `protocol: http1` would be spoken")]
    Alpn,
    /// The endpoint does not speak HTTP/2.
    #[error("it does not speak HTTP/2: {0}")]
    Http2(String),
}

/// What a request asks of its connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// That it was opened after this: those before have proved stale, or take no more.
    pub opened_after: Option<Instant>,
    /// That it speaks HTTP/1.1 if the endpoint does: what is to become another protocol can only begin there.
    pub http1: bool,
}

/// What a connection is opened with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// Whom it tells the service of, where that wants a PROXY header.
    pub client: Option<Endpoints>,
    /// How long its parts may take, where each has a limit of its own.
    pub parts: Option<Parts>,
}

impl Setup {
    /// What one to this endpoint is opened with for a client, which comes from this address.
    pub fn new(client: &Client, ip: IpAddr, endpoint: &Endpoint, timeouts: &Timeouts) -> Self {
        let told = endpoint.proxy_protocol.get().and_then(|_| client.endpoints(ip));
        Self { client: told, parts: timeouts.parts() }
    }
}

/// How long the parts of opening a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Until the service has taken it.
    pub connect: Duration,
    /// For the TLS handshake then.
    pub tls: Duration,
}

impl ConnectError {
    /// The stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Resolve(_) | Self::Connect(_) => "upstream_connect_failed",
            Self::Tls(_) | Self::ServerName | Self::Alpn => "upstream_tls_failed",
            Self::TimedOut => "upstream_connect_timeout",
            Self::TlsTimedOut => "upstream_tls_timeout",
            Self::Http2(_) => "upstream_malformed",
        }
    }

    /// The status of the refusal.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TimedOut | Self::TlsTimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

/// What a worker knows of an endpoint's addresses.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    addresses: RefCell<Rc<[SocketAddr]>>,
    /// Until when nothing is asked.
    good_until: Cell<Option<Instant>>,
    /// What the last lookup failed of.
    fault: RefCell<String>,
    is_asking: Cell<bool>,
    answered: Notify,
    /// Where the last success was.
    next: Cell<usize>,
}

impl Endpoint {
    /// A connection that is there: an idle one, or a place on one that requests share.
    pub fn take(&self, wish: Wish) -> Option<Connection> {
        let protocols = self.protocols_for(wish);
        let shared = if protocols.http2 { self.sessions.lease(wish.opened_after) } else { None };
        let connection = match shared {
            Some(connection) => connection,
            None if protocols.http1 && wish.opened_after.is_none() => self.pool.take_idle()?,
            None => return None,
        };
        self.metrics.pool_reused.add(1);
        Some(connection)
    }

    /// Opens a connection, or waits for one that requests share and that is being opened. The caller bounds its time.
    pub async fn connect(self: &Rc<Self>, wish: Wish, setup: Setup) -> Result<Connection, ConnectError> {
        let protocols = self.protocols_for(wish);
        if !protocols.http2 {
            return Ok(self.open(protocols, setup).await?.0);
        }
        loop {
            let Some(_opening) = self.sessions.opening() else {
                self.sessions.opened().await;
                if let Some(connection) = self.take(wish) {
                    return Ok(connection);
                }
                // It speaks HTTP/1.1, and then everybody opens a connection of their own.
                if !self.protocols_for(wish).http2 {
                    return Box::pin(self.connect(wish, setup)).await;
                }
                continue;
            };
            let (connection, is_http2) = self.open(protocols, setup).await?;
            // What was begun before a reload changed what connections are made of serves this request and no other.
            if connection.generation == self.pool.generation() {
                self.chose_http1_until.set((!is_http2).then(|| clock::now() + CHOICE_FOR));
            }
            if !is_http2 {
                return Ok(connection);
            }
            let session = Session::open(connection.stream).await.map_err(ConnectError::Http2)?;
            let lease = session.lease();
            if connection.generation == self.pool.generation() {
                self.sessions.keep(session);
            }
            return Ok(lease);
        }
    }

    /// What a connection for this request may speak.
    fn protocols_for(&self, wish: Wish) -> Protocols {
        let protocols = self.protocols.get();
        let has_chosen = || self.chose_http1_until.get().is_some_and(|until| clock::now() < until);
        let is_http1 = protocols.http1 && (wish.http1 || has_chosen());
        Protocols { http1: protocols.http1, http2: protocols.http2 && !is_http1 }
    }

    /// Opens a connection to it, and whether that speaks HTTP/2: where the endpoint may choose, the handshake tells.
    async fn open(
        self: &Rc<Self>,
        protocols: Protocols,
        setup: Setup,
    ) -> Result<(Connection, bool), ConnectError> {
        let generation = self.pool.generation();
        let (stream, is_http2) = self.open_stream(protocols, setup).await?;
        self.metrics.pool_opened.add(1);
        let mut connection = Connection::new(stream);
        connection.generation = generation;
        Ok((connection, is_http2))
    }

    /// Opens a connection for bytes that are passed on: no protocol is agreed on. The caller bounds its time.
    pub async fn open_unread(self: &Rc<Self>, setup: Setup) -> Result<Connection, ConnectError> {
        let (stream, _) = self.open_stream(Protocols::NONE, setup).await?;
        self.metrics.pool_opened.add(1);
        Ok(Connection::new(stream))
    }

    async fn open_stream(
        self: &Rc<Self>,
        protocols: Protocols,
        setup: Setup,
    ) -> Result<(Stream, bool), ConnectError> {
        let mut header = Vec::new();
        if let Some(version) = self.proxy_protocol.get() {
            encode(version, setup.client, &mut header);
        }
        let opened = async {
            let mut socket = self.open_socket().await?;
            // Before TLS, and before anything of the client's.
            if !header.is_empty() {
                socket.write_all(&header).await.map_err(ConnectError::Connect)?;
            }
            Ok(socket)
        };
        let limit = setup.parts.map(|parts| parts.connect);
        let socket = within(limit, opened).await.unwrap_or(Err(ConnectError::TimedOut))?;
        if !self.spec.is_tls {
            return Ok((Stream::new(socket), protocols == Protocols::HTTP2));
        }
        // Never in clear, whatever became of the configuration since it was found.
        let no_tls = || ConnectError::Tls(io::Error::other("the service has no TLS configured"));
        let tls = self.tls.borrow().clone().ok_or_else(no_tls)?;
        let name = tls.server_name(self.spec.tls_name()).map_err(|_| ConnectError::ServerName)?;
        let connector = TlsConnector::from(tls.config(protocols));
        let limit = setup.parts.map(|parts| parts.tls);
        let shaken = within(limit, connector.connect(name, socket)).await.ok_or(ConnectError::TlsTimedOut)?;
        let stream = shaken.map_err(ConnectError::Tls)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if !is_http2 && protocols == Protocols::HTTP2 {
            return Err(ConnectError::Alpn);
        }
        Ok((Stream::tls(stream), is_http2))
    }

    /// Opens a socket to it.
    async fn open_socket(self: &Rc<Self>) -> Result<Socket, ConnectError> {
        let addresses = match &self.spec.host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(*ip, self.spec.port);
                return connect_to(address).await.map_err(ConnectError::Connect);
            }
            Host::Unix(path) => {
                return connect_to_path(path.as_path()).await.map_err(ConnectError::Connect);
            }
            Host::Name(_) => self.addresses().await?,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // Begin where the last success was: a name with a dead first address costs its time-out once.
        let first = self.resolved.next.get();
        for turn in 0..addresses.len() {
            let index = (first + turn) % addresses.len();
            match connect_to(addresses[index]).await {
                Ok(socket) => {
                    self.resolved.next.set(index);
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
            // Also when the caller's time runs out on the next one.
            self.resolved.next.set((index + 1) % addresses.len());
        }
        Err(ConnectError::Connect(last))
    }

    /// The addresses of the name. Those that are known are used while they are looked up anew: a resolver that hangs or
    /// fails must not take a working service down. One lookup serves all who wait.
    async fn addresses(self: &Rc<Self>) -> Result<Rc<[SocketAddr]>, ConnectError> {
        let resolved = &self.resolved;
        let is_good = resolved.good_until.get().is_some_and(|until| clock::now() < until);
        if !is_good && !resolved.is_asking.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).resolve());
        }
        if resolved.addresses.borrow().is_empty() && resolved.is_asking.get() {
            resolved.answered.notified().await;
        }
        let addresses = Rc::clone(&resolved.addresses.borrow());
        if addresses.is_empty() {
            return Err(ConnectError::Resolve(resolved.fault.borrow().clone()));
        }
        Ok(addresses)
    }

    async fn resolve(self: Rc<Self>) {
        let resolved = &self.resolved;
        if let Host::Name(name) = &self.spec.host {
            let found = tokio::net::lookup_host((name.as_ref(), self.spec.port)).await;
            let fault = match found {
                Ok(addresses) => {
                    let addresses: Rc<[SocketAddr]> = addresses.take(MAX_ADDRESSES).collect();
                    let is_empty = addresses.is_empty();
                    if !is_empty {
                        resolved.addresses.replace(addresses);
                    }
                    is_empty.then(|| "the name has no address".to_owned())
                }
                Err(error) => Some(error.to_string()),
            };
            // Without any address the next request asks again.
            let is_known = !resolved.addresses.borrow().is_empty();
            let good_for = if fault.is_none() { RESOLVED_FOR } else { FAILED_FOR };
            resolved.good_until.set(is_known.then(|| clock::now() + good_for));
            resolved.fault.replace(fault.unwrap_or_default());
        }
        resolved.is_asking.set(false);
        resolved.answered.notify_waiters();
    }
}

/// What a future comes to, unless it takes longer than it may.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// A TCP connection waits in the client's kernel where the service's queue is full; on a Unix socket it is up to us.
async fn connect_to_path(path: &Path) -> io::Result<Socket> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(QUEUE_PAUSE).await,
            connected => return connected.map(Socket::from),
        }
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<Socket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    Ok(socket.into())
}
