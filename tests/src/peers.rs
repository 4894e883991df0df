//! Foreign programs at either end: nginx, Python's http.server and websockets, curl. One that is not installed ends
//! the scene with a word on how to get it; no scene is skipped.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::eventually;

/// A port that nobody listened on a moment ago, for programs that cannot let the kernel choose.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A program that ends with the scene.
pub(crate) struct Peer(Child);

impl Peer {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| missing(&name, &error.to_string()));
        Self(child)
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// What it said on stderr, if it has ended.
    pub(crate) fn last_words(&mut self) -> Option<String> {
        self.0.try_wait().unwrap()?;
        let mut said = String::new();
        self.0.stderr.take()?.read_to_string(&mut said).unwrap();
        Some(said)
    }

    /// Its standard input and output.
    pub(crate) fn pipes(&mut self) -> (ChildStdin, BufReader<ChildStdout>) {
        (self.0.stdin.take().unwrap(), BufReader::new(self.0.stdout.take().unwrap()))
    }

    /// Waits until it has ended by itself; what takes too long is killed with the rest.
    pub(crate) fn finish(&mut self) {
        let deadline = std::time::Instant::now() + crate::PATIENCE;
        while self.0.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The first line of what it prints, and the rest to be read.
    pub(crate) fn first_line(&mut self) -> (String, BufReader<ChildStdout>) {
        let mut output = BufReader::new(self.0.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        (line, output)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[track_caller]
pub(crate) fn missing(name: &str, why: &str) -> ! {
    panic!("{name} does not run ({why}): this scene needs it; tests/install.sh installs it")
}

/// A running nginx of one process.
pub struct Nginx {
    peer: Peer,
    folder: TempDir,
    port: u16,
}

/// An nginx whose one server has these directives. `www` in its folder is its root.
#[track_caller]
pub fn nginx(server: &str) -> Nginx {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("www")).unwrap();
    let port = free_port();
    let here = folder.path().display();
    let config = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;
         events {{ worker_connections 4096; }}
         http {{
           access_log {here}/access.log;
           client_body_temp_path {here}; proxy_temp_path {here}; fastcgi_temp_path {here};
           uwsgi_temp_path {here}; scgi_temp_path {here};
           keepalive_requests 1000000; client_max_body_size 0; default_type text/plain;
           server {{ listen 127.0.0.1:{port}; root {here}/www; {server} }}
         }}"
    );
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let peer = start_nginx(&folder, port);
    Nginx { peer, folder, port }
}

fn start_nginx(folder: &TempDir, port: u16) -> Peer {
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    command.arg("-e").arg(folder.path().join("error.log")).stderr(Stdio::null());
    let mut peer = Peer::start(&mut command);
    eventually("nginx listens", || {
        let ended = peer.0.try_wait().unwrap();
        let log = || fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
        assert!(ended.is_none(), "nginx ended: {}", log());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    peer
}

impl fmt::Display for Nginx {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://127.0.0.1:{}", self.port)
    }
}

impl Nginx {
    /// Puts a file into its root.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join("www").join(name), content).unwrap();
    }

    /// Its access log so far.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.peer.kill();
    }

    /// Starts it again where it was.
    pub fn revive(&mut self) {
        self.peer = start_nginx(&self.folder, self.port);
    }
}

/// A running `python3 -m http.server`.
pub struct FileServer {
    _peer: Peer,
    folder: TempDir,
    port: u16,
}

/// Python's own HTTP server on an empty folder: HTTP/1.0, one thread for each connection.
#[track_caller]
pub fn file_server() -> FileServer {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python());
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]);
    command.arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer::start(&mut command);
    // Serving HTTP on 127.0.0.1 port 40321 (http://127.0.0.1:40321/) ...
    let (line, _) = peer.first_line();
    let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    let port = port.unwrap_or_else(|| missing("python3 -m http.server", &line));
    FileServer { _peer: peer, folder, port }
}

impl fmt::Display for FileServer {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://127.0.0.1:{}", self.port)
    }
}

impl FileServer {
    /// Puts a file into its folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }
}

/// A running WebSocket server that sends every message back.
pub struct WebSocketServer {
    _peer: Peer,
    port: u16,
}

/// A WebSocket server (Python's websockets) that sends every message back.
#[track_caller]
pub fn web_socket_server() -> WebSocketServer {
    let mut peer = Peer::start(script("echo_server.py").stdout(Stdio::piped()));
    let (line, _) = peer.first_line();
    let port = line.trim().parse().unwrap_or_else(|_| missing("python3-websockets", &line));
    WebSocketServer { _peer: peer, port }
}

impl fmt::Display for WebSocketServer {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://127.0.0.1:{}", self.port)
    }
}

/// An open WebSocket of a foreign client.
pub struct WebSocket {
    _peer: Peer,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Opens a WebSocket with Python's websockets.
#[track_caller]
pub fn web_socket(address: SocketAddr, path: &str) -> WebSocket {
    let mut command = script("web_socket_client.py");
    command.arg(format!("ws://{address}{path}")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut peer = Peer::start(&mut command);
    let (line, output) = peer.first_line();
    assert_eq!(line.trim(), "open", "the WebSocket did not open");
    let input = peer.0.stdin.take().unwrap();
    WebSocket { _peer: peer, input, output }
}

impl WebSocket {
    /// Sends a message and waits for the one that comes back.
    #[track_caller]
    pub fn echo(&mut self, message: &str) -> String {
        writeln!(self.input, "{message}").expect("the WebSocket client ended");
        self.line()
    }

    /// Closes it by a closing handshake; the code that came back.
    #[track_caller]
    pub fn close(mut self) -> String {
        drop(self.input);
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the WebSocket client ended");
        line.trim_end_matches('\n').to_owned()
    }
}

/// An open WebSocket of a foreign client that waits for its end.
pub struct WebSocketListener {
    _peer: Peer,
    output: BufReader<ChildStdout>,
}

/// Opens a WebSocket with Python's websockets and leaves it to the other side.
#[track_caller]
pub fn web_socket_listener(address: SocketAddr, path: &str) -> WebSocketListener {
    let mut command = script("web_socket_listener.py");
    command.arg(format!("ws://{address}{path}")).stdout(Stdio::piped());
    let mut peer = Peer::start(&mut command);
    let (line, output) = peer.first_line();
    assert_eq!(line.trim(), "open", "the WebSocket did not open");
    WebSocketListener { _peer: peer, output }
}

impl WebSocketListener {
    /// Waits until it is closed; the code and the reason that it was given.
    pub fn closing(mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-u").arg(script_path(name));
    command
}

/// A script of `tests/peers/`.
pub fn script_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// Debian's own Python, which has Debian's packages; another may stand earlier on the path.
pub fn python() -> PathBuf {
    let debian = PathBuf::from("/usr/bin/python3");
    if debian.exists() { debian } else { PathBuf::from("python3") }
}

/// What a curl said.
#[derive(Debug)]
pub struct Curl {
    /// Its exit code; 0 is success.
    pub code: i32,
    /// What came on stdout.
    pub out: Vec<u8>,
    /// What came on stderr.
    pub err: String,
}

/// Runs curl, silent but for errors, for at most 20 seconds.
#[track_caller]
pub fn curl(arguments: &[&str]) -> Curl {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--noproxy", "*"]).args(arguments);
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| missing("curl", &error.to_string()));
    Curl {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Curl {
    /// It must have gone well; what it printed.
    #[track_caller]
    pub fn text(&self) -> String {
        assert_eq!(self.code, 0, "curl failed: {self:?}");
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A browser (Debian's Chromium) that opens a page and stays until it is dropped. It believes every certificate.
pub struct Browser {
    _peer: Peer,
    _profile: TempDir,
}

/// Opens a page in a browser of its own.
#[track_caller]
pub fn browser(url: &str) -> Browser {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
    ]);
    // It has nobody to talk to but the gateway.
    command.args([
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]);
    command.args(["--ignore-certificate-errors", "--no-proxy-server"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let peer = Peer::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    Browser { _peer: peer, _profile: profile }
}
