//! Which files a store has open: somebody may delete, move or replace them, and SQLite would write on where nobody finds it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file of a store, and those that SQLite keeps beside it, as they were when they were opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    main: Option<Identity>,
    beside: [Option<Identity>; 2],
}

/// What stays the same while a file is open, whatever its name: its device and its inode.
type Identity = (u64, u64);

impl Files {
    /// Those that are at this path.
    pub(super) fn at(path: &Path) -> Self {
        Self { main: identity(path), beside: beside(path).map(|path| identity(&path)) }
    }

    /// Those at this path that are opened by `open`. One that takes the place of the file meanwhile is not one of them.
    pub(super) fn opened<T, E>(path: &Path, open: impl FnOnce() -> Result<T, E>) -> Result<(Self, T), E> {
        let main = identity(path);
        let opened = open()?;
        Ok((Self { main, ..Self::at(path) }, opened))
    }

    /// Removes what these have left beside another file at their path: SQLite would take it for a part of that one. It must be called
    /// while they are open, so that nothing else can be taken for them, such as what another process has made anew.
    pub(super) fn clear(&self, path: &Path) {
        if identity(path) == self.main {
            return;
        }
        for (path, known) in beside(path).iter().zip(self.beside) {
            if known.is_some() && identity(path) == known {
                // Nobody can have put another file where nothing can be removed.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Makes the file of a store where there is none.
pub(super) fn create(path: &Path) -> io::Result<()> {
    // Who used what is nobody else's business: what SQLite makes beside it has the same mode.
    match OpenOptions::new().create_new(true).append(true).mode(0o600).open(path) {
        Ok(_) => {
            // What is beside it is of one that was deleted, and another process may have it open still. Mostly there is none.
            for path in beside(path) {
                let _ = fs::remove_file(path);
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

/// None where there is no file, or it cannot be told.
fn identity(path: &Path) -> Option<Identity> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}
