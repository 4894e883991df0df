//! Listening sockets, TCP and Unix: what they are called, and how a worker accepts from them.
//!
//! A client on a Unix socket has no address of its own. It counts as 127.0.0.1, port 0: the machine itself.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::task::{Context, Poll, ready};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::stream::Socket;
use crate::config::values::ListenAddress;

/// What the other end of a Unix socket counts as.
pub const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The name of a listener, under which its sockets outlive reloads and processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenerName {
    /// The address as configured.
    pub address: ListenAddress,
    /// How many listeners with the same address (port 0) stand before it.
    pub nth: usize,
}

/// A socket that listens and belongs to no runtime yet.
#[derive(Debug)]
pub enum ListeningSocket {
    /// On an IP address and a port.
    Tcp(std::net::TcpListener),
    /// On a path.
    Unix(UnixListener),
}

/// A listening socket in a worker's runtime.
#[derive(Debug)]
pub enum Acceptor {
    /// On an IP address and a port.
    Tcp(tokio::net::TcpListener),
    /// On a path.
    Unix(tokio::net::UnixListener),
}

impl ListeningSocket {
    /// Takes a socket that another process opened.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<Self> {
        let is_listening = sockopt::socket_type(&descriptor)? == SocketType::STREAM
            && sockopt::socket_acceptconn(&descriptor)?;
        if !is_listening {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no listening stream socket"));
        }
        let socket = match sockopt::socket_domain(&descriptor)? {
            AddressFamily::UNIX => Self::Unix(descriptor.into()),
            AddressFamily::INET | AddressFamily::INET6 => Self::Tcp(descriptor.into()),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no TCP or Unix socket")),
        };
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    /// Another descriptor of the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    /// The address that it is bound to.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(ListenAddress::Tcp),
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                let path = address.as_pathname().and_then(|path| path.to_str()).unwrap_or_default();
                ListenAddress::parse(&format!("unix:{path}"))
                    .map_err(|complaint| io::Error::new(io::ErrorKind::InvalidInput, complaint))
            }
        }
    }

    /// Gives it to the runtime of this thread.
    pub fn into_acceptor(self) -> io::Result<Acceptor> {
        match self {
            Self::Tcp(socket) => tokio::net::TcpListener::from_std(socket).map(Acceptor::Tcp),
            Self::Unix(socket) => tokio::net::UnixListener::from_std(socket).map(Acceptor::Unix),
        }
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl From<ListeningSocket> for OwnedFd {
    fn from(socket: ListeningSocket) -> Self {
        match socket {
            ListeningSocket::Tcp(socket) => socket.into(),
            ListeningSocket::Unix(socket) => socket.into(),
        }
    }
}

impl Acceptor {
    /// The next connection and its other end.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        Poll::Ready(match self {
            Self::Tcp(listener) => {
                ready!(listener.poll_accept(context)).map(|(socket, peer)| (socket.into(), peer))
            }
            Self::Unix(listener) => {
                ready!(listener.poll_accept(context)).map(|(socket, _)| (socket.into(), UNIX_PEER))
            }
        })
    }
}

impl Acceptor {
    /// A connection that waits in the kernel's queue, if there is one. The runtime may not have heard of it yet: it knows what
    /// the kernel told it last.
    pub fn accept_waiting(&self) -> Option<(Socket, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match self {
            Self::Tcp(listener) => {
                let socket = std::net::TcpStream::from(rustix::net::accept_with(listener, flags).ok()?);
                let peer = socket.peer_addr().ok()?;
                Some((tokio::net::TcpStream::from_std(socket).ok()?.into(), peer))
            }
            Self::Unix(listener) => {
                let socket = UnixStream::from(rustix::net::accept_with(listener, flags).ok()?);
                Some((tokio::net::UnixStream::from_std(socket).ok()?.into(), UNIX_PEER))
            }
        }
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
