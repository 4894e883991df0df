//! The whole data plane of a process: its workers, the sockets they share out, and the snapshot they serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, oneshot};

use crate::record::{LogSink, Metrics};
use crate::snapshot::Snapshot;
use crate::worker::{self, Command, Setup};

/// Connections that the kernel keeps until they are accepted, per socket.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel keeps unsent for a slow reader before the socket counts as full. Its buffers grow to megabytes;
/// with all of that to drain first, a slow reader would seem to stand still.
pub const UNSENT: u32 = 256 * 1024;

/// Why the gateway cannot serve a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}{}", hint(cause))]
    Listen {
        /// The address.
        address: SocketAddr,
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

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            " (another program has this port, perhaps another tollgate; stop it, or listen elsewhere: \
             `listeners: [ 127.0.0.1:8081 ]`, with `--to`, `--listen 127.0.0.1:8081`)"
        }
        io::ErrorKind::PermissionDenied => " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}

/// A running data plane.
#[derive(Debug)]
pub struct Server {
    workers: Vec<WorkerHandle>,
    metrics: Arc<Metrics>,
    sink: LogSink,
    snapshot: Arc<Snapshot>,
    /// Bound addresses by the listeners' stable names.
    bound: Vec<((SocketAddr, usize), SocketAddr)>,
}

#[derive(Debug)]
struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// New sockets for a snapshot: for each worker, by the listener's place.
type Sockets = Vec<Vec<(usize, TcpListener)>>;

impl Server {
    /// Starts `count` workers that serve the snapshot.
    pub fn start(snapshot: Snapshot, count: usize, metrics: Arc<Metrics>) -> Result<Self, ServeError> {
        let snapshot = Arc::new(snapshot);
        let sink = open_log(&snapshot)?;
        let (sockets, bound) = bind(&snapshot, &[], count)?;
        let mut workers = Vec::with_capacity(count);
        for id in 0..count {
            let setup =
                Setup { id, shard: metrics.shard(), log: sink.writer(), snapshot: Arc::clone(&snapshot) };
            workers.push(WorkerHandle::start(setup)?);
        }
        let mut server = Self { workers, metrics, sink, snapshot, bound };
        server.metrics.watch_log(&server.sink);
        server.watch_certificates();
        server.send_all(sockets, false)?;
        Ok(server)
    }

    /// The snapshot that is served now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The addresses that are listened on, in the order of the listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = |key| self.bound.iter().find(|(known, _)| *known == key).map(|(_, address)| *address);
        self.snapshot.listeners.iter().filter_map(|spec| bound((spec.address, spec.nth))).collect()
    }

    /// Serves another snapshot from the next request on. No connection is closed; a listener that stays keeps its socket.
    /// On an error everything stays as it was.
    pub fn apply(&mut self, snapshot: Snapshot) -> Result<(), ServeError> {
        let snapshot = Arc::new(snapshot);
        let sink = if snapshot.logs == self.snapshot.logs { None } else { Some(open_log(&snapshot)?) };
        let (sockets, bound) = bind(&snapshot, &self.bound, self.workers.len())?;
        self.bound = bound;
        // Held until no worker has it any more: freeing 100,000 routes takes a while, and must not take a worker's.
        let _before = std::mem::replace(&mut self.snapshot, snapshot);
        let has_new_log = sink.is_some();
        let old = sink.map(|sink| std::mem::replace(&mut self.sink, sink));
        self.watch_certificates();
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

    /// Stops accepting and waits until every connection has ended, but not longer than the snapshot's `drain`.
    /// Whether all had ended by then.
    pub fn drain(&mut self) -> bool {
        let due = Instant::now() + self.snapshot.drain;
        let waiting: Vec<_> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let (done, drained) = oneshot::channel();
                worker.commands.send(Command::Drain { done }).ok().map(|()| drained)
            })
            .collect();
        waiting.into_iter().all(|drained| wait_until(drained, due))
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

    fn watch_certificates(&self) {
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
                    eprintln!("tollgate: a worker cannot run: {error}");
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

fn wait_until(mut drained: oneshot::Receiver<()>, due: Instant) -> bool {
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

type Bound = Vec<((SocketAddr, usize), SocketAddr)>;

/// Opens the sockets that a snapshot needs beyond those that are open.
fn bind(
    snapshot: &Snapshot,
    known: &[((SocketAddr, usize), SocketAddr)],
    workers: usize,
) -> Result<(Sockets, Bound), ServeError> {
    let mut sockets: Sockets = (0..workers).map(|_| Vec::new()).collect();
    let mut bound = Bound::new();
    for (index, spec) in snapshot.listeners.iter().enumerate() {
        let key = (spec.address, spec.nth);
        if let Some(open) = known.iter().find(|(open, _)| *open == key) {
            bound.push(*open);
            continue;
        }
        let failed = |cause| ServeError::Listen { address: spec.address, cause };
        // On a port that is ours already, as when a listener changes from one address to all, a probe would find us.
        let is_ours = known.iter().any(|(_, bound)| bound.port() == spec.address.port());
        let address = if is_ours { spec.address } else { probe(spec.address).map_err(failed)? };
        for sockets in &mut sockets {
            sockets.push((index, listen(address, true).map_err(failed)?));
        }
        bound.push((key, address));
    }
    Ok((sockets, bound))
}

/// Whether the address is free, and which port the kernel gives for port 0. `SO_REUSEPORT` would quietly share a port
/// with another gateway.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    listen(address, false)?.local_addr()
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != std::net::Ipv6Addr::UNSPECIFIED)?;
    }
    // Accepted sockets inherit it: one system call here instead of one for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
