//! Where access log lines go: per-worker buffers on one side, one thread that writes on the other.
//!
//! The request path never blocks and never allocates for it: buffers go to the thread and come back. When the thread
//! cannot keep up, whole buffers are dropped and their lines counted.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::appender::{Appender, Output, Wishes};
use super::batch::{Batch, Lost, way_back};
use super::line::{Format, Formatter, Line};
use crate::notice::notice;

/// A buffer of this size is handed over.
const HAND_OVER: usize = 64 * 1024;
/// What a buffer has beyond that for its last line.
const LAST_LINE: usize = 4 * 1024;
/// Buffers of all workers that may wait for the thread: 4 MiB of lines.
const WAITING: usize = 64;
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
    full: SyncSender<Batch>,
    wishes: Arc<Wishes>,
    lost: Lost,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One worker's end of the log. Dropping it hands over what it holds.
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
    full: SyncSender<Batch>,
    lost: Lost,
    back: SyncSender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
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
            LogTarget::Stdout => Output::stdout()?,
            LogTarget::File(path) => Output::file(path.clone())?,
        };
        let wishes = Arc::new(Wishes::default());
        let (full, inbox) = sync_channel(WAITING);
        let appender = Appender::new(inbox, Arc::clone(&wishes), output);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(|| appender.run())?;
        let shared = Shared { full, wishes, lost: Lost::default(), thread: Mutex::new(Some(thread)) };
        Ok(Self { shared: Some(Arc::new(shared)), config: config.clone() })
    }

    /// A worker's end of it.
    pub fn writer(&self) -> LogWriter {
        LogWriter {
            formatter: Formatter::new(self.config.format),
            buffer: Vec::new(),
            lines: 0,
            rules: self.config.sample.iter().map(|rule| Rule::new(*rule)).collect(),
            pipe: self.shared.as_ref().map(|shared| {
                let (back, spare) = way_back();
                Pipe { full: shared.full.clone(), lost: shared.lost.clone(), back, spare }
            }),
        }
    }

    /// Opens the file anew before the next line, as a rotation wants it.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            shared.wishes.reopen.store(true, Ordering::Release);
        }
    }

    /// Lines that were lost because the thread could not keep up or could not write.
    pub fn dropped(&self) -> u64 {
        self.lost().count()
    }

    /// The count of lost lines, which goes on when the log is given up.
    pub(super) fn lost(&self) -> Lost {
        self.shared.as_ref().map(|shared| shared.lost.clone()).unwrap_or_default()
    }

    /// Writes what the workers have handed over and ends the thread, within a bound.
    pub fn shutdown(&self) {
        if !self.end_within(LAST_LINES) {
            notice(format_args!(
                "the last lines of the access log could not be written within {LAST_LINES:?}"
            ));
        }
    }

    /// Ends the thread, and says whether it had written everything in time.
    fn end_within(&self, bound: Duration) -> bool {
        let Some(shared) = &self.shared else { return true };
        shared.wishes.stop.store(true, Ordering::Release);
        let thread = shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return true };
        let (done, is_done): (Sender<()>, Receiver<()>) = channel();
        let waiter = std::thread::Builder::new().spawn(move || {
            let _ = thread.join();
            let _ = done.send(());
        });
        // A pipe that nobody reads may hold the thread for ever; the process must still end.
        waiter.is_ok() && is_done.recv_timeout(bound).is_ok()
    }
}

impl LogWriter {
    /// Writes a line into the buffer, and hands the buffer over when it is full.
    pub fn write(&mut self, line: &Line<'_>) {
        // An attack is logged whatever the share: this may be the one line that tells of it.
        let is_attack = line.findings.is_some_and(|findings| findings.is_attack);
        if self.pipe.is_none() || !(is_attack || self.is_sampled(line.status)) {
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(HAND_OVER + LAST_LINE);
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
        let buffer = std::mem::take(&mut self.buffer);
        let batch = Batch::new(buffer, lines, pipe.lost.clone(), pipe.back.clone());
        // One that is not taken counts its lines and comes back as a spare buffer.
        let _ = pipe.full.try_send(batch);
        self.buffer = pipe.spare.try_recv().unwrap_or_default();
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

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Rule {
    fn new((first, last, share): (u16, u16, f64)) -> Self {
        // The first of its kind is logged, so that something is seen of a rare one.
        Self { first, last, share, due: if share > 0.0 { 1.0 - share } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(status: u16) -> Line<'static> {
        Line { id: "id", method: "GET", path: "/", protocol: "HTTP/1.1", status, ..Line::default() }
    }

    fn to_file(path: &std::path::Path) -> LogConfig {
        LogConfig { target: LogTarget::File(path.into()), format: Format::Json, sample: Vec::new() }
    }

    fn lines(path: &std::path::Path) -> usize {
        std::fs::read_to_string(path).unwrap().lines().count()
    }

    /// A named pipe that nobody reads.
    fn pipe() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        (directory, path)
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
    fn a_full_channel_drops_whole_buffers_counts_their_lines_and_holds_nobody_up() {
        let (_directory, path) = pipe();
        let sink = LogSink::open(&to_file(&path)).unwrap();
        let mut writer = sink.writer();
        let mut length = Vec::new();
        Formatter::new(Format::Json).write(&line(200), &mut length);
        let in_a_buffer = HAND_OVER.div_ceil(length.len()) as u64;
        // One more than may wait is in the hands of the thread, as the pipe takes less than a buffer.
        let buffers = 2 * WAITING as u64;
        let (done, is_done) = channel();
        std::thread::spawn(move || {
            for _ in 0..buffers * in_a_buffer {
                writer.write(&line(200));
            }
            let _ = done.send(writer);
        });
        let writer = is_done.recv_timeout(Duration::from_secs(30)).expect("nothing waits for the reader");
        let dropped = sink.dropped();
        assert!(dropped >= (buffers - WAITING as u64 - 1) * in_a_buffer, "{dropped}");
        assert_eq!(dropped % in_a_buffer, 0);
        drop(writer);
        let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
        assert!(sink.end_within(Duration::from_secs(30)));
        let text = reader.join().unwrap();
        assert_eq!(text.lines().count() as u64 + sink.dropped(), buffers * in_a_buffer);
        assert!(text.lines().all(|line| line.len() + 1 == length.len()), "a torn line");
    }

    #[test]
    fn a_reader_that_never_reads_does_not_keep_the_log_from_ending() {
        let (_directory, path) = pipe();
        let sink = LogSink::open(&to_file(&path)).unwrap();
        let mut writer = sink.writer();
        while sink.dropped() == 0 {
            writer.write(&line(200));
        }
        assert!(!sink.end_within(Duration::from_millis(50)));
        assert!(sink.end_within(Duration::ZERO), "a second word to end finds nothing to do");
    }

    #[test]
    fn a_line_is_written_or_counted_wherever_the_end_finds_it() {
        const LINES: u64 = 20_000;
        let directory = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = directory.path().join(round.to_string());
            let sink = LogSink::open(&to_file(&path)).unwrap();
            let mut writer = sink.writer();
            let worker = std::thread::spawn(move || {
                for _ in 0..LINES / 20 {
                    for _ in 0..20 {
                        writer.write(&line(200));
                    }
                    writer.flush();
                }
            });
            std::thread::park_timeout(Duration::from_micros(round * 100));
            sink.shutdown();
            worker.join().unwrap();
            assert_eq!(lines(&path) as u64 + sink.dropped(), LINES);
        }
    }

    #[test]
    fn a_writer_that_goes_hands_its_last_lines_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let sink = LogSink::open(&to_file(&path)).unwrap();
        sink.writer().write(&line(200));
        sink.shutdown();
        assert_eq!((lines(&path), sink.dropped()), (1, 0));
    }

    #[test]
    fn buffers_come_back() {
        let sink = LogSink::open(&to_file("/dev/null".as_ref())).unwrap();
        let mut writer = sink.writer();
        writer.write(&line(200));
        let first = writer.buffer.as_ptr();
        writer.flush();
        // The thread ends when it has written, and all it had is back by then.
        sink.shutdown();
        writer.write(&line(200));
        writer.flush();
        assert_eq!(writer.buffer.as_ptr(), first);
        assert!(writer.buffer.is_empty());
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
