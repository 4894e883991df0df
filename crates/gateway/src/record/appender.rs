//! The thread that writes the access log. It may wait for a disk or a reader as long as it takes: workers never wait
//! for it, and what it cannot write is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use crate::notice::notice;

/// After a failed write nothing is tried for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures are told on standard error this often.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);
/// How often it looks for a wish while no lines come.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How long it rests when it has written all there was. Under load lines then gather without waking it: waking a thread
/// costs a worker more than writing ten lines. All that may wait is written within a small part of a second still.
const REST: Duration = Duration::from_millis(5);

/// A pipe takes as many bytes at once or not at all (pipe(7), `PIPE_BUF`). Of what is longer, another process that writes
/// into the same pipe can get a part of its own in between; a file takes all of it as one.
const WHOLE: usize = 4096;

/// What the thread is asked to do.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Open the file anew.
    pub(super) reopen: AtomicBool,
    /// Write what is there, and end.
    pub(super) stop: AtomicBool,
}

/// Where the bytes go.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// Whether it takes any number of lines as one: another process may write there, as during an upgrade.
    is_whole: bool,
    /// Where to open it anew, unless it is standard output.
    path: Option<PathBuf>,
    /// Whether what was written last is half a line.
    is_torn: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(io::stdout().as_fd().try_clone_to_owned()?.into(), None))
    }

    /// The end of a file.
    pub(super) fn file(path: PathBuf) -> io::Result<Self> {
        Ok(Self::new(open(&path)?, Some(path)))
    }

    fn new(file: File, path: Option<PathBuf>) -> Self {
        let is_whole = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Self { file, is_whole, path, is_torn: false }
    }

    /// Writes whole lines; after a failure, says how many of them are lost.
    fn write(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        let mut rest = lines;
        // What failed in the middle of a line must not run into the next one.
        let mut result = if self.is_torn { self.file.write_all(b"\n") } else { Ok(()) };
        while result.is_ok() && !rest.is_empty() {
            self.is_torn = false;
            let piece = if self.is_whole { rest } else { &rest[..whole_lines(rest)] };
            result = match self.file.write(piece) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(error) => Err(error),
            };
        }
        let written = lines.len() - rest.len();
        result.map_err(|error| {
            self.is_torn |= written > 0 && lines[written - 1] != b'\n';
            (memchr::memchr_iter(b'\n', rest).count() as u64, error)
        })
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            *self = Self::new(open(path)?, Some(path.clone()));
        }
        Ok(())
    }
}

/// Bytes of the lines at the front that go into a pipe as one; a line that is too long for it goes alone.
fn whole_lines(lines: &[u8]) -> usize {
    if lines.len() <= WHOLE {
        return lines.len();
    }
    let fitting = memchr::memrchr(b'\n', &lines[..WHOLE]);
    let end = fitting.or_else(|| memchr::memchr(b'\n', lines));
    end.map_or(lines.len(), |end| end + 1)
}

/// The thread's state.
pub(super) struct Appender {
    inbox: Receiver<Batch>,
    wishes: Arc<Wishes>,
    output: Output,
    /// Whether it has written since it last rested.
    is_busy: bool,
    failed_at: Option<Instant>,
    complained_at: Option<Instant>,
}

impl Appender {
    /// A thread's state, to be run on it.
    pub(super) fn new(inbox: Receiver<Batch>, wishes: Arc<Wishes>, output: Output) -> Self {
        Self { inbox, wishes, output, is_busy: false, failed_at: None, complained_at: None }
    }

    /// Writes until it is told to stop and nothing is left, or until all who could hand something over are gone.
    pub(super) fn run(mut self) {
        loop {
            let is_last = self.wishes.stop.load(Ordering::Acquire);
            let received = self.inbox.try_recv().ok().or_else(|| if is_last { None } else { self.receive() });
            if self.wishes.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = self.output.reopen()
            {
                self.complain("cannot open the access log anew", &error);
            }
            match received {
                Some(batch) => self.write(batch),
                // What is handed over from here on counts itself as lost.
                None if is_last => return,
                None => {}
            }
        }
    }

    /// Waits for a batch, first without the worker noticing.
    fn receive(&mut self) -> Option<Batch> {
        if std::mem::take(&mut self.is_busy) {
            std::thread::park_timeout(REST);
            return self.inbox.try_recv().ok();
        }
        match self.inbox.recv_timeout(LOOK_UP) {
            Ok(batch) => Some(batch),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.wishes.stop.store(true, Ordering::Release);
                None
            }
        }
    }

    fn write(&mut self, mut batch: Batch) {
        self.is_busy = true;
        if self.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        match self.output.write(batch.bytes()) {
            Ok(()) => {
                batch.set_unwritten(0);
                self.failed_at = None;
            }
            Err((lost, error)) => {
                batch.set_unwritten(lost);
                self.failed_at = Some(Instant::now());
                self.complain("cannot write the access log", &error);
            }
        }
    }

    fn complain(&mut self, what: &str, error: &io::Error) {
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.complained_at = Some(Instant::now());
            let path = self.output.path.as_deref().unwrap_or("stdout".as_ref()).display();
            let lost = "lines that are lost are counted in tollgate_log_dropped_total";
            notice(format_args!("{what} ({path}): {error}; {lost}"));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A named pipe without a reader would hold up whoever opens it, unless it is opened for reading too; then a reader
    // may also come and go.
    let is_pipe = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    OpenOptions::new().read(is_pipe).create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    #[test]
    fn lines_of_two_processes_stay_whole_in_one_pipe() {
        const LINES: usize = 4000;
        let (mut reader, writer) = io::pipe().unwrap();
        let writers: Vec<_> = [b'a', b'b']
            .map(|letter| {
                let mut output =
                    Output::new(std::os::fd::OwnedFd::from(writer.try_clone().unwrap()).into(), None);
                std::thread::spawn(move || {
                    let line = [[letter; 299].as_slice(), b"\n"].concat();
                    for _ in 0..LINES / 100 {
                        assert!(output.write(&line.repeat(100)).is_ok());
                    }
                })
            })
            .into();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(text.lines().count(), 2 * LINES);
        for line in text.lines() {
            assert!(line.len() == 299 && line.bytes().all(|byte| byte == line.as_bytes()[0]), "{line}");
        }
    }

    #[test]
    fn pieces_end_with_lines() {
        let short = b"short\n".as_slice();
        let long = [b'x'; WHOLE * 2].as_slice();
        for (lines, expected) in [
            (short.repeat(2), 12),
            (short.repeat(WHOLE), WHOLE / 6 * 6),
            ([short, long, b"\n", short].concat(), 6),
            ([long, b"\n", short].concat(), WHOLE * 2 + 1),
            (long.to_vec(), WHOLE * 2),
        ] {
            assert_eq!(whole_lines(&lines), expected);
        }
    }
}
