//! A listener as one worker sees it. Its settings may change under its open connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http1::Limits;

use super::socket::ListenerName;
use super::tcp::Targets;
use crate::config::Protocols;
use crate::config::values::{Cidr, FileMode};
use crate::tls::ServerTls;

/// A listener as the configuration describes it.
#[derive(Debug)]
pub struct ListenerSpec {
    /// Its stable name, the configured address in it.
    pub name: ListenerName,
    /// Who may connect, where it is a Unix socket.
    pub mode: FileMode,
    /// The port of `https://` to which every request is sent with a 308, if it is.
    pub redirect_https: Option<u16>,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted: Vec<Cidr>,
    /// Peers that begin each connection with a PROXY header.
    pub proxied: Vec<Cidr>,
    /// Where connections are passed on to unread, instead of any protocol.
    pub tcp: Option<Targets>,
    /// Whether some service wants to know which address clients connect to.
    pub tells_destination: bool,
    /// Connections open at once, over all workers.
    pub connections: usize,
    /// For a request's head, from its first byte.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// Sizes of a request's head.
    pub head: Limits,
    /// What is spoken: with TLS the handshake agrees on one, in clear the first bytes tell.
    pub protocols: Protocols,
    /// Streams open at once on an HTTP/2 connection.
    pub streams: u32,
    /// TLS; without it everything is in clear.
    pub tls: Option<Arc<ServerTls>>,
    /// Connections open now; workers touch it when one opens or closes, never for a request.
    pub open: Arc<AtomicUsize>,
}

/// A listener's settings, counted on one worker: the counter inside is shared by all cores, and no request touches it.
pub type Settings = Rc<Arc<ListenerSpec>>;

/// A worker's handle on a listener.
#[derive(Debug)]
pub struct Listener {
    settings: RefCell<Settings>,
}

impl Listener {
    /// A listener with its first settings.
    pub fn new(spec: Arc<ListenerSpec>) -> Rc<Self> {
        Rc::new(Self { settings: RefCell::new(Rc::new(spec)) })
    }

    /// Its settings now.
    pub fn settings(&self) -> Settings {
        Rc::clone(&self.settings.borrow())
    }

    /// Brings a connection's copy of the settings up to date; nothing is written while they stay the same.
    pub fn update(&self, settings: &mut Settings) {
        let current = self.settings.borrow();
        if !Rc::ptr_eq(&current, settings) {
            *settings = Rc::clone(&current);
        }
    }

    /// Changes its settings, as a reload does.
    pub fn set(&self, spec: Arc<ListenerSpec>) {
        *self.settings.borrow_mut() = Rc::new(spec);
    }
}

/// One open connection among those that the listener counts.
#[derive(Debug)]
pub struct Admission {
    open: Arc<AtomicUsize>,
}

impl Admission {
    /// Counts a connection in, unless the listener has all it may have.
    pub fn of(spec: &ListenerSpec) -> Option<Self> {
        let admission = Self { open: Arc::clone(&spec.open) };
        // Counted first: two workers that look at the same time must not both see the last place.
        if spec.open.fetch_add(1, Ordering::Relaxed) < spec.connections { Some(admission) } else { None }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
