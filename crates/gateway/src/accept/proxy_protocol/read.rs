//! Reads the header from a socket and not a byte more: what follows is for whoever reads next, TLS or HTTP.

use rustix::net::RecvFlags;

use super::{Header, HeaderFault, MAX_LENGTH, parse};
use crate::accept::Socket;

/// Why a connection has no header.
#[derive(Debug)]
pub enum Refused {
    /// Its first bytes are none.
    Fault(HeaderFault),
    /// It ended or failed before all of it was there.
    Gone,
}

/// Reads the header; the caller bounds the time.
pub async fn read(socket: &Socket) -> Result<Header, Refused> {
    let mut bytes = Vec::new();
    loop {
        let taken = bytes.len();
        // Room for one byte more than a header may have would never be filled: the parser knows by then.
        bytes.resize(taken + ROOM.min(MAX_LENGTH - taken), 0);
        let seen = receive(socket, &mut bytes[taken..], RecvFlags::PEEK).await?;
        bytes.truncate(taken + seen);
        let header = parse(&bytes).map_err(Refused::Fault)?;
        // Until the header is whole all that was seen belongs to it.
        let end = header.map_or(bytes.len(), |header| header.length);
        let mut start = taken;
        while start < end {
            start += receive(socket, &mut bytes[start..end], RecvFlags::empty()).await?;
        }
        if let Some(header) = header {
            return Ok(header);
        }
    }
}

async fn receive(socket: &Socket, space: &mut [u8], flags: RecvFlags) -> Result<usize, Refused> {
    let received = socket.receive_with(|descriptor| {
        Ok(rustix::net::recv(descriptor, &mut *space, flags).map(|(_, count)| count)?)
    });
    match received.await {
        Ok(0) | Err(_) => Err(Refused::Gone),
        Ok(count) => Ok(count),
    }
}

/// What is looked at at once: more than headers without tagged values have.
const ROOM: usize = 256;
