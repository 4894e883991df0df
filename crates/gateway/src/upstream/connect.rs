//! Opens a connection to an endpoint: resolves its name, tries its addresses in turn.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{Connection, Endpoint};
use crate::accept::Stream;
use crate::clock;
use crate::config::values::Host;

/// How long the addresses of a name are believed. The system's resolver tells no TTL.
const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or the resolver failed.
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    /// Every address refused or failed; this is the last one's error.
    #[error("{0}")]
    Connect(io::Error),
}

impl Endpoint {
    /// Opens a connection. The caller bounds its time.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let addresses = match &self.spec.host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(*ip, self.spec.port);
                return connect_to(address).await.map_err(ConnectError::Connect);
            }
            Host::Name(name) => self.addresses(name).await?,
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // Begin where the last success was: a name with a dead first address costs its time-out once.
        let first = self.next_address.get();
        for turn in 0..addresses.len() {
            let index = (first + turn) % addresses.len();
            match connect_to(addresses[index]).await {
                Ok(connection) => {
                    self.next_address.set(index);
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
            // Also when the caller's time runs out on the next one.
            self.next_address.set((index + 1) % addresses.len());
        }
        Err(ConnectError::Connect(last))
    }

    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Some((addresses, at)) = &*self.resolved.borrow()
            && clock::now().saturating_duration_since(*at) < RESOLVED_FOR
        {
            return Ok(addresses.clone());
        }
        let found = tokio::net::lookup_host((name, self.spec.port)).await;
        let error = match found {
            Ok(addresses) => {
                let addresses: Vec<SocketAddr> = addresses.take(MAX_ADDRESSES).collect();
                if !addresses.is_empty() {
                    *self.resolved.borrow_mut() = Some((addresses.clone(), clock::now()));
                    return Ok(addresses);
                }
                io::Error::new(io::ErrorKind::NotFound, "the name has no address")
            }
            Err(error) => error,
        };
        // A resolver that fails for a while must not take a working service down.
        match &*self.resolved.borrow() {
            Some((addresses, _)) => Ok(addresses.clone()),
            None => Err(ConnectError::Resolve(error)),
        }
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<Connection> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(Connection::new(Stream::new(socket)))
}
