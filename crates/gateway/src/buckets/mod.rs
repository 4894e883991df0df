//! What callers have used up of their limits: a table of places for the whole process, which outlives snapshots.
//!
//! A place is a number and whose it is. What the number says is a matter of the rule by which requests are counted ([`Rule`]). For all
//! rules it only grows, less is left the greater it is, and the place is free when it is past.
//!
//! The table's size is fixed, and nobody waits in it: a key has one set of places, where it finds its own or takes a free one. Where
//! none is free, a key goes on the one that its hash says, together with its owner: both may only do what is left to the two
//! together, so that a flood of keys makes nobody freer. What is kept for hours has a table of its own, and what is kept for days.
//! `docs/decisions/0019-buckets-in-a-fixed-table.md` has the why.

mod charge;
mod log;
mod pace;
mod rule;
mod set;
mod window;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::OnceLock;
use std::time::Instant;

pub use pace::{Empty, Pace};
pub use rule::{Difference, LONGEST_LOG, Returned, Rule};
pub use window::Window;

use crate::clock;
use rule::TABLES;
use set::{Set, Standing};

/// The buckets of a process.
#[derive(Debug)]
pub struct Buckets {
    places: RandomState,
    /// By how long a place is kept ([`Rule::table`]): who fills the one of days leaves the others as they are. The last is that of marks.
    tables: [OnceLock<Box<[Set]>>; TABLES + 1],
    sets: usize,
    began: Instant,
    /// Nanoseconds from the Unix epoch until then.
    epoch: u64,
}

/// Whose bucket it is: the same in all snapshots of the process, and foretold by nobody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// What was taken: tokens, or whatever the rule counts.
#[derive(Debug)]
pub struct Taken {
    /// How many are left.
    pub left: u64,
    /// Nanoseconds until all are there again.
    pub full_in: u64,
    change: Option<Change>,
    /// Further ones, where one request takes several places.
    more: Vec<Change>,
}

/// What has been done to a place.
#[derive(Debug)]
struct Change {
    table: usize,
    key: Key,
    standing: Standing,
    before: u64,
    after: u64,
}

/// The places of one table.
#[derive(Clone, Copy)]
struct Places<'t> {
    table: usize,
    sets: &'t [Set],
}

/// What a place keeps for a key.
struct Kept<'t> {
    number: u64,
    set: &'t Set,
    is_own: bool,
}

impl Default for Buckets {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Buckets {
    /// With so many sets of seven places in each table.
    pub fn with_sets(sets: usize) -> Self {
        Self {
            places: RandomState::new(),
            tables: Default::default(),
            sets: sets.max(1),
            began: clock::refresh(),
            epoch: clock::unix_ms() * 1_000_000,
        }
    }

    /// Takes the memory that a rule needs, so that no request has to.
    pub fn reserve(&self, rule: Rule) {
        self.table(rule.table());
    }

    /// Takes the memory that marks need.
    pub fn reserve_marks(&self) {
        self.table(MARKS);
    }

    /// The key of something.
    #[inline]
    pub fn key(&self, of: impl Hash) -> Key {
        Key(self.places.hash_one(of).max(1))
    }

    /// The key of a caller at a place, told by `of` in this way.
    ///
    /// All is hashed at once: piece by piece it would take three times as long.
    #[inline]
    pub fn caller(&self, place: u64, way: u8, of: &[u8]) -> Key {
        const HEAD: usize = 10;
        let mut text = [0; HEAD + 40];
        let Some(rest) = text.get_mut(HEAD..HEAD + of.len()) else { return self.key((place, way, of)) };
        rest.copy_from_slice(of);
        text[..8].copy_from_slice(&place.to_ne_bytes());
        text[8..HEAD].copy_from_slice(&[way, of.len() as u8]);
        let mut hasher = self.places.build_hasher();
        hasher.write(&text[..HEAD + of.len()]);
        Key(hasher.finish().max(1))
    }

    /// A number for something, to make keys of.
    pub fn identity(&self, of: impl Hash) -> u64 {
        self.places.hash_one(of)
    }

    /// The time, as of the worker's last reading: nanoseconds since the Unix epoch, by the clock on the wall when the table was
    /// made, and by one that is never set since.
    #[inline]
    pub fn now(&self) -> u64 {
        self.epoch + clock::now().saturating_duration_since(self.began).as_nanos() as u64
    }

    /// Whether a request that costs so much may be made, without counting it. It costs at least one, and at most all that there is
    /// ([`Rule::quota`]).
    pub fn look(&self, key: Key, rule: Rule, cost: u64, now: u64) -> Result<(), Empty> {
        let places = self.places(rule);
        match rule {
            Rule::TokenBucket(pace) => {
                let longest = now.saturating_add(pace.longest());
                pace.take(places.read(key, longest, now).number, cost, now).map(drop)
            }
            Rule::FixedWindow(window) => {
                let kept = places.read(key, NEVER, now);
                window.take(kept.number, cost, now, || kept.is_alone(now)).map(drop)
            }
            Rule::SlidingLog(window) => log::look(places, key, window, cost, now),
            Rule::SlidingCounter(window) => {
                let [current, before] = key.pair(window, now);
                let before = places.read(before, NEVER, now).number;
                window.slide(places.read(current, NEVER, now).number, before, cost, now).map(drop)
            }
        }
    }

    /// Counts a request that costs so much, if it may be made.
    #[inline]
    pub fn take(&self, key: Key, rule: Rule, cost: u64, now: u64) -> Result<Taken, Empty> {
        let places = self.places(rule);
        match rule {
            Rule::TokenBucket(pace) => {
                let longest = now.saturating_add(pace.longest());
                let change = places.change(key, longest, now, |kept| pace.take(kept.number, cost, now))?;
                Ok(Taken::new(pace.left(change.after, now), change.after - now, change))
            }
            Rule::FixedWindow(window) => {
                let take = |kept: Kept| window.take(kept.number, cost, now, || kept.is_alone(now));
                let change = places.change(key, NEVER, now, take)?;
                let used = change.after % window.length();
                Ok(Taken::new(window.count() - used, change.after - used - now, change))
            }
            Rule::SlidingLog(window) => log::take(places, key, window, cost, now),
            Rule::SlidingCounter(window) => {
                let [current, before] = key.pair(window, now);
                let before = places.read(before, NEVER, now).number;
                let slide = |kept: Kept| window.slide(kept.number, before, cost, now);
                let change = places.change(current, NEVER, now, slide)?;
                let left = window.left(change.after, before, now);
                Ok(Taken::new(left, window.end(now) + window.length() - now, change))
            }
        }
    }

    /// Puts back what was taken for nothing. Where somebody has been at the place since, it stays taken.
    pub fn give_back(&self, taken: &Taken) {
        for change in taken.changes() {
            Places { table: change.table, sets: self.table(change.table) }.restore(change);
        }
    }

    /// Marks a key for so many nanoseconds, or longer where it is marked already. While the table is full a new key is not: that would
    /// fall on its owner who shares the place.
    pub fn mark(&self, key: Key, span: u64, now: u64) {
        let until = now.saturating_add(span);
        let lengthen = |kept: Kept| if kept.is_own { Ok(kept.number.max(until)) } else { Err(()) };
        // It fails for a guest.
        let _ = self.marks().change(key, NEVER, now, lengthen);
    }

    /// For how many nanoseconds a key is still marked.
    #[inline]
    pub fn marked_for(&self, key: Key, now: u64) -> Option<u64> {
        let kept = self.marks().read(key, NEVER, now);
        (kept.is_own && kept.number > now).then(|| kept.number - now)
    }

    /// Whether what counts for a key is its own: at none of its places do others count.
    pub fn is_alone(&self, key: Key, rule: Rule, now: u64) -> bool {
        let places = self.places(rule);
        let is_own = |key| {
            let kept = places.read(key, NEVER, now);
            kept.number <= now || kept.is_alone(now)
        };
        match rule {
            Rule::TokenBucket(_) | Rule::FixedWindow(_) => is_own(key),
            Rule::SlidingLog(window) => (0..window.count()).all(|at| is_own(key.beside(at))),
            Rule::SlidingCounter(window) => key.pair(window, now).into_iter().all(is_own),
        }
    }

    /// Marks may last for days: who fills their table leaves the buckets as they are.
    #[inline]
    fn marks(&self) -> Places<'_> {
        Places { table: MARKS, sets: self.table(MARKS) }
    }

    #[inline]
    fn places(&self, rule: Rule) -> Places<'_> {
        let table = rule.table();
        Places { table, sets: self.table(table) }
    }

    #[inline]
    fn table(&self, table: usize) -> &[Set] {
        self.tables[table].get_or_init(|| (0..self.sets).map(|_| Set::default()).collect())
    }
}

impl<'t> Places<'t> {
    /// What a key finds at its place, which is at most `longest`.
    #[inline]
    fn read(self, key: Key, longest: u64, now: u64) -> Kept<'t> {
        let set = self.set(key);
        match set.find(key.0) {
            Some(way) => Kept { number: set.settle(way, longest, now), set, is_own: true },
            None => Kept { number: set.outlook(key.0, now), set, is_own: false },
        }
    }

    /// Puts what `add` makes of what a key finds at its place there.
    #[inline]
    fn change<E>(
        self,
        key: Key,
        longest: u64,
        now: u64,
        add: impl Fn(Kept) -> Result<u64, E>,
    ) -> Result<Change, E> {
        let set = self.set(key);
        loop {
            let standing = set.stand(key.0, now);
            let (before, is_own) = match standing {
                Standing::Own(way) => (set.settle(way, longest, now), true),
                Standing::Guest(way) => (set.due(way), false),
            };
            let after = add(Kept { number: before, set, is_own })?;
            if set.charge(key.0, standing, before, after) {
                return Ok(Change { table: self.table, key, standing, before, after });
            }
        }
    }

    fn restore(self, change: &Change) {
        self.set(change.key).restore(change.standing, change.after, change.before);
    }

    #[inline]
    fn set(self, key: Key) -> &'t Set {
        &self.sets[key.0 as usize % self.sets.len()]
    }
}

impl Key {
    /// The number that it is.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Which of so many parts of something it belongs to.
    pub fn part(self, parts: usize) -> usize {
        self.0 as usize % parts
    }

    /// The key of another place of the same caller.
    #[inline]
    fn beside(self, by: u64) -> Self {
        Self(self.0.wrapping_add(by).max(1))
    }

    /// Where the current window and the one before are counted.
    #[inline]
    fn pair(self, window: Window, now: u64) -> [Self; 2] {
        let pair = [self, self.beside(1)];
        if window.is_odd(now) { [pair[1], pair[0]] } else { pair }
    }
}

impl Taken {
    #[inline]
    fn new(left: u64, full_in: u64, change: Change) -> Self {
        Self { left, full_in, change: Some(change), more: Vec::new() }
    }

    fn add(&mut self, change: Change) {
        match self.change {
            None => self.change = Some(change),
            Some(_) => self.more.push(change),
        }
    }

    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.change.iter().chain(&self.more)
    }
}

impl Kept<'_> {
    /// Whether nobody but the key itself has made the number what it is.
    fn is_alone(&self, now: u64) -> bool {
        self.is_own && !self.set.has_guests(now)
    }
}

/// The longest that a place is kept for which there is nothing that would be too long.
const NEVER: u64 = u64::MAX;

/// The table of marks.
const MARKS: usize = TABLES;

/// 16 MiB a table, and 917,504 callers at once who have used up something.
const SETS: usize = 1 << 17;

#[cfg(test)]
pub(crate) mod tests;
