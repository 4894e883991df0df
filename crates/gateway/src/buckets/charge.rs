//! What a request costs where only its answer tells: more is taken than it took at first, or some of it is put back.
//!
//! More is taken also where it is not there, up to as much again as there may be ([`Rule::with_debt`]). Of what was too much nothing comes
//! back where callers share a place, which is the stricter of the two.

use std::convert::Infallible;

use super::{Buckets, Difference, Key, NEVER, Returned, Rule, log};

impl Buckets {
    /// Has a request of that time cost more than it took, or less.
    pub fn charge(&self, key: Key, rule: Rule, at: u64, difference: Difference, now: u64) {
        match difference {
            Difference::More(0) => {}
            Difference::More(more) => self.owe(key, rule, more, now),
            Difference::Less(returned) => self.put_back(key, rule, (returned, at), now),
        }
    }

    /// What was taken long ago is taken now: who comes at the end of a window pays for it in the next.
    fn owe(&self, key: Key, rule: Rule, more: u64, now: u64) {
        let places = self.places(rule);
        let Ok(_) = match rule {
            Rule::TokenBucket(pace) => {
                let longest = now.saturating_add(pace.longest());
                places.change(key, longest, now, |kept| Ok::<_, Infallible>(pace.owe(kept.number, more, now)))
            }
            Rule::FixedWindow(window) => {
                let first = window.end(now);
                places.change(key, NEVER, now, |kept| Ok(window.owe(kept.number, first, more)))
            }
            Rule::SlidingCounter(window) => {
                let ([current, _], first) = (key.pair(window, now), window.end(now) + window.length());
                places.change(current, NEVER, now, |kept| Ok(window.owe(kept.number, first, more)))
            }
            Rule::SlidingLog(window) => {
                log::owe(places, key, window, more, now);
                return;
            }
        };
    }

    /// Puts back what was taken then and not needed: to the window that they were taken of, if that still counts.
    pub fn put_back(&self, key: Key, rule: Rule, (returned, at): (Returned, u64), now: u64) {
        let places = self.places(rule);
        let Returned { count: less, time } = returned;
        match rule {
            Rule::TokenBucket(_) => {
                let lower = |due: u64| if due > now { due.saturating_sub(time) } else { due };
                places.set(key).lower(key.0, now, lower);
            }
            Rule::FixedWindow(window) => {
                let first = window.end(at);
                places.set(key).lower(key.0, now, |kept| window.return_to(kept, first, less));
            }
            Rule::SlidingCounter(window) => {
                let ([place, _], first) = (key.pair(window, at), window.end(at) + window.length());
                places.set(place).lower(place.0, now, |kept| window.return_to(kept, first, less));
            }
            Rule::SlidingLog(window) => log::put_back(places, key, window, (less, at), now),
        }
    }

    /// What is left, and the nanoseconds until all is there again.
    pub fn standing(&self, key: Key, rule: Rule, now: u64) -> (u64, u64) {
        let places = self.places(rule);
        match rule {
            Rule::TokenBucket(pace) => {
                let due = places.read(key, now.saturating_add(pace.longest()), now).number;
                (pace.left(due, now), due.saturating_sub(now))
            }
            Rule::FixedWindow(window) => {
                let end = window.end(now);
                let used = places.read(key, NEVER, now).number.saturating_sub(end);
                (window.count().saturating_sub(used), end - now)
            }
            Rule::SlidingCounter(window) => {
                let [current, before] = key.pair(window, now).map(|key| places.read(key, NEVER, now).number);
                (window.left(current, before, now), window.end(now) + window.length() - now)
            }
            Rule::SlidingLog(window) => log::standing(places, key, window, now),
        }
    }
}
