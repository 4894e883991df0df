//! How many requests are under way for each key, over all workers, and those that wait for one of them to end.
//!
//! A count is one number in a table, together with whose it is: below the limit a request comes and goes by one atomic operation each.
//! A lock, one of thousands, is taken where a key is new, where its set has no place free, and where somebody has to wait.
//! `docs/decisions/0021-counts-beside-their-keys.md` has the why.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{Queue, Ticket};
use super::shares::Shares;

/// The counts of a process.
#[derive(Debug)]
pub struct Gates {
    hashes: RandomState,
    sets: Box<[Set]>,
}

/// What a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Requests under way at once, at least one and at most [`MOST_UNDER_WAY`].
    pub max: u32,
    /// Those that may wait.
    pub queue: usize,
}

/// A request that is under way: it counts until this is dropped.
#[derive(Debug)]
pub struct Held {
    gates: Arc<Gates>,
    key: u64,
    spot: Spot,
    part: Option<Part>,
}

/// A request that waits: it leaves when this is dropped.
#[derive(Debug)]
pub struct Waiting {
    gates: Arc<Gates>,
    key: u64,
    ticket: Ticket,
    turn: oneshot::Receiver<Held>,
}

/// What becomes of a request that may come in.
#[derive(Debug)]
pub enum Entry {
    /// It is under way.
    In(Held),
    /// It waits for another to end.
    Wait(Waiting),
}

/// As many are under way as may be, and as many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// One line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    /// In each of them whose it is, whether somebody waits, and how many are under way.
    places: [AtomicU64; WAYS],
    rest: Mutex<Option<Box<Rest>>>,
}

/// What is rare.
#[derive(Debug, Default)]
struct Rest {
    /// The number of the next that waits.
    ticket: u64,
    /// How many are under way for keys that found no place.
    beyond: HashMap<u64, u32>,
    crowds: HashMap<u64, Crowd>,
}

/// Those who wait for one key, and those who came since somebody did.
#[derive(Debug)]
struct Crowd {
    /// What no other crowd has.
    number: u64,
    spot: Spot,
    /// What the limit allows, as the last that came knew it.
    terms: Terms,
    queue: Queue<oneshot::Sender<Held>>,
    shares: Shares,
    /// How many had been let in when somebody waited last.
    busy: u64,
}

/// Whose share of which crowd a request is.
#[derive(Debug, Clone, Copy)]
struct Part {
    crowd: u64,
    caller: u64,
}

/// Where a key is counted. It stays there while the count is more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    Place(usize),
    Beyond,
}

/// Whom to tell once the lock is let go: who hears of it may come back at once.
#[derive(Default)]
struct News {
    /// It is their turn.
    granted: Vec<(oneshot::Sender<Held>, Spot, Part)>,
    /// Somebody else has their place. Being dropped tells them.
    removed: Option<oneshot::Sender<Held>>,
}

impl Default for Gates {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Gates {
    /// With so many sets of six places.
    pub fn with_sets(sets: usize) -> Self {
        Self { hashes: RandomState::new(), sets: (0..sets.max(1)).map(|_| Set::default()).collect() }
    }

    /// A key for something. None has a mark of nothing, as a free place has.
    #[inline]
    pub fn key(&self, of: impl Hash) -> u64 {
        self.hashes.hash_one(of) | 1 << 63
    }

    /// Comes in, or waits after others of this caller.
    #[inline]
    pub fn enter(
        self: &Arc<Self>,
        key: u64,
        terms: Terms,
        caller: impl FnOnce() -> u64,
    ) -> Result<Entry, Crowded> {
        let set = self.set(key);
        match set.find(key).filter(|way| set.count_in(*way, key, terms.max)) {
            Some(way) => Ok(Entry::In(self.held(key, Spot::Place(way), None))),
            None => self.enter_slowly(key, terms, caller()),
        }
    }

    #[cold]
    fn enter_slowly(self: &Arc<Self>, key: u64, terms: Terms, caller: u64) -> Result<Entry, Crowded> {
        let set = self.set(key);
        let mut news = News::default();
        let mut rest = set.lock();
        let rest_of_set = rest.get_or_insert_default();
        let entered = set.enter(rest_of_set, key, terms, caller, &mut news);
        drop(rest);
        self.tell(key, news);
        entered.map(|entered| match entered {
            Entered::In(spot, part) => Entry::In(self.held(key, spot, part)),
            Entered::Wait(ticket, turn) => {
                Entry::Wait(Waiting { gates: Arc::clone(self), key, ticket, turn })
            }
        })
    }

    #[inline]
    fn release(self: &Arc<Self>, key: u64, spot: Spot, part: Option<Part>) {
        let set = self.set(key);
        if let Spot::Place(way) = spot
            && set.count_out(way)
        {
            return;
        }
        let mut news = News::default();
        if let Some(rest) = set.lock().as_deref_mut() {
            set.add(rest, key, spot, -1);
            rest.ended(key, part);
            set.let_in(rest, key, &mut news);
            rest.forget(key);
        }
        self.tell(key, news);
    }

    fn leave(self: &Arc<Self>, key: u64, ticket: Ticket) {
        let set = self.set(key);
        let mut news = News::default();
        if let Some(rest) = set.lock().as_deref_mut()
            && let Some(crowd) = rest.crowds.get_mut(&key)
        {
            news.removed = crowd.queue.leave(ticket);
            set.let_in(rest, key, &mut news);
        }
        self.tell(key, news);
    }

    /// Who has left in the meantime gives back at once what is granted here.
    fn tell(self: &Arc<Self>, key: u64, news: News) {
        for (waiter, spot, part) in news.granted {
            drop(waiter.send(self.held(key, spot, Some(part))));
        }
    }

    fn held(self: &Arc<Self>, key: u64, spot: Spot, part: Option<Part>) -> Held {
        Held { gates: Arc::clone(self), key, spot, part }
    }

    #[inline]
    fn set(&self, key: u64) -> &Set {
        &self.sets[key as usize % self.sets.len()]
    }
}

/// What became of a request under the lock.
enum Entered {
    In(Spot, Option<Part>),
    Wait(Ticket, oneshot::Receiver<Held>),
}

impl Set {
    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
        self.places.iter().position(|place| mark(place.load(SeqCst)) == mark(key))
    }

    /// Counts one more, unless they are as many as may be, somebody waits, or the place has become another's.
    #[inline]
    fn count_in(&self, way: usize, key: u64, max: u32) -> bool {
        let more = |word: u64| {
            let has_room = mark(word) == mark(key) && word & CROWDED == 0 && count(word) < max;
            has_room.then_some(word + 1)
        };
        self.places[way].fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Counts one less, unless somebody waits for that.
    #[inline]
    fn count_out(&self, way: usize) -> bool {
        let less = |word: u64| (word & CROWDED == 0).then(|| word - 1);
        self.places[way].fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    fn enter(
        &self,
        rest: &mut Rest,
        key: u64,
        terms: Terms,
        caller: u64,
        news: &mut News,
    ) -> Result<Entered, Crowded> {
        let spot = self.settle(rest, key);
        if let Some(crowd) = rest.crowds.get_mut(&key) {
            // A reload may have changed them.
            crowd.terms = terms;
            crowd.shares.came(caller);
            self.let_in(rest, key, news);
        }
        let number = rest.ticket;
        let under_way = self.count(rest, key, spot);
        if let Some(crowd) = rest.crowds.get_mut(&key) {
            // Those who wait may not yet, or there is nobody.
            if let Some(part) = crowd.admit(caller, under_way) {
                self.add(rest, key, spot, 1);
                return Ok(Entered::In(spot, Some(part)));
            }
        } else {
            if self.admit(rest, key, spot, terms) {
                return Ok(Entered::In(spot, None));
            }
            if terms.queue == 0 {
                return Err(Crowded);
            }
            let mut shares = Shares::default();
            shares.came(caller);
            let crowd = Crowd { number, spot, terms, queue: Queue::default(), shares, busy: 0 };
            rest.crowds.insert(key, crowd);
        }
        let Some(crowd) = rest.crowds.get_mut(&key) else { return Err(Crowded) };
        match crowd.queue.len().cmp(&terms.queue) {
            Ordering::Less => {}
            Ordering::Equal => news.removed = Some(crowd.queue.make_room(caller).ok_or(Crowded)?),
            // A reload has made the queue shorter.
            Ordering::Greater => return Err(Crowded),
        }
        let (grant, turn) = oneshot::channel();
        let ticket = crowd.queue.join(caller, number, grant);
        rest.ticket += 1;
        Ok(Entered::Wait(ticket, turn))
    }

    /// Where a key is counted; a place is taken over for it where one counts nothing.
    fn settle(&self, rest: &mut Rest, key: u64) -> Spot {
        if rest.beyond.contains_key(&key) {
            return Spot::Beyond;
        }
        let own = |word: u64| (word & (CROWDED | COUNT) == 0).then_some(mark(key) << MARK_AT);
        let take = |way: &usize| self.places[*way].fetch_update(SeqCst, SeqCst, own).is_ok();
        match self.find(key).or_else(|| (0..WAYS).find(take)) {
            Some(way) => Spot::Place(way),
            None => Spot::Beyond,
        }
    }

    /// Counts one more, or sees to it that the next that goes is told that somebody waits.
    fn admit(&self, rest: &mut Rest, key: u64, spot: Spot, Terms { max, queue }: Terms) -> bool {
        match spot {
            Spot::Beyond => {
                let under_way = rest.beyond.entry(key).or_default();
                let has_room = *under_way < max;
                *under_way += u32::from(has_room);
                has_room
            }
            Spot::Place(way) => {
                let waits = |word: u64| (queue > 0).then_some(word | CROWDED);
                let change = |word: u64| if count(word) < max { Some(word + 1) } else { waits(word) };
                let before = self.places[way].fetch_update(SeqCst, SeqCst, change);
                before.is_ok_and(|word| count(word) < max)
            }
        }
    }

    /// Lets in those who wait and may, and ends a crowd in which nobody has for a while.
    fn let_in(&self, rest: &mut Rest, key: u64, news: &mut News) {
        loop {
            let Some(spot) = rest.crowds.get(&key).map(|crowd| crowd.spot) else { return };
            let under_way = self.count(rest, key, spot);
            let Some(crowd) = rest.crowds.get_mut(&key) else { return };
            if let Some((waiter, part)) = crowd.next(under_way) {
                self.add(rest, key, spot, 1);
                news.granted.push((waiter, spot, part));
                continue;
            }
            if crowd.is_over(under_way) {
                rest.crowds.remove(&key);
                if let Spot::Place(way) = spot {
                    self.places[way].fetch_and(!CROWDED, SeqCst);
                }
            }
            return;
        }
    }

    fn count(&self, rest: &Rest, key: u64, spot: Spot) -> u32 {
        match spot {
            Spot::Place(way) => count(self.places[way].load(SeqCst)),
            Spot::Beyond => rest.beyond.get(&key).copied().unwrap_or_default(),
        }
    }

    fn add(&self, rest: &mut Rest, key: u64, spot: Spot, change: i32) {
        match spot {
            Spot::Place(way) => {
                self.places[way].fetch_add(i64::from(change) as u64, SeqCst);
            }
            Spot::Beyond => {
                let under_way = rest.beyond.entry(key).or_default();
                *under_way = under_way.saturating_add_signed(change);
            }
        }
    }

    /// A count is whole after a panic too.
    fn lock(&self) -> MutexGuard<'_, Option<Box<Rest>>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    /// Lets in a request that comes now, where its caller may have another.
    fn admit(&mut self, caller: u64, under_way: u32) -> Option<Part> {
        self.shares.allow(caller, under_way, self.terms.max).then(|| {
            self.shares.let_in(caller);
            Part { crowd: self.number, caller }
        })
    }

    /// Lets in the next of those who wait.
    fn next(&mut self, under_way: u32) -> Option<(oneshot::Sender<Held>, Part)> {
        let Terms { max, .. } = self.terms;
        if under_way >= max {
            return None;
        }
        let (caller, waiter) = self.queue.next(|caller| self.shares.allow(caller, under_way, max))?;
        self.shares.let_in(caller);
        Some((waiter, Part { crowd: self.number, caller }))
    }

    /// Whether nobody waits, nor has since all have changed who were under way then: until that is so, it is worth knowing whose
    /// they are.
    fn is_over(&mut self, under_way: u32) -> bool {
        let Terms { max, queue } = self.terms;
        let now = self.shares.count();
        if !self.queue.is_empty() {
            self.busy = now;
            return false;
        }
        under_way == 0 || queue == 0 || now - self.busy >= u64::from(max)
    }
}

impl Rest {
    /// Takes a request off its caller's share.
    fn ended(&mut self, key: u64, part: Option<Part>) {
        if let Some(Part { crowd: number, caller }) = part
            && let Some(crowd) = self.crowds.get_mut(&key).filter(|crowd| crowd.number == number)
        {
            crowd.shares.ended(caller);
        }
    }

    /// Forgets a key of which nothing is under way.
    fn forget(&mut self, key: u64) {
        if self.beyond.get(&key) == Some(&0) {
            self.beyond.remove(&key);
        }
    }
}

impl Waiting {
    /// Waits until another has ended. Nothing comes out of it where somebody else got the place in the queue.
    pub async fn turn(&mut self) -> Result<Held, Crowded> {
        (&mut self.turn).await.map_err(|_| Crowded)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gates.leave(self.key, self.ticket);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gates.release(self.key, self.spot, self.part);
    }
}

/// What tells keys of one set apart.
#[inline]
fn mark(word: u64) -> u64 {
    word >> MARK_AT
}

#[inline]
fn count(word: u64) -> u32 {
    (word & COUNT) as u32
}

/// Requests under way at once, at most.
pub const MOST_UNDER_WAY: u32 = 1_000_000;

/// 256 KiB: 24,576 keys in places. Those beyond are counted under the lock of their set.
const SETS: usize = 1 << 12;
const WAYS: usize = 6;

/// From the lowest bit on a place has the count, whether somebody waits, and the mark of its key.
const COUNT: u64 = (1 << 20) - 1;
const CROWDED: u64 = 1 << 20;
const MARK_AT: u32 = 21;

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod tests;
