//! Replaces the running process by one of the binary that stands in its place now, without a moment in which nobody
//! accepts: the listening sockets themselves are handed over.
//!
//! The old process does everything that can fail while it still serves. What a new one gets from systemd instead of from
//! a gateway takes the same way in.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use control::{Binary, Bundle, Predecessor, Successor, passed_sockets};
use gateway::accept::socket::ListenerName;
use gateway::config::values::ListenAddress;
use gateway::server::HandedSockets;
use gateway::upstream::catalog::Catalog;
use gateway::upstream::legacy::Legacy;
use serde_json::{Value, json};

use crate::commands::Failure;
use crate::engine::Engine;
use crate::terminal::note;

/// How long the new process may take until it serves. The old one serves meanwhile.
const LIMIT: Duration = Duration::from_secs(30);

/// What this process was given at its start.
#[derive(Default)]
pub(crate) struct Inheritance {
    /// The listeners' sockets.
    pub(crate) listeners: Vec<HandedSockets>,
    /// The admin listener and the address that it was configured with.
    admin: Option<(SocketAddr, OwnedFd)>,
    /// What the process before this one had found of endpoints.
    pub(crate) found: Legacy,
    predecessor: Option<Predecessor>,
}

/// What it takes to start the next process.
pub(crate) struct Upgrade {
    pub(crate) binary: Binary,
    pub(crate) engine: Arc<Engine>,
    /// What has been found of endpoints.
    pub(crate) catalog: Arc<Catalog>,
    /// The admin listener and the address that it was configured with.
    pub(crate) admin: Option<(SocketAddr, TcpListener)>,
    /// Which process this one is, from 1.
    pub(crate) generation: u64,
    /// Held while listeners change: the next process must not be given sockets that are about to go.
    pub(crate) changes: Arc<Mutex<()>>,
    /// Whether the gateway was told to stop.
    pub(crate) is_cancelled: AtomicBool,
}

impl Inheritance {
    /// Takes what the process before this one hands over, or systemd. To be asked before there are other threads.
    pub(crate) fn take() -> Result<Self, Failure> {
        let cannot =
            |error: io::Error| Failure::new(format!("cannot take over from the old process: {error}"));
        let mut inheritance = Self::default();
        if let Some(mut predecessor) = Predecessor::receive().map_err(cannot)? {
            for bundle in std::mem::take(&mut predecessor.bundles) {
                inheritance.put(bundle).map_err(cannot)?;
            }
            inheritance.predecessor = Some(predecessor);
            return Ok(inheritance);
        }
        for passed in passed_sockets() {
            match passed.socket.and_then(HandedSockets::of_systemd) {
                Ok(socket) => inheritance.listeners.push(socket),
                Err(error) => note(&format!("cannot use the socket {} of systemd: {error}", passed.name)),
            }
        }
        Ok(inheritance)
    }

    /// Which process this one is since the first was started, from 1.
    pub(crate) fn generation(&self) -> u64 {
        self.predecessor.as_ref().map_or(1, |predecessor| predecessor.generation)
    }

    /// Whether another process serves until this one does.
    pub(crate) fn is_successor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// The admin listener, if it was one with this address.
    pub(crate) fn take_admin(&mut self, address: SocketAddr) -> Option<TcpListener> {
        if let Some((_, descriptor)) = self.admin.take_if(|(known, _)| *known == address) {
            return Some(descriptor.into());
        }
        // systemd says of none of its sockets what it is for.
        let is_from_systemd = self.predecessor.is_none();
        let name = ListenerName { address: ListenAddress::Tcp(address), nth: 0 };
        let handed = is_from_systemd.then(|| HandedSockets::take(&mut self.listeners, &name))??;
        handed.sockets.into_iter().next().map(|socket| OwnedFd::from(socket).into())
    }

    /// Closes what is left and lets the old process go: this one serves.
    pub(crate) fn ready(self) {
        for unneeded in self.listeners {
            if let (None, Some(address)) = (&self.predecessor, unneeded.address()) {
                note(&format!("no listener has the address {address} of a socket that systemd passed"));
            }
            unneeded.close();
        }
        if let Some(predecessor) = self.predecessor {
            predecessor.ready();
        }
    }

    fn put(&mut self, bundle: Bundle) -> io::Result<()> {
        let label: Value = serde_json::from_str(&bundle.label)?;
        let address = |key: &str| {
            let text = label[key].as_str()?;
            ListenAddress::parse(text).ok()
        };
        if let Some(address) = address("listener") {
            let nth = label["nth"].as_u64().unwrap_or_default() as usize;
            let owns_file = label["owns_file"].as_bool().unwrap_or_default();
            let name = ListenerName { address, nth };
            self.listeners.push(HandedSockets::of_gateway(name, bundle.descriptors, owns_file)?);
        } else if let Some(ListenAddress::Tcp(address)) = address("admin") {
            self.admin = bundle.descriptors.into_iter().next().map(|descriptor| (address, descriptor));
        } else if label["found"] == true {
            // Of another version perhaps, which is no reason not to take over.
            self.found = serde_json::from_str(&bundle.into_text()?).unwrap_or_default();
        }
        // What a later version hands over beside is not for this one; it is closed here.
        Ok(())
    }
}

impl Upgrade {
    /// Starts the next process and waits until it serves; its id. Or why this one goes on serving.
    pub(crate) fn run(&self) -> Result<u32, String> {
        let path = self.binary.path().display();
        if std::process::id() == 1 {
            return Err(
                "this is process 1 of its container, which would end with it; start another container \
                        instead"
                    .to_owned(),
            );
        }
        let _held = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let bundles = self.bundles().map_err(|error| format!("cannot hand over the listeners: {error}"))?;
        let successor =
            Successor::start(&self.binary).map_err(|error| format!("cannot start {path}: {error}"))?;
        note(&format!("upgrading: started {path} as process {}", successor.pid()));
        let told = successor.hand_over(self.generation + 1, &bundles);
        drop(bundles);
        // Where it has gone while it was spoken to, its end says more than that.
        if let Err(error) = told
            && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        {
            return Err(format!("cannot hand over the listeners: {error}"));
        }
        let is_cancelled = || self.is_cancelled.load(Ordering::Acquire);
        let pid = successor.wait_until_ready(LIMIT, is_cancelled).map_err(|unready| unready.to_string())?;
        self.engine.handed_over();
        Ok(pid)
    }

    fn bundles(&self) -> io::Result<Vec<Bundle>> {
        let mut bundles = Vec::new();
        for handed in self.engine.hand_over()? {
            let Some(name) = handed.name else { continue };
            let label = json!({
                "listener": name.address.to_string(),
                "nth": name.nth,
                "owns_file": handed.owns_file,
            });
            let descriptors = handed.sockets.into_iter().map(OwnedFd::from).collect();
            bundles.push(Bundle { label: label.to_string(), descriptors });
        }
        if let Some((address, listener)) = &self.admin {
            let label = json!({ "admin": address.to_string() }).to_string();
            bundles.push(Bundle { label, descriptors: vec![listener.try_clone()?.into()] });
        }
        let found = serde_json::to_string(&self.catalog.legacy(Instant::now()))?;
        bundles.push(Bundle::of_text(json!({ "found": true }).to_string(), &found)?);
        Ok(bundles)
    }
}
