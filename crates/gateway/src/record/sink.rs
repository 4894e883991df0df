//! Where access log lines go: per-worker buffers on one side, one thread that writes on the other.
//!
//! The request path never blocks: when the writer cannot keep up, lines are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::line::{Format, Formatter, Line};

/// A buffer of this size is handed over.
const HAND_OVER: usize = 32 * 1024;
/// Buffers that may wait for the writer.
const WAITING: usize = 64;
/// After a failed write nothing is tried for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures are told on standard error this often.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);
/// How often the writer looks for a wish to reopen while no lines come.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How long an end waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// The end of a file.
    File(PathBuf),
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// Where to.
    pub target: LogTarget,
    /// How a line looks.
    pub format: Format,
    /// Lowest and highest status, and the share of such answers that is logged. All others are.
    pub sample: Vec<(u16, u16, f64)>,
}

/// The process's access log.
#[derive(Debug, Clone)]
pub struct LogSink {
    shared: Option<Arc<Shared>>,
    config: LogConfig,
}

#[derive(Debug)]
struct Shared {
    full: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// One worker's end of the log.
#[derive(Debug)]
pub struct LogWriter {
    formatter: Formatter,
    buffer: Vec<u8>,
    lines: u64,
    rules: Vec<Rule>,
    pipe: Option<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    full: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

/// A share of some statuses, taken evenly.
#[derive(Debug)]
struct Rule {
    first: u16,
    last: u16,
    share: f64,
    due: f64,
}

impl LogSink {
    /// Opens the log and starts its thread; nothing of either when it is off.
    pub fn open(config: &LogConfig) -> io::Result<Self> {
        let output = match &config.target {
            LogTarget::Off => return Ok(Self { shared: None, config: config.clone() }),
            LogTarget::Stdout => Output::Stdout,
            LogTarget::File(path) => Output::File(open(path)?, path.clone()),
        };
        let counts = Arc::new(Counts::default());
        let (full, inbox) = sync_channel(WAITING);
        let thread = Thread {
            inbox,
            counts: Arc::clone(&counts),
            output,
            failed_at: None,
            is_torn: false,
            complained_at: None,
        };
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(|| thread.run())?;
        let shared = Shared { full, counts, thread: Mutex::new(Some(thread)) };
        Ok(Self { shared: Some(Arc::new(shared)), config: config.clone() })
    }

    /// A worker's end of it.
    pub fn writer(&self) -> LogWriter {
        LogWriter {
            formatter: Formatter::new(self.config.format),
            buffer: Vec::new(),
            lines: 0,
            rules: self.config.sample.iter().map(|rule| Rule::new(*rule)).collect(),
            pipe: self
                .shared
                .as_ref()
                .map(|shared| Pipe { full: shared.full.clone(), counts: Arc::clone(&shared.counts) }),
        }
    }

    /// Opens the file anew before the next line, as a rotation wants it.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.counts.reopen.store(true, Ordering::Release);
        }
    }

    /// Lines that were lost because the writer could not keep up or could not write.
    pub fn dropped(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.counts.dropped.load(Ordering::Relaxed))
    }

    /// Writes what the workers have handed over and ends the thread, within a bound.
    pub fn shutdown(&self) {
        let Some(shared) = &self.shared else { return };
        shared.counts.stop.store(true, Ordering::Release);
        let thread = shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let (done, is_done): (Sender<()>, Receiver<()>) = channel();
        let waiter = std::thread::Builder::new().spawn(move || {
            let _ = thread.join();
            let _ = done.send(());
        });
        if waiter.is_ok() {
            // A pipe that nobody reads may hold the thread for ever; the process must still end.
            let _ = is_done.recv_timeout(LAST_LINES);
        }
    }
}

impl LogWriter {
    /// Writes a line into the buffer, and hands the buffer over when it is full.
    pub fn write(&mut self, line: &Line<'_>) {
        if self.pipe.is_none() || !self.is_sampled(line.status) {
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(HAND_OVER + 4096);
        }
        self.formatter.write(line, &mut self.buffer);
        self.lines += 1;
        if self.buffer.len() >= HAND_OVER {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub fn flush(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        if self.buffer.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        match pipe.full.try_send(std::mem::take(&mut self.buffer)) {
            Ok(()) => {}
            Err(TrySendError::Full(mut buffer) | TrySendError::Disconnected(mut buffer)) => {
                pipe.counts.dropped.fetch_add(lines, Ordering::Relaxed);
                buffer.clear();
                self.buffer = buffer;
            }
        }
    }

    fn is_sampled(&mut self, status: u16) -> bool {
        let Some(rule) = self.rules.iter_mut().find(|rule| (rule.first..=rule.last).contains(&status)) else {
            return true;
        };
        rule.due += rule.share;
        let is_due = rule.due >= 1.0;
        if is_due {
            rule.due -= 1.0;
        }
        is_due
    }
}

impl Rule {
    fn new((first, last, share): (u16, u16, f64)) -> Self {
        // The first of its kind is logged, so that something is seen of a rare one.
        Self { first, last, share, due: if share > 0.0 { 1.0 - share } else { 0.0 } }
    }
}

enum Output {
    Stdout,
    File(File, PathBuf),
}

/// The thread that writes.
struct Thread {
    inbox: Receiver<Vec<u8>>,
    counts: Arc<Counts>,
    output: Output,
    failed_at: Option<Instant>,
    /// Whether the last write may have left half a line.
    is_torn: bool,
    complained_at: Option<Instant>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let is_last = self.counts.stop.load(Ordering::Acquire);
            let received = if is_last { self.inbox.try_recv().ok() } else { self.receive() };
            if self.counts.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            match received {
                Some(lines) => self.write(&lines),
                None if is_last => return,
                None => {}
            }
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        match self.inbox.recv_timeout(LOOK_UP) {
            Ok(lines) => Some(lines),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.counts.stop.store(true, Ordering::Release);
                None
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let is_pausing = self.failed_at.is_some_and(|at| at.elapsed() < PAUSE);
        let result = if is_pausing {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            // What failed in the middle of a line must not run into the next one.
            let lines: &[u8] = if self.is_torn { &[b"\n", lines].concat() } else { lines };
            match &mut self.output {
                Output::Stdout => {
                    io::stdout().lock().write_all(lines).and_then(|()| io::stdout().lock().flush())
                }
                Output::File(file, _) => file.write_all(lines),
            }
        };
        let Err(error) = result else {
            self.failed_at = None;
            self.is_torn = false;
            return;
        };
        let lost = memchr::memchr_iter(b'\n', lines).count() as u64;
        self.counts.dropped.fetch_add(lost, Ordering::Relaxed);
        if !is_pausing {
            self.is_torn = true;
            self.failed_at = Some(Instant::now());
            self.complain(&format!("cannot write the access log: {error}"));
        }
    }

    fn reopen(&mut self) {
        let Output::File(file, path) = &mut self.output else { return };
        match open(path) {
            Ok(opened) => *file = opened,
            Err(error) => {
                let complaint = format!("cannot open the access log {} anew: {error}", path.display());
                self.complain(&complaint);
            }
        }
    }

    fn complain(&mut self, what: &str) {
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.complained_at = Some(Instant::now());
            eprintln!("tollgate: {what}; lines are lost, and counted in tollgate_log_dropped_total");
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(status: u16) -> Line<'static> {
        Line {
            unix_ms: 0,
            id: "id",
            client_ip: "127.0.0.1".parse().unwrap(),
            method: "GET",
            host: "",
            path: "/",
            query: None,
            protocol: "HTTP/1.1",
            status,
            route: "",
            api: "",
            service: "",
            endpoint: "",
            code: "",
            stage: "",
            cause: "",
            bytes_in: 0,
            bytes_out: 0,
            duration_us: 0,
            connect_us: None,
            first_byte_us: None,
            upstream_us: None,
            attempts: 0,
            user_agent: b"",
            referer: b"",
        }
    }

    fn to_file(path: &std::path::Path) -> LogConfig {
        LogConfig { target: LogTarget::File(path.into()), format: Format::Json, sample: Vec::new() }
    }

    fn lines(path: &std::path::Path) -> usize {
        std::fs::read_to_string(path).unwrap().lines().count()
    }

    #[test]
    fn every_line_of_every_worker_is_there_after_a_shutdown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let sink = LogSink::open(&to_file(&path)).unwrap();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let mut writer = sink.writer();
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        writer.write(&line(200));
                    }
                    writer.flush();
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        sink.shutdown();
        assert_eq!(lines(&path), 2000);
        assert_eq!(sink.dropped(), 0);
    }

    #[test]
    fn a_renamed_file_is_followed_by_a_new_one_after_a_reopen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let moved = directory.path().join("access.log.1");
        let sink = LogSink::open(&to_file(&path)).unwrap();
        let mut writer = sink.writer();
        writer.write(&line(200));
        writer.flush();
        while std::fs::metadata(&path).unwrap().len() == 0 {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &moved).unwrap();
        sink.reopen();
        writer.write(&line(200));
        writer.flush();
        sink.shutdown();
        assert_eq!((lines(&moved), lines(&path)), (1, 1));
    }

    #[test]
    fn lines_that_a_full_disk_refuses_are_counted() {
        let sink = LogSink::open(&to_file("/dev/full".as_ref())).unwrap();
        let mut writer = sink.writer();
        for _ in 0..3 {
            writer.write(&line(200));
            writer.flush();
        }
        sink.shutdown();
        assert_eq!(sink.dropped(), 3);
    }

    #[test]
    fn a_sample_takes_its_share_evenly_and_leaves_the_others_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut config = to_file(&path);
        config.sample = vec![(200, 299, 0.1)];
        let sink = LogSink::open(&config).unwrap();
        let mut writer = sink.writer();
        for _ in 0..100 {
            writer.write(&line(204));
            writer.write(&line(404));
        }
        writer.flush();
        sink.shutdown();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"status\":204").count(), 10);
        assert_eq!(text.matches("\"status\":404").count(), 100);
    }
}
