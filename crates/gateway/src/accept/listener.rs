//! A listener as one worker sees it. Its settings may change under its open connections.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http1::Limits;

use super::addresses::{AddressLimits, AddressPlace, Addresses, Crowded};
use super::forwarded::is_in;
use super::requests::RequestLimit;
use super::socket::{ListenerName, UNIX_PEER};
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
    /// What one client's address may have of them.
    pub address_limits: AddressLimits,
    /// For a request's head, from its first byte.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// Bytes of a request's body that must come in a second; zero for no least rate.
    pub body_rate: u64,
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
    /// What clients' addresses have of them, where that is limited. Touched as seldom.
    pub addresses: Option<Arc<Addresses>>,
    /// What one client's address may ask.
    pub requests: Option<RequestLimit>,
}

impl ListenerSpec {
    /// What limits the requests of this address. A peer that is believed about others has many clients behind it, and none of a Unix
    /// socket has an address.
    pub fn requests_of(&self, address: IpAddr) -> Option<&RequestLimit> {
        let limit = self.requests.as_ref()?;
        let is_unknown = self.name.address.tcp().is_none() && address == UNIX_PEER.ip();
        let is_spared = limit.is_default() && self.is_near(address);
        (!is_unknown && !is_spared && !is_in(address, &self.trusted)).then_some(limit)
    }

    /// Whether an address is one of those that no default is for: this machine's own, by which proxies and measuring programs come, or
    /// a balancer's.
    fn is_near(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || is_in(address, &self.proxied)
    }
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
    address: Option<AddressPlace>,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The listener has all that it may have.
    Full,
    /// The client has, or makes, too many.
    Crowded(Crowded),
}

impl Admission {
    /// Counts a connection in, unless the listener or the client has all it may have. Whose a connection is that a proxy passes on is
    /// not known yet.
    pub fn of(spec: &ListenerSpec, peer: SocketAddr, now: Instant) -> Result<Self, NotAdmitted> {
        let mut admission = Self { open: Arc::clone(&spec.open), address: None };
        // Counted first: two workers that look at the same time must not both see the last place.
        if spec.open.fetch_add(1, Ordering::Relaxed) >= spec.connections {
            return Err(NotAdmitted::Full);
        }
        if !is_in(peer.ip(), &spec.proxied) {
            admission.count_for(spec, peer.ip(), now).map_err(NotAdmitted::Crowded)?;
        }
        Ok(admission)
    }

    /// Counts it for its client too, unless that one has all it may have. A peer that is believed about others has many clients behind
    /// it, and none of a Unix socket has an address.
    pub fn count_for(&mut self, spec: &ListenerSpec, client: IpAddr, now: Instant) -> Result<(), Crowded> {
        let Some(addresses) = &spec.addresses else { return Ok(()) };
        if spec.name.address.tcp().is_none() || is_in(client, &spec.trusted) {
            return Ok(());
        }
        let mut limits = spec.address_limits;
        limits.connections = limits.connections.filter(|limit| !(limit.is_default && spec.is_near(client)));
        if limits.is_some() {
            self.address = Some(addresses.admit(client, &limits, now)?);
        }
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
