//! The listening sockets of a process: opened, shared out among the workers, handed to the next process.
//!
//! A TCP listener has a socket for each worker (`SO_REUSEPORT`). A Unix socket is one, and so is what systemd passes:
//! every worker gets a descriptor of it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::{BACKLOG, ServeError, UNSENT};
use crate::accept::socket::{ListenerName, ListeningSocket};
use crate::config::values::{FileMode, ListenAddress};
use crate::notice::notice;
use crate::snapshot::Snapshot;

/// New sockets for a snapshot: for each worker, by the listener's place.
pub(super) type Sockets = Vec<Vec<(usize, ListeningSocket)>>;

/// A listener's sockets in this process. Workers accept from further descriptors of the same sockets; these are kept to
/// be handed on.
#[derive(Debug)]
pub(super) struct OpenSockets {
    pub(super) name: ListenerName,
    /// Where they listen.
    pub(super) bound: ListenAddress,
    sockets: Vec<ListeningSocket>,
    file: Option<SocketFile>,
}

/// Sockets of a listener on their way from one process to another.
#[derive(Debug)]
pub struct HandedSockets {
    /// Whose they are; nothing when only their address says so, as with those of systemd.
    pub name: Option<ListenerName>,
    /// The sockets. Those of systemd come one by one.
    pub sockets: Vec<ListeningSocket>,
    /// Whether the file of a Unix socket is the gateway's own, to be removed when the listener ends.
    pub owns_file: bool,
}

impl OpenSockets {
    /// Opens the sockets that the snapshot needs beside those that are `known`, out of those that are `handed` where it
    /// can. What nobody needs stays in `handed`.
    pub(super) fn open_missing(
        snapshot: &Snapshot,
        known: &[Self],
        handed: &mut Vec<HandedSockets>,
        workers: usize,
    ) -> Result<(Sockets, Vec<Self>), ServeError> {
        let mut shares: Sockets = (0..workers).map(|_| Vec::new()).collect();
        let mut opened = Vec::new();
        for (index, spec) in snapshot.listeners.iter().enumerate() {
            if known.iter().any(|open| open.name == spec.name) {
                continue;
            }
            let failed = |cause| ServeError::Listen { address: spec.name.address.clone(), cause };
            let open = if let Some(taken) = HandedSockets::take(handed, &spec.name) {
                Self::adopt(spec.name.clone(), taken, workers)
            } else {
                let mut bound = known.iter().filter_map(|open| open.bound.tcp());
                let is_ours = |port| {
                    bound.any(|address| address.port() == port)
                        || handed.iter().any(|handed| handed.has_port(port))
                };
                Self::bind(spec.name.clone(), spec.mode, workers, is_ours)
            };
            let open = open.map_err(failed)?;
            open.share(index, &mut shares).map_err(failed)?;
            opened.push(open);
        }
        Ok((shares, opened))
    }

    /// Further descriptors of the sockets, for another process.
    pub(super) fn hand_over(&self) -> io::Result<HandedSockets> {
        let sockets: io::Result<Vec<_>> = self.sockets.iter().map(ListeningSocket::try_clone).collect();
        Ok(HandedSockets { name: Some(self.name.clone()), sockets: sockets?, owns_file: self.file.is_some() })
    }

    /// Leaves the file of a Unix socket to the process that has taken over.
    pub(super) fn leave_file(&mut self) {
        if let Some(file) = &mut self.file {
            file.is_left = true;
        }
    }

    /// Takes charge of the file of a Unix socket that another process opened: it may be connected to as this process
    /// says, and goes with the listener.
    pub(super) fn own_file(&mut self, mode: FileMode) {
        if self.file.as_ref().is_some_and(|file| file.is_left) {
            self.set_mode(mode);
        }
        if let Some(file) = &mut self.file {
            file.is_left = false;
        }
    }

    /// Changes who may connect to a Unix socket.
    pub(super) fn set_mode(&self, mode: FileMode) {
        if let Some(file) = &self.file
            && let Err(error) = file.set_mode(mode)
        {
            notice(format_args!("cannot change the permissions of {}: {error}", self.bound));
        }
    }

    fn bind(
        name: ListenerName,
        mode: FileMode,
        workers: usize,
        is_ours: impl FnOnce(u16) -> bool,
    ) -> io::Result<Self> {
        match &name.address {
            ListenAddress::Tcp(address) => {
                // On a port that is ours already, as when a listener changes from one address to all, a probe would
                // find us.
                let bound = if is_ours(address.port()) { *address } else { probe(*address)? };
                let sockets: io::Result<Vec<_>> = (0..workers).map(|_| listen(bound, true)).collect();
                let sockets = sockets?.into_iter().map(ListeningSocket::Tcp).collect();
                Ok(Self { name, bound: ListenAddress::Tcp(bound), sockets, file: None })
            }
            ListenAddress::Unix(path) => {
                let (socket, file) = listen_on_path(path.as_path(), mode)?;
                let bound = name.address.clone();
                Ok(Self { name, bound, sockets: vec![socket], file: Some(file) })
            }
        }
    }

    /// Takes sockets that another process opened. Every one is accepted from, however many workers there are here: what
    /// waits in the queue of a socket without a worker would wait for ever. The file of a Unix socket stays that of the
    /// other process, which goes on serving if this one fails.
    fn adopt(name: ListenerName, handed: HandedSockets, workers: usize) -> io::Result<Self> {
        let mut sockets = handed.sockets;
        let bound = sockets.first().map_or_else(|| Ok(name.address.clone()), ListeningSocket::address)?;
        for socket in &sockets {
            if let ListeningSocket::Tcp(socket) = socket {
                tune(&SockRef::from(socket))?;
            }
        }
        if let (ListenAddress::Tcp(address), Some(first)) = (&bound, sockets.first())
            && sockopt::socket_reuseport(first)?
        {
            // Refused only to another user than the one who opened the first; then workers share.
            let more: Vec<_> = (sockets.len()..workers).map_while(|_| listen(*address, true).ok()).collect();
            sockets.extend(more.into_iter().map(ListeningSocket::Tcp));
        }
        let file = match &bound {
            ListenAddress::Unix(path) if handed.owns_file => {
                let mut file = SocketFile::at(path.as_path()).ok();
                if let Some(file) = &mut file {
                    file.is_left = true;
                }
                file
            }
            _ => None,
        };
        Ok(Self { name, bound, sockets, file })
    }

    /// Gives every worker a socket, and every socket a worker.
    fn share(&self, index: usize, shares: &mut Sockets) -> io::Result<()> {
        let workers = shares.len();
        if self.sockets.is_empty() {
            return Ok(());
        }
        for turn in 0..self.sockets.len().max(workers) {
            let socket = self.sockets[turn % self.sockets.len()].try_clone()?;
            shares[turn % workers].push((index, socket));
        }
        Ok(())
    }
}

impl HandedSockets {
    /// A socket of systemd.
    pub fn of_systemd(descriptor: OwnedFd) -> io::Result<Self> {
        Self::new(None, vec![descriptor], false)
    }

    /// The sockets of a listener as another gateway had them.
    pub fn of_gateway(name: ListenerName, descriptors: Vec<OwnedFd>, owns_file: bool) -> io::Result<Self> {
        Self::new(Some(name), descriptors, owns_file)
    }

    fn new(name: Option<ListenerName>, descriptors: Vec<OwnedFd>, owns_file: bool) -> io::Result<Self> {
        let sockets: io::Result<_> = descriptors.into_iter().map(ListeningSocket::adopt).collect();
        Ok(Self { name, sockets: sockets?, owns_file })
    }

    /// Where they listen.
    pub fn address(&self) -> Option<ListenAddress> {
        self.sockets.first()?.address().ok()
    }

    /// Closes what no listener needs; a file of the gateway's own goes with it.
    pub fn close(self) {
        if self.owns_file
            && let Some(ListenAddress::Unix(path)) = self.address()
        {
            drop(SocketFile::at(path.as_path()));
        }
    }

    /// Takes out the sockets of this listener, if there are any.
    pub fn take(handed: &mut Vec<Self>, name: &ListenerName) -> Option<Self> {
        let mut found: Option<Self> = None;
        let is_for = |one: &mut Self| match &one.name {
            Some(known) => known == name,
            None => one.address().is_some_and(|address| is_same(&address, &name.address)),
        };
        for one in handed.extract_if(.., is_for) {
            match &mut found {
                Some(found) => found.sockets.extend(one.sockets),
                None => found = Some(one),
            }
        }
        found
    }

    fn has_port(&self, port: u16) -> bool {
        self.address().and_then(|address| address.tcp()).is_some_and(|address| address.port() == port)
    }
}

/// Whether a socket that is bound to one address is what a listener on the other asks for. What systemd calls
/// `ListenStream=8080` is bound to `[::]:8080` and takes IPv4 as well.
fn is_same(bound: &ListenAddress, asked: &ListenAddress) -> bool {
    match (bound, asked) {
        (ListenAddress::Tcp(bound), ListenAddress::Tcp(asked)) => {
            let are_both_all = bound.ip().is_unspecified() && asked.ip().is_unspecified();
            bound.port() == asked.port() && (bound.ip() == asked.ip() || are_both_all)
        }
        (bound, asked) => bound == asked,
    }
}

/// Whether the address is free, and which port the kernel gives for port 0. `SO_REUSEPORT` would quietly share a port
/// with another gateway.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    listen(address, false)?.local_addr()
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != std::net::Ipv6Addr::UNSPECIFIED)?;
    }
    tune(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What accepted sockets inherit: one system call here instead of one for each connection.
fn tune(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

fn listen_on_path(path: &Path, mode: FileMode) -> io::Result<(ListeningSocket, SocketFile)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path, &address)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::at(path)?;
    // Before it listens nobody can connect, so that nobody slips in under the umask's permissions.
    file.set_mode(mode)?;
    socket.listen(BACKLOG)?;
    Ok((ListeningSocket::Unix(OwnedFd::from(socket).into()), file))
}

/// Removes the file of a socket on which nobody listens any more, as a process that was killed leaves it.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let is_same_file =
        |one: &fs::Metadata, other: &fs::Metadata| one.ino() == other.ino() && one.dev() == other.dev();
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of another kind there"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One whose queue is full does not answer at once, and is there all the same.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        _ => return Err(io::ErrorKind::AddrInUse.into()),
    }
    // Another gateway may have put its own there in the meantime.
    if fs::symlink_metadata(path).is_ok_and(|now| is_same_file(&now, &found)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The file of a Unix socket; it goes with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    is_left: bool,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino(), is_left: false })
    }

    fn set_mode(&self, mode: FileMode) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode.bits()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have put its own there since.
        let is_still_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if is_still_ours && !self.is_left {
            // It can only have gone in the meantime.
            let _ = fs::remove_file(&self.path);
        }
    }
}
