//! `spike`: a rate that is kept at any moment, so that a service is not hit by bursts.
//!
//! What has come stands in [`Buckets`], which all workers and all snapshots share. Whoever is let through costs no allocation, unless
//! it goes by an expression.

use std::sync::Arc;

use http::StatusCode;

use crate::buckets::{Buckets, Rule};
use crate::clock::whole_seconds;
use crate::config;
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::{By, is_for, whose};
use crate::policies::{Policy, Step};
use crate::refusal::{Prepared, Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Spike {
    rule: Rule,
    by: By,
    when: Option<Expression>,
    /// What tells its buckets from those of others, whatever the numbers.
    place: u64,
    buckets: Arc<Buckets>,
    /// What a refused caller is told.
    refusal: Arc<Prepared>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

impl Spike {
    /// Compiles one that stands at this place, with its expressions. One whose expression is none has been refused before.
    pub fn new(
        config: &config::Spike,
        [by, when]: [Option<Expression>; 2],
        place: &str,
        buckets: Arc<Buckets>,
    ) -> Option<Self> {
        let rule = config.rule()?;
        buckets.reserve(rule);
        let whose_it_is = &config.by.value;
        Some(Self {
            rule,
            by: By::new(whose_it_is, by)?,
            when,
            place: buckets.identity(("spike", place, whose_it_is.to_string())),
            buckets,
            refusal: refusal(config, whose_it_is),
            summary: config.to_string(),
        })
    }
}

fn refusal(config: &config::Spike, whose_it_is: &config::LimitBy) -> Arc<Prepared> {
    let detail = format!(
        "too many requests {} come at once: they may come evenly, {}, and {} at a time; Retry-After says when to come back",
        whose(whose_it_is),
        config.limit,
        config.at_once()
    );
    Prepared::new(StatusCode::TOO_MANY_REQUESTS, "spike_arrested", Stage::Limit, &detail)
}

impl Policy for Spike {
    fn name(&self) -> &'static str {
        "spike"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if !is_for(self.when.as_ref(), exchange) {
            return Step::Continue;
        }
        let key = self.by.key(exchange, |way, of| self.buckets.caller(self.place, way, of));
        let Err(empty) = self.buckets.take(key, self.rule, 1, self.buckets.now()) else {
            return Step::Continue;
        };
        let refusal = Refusal::prepared(&self.refusal);
        Step::refuse(refusal.with_retry_after(whole_seconds(empty.wait).max(1)))
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

    fn compiled(text: &str, place: &str, buckets: &Arc<Buckets>) -> Spike {
        let config = load_text(&format!("defaults: {{ access: public, spike: {text} }}")).unwrap().0;
        let Some(Setting::On(spike)) = config.defaults.spike.as_deref() else { panic!("no spike") };
        Spike::new(spike, [None, None], place, Arc::clone(buckets)).unwrap()
    }

    #[test]
    fn what_comes_in_a_moment_may_come_at_once() {
        for (text, at_once) in [
            ("100/s", 10),
            ("5/s", 1),
            ("600/m", 1),
            ("{ limit: 600/m, smooth: 1s }", 10),
            ("{ limit: 100/s, smooth: 15ms }", 1),
            ("{ limit: 1000000/s, smooth: 60s }", 60_000_000),
        ] {
            assert_eq!(compiled(text, "a", &Arc::default()).rule.quota(), at_once, "{text}");
        }
    }

    #[test]
    fn it_is_the_same_whatever_its_numbers_and_another_elsewhere() {
        let buckets = Arc::new(Buckets::with_sets(1));
        let place = |text: &str, place: &str| compiled(text, place, &buckets).place;
        let before = place("5/s", "defaults");
        assert_eq!(place("{ limit: 9/m, smooth: 5s }", "defaults"), before);
        assert_ne!(place("5/s", "route a"), before);
        assert_ne!(place("{ limit: 5/s, by: ip }", "defaults"), before);
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_come_more_than_the_rate_and_one_moment(
            gaps in prop::collection::vec(prop_oneof![Just(0), 0..3_000_000_u64, 0..30_000_000_u64], 1..200),
        ) {
            let spike = compiled("{ limit: 500/s, smooth: 10ms }", "a", &Arc::new(Buckets::with_sets(1)));
            let key = spike.buckets.key("a");
            let mut now = 1_000_000_000_000;
            let mut let_through: Vec<u64> = Vec::new();
            for gap in gaps {
                now += gap;
                match spike.buckets.take(key, spike.rule, 1, now) {
                    Ok(_) => let_through.push(now),
                    // Who comes back when it is told to is let in.
                    Err(empty) => prop_assert!(spike.buckets.look(key, spike.rule, 1, now + empty.wait).is_ok()),
                }
            }
            for (first, from) in let_through.iter().enumerate() {
                for (count, until) in (1..).zip(&let_through[first..]) {
                    // One each 2 ms, and five at once.
                    prop_assert!(count <= 5 + (until - from) / 2_000_000, "{count} in {} ns", until - from);
                }
            }
        }
    }
}
