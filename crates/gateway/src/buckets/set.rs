//! A few places for buckets, side by side: who owns which, and what is missing from each.
//!
//! The keys share a line of the cache that is hardly ever written, the times one that is. All is done by single atomic operations. Only
//! who takes a place over keeps others from doing the same, and these do not wait: they are guests meanwhile.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Two lines of the cache, which processors load together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Set {
    keys: [AtomicU64; WAYS],
    /// Until when a guest may owe something that only the place it was at knows of.
    guests_until: AtomicU64,
    due: [AtomicU64; WAYS],
    is_taken_over: AtomicBool,
}

/// The place that a key goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is its own.
    Own(usize),
    /// All are somebody else's, and not free.
    Guest(usize),
}

impl Set {
    /// The place of a key, where it has one.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|owner| owner.load(SeqCst) == key)
    }

    /// The place of a key, after it has taken one over if need be.
    #[inline]
    pub(super) fn stand(&self, key: u64, now: u64) -> Standing {
        match self.find(key).or_else(|| self.move_in(key, now)) {
            Some(way) => Standing::Own(way),
            None => Standing::Guest(home(key)),
        }
    }

    /// What a key without a place would find, that of a guest or a new one.
    pub(super) fn outlook(&self, key: u64, now: u64) -> u64 {
        let has_room = (0..WAYS).any(|way| self.due(way) <= now);
        if has_room { self.owed(key, now) } else { self.due(home(key)) }
    }

    #[inline]
    pub(super) fn due(&self, way: usize) -> u64 {
        self.due[way].load(SeqCst)
    }

    /// What stands at a key's own place. If that is long after it could be, the limit has become stricter since, and all is used
    /// up, but no more; what guests have taken stays.
    #[inline]
    pub(super) fn settle(&self, way: usize, longest: u64, now: u64) -> u64 {
        let due = self.due(way);
        if due <= longest.saturating_add(LAG) || self.has_guests(now) {
            return due;
        }
        match self.due[way].compare_exchange(due, longest, SeqCst, SeqCst) {
            Ok(_) => longest,
            Err(newer) => newer,
        }
    }

    /// Whether a guest may owe something.
    pub(super) fn has_guests(&self, now: u64) -> bool {
        self.guests_until.load(SeqCst) > now
    }

    /// Writes what is missing now, if nothing has changed in between.
    #[inline]
    pub(super) fn charge(&self, key: u64, standing: Standing, before: u64, after: u64) -> bool {
        let (Standing::Own(way) | Standing::Guest(way)) = standing;
        if let Standing::Guest(_) = standing {
            // First: nobody may forget of the guest what is not told yet.
            self.guests_until.fetch_max(after, SeqCst);
        }
        // If the place was taken over a moment ago, or the guest has got one, it pays there too.
        let is_still_so = || match standing {
            Standing::Own(way) => self.keys[way].load(SeqCst) == key,
            Standing::Guest(_) => self.find(key).is_none(),
        };
        self.due[way].compare_exchange(before, after, SeqCst, SeqCst).is_ok() && is_still_so()
    }

    /// Takes back a charge, if nothing has changed since.
    pub(super) fn restore(&self, standing: Standing, after: u64, before: u64) {
        let (Standing::Own(way) | Standing::Guest(way)) = standing;
        // Otherwise it stays charged, which is the stricter of the two.
        let _ = self.due[way].compare_exchange(after, before, SeqCst, SeqCst);
    }

    /// Puts something back at a key's own place, unless a guest has been there: what that owes must not shrink with it. Says whether
    /// anything was.
    pub(super) fn lower(&self, key: u64, now: u64, less: impl Fn(u64) -> u64) -> bool {
        while let Some(way) = self.find(key) {
            let before = self.due(way);
            let after = less(before);
            if after >= before || self.has_guests(now) {
                return false;
            }
            if self.due[way].compare_exchange(before, after, SeqCst, SeqCst).is_ok() {
                return true;
            }
        }
        false
    }

    /// Takes a place whose bucket is full. Nobody else does so in this set at the same time, or a key could get two.
    #[cold]
    fn move_in(&self, key: u64, now: u64) -> Option<usize> {
        if (0..WAYS).all(|way| self.due(way) > now) || self.is_taken_over.swap(true, SeqCst) {
            return None;
        }
        let way = self.find(key).or_else(|| {
            let from = home(key);
            (from..WAYS).chain(0..from).find(|way| self.take_over(*way, key, now))
        });
        self.is_taken_over.store(false, SeqCst);
        way
    }

    fn take_over(&self, way: usize, key: u64, now: u64) -> bool {
        if self.due(way) > now {
            return false;
        }
        // From here on its owner does not find it; what the owner charged before is seen, what it charges later it charges elsewhere.
        let owner = self.keys[way].swap(NOBODY, SeqCst);
        let due = self.due(way);
        let owed = self.owed(key, now).max(now);
        let is_free = due <= now && self.due[way].compare_exchange(due, owed, SeqCst, SeqCst).is_ok();
        self.keys[way].store(if is_free { key } else { owner }, SeqCst);
        if is_free && way != home(key) {
            // What the key has charged as a guest until it could find this place.
            let since = self.owed(key, now).saturating_sub(owed);
            if since > 0 {
                self.due[way].fetch_add(since, SeqCst);
            }
        }
        is_free
    }

    /// When the bucket of a key is full that has no place of its own: what it owes as a guest, at most.
    fn owed(&self, key: u64, now: u64) -> u64 {
        let until = self.guests_until.load(SeqCst);
        if until <= now { 0 } else { until.min(self.due(home(key))) }
    }
}

/// Where a key is a guest: always at the same place, or it could take from each in turn.
#[inline]
fn home(key: u64) -> usize {
    (key >> 32) as usize % WAYS
}

/// Places in a set.
const WAYS: usize = 7;

/// The key of no caller.
const NOBODY: u64 = 0;

/// Nanoseconds by which the clock of one worker may be behind another's, with much to spare: a minute.
const LAG: u64 = 60_000_000_000;
