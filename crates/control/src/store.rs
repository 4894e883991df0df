//! The store: what callers have used of their quotas is written to a file, by a thread of its own, so that it outlasts the process.

mod files;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gateway::notice::notice;
use gateway::quotas::{Book, Change, LONGEST_PERIOD, Quotas, Title, Who, today};
use gateway::snapshot::Snapshot;
use rusqlite::{Connection, TransactionBehavior, named_params};

use self::files::{Files, create};

/// The store of a gateway, which has none until a configuration names one.
#[derive(Debug, Default)]
pub struct Store(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    /// Who writes to the file of the configuration in force.
    writer: Option<Writer>,
    /// What has been opened for a configuration that is not in force yet.
    opened: Option<Opened>,
}

/// A file that can be written to.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    files: Files,
    database: Connection,
}

/// Whoever writes to a file: until it is dropped, and then once more.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    /// Nothing is sent: it ends when this is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens what a configuration names that is not in force yet, and restores from it what is not known. Fails with what the operator
    /// should read.
    pub fn prepare(&self, snapshot: &Snapshot) -> Result<(), String> {
        let mut desk = self.lock();
        desk.opened = None;
        let Some(store) = snapshot.store() else { return Ok(()) };
        let opened = Opened::at(store.path(), desk.writer.as_ref(), snapshot.quotas());
        desk.opened = opened.map_err(|why| format!("cannot open the store {store}: {why}"))?;
        Ok(())
    }

    /// That configuration is in force: from now on it is written there.
    pub fn put_in_force(&self, snapshot: &Snapshot) -> Result<(), String> {
        let quotas = snapshot.quotas();
        let fleet = snapshot.fleet().map(|fleet| fleet.number());
        let mut desk = self.lock();
        if snapshot.store().is_none() {
            desk.writer = None;
            quotas.store.is_gone();
        } else if let Some(opened) = desk.opened.take() {
            // First the old one, so that it writes what was counted for it.
            desk.writer = None;
            desk.writer = Some(Writer::begin(opened, quotas)?);
        }
        quotas.put_in_force(snapshot.quotas_in_force(), fleet);
        Ok(())
    }

    /// Writes what is new once more, and lets the file go.
    pub fn close(&self) {
        self.lock().writer = None;
    }

    /// A panic elsewhere cannot leave it half changed.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Nothing where this file is written to already.
    fn at(path: &Path, writer: Option<&Writer>, quotas: &Quotas) -> Result<Option<Self>, String> {
        create(path).map_err(|error| error.to_string())?;
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        if writer.is_some_and(|writer| writer.path == path) {
            return Ok(None);
        }
        Self::open(path, quotas).map(Some)
    }

    /// Opens the file that is at this path by now, or one that is made there.
    fn anew(path: &Path, quotas: &Quotas) -> Result<Self, String> {
        create(path).map_err(|error| error.to_string())?;
        Self::open(path.to_owned(), quotas)
    }

    fn open(path: PathBuf, quotas: &Quotas) -> Result<Self, String> {
        let opened = Files::opened(&path, || {
            let database = open(&path)?;
            restore(&database, quotas)?;
            Ok(database)
        });
        let (files, database) = opened.map_err(|error| match error {
            Unusable::Database(error) => error.to_string(),
            Unusable::Newer(version) => {
                format!("it was written by a newer tollgate (its version is {version})")
            }
        })?;
        Ok(Self { path, files, database })
    }

    /// Whether what is written is found by whoever opens the file next.
    fn is_in_place(&self) -> bool {
        self.files == Files::at(&self.path)
    }

    /// Lets go a file that is not in its place. First it is written what is new: another process may have it open too, and so each knows
    /// what the others have counted. One that was only moved is whole without what is beside it.
    fn leave(mut self, quotas: &Quotas) {
        // Where that fails, only what they have not heard of each other is missing in the next.
        let _ = write(&mut self.database, quotas, false);
        let _ = self.database.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
        self.files.clear(&self.path);
    }
}

impl Writer {
    fn begin(opened: Opened, quotas: &Arc<Quotas>) -> Result<Self, String> {
        quotas.store.has_written(Some(0));
        let (end, ends) = mpsc::channel();
        let (quotas, path) = (Arc::clone(quotas), opened.path.clone());
        let thread = thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || write_always(opened, &quotas, &ends));
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(Self { path, end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been told of already.
            let _ = thread.join();
        }
    }
}

/// Why a file cannot be used.
#[derive(Debug)]
enum Unusable {
    Database(rusqlite::Error),
    Newer(u32),
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

fn open(path: &Path) -> Result<Connection, Unusable> {
    let mut database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    // What a killed process has written stands; a power cut may take the last seconds, and nothing else.
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "synchronous", "normal")?;
    let version =
        |database: &Connection| database.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    // Another process may be making the tables too.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match version(&transaction)? {
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        VERSION => {}
        newer => return Err(Unusable::Newer(newer)),
    }
    transaction.commit()?;
    Ok(database)
}

/// Of each account the last period, where it may not have ended.
fn restore(database: &Connection, quotas: &Quotas) -> rusqlite::Result<()> {
    let mut statement = database.prepare(
        "SELECT place, quota, kind, name, day, used FROM quota_usage WHERE day >= ?1 ORDER BY day DESC",
    )?;
    let mut rows = statement.query([today().saturating_sub(LONGEST_PERIOD)])?;
    while let Some(row) = rows.next()? {
        let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
        let title = Title { place: text(0)?.into(), name: text(1)?.into() };
        if let Some(who) = Who::named(text(2)?, text(3)?) {
            quotas.book(title).restore(who, row.get(4)?, row.get(5)?);
        }
    }
    Ok(())
}

fn write_always(opened: Opened, quotas: &Quotas, ends: &Receiver<()>) {
    let path = opened.path.clone();
    let shown = path.display();
    // None while it cannot be opened anew.
    let mut file = Some(opened);
    let (mut is_told, mut is_first) = (false, true);
    let mut swept: Option<Instant> = None;
    loop {
        let is_last = ends.recv_timeout(WRITTEN_EVERY) != Err(RecvTimeoutError::Timeout);
        if let Some(lost) = file.take_if(|file| !file.is_in_place()) {
            let then = "it is opened anew, and what is known of current periods is written there";
            notice(format_args!("the store {shown} was deleted, moved or replaced, {then}"));
            lost.leave(quotas);
            is_first = true;
        }
        let opened = match &mut file {
            Some(file) => Ok(file),
            None => Opened::anew(&path, quotas).map(|opened| file.insert(opened)),
        };
        // What was settled elsewhere is not known to a file that is new here.
        let written = opened
            .and_then(|file| write(&mut file.database, quotas, is_first).map_err(|error| error.to_string()));
        match written {
            Ok(accounts) => {
                is_first = false;
                quotas.store.has_written(Some(accounts));
                if is_told {
                    notice(format_args!("the store {shown} can be written again"));
                }
                is_told = false;
            }
            Err(error) => {
                quotas.store.has_written(None);
                if !is_told {
                    let known =
                        "what is used of quotas is counted on, and kept in memory until it can be written";
                    notice(format_args!("the store {shown} cannot be written, {known}: {error}"));
                }
                is_told = true;
            }
        }
        if is_last {
            return;
        }
        if swept.is_none_or(|swept| swept.elapsed() >= SWEPT_EVERY) {
            swept = Some(Instant::now());
            quotas.books().iter().for_each(|book| book.sweep(today()));
            if let Some(file) = &file {
                // What is too old stays for another hour where it cannot be removed.
                let _ = file
                    .database
                    .execute("DELETE FROM quota_usage WHERE day < ?1", [today().saturating_sub(KEPT_FOR)]);
            }
        }
    }
}

/// Writes what is new, or all: all of that, or nothing.
fn write(database: &mut Connection, quotas: &Quotas, writes_all: bool) -> rusqlite::Result<u64> {
    let books = quotas.books();
    let news = |book: &Book| match (writes_all, book.is_shared()) {
        (true, _) => book.all(today()),
        (false, true) => book.unkept(),
        (false, false) => book.changes(),
    };
    let news: Vec<(&Book, Vec<Change>)> = books.iter().map(|book| (&**book, news(book))).collect();
    if news.iter().all(|(_, changes)| changes.is_empty()) {
        return Ok(0);
    }
    let mut written = Vec::new();
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut settle = transaction.prepare(SETTLE)?;
        let mut keep = transaction.prepare(KEEP)?;
        for (book, changes) in &news {
            let is_shared = book.is_shared();
            for change in changes {
                let Change { who, day, known, used, .. } = change;
                let statement = if is_shared { &mut keep } else { &mut settle };
                let total: u64 = statement.query_row(
                    named_params! {
                        ":place": &*book.title.place, ":quota": &*book.title.name, ":kind": who.kind(),
                        ":name": who.name(), ":day": day, ":known": known, ":used": used,
                    },
                    |row| row.get(0),
                )?;
                written.push((change, (!is_shared).then_some(total)));
            }
        }
    }
    transaction.commit()?;
    for (change, total) in &written {
        match total {
            Some(total) => change.settled((change.known, change.used), *total),
            None => change.kept(),
        }
    }
    Ok(written.len() as u64)
}

/// How often it is written what is new: what a process that is killed may lose.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);
/// How long another process that writes is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const SWEPT_EVERY: Duration = Duration::from_hours(1);
/// Days for which it is kept what was used.
const KEPT_FOR: u32 = 400;
const VERSION: u32 = 1;

/// `day` is the first day of the period, counted from 1970-01-01.
const TABLES: &str = "
    CREATE TABLE quota_usage (
        place TEXT NOT NULL,
        quota TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        day INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (place, quota, kind, name, day)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX quota_usage_by_day ON quota_usage (day);
";

/// Another process may have written since this one last did: what is new is added, and what all have used is known then.
const SETTLE: &str = "
    INSERT INTO quota_usage VALUES (:place, :quota, :kind, :name, :day, :used)
    ON CONFLICT DO UPDATE SET used = max(max(used, :known) + :used - :known, 0)
    RETURNING used
";

/// Redis says what all have used: the most that was heard is kept.
const KEEP: &str = "
    INSERT INTO quota_usage VALUES (:place, :quota, :kind, :name, :day, :used)
    ON CONFLICT DO UPDATE SET used = max(used, :used, :known)
    RETURNING used
";

#[cfg(test)]
mod tests;
