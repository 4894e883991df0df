//! Quotas that all gateways of a fleet count together: each counts for itself, and says in Redis what is new, some times a second.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use redis::Value;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{Name, SharedBuckets};
use crate::clock;
use crate::quotas::{Book, Change, LONGEST_PERIOD, Quotas, today};

/// What was said and has not been answered yet: it is said again as it was, and Redis adds it once.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// The number of what was said last.
    said: u64,
    unanswered: HashMap<Name, Said>,
    /// Whether all is to be said, as Redis may have forgotten it.
    has_doubt: bool,
    /// Connections that had been made when it last settled.
    connections: u64,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    number: u64,
    day: u32,
    known: u64,
    used: u64,
}

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
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 1_u64.. {
            ticks.tick().await;
            let Some(this) = this.upgrade() else { return };
            // Another fleet may be in force by now, and this one only have requests that began before.
            if !quotas.are_settled_by(this.number) {
                continue;
            }
            clock::refresh();
            let mut settling = this.settling().await;
            settling.has_doubt |= tick.is_multiple_of(TICKS_TO_TELL_ALL);
            this.settle_with(&mut settling, &quotas).await;
            if tick.is_multiple_of(TICKS_TO_SWEEP) {
                settling.unanswered.retain(|_, said| said.day + LONGEST_PERIOD >= today());
                quotas.books().iter().for_each(|book| book.sweep(today()));
            }
            this.put_down(settling);
        }
    }

    /// Says what is new, and hears what others have counted. What finds no answer is said the next time.
    pub async fn settle(self: &Arc<Self>, quotas: &Quotas) {
        let mut settling = self.settling().await;
        self.settle_with(&mut settling, quotas).await;
        self.put_down(settling);
    }

    /// One at a time settles.
    async fn settling(&self) -> Settling {
        loop {
            let taken = self.settling.lock().unwrap_or_else(PoisonError::into_inner).take();
            match taken {
                Some(settling) => return settling,
                None => tokio::time::sleep(LOOKED_AGAIN_AFTER).await,
            }
        }
    }

    fn put_down(&self, settling: Settling) {
        *self.settling.lock().unwrap_or_else(PoisonError::into_inner) = Some(settling);
    }

    async fn settle_with(self: &Arc<Self>, settling: &mut Settling, quotas: &Quotas) {
        // It may have come back without what it knew.
        let connections = self.redis.connections();
        settling.has_doubt |= std::mem::replace(&mut settling.connections, connections) != connections;
        let tells_all = settling.has_doubt && self.redis.is_up();
        settling.has_doubt &= !tells_all;
        for book in quotas.books().into_iter().filter(|book| book.is_shared()) {
            let mut under_way = JoinSet::new();
            for change in if tells_all { book.all(today()) } else { book.changes() } {
                let name = self.name_of(&book, &change);
                if !self.is_in_use(name) {
                    settling.has_doubt = true;
                    continue;
                }
                settling.said += 1;
                let Change { day, known, used, .. } = change;
                let new = Said { number: settling.said, day, known, used };
                let said = *settling.unanswered.entry(name).or_insert(new);
                if under_way.len() >= SETTLED_AT_ONCE {
                    settling.hear(under_way.join_next().await.and_then(Result::ok).flatten());
                }
                under_way.spawn(Arc::clone(self).say(name, said, change));
            }
            for answered in under_way.join_all().await {
                settling.hear(answered);
            }
        }
    }

    /// Whose it was, if it was answered.
    async fn say(self: Arc<Self>, name: Name, said: Said, change: Change) -> Option<Name> {
        let Said { number, known, used, .. } = said;
        let numbers =
            [self.number, number, known, used.saturating_sub(known), known.saturating_sub(used), KEPT_FOR];
        let keys = [self.redis.name(KIND, &name.digest)];
        let Ok(Value::Int(total)) = self.redis.run(&self.settle, name.slot, &keys, &numbers).await else {
            return None;
        };
        change.settled((known, used), u64::try_from(total).ok()?);
        Some(name)
    }

    /// Each period has a name of its own, so that gateways whose clocks differ do not mix them up.
    fn name_of(&self, book: &Book, change: &Change) -> Name {
        let (who, day) = (change.who.name(), change.day.to_be_bytes());
        let title = [&*book.title.place, &*book.title.name, change.who.kind(), &who].map(str::as_bytes);
        self.name_in(KIND, title.into_iter().chain([&day[..]]))
    }
}

impl Settling {
    /// What was answered is said no more.
    fn hear(&mut self, answered: Option<Name>) {
        match answered {
            Some(name) => drop(self.unanswered.remove(&name)),
            None => self.has_doubt = true,
        }
    }
}

/// What quotas are called there.
const KIND: &str = "quota:";
/// How often it is said what is new.
const SETTLED_EVERY: Duration = Duration::from_millis(250);
/// How often all is said, as nobody tells of a Redis that was emptied: every five minutes.
const TICKS_TO_TELL_ALL: u64 = 5 * 60 * 4;
/// How often accounts are looked through that are over: each hour.
const TICKS_TO_SWEEP: u64 = 60 * 60 * 4;
/// When it is looked again whether nobody else settles: at the process' end alone.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// Accounts that are settled at once.
const SETTLED_AT_ONCE: usize = 256;
/// Seconds for which Redis keeps what was used: longer than the longest period.
const KEPT_FOR: u64 = (LONGEST_PERIOD as u64 + 2) * 86_400;
