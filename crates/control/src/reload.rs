//! Loads the configuration again when one of its files changes, or when asked to.
//!
//! Files are looked at, not subscribed to: their identity, time and size a few times a second. That sees
//! what notifications miss (an editor that renames over the file, a symlink turned to another directory as
//! Kubernetes does, a network file system) and costs a handful of system calls on a thread of its own.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::Readiness;

/// How often the files are looked at. A change is taken when two looks in a row find the same.
const INTERVAL: Duration = Duration::from_millis(250);

/// The times of files come from a clock that goes in steps of up to this.
const CLOCK_STEP: Duration = Duration::from_millis(10);

/// Files watched at most; those beyond need a SIGHUP.
const FILE_LIMIT: usize = 4096;

/// What came of loading the configuration again.
pub struct Reload {
    /// The files it was read from: the configuration and all that it names. Where it was refused these are
    /// watched as well as those of the old one, so that mending any of them is noticed.
    pub files: Vec<PathBuf>,
    /// Why it was refused, as the operator should read it. The closure that loads has put a good one in force.
    pub result: Result<(), String>,
}

/// Asks for reloads; clones ask the same thread. The thread ends when the last is dropped.
#[derive(Clone)]
pub struct Reloader {
    requests: SyncSender<()>,
}

impl Reloader {
    /// Watches on a thread of its own and calls `reload` when a file has changed or [`Reloader::now`] was called.
    /// What comes of it is told to `readiness`. The files are those of the configuration in force.
    pub fn start(
        watch: Watch,
        readiness: Arc<Readiness>,
        reload: impl FnMut() -> Reload + Send + 'static,
    ) -> io::Result<Self> {
        // One request may wait while a reload runs; it will see everything that others would have asked for.
        let (requests, inbox) = sync_channel(1);
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || run(watch, &inbox, &readiness, reload))?;
        Ok(Self { requests })
    }

    /// Asks for a reload whether a file has changed or not. Does not wait for it.
    pub fn now(&self) {
        // Full: one is asked for already. Disconnected cannot be: the thread lives as long as `self`.
        let _ = self.requests.try_send(());
    }
}

fn run(mut watch: Watch, inbox: &Receiver<()>, readiness: &Readiness, mut reload: impl FnMut() -> Reload) {
    loop {
        match inbox.recv_timeout(INTERVAL) {
            Ok(()) => watch.take(),
            Err(RecvTimeoutError::Timeout) if watch.has_settled_change() => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let begun = SystemTime::now();
        // A fault of ours in loading must not end the watch, or every later change would be silently ignored.
        let outcome = catch_unwind(AssertUnwindSafe(&mut reload)).unwrap_or_else(|_| Reload {
            files: Vec::new(),
            result: Err("loading the configuration panicked; this is a fault of Tollgate".to_owned()),
        });
        match outcome.result {
            Ok(()) => {
                readiness.loaded(SystemTime::now());
                watch.retain(&outcome.files);
            }
            Err(error) => readiness.refused(&error, SystemTime::now()),
        }
        watch.extend_read(outcome.files, begun);
    }
}

/// Files, and what they looked like: when they were last taken, and at the last look.
#[derive(Default)]
pub struct Watch {
    files: Vec<File>,
}

struct File {
    path: PathBuf,
    taken: Option<Stamp>,
    seen: Option<Stamp>,
}

/// What changes when a file does. `None` in its place is a file that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Watch {
    /// Watches these files as well, from what they look like now. To miss no change, call it before they are read.
    pub fn extend(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for path in files {
            if self.files.len() < FILE_LIMIT && !self.files.iter().any(|file| file.path == path) {
                let now = stamp(&path);
                self.files.push(File { path, taken: now, seen: now });
            }
        }
    }

    /// Watches these files as well, which were read or looked for since then. One that has changed in the meantime
    /// counts as changed, since nobody knows which state of it was read.
    pub fn extend_read(&mut self, files: impl IntoIterator<Item = PathBuf>, since: SystemTime) {
        let known = self.files.len();
        self.extend(files);
        let since = since.checked_sub(CLOCK_STEP).unwrap_or(since);
        for file in &mut self.files[known..] {
            file.taken = file.taken.filter(|_| !is_changed_since(&file.path, since));
        }
    }

    /// Looks once. True when something differs from what was taken, and nothing from the look before: whoever
    /// writes has finished. What is seen is taken then.
    pub(crate) fn has_settled_change(&mut self) -> bool {
        let mut is_moving = false;
        for file in &mut self.files {
            let now = stamp(&file.path);
            is_moving |= now != file.seen;
            file.seen = now;
        }
        let is_changed = !is_moving && self.files.iter().any(|file| file.seen != file.taken);
        if is_changed {
            self.take();
        }
        is_changed
    }

    /// Takes what is there now, before it is read: what changes meanwhile is seen at the next look.
    fn take(&mut self) {
        for file in &mut self.files {
            file.seen = stamp(&file.path);
            file.taken = file.seen;
        }
    }

    fn retain(&mut self, files: &[PathBuf]) {
        self.files.retain(|file| files.contains(&file.path));
    }
}

/// Whether the file itself was written, replaced or renamed since then.
fn is_changed_since(path: &PathBuf, since: SystemTime) -> bool {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    fs::metadata(path).is_ok_and(|metadata| {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
        Duration::new(seconds, nanoseconds) >= since
    })
}

/// Follows symlinks: what they lead to is what counts.
fn stamp(path: &PathBuf) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        size: metadata.size(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    use tempfile::TempDir;

    use super::*;

    /// Long enough for two looks on a busy machine, and what "nothing happens" waits for.
    const PATIENCE: Duration = Duration::from_secs(10);
    const QUIET: Duration = Duration::from_millis(900);

    struct Scene {
        folder: TempDir,
        readiness: Arc<Readiness>,
        reloader: Reloader,
        /// The text of the file at each reload; `None` where it could not be read.
        loads: Receiver<Option<String>>,
    }

    /// A configuration that is good unless it says `bad`, and that includes the files it names after `+`.
    fn watching(prepare: impl FnOnce(&Path)) -> Scene {
        let folder = TempDir::new().unwrap();
        prepare(folder.path());
        let path = folder.path().join("tollgate.yaml");
        let readiness = Arc::new(Readiness::new());
        readiness.loaded(SystemTime::now());
        let (sender, loads) = channel();
        let mut watch = Watch::default();
        watch.extend([path.clone()]);
        let reloader = Reloader::start(watch, Arc::clone(&readiness), move || {
            let text = fs::read_to_string(&path).ok();
            let _ = sender.send(text.clone());
            let text = text.unwrap_or("bad".to_owned());
            assert!(!text.contains("panic"), "on purpose");
            let mut files = vec![path.clone()];
            files.extend(
                text.lines().filter_map(|line| line.strip_prefix('+')).map(|name| path.with_file_name(name)),
            );
            let result = if text.contains("bad") { Err(format!("refused: {text}")) } else { Ok(()) };
            Reload { files, result }
        });
        Scene { folder, readiness, reloader: reloader.unwrap(), loads }
    }

    impl Scene {
        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn expect_load(&self, text: &str) {
            assert_eq!(self.loads.recv_timeout(PATIENCE).unwrap().as_deref(), Some(text));
        }

        fn expect_quiet(&self) {
            assert!(self.loads.recv_timeout(QUIET).is_err());
        }

        fn expect_generation(&self, generation: u64) {
            let until = SystemTime::now() + PATIENCE;
            while self.readiness.generation() != generation {
                assert!(SystemTime::now() < until, "still {}", self.readiness.generation());
                thread::park_timeout(Duration::from_millis(5));
            }
        }
    }

    fn plain(folder: &Path) {
        fs::write(folder.join("tollgate.yaml"), "one").unwrap();
    }

    #[test]
    fn a_changed_file_is_loaded_once_and_an_unchanged_one_never() {
        let scene = watching(plain);
        scene.expect_quiet();
        scene.write("tollgate.yaml", "two");
        scene.expect_load("two");
        scene.expect_generation(2);
        scene.expect_quiet();
    }

    #[test]
    fn a_file_renamed_over_it_is_noticed_even_with_the_same_time_and_size() {
        let scene = watching(plain);
        let path = scene.folder.path().join("tollgate.yaml");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        scene.write("new", "two");
        fs::File::options()
            .append(true)
            .open(scene.folder.path().join("new"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        fs::rename(scene.folder.path().join("new"), path).unwrap();
        scene.expect_load("two");
    }

    #[test]
    fn a_symlink_turned_to_another_directory_is_noticed() {
        // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a directory by time.
        let scene = watching(|folder| {
            for (name, text) in [("first", "one"), ("second", "two")] {
                fs::create_dir(folder.join(name)).unwrap();
                fs::write(folder.join(name).join("tollgate.yaml"), text).unwrap();
            }
            symlink("first", folder.join("..data")).unwrap();
            symlink("..data/tollgate.yaml", folder.join("tollgate.yaml")).unwrap();
        });
        symlink("second", scene.folder.path().join("..data_tmp")).unwrap();
        fs::rename(scene.folder.path().join("..data_tmp"), scene.folder.path().join("..data")).unwrap();
        scene.expect_load("two");
    }

    #[test]
    fn a_refused_file_is_shown_and_mending_it_is_noticed() {
        let scene = watching(plain);
        scene.write("tollgate.yaml", "bad");
        scene.expect_load("bad");
        scene.expect_quiet();
        assert!(scene.readiness.is_ready(SystemTime::now()));
        assert_eq!(
            scene.readiness.body(SystemTime::now(), true)["config"]["reload"]["error"],
            "refused: bad"
        );
        scene.write("tollgate.yaml", "good");
        scene.expect_load("good");
        scene.expect_generation(2);
    }

    #[test]
    fn a_file_that_is_named_by_a_refused_one_is_watched_too() {
        let scene = watching(plain);
        scene.write("tollgate.yaml", "bad\n+schema.json");
        scene.expect_load("bad\n+schema.json");
        scene.write("schema.json", "{}");
        scene.expect_load("bad\n+schema.json");
    }

    #[test]
    fn a_file_that_changed_while_the_one_that_names_it_was_loaded_is_loaded_again() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("schema.json");
        fs::write(&path, "{}").unwrap();
        for (since, is_changed) in
            [(SystemTime::UNIX_EPOCH, true), (SystemTime::now() + Duration::from_secs(9), false)]
        {
            let mut watch = Watch::default();
            watch.extend_read([path.clone(), folder.path().join("none")], since);
            assert_eq!(watch.has_settled_change(), is_changed);
            assert!(!watch.has_settled_change());
        }
    }

    #[test]
    fn a_file_that_is_no_longer_named_is_no_longer_watched() {
        let scene = watching(plain);
        scene.write("tollgate.yaml", "+schema.json");
        scene.expect_load("+schema.json");
        scene.write("tollgate.yaml", "two");
        scene.expect_load("two");
        scene.expect_generation(3);
        scene.write("schema.json", "{}");
        scene.expect_quiet();
    }

    #[test]
    fn a_request_reloads_at_once_without_a_change() {
        let scene = watching(plain);
        scene.reloader.now();
        scene.expect_load("one");
        scene.expect_generation(2);
    }

    #[test]
    fn a_panic_while_loading_is_reported_and_the_watch_goes_on() {
        let scene = watching(plain);
        scene.write("tollgate.yaml", "panic");
        scene.expect_load("panic");
        scene.write("tollgate.yaml", "two");
        scene.expect_load("two");
        scene.expect_generation(2);
    }

    #[test]
    fn a_deleted_file_is_refused_and_its_return_is_loaded() {
        let scene = watching(plain);
        fs::remove_file(scene.folder.path().join("tollgate.yaml")).unwrap();
        assert_eq!(scene.loads.recv_timeout(PATIENCE).unwrap(), None);
        scene.write("tollgate.yaml", "two");
        scene.expect_load("two");
        scene.expect_generation(2);
    }
}
