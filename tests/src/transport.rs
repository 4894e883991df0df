//! Foreign programs below HTTP: Redis, and OpenSSL at both ends. Each ends with the scene.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::peers::{Peer, missing};
use crate::{eventually, free_port};

/// A running Redis that keeps nothing.
pub struct Redis {
    peer: Peer,
    folder: TempDir,
    arguments: Vec<String>,
    /// Its port.
    pub port: u16,
    /// The port at which it speaks TLS, if it does.
    pub tls_port: Option<u16>,
}

/// A Redis.
#[track_caller]
pub fn redis() -> Redis {
    redis_with(&[])
}

/// A Redis with these options: `--name value …`.
#[track_caller]
pub fn redis_with(options: &[&str]) -> Redis {
    redis_at(|| {
        let port = ["--port".to_owned(), free_port().to_string()];
        port.into_iter().chain(options.iter().map(ToString::to_string)).collect()
    })
}

/// A Redis that speaks nothing but TLS, as 127.0.0.1 and as `redis.internal`, by the word of this authority. It believes callers whom the same
/// authority knows, and no others where it is to be `strict`.
#[track_caller]
pub fn redis_by_tls(authority: &Authority, is_strict: bool) -> Redis {
    let pair = authority.sign(&["redis.internal", "127.0.0.1"]);
    let [cert, key, ca] =
        [pair.certificate, pair.key, authority.certificate()].map(|path| path.display().to_string());
    let callers = if is_strict { "yes" } else { "no" };
    redis_at(|| {
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let port = free_port().to_string();
        let rest = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", callers];
        rest.iter().chain(&files).map(ToString::to_string).collect()
    })
}

/// A Redis with options that are drawn again where somebody else has taken one of its ports meanwhile.
#[track_caller]
pub(crate) fn redis_at(draw: impl Fn() -> Vec<String>) -> Redis {
    for _ in 0..5 {
        let (folder, arguments) = (tempfile::tempdir().unwrap(), draw());
        let port_of = |name| {
            let at = arguments.iter().position(|argument| argument == name)?;
            Some(arguments[at + 1].parse().unwrap()).filter(|port| *port != 0)
        };
        let tls_port = port_of("--tls-port");
        let port = port_of("--port").or(tls_port).unwrap();
        if let Some(peer) = start_redis(&folder, &arguments, port) {
            return Redis { peer, folder, arguments, port, tls_port };
        }
    }
    panic!("redis-server found no port that stayed free");
}

/// Nothing where it has ended, as one that finds no port does.
fn start_redis(folder: &TempDir, arguments: &[String], port: u16) -> Option<Peer> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let mut peer = Peer::start(&mut command);
    // Another that has the port says another number; one that wants a password or TLS first says none.
    let told = || redis_cli((Ipv4Addr::LOCALHOST, port).into(), &["INFO", "server"]);
    let is_itself = |told: &str, id: u32| {
        told.lines()
            .find_map(|line| line.strip_prefix("process_id:"))
            .is_none_or(|told| told == id.to_string())
    };
    eventually("redis-server listens", || {
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        peer.has_ended() || listens() && is_itself(&told(), peer.id())
    });
    (!peer.has_ended()).then_some(peer)
}

impl Redis {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port at which gateways and its own fleet speak with it.
    pub(crate) fn fleet_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.peer.kill();
    }

    /// Starts it again where it was, empty.
    pub fn revive(&mut self) {
        self.peer = start_redis(&self.folder, &self.arguments, self.port).expect("its port is taken");
    }

    /// Stops it, so that it takes what is sent and answers nothing.
    pub fn pause(&self) {
        self.peer.signal(Signal::STOP);
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.peer.signal(Signal::CONT);
    }
}

/// What `redis-cli` prints when it sends this command there.
#[track_caller]
pub fn redis_cli(address: SocketAddr, command: &[&str]) -> String {
    let mut client = Command::new("redis-cli");
    client.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]).args(command);
    let output = client.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| missing("redis-cli", &error.to_string()));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A running `openssl s_server`, which tells whoever asks by HTTP about the session.
pub struct TlsServer {
    _peer: Peer,
    authority: Authority,
    /// Its port.
    pub port: u16,
}

/// A TLS server with a certificate for this name.
#[track_caller]
pub fn tls_server(name: &str) -> TlsServer {
    let authority = Authority::new();
    let pair = authority.sign(&[name]);
    let port = free_port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")]);
    command.arg("-cert").arg(&pair.certificate).arg("-key").arg(&pair.key);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let peer = Peer::start(&mut command);
    await_port("openssl s_server", port);
    TlsServer { _peer: peer, authority, port }
}

impl TlsServer {
    /// The certificate of the authority that signed its own.
    pub fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }
}

/// What `openssl s_client` says of a handshake with that address, asking for a name or for none.
#[track_caller]
pub fn tls_handshake(address: SocketAddr, name: Option<&str>) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    // At the end of its input it ends the connection.
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| missing("openssl", &error.to_string()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[track_caller]
pub(crate) fn await_port(name: &str, port: u16) {
    eventually(&format!("{name} listens"), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
}
