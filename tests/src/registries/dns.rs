//! A dnsmasq.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::eventually;
use crate::peers::{Peer, free_port};

/// A running DNS server that knows no others.
pub struct DnsServer {
    peer: Peer,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
}

/// A DNS server whose answers are good for this many seconds, with further options of dnsmasq.
#[track_caller]
pub fn dns_server(ttl: u32, options: &[&str]) -> DnsServer {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), "").unwrap();
    let mut all = vec![format!("--local-ttl={ttl}"), format!("--neg-ttl={ttl}")];
    all.extend(options.iter().map(ToString::to_string));
    let port = free_port();
    let peer = start(&folder, port, &all);
    DnsServer { peer, folder, port, options: all }
}

#[track_caller]
fn start(folder: &TempDir, port: u16, options: &[String]) -> Peer {
    let program = if Path::new("/usr/sbin/dnsmasq").exists() { "/usr/sbin/dnsmasq" } else { "dnsmasq" };
    let mut command = Command::new(program);
    command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
    // It would give up its user for one that cannot read the scene's folder.
    command.args(["--user=", "--listen-address=127.0.0.1", &format!("--port={port}")]);
    command.arg(format!("--addn-hosts={}", folder.path().join("hosts").display()));
    command.arg(format!("--pid-file={}", folder.path().join("pid").display()));
    command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let peer = Peer::start(&mut command);
    eventually("dnsmasq listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    peer
}

impl DnsServer {
    /// The names that it knows from now on, as in a hosts file.
    pub fn set(&self, hosts: &str) {
        fs::write(self.folder.path().join("hosts"), hosts).unwrap();
        self.peer.signal(Signal::HUP);
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.peer.kill();
    }

    /// Starts it again where it was, with other options.
    #[track_caller]
    pub fn revive(&mut self, options: &[&str]) {
        self.peer.kill();
        let mut all = self.options[..2].to_vec();
        all.extend(options.iter().map(ToString::to_string));
        self.peer = start(&self.folder, self.port, &all);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl fmt::Display for DnsServer {
    /// Address and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.0.0.1:{}", self.port)
    }
}
