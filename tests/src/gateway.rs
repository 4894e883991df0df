//! The real binary, started for one scene and ended with it.

use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal as Sent, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Ask, Wire};
use crate::{Metrics, PATIENCE, eventually};

/// A gateway with this configuration. What the scene leaves out is added: one listener and the admin listener on
/// ports of the kernel's choice, and an access log in the scene's folder.
#[track_caller]
pub fn gateway(config: impl AsRef<str>) -> Gateway {
    Gateway::start(config.as_ref(), &["--workers", "1"])
}

/// The same, where `<name>` in the configuration stands for a value of the scene, such as a backend's URL.
#[track_caller]
pub fn gateway_with(config: &str, values: &[(&str, &dyn Display)]) -> Gateway {
    gateway(fill(config, values))
}

/// A gateway whose every request goes to that backend.
#[track_caller]
pub fn front(backend: &dyn Display) -> Gateway {
    front_with(backend, "")
}

/// The same, with more lines of configuration.
#[track_caller]
pub fn front_with(backend: &dyn Display, lines: &str) -> Gateway {
    let routes = "
        services: { backend: <backend> }
        routes:
          - { match: '/{rest...}', to: backend, access: public }
        ";
    gateway(format!("{}{}", dedent(&fill(routes, &[("backend", backend)])), dedent(lines)))
}

/// Puts the scene's values in the place of `<name>`.
pub fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    values
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), &value.to_string()))
}

/// Runs the command line to its end.
pub fn tollgate<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A running gateway. When the scene fails, what it said and logged is shown.
pub struct Gateway {
    process: Child,
    folder: TempDir,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Gateway {
    /// Starts it on a configuration in a folder of its own and waits until it is ready.
    #[track_caller]
    pub fn start(config: &str, arguments: &[&str]) -> Self {
        Self::start_by(binary(), config, arguments)
    }

    /// The same, by another path of the binary, or by a program that ends up as it.
    #[track_caller]
    pub fn start_by(program: impl AsRef<std::ffi::OsStr>, config: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Command::new(program), config, arguments)
    }

    /// The same, as a command that lacks nothing but the arguments of the binary, in that folder.
    #[track_caller]
    pub fn start_in(folder: TempDir, mut command: Command, config: &str, arguments: &[&str]) -> Self {
        let file = folder.path().join("tollgate.yaml");
        fs::write(&file, complete(config, folder.path())).unwrap();
        command.arg("run").arg("-c").arg(&file).args(arguments);
        Self::launch(command, folder)
    }

    /// Starts the binary with these arguments in that folder and waits until it is ready.
    #[track_caller]
    pub fn run(arguments: &[&str], folder: TempDir) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments);
        Self::launch(command, folder)
    }

    #[track_caller]
    fn launch(mut command: Command, folder: TempDir) -> Self {
        command.current_dir(folder.path()).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Said::default());
        let (stdout, stderr) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let hearing = Arc::clone(&said);
        std::thread::spawn(move || hearing.hear(BufReader::new(stderr)));
        let out = folder.path().join("stdout");
        std::thread::spawn(move || {
            let mut file = fs::File::create(out)?;
            std::io::copy(&mut BufReader::new(stdout), &mut file)
        });
        let gate = Self { process, folder, said };
        gate.expect_line("tollgate: ready");
        gate
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.listener(0)
    }

    /// The address of the listener that spoke up in that place (the first is 0), waiting for one added live.
    #[track_caller]
    pub fn listener(&self, number: usize) -> SocketAddr {
        self.announced("tollgate: listening on ", number)
    }

    /// The address of the admin listener.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.announced("tollgate: admin on ", 0)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A GET, sent and answered.
    #[track_caller]
    pub fn get(&self, target: &str) -> crate::Answer {
        self.ask("GET", target).send()
    }

    /// A POST, sent and answered.
    #[track_caller]
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> crate::Answer {
        self.ask("POST", target).body(body).send()
    }

    /// A request to be said.
    pub fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address(), method, target)
    }

    /// A connection of which the scene writes every byte.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    /// Sends these bytes on a new connection.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Wire {
        let mut wire = self.connect();
        wire.send(bytes);
        wire
    }

    /// A GET to the admin listener.
    #[track_caller]
    pub fn admin_get(&self, target: &str) -> crate::Answer {
        Ask::new(self.admin(), "GET", target).host(&self.admin().to_string()).send()
    }

    /// What `/metrics` says now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin_get("/metrics").expect(200).text())
    }

    /// The scene's folder, which is also where the gateway runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join("tollgate.yaml")
    }

    /// The whole text of a configuration, as [`gateway`] completes it.
    pub fn complete(&self, config: &str) -> String {
        complete(config, self.folder())
    }

    /// Puts a new configuration in place of the old one as editors do: written beside it and renamed over it.
    pub fn replace_config(&self, config: &str) {
        let beside = self.folder().join("tollgate.yaml.new");
        fs::write(&beside, self.complete(config)).unwrap();
        fs::rename(beside, self.config_file()).unwrap();
    }

    /// What `/readyz` says, whatever its status.
    #[track_caller]
    pub fn readiness(&self) -> Value {
        self.admin_get("/readyz").json()
    }

    /// How many configurations have been put in force.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.readiness()["config"]["generation"].as_u64().unwrap()
    }

    /// Does something that changes the configuration, and waits until one is put in force.
    #[track_caller]
    pub fn expect_reload(&self, change: impl FnOnce()) {
        let before = self.generation();
        change();
        eventually("a new configuration is in force", || self.generation() > before);
    }

    /// The access log.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("access.log")
    }

    /// The first `count` lines of the access log, as soon as they are written.
    #[track_caller]
    pub fn log_lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        eventually(&format!("{count} lines in the access log"), || {
            let text = fs::read_to_string(self.log_file()).unwrap_or_default();
            // The last line may be half written.
            lines = text
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .map(str::to_owned)
                .collect();
            lines.len() >= count
        });
        lines.truncate(count);
        lines
    }

    /// The same, each line read as JSON.
    #[track_caller]
    pub fn log(&self, count: usize) -> Vec<Value> {
        let read = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
        };
        self.log_lines(count).iter().map(read).collect()
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lines.lock().unwrap().lines.join("\n")
    }

    /// Waits until it says a line that holds these words.
    #[track_caller]
    pub fn expect_line(&self, words: &str) -> String {
        let found = self.said.wait(|lines| lines.iter().find(|line| line.contains(words)).cloned());
        found.unwrap_or_else(|| panic!("it never said {words:?}"))
    }

    /// Sends it SIGHUP: read the configuration again, open the log again.
    pub fn hang_up(&self) {
        self.signal(Sent::HUP);
    }

    /// Sends it SIGTERM: finish what is open and end.
    pub fn terminate(&self) {
        self.signal(Sent::TERM);
    }

    /// Sends it SIGUSR2: start the binary anew and hand over to it.
    pub fn upgrade(&self) {
        self.signal(Sent::USR2);
    }

    /// Waits until that many processes have taken over, one after the other; the last one's id.
    #[track_caller]
    pub fn expect_successor(&self, upgrades: usize) -> u32 {
        let prefix = "tollgate: took over, as process ";
        let found = self.said.wait(|lines| {
            let mut successors = lines.iter().filter_map(|line| line.strip_prefix(prefix));
            successors.nth(upgrades - 1)?.parse().ok()
        });
        found.unwrap_or_else(|| panic!("nobody took over"))
    }

    /// Sends a signal to a process that took over.
    pub fn signal_successor(&self, pid: u32, signal: Sent) {
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Stops it in the middle of whatever it does, as a busy machine might.
    pub fn pause(&self) {
        self.signal(Sent::STOP);
        let status = format!("/proc/{}/status", self.pid());
        eventually("the gateway stands still", || fs::read_to_string(&status).unwrap().contains("State:\tT"));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Sent::CONT);
    }

    /// Waits until the process ends.
    #[track_caller]
    pub fn expect_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the gateway ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The most memory it ever held, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: Sent) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends every process that was started to take over, whether it did or not.
    fn end_successors(&self) {
        let said = self.said();
        let started = said.lines().filter(|line| line.starts_with("tollgate: upgrading: started "));
        for pid in started.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).filter_map(Pid::from_raw)
        {
            // Most have ended by themselves. The binary is looked at, as the number may be another's by now.
            let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
            if name.starts_with("tollgate") {
                kill_process(pid, Sent::KILL).ok();
            }
        }
    }

    #[track_caller]
    fn announced(&self, prefix: &str, number: usize) -> SocketAddr {
        let found = self.said.wait(|lines| {
            let mut addresses = lines.iter().filter_map(|line| line.strip_prefix(prefix));
            let mut addresses = addresses.by_ref().filter(|address| !address.starts_with("unix:"));
            let address = addresses.nth(number)?.split(' ').next()?;
            Some(address.parse().unwrap_or_else(|_| panic!("not an address: {address:?}")))
        });
        found.unwrap_or_else(|| panic!("no line {number} with {prefix:?}"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        self.end_successors();
        if std::thread::panicking() {
            eprintln!("--- the gateway said\n{}", self.said());
            let log = fs::read_to_string(self.log_file()).unwrap_or_default();
            let start = log.len().saturating_sub(4000);
            eprintln!("--- its access log (the end)\n{}", log.get(start..).unwrap_or_default());
            let config = fs::read_to_string(self.config_file()).unwrap_or_default();
            eprintln!("--- its configuration\n{config}---");
        }
    }
}

impl Said {
    fn hear(&self, stderr: impl BufRead) {
        for line in stderr.lines().map_while(Result::ok) {
            self.lines.lock().unwrap().lines.push(line);
            self.changed.notify_all();
        }
        self.lines.lock().unwrap().ended = true;
        self.changed.notify_all();
    }

    /// Waits until the lines hold what is looked for; nothing when they end or patience does.
    fn wait<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.lines.lock().unwrap();
        loop {
            if let Some(found) = find(&said.lines) {
                return Some(found);
            }
            if said.ended {
                return None;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            said = self.changed.wait_timeout(said, left).unwrap().0;
        }
    }
}

/// The binary under test: `TOLLGATE_BIN`, or the one that stands beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TOLLGATE_BIN") {
        return PathBuf::from(path);
    }
    // target/debug/deps/scene-0123 -> target/debug/tollgate
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join("tollgate");
    assert!(path.exists(), "{} is not built: run `cargo build -p tollgate`", path.display());
    path
}

/// Adds the parts that a scene does not care about.
fn complete(config: &str, folder: &Path) -> String {
    let mut text = dedent(config);
    for (key, part) in [
        ("listeners", "listeners: [{ address: '127.0.0.1:0' }]".to_owned()),
        ("admin", "admin: { address: '127.0.0.1:0' }".to_owned()),
        ("logs", format!("logs: {{ access: {}/access.log, format: json }}", folder.display())),
    ] {
        if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            writeln!(text, "{part}").unwrap();
        }
    }
    text
}

/// Takes away the indentation that a scene's own code has.
fn dedent(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let margin = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    lines().fold(String::new(), |text, line| text + &line[margin..] + "\n")
}
