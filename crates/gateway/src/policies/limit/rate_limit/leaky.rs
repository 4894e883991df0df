//! `algorithm: leaky_bucket`: requests that go one by one, and wait in line for it.
//!
//! Who waits stands in [`Lines`], for all workers and over reloads. A request that has to wait takes of the other limits when it begins
//! to, and nothing of this one until it goes.

use std::sync::Arc;

use super::{Limit, RateLimit};
use crate::allowance::Allowance;
use crate::buckets::{Empty, Key};
use crate::clock::whole_seconds;
use crate::exchange::Exchange;
use crate::policies::Step;
use crate::waiting::{Level, Lines, Way};

/// The line of a limit.
#[derive(Debug)]
pub(super) struct Leaky {
    /// Requests that may wait.
    pub(super) queue: usize,
    pub(super) lines: Arc<Lines>,
}

impl RateLimit {
    /// Lets the request go, or has it wait. If it may not, it gives back what it has taken elsewhere.
    pub(super) fn line_up<'p>(
        &'p self,
        exchange: &mut Exchange,
        limit: &'p Limit,
        key: Key,
        give_back: impl FnOnce(),
    ) -> Step<'p> {
        let Some(Leaky { queue, lines }) = &limit.leaky else { return Step::Continue };
        match lines.enter(key, limit.rule, *queue, self.buckets.now()) {
            Way::Free(level) => {
                limit.went(exchange, level);
                Step::Continue
            }
            Way::Wait(place) => Step::queue(place.turn(), move |exchange, level| {
                limit.went(exchange, level);
                Step::Continue
            }),
            Way::Full(level) => {
                give_back();
                limit.refuse(exchange, limit.full(level), 0)
            }
        }
    }
}

impl Limit {
    /// Whether it is a line in which as many wait as may.
    pub(super) fn is_full(&self, key: Key, now: u64) -> Option<Empty> {
        let Leaky { queue, lines } = self.leaky.as_ref()?;
        lines.look(key, *queue, now).map(|level| self.full(level))
    }

    /// When somebody may come again, and when nobody waits any more.
    fn full(&self, level: Level) -> Empty {
        Empty { wait: level.next_in, full_in: self.drained_in(level) }
    }

    /// Tells what is left, where that is less than of the other limits.
    fn went(&self, exchange: &mut Exchange, level: Level) {
        let queue = self.leaky.as_ref().map_or(0, |leaky| leaky.queue);
        let left = queue.saturating_sub(level.waiting) as u64;
        let is_less = exchange.allowance.is_none_or(|least| left < least.left);
        if self.told.is_some() && is_less {
            let full_in = whole_seconds(self.drained_in(level).saturating_sub(self.late));
            exchange.allowance = Some(Allowance { limit: self.number, left, full_in });
        }
    }

    /// Nanoseconds until all who wait have gone, and one more could.
    fn drained_in(&self, level: Level) -> u64 {
        level.next_in.saturating_add(self.rule.span().saturating_mul(level.waiting as u64))
    }
}
