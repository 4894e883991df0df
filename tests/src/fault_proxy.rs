//! A proxy that does to a connection what networks do: it waits, cuts, closes half, and lets bytes through slowly. The kernel of
//! a test machine may have no `netem`.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// How long each piece is held back, in either direction.
    pub latency: Duration,
    /// New connections are torn down (RST) at once.
    pub resets: bool,
    /// The answer's direction ends (FIN) after so many bytes, while the other goes on.
    pub half_close_after: Option<usize>,
    /// The connection is torn down (RST) after so many bytes of the answer.
    pub reset_after: Option<usize>,
    /// Bytes per second in either direction.
    pub bandwidth: Option<usize>,
    /// One byte after another, with this pause in between.
    pub drip: Option<Duration>,
    /// Nothing passes any more in either direction, and nobody is told.
    pub black_hole: bool,
}

/// A running proxy.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    faults: Mutex<Faults>,
    open: Mutex<Vec<TcpStream>>,
    is_over: Mutex<bool>,
}

/// A proxy to there that does nothing yet.
pub fn fault_proxy(to: SocketAddr) -> FaultProxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let shared =
        Arc::new(Shared { to, faults: Mutex::default(), open: Mutex::default(), is_over: Mutex::default() });
    let accepting = Arc::clone(&shared);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            if *accepting.is_over.lock().unwrap() {
                return;
            }
            let (shared, client) = (Arc::clone(&accepting), client.unwrap());
            std::thread::spawn(move || shared.pass(&client));
        }
    });
    FaultProxy { address, shared }
}

impl FaultProxy {
    /// Connections suffer this from now on, those that are open too.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// Tears all open connections down (RST).
    pub fn cut(&self) {
        self.shared.open.lock().unwrap().drain(..).for_each(|stream| tear(&stream));
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap() = true;
        TcpStream::connect(self.address).ok();
        self.cut();
    }
}

impl fmt::Display for FaultProxy {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

impl Shared {
    fn pass(self: &Arc<Self>, client: &TcpStream) {
        if self.faults().resets {
            return tear(client);
        }
        let Ok(service) = TcpStream::connect(self.to) else { return tear(client) };
        for stream in [client, &service] {
            stream.set_nodelay(true).ok();
            self.open.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let (there, back) = (
            (client.try_clone().unwrap(), service.try_clone().unwrap()),
            (service, client.try_clone().unwrap()),
        );
        let shared = Arc::clone(self);
        let forth = std::thread::spawn(move || shared.carry(there.0, there.1, false));
        self.carry(back.0, back.1, true);
        forth.join().ok();
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut carried = 0;
        let mut buffer = [0; 16 * 1024];
        loop {
            let faults = self.faults();
            let most = match faults {
                Faults { drip: Some(_), .. } => 1,
                Faults { bandwidth: Some(rate), .. } => (rate / 100).clamp(1, buffer.len()),
                _ => buffer.len(),
            };
            let Ok(count) = from.read(&mut buffer[..most]) else { break };
            let faults = self.faults();
            while self.faults().black_hole && !*self.is_over.lock().unwrap() {
                std::thread::sleep(Duration::from_millis(20));
            }
            if count == 0 {
                break;
            }
            std::thread::sleep(faults.latency + faults.drip.unwrap_or_default());
            if let Some(rate) = faults.bandwidth {
                std::thread::sleep(Duration::from_secs_f64(count as f64 / rate as f64));
            }
            let limit = faults.half_close_after.or(faults.reset_after).filter(|_| is_answer);
            let passed = limit.map_or(count, |limit| count.min(limit - carried.min(limit)));
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            carried += count;
            if limit.is_some_and(|limit| carried >= limit) {
                if faults.reset_after.is_some() {
                    tear(&to);
                    tear(&from);
                }
                break;
            }
        }
        to.shutdown(Shutdown::Write).ok();
        from.shutdown(Shutdown::Read).ok();
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap()
    }
}

/// Ends a connection so that the peer gets a reset, whoever else has a descriptor of it (`man 2 connect`, `AF_UNSPEC`).
fn tear(stream: &TcpStream) {
    rustix::net::connect_unspec(stream).ok();
    stream.shutdown(Shutdown::Both).ok();
}
