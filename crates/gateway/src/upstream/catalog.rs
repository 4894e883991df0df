//! The endpoints that discovery has found, service by service: the last good answer of each, which neither a failure nor an
//! empty answer takes away. Written by the control plane, read when a snapshot is put in force.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::EndpointSpec;
use crate::record::DiscoveryReading;

/// What was found for every service that looks for its endpoints.
#[derive(Debug, Default)]
pub struct Catalog {
    services: Mutex<BTreeMap<Arc<str>, Entry>>,
}

/// What was found for one service.
#[derive(Debug, Default)]
struct Entry {
    endpoints: Option<Arc<[EndpointSpec]>>,
    /// Whether its source would tell of a change at once.
    is_watched: bool,
    /// When the source last answered.
    answered_at: Option<Instant>,
    is_failing: bool,
    changes: u64,
    failures: u64,
}

/// What a good answer changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Endpoints that came.
    pub came: Vec<Arc<str>>,
    /// Endpoints that went.
    pub went: Vec<Arc<str>>,
    /// How many there are.
    pub count: usize,
}

impl Catalog {
    /// A source has answered, and `is_watched` says whether it will tell of a change at once. Whether it had been failing.
    pub fn answered(&self, service: &Arc<str>, is_watched: bool, now: Instant) -> bool {
        let mut services = self.lock();
        let entry = services.entry(Arc::clone(service)).or_default();
        entry.answered_at = Some(now);
        entry.is_watched = is_watched;
        std::mem::replace(&mut entry.is_failing, false)
    }

    /// A source has failed, or its answer is not to be believed. Whether it was well until now.
    pub fn failed(&self, service: &Arc<str>, now: Instant) -> bool {
        let mut services = self.lock();
        let entry = services.entry(Arc::clone(service)).or_default();
        if entry.is_watched {
            // Until now it would have told.
            entry.answered_at = Some(now);
        }
        entry.is_watched = false;
        entry.failures += 1;
        !std::mem::replace(&mut entry.is_failing, true)
    }

    /// A service has these endpoints. What that changes, if anything; in what order they are told means nothing.
    pub fn found(&self, service: &Arc<str>, mut endpoints: Vec<EndpointSpec>) -> Option<Difference> {
        endpoints.sort_by(|one, other| one.url.cmp(&other.url));
        endpoints.dedup_by(|one, other| one.url == other.url);
        let mut services = self.lock();
        let entry = services.entry(Arc::clone(service)).or_default();
        let before = entry.endpoints.as_deref().unwrap_or_default();
        if entry.endpoints.is_some() && before == endpoints {
            return None;
        }
        let urls = |all: &[EndpointSpec]| all.iter().map(|one| Arc::clone(&one.url)).collect::<HashSet<_>>();
        let (known, new) = (urls(before), urls(&endpoints));
        let difference = Difference {
            came: endpoints.iter().map(|one| &one.url).filter(|url| !known.contains(*url)).cloned().collect(),
            went: before.iter().map(|one| &one.url).filter(|url| !new.contains(*url)).cloned().collect(),
            count: endpoints.len(),
        };
        entry.endpoints = Some(endpoints.into());
        entry.changes += 1;
        Some(difference)
    }

    /// What was found for a service; nothing before the first good answer.
    pub fn endpoints(&self, service: &str) -> Option<Arc<[EndpointSpec]>> {
        self.lock().get(service)?.endpoints.clone()
    }

    /// Whether a service's source has answered or failed.
    pub fn has_tried(&self, service: &str) -> bool {
        self.lock().get(service).is_some_and(|entry| entry.endpoints.is_some() || entry.failures > 0)
    }

    /// Forgets services that look for no endpoints any more.
    pub fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        self.lock().retain(|service, _| is_wanted(service));
    }

    /// What is known of each, for the metrics.
    pub fn readings(&self, now: Instant) -> Vec<DiscoveryReading> {
        let services = self.lock();
        let readings = services.iter().map(|(service, entry)| DiscoveryReading {
            service: Arc::clone(service),
            endpoints: entry.endpoints.as_ref().map_or(0, |endpoints| endpoints.len()),
            age: match entry.answered_at {
                _ if entry.is_watched => Some(Duration::ZERO),
                at => at.map(|at| now.saturating_duration_since(at)),
            },
            changes: entry.changes,
            failures: entry.failures,
        });
        readings.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::values::EndpointUrl;

    fn endpoints(urls: &[&str]) -> Vec<EndpointSpec> {
        urls.iter().map(|url| EndpointSpec::new(&EndpointUrl::parse(url).unwrap(), 1)).collect()
    }

    #[test]
    fn an_answer_changes_something_only_when_it_differs() {
        let catalog = Catalog::default();
        let carts: Arc<str> = "carts".into();
        assert!(!catalog.has_tried("carts"));
        let first = catalog.found(&carts, endpoints(&["http://b:1", "http://a:1"])).unwrap();
        assert_eq!((first.came.len(), first.went.len(), first.count), (2, 0, 2));
        let before = catalog.endpoints("carts").unwrap();
        assert_eq!(catalog.found(&carts, endpoints(&["http://a:1", "http://b:1", "http://a:1"])), None);
        assert!(Arc::ptr_eq(&before, &catalog.endpoints("carts").unwrap()), "nothing is put in force anew");
        let second = catalog.found(&carts, endpoints(&["http://c:1", "http://a:1"])).unwrap();
        assert_eq!((&*second.came[0], &*second.went[0], second.count), ("http://c:1", "http://b:1", 2));
        let mut heavier = endpoints(&["http://c:1", "http://a:1"]);
        heavier[0].weight = 5;
        assert!(catalog.found(&carts, heavier).is_some(), "a weight is a change too");
    }

    #[test]
    fn a_failure_keeps_the_endpoints_and_lets_them_age() {
        let catalog = Catalog::default();
        let (carts, now): (Arc<str>, _) = ("carts".into(), Instant::now());
        assert!(catalog.failed(&carts, now));
        assert!(!catalog.failed(&carts, now), "it was failing already");
        assert!(catalog.has_tried("carts"));
        assert_eq!(catalog.readings(now)[0].age, None);
        assert!(catalog.answered(&carts, true, now));
        catalog.found(&carts, endpoints(&["http://a:1"]));
        let later = now + Duration::from_mins(1);
        assert_eq!(catalog.readings(later)[0].age, Some(Duration::ZERO), "it would have told");
        assert!(catalog.failed(&carts, later));
        assert_eq!(catalog.readings(later + Duration::from_secs(5))[0].age, Some(Duration::from_secs(5)));
        assert_eq!(catalog.endpoints("carts").unwrap().len(), 1);
        catalog.retain(|_| false);
        assert!(catalog.endpoints("carts").is_none());
    }
}
