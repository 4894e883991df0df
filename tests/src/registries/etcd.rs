//! An etcd of one member.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Ask;
use crate::eventually;
use crate::peers::{Peer, free_port};

/// A running etcd.
pub struct Etcd {
    peer: Peer,
    folder: TempDir,
    port: u16,
    peer_port: u16,
}

/// An etcd without any key.
#[track_caller]
pub fn etcd() -> Etcd {
    let folder = tempfile::tempdir().unwrap();
    let (port, peer_port) = (free_port(), free_port());
    let peer = start(&folder, port, peer_port);
    Etcd { peer, folder, port, peer_port }
}

#[track_caller]
fn start(folder: &TempDir, port: u16, peer_port: u16) -> Peer {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(folder.path()).args(["--logger", "zap", "--log-level", "error"]);
    command.args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)]);
    command.args(["--listen-peer-urls", &url(peer_port), "--initial-advertise-peer-urls", &url(peer_port)]);
    command.args(["--initial-cluster", &format!("default={}", url(peer_port))]);
    // What the disk would take care of is of no interest here.
    command.args(["--unsafe-no-fsync"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let peer = Peer::start(&mut command);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually("etcd listens", || TcpStream::connect(address).is_ok());
    eventually("etcd has a leader", || {
        let asked = Ask::new(address, "GET", "/health").try_send();
        asked.is_ok_and(|answer| answer.status == 200 && answer.text().contains("true"))
    });
    peer
}

impl Etcd {
    /// Writes a key.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        self.ask("/v3/kv/put", &json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) }));
    }

    /// Removes a key.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.ask("/v3/kv/deleterange", &json!({ "key": STANDARD.encode(key) }));
    }

    /// All keys that begin with this, which does not end with the last byte there is, and their values.
    #[track_caller]
    pub fn all(&self, prefix: &str) -> BTreeMap<String, String> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().unwrap() += 1;
        let range = json!({ "key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end) });
        let answer = self.ask("/v3/kv/range", &range);
        let text = |value: &Value| {
            let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let pairs = answer["kvs"].as_array().cloned().unwrap_or_default();
        pairs.iter().map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect()
    }

    /// Forgets all that was before now.
    #[track_caller]
    pub fn compact(&self) {
        let revision =
            self.ask("/v3/kv/range", &json!({ "key": STANDARD.encode("x") }))["header"]["revision"].clone();
        self.ask("/v3/kv/compaction", &json!({ "revision": revision, "physical": true }));
    }

    /// Lets in only a user `root` with this password from now on.
    #[track_caller]
    pub fn demand_password(&self, password: &str) {
        self.ask("/v3/auth/role/add", &json!({ "name": "root" }));
        self.ask("/v3/auth/user/add", &json!({ "name": "root", "password": password }));
        self.ask("/v3/auth/user/grant", &json!({ "user": "root", "role": "root" }));
        self.ask("/v3/auth/enable", &json!({}));
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.peer.kill();
    }

    /// Starts it again where it was, with what it knew.
    #[track_caller]
    pub fn revive(&mut self) {
        self.peer = start(&self.folder, self.port, self.peer_port);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    #[track_caller]
    fn ask(&self, path: &str, body: &Value) -> Value {
        let ask = Ask::new(self.address(), "POST", path).header("Content-Type", "application/json");
        ask.body(body.to_string()).send().expect(200).json()
    }
}

impl fmt::Display for Etcd {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://127.0.0.1:{}", self.port)
    }
}
