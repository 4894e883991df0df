//! The whole data plane of a process: its workers, the sockets they share out, and the snapshot they serve.

mod sockets;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{mpsc, oneshot};

pub use sockets::HandedSockets;

use crate::config::values::ListenAddress;
use crate::notice::notice;
use crate::record::{HealthReadings, LogSink, Metrics};
use crate::snapshot::Snapshot;
use crate::upstream::catalog::{Catalog, Sought};
use crate::upstream::farewell::FAREWELL;
use crate::upstream::health::Healths;
use crate::upstream::{EndpointSpec, ServiceSpec};
use crate::worker::{self, Command, Setup};
use sockets::{OpenSockets, Sockets};

/// Connections that the kernel keeps until they are accepted, per socket.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel keeps unsent for a slow reader before the socket counts as full. Its buffers grow to megabytes;
/// with all of that to drain first, a slow reader would seem to stand still.
pub const UNSENT: u32 = 256 * 1024;

/// Why the gateway cannot serve a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}{}", hint(address, cause))]
    Listen {
        /// The address.
        address: ListenAddress,
        /// Why.
        cause: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {target}: {cause}")]
    Log {
        /// Where it was to go.
        target: String,
        /// Why.
        cause: io::Error,
    },
    /// A worker's thread cannot be started.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// A worker has ended.
    #[error("a worker has stopped")]
    WorkerGone,
}

fn hint(address: &ListenAddress, cause: &io::Error) -> &'static str {
    match (address, cause.kind()) {
        (ListenAddress::Tcp(_), io::ErrorKind::AddrInUse) => {
            " (another program has this port, perhaps another tollgate; stop it, or listen elsewhere: \
             `listeners: [ 127.0.0.1:8081 ]`, with `--to`, `--listen 127.0.0.1:8081`)"
        }
        (ListenAddress::Tcp(_), io::ErrorKind::PermissionDenied) => {
            " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)"
        }
        (ListenAddress::Unix(_), io::ErrorKind::AddrInUse) => {
            " (another program answers there, perhaps another tollgate)"
        }
        (ListenAddress::Unix(_), io::ErrorKind::AlreadyExists) => " (remove it, or listen on another path)",
        (ListenAddress::Unix(_), io::ErrorKind::PermissionDenied) => {
            " (the gateway must be allowed to write into that folder, and to a socket that is there already)"
        }
        (ListenAddress::Unix(_), io::ErrorKind::NotFound) => " (the folder must be there already)",
        _ => "",
    }
}

/// A running data plane.
#[derive(Debug)]
pub struct Server {
    workers: Vec<WorkerHandle>,
    metrics: Arc<Metrics>,
    healths: Arc<Healths>,
    catalog: Arc<Catalog>,
    sink: LogSink,
    snapshot: Arc<Snapshot>,
    /// The services of the snapshot, with the endpoints that they have by now.
    services: Vec<Arc<ServiceSpec>>,
    open: Vec<OpenSockets>,
}

#[derive(Debug)]
struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `count` workers that serve the snapshot, on sockets that another process has `handed` where there are any.
    /// Those that no listener needs stay there. Services that look for their endpoints have those of the `catalog`.
    pub fn start(
        mut snapshot: Snapshot,
        count: usize,
        metrics: Arc<Metrics>,
        catalog: Arc<Catalog>,
        handed: &mut Vec<HandedSockets>,
    ) -> Result<Self, ServeError> {
        fill_in(&mut snapshot.services, &catalog, &[]);
        let services = snapshot.services.clone();
        let snapshot = Arc::new(snapshot);
        let sink = open_log(&snapshot)?;
        let (sockets, open) = OpenSockets::open_missing(&snapshot, &[], handed, count)?;
        let mut workers = Vec::with_capacity(count);
        let healths = Arc::new(Healths::new(Instant::now()));
        let (watched, found) = (Arc::clone(&healths), Arc::clone(&catalog));
        let key_sets = Arc::clone(&snapshot.key_sets);
        metrics.watch_health(move || {
            let now = Instant::now();
            HealthReadings {
                discoveries: found.readings(now),
                key_sets: key_sets.readings(now),
                ..watched.readings(now)
            }
        });
        for id in 0..count {
            let setup = Setup {
                id,
                shard: metrics.shard(),
                healths: Arc::clone(&healths),
                log: sink.writer(),
                snapshot: Arc::clone(&snapshot),
            };
            workers.push(WorkerHandle::start(setup)?);
        }
        let mut server = Self { workers, metrics, healths, catalog, sink, snapshot, services, open };
        server.metrics.watch_log(&server.sink);
        server.watch_snapshot();
        server.send_all(sockets, false)?;
        Ok(server)
    }

    /// What its workers know of endpoints.
    pub fn healths(&self) -> &Arc<Healths> {
        &self.healths
    }

    /// The snapshot that is served now.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The services of the snapshot, with the endpoints that they have by now.
    pub fn services(&self) -> &[Arc<ServiceSpec>] {
        &self.services
    }

    /// Has services call the endpoints that were found for them since. Whether there is any change.
    pub fn apply_found(&mut self) -> bool {
        let mut changed = Vec::new();
        for (index, known) in self.services.iter_mut().enumerate() {
            if let Some(found) = found(known, &self.catalog) {
                *known = Arc::new(found);
                changed.push((index, Arc::clone(known)));
            }
        }
        for worker in self.workers.iter().filter(|_| !changed.is_empty()) {
            // One that has ended serves nothing any more.
            let _ = worker.commands.send(Command::Endpoints { services: changed.clone() });
        }
        !changed.is_empty()
    }

    /// The addresses that are listened on, in the order of the listeners.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        let listeners = self.snapshot.listeners.iter();
        let open = listeners.filter_map(|spec| self.open.iter().find(|open| open.name == spec.name));
        open.map(|open| open.bound.clone()).collect()
    }

    /// Serves another snapshot from the next request on. No connection is closed; a listener that stays keeps its socket.
    /// On an error everything stays as it was.
    pub fn apply(&mut self, mut snapshot: Snapshot) -> Result<(), ServeError> {
        fill_in(&mut snapshot.services, &self.catalog, &self.services);
        let services = snapshot.services.clone();
        let snapshot = Arc::new(snapshot);
        let sink = if snapshot.logs == self.snapshot.logs { None } else { Some(open_log(&snapshot)?) };
        let workers = self.workers.len();
        let (sockets, opened) = OpenSockets::open_missing(&snapshot, &self.open, &mut Vec::new(), workers)?;
        self.open.retain(|open| snapshot.listener(&open.name).is_some());
        for open in &self.open {
            if let (Some(before), Some(now)) =
                (self.snapshot.listener(&open.name), snapshot.listener(&open.name))
                && before.mode != now.mode
            {
                open.set_mode(now.mode);
            }
        }
        self.open.extend(opened);
        // Held until no worker has it any more: freeing 100,000 routes takes a while, and must not take a worker's.
        let _before = std::mem::replace(&mut self.snapshot, snapshot);
        self.services = services;
        let has_new_log = sink.is_some();
        let old = sink.map(|sink| std::mem::replace(&mut self.sink, sink));
        self.watch_snapshot();
        self.send_all(sockets, has_new_log)?;
        if let Some(old) = old {
            self.metrics.watch_log(&self.sink);
            old.shutdown();
        }
        Ok(())
    }

    /// Opens the access log anew, after it was moved away.
    pub fn reopen_logs(&self) {
        self.sink.reopen();
    }

    /// Descriptors of all listening sockets, for the process that is to take over. This one goes on serving.
    pub fn hand_over(&self) -> io::Result<Vec<HandedSockets>> {
        self.open.iter().map(OpenSockets::hand_over).collect()
    }

    /// Another process has taken the sockets over: the files of Unix sockets are its own now.
    pub fn handed_over(&mut self) {
        self.open.iter_mut().for_each(OpenSockets::leave_file);
    }

    /// Takes charge of the files of Unix sockets that another process opened, which is about to leave them.
    pub fn own_files(&mut self) {
        for open in &mut self.open {
            if let Some(listener) = self.snapshot.listener(&open.name) {
                open.own_file(listener.mode);
            }
        }
    }

    /// Lets go of the listening sockets, and removes the files of Unix sockets. Workers go on accepting from their own
    /// descriptors until they drain.
    pub fn release_sockets(&mut self) {
        self.open.clear();
    }

    /// Stops accepting and waits until every connection has ended, but not longer than the snapshot's `drain`.
    /// Whether all had ended by then. Shortly before, WebSockets are closed in order: they would not end by themselves.
    pub fn drain(&mut self) -> bool {
        let time = self.snapshot.drain;
        let now = Instant::now();
        let due = now + time;
        let farewell = now + time.saturating_sub(FAREWELL.min(time / 4));
        self.release_sockets();
        let mut waiting: Vec<_> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let (done, drained) = oneshot::channel();
                worker.commands.send(Command::Drain { done }).ok().map(|()| drained)
            })
            .collect();
        waiting.retain_mut(|drained| !wait_until(drained, farewell));
        for worker in &self.workers {
            // One that has ended has closed everything.
            let _ = worker.commands.send(Command::Farewell);
        }
        waiting.iter_mut().all(|drained| wait_until(drained, due))
    }

    /// Ends the workers at once and writes what is left of the log.
    pub fn stop(&mut self) {
        for worker in &mut self.workers {
            // Closing the channel is the word to end.
            worker.commands = mpsc::unbounded_channel().0;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked outside every exchange has said so already.
                let _ = thread.join();
            }
        }
        self.sink.shutdown();
    }

    fn watch_snapshot(&self) {
        self.metrics.watch_shared(self.snapshot.redis().cloned(), self.snapshot.quotas());
        let all = [self.snapshot.server_certificates(), self.snapshot.client_certificates()].concat();
        self.metrics.watch_certificates(all.into_iter().cloned().collect());
    }

    fn send_all(&mut self, sockets: Sockets, new_log: bool) -> Result<(), ServeError> {
        let mut applied = Vec::with_capacity(self.workers.len());
        for (worker, sockets) in self.workers.iter().zip(sockets) {
            let (done, is_done) = oneshot::channel();
            let snapshot = Arc::clone(&self.snapshot);
            let log = new_log.then(|| self.sink.writer());
            worker
                .commands
                .send(Command::Apply { snapshot, sockets, log, done })
                .map_err(|_| ServeError::WorkerGone)?;
            applied.push(is_done);
        }
        applied.into_iter().try_for_each(|done| done.blocking_recv().map_err(|_| ServeError::WorkerGone))
    }
}

impl WorkerHandle {
    fn start(setup: Setup) -> Result<Self, ServeError> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{}", setup.id))
            .spawn(move || {
                if let Err(error) = worker::run(setup, receiver) {
                    notice(format_args!("a worker cannot run: {error}"));
                }
            })
            .map_err(ServeError::Worker)?;
        Ok(Self { commands, thread: Some(thread) })
    }
}

/// Raises the number of files that the process may have open as far as it is allowed to.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused where the limit is already what it can be.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Gives services that look for their endpoints those that were found; before there are any, those that they have had.
fn fill_in(services: &mut [Arc<ServiceSpec>], catalog: &Catalog, before: &[Arc<ServiceSpec>]) {
    for service in services {
        let Some(sought) = Sought::by(service) else { continue };
        if let Some(found) = found(service, catalog) {
            *service = Arc::new(found);
            continue;
        }
        let known = catalog.known(&service.name, &sought).or_else(|| {
            let known = before.binary_search_by(|known| known.name.cmp(&service.name)).ok()?;
            service.endpoints.is_empty().then(|| Arc::clone(&before[known].endpoints))
        });
        let endpoints = known.map(|known| callable(&known, service)).unwrap_or_default();
        if !endpoints.is_empty() {
            *service = Arc::new(ServiceSpec { endpoints, ..ServiceSpec::clone(service) });
        }
    }
}

/// Those that a service without TLS can call too: an endpoint with TLS is never spoken to in clear.
fn callable(endpoints: &Arc<[EndpointSpec]>, service: &ServiceSpec) -> Arc<[EndpointSpec]> {
    if service.tls.is_some() {
        return Arc::clone(endpoints);
    }
    endpoints.iter().filter(|endpoint| !endpoint.is_tls).cloned().collect()
}

/// A service with the endpoints that were found for it, unless it has them already.
fn found(service: &ServiceSpec, catalog: &Catalog) -> Option<ServiceSpec> {
    // What is found for a service without TLS has none.
    let endpoints = catalog.endpoints(&service.name, &Sought::by(service)?)?;
    let is_news = !Arc::ptr_eq(&endpoints, &service.endpoints);
    is_news.then(|| ServiceSpec { endpoints, ..service.clone() })
}

fn wait_until(drained: &mut oneshot::Receiver<()>, due: Instant) -> bool {
    const STEP: Duration = Duration::from_millis(5);
    loop {
        match drained.try_recv() {
            Ok(()) | Err(oneshot::error::TryRecvError::Closed) => return true,
            Err(oneshot::error::TryRecvError::Empty) if Instant::now() >= due => return false,
            Err(oneshot::error::TryRecvError::Empty) => std::thread::park_timeout(STEP),
        }
    }
}

fn open_log(snapshot: &Snapshot) -> Result<LogSink, ServeError> {
    LogSink::open(&snapshot.logs)
        .map_err(|cause| ServeError::Log { target: format!("{:?}", snapshot.logs.target), cause })
}
