//! `concurrency`: how many requests may be under way at once. One counts until its exchange ends, whatever comes of it.
//!
//! The counts stand in [`Gates`], which all workers and all snapshots share; here is whose count it is, and what callers are told.
//! Whoever is let in at once costs no allocation, unless the limit goes by an expression.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::clock::{self, Deadline};
use crate::config::{self, LimitBy};
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::limit_by::{By, whose};
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};
use crate::waiting::{Crowded, Entry, Gates, Terms};

/// The compiled policy.
#[derive(Debug)]
pub struct Concurrency {
    terms: Terms,
    /// Longest wait.
    patience: Duration,
    by: By,
    /// What tells its counts from those of other limits, whatever the numbers.
    place: u64,
    gates: Arc<Gates>,
    status: StatusCode,
    /// What is under way, for who is refused.
    under_way: Box<str>,
    /// What the operator wrote, for `tollgate explain`.
    summary: String,
}

impl Concurrency {
    /// Compiles a limit that stands at this place. One that goes by an expression which is none has been refused before.
    pub fn new(
        config: &config::Concurrency,
        expression: Option<Expression>,
        place: &str,
        gates: Arc<Gates>,
    ) -> Option<Self> {
        let by = &config.by.value;
        Some(Self {
            terms: Terms { max: config.max, queue: config.queue as usize },
            patience: *config.queue_for,
            by: By::new(by, expression)?.with_prefix(config.ipv6_prefix),
            place: gates.key((place, by.to_string())),
            gates,
            status: status(by),
            under_way: format!("as many requests {} are under way as may be ({})", whose(by), config.max)
                .into(),
            summary: config.to_string(),
        })
    }

    fn refuse(&self) -> Step<'_> {
        let detail = format!("{}; try again in a moment", self.under_way);
        self.refuse_with("concurrency_limited", detail)
    }

    fn give_up(&self) -> Step<'_> {
        let detail = format!("{}, and none ended in time; try again in a moment", self.under_way);
        self.refuse_with("concurrency_timeout", detail)
    }

    /// When one ends nobody knows: a second is the least that can be said.
    fn refuse_with(&self, code: &'static str, detail: String) -> Step<'_> {
        let refusal = Refusal::new(self.status, code, Stage::Limit, detail);
        Step::refuse(refusal.with_retry_after(1))
    }
}

impl Policy for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        let key = self.by.key(exchange, |way, of| self.gates.key((self.place, way, of)));
        let caller = || self.by.caller().key(exchange, |way, of| self.gates.key((way, of)));
        match self.gates.enter(key, self.terms, caller) {
            Ok(Entry::In(held)) => {
                exchange.under_way = Some(held);
                Step::Continue
            }
            Ok(Entry::Wait(mut waiting)) => {
                let deadline = Deadline::default();
                deadline.set(clock::now() + self.patience);
                let turn = async move { deadline.bound(waiting.turn()).await };
                Step::queue(turn, |exchange, turn| match turn {
                    Some(Ok(held)) => {
                        exchange.under_way = Some(held);
                        Step::Continue
                    }
                    Some(Err(Crowded)) => self.refuse(),
                    None => self.give_up(),
                })
            }
            Err(Crowded) => self.refuse(),
        }
    }

    fn explain(&self) -> String {
        self.summary.clone()
    }
}

/// A caller at its own limit sends too much (RFC 6585, section 4). At one that it shares with others it may have done nothing
/// amiss: what it asks for is busy (RFC 9110, section 15.6.4).
fn status(by: &LimitBy) -> StatusCode {
    match by {
        LimitBy::Plan | LimitBy::Device | LimitBy::Route | LimitBy::Api | LimitBy::Global => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::TOO_MANY_REQUESTS,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{Setting, load_text};

    const DEVICES: &str = "devices: { mobile: { user_agent: mobile } }\n";

    fn compiled(text: &str, place: &str, gates: &Arc<Gates>) -> Concurrency {
        let config =
            load_text(&format!("{DEVICES}defaults: {{ access: public, concurrency: {text} }}")).unwrap().0;
        let Some(Setting::On(limit)) = config.defaults.concurrency.as_deref() else { panic!("no limit") };
        Concurrency::new(limit, None, place, Arc::clone(gates)).unwrap()
    }

    #[test]
    fn who_shares_a_limit_is_told_that_others_have_the_room() {
        let gates = Arc::new(Gates::with_sets(1));
        for (text, status, expected) in [
            ("5", 503, "as many requests to this route are under way as may be (5)"),
            ("{ max: 5, by: api }", 503, "as many requests to this API are under way as may be (5)"),
            (
                "{ max: 5, by: global }",
                503,
                "as many requests of all callers together are under way as may be (5)",
            ),
            (
                "{ max: 5, by: device }",
                503,
                "as many requests from one kind of device are under way as may be (5)",
            ),
            ("{ max: 5, by: ip }", 429, "as many requests from one address are under way as may be (5)"),
            (
                "{ max: 5, by: 'header:X-A' }",
                429,
                "as many requests with one value of x-a are under way as may be (5)",
            ),
        ] {
            let policy = compiled(text, "defaults", &gates);
            assert_eq!((policy.status.as_u16(), &*policy.under_way), (status, expected), "{text}");
        }
    }

    #[test]
    fn a_limit_is_the_same_whatever_its_numbers_and_another_elsewhere() {
        let gates = Arc::new(Gates::with_sets(1));
        let place = |text: &str, place: &str| compiled(text, place, &gates).place;
        let before = place("5", "defaults");
        assert_eq!(place("{ max: 9, queue: 3, queue_for: 5s }", "defaults"), before);
        assert_ne!(place("5", "route a"), before);
        assert_ne!(place("{ max: 5, by: global }", "defaults"), before);
    }
}
