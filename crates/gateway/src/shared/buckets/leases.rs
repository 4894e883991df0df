//! The leases of a gateway: a table of fixed size that workers read without locks, and how its leases are filled and given back.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::lease::{Drawn, Lease};
use super::{Name, SharedBuckets, Verdict};
use crate::buckets::{Difference, Empty, Key, Pace, Returned, Rule};
use crate::clock;

/// The leases of a gateway.
#[derive(Debug)]
pub(super) struct Leases {
    places: Box<[ArcSwapOption<Lease>]>,
    began: Instant,
}

impl Leases {
    fn new() -> Self {
        Self { places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(), began: clock::refresh() }
    }

    fn now(&self) -> u64 {
        clock::now().saturating_duration_since(self.began).as_nanos() as u64
    }

    fn places_of(&self, key: u64) -> impl Iterator<Item = &ArcSwapOption<Lease>> {
        (0..WAYS).map(move |way| &self.places[(key as usize).wrapping_add(way) % PLACES])
    }

    fn find(&self, key: u64, pace: Pace) -> Option<Arc<Lease>> {
        self.places_of(key).find_map(|place| {
            let lease = place.load();
            lease.as_ref().filter(|lease| lease.key == key && lease.pace == pace).map(Arc::clone)
        })
    }

    /// A lease without tokens, where there is a place for it.
    fn open(&self, key: u64, name: Name, pace: Pace) -> Option<Arc<Lease>> {
        let new = Arc::new(Lease::new(key, name, pace, self.now()));
        self.places_of(key).find_map(|place| {
            let before = place.compare_and_swap(&None::<Arc<Lease>>, Some(Arc::clone(&new)));
            match before.as_ref() {
                None => Some(Arc::clone(&new)),
                // Another worker was first.
                Some(lease) => (lease.key == key && lease.pace == pace).then(|| Arc::clone(lease)),
            }
        })
    }
}

impl SharedBuckets {
    /// The lease of a bucket, new if need be; nothing where there is no place for another.
    pub fn lease(&self, key: Key, pace: Pace, name: impl FnOnce() -> Name) -> Option<Arc<Lease>> {
        let leases = self.leases.get_or_init(Leases::new);
        leases.find(key.number(), pace).or_else(|| leases.open(key.number(), name(), pace))
    }

    /// Takes so many tokens of a lease, and has more fetched when few are left. Nobody is waited for.
    pub fn draw(self: &Arc<Self>, lease: &Arc<Lease>, cost: u64) -> Drawn {
        let Some(leases) = self.leases.get() else { return Drawn::Ask };
        let now = leases.now();
        let drawn = lease.draw(cost, now);
        self.fill_if_low(lease, now);
        drawn
    }

    /// Puts tokens of a lease back that were taken for nothing.
    pub fn put_back(self: &Arc<Self>, lease: &Lease, cost: u64) {
        self.pass_on(lease, lease.put_back(cost));
    }

    /// Gives back what a lease may not hold.
    fn pass_on(self: &Arc<Self>, lease: &Lease, beyond: u64) {
        if beyond > 0 {
            self.give_back(vec![(lease.tokens(beyond), 0)]);
        }
    }

    fn fill_if_low(self: &Arc<Self>, lease: &Arc<Lease>, now: u64) {
        if self.is_in_use(lease.name)
            && let Some(tokens) = lease.wants(now)
        {
            tokio::spawn(Arc::clone(self).fill(Arc::clone(lease), tokens));
        }
    }

    /// Takes so many tokens of a lease that has not enough, when more have come; nothing where Redis gives no answer.
    pub async fn await_tokens(self: &Arc<Self>, lease: &Arc<Lease>, cost: u64) -> Option<Drawn> {
        let _waiting = Waiting::new(self, lease, cost);
        let failures = lease.failures.load(SeqCst);
        loop {
            // First, so that no answer is missed.
            let mut answered = std::pin::pin!(lease.answered.notified());
            answered.as_mut().enable();
            match self.draw(lease, cost) {
                // Redis may be in use, and yet have no answer about this one.
                Drawn::Ask if lease.failures.load(SeqCst) != failures => return None,
                Drawn::Ask if self.is_in_use(lease.name) => answered.await,
                Drawn::Ask => return None,
                drawn => return Some(drawn),
            }
        }
    }

    /// Has what was taken of a lease cost more or less. What a lease lacks or may not hold is a matter of Redis, and all of it where the lease
    /// has been given back since.
    pub fn charge_lease(self: &Arc<Self>, lease: &Lease, difference: Difference) {
        let Some(leases) = self.leases.get().filter(|_| difference != Difference::More(0)) else { return };
        let (known, rule) = (leases.find(lease.key, lease.pace), Rule::TokenBucket(lease.pace));
        match difference {
            Difference::More(more) => {
                let owed = known.as_ref().map_or(more, |known| known.pay(more));
                self.charge(lease.name, rule, 0, Difference::More(owed));
                if let Some(known) = known {
                    self.fill_if_low(&known, leases.now());
                }
            }
            // Tokens that it holds do not come by themselves.
            Difference::Less(Returned { count, time }) => {
                let count = known.map_or(count, |known| known.keep(count));
                let time = time.min(rule.returned(count).time);
                self.charge(lease.name, rule, 0, Difference::Less(Returned { count, time }));
            }
        }
    }

    async fn fill(self: Arc<Self>, lease: Arc<Lease>, tokens: u64) {
        let verdict = self.ask(tokens, &[lease.tokens(1)]).await;
        clock::refresh();
        let now = self.leases.get().map_or(0, Leases::now);
        match verdict {
            Ok(Verdict::Granted(granted)) => {
                let full_in = granted.rest.first().copied().flatten().map_or(0, |rest| rest.full_in);
                if granted.requests < tokens {
                    lease.is_short(0, full_in, now);
                }
                self.pass_on(&lease, lease.receive(granted.requests.min(tokens), full_in, now));
            }
            Ok(Verdict::Empty(_, Empty { wait, full_in })) => lease.is_short(wait, full_in, now),
            // Those who wait go without.
            Err(_) => drop(lease.failures.fetch_add(1, SeqCst)),
        }
        lease.has_asked();
    }

    /// Gives back what nobody has used for a while, as long as there is a handle; for the control plane to run.
    pub async fn keep(this: Weak<Self>) {
        let mut ticks = tokio::time::interval(SWEPT_EVERY);
        loop {
            ticks.tick().await;
            let Some(this) = this.upgrade() else { return };
            clock::refresh();
            this.sweep().await;
        }
    }

    async fn sweep(&self) {
        let Some(leases) = self.leases.get() else { return };
        let since = leases.now().saturating_sub(UNUSED_FOR);
        let mut given_back = Vec::new();
        for place in &leases.places {
            let lease = place.load();
            let Some(lease) = lease.as_ref() else { continue };
            let tokens = if let Some(tokens) = lease.give_up(since) {
                // Whoever has it in hand may still get tokens, which are lost with it.
                place.store(None);
                tokens
            } else {
                lease.settle()
            };
            if tokens > 0 {
                given_back.push((lease.tokens(tokens), 0));
            }
        }
        for some in given_back.chunks(GIVEN_AT_ONCE) {
            self.give(some.to_vec()).await;
        }
    }
}

/// One request that waits for so many tokens, as long as it does.
struct Waiting<'l> {
    fleet: &'l Arc<SharedBuckets>,
    lease: &'l Lease,
    cost: u64,
}

impl<'l> Waiting<'l> {
    fn new(fleet: &'l Arc<SharedBuckets>, lease: &'l Lease, cost: u64) -> Self {
        lease.waiting.fetch_add(cost, SeqCst);
        Self { fleet, lease, cost }
    }
}

impl Drop for Waiting<'_> {
    /// The client may have left; then what came for it is for others.
    fn drop(&mut self) {
        self.lease.waiting.fetch_sub(self.cost, SeqCst);
        self.fleet.pass_on(self.lease, self.lease.trim());
    }
}

/// Leases of a gateway: 512 KiB, and a lease has some 150 bytes.
const PLACES: usize = 1 << 16;
/// Places that a lease may have.
const WAYS: usize = 8;
/// How often it is looked for leases that nobody uses.
const SWEPT_EVERY: Duration = Duration::from_secs(1);
/// Nanoseconds after which nobody uses it.
const UNUSED_FOR: u64 = 1_000_000_000;
/// Buckets that are given to in one step.
const GIVEN_AT_ONCE: usize = 100;
