//! Which of several services answers: the requests of one route divided by weight, as a canary is let out.
//!
//! A choice by a value is rendezvous hashing, as among endpoints: a service whose weight grows takes callers from the others and
//! gives none away.

use std::sync::Arc;

use http1::Known;

use super::balance::{self, Random, StickyId};
use crate::exchange::Exchange;
use crate::expression::Expression;
use crate::snapshot::CallLimits;

/// The compiled split of a route.
#[derive(Debug)]
pub struct Split {
    /// The services, in the configuration's order.
    pub branches: Box<[Branch]>,
    /// What a choice goes by.
    pub by: SplitBy,
    /// A header whose value names the service.
    pub force: Option<Box<str>>,
}

/// One of the services.
#[derive(Debug)]
pub struct Branch {
    /// Its place in the snapshot.
    pub service: usize,
    /// Its name.
    pub name: Arc<str>,
    /// Its share of the requests beside the others'.
    pub weight: u32,
    /// Whether a caller keeps it.
    pub is_sticky: bool,
    /// What calls of it may take.
    pub limits: Arc<CallLimits>,
    /// How a cookie names it.
    pub id: StickyId,
    /// The hash of its name.
    pub hash: u64,
}

/// What a choice goes by.
#[derive(Debug)]
pub enum SplitBy {
    /// Chance, remembered in a cookie of this name.
    Cookie(Arc<str>),
    /// The value of a header.
    Header(Box<str>),
    /// The value of an expression.
    Key(Expression),
}

/// The choice for one request.
#[derive(Debug)]
pub struct Choice<'s> {
    /// The service.
    pub branch: &'s Branch,
    /// The cookie that the caller is to keep.
    pub cookie: Option<Box<str>>,
}

/// Names of services in one cookie, of several routes that each split among others.
const MOST_IDS: usize = 8;
const BETWEEN_IDS: u8 = b'.';

impl Split {
    /// Chooses for a request.
    pub fn choose(&self, random: &Random, exchange: &Exchange) -> Choice<'_> {
        let fields = &exchange.request.fields;
        let forced = self.force.as_ref().and_then(|name| fields.get_named(name.as_bytes()));
        if let Some(branch) = forced.and_then(|name| self.named(name)) {
            return branch.chosen();
        }
        let hash = match &self.by {
            SplitBy::Cookie(name) => return self.by_cookie(name, random, exchange),
            SplitBy::Header(name) => fields.get_named(name.as_bytes()).and_then(hash_of),
            SplitBy::Key(expression) => {
                exchange.evaluate_text(expression).and_then(|key| hash_of(key.as_bytes()))
            }
        };
        hash.and_then(|hash| self.owner(hash)).unwrap_or_else(|| self.draw(random)).chosen()
    }

    /// The service of this name, whatever its weight.
    pub fn named(&self, name: &[u8]) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.name.as_bytes() == name)
    }

    fn by_cookie(&self, name: &str, random: &Random, exchange: &Exchange) -> Choice<'_> {
        if !self.branches.iter().any(|branch| branch.is_sticky) {
            return self.draw(random).chosen();
        }
        let mut cookies = exchange.request.fields.get_all(Known::Cookie);
        let value =
            cookies.find_map(|field| balance::find_cookie(field, name.as_bytes())).unwrap_or_default();
        if let Some(branch) = self.kept(value) {
            return branch.chosen();
        }
        let branch = self.draw(random);
        let cookie = branch
            .is_sticky
            .then(|| balance::set_cookie(name, &self.with_id(value, branch), exchange.is_tls()).into());
        Choice { branch, cookie }
    }

    /// The service that a cookie of this value keeps its caller at.
    fn kept(&self, value: &[u8]) -> Option<&Branch> {
        let keeps = |branch: &&Branch, id| branch.is_sticky && branch.weight > 0 && branch.id == id;
        ids(value).find_map(|id| self.branches.iter().find(|branch| keeps(branch, id)))
    }

    /// The cookie's value with this service in it. What other routes remember there stays; what this one did is out of date.
    fn with_id(&self, value: &[u8], branch: &Branch) -> Vec<u8> {
        let is_ours = |id: &[u8]| self.branches.iter().any(|branch| branch.id == id);
        let others = ids(value).filter(|id| !is_ours(id)).take(MOST_IDS - 1);
        std::iter::once(&branch.id[..]).chain(others).collect::<Vec<_>>().join(&BETWEEN_IDS)
    }

    fn owner(&self, hash: u64) -> Option<&Branch> {
        let weighed = self.branches.iter().filter(|branch| branch.weight > 0);
        balance::owner(hash, weighed.map(|branch| (branch, branch.hash, branch.weight)))
    }

    fn draw(&self, random: &Random) -> &Branch {
        let total: u64 = self.branches.iter().map(|branch| u64::from(branch.weight)).sum();
        let mut lot = random.below(total);
        let drawn = self.branches.iter().find(|branch| {
            let is_it = lot < u64::from(branch.weight);
            lot = lot.saturating_sub(u64::from(branch.weight));
            is_it
        });
        // Weights that are all zero have been refused.
        drawn.unwrap_or(&self.branches[0])
    }
}

impl Branch {
    fn chosen(&self) -> Choice<'_> {
        Choice { branch: self, cookie: None }
    }
}

/// The hash of a value, if it says anything.
fn hash_of(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| balance::hash_bytes(value))
}

/// What a cookie's value is made of, other things left out.
fn ids(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_id = |id: &&[u8]| id.len() == size_of::<StickyId>() && id.iter().all(u8::is_ascii_hexdigit);
    value.split(|byte| *byte == BETWEEN_IDS).filter(is_id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::upstream::{Timeouts, retry};

    fn split(weights: &[u32]) -> Split {
        let second = Duration::from_secs(1);
        let limits = Arc::new(CallLimits {
            priority: crate::config::Priority::Normal,
            hedge: None,
            timeouts: Timeouts {
                connect: second,
                tls: None,
                first_byte: second,
                idle: second,
                total: second,
                tunnel_idle: second,
                tunnel_total: second,
            },
            retry: retry::Rules {
                attempts: 1,
                on_connect: false,
                on_reset: false,
                on_timeout: false,
                statuses: Box::default(),
                methods: Box::default(),
                budget: 0,
                backoff: second,
                timeout: None,
            },
        });
        let branch = |(service, weight): (usize, &u32)| {
            let name = format!("service-{service}");
            Branch {
                service,
                weight: *weight,
                is_sticky: true,
                limits: Arc::clone(&limits),
                id: balance::sticky_id(&[7; 16], &name),
                hash: balance::hash_bytes(name.as_bytes()),
                name: name.into(),
            }
        };
        let branches = weights.iter().enumerate().map(branch).collect();
        Split { branches, by: SplitBy::Cookie("tg".into()), force: None }
    }

    fn owners(split: &Split) -> Vec<usize> {
        let users = (0..4_000).filter_map(|user| hash_of(format!("user-{user}").as_bytes()));
        users.filter_map(|hash| split.owner(hash)).map(|branch| branch.service).collect()
    }

    #[test]
    fn values_and_chance_keep_to_the_weights() {
        let split = split(&[95, 5, 0]);
        let random = Random::new(1, 0);
        let drawn: Vec<usize> = (0..4_000).map(|_| split.draw(&random).service).collect();
        for chosen in [owners(&split), drawn] {
            let count = |service| chosen.iter().filter(|one| **one == service).count();
            assert_eq!(count(0) + count(1), 4_000, "who has no weight gets nobody");
            assert!((120..=280).contains(&count(1)), "{}", count(1));
        }
    }

    #[test]
    fn a_cookie_keeps_what_other_routes_remember() {
        let split = split(&[1, 1, 0]);
        let [first, second, drained] = [0, 1, 2].map(|place| &split.branches[place]);
        let other: StickyId = *b"0123456789abcdef";
        let value = split.with_id(&[&b"junk."[..], &other].concat(), first);
        assert_eq!(value, [&first.id[..], b".", &other].concat());
        assert_eq!(split.kept(&value).map(|branch| branch.service), Some(0));
        assert_eq!(split.with_id(&value, second), [&second.id[..], b".", &other].concat());
        assert!(split.kept(&drained.id).is_none(), "without a weight nobody is kept");
        assert!(split.kept(&other).is_none() && split.kept(b"").is_none() && split.kept(b"...").is_none());
        let many = vec![&other[..]; 50].join(&BETWEEN_IDS);
        assert_eq!(ids(&split.with_id(&many, first)).count(), MOST_IDS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_weight_that_grows_moves_callers_to_its_service_alone(
            weights in proptest::collection::vec(0_u32..=100, 2..6),
            place in 0_usize..6,
            more in 1_u32..100,
        ) {
            let place = place % weights.len();
            let mut grown = weights.clone();
            grown[place] += more;
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            for (before, after) in owners(&split(&weights)).into_iter().zip(owners(&split(&grown))) {
                prop_assert!(after == before || after == place, "from {before} to {after}, not to {place}");
            }
        }
    }
}
