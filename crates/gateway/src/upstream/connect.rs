//! Opens a connection to an endpoint: resolves its name, tries its addresses in turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{Connection, Endpoint};
use crate::accept::Stream;
use crate::clock;
use crate::config::values::Host;
use crate::server::UNSENT;

/// How long the addresses of a name are believed. The system's resolver tells no TTL.
const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// How long nothing is asked after a lookup failed, while older addresses are there.
const FAILED_FOR: Duration = Duration::from_secs(1);
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
    /// The endpoint does not speak HTTP/2.
    #[error("it does not speak HTTP/2: {0}")]
    Http2(h2::Error),
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
    /// A connection that is there: an idle one, or a place on one that requests share. A `fresh` one has served none yet.
    pub fn take(&self, fresh: bool) -> Option<Connection> {
        let connection = if self.protocols.get().http2 {
            self.sessions.lease(fresh)
        } else if fresh {
            None
        } else {
            self.pool.take_idle()
        }?;
        self.metrics.pool_reused.add(1);
        Some(connection)
    }

    /// Opens a connection, or waits for one that requests share and that is being opened. The caller bounds its time.
    pub async fn connect(self: &Rc<Self>, fresh: bool) -> Result<Connection, ConnectError> {
        if !self.protocols.get().http2 {
            let stream = self.open().await?;
            self.metrics.pool_opened.add(1);
            return Ok(Connection::new(stream));
        }
        loop {
            let Some(_opening) = self.sessions.opening() else {
                self.sessions.opened().await;
                if let Some(connection) = self.take(fresh) {
                    return Ok(connection);
                }
                continue;
            };
            let stream = self.open().await?;
            let connection = self.sessions.open(stream).await.map_err(ConnectError::Http2)?;
            self.metrics.pool_opened.add(1);
            return Ok(connection);
        }
    }

    /// Opens a stream to it.
    async fn open(self: &Rc<Self>) -> Result<Stream, ConnectError> {
        let addresses = match &self.spec.host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(*ip, self.spec.port);
                return connect_to(address).await.map_err(ConnectError::Connect);
            }
            Host::Name(_) => self.addresses().await?,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // Begin where the last success was: a name with a dead first address costs its time-out once.
        let first = self.resolved.next.get();
        for turn in 0..addresses.len() {
            let index = (first + turn) % addresses.len();
            match connect_to(addresses[index]).await {
                Ok(stream) => {
                    self.resolved.next.set(index);
                    return Ok(stream);
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

async fn connect_to(address: SocketAddr) -> io::Result<Stream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    Ok(Stream::new(socket))
}
