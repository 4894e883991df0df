//! A TCP connection seen byte by byte, from either end.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::PATIENCE;

/// How much of what arrived is kept for showing and comparing; the rest is only counted.
const KEPT: usize = 1024 * 1024;

/// How the peer's half of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In order (FIN).
    Closed,
    /// Torn down (RST).
    Reset,
    /// Not at all, while we waited.
    Silent,
}

/// A message that did not come whole: what came, and how it ended.
#[derive(Clone)]
pub struct Broken {
    /// How the connection ended.
    pub ending: Ending,
    /// The bytes of the message that did come.
    pub received: Vec<u8>,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.received[..self.received.len().min(2000)];
        write!(f, "{:?} after {} bytes:\n{}", self.ending, self.received.len(), show(shown))
    }
}

/// A connection with what was read ahead of need.
pub struct Socket {
    stream: TcpStream,
    buffer: Box<[u8]>,
    ahead: Vec<u8>,
    seen: Arc<Mutex<Vec<u8>>>,
    total: u64,
}

impl Socket {
    /// Connects, without Nagle's delay.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::new(stream)
    }

    /// Takes over an accepted or connected stream.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).ok();
        stream.set_read_timeout(Some(PATIENCE)).ok();
        stream.set_write_timeout(Some(PATIENCE)).ok();
        let buffer = vec![0; 64 * 1024].into_boxed_slice();
        Self { stream, buffer, ahead: Vec::new(), seen: Arc::default(), total: 0 }
    }

    /// The stream itself, for settings.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Everything that arrived so far (the first MiB of it), shared with whoever watches.
    pub fn seen(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.seen)
    }

    /// How many bytes arrived so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Sends; says whether the peer still took it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends our half: no more will be sent, the answer can still be read.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// Ends both halves in order.
    pub fn close(&self) {
        self.stream.shutdown(Shutdown::Both).ok();
    }

    /// Tears the connection down: the peer has got a reset, not an orderly end, when this returns. Nobody else may hold it.
    pub fn reset(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
        // The reset goes out with the last descriptor; one that leads nowhere takes its place.
        let nowhere = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        self.stream = nowhere.into();
    }

    /// Reads once into what is ahead; an error is how the connection ended.
    pub fn fill(&mut self) -> Result<usize, Ending> {
        let count = match self.stream.read(&mut self.buffer) {
            Ok(0) => return Err(Ending::Closed),
            Ok(count) => count,
            Err(error) => {
                return Err(match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => Ending::Silent,
                    _ => Ending::Reset,
                });
            }
        };
        self.total += count as u64;
        let mut seen = self.seen.lock().unwrap();
        let room = KEPT.saturating_sub(seen.len()).min(count);
        seen.extend_from_slice(&self.buffer[..room]);
        self.ahead.extend_from_slice(&self.buffer[..count]);
        Ok(count)
    }

    /// The next bytes up to and including `mark`.
    pub fn take_until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut searched = 0;
        loop {
            let found = self.ahead[searched..].windows(mark.len()).position(|window| window == mark);
            if let Some(start) = found {
                return Ok(self.ahead.drain(..searched + start + mark.len()).collect());
            }
            searched = self.ahead.len().saturating_sub(mark.len() - 1);
            self.fill().map_err(|ending| self.broken(ending))?;
        }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        while self.ahead.len() < count {
            self.fill().map_err(|ending| self.broken(ending))?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Counts and forgets the next `count` bytes: for bodies too big to keep.
    pub fn discard(&mut self, count: u64) -> Result<(), Broken> {
        let mut left = count;
        loop {
            let here = left.min(self.ahead.len() as u64);
            self.ahead.drain(..here as usize);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill().map_err(|ending| self.broken(ending))?;
        }
    }

    /// Whatever is there, waiting for at least one byte; nothing when the peer ended in order.
    pub fn take_some(&mut self) -> Result<Vec<u8>, Broken> {
        if self.ahead.is_empty() {
            match self.fill() {
                Ok(_) | Err(Ending::Closed) => {}
                Err(ending) => return Err(self.broken(ending)),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// The rest, and how it ended.
    pub fn take_rest(&mut self) -> (Vec<u8>, Ending) {
        loop {
            if let Err(ending) = self.fill() {
                return (std::mem::take(&mut self.ahead), ending);
            }
        }
    }

    /// Whether the peer's end was already seen or comes without another byte before it.
    pub fn ends(&mut self) -> bool {
        let (rest, ending) = self.take_rest();
        rest.is_empty() && ending != Ending::Silent
    }

    fn broken(&mut self, ending: Ending) -> Broken {
        Broken { ending, received: std::mem::take(&mut self.ahead) }
    }
}

/// Bytes as a person reads them.
pub(crate) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "\\r\\n\n")
}
