//! The file, as one process after another finds it.

#![allow(clippy::unwrap_used)]

use gateway::config::values::CalendarUnit::Day;
use gateway::config::values::{CalendarRate, Zone};
use gateway::quotas::{Calendar, InForce};

use super::*;

fn title() -> Title {
    Title { place: "plan gold".into(), name: "app-day".into() }
}

fn mobile() -> Who {
    Who::named("app", "mobile").unwrap()
}

/// Quotas of a process that opens this file.
fn opened(path: &Path) -> (Connection, Quotas) {
    let database = open(path).unwrap();
    let quotas = Quotas::default();
    restore(&database, &quotas).unwrap();
    (database, quotas)
}

/// What the app has used, as a process knows.
fn used(quotas: &Quotas) -> u64 {
    let usage = quotas.book(title()).usage(today());
    usage.into_iter().find_map(|(who, used)| (who == mobile()).then_some(used)).unwrap_or_default()
}

fn spend(quotas: &Quotas, cost: u64) {
    quotas.book(title()).spend(&mobile(), today(), cost);
}

#[test]
fn what_was_written_is_known_to_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let (mut database, quotas) = opened(&path);
    spend(&quotas, 7);
    assert_eq!(write(&mut database, &quotas, false).unwrap(), 1);
    assert_eq!(write(&mut database, &quotas, false).unwrap(), 0, "nothing is new");
    spend(&quotas, 2);
    // It is killed before it has written that.
    drop((database, quotas));
    assert_eq!(used(&opened(&path).1), 7);
}

#[test]
fn two_processes_count_together_while_one_takes_over_from_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let (mut old_database, old) = opened(&path);
    spend(&old, 10);
    write(&mut old_database, &old, false).unwrap();
    let (mut new_database, new) = opened(&path);
    spend(&old, 1);
    spend(&new, 2);
    for _ in 0..2 {
        write(&mut old_database, &old, false).unwrap();
        write(&mut new_database, &new, false).unwrap();
        spend(&old, 100);
    }
    write(&mut old_database, &old, false).unwrap();
    assert_eq!(used(&old), 213);
    spend(&new, 1);
    write(&mut new_database, &new, false).unwrap();
    assert_eq!(used(&new), 214);
}

#[test]
fn a_period_begins_anew_and_the_last_one_is_kept_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let (mut database, quotas) = opened(&directory.path().join("tollgate.db"));
    let today = today();
    quotas.book(title()).spend(&mobile(), today - 1, 5);
    write(&mut database, &quotas, false).unwrap();
    // What comes in the last moment is written in the next period.
    quotas.book(title()).spend(&mobile(), today - 1, 2);
    quotas.book(title()).spend(&mobile(), today, 3);
    assert_eq!(write(&mut database, &quotas, false).unwrap(), 2);
    assert_eq!(rows(&database), [(today - 1, 7), (today, 3)]);
    assert_eq!(write(&mut database, &quotas, false).unwrap(), 0, "nothing is new");
}

#[test]
fn of_shared_quotas_too_the_last_moments_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (mut database, quotas) = opened(&directory.path().join("tollgate.db"));
    let (book, today) = (quotas.book(title()), today());
    let (rate, calendar) = (CalendarRate { count: 100, unit: Day }, Calendar::new(Day, Zone::default()));
    let book_in_force = Arc::clone(&book);
    let quota =
        InForce { book: book_in_force, rate, calendar: Arc::new(calendar), is_soft: false, is_shared: true };
    quotas.put_in_force(&[quota], Some(1));
    book.spend(&mobile(), today - 1, 5);
    write(&mut database, &quotas, false).unwrap();
    book.spend(&mobile(), today - 1, 2);
    book.spend(&mobile(), today, 3);
    // The fleet has used more.
    for change in book.changes() {
        change.settled((change.known, change.used), change.used + 10);
    }
    write(&mut database, &quotas, false).unwrap();
    assert_eq!(rows(&database), [(today - 1, 17), (today, 13)]);
    assert_eq!(write(&mut database, &quotas, false).unwrap(), 0, "nothing is new");
}

/// What stands in the file for each day.
fn rows(database: &Connection) -> Vec<(u32, u64)> {
    let mut rows = database.prepare("SELECT day, used FROM quota_usage ORDER BY day").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_file_that_is_no_store_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let quotas = Arc::new(Quotas::default());
    let why = |path: &Path| Opened::at(path, None, &quotas).err().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "a text that is long enough to be looked at\n".repeat(50)).unwrap();
    assert!(why(&text).contains("not a database"), "{}", why(&text));
    assert!(why(&directory.path().join("missing/tollgate.db")).contains("No such file"));
    let newer = directory.path().join("newer.db");
    open(&newer).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(why(&newer).contains("a newer tollgate"), "{}", why(&newer));
}

#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let quotas = Arc::new(Quotas::default());
    let opened_once = Opened::at(&path, None, &quotas).unwrap().unwrap();
    let writer = Writer::begin(opened_once, &quotas).unwrap();
    let again = Opened::at(&directory.path().join("./tollgate.db"), Some(&writer), &quotas).unwrap();
    assert!(again.is_none(), "it is open already");
    spend(&quotas, 1);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    drop(writer);
    assert_eq!(used(&opened(&path).1), 1, "what was new is written at the end");
}

#[test]
fn a_new_file_is_told_what_was_written_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let (mut database, quotas) = opened(&directory.path().join("tollgate.db"));
    spend(&quotas, 7);
    write(&mut database, &quotas, false).unwrap();
    let other = directory.path().join("other.db");
    let mut database = open(&other).unwrap();
    assert_eq!(write(&mut database, &quotas, true).unwrap(), 1);
    assert_eq!(used(&opened(&other).1), 7);
}

/// A process that has opened this file and written to it what its app has used.
fn writing(path: &Path, cost: u64) -> (Opened, Quotas) {
    let quotas = Quotas::default();
    let mut file = Opened::anew(path, &quotas).unwrap();
    spend(&quotas, cost);
    write(&mut file.database, &quotas, true).unwrap();
    (file, quotas)
}

/// What it does when its file is not in its place.
fn opened_anew((file, quotas): (Opened, Quotas)) -> (Opened, Quotas) {
    let path = file.path.clone();
    assert!(!file.is_in_place());
    file.leave(&quotas);
    let mut file = Opened::anew(&path, &quotas).unwrap();
    write(&mut file.database, &quotas, true).unwrap();
    assert!(file.is_in_place());
    (file, quotas)
}

/// All that a file knows to have been used, which is whole.
fn kept(path: &Path) -> u64 {
    let (database, _) = opened(path);
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    rows(&database).iter().map(|(_, used)| used).sum()
}

#[test]
fn a_file_stays_in_its_place_while_processes_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let (file, _) = writing(&path, 1);
    assert!(file.is_in_place());
    let (other, _) = writing(&path, 2);
    assert!(file.is_in_place() && other.is_in_place());
    drop(other);
    assert!(file.is_in_place());
    file.database.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(file.is_in_place());
}

#[test]
fn a_file_that_is_not_in_its_place_any_more_is_begun_anew() {
    // Which of its files are removed, and whether an empty one comes then.
    let cases: [(&[&str], bool); 4] =
        [(&[""], false), (&["", "-wal", "-shm"], false), (&["-wal"], false), (&[""], true)];
    for case in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.db");
        let process = writing(&path, 7);
        let (removed, is_replaced) = case;
        for end in removed {
            std::fs::remove_file(format!("{}{end}", path.display())).unwrap();
        }
        if is_replaced {
            std::fs::write(&path, "").unwrap();
        }
        spend(&process.1, 1);
        let (mut file, quotas) = opened_anew(process);
        spend(&quotas, 1);
        write(&mut file.database, &quotas, false).unwrap();
        // It is killed before it has closed the file.
        assert_eq!(kept(&path), 9, "{case:?}");
        drop(file);
        assert_eq!(kept(&path), 9, "{case:?}");
    }
}

#[test]
fn a_file_that_was_put_in_the_place_of_another_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let (aside, backup) = (directory.path().join("aside.db"), directory.path().join("backup.db"));
    let web = Who::named("app", "web").unwrap();
    let (mut file, quotas) = writing(&backup, 100);
    quotas.book(title()).spend(&web, today(), 5);
    write(&mut file.database, &quotas, false).unwrap();
    drop((file, quotas));
    let process = writing(&path, 7);
    std::fs::rename(&path, &aside).unwrap();
    std::fs::rename(&backup, &path).unwrap();
    let (file, quotas) = opened_anew(process);
    assert_eq!(kept(&aside), 7, "what was only moved is whole");
    assert_eq!((used(&quotas), kept(&path)), (107 - 7, 100 + 5));
    assert_eq!(quotas.book(title()).usage(today()).len(), 2, "what only the backup knew is restored");
    drop(file);
    assert_eq!(kept(&path), 105);
}

#[test]
fn two_processes_begin_a_file_anew_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    // The old one has not heard yet of what the new one has counted.
    let (old, new) = (writing(&path, 7), writing(&path, 3));
    std::fs::remove_file(&path).unwrap();
    spend(&old.1, 1);
    let old = opened_anew(old);
    spend(&new.1, 2);
    let new = opened_anew(new);
    assert!(old.0.is_in_place(), "who comes second takes what is there");
    assert_eq!((used(&new.1), kept(&path)), (13, 13));
}

#[test]
fn who_writes_notices_that_the_file_is_gone_before_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let quotas = Arc::new(Quotas::default());
    let writer = Writer::begin(Opened::anew(&path, &quotas).unwrap(), &quotas).unwrap();
    spend(&quotas, 7);
    std::fs::remove_file(&path).unwrap();
    drop(writer);
    assert_eq!(kept(&path), 7);
}
