//! Buckets of tokens that all gateways of a fleet take from: they stand in Redis, and its clock is the only one that counts.
//!
//! A token is taken there, one question for each request ([`SharedBuckets::take`]), or here from a lease, a few tokens that were taken
//! there before ([`SharedBuckets::lease`]). `docs/decisions/0022-shared-limits.md` has the why.

mod apart;
mod lease;
mod leases;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use redis::Value;

use super::redis::{Redis, Unanswered};
use super::script::Script;
use super::slot::Slot;
use crate::buckets::{Empty, Pace};
use crate::config::values::Secret;

pub use lease::{Drawn, Lease};
use leases::Leases;

/// The buckets of a fleet.
#[derive(Debug)]
pub struct SharedBuckets {
    redis: Arc<Redis>,
    names: hmac::Key,
    take: Script,
    give: Script,
    /// Made when the first lease is asked for.
    leases: OnceLock<Leases>,
    is_kept: AtomicBool,
}

/// A bucket's name: the same for all gateways, and without their secret nobody can tell whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    digest: [u8; 16],
    /// Where it is kept.
    slot: Slot,
}

/// What Redis says to a question for tokens.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// So many were taken of each; nanoseconds until each bucket is full.
    Taken(u64, Vec<u64>),
    /// The bucket at this place has none.
    Empty(usize, Empty),
}

impl SharedBuckets {
    /// Those in this Redis: as they were before where it is the same.
    pub fn of(redis: &Arc<Redis>, secret: Option<&Secret>, before: Option<&Arc<Self>>) -> Arc<Self> {
        redis.fleet().join();
        match before {
            Some(before) if Arc::ptr_eq(&before.redis, redis) => Arc::clone(before),
            _ => Arc::new(Self {
                redis: Arc::clone(redis),
                names: hmac::Key::new(hmac::HMAC_SHA256, secret.map_or(b"", |key| key.expose().as_bytes())),
                take: Script::new(TAKE),
                give: Script::new(GIVE),
                leases: OnceLock::new(),
                is_kept: AtomicBool::new(false),
            }),
        }
    }

    /// What gives back leases that nobody uses, for the control plane to run; nothing when it was asked for before.
    pub fn keeper(self: &Arc<Self>) -> Option<impl Future<Output = ()> + Send + 'static> {
        let is_first = !self.is_kept.swap(true, Ordering::AcqRel);
        is_first.then(|| Self::keep(Arc::downgrade(self)))
    }

    /// The name of what these parts say together.
    pub fn name<'n>(&self, parts: impl IntoIterator<Item = &'n [u8]>) -> Name {
        let mut context = hmac::Context::with_key(&self.names);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        Name { digest, slot: self.redis.slot(KIND, &digest) }
    }

    /// Whether Redis is asked for it at all, or everybody goes without for now.
    pub fn is_in_use(&self, name: Name) -> bool {
        self.redis.is_in_use(name.slot)
    }

    /// How long Redis is waited for.
    pub fn timeout(&self) -> Duration {
        self.redis.timeout()
    }

    /// What one gateway may allow by itself.
    pub fn part(&self, pace: Pace) -> Pace {
        pace.part(self.redis.fleet().size())
    }

    /// Takes a token of each of these buckets or, where one has none, of none of them: then says which. Nanoseconds until each is full. It is one
    /// step for all that are in one slot. Those of other slots are asked at the same time, and what they gave goes back if any refuses.
    pub async fn take(
        self: &Arc<Self>,
        wanted: &[(Name, Pace)],
    ) -> Result<Result<Vec<u64>, (usize, Empty)>, Unanswered> {
        let is_one = |pair: &[(Name, Pace)]| pair[0].0.slot == pair[1].0.slot;
        if wanted.windows(2).all(is_one) {
            return Ok(match self.ask(1, wanted).await? {
                Verdict::Taken(_, full_in) => Ok(full_in),
                Verdict::Empty(at, empty) => Err((at, empty)),
            });
        }
        self.take_apart(wanted).await
    }

    /// Puts tokens back that were taken for nothing, as soon as that may be; nobody waits for it.
    pub fn give_back(self: &Arc<Self>, taken: Vec<(Name, Pace)>) {
        if !taken.is_empty() {
            let this = Arc::clone(self);
            tokio::spawn(
                async move { this.give(taken.into_iter().map(|(name, pace)| (name, pace, 1))).await },
            );
        }
    }

    /// Asks for tokens of buckets in one slot.
    async fn ask(&self, tokens: u64, of: &[(Name, Pace)]) -> Result<Verdict, Unanswered> {
        let slot = of.first().map_or(0, |(name, _)| name.slot);
        let keys: Vec<String> = of.iter().map(|(name, _)| self.key(*name)).collect();
        let paces = of.iter().flat_map(|(_, pace)| [pace.interval(), pace.span()]);
        let numbers: Vec<u64> = std::iter::once(tokens).chain(paces).collect();
        Verdict::read(&self.redis.run(&self.take, slot, &keys, &numbers).await?, of).ok_or(Unanswered)
    }

    /// Whoever gets no answer has lost them, until they come again by themselves.
    async fn give(&self, taken: impl Iterator<Item = (Name, Pace, u64)>) {
        let mut taken: Vec<_> = taken.collect();
        taken.sort_by_key(|(name, ..)| name.slot);
        let slots = taken.chunk_by(|(one, ..), (other, ..)| one.slot == other.slot);
        join_all(slots.map(|some| self.give_in_one(some))).await;
    }

    async fn give_in_one(&self, taken: &[(Name, Pace, u64)]) {
        let slot = taken.first().map_or(0, |(name, ..)| name.slot);
        let (keys, numbers): (Vec<_>, Vec<_>) =
            taken.iter().map(|(name, pace, tokens)| (self.key(*name), [*tokens, pace.interval()])).unzip();
        let _ = self.redis.run(&self.give, slot, &keys, numbers.as_flattened()).await;
    }

    fn key(&self, name: Name) -> String {
        self.redis.name(KIND, &name.digest)
    }
}

impl Verdict {
    fn read(answer: &Value, of: &[(Name, Pace)]) -> Option<Self> {
        let Value::Array(items) = answer else { return None };
        let number =
            |item: &Value| if let Value::Int(number) = item { u64::try_from(*number).ok() } else { None };
        let numbers: Vec<u64> = items.iter().map(number).collect::<Option<_>>()?;
        match numbers.split_first()? {
            (0, [tokens, full_in @ ..]) if full_in.len() == of.len() => {
                Some(Self::Taken(*tokens, full_in.to_vec()))
            }
            (place, &[wait, full_in]) => {
                let at = usize::try_from(*place).ok()?.checked_sub(1).filter(|at| *at < of.len())?;
                Some(Self::Empty(at, Empty { wait, full_in }))
            }
            _ => None,
        }
    }
}

/// What buckets are called there.
const KIND: &str = "limit:";
const TAKE: &str = include_str!("take.lua");
const GIVE: &str = include_str!("give.lua");
