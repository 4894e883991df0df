//! HAProxy as a peer: it speaks for programs what they do not speak themselves, such as TLS or WebSocket over HTTP/2.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::peers::{Peer, free_port};

/// A running HAProxy of one listener.
pub struct Haproxy {
    _peer: Peer,
    _folder: TempDir,
    address: SocketAddr,
}

/// A HAProxy with these directives in its one `listen` section, after the line that binds.
#[track_caller]
pub fn haproxy(bind: &str, directives: &str) -> Haproxy {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        "defaults\n mode http\n timeout connect 20s\n timeout client 60s\n timeout server 60s\n timeout tunnel 60s\n\
         listen scene\n bind 127.0.0.1:{port} {bind}\n{directives}\n"
    );
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let program = if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" };
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut peer = Peer::start(&mut command);
    eventually("haproxy listens", || {
        if let Some(said) = peer.last_words() {
            panic!("haproxy ended: {said}");
        }
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    Haproxy { _peer: peer, _folder: folder, address: (Ipv4Addr::LOCALHOST, port).into() }
}

impl Haproxy {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Passes the bytes of connections in clear on to that address in TLS, where `protocol` is agreed on (ALPN).
#[track_caller]
pub fn tls_relay(to: SocketAddr, protocol: &str) -> Haproxy {
    haproxy("", &format!(" mode tcp\n server one {to} ssl verify none alpn {protocol} sni str(gate.test)"))
}

/// Passes the bytes of connections on to that address and says first whose they are; `options` say how: `send-proxy`.
#[track_caller]
pub fn proxy_relay(to: SocketAddr, options: &str) -> Haproxy {
    haproxy("", &format!(" mode tcp\n server one {to} {options}"))
}

/// Speaks HTTP/1.1 with clients and HTTP/2 in clear with that address; a WebSocket goes there by extended CONNECT.
#[track_caller]
pub fn http2_relay(to: SocketAddr) -> Haproxy {
    haproxy("", &format!(" server one {to} proto h2 ws h2"))
}
