//! What systemd passes to the gateway, and what it is told: sockets (`sd_listen_fds(3)`) and states (`sd_notify(3)`). All of
//! it does nothing when the gateway was started otherwise.

use std::env;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};
use rustix::time::{ClockId, clock_gettime};

/// Sockets taken at most.
const SOCKETS: usize = 1024;
/// How long it is waited until systemd has heard the last word, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// A socket that systemd has opened.
#[derive(Debug)]
pub struct PassedSocket {
    /// `FileDescriptorName=` of the unit, or the unit's own name.
    pub name: String,
    /// The socket, or why it is none that can be listened on.
    pub socket: io::Result<OwnedFd>,
}

/// The sockets that systemd passes. To be asked once, before there are other threads: it removes the variables that say
/// so, and they are for no other process.
pub fn passed_sockets() -> Vec<PassedSocket> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let is_bounded =
        env::var("LISTEN_FDS").is_ok_and(|count| count.parse().is_ok_and(|count: usize| count <= SOCKETS));
    if !is_bounded {
        return Vec::new();
    }
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .map(|index| {
            let name = names.next().unwrap_or_default();
            let socket = match passed.take_tcp_listener(index) {
                Ok(listener) => Ok(listener.map(OwnedFd::from)),
                Err(_) => passed.take_unix_listener(index).map(|listener| listener.map(OwnedFd::from)),
            };
            let socket = socket.and_then(|socket| socket.ok_or_else(|| io::ErrorKind::NotFound.into()));
            PassedSocket { name, socket }
        })
        .collect()
}

/// Tells systemd how the gateway is. Nobody listens on most machines; then nothing is said.
#[derive(Debug, Default)]
pub struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// To whom `NOTIFY_SOCKET` leads: a path, or an abstract name after `@`.
    pub fn of_process() -> Self {
        Self(env::var_os("NOTIFY_SOCKET").and_then(|name| Self::to(name.as_bytes())))
    }

    fn to(name: &[u8]) -> Option<(UnixDatagram, SocketAddr)> {
        let address = match name.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
        };
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some((socket, address.ok()?))
    }

    /// It serves.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=serving");
    }

    /// It reads its configuration again; `ready` follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reloading"));
    }

    /// It drains and ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=draining");
    }

    /// Another process has taken over. This is the last word of this one: from here on systemd hears the other. Waits
    /// until it has been heard: who speaks and is gone is nobody to systemd, which would then end the unit with us.
    pub fn handed_over(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}\nREADY=1\nSTATUS=serving"));
        if let Some((socket, address)) = &self.0 {
            // What fails here fails where nobody listens.
            let _ = wait_until_heard(socket, address);
        }
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.0 {
            // Whoever does not listen does not hear.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// Sends one end of a pipe and waits until the other side has closed it, as `sd_notify_barrier(3)` does.
fn wait_until_heard(socket: &UnixDatagram, address: &SocketAddr) -> io::Result<()> {
    let (mut heard, token) = io::pipe()?;
    rustix::io::ioctl_fionbio(&heard, true)?;
    let address = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SocketAddrUnix::new(path)?,
        (None, Some(name)) => SocketAddrUnix::new_abstract_name(name)?,
        (None, None) => return Ok(()),
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let tokens = [token.as_fd()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&tokens));
    sendmsg_addr(socket, &address, &[IoSlice::new(b"BARRIER=1")], &mut control, SendFlags::NOSIGNAL)?;
    drop(token);
    let due = Instant::now() + PATIENCE;
    while Instant::now() < due {
        match heard.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::park_timeout(LOOK),
            _ => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn states_arrive_on_a_path_and_on_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("tollgate-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (socket, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{abstract_name}")),
        ] {
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let notifier = Notifier(Notifier::to(name.as_bytes()));
            let heard = || {
                let mut text = [0; 200];
                let count = socket.recv(&mut text).unwrap();
                String::from_utf8_lossy(&text[..count]).into_owned()
            };
            notifier.ready();
            assert!(heard().starts_with("READY=1\n"));
            notifier.reloading();
            let reloading = heard();
            let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(since.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
            let last = std::thread::spawn(move || notifier.handed_over(42));
            assert!(heard().starts_with("MAINPID=42\nREADY=1\n"));
            assert!(!last.is_finished(), "it leaves before it is heard");
            assert_eq!(heard(), "BARRIER=1");
            last.join().unwrap();
        }
    }
}
