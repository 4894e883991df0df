//! `throttle`: callers that are too fast wait until their time comes, and go on.
//!
//! The pace stands in [`Buckets`], as a bucket that may owe what comes in the longest wait, so that all workers and all snapshots know
//! it. How many wait stands in [`Gates`]. Whoever is not too fast costs no allocation, unless it goes by an expression.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::buckets::{Buckets, Key, Rule, Taken};
use crate::clock::whole_seconds;
use crate::config;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::{By, is_for, whose};
use crate::policies::{Policy, Step};
use crate::refusal::{Prepared, Refusal, Stage};
use crate::waiting::{Entry, Gates, Terms};

/// The compiled policy.
#[derive(Debug)]
pub struct Throttle {
    /// The bucket, with what may be owed.
    rule: Rule,
    /// Nanoseconds in which a bucket fills of which nothing is owed.
    span: u64,
    /// The longest wait, in nanoseconds.
    delay: u64,
    by: By,
    when: Option<Expression>,
    /// What tells its buckets from those of others, whatever the numbers.
    place: u64,
    buckets: Arc<Buckets>,
    /// Those who wait count as under way there.
    waiting: Arc<Gates>,
    queue: u32,
    /// What a refused caller is told.
    refusal: Arc<Prepared>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

impl Throttle {
    /// Compiles a throttle that stands at this place, with its expressions. One whose expression is none has been refused before.
    pub fn new(
        config: &config::Throttle,
        [by, when]: [Option<Expression>; 2],
        place: &str,
        buckets: Arc<Buckets>,
        waiting: Arc<Gates>,
    ) -> Option<Self> {
        let pace = config.pace()?;
        let rule = Rule::TokenBucket(pace.with_delay(*config.delay)?);
        buckets.reserve(rule);
        let config::Throttle { limit, queue, by: whose_it_is, .. } = config;
        let detail = format!(
            "requests {} come faster than {limit}, and as many wait as may ({queue}); try again in a moment",
            whose(&whose_it_is.value)
        );
        Some(Self {
            rule,
            span: pace.span(),
            delay: u64::try_from(config.delay.as_nanos()).ok()?,
            by: By::new(&whose_it_is.value, by)?,
            when,
            place: buckets.identity(("throttle", place, whose_it_is.value.to_string())),
            buckets,
            waiting,
            queue: *queue,
            refusal: Prepared::new(StatusCode::TOO_MANY_REQUESTS, "throttle_full", Stage::Limit, &detail),
            summary: config.to_string(),
        })
    }

    /// How long a request has to wait that comes now, in nanoseconds, and what it has taken.
    fn wait(&self, key: Key, now: u64) -> (u64, Option<Taken>) {
        match self.buckets.take(key, self.rule, 1, now) {
            Ok(taken) => (taken.full_in.saturating_sub(self.span), Some(taken)),
            // It is not owed as well: what is, is paid off when the longest wait is over.
            Err(_) => (self.delay, None),
        }
    }

    /// Has the request wait, unless as many do as may.
    fn hold_up(&self, key: Key, wait: u64, taken: Option<&Taken>) -> Step<'_> {
        let terms = Terms { max: self.queue, queue: 0 };
        let key = self.waiting.key((self.place, key));
        let Ok(Entry::In(held)) = self.waiting.enter(key, terms, || 0) else {
            if let Some(taken) = taken {
                self.buckets.give_back(taken);
            }
            return self.refuse();
        };
        let turn = async move {
            tokio::time::sleep(Duration::from_nanos(wait)).await;
            drop(held);
        };
        Step::queue(turn, |_, ()| Step::Continue)
    }

    /// All who wait now have gone when the longest wait is over.
    fn refuse(&self) -> Step<'_> {
        let refusal = Refusal::prepared(&self.refusal);
        Step::refuse(refusal.with_retry_after(whole_seconds(self.delay)))
    }
}

impl Policy for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if !is_for(self.when.as_ref(), exchange) {
            return Step::Continue;
        }
        let key = self.by.key(exchange, |way, of| self.buckets.caller(self.place, way, of));
        match self.wait(key, self.buckets.now()) {
            (0, _) => Step::Continue,
            (wait, taken) => self.hold_up(key, wait, taken.as_ref()),
        }
    }

    fn explain(&self) -> String {
        self.summary.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Setting, load_text};

    const MILLISECOND: u64 = 1_000_000;
    const LONG_AGO: u64 = 1_000_000_000_000;

    fn compiled(text: &str, place: &str, buckets: &Arc<Buckets>) -> Throttle {
        let config = load_text(&format!("defaults: {{ access: public, throttle: {text} }}")).unwrap().0;
        let Some(Setting::On(throttle)) = config.defaults.throttle.as_deref() else { panic!("no throttle") };
        let waiting = Arc::new(Gates::with_sets(1));
        Throttle::new(throttle, [None, None], place, Arc::clone(buckets), waiting).unwrap()
    }

    fn waits(throttle: &Throttle, at: u64, count: usize) -> Vec<u64> {
        let key = throttle.buckets.key("a");
        (0..count).map(|_| throttle.wait(key, LONG_AGO + at * MILLISECOND).0 / MILLISECOND).collect()
    }

    #[test]
    fn whoever_is_too_fast_waits_evenly_and_no_longer_than_the_delay() {
        let throttle = compiled("{ limit: 10/s, burst: 2, delay: 250ms }", "a", &Arc::default());
        assert_eq!(waits(&throttle, 0, 7), [0, 0, 100, 200, 250, 250, 250]);
        // A flood leaves no longer wait behind than its last request had.
        assert_eq!(waits(&throttle, 100, 2), [200, 250]);
        assert_eq!(waits(&throttle, 400, 2), [0, 100]);
        assert_eq!(waits(&throttle, 5000, 4), [0, 0, 100, 200]);
    }

    #[test]
    fn a_rate_slower_than_the_delay_holds_up_as_long_as_may_be() {
        let throttle = compiled("{ limit: 6/m, burst: 1, delay: 500ms }", "a", &Arc::default());
        assert_eq!(waits(&throttle, 0, 3), [0, 500, 500]);
        assert_eq!(waits(&throttle, 9600, 2), [400, 500]);
        assert_eq!(waits(&throttle, 25_000, 1), [0]);
    }

    #[test]
    fn a_throttle_is_the_same_whatever_its_numbers_and_another_elsewhere() {
        let buckets = Arc::new(Buckets::with_sets(1));
        let place = |text: &str, place: &str| compiled(text, place, &buckets).place;
        let before = place("5/s", "defaults");
        assert_eq!(place("{ limit: 9/m, burst: 3, delay: 5s, queue: 7 }", "defaults"), before);
        assert_ne!(place("5/s", "route a"), before);
        assert_ne!(place("{ limit: 5/s, by: route }", "defaults"), before);
    }

    proptest! {
        #[test]
        fn those_who_wait_go_as_evenly_as_the_rate_says(
            burst in 1..6_u64,
            delay in 1..400_u64,
            gaps in prop::collection::vec(prop_oneof![Just(0), 0..80_u64, 0..900_u64], 1..120),
        ) {
            let text = format!("{{ limit: 20/s, burst: {burst}, delay: {delay}ms }}");
            let throttle = compiled(&text, "a", &Arc::new(Buckets::with_sets(1)));
            let key = throttle.buckets.key("a");
            let plain = crate::buckets::Pace::new(20, Duration::from_secs(1), burst).unwrap();
            let (mut now, mut due) = (LONG_AGO, 0);
            for gap in gaps {
                now += gap * MILLISECOND;
                let (wait, taken) = throttle.wait(key, now);
                prop_assert!(wait <= delay * MILLISECOND);
                let has_token = plain.take(due, 1, now).is_ok();
                prop_assert_eq!(wait == 0, has_token, "only who is too fast waits");
                if taken.is_some() {
                    // A bucket of that rate has a token for it when it goes, and not a moment before.
                    prop_assert!(wait == 0 || plain.take(due, 1, now + wait - 1).is_err());
                    due = plain.take(due, 1, now + wait).unwrap();
                } else {
                    prop_assert_eq!(wait, delay * MILLISECOND);
                }
            }
            now += (delay + 50 * burst) * MILLISECOND;
            prop_assert_eq!(waits(&throttle, (now - LONG_AGO) / MILLISECOND, burst as usize), vec![0; burst as usize]);
        }
    }
}
