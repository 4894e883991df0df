//! The data plane as the commands use it: compiled, started, changed and stopped.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway::config::values::ListenAddress;
use gateway::config::{Config, Faults};
use gateway::quotas::{Question, Report, report};
use gateway::record::Metrics;
use gateway::server::{self, HandedSockets, Server};
use gateway::snapshot::Snapshot;
use gateway::status::Sources;
use gateway::upstream::ServiceSpec;
use gateway::upstream::catalog::Catalog;
use gateway::upstream::health::Healths;

use crate::commands::Failure;
use crate::origin::{Compiled, Origin};

/// A running data plane.
pub(crate) struct Engine {
    /// Gone from the drain on, so that nothing waits for its end but who asked for it.
    server: Mutex<Option<Server>>,
    metrics: Arc<Metrics>,
    healths: Arc<Healths>,
    /// Another process has the listeners: what changes from here on is for that one.
    is_handed_over: AtomicBool,
    /// What is served, for who looks from outside: not behind the server's lock, which is held while a configuration is put in
    /// force. It stays while the gateway drains.
    served: Mutex<Served>,
    is_draining: AtomicBool,
}

/// What is served.
#[derive(Clone)]
struct Served {
    snapshot: Arc<Snapshot>,
    /// The services, with the endpoints that they have by now.
    services: Arc<[Arc<ServiceSpec>]>,
}

impl Served {
    fn by(server: &Server) -> Self {
        Self { snapshot: Arc::clone(server.snapshot()), services: server.services().into() }
    }
}

/// A listener, as the operator is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Where it listens.
    pub(crate) address: ListenAddress,
    /// What is spoken there: `tls; http1, http2`.
    pub(crate) spoken: String,
    /// The fingerprint of its certificate, when that is one for development.
    pub(crate) development: Option<String>,
}

/// Why a configuration was not put in force.
pub(crate) struct Refused {
    /// As the operator should read it.
    pub(crate) error: String,
    /// The files that it names, any of which may be what is to be mended.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Engine {
    /// Takes the listeners over that were `handed` to this process, binds the others, and starts the workers. Sockets
    /// that no listener needs are left there.
    pub(crate) fn start(
        snapshot: Snapshot,
        workers: usize,
        catalog: Arc<Catalog>,
        handed: &mut Vec<HandedSockets>,
    ) -> Result<Self, Failure> {
        server::raise_file_limit();
        let metrics = Metrics::new();
        let server = Server::start(snapshot, workers, Arc::clone(&metrics), catalog, handed)
            .map_err(|error| Failure::new(error.to_string()))?;
        metrics.reloaded(true, SystemTime::now());
        let healths = Arc::clone(server.healths());
        let served = Mutex::new(Served::by(&server));
        Ok(Self {
            server: Mutex::new(Some(server)),
            metrics,
            healths,
            is_handed_over: AtomicBool::new(false),
            served,
            is_draining: AtomicBool::new(false),
        })
    }

    /// Where it listens, in the order of the configuration.
    pub(crate) fn listening(&self) -> Vec<Listening> {
        let server = self.server();
        let Some(server) = server.as_ref() else { return Vec::new() };
        let listeners = server.addresses().into_iter().zip(&server.snapshot().listeners);
        let told = listeners.map(|(address, listener)| Listening {
            address,
            spoken: format!("{}{}", if listener.tls.is_some() { "tls; " } else { "" }, listener.protocols),
            development: listener.tls.as_ref().and_then(|tls| Some(tls.development()?.fingerprint.clone())),
        });
        told.collect()
    }

    /// The snapshot that is served, or was until the drain began.
    pub(crate) fn served(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.served).snapshot)
    }

    /// Looks at the snapshot that is served; nothing once the drain has begun.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        self.server().as_ref().map(|server| at(server.snapshot()))
    }

    /// The services that are served, with the endpoints that they have by now; none once the drain has begun.
    pub(crate) fn services(&self) -> Vec<Arc<ServiceSpec>> {
        self.server().as_ref().map_or_else(Vec::new, |server| server.services().to_vec())
    }

    /// Puts endpoints in force that were found since. Whether there were any.
    pub(crate) fn apply_found(&self) -> bool {
        let mut server = self.server();
        let Some(server) = server.as_mut() else { return false };
        let is_changed = server.apply_found();
        if is_changed {
            *lock(&self.served) = Served::by(server);
        }
        is_changed
    }

    /// Compiles what the origin says now and puts it in force: all of it, or none and the reason. `prepare` is called in between, and
    /// may refuse it.
    pub(crate) fn reload(
        &self,
        origin: &Origin,
        prepare: impl FnOnce(&Snapshot) -> Result<(), String>,
    ) -> Result<(Config, Faults), Refused> {
        let reloaded = self.load_and_apply(origin, prepare);
        self.metrics.reloaded(reloaded.is_ok(), SystemTime::now());
        reloaded
    }

    fn load_and_apply(
        &self,
        origin: &Origin,
        prepare: impl FnOnce(&Snapshot) -> Result<(), String>,
    ) -> Result<(Config, Faults), Refused> {
        let draining = || Refused { error: "the gateway is draining".to_owned(), files: BTreeSet::new() };
        let before = self.look(Arc::clone).filter(|_| !self.is_ending()).ok_or_else(draining)?;
        // The server is not held: a file system that hangs must not keep the gateway from draining.
        let compiled = origin
            .compile(Some(&before))
            .map_err(|faults| Refused { error: faults.render(false), files: faults.files().clone() })?;
        let Compiled { config, snapshot, warnings } = compiled;
        prepare(&snapshot).map_err(|error| Refused { error, files: config.files().clone() })?;
        let mut server = self.server();
        let server = server.as_mut().ok_or_else(draining)?;
        let applied = server.apply(snapshot);
        *lock(&self.served) = Served::by(server);
        applied.map_err(|error| Refused { error: error.to_string(), files: config.files().clone() })?;
        Ok((config, warnings))
    }

    /// Whether the drain has begun or another process has taken over: nothing is to be changed any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_handed_over.load(Ordering::Acquire) || self.server().is_none()
    }

    /// What verifies what services are told of callers: a JWK set.
    pub(crate) fn public_keys(&self) -> String {
        let signer = lock(&self.served).snapshot.told.signer.clone();
        signer.map_or_else(|| r#"{"keys":[]}"#.to_owned(), |signer| signer.public_keys().to_owned())
    }

    /// The metrics of all workers, in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// How it stands and what it has counted, as of now, in JSON; while it drains too.
    pub(crate) fn status(&self) -> String {
        let Served { snapshot, services } = lock(&self.served).clone();
        let sources = Sources {
            metrics: &self.metrics,
            healths: &self.healths,
            snapshot: &snapshot,
            services: &services,
            is_draining: self.is_draining.load(Ordering::Acquire),
        };
        // Every key of a status is a text: it can always be written.
        serde_json::to_string(&sources.status(Instant::now())).unwrap_or_default()
    }

    /// What callers have used of the quotas that are in force.
    pub(crate) fn quotas(&self, question: &Question) -> Vec<Report> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        report(self.served().quotas_in_force(), question, now)
    }

    /// What its workers know of endpoints.
    pub(crate) fn healths(&self) -> &Arc<Healths> {
        &self.healths
    }

    /// Opens the log files again, under the names that they have.
    pub(crate) fn reopen_logs(&self) {
        if let Some(server) = self.server().as_ref() {
            server.reopen_logs();
        }
    }

    /// Descriptors of all listening sockets, for the process that is to take over.
    pub(crate) fn hand_over(&self) -> io::Result<Vec<HandedSockets>> {
        self.server().as_ref().map_or_else(|| Ok(Vec::new()), Server::hand_over)
    }

    /// Another process has taken over.
    pub(crate) fn handed_over(&self) {
        self.is_handed_over.store(true, Ordering::Release);
        if let Some(server) = self.server().as_mut() {
            server.handed_over();
        }
    }

    /// This process takes over: the files of Unix sockets that were handed to it are its own from here on.
    pub(crate) fn own_files(&self) {
        if let Some(server) = self.server().as_mut() {
            server.own_files();
        }
    }

    /// Removes the files of Unix sockets, before the process ends without a drain.
    pub(crate) fn release_sockets(&self) {
        if let Some(server) = self.server().as_mut() {
            server.release_sockets();
        }
    }

    /// How long a drain waits; nothing once it has begun.
    pub(crate) fn drain_limit(&self) -> Duration {
        self.server().as_ref().map_or(Duration::ZERO, |server| server.snapshot().drain)
    }

    /// Stops accepting, waits until the last exchange has ended or the limit has passed, and ends the workers.
    /// Whether nothing was cut off.
    pub(crate) fn drain(&self) -> bool {
        self.is_draining.store(true, Ordering::Release);
        let server = self.server().take();
        server.is_none_or(|mut server| {
            let is_complete = server.drain();
            server.stop();
            is_complete
        })
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        lock(&self.server)
    }
}

/// A panic elsewhere leaves what is locked as it was: it is changed only by the engine's own calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
