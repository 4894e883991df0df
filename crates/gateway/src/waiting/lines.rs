//! Leaky buckets: requests that go one by one, each an interval after the one before, and those that wait in line for it.
//!
//! When the next may go stands in the table of [`Buckets`], as a bucket of one token; whoever finds nobody waiting takes it there,
//! without a lock. A line exists while somebody waits. Only its first looks at the clock: when its time has come it takes the token of
//! *that time*, however late it is, and tells the one behind; so nobody goes early, and who is late makes nobody else late.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::queue::{Queue, Ticket};
use crate::buckets::{Buckets, Key, Rule};
use crate::clock;

/// The lines of a process.
#[derive(Debug)]
pub struct Lines {
    buckets: Arc<Buckets>,
    parts: [Part; PARTS],
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Way {
    /// It goes.
    Free(Level),
    /// It waits.
    Wait(Place),
    /// As many wait as may.
    Full(Level),
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Requests that wait.
    pub waiting: usize,
    /// Nanoseconds until the next may go.
    pub next_in: u64,
}

/// A request that waits in line: it leaves when this is dropped.
#[derive(Debug)]
pub struct Place {
    lines: Arc<Lines>,
    key: Key,
    rule: Rule,
    ticket: Ticket,
    /// Told when it is the first.
    first: Option<oneshot::Receiver<()>>,
}

/// Some of the lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part {
    /// Lines that there are, or are about to be.
    count: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The number of the next that waits.
    ticket: u64,
    lines: HashMap<Key, Line>,
}

/// Those who wait for one bucket.
#[derive(Debug)]
struct Line {
    /// When its first may go.
    next: u64,
    /// What tells each that it is the first; the first has been told.
    queue: Queue<Option<oneshot::Sender<()>>>,
}

impl Lines {
    /// Lines that go by these buckets.
    pub fn new(buckets: Arc<Buckets>) -> Self {
        Self { buckets, parts: std::array::from_fn(|_| Part::default()) }
    }

    /// Goes, or waits where fewer than these do. The rule is a bucket of one token.
    #[inline]
    pub fn enter(self: &Arc<Self>, key: Key, rule: Rule, queue: usize, now: u64) -> Way {
        let part = self.part(key);
        if part.count.load(SeqCst) == 0
            && let Ok(taken) = self.buckets.take(key, rule, 1, now)
        {
            return Way::Free(Level { waiting: 0, next_in: taken.full_in });
        }
        self.enter_slowly(key, rule, queue, now)
    }

    /// Whether as many wait as may, without waiting.
    pub fn look(&self, key: Key, queue: usize, now: u64) -> Option<Level> {
        let part = self.part(key);
        if part.count.load(SeqCst) == 0 {
            return None;
        }
        let inner = part.lock();
        let line = inner.lines.get(&key)?;
        (line.queue.len() >= queue).then(|| line.level(now))
    }

    #[cold]
    fn enter_slowly(self: &Arc<Self>, key: Key, rule: Rule, queue: usize, now: u64) -> Way {
        let part = self.part(key);
        let mut inner = part.lock();
        let Inner { ticket, lines } = &mut *inner;
        // From here on who comes looks for a line, and does not go first.
        part.count.fetch_add(1, SeqCst);
        let line = match lines.entry(key) {
            Slot::Occupied(line) => {
                part.count.fetch_sub(1, SeqCst);
                line.into_mut()
            }
            Slot::Vacant(slot) => match self.buckets.take(key, rule, 1, now) {
                Err(empty) => {
                    slot.insert(Line { next: now.saturating_add(empty.wait), queue: Queue::default() })
                }
                Ok(taken) => {
                    part.count.fetch_sub(1, SeqCst);
                    return Way::Free(Level { waiting: 0, next_in: taken.full_in });
                }
            },
        };
        if line.queue.len() >= queue {
            return Way::Full(line.level(now));
        }
        let (tell, first) = if line.queue.is_empty() {
            (None, None)
        } else {
            let (tell, told) = oneshot::channel();
            (Some(tell), Some(told))
        };
        let number = *ticket;
        *ticket += 1;
        let ticket = line.queue.join(ALL, number, tell);
        Way::Wait(Place { lines: Arc::clone(self), key, rule, ticket, first })
    }

    fn part(&self, key: Key) -> &Part {
        &self.parts[key.part(PARTS)]
    }
}

impl Place {
    /// Waits until it may go.
    pub async fn turn(mut self) -> Level {
        if let Some(first) = self.first.take() {
            // Whoever waits is told in the end.
            let _ = first.await;
        }
        loop {
            match self.go(self.lines.buckets.now()) {
                Ok(level) => return level,
                Err(wait) => tokio::time::sleep(Duration::from_nanos(wait)).await,
            }
            clock::refresh();
        }
    }

    /// Goes, where it is the first; if it is too early, gives how long it has to wait.
    fn go(&self, now: u64) -> Result<Level, u64> {
        let part = self.lines.part(self.key);
        let mut inner = part.lock();
        let Some(line) = inner.lines.get_mut(&self.key) else { return Ok(Level { waiting: 0, next_in: 0 }) };
        if line.next > now {
            return Err(line.next - now);
        }
        // As of the time at which it should have gone: the one behind does not have to wait for what it is late.
        match self.lines.buckets.take(self.key, self.rule, 1, line.next) {
            Ok(taken) => line.next += taken.full_in,
            // Somebody went before there was a line to see, or the table is full and a stranger shares the bucket.
            Err(empty) => {
                line.next += empty.wait;
                return Err(line.next.saturating_sub(now));
            }
        }
        line.queue.leave(self.ticket);
        let level = line.level(now);
        self.call_next(inner);
        Ok(level)
    }

    fn leave(&self) {
        let mut inner = self.lines.part(self.key).lock();
        let Some(line) = inner.lines.get_mut(&self.key) else { return };
        let was_first = matches!(line.queue.leave(self.ticket), Some(None));
        if was_first {
            self.call_next(inner);
        }
    }

    /// Tells who is the first now, and ends the line where that is nobody.
    fn call_next(&self, mut inner: MutexGuard<'_, Inner>) {
        let first = inner.lines.get_mut(&self.key).and_then(|line| line.queue.first());
        let Some(first) = first else {
            inner.lines.remove(&self.key);
            self.lines.part(self.key).count.fetch_sub(1, SeqCst);
            return;
        };
        let tell = first.take();
        drop(inner);
        if let Some(tell) = tell {
            // Who has left in the meantime has told the one behind.
            let _ = tell.send(());
        }
    }
}

impl Line {
    fn level(&self, now: u64) -> Level {
        Level { waiting: self.queue.len(), next_in: self.next.saturating_sub(now) }
    }
}

impl Part {
    /// A line is whole after a panic too.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

const PARTS: usize = 64;

/// The one caller that all in a line count as: they go in the order in which they came.
const ALL: u64 = 0;

#[cfg(test)]
mod tests;
