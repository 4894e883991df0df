//! Quotas that all gateways of a fleet count together: each counts for itself, and says in Redis what is new, some times a second.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::Value;
use tokio::task::JoinSet;

use super::{Name, SharedBuckets};
use crate::clock;
use crate::quotas::{Book, Change, LONGEST_PERIOD, Quotas};

impl SharedBuckets {
    /// What settles the quotas that are shared, for the control plane to run; nothing when it was asked for before.
    pub fn settler(
        self: &Arc<Self>,
        quotas: &Arc<Quotas>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let is_first = !self.is_settling.swap(true, Ordering::AcqRel);
        let (this, quotas) = (Arc::downgrade(self), Arc::clone(quotas));
        is_first.then(|| Self::settle_always(this, quotas))
    }

    async fn settle_always(this: Weak<Self>, quotas: Arc<Quotas>) {
        let mut ticks = tokio::time::interval(SETTLED_EVERY);
        loop {
            ticks.tick().await;
            let Some(this) = this.upgrade() else { return };
            clock::refresh();
            this.settle(&quotas).await;
        }
    }

    /// Says what is new, and hears what others have counted. What finds no answer is said the next time.
    pub async fn settle(self: &Arc<Self>, quotas: &Quotas) {
        for book in quotas.books().into_iter().filter(|book| book.is_shared()) {
            let mut under_way = JoinSet::new();
            for change in book.changes() {
                if under_way.len() >= SETTLED_AT_ONCE {
                    under_way.join_next().await;
                }
                let name = self.name_of(&book, &change);
                if !self.redis.is_in_use(self.redis.slot(KIND, &name.digest)) {
                    continue;
                }
                under_way.spawn(Arc::clone(self).settle_one(name, change));
            }
            under_way.join_all().await;
        }
    }

    async fn settle_one(self: Arc<Self>, name: Name, change: Change) {
        let Change { known, used, .. } = change;
        let numbers = [known, used.saturating_sub(known), known.saturating_sub(used), KEPT_FOR];
        let (keys, slot) = ([self.redis.name(KIND, &name.digest)], self.redis.slot(KIND, &name.digest));
        if let Ok(Value::Int(total)) = self.redis.run(&self.settle, slot, &keys, &numbers).await
            && let Ok(total) = u64::try_from(total)
        {
            change.settled(total);
        }
    }

    /// Each period has a name of its own, so that gateways whose clocks differ do not mix them up.
    fn name_of(&self, book: &Book, change: &Change) -> Name {
        let (who, day) = (change.who.name(), change.day.to_be_bytes());
        let title = [&*book.title.place, &*book.title.name, change.who.kind(), &who].map(str::as_bytes);
        self.name(title.into_iter().chain([&day[..]]))
    }
}

/// What quotas are called there.
const KIND: &str = "quota:";
/// How often it is said what is new.
const SETTLED_EVERY: Duration = Duration::from_millis(250);
/// Accounts that are settled at once.
const SETTLED_AT_ONCE: usize = 256;
/// Seconds for which Redis keeps what was used: longer than the longest period.
const KEPT_FOR: u64 = (LONGEST_PERIOD as u64 + 2) * 86_400;
