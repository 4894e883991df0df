//! Nonces: what must be used once, by whoever it is used. Those that one worker has seen every worker must know, so that this is
//! the one table that workers share: see docs/decisions/0016-nonces.md.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::redis::Redis;

/// Where nonces are kept that were used.
#[derive(Debug, Clone, Default)]
pub struct Nonces {
    here: Arc<Table>,
    /// Where there is a fleet.
    redis: Option<Arc<Redis>>,
}

/// Why a nonce cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It was used before.
    Used,
    /// There is no room to keep it.
    Full,
    /// Those who know cannot be asked.
    Unknown,
}

/// What comes of using a nonce.
pub enum Use<'n> {
    /// It is known at once.
    Now(Result<(), Unusable>),
    /// Others have to be asked.
    Asked(Pin<Box<dyn Future<Output = Result<(), Unusable>> + 'n>>),
}

/// What tells a nonce of one caller from all others.
type Digest = [u8; 16];

impl Nonces {
    /// Those of this process, and of its fleet where it has one.
    #[must_use]
    pub fn with(&self, redis: Option<Arc<Redis>>) -> Self {
        Self { here: Arc::clone(&self.here), redis }
    }

    /// Uses a nonce of this owner, which nobody may use again before `until`. Times are seconds since the Unix epoch.
    pub fn spend(&self, owner: &str, nonce: &[u8], until: u64, now: u64) -> Use<'_> {
        let digest = digest(owner, nonce);
        match &self.redis {
            None => Use::Now(self.here.take(digest, until, now)),
            Some(redis) => {
                // Twice as long as needed: of two gateways one may have its clock behind.
                let seconds = until.saturating_sub(now).saturating_mul(2).max(1);
                Use::Asked(Box::pin(async move {
                    match redis.take("nonce:", &digest, seconds).await {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(Unusable::Used),
                        Err(_) => Err(Unusable::Unknown),
                    }
                }))
            }
        }
    }
}

fn digest(owner: &str, nonce: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in [owner.as_bytes(), b"\0", nonce] {
        context.update(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&context.finish().as_ref()[..16]);
    digest
}

/// The nonces of one process, in parts so that workers seldom meet.
#[derive(Debug)]
struct Table {
    parts: Box<[Mutex<Part>]>,
    /// Nonces that each part has room for.
    most: usize,
}

#[derive(Debug, Default)]
struct Part {
    known: HashSet<Digest>,
    /// The same, by when they may be forgotten.
    ending: BTreeMap<u64, Vec<Digest>>,
}

/// Parts of the table.
const PARTS: usize = 64;
/// Nonces of one process: some 250 MB when it is full, and none before they are used.
const MOST: usize = 4_000_000;
/// Nonces that one use forgets at most: nobody waits for more than that.
const FORGOTTEN_AT_ONCE: usize = 64;

impl Default for Table {
    fn default() -> Self {
        Self::new(MOST / PARTS)
    }
}

impl Table {
    fn new(most: usize) -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), most }
    }

    fn take(&self, digest: Digest, until: u64, now: u64) -> Result<(), Unusable> {
        let part = &self.parts[usize::from(digest[0]) % PARTS];
        // Nothing in there panics half-way.
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.forget(now);
        if part.known.contains(&digest) {
            return Err(Unusable::Used);
        }
        // What is not kept could be used again.
        if part.known.len() >= self.most {
            return Err(Unusable::Full);
        }
        part.known.insert(digest);
        part.ending.entry(until).or_default().push(digest);
        Ok(())
    }
}

impl Part {
    /// Forgets some of those that have ended.
    fn forget(&mut self, now: u64) {
        let mut left = FORGOTTEN_AT_ONCE;
        while left > 0
            && let Some(mut first) = self.ending.first_entry()
            && *first.key() <= now
        {
            let ended = first.get_mut();
            let kept = ended.len().saturating_sub(left);
            left -= ended.len() - kept;
            for digest in ended.drain(kept..) {
                self.known.remove(&digest);
            }
            if ended.is_empty() {
                first.remove();
            }
        }
        if self.known.is_empty() {
            self.known.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_part(number: u32) -> Digest {
        let mut digest = [0; 16];
        digest[1..5].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn a_nonce_is_used_once_until_it_has_ended() {
        let nonces = Nonces::default();
        let spend = |owner, nonce: &[u8], now| match nonces.spend(owner, nonce, now + 10, now) {
            Use::Now(result) => result,
            Use::Asked(_) => unreachable!("there is nobody to ask"),
        };
        assert_eq!(spend("a", b"one", 100), Ok(()));
        assert_eq!(spend("a", b"one", 100), Err(Unusable::Used));
        assert_eq!(spend("a", b"one", 109), Err(Unusable::Used));
        assert_eq!(spend("b", b"one", 100), Ok(()));
        assert_eq!(spend("a", b"two", 100), Ok(()));
        // What two of them say together is not the same.
        assert_eq!(spend("ab", b"c", 100), Ok(()));
        assert_eq!(spend("a", b"bc", 100), Ok(()));
        assert_eq!(spend("a", b"one", 110), Ok(()));
    }

    #[test]
    fn a_full_table_takes_nothing_and_has_room_again_when_some_have_ended() {
        let table = Table::new(100);
        for number in 0..100 {
            assert_eq!(table.take(of_part(number), 10 + u64::from(number % 2), 0), Ok(()), "{number}");
        }
        assert_eq!(table.take(of_part(100), 20, 9), Err(Unusable::Full));
        assert_eq!(table.take(of_part(3), 20, 9), Err(Unusable::Used));
        // Half of them have ended.
        for number in 100..150 {
            assert_eq!(table.take(of_part(number), 20, 10), Ok(()), "{number}");
        }
        assert_eq!(table.take(of_part(150), 20, 10), Err(Unusable::Full));
        assert_eq!(table.take(of_part(149), 30, 10), Err(Unusable::Used));
    }

    #[test]
    fn a_use_forgets_few_at_a_time_and_all_in_the_end() {
        let table = Table::new(1000);
        for number in 0..300 {
            table.take(of_part(number), 10, 0).expect("there is room");
        }
        let length = || table.parts[0].lock().expect("it is whole").known.len();
        assert_eq!(table.take(of_part(1000), 100, 50), Ok(()));
        assert_eq!(length(), 300 - FORGOTTEN_AT_ONCE + 1);
        for number in 1001..1005 {
            assert_eq!(table.take(of_part(number), 100, 50), Ok(()));
        }
        assert_eq!(length(), 5);
    }

    #[test]
    fn of_many_who_use_one_at_once_one_may() {
        let nonces = Nonces::default();
        let wins: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let uses = (0_u32..500).map(|number| nonces.spend("a", &number.to_be_bytes(), 10, 0));
                        uses.filter(|used| matches!(used, Use::Now(Ok(())))).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert_eq!(wins, 500);
    }
}
