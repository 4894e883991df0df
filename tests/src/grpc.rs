//! gRPC by Python's grpcio, at either end.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::certificates::Pair;
use crate::peers::{Peer, missing};
use crate::suites::installed;

/// A running gRPC server; see `peers/grpc_server.py` for its methods.
pub struct GrpcServer {
    _peer: Peer,
    url: String,
    said: Mutex<BufReader<ChildStdout>>,
}

/// A gRPC server in clear.
#[track_caller]
pub fn grpc_server() -> GrpcServer {
    start(script("grpc_server.py"), "http")
}

/// A gRPC server with this certificate.
#[track_caller]
pub fn grpc_server_with(pair: &Pair) -> GrpcServer {
    let mut command = script("grpc_server.py");
    command.arg(&pair.certificate).arg(&pair.key);
    start(command, "https")
}

#[track_caller]
fn start(mut command: Command, scheme: &str) -> GrpcServer {
    let mut peer = Peer::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let (line, said) = peer.first_line();
    let port: u16 = line.trim().parse().unwrap_or_else(|_| missing("grpcio", &line));
    GrpcServer { _peer: peer, url: format!("{scheme}://127.0.0.1:{port}"), said: Mutex::new(said) }
}

impl fmt::Display for GrpcServer {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl GrpcServer {
    /// Waits until it says this: `waiting` when a call that waits has begun, `over` when it has ended.
    #[track_caller]
    pub fn expect_word(&self, word: &str) {
        let mut line = String::new();
        self.said.lock().unwrap().read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }
}

/// A call to be made; see `peers/grpc_client.py`.
pub struct GrpcCall(Command);

/// A call of a method of `scenes.Echo`: `unary`, `client`, `server` or `bidirectional`.
pub fn grpc_call(address: SocketAddr, kind: &str, method: &str) -> GrpcCall {
    let mut command = script("grpc_client.py");
    command.args([&address.to_string(), kind, method]);
    GrpcCall(command)
}

impl GrpcCall {
    /// Over TLS, where this authority is believed.
    pub fn tls(mut self, authority: &Path) -> Self {
        self.0.arg("--ca").arg(authority);
        self
    }

    /// With an option of the script.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.0.args([name, value]);
        self
    }

    /// Leaves after the first message.
    pub fn cancelled(mut self) -> Self {
        self.0.arg("--cancel");
        self
    }

    /// Sends these messages; what came of it.
    #[track_caller]
    pub fn send(mut self, messages: &[&str]) -> GrpcOutcome {
        let output = self.0.args(messages).stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let read = || serde_json::from_str(&said).ok();
        let complaint = String::from_utf8_lossy(&output.stderr);
        GrpcOutcome(read().unwrap_or_else(|| missing("grpcio", &format!("{said}{complaint}"))))
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct GrpcOutcome(Value);

impl GrpcOutcome {
    /// It must have ended with this status, by name.
    #[track_caller]
    pub fn expect(self, code: &str) -> Self {
        assert_eq!(self.0["code"], code, "{:#}", self.0);
        self
    }

    /// These messages must have come.
    #[track_caller]
    pub fn expect_messages(self, messages: &[&str]) -> Self {
        assert_eq!(self.messages(), messages, "{:#}", self.0);
        self
    }

    /// The messages that came.
    pub fn messages(&self) -> Vec<&str> {
        self.0["messages"].as_array().unwrap().iter().map(|message| message.as_str().unwrap()).collect()
    }

    /// The status in words.
    pub fn details(&self) -> &str {
        self.0["details"].as_str().unwrap_or_default()
    }

    /// A value of the metadata before the answer; bytes as `bin:` and hexadecimal digits.
    pub fn initial(&self, name: &str) -> Option<&str> {
        self.0["initial"][name].as_str()
    }

    /// A value of the metadata behind it.
    pub fn trailing(&self, name: &str) -> Option<&str> {
        self.0["trailing"][name].as_str()
    }

    /// The error details, as they are printed.
    pub fn error_details(&self) -> String {
        self.0["status"].to_string()
    }

    /// How long it took.
    pub fn seconds(&self) -> f64 {
        self.0["seconds"].as_f64().unwrap()
    }
}

/// Calls a method of `scenes.Echo` with `buf curl`, by `grpc` or `grpcweb`, with this JSON; what it prints, and what it complains of.
#[track_caller]
pub fn buf_curl(address: SocketAddr, protocol: &str, method: &str, message: &str) -> (String, String) {
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(installed("venv/bin/buf"));
    command.args(["curl", "--protocol", protocol, "--data", message, "--schema"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/echo.proto"));
    if protocol == "grpc" {
        command.arg("--http2-prior-knowledge");
    }
    command.arg(format!("http://{address}/scenes.Echo/{method}")).env("BUF_CACHE_DIR", cache.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn script(name: &str) -> Command {
    let mut command = Command::new(installed("venv/bin/python"));
    command.arg("-u").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name));
    // Its own words go to standard error; a proxy of the environment is none of the scene's.
    command.env("GRPC_VERBOSITY", "NONE").env_remove("http_proxy").env_remove("https_proxy");
    command
}
