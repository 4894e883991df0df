//! What callers have used of their quotas: counters for the whole process, which outlive snapshots, and are written down.
//!
//! A quota has a [`Book`], and in it each caller an [`Account`]: one number, the period and what was used in it. Workers change it
//! by one atomic operation. What has changed is settled with where it is written down, the store or the Redis of the fleet, from time
//! to time and beside the requests ([`Book::changes`]): that adds what is new here, and says what all have used together.
//! `docs/decisions/0024-quotas-settled-beside.md` has the why.

mod account;
mod calendar;
mod report;
mod who;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use papaya::HashMap;

use crate::clock;
use crate::config::values::{CalendarRate, CalendarUnit};
use account::Use;
pub use account::{Account, Spent};
pub use calendar::{Calendar, Period};
pub use report::{Question, Report, report};
use who::AsWho;
pub use who::Who;

/// The quotas of a process.
#[derive(Debug, Default)]
pub struct Quotas {
    books: Mutex<BTreeMap<Title, Arc<Book>>>,
    /// The number of the fleet that is in force; zero without one.
    fleet: AtomicU64,
    /// How the store stands; nothing was written before there is one.
    pub store: StoreState,
}

/// What tells a book from all others: where its quota stands, and what that is called there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Title {
    /// `plan gold`, `route orders`, `api shop` or `defaults`.
    pub place: Box<str>,
    /// `app-month`, as callers are told.
    pub name: Arc<str>,
}

/// The accounts of a quota.
#[derive(Debug)]
pub struct Book {
    /// What it is called.
    pub title: Title,
    accounts: HashMap<Who, Arc<Account>>,
    /// Whether the Redis of the fleet says what was used, and the store only keeps it.
    is_shared: AtomicBool,
}

/// A quota that is in force, for who asks what was used of it.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Its accounts.
    pub book: Arc<Book>,
    /// How much there is.
    pub rate: CalendarRate,
    /// When it begins anew.
    pub calendar: Arc<Calendar>,
    /// Whether nobody is refused for it.
    pub is_soft: bool,
    /// Whether gateways count together.
    pub is_shared: bool,
}

/// What is new in an account.
#[derive(Debug)]
pub struct Change {
    /// Whose it is.
    pub who: Who,
    account: Arc<Account>,
    /// The number of the day with which its period began, the last one or the one before.
    pub day: u32,
    /// What was known to be used in that period.
    pub known: u64,
    /// What is used by now.
    pub used: u64,
}

/// How a store stands.
#[derive(Debug, Default)]
pub struct StoreState {
    /// Whether there is one.
    pub is_there: AtomicBool,
    /// Whether the last attempt to write succeeded.
    pub is_up: AtomicBool,
    /// Accounts that were written.
    pub written: AtomicU64,
    /// Attempts to write that failed.
    pub failures: AtomicU64,
}

impl Quotas {
    /// The book of this title: as it is, or a new one.
    pub fn book(&self, title: Title) -> Arc<Book> {
        let mut books = self.lock();
        let book = books.entry(title).or_insert_with_key(|title| Arc::new(Book::new(title.clone())));
        Arc::clone(book)
    }

    /// All books, also those of quotas that are no more.
    pub fn books(&self) -> Vec<Arc<Book>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// A configuration is in force, with these quotas, of which those that are shared are settled by a fleet of this number.
    pub fn put_in_force(&self, quotas: &[InForce], fleet: Option<u64>) {
        self.fleet.store(fleet.unwrap_or_default(), Ordering::Release);
        for quota in quotas {
            quota.book.is_shared.store(quota.is_shared, Ordering::Relaxed);
        }
    }

    /// Whether a fleet of this number settles those that are shared.
    pub fn are_settled_by(&self, fleet: u64) -> bool {
        self.fleet.load(Ordering::Acquire) == fleet
    }

    /// A panic elsewhere cannot leave a map half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Title, Arc<Book>>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn new(title: Title) -> Self {
        Self { title, accounts: HashMap::new(), is_shared: AtomicBool::new(false) }
    }

    /// Whether the Redis of the fleet says what was used.
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// Does something with the account of a caller, told by `text` in this way ([`crate::limit_by::By::key`]).
    #[inline]
    pub(crate) fn account<T>(&self, way: u8, text: &[u8], act: impl FnOnce(&Account) -> T) -> T {
        let accounts = self.accounts.pin();
        match accounts.get(&AsWho { way, text }) {
            Some(account) => act(account),
            None => act(accounts.get_or_insert_with(Who::new(way, text), Arc::default)),
        }
    }

    /// Counts for a caller, in the period that began with this day, whatever the quota.
    pub fn spend(&self, who: &Who, day: u32, cost: u64) -> Spent {
        let (way, text) = who.parts();
        self.account(way, text, |account| account.spend(day, cost, u64::MAX))
    }

    /// What a caller had used by then, as it was written down. What is known here already is newer.
    pub fn restore(&self, who: Who, day: u32, used: u64) {
        self.accounts.pin().get_or_insert_with(who, || Arc::new(Account::restored(day, used)));
    }

    /// What is new since it was last settled.
    pub fn changes(&self) -> Vec<Change> {
        self.changes_by(Account::unsettled)
    }

    /// The same for all that may not have ended by today, for a place that may not know what was settled elsewhere.
    pub fn all(&self, today: u32) -> Vec<Change> {
        let first = today.saturating_sub(LONGEST_PERIOD);
        self.changes_by(|account| account.all().map(|of| of.filter(|(day, ..)| *day >= first)))
    }

    fn changes_by(&self, of: impl Fn(&Account) -> [Option<Use>; 2]) -> Vec<Change> {
        let accounts = self.accounts.pin();
        let mut changes = Vec::new();
        for (who, account) in &accounts {
            let change = |(day, known, used)| Change {
                who: who.clone(),
                account: Arc::clone(account),
                day,
                known,
                used,
            };
            changes.extend(of(account).into_iter().flatten().map(change));
        }
        changes
    }

    /// What is not as it was last kept by a store that does not settle.
    pub fn unkept(&self) -> Vec<Change> {
        self.changes_by(Account::unkept)
    }

    /// Every account with what was used in the period that began with this day.
    pub fn usage(&self, day: u32) -> Vec<(Who, u64)> {
        let accounts = self.accounts.pin();
        let used = accounts.iter().map(|(who, account)| (who.clone(), account.used_in(day)));
        used.filter(|(_, used)| *used > 0).collect()
    }

    /// Forgets accounts whose last period is over, whatever the quota: it began so long before today, and has been settled, or never will be.
    pub fn sweep(&self, today: u32) {
        let accounts = self.accounts.pin();
        let (over, given_up) = (today.saturating_sub(LONGEST_PERIOD), today.saturating_sub(GIVEN_UP_AFTER));
        let is_gone = |account: &Arc<Account>| {
            account.is_past(given_up) || (account.is_past(over) && account.is_settled())
        };
        let gone = accounts.iter().filter(|(_, account)| is_gone(account));
        for who in gone.map(|(who, _)| who.clone()).collect::<Vec<_>>() {
            // Somebody may count in it meanwhile.
            let _ = accounts.remove_if(&who, |_, account| is_gone(account));
        }
    }
}

impl Change {
    /// It has been written down, and this is what all together have used by then.
    ///
    /// What was said, of what was known and of what is used, may have been another than now, where it was said before.
    pub fn settled(&self, (known, used): (u64, u64), total: u64) {
        self.account.settle((self.day, known, used), total);
    }

    /// It has been kept, by a store that does not say what others used.
    pub fn kept(&self) {
        self.account.keep(self.day, self.used);
    }
}

impl StoreState {
    /// There is none any more.
    pub fn is_gone(&self) {
        self.is_there.store(false, Ordering::Relaxed);
    }

    /// So many accounts were written, or none could be.
    pub fn has_written(&self, accounts: Option<u64>) {
        self.is_there.store(true, Ordering::Relaxed);
        self.is_up.store(accounts.is_some(), Ordering::Relaxed);
        match accounts {
            Some(accounts) => self.written.fetch_add(accounts, Ordering::Relaxed),
            None => self.failures.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl CalendarUnit {
    /// Seconds that it has at most.
    pub(crate) fn longest(self) -> u64 {
        const DAY: u64 = 86_400;
        // A day in which clocks are set back, and some more.
        let days = match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 31,
        };
        days * DAY + DAY / 8
    }
}

/// Days since 1970-01-01, in UTC.
pub fn today() -> u32 {
    // Threads that read the clock for nothing else ask too.
    clock::refresh();
    (clock::unix_seconds() / 86_400) as u32
}

/// Days that the longest period has, and one more.
pub const LONGEST_PERIOD: u32 = 32;

/// Days after which nobody waits any more for what cannot be settled.
const GIVEN_UP_AFTER: u32 = 400;

#[cfg(test)]
mod tests;
