//! Limits that all gateways of a fleet count together: what is used up stands in Redis, and its clock is the only one that counts.
//!
//! A request takes it there, by one question ([`SharedBuckets::take`]), or of a bucket here from a lease, a few tokens that were taken
//! there before ([`SharedBuckets::lease`]). `docs/decisions/0022-shared-limits.md` has the why.

mod apart;
mod lease;
mod leases;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::join_all;
use redis::Value;

use super::quotas::Settling;
use super::redis::{NotRun, Redis, Unanswered};
use super::script::Script;
use super::slot::Slot;
use crate::buckets::{Difference, Empty, Returned, Rule};
use crate::config::values::Secret;

pub use lease::{Drawn, Lease};
use leases::Leases;

/// The buckets of a fleet.
#[derive(Debug)]
pub struct SharedBuckets {
    pub(super) redis: Arc<Redis>,
    names: hmac::Key,
    take: Scripts,
    give: Scripts,
    owe: Scripts,
    pub(super) settle: Script,
    /// Made when the first lease is asked for.
    leases: OnceLock<Leases>,
    is_kept: AtomicBool,
    pub(super) is_settling: AtomicBool,
    /// What tells it from all others, as Redis and [`crate::quotas::Quotas`] know it.
    pub(super) number: u64,
    /// Nothing while it is at work.
    pub(super) settling: Mutex<Option<Settling>>,
}

/// A script that counts.
#[derive(Debug)]
struct Scripts {
    all: Script,
    /// The same without windows, which buckets need not wait for.
    tokens: Script,
}

/// A bucket's name: the same for all gateways, and without their secret nobody can tell whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    pub(super) digest: [u8; 16],
    /// Where it is kept.
    pub(super) slot: Slot,
}

/// What a request takes of one limit.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Whose it is.
    pub name: Name,
    /// How it is counted.
    pub rule: Rule,
    /// How much.
    pub cost: u64,
}

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    /// For so many requests.
    requests: u64,
    /// What there is still of each limit; nothing for those whose server gave no answer, of which nothing was taken as far as is known.
    pub rest: Vec<Option<Rest>>,
}

/// What there is still of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rest {
    /// When it was taken, by the clock of the Redis that keeps it, in microseconds.
    pub at: u64,
    /// What is left.
    pub left: u64,
    /// Nanoseconds until all of it is there again.
    pub full_in: u64,
}

/// What Redis says to a question.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Granted(Granted),
    /// The limit at this place has not enough.
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
                take: Scripts::new(TAKE, TAKE_TOKENS),
                give: Scripts::new(GIVE, GIVE_TOKENS),
                owe: Scripts::new(OWE, OWE_TOKENS),
                settle: Script::new(SETTLE),
                leases: OnceLock::new(),
                is_kept: AtomicBool::new(false),
                is_settling: AtomicBool::new(false),
                number: random(),
                settling: Mutex::new(Some(Settling::default())),
            }),
        }
    }

    /// What tells it from all others; not zero.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What gives back leases that nobody uses, for the control plane to run; nothing when it was asked for before.
    pub fn keeper(self: &Arc<Self>) -> Option<impl Future<Output = ()> + Send + 'static> {
        let is_first = !self.is_kept.swap(true, AcqRel);
        is_first.then(|| Self::keep(Arc::downgrade(self)))
    }

    /// The name of what these parts say together.
    pub fn name<'n>(&self, parts: impl IntoIterator<Item = &'n [u8]>) -> Name {
        self.name_in(KIND, parts)
    }

    /// The same of another kind.
    pub(super) fn name_in<'n>(&self, kind: &str, parts: impl IntoIterator<Item = &'n [u8]>) -> Name {
        let mut context = hmac::Context::with_key(&self.names);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        Name { digest, slot: self.redis.slot(kind, &digest) }
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
    pub fn part(&self, rule: Rule) -> Rule {
        rule.part(self.redis.fleet().size())
    }

    /// Takes what a request wants of each limit or, where one has not enough, of none of them: then says which. It is one step for all that
    /// are in one slot, unless that is just moving. Those of other slots are asked at the same time, and what they gave goes back if any refuses.
    pub async fn take(
        self: &Arc<Self>,
        wanted: &[Wanted],
    ) -> Result<Result<Granted, (usize, Empty)>, Unanswered> {
        if wanted.windows(2).all(|pair| pair[0].name.slot == pair[1].name.slot) {
            match self.ask(1, wanted).await {
                Ok(Verdict::Granted(granted)) => return Ok(Ok(granted)),
                Ok(Verdict::Empty(at, empty)) => return Ok(Err((at, empty))),
                Err(NotRun::Unanswered) => return Err(Unanswered),
                Err(NotRun::HalfMoved) => {}
            }
        }
        self.take_apart(wanted).await
    }

    /// Puts back what was taken for nothing, each at its time, as soon as that may be; nobody waits for it.
    pub fn give_back(self: &Arc<Self>, taken: Vec<(Wanted, u64)>) {
        if !taken.is_empty() {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.give(taken).await });
        }
    }

    /// Has what was taken at this time cost more or less, as soon as that may be; nobody waits for it. What is more is taken also where it is
    /// not there. It is told once: a Redis that gives no answer may have counted it.
    pub fn charge(self: &Arc<Self>, name: Name, rule: Rule, at: u64, difference: Difference) {
        let told = match (rule, difference) {
            (_, Difference::More(0) | Difference::Less(Returned { count: 0, .. }))
            | (Rule::TokenBucket(_), Difference::Less(Returned { time: 0, .. })) => return,
            // Once as much as it is, as that is counted in nanoseconds.
            (Rule::TokenBucket(pace), Difference::Less(Returned { time, .. })) => {
                [BUCKET, 1, time, pace.span(), pace.longest()]
            }
            (_, Difference::More(cost) | Difference::Less(Returned { count: cost, .. })) => {
                Wanted { name, rule, cost }.numbers()
            }
        };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let scripts = if let Difference::More(_) = difference { &this.owe } else { &this.give };
            let (keys, numbers) = ([this.key(name)], [&[at][..], &told].concat());
            let tell = this.redis.run(scripts.of([rule]), name.slot, &keys, &numbers);
            if !this.is_back(name).await || tell.await.is_err() {
                this.redis.has_lost_charge();
            }
        });
    }

    /// Waits a while for a Redis that is in doubt, but nobody for that.
    async fn is_back(&self, name: Name) -> bool {
        let is_back = async {
            while !self.is_in_use(name) {
                tokio::time::sleep(LOOKED_AGAIN_AFTER).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_back).await.is_ok()
    }

    /// Asks for up to so many requests, which may be more than one where it is of one bucket only; of what is in one slot.
    async fn ask(&self, requests: u64, wanted: &[Wanted]) -> Result<Verdict, NotRun> {
        let slot = wanted.first().map_or(0, |wanted| wanted.name.slot);
        let (keys, numbers) = self.told(requests, wanted);
        let script = self.take.of(wanted.iter().map(|wanted| wanted.rule));
        let answer = self.redis.run(script, slot, &keys, &numbers).await?;
        Verdict::read(&answer, wanted.len()).ok_or(NotRun::Unanswered)
    }

    /// Whoever gets no answer has lost it, until it comes again by itself.
    async fn give(&self, mut taken: Vec<(Wanted, u64)>) {
        let place = |(wanted, at): &(Wanted, u64)| (wanted.name.slot, *at);
        taken.sort_by_key(place);
        let together = taken.chunk_by(|one, other| place(one) == place(other));
        let given = together.map(|some| async {
            if self.give_in_one(some).await == Err(NotRun::HalfMoved) {
                join_all(some.chunks(1).map(|one| self.give_in_one(one))).await;
            }
        });
        join_all(given).await;
    }

    async fn give_in_one(&self, taken: &[(Wanted, u64)]) -> Result<(), NotRun> {
        let Some((first, at)) = taken.first() else { return Ok(()) };
        let wanted: Vec<Wanted> = taken.iter().map(|(wanted, _)| *wanted).collect();
        let (keys, numbers) = self.told(*at, &wanted);
        let script = self.give.of(wanted.iter().map(|wanted| wanted.rule));
        self.redis.run(script, first.name.slot, &keys, &numbers).await.map(drop)
    }

    /// As the scripts are told.
    fn told(&self, first: u64, wanted: &[Wanted]) -> (Vec<String>, Vec<u64>) {
        let keys = wanted.iter().map(|wanted| self.key(wanted.name)).collect();
        (keys, std::iter::once(first).chain(wanted.iter().flat_map(|wanted| wanted.numbers())).collect())
    }

    fn key(&self, name: Name) -> String {
        self.redis.name(KIND, &name.digest)
    }
}

impl Scripts {
    fn new(all: &'static str, tokens: &'static str) -> Self {
        Self { all: Script::new(all), tokens: Script::new(tokens) }
    }

    /// The one for these limits.
    fn of(&self, rules: impl IntoIterator<Item = Rule>) -> &Script {
        if are_buckets(rules) { &self.tokens } else { &self.all }
    }
}

impl Wanted {
    /// As the scripts are told of it: how it is counted, what it costs, and the numbers of the limit.
    fn numbers(self) -> [u64; 5] {
        let (way, window) = match self.rule {
            Rule::TokenBucket(pace) => {
                return [BUCKET, self.cost, pace.interval(), pace.span(), pace.longest()];
            }
            Rule::FixedWindow(window) => (2, window),
            Rule::SlidingLog(window) => (3, window),
            Rule::SlidingCounter(window) => (4, window),
        };
        [way, self.cost, window.length() / MICROSECOND, window.count(), window.most()]
    }
}

impl Verdict {
    /// An answer about so many limits.
    fn read(answer: &Value, limits: usize) -> Option<Self> {
        let Value::Array(items) = answer else { return None };
        let number =
            |item: &Value| if let Value::Int(number) = item { u64::try_from(*number).ok() } else { None };
        let numbers: Vec<u64> = items.iter().map(number).collect::<Option<_>>()?;
        match numbers.split_first()? {
            (0, [at, requests, rest @ ..]) if rest.len() == 2 * limits => {
                let (pairs, _) = rest.as_chunks();
                let rest =
                    pairs.iter().map(|&[left, full_in]| Some(Rest { at: *at, left, full_in })).collect();
                Some(Self::Granted(Granted { requests: *requests, rest }))
            }
            (place, &[wait, full_in]) => {
                let at = usize::try_from(*place).ok()?.checked_sub(1).filter(|at| *at < limits)?;
                Some(Self::Empty(at, Empty { wait, full_in }))
            }
            _ => None,
        }
    }
}

/// A number that no other gateway has. Those without any randomness would have the same.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes).max(1)
}

fn are_buckets(rules: impl IntoIterator<Item = Rule>) -> bool {
    rules.into_iter().all(|rule| matches!(rule, Rule::TokenBucket(_)))
}

/// What limits are called there.
const KIND: &str = "limit:";
/// What the scripts call the way to count of a bucket.
const BUCKET: u64 = 1;
/// Nanoseconds of what the clock of Redis counts.
const MICROSECOND: u64 = 1000;
/// When it is looked again whether Redis answers again, of what is to be charged there, and for how long.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

const TAKE: &str = concat!(include_str!("bucket.lua"), include_str!("windows.lua"), include_str!("take.lua"));
const TAKE_TOKENS: &str = concat!(include_str!("bucket.lua"), include_str!("take.lua"));
const GIVE: &str = concat!(include_str!("bucket.lua"), include_str!("windows.lua"), include_str!("give.lua"));
const GIVE_TOKENS: &str = concat!(include_str!("bucket.lua"), include_str!("give.lua"));
const OWE: &str = concat!(include_str!("bucket.lua"), include_str!("windows.lua"), include_str!("owe.lua"));
const OWE_TOKENS: &str = concat!(include_str!("bucket.lua"), include_str!("owe.lua"));
const SETTLE: &str = include_str!("../quota.lua");
