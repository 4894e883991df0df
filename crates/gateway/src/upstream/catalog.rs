//! The endpoints that discovery has found, service by service: the last good answer of each, which neither a failure nor an
//! empty answer takes away. Written by the control plane, read when a snapshot is put in force.
//!
//! While a configuration is prepared a service may be looked for in two ways: what the new one finds is not for the old one,
//! and the new one may yet be refused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::discovery::Discovery;
use super::legacy::Legacy;
use super::{EndpointSpec, ServiceSpec};
use crate::record::DiscoveryReading;

/// What was found for every service that looks for its endpoints.
#[derive(Debug, Default)]
pub struct Catalog {
    /// That of the configuration in force comes first.
    services: Mutex<BTreeMap<Arc<str>, Vec<Entry>>>,
    /// What the process before this one had found.
    inherited: Mutex<Legacy>,
}

/// What is looked for, and how: what is found is only for services that look for the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Sought {
    /// Where.
    pub discovery: Arc<Discovery>,
    /// Whether the service can call endpoints that speak TLS.
    pub takes_tls: bool,
}

/// What was found in one way for one service.
#[derive(Debug)]
struct Entry {
    sought: Sought,
    endpoints: Option<Arc<[EndpointSpec]>>,
    /// Those that were found in the way before, until there are any.
    kept: Option<Arc<[EndpointSpec]>>,
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

impl Sought {
    /// What a service looks for, if anything.
    pub fn by(service: &ServiceSpec) -> Option<Self> {
        let discovery = Arc::clone(service.discovery.as_ref()?);
        Some(Self { discovery, takes_tls: service.tls.is_some() })
    }
}

impl Catalog {
    /// An empty one; services have what the process before this one had found until their sources answer.
    pub fn new(inherited: Legacy) -> Self {
        Self { services: Mutex::default(), inherited: Mutex::new(inherited) }
    }

    /// What is known, for the process that is to take over.
    pub fn legacy(&self, now: Instant) -> Legacy {
        let mut legacy = Legacy::default();
        for (service, entries) in &*lock(&self.services) {
            if let Some((entry, known)) = entries.first().and_then(|entry| Some((entry, entry.known()?))) {
                legacy.put(service, known, entry.last_answer(now), now);
            }
        }
        legacy
    }

    /// A search begins. What was found in another way stays beside it until [`Self::retain`]. Nothing is taken from a search
    /// that was not announced here, or is not wanted any more.
    pub fn expect(&self, service: &Arc<str>, sought: &Sought, now: Instant) {
        let mut services = lock(&self.services);
        let entries = services.entry(Arc::clone(service)).or_default();
        if entries.iter().any(|entry| entry.sought == *sought) {
            return;
        }
        // For the metrics it is one service.
        let before = entries.first();
        let (kept, answered_at) = match before {
            Some(entry) => (entry.known().cloned(), entry.last_answer(now)),
            None => lock(&self.inherited)
                .take(service, now)
                .map_or((None, None), |(endpoints, answered_at)| (Some(endpoints), answered_at)),
        };
        entries.push(Entry {
            sought: sought.clone(),
            endpoints: None,
            kept,
            is_watched: false,
            answered_at,
            is_failing: false,
            changes: before.map_or(0, |entry| entry.changes),
            failures: before.map_or(0, |entry| entry.failures),
        });
    }

    /// A source has answered, and `is_watched` says whether it will tell of a change at once. Whether it had been failing.
    pub fn answered(&self, service: &str, sought: &Sought, is_watched: bool, now: Instant) -> bool {
        let mut services = lock(&self.services);
        let Some(entry) = entry(&mut services, service, sought) else { return false };
        entry.answered_at = Some(now);
        entry.is_watched = is_watched;
        std::mem::replace(&mut entry.is_failing, false)
    }

    /// A source has failed, or its answer is not to be believed. Whether it was well until now.
    pub fn failed(&self, service: &str, sought: &Sought, now: Instant) -> bool {
        let mut services = lock(&self.services);
        let Some(entry) = entry(&mut services, service, sought) else { return false };
        if entry.is_watched {
            // Until now it would have told.
            entry.answered_at = Some(now);
        }
        entry.is_watched = false;
        entry.failures += 1;
        !std::mem::replace(&mut entry.is_failing, true)
    }

    /// A service has these endpoints. What that changes, if anything; in what order they are told means nothing.
    pub fn found(
        &self,
        service: &str,
        sought: &Sought,
        mut endpoints: Vec<EndpointSpec>,
    ) -> Option<Difference> {
        // Of two with one URL it is always the same one that stays, or each answer would be a change.
        endpoints.sort_by(|one, other| {
            let key = |one: &EndpointSpec| (Reverse(one.weight), one.tls_name.clone());
            one.url.cmp(&other.url).then_with(|| key(one).cmp(&key(other)))
        });
        endpoints.dedup_by(|one, other| one.url == other.url);
        let mut services = lock(&self.services);
        let entry = entry(&mut services, service, sought)?;
        if entry.endpoints.as_deref() == Some(&endpoints[..]) {
            return None;
        }
        let before = entry.known().map(|known| &**known).unwrap_or_default();
        let urls = |all: &[EndpointSpec]| all.iter().map(|one| Arc::clone(&one.url)).collect::<HashSet<_>>();
        let (known, new) = (urls(before), urls(&endpoints));
        let difference = Difference {
            came: endpoints.iter().map(|one| &one.url).filter(|url| !known.contains(*url)).cloned().collect(),
            went: before.iter().map(|one| &one.url).filter(|url| !new.contains(*url)).cloned().collect(),
            count: endpoints.len(),
        };
        entry.endpoints = Some(endpoints.into());
        entry.kept = None;
        entry.changes += 1;
        Some(difference)
    }

    /// What was found for a service; nothing before the first good answer.
    pub fn endpoints(&self, service: &str, sought: &Sought) -> Option<Arc<[EndpointSpec]>> {
        entry(&mut lock(&self.services), service, sought)?.endpoints.clone()
    }

    /// As [`Self::endpoints`]; before the first good answer what was found in another way before.
    pub fn known(&self, service: &str, sought: &Sought) -> Option<Arc<[EndpointSpec]>> {
        entry(&mut lock(&self.services), service, sought)?.known().cloned()
    }

    /// Whether a service's source has answered or failed.
    pub fn has_tried(&self, service: &str, sought: &Sought) -> bool {
        let mut services = lock(&self.services);
        entry(&mut services, service, sought)
            .is_some_and(|entry| entry.endpoints.is_some() || entry.is_failing)
    }

    /// Forgets what nobody looks for any more.
    pub fn retain(&self, is_wanted: impl Fn(&str, &Sought) -> bool) {
        lock(&self.services).retain(|service, entries| {
            entries.retain(|entry| is_wanted(service, &entry.sought));
            !entries.is_empty()
        });
    }

    /// What is known of each, for the metrics.
    pub fn readings(&self, now: Instant) -> Vec<DiscoveryReading> {
        let services = lock(&self.services);
        let first = services.iter().filter_map(|(service, entries)| Some((service, entries.first()?)));
        let readings = first.map(|(service, entry)| DiscoveryReading {
            service: Arc::clone(service),
            endpoints: entry.known().map_or(0, |endpoints| endpoints.len()),
            age: entry.last_answer(now).map(|at| now.saturating_duration_since(at)),
            changes: entry.changes,
            failures: entry.failures,
        });
        readings.collect()
    }
}

impl Entry {
    /// When its source last said how it is; one that is watched would tell of a change.
    fn last_answer(&self, now: Instant) -> Option<Instant> {
        if self.is_watched { Some(now) } else { self.answered_at }
    }

    fn known(&self) -> Option<&Arc<[EndpointSpec]>> {
        self.endpoints.as_ref().or(self.kept.as_ref())
    }
}

/// Each change is whole: a panic elsewhere leaves what is locked as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry<'s>(
    services: &'s mut BTreeMap<Arc<str>, Vec<Entry>>,
    service: &str,
    sought: &Sought,
) -> Option<&'s mut Entry> {
    services.get_mut(service)?.iter_mut().find(|entry| entry.sought == *sought)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Scheme;
    use crate::config::values::{EndpointUrl, Host};
    use crate::upstream::discovery::Source;

    fn endpoints(urls: &[&str]) -> Vec<EndpointSpec> {
        urls.iter().map(|url| EndpointSpec::new(&EndpointUrl::parse(url).unwrap(), 1)).collect()
    }

    fn by_file(path: &str) -> Sought {
        let source = Source::File { path: path.into() };
        Sought {
            discovery: Arc::new(Discovery { source, scheme: Scheme::Http, tls: None }),
            takes_tls: false,
        }
    }

    /// A catalog that expects endpoints of `carts` from a file.
    fn catalog() -> (Catalog, Arc<str>, Sought) {
        let (catalog, carts, file) = (Catalog::default(), "carts".into(), by_file("a"));
        catalog.expect(&carts, &file, Instant::now());
        (catalog, carts, file)
    }

    #[test]
    fn an_answer_changes_something_only_when_it_differs() {
        let (catalog, carts, file) = catalog();
        assert!(!catalog.has_tried("carts", &file));
        let first = catalog.found(&carts, &file, endpoints(&["http://b:1", "http://a:1"])).unwrap();
        assert_eq!((first.came.len(), first.went.len(), first.count), (2, 0, 2));
        let before = catalog.endpoints("carts", &file).unwrap();
        let same = endpoints(&["http://a:1", "http://b:1", "http://a:1"]);
        assert_eq!(catalog.found(&carts, &file, same), None);
        let after = catalog.endpoints("carts", &file).unwrap();
        assert!(Arc::ptr_eq(&before, &after), "nothing is put in force anew");
        let second = catalog.found(&carts, &file, endpoints(&["http://c:1", "http://a:1"])).unwrap();
        assert_eq!((&*second.came[0], &*second.went[0], second.count), ("http://c:1", "http://b:1", 2));
        let mut heavier = endpoints(&["http://c:1", "http://a:1"]);
        heavier[0].weight = 5;
        assert!(catalog.found(&carts, &file, heavier).is_some(), "a weight is a change too");
    }

    #[test]
    fn of_endpoints_with_one_url_the_same_stays_in_whatever_order_they_come() {
        let (catalog, carts, file) = catalog();
        let mut twins = endpoints(&["https://a:1", "https://a:1", "https://a:1"]);
        twins[0].tls_name = Some(Host::Name("x".to_owned()));
        twins[1].tls_name = Some(Host::Name("y".to_owned()));
        twins[2].weight = 0;
        assert!(catalog.found(&carts, &file, twins.clone()).is_some());
        for _ in 0..2 {
            twins.rotate_left(1);
            assert_eq!(catalog.found(&carts, &file, twins.clone()), None);
        }
        let kept = catalog.endpoints("carts", &file).unwrap();
        assert_eq!((kept[0].weight, kept[0].tls_name().to_string().as_str()), (1, "x"));
    }

    #[test]
    fn a_failure_keeps_the_endpoints_and_lets_them_age() {
        let ((catalog, carts, file), now) = (catalog(), Instant::now());
        assert!(catalog.failed(&carts, &file, now));
        assert!(!catalog.failed(&carts, &file, now), "it was failing already");
        assert!(catalog.has_tried("carts", &file));
        assert_eq!(catalog.readings(now)[0].age, None);
        assert!(catalog.answered(&carts, &file, true, now));
        catalog.found(&carts, &file, endpoints(&["http://a:1"]));
        let later = now + Duration::from_mins(1);
        assert_eq!(catalog.readings(later)[0].age, Some(Duration::ZERO), "it would have told");
        assert!(catalog.failed(&carts, &file, later));
        assert_eq!(catalog.readings(later + Duration::from_secs(5))[0].age, Some(Duration::from_secs(5)));
        assert_eq!(catalog.endpoints("carts", &file).unwrap().len(), 1);
        catalog.retain(|_, _| false);
        assert!(catalog.endpoints("carts", &file).is_none());
    }

    #[test]
    fn what_one_search_finds_is_not_for_those_who_look_elsewhere() {
        let ((catalog, carts, old), new, now) = (catalog(), by_file("b"), Instant::now());
        catalog.found(&carts, &old, endpoints(&["http://a:1"]));
        assert_eq!(catalog.found(&carts, &new, endpoints(&["http://x:1"])), None, "nobody announced it");
        catalog.expect(&carts, &new, now);
        assert!(!catalog.has_tried("carts", &new), "only the old source was asked yet");
        assert!(catalog.endpoints("carts", &new).is_none());
        assert_eq!(catalog.known("carts", &new).unwrap().len(), 1, "until there is better");
        let difference = catalog.found(&carts, &new, endpoints(&["http://b:1", "http://c:1"])).unwrap();
        assert_eq!((difference.came.len(), difference.went.len()), (2, 1));
        assert_eq!(catalog.endpoints("carts", &old).unwrap().len(), 1, "the new one may yet be refused");
        assert_eq!(catalog.readings(now)[0].endpoints, 1, "as is in force");
        catalog.retain(|_, sought| *sought == new);
        assert_eq!(catalog.found(&carts, &old, endpoints(&["http://x:1"])), None, "it is over");
        assert!(!catalog.failed(&carts, &old, now) && !catalog.answered(&carts, &old, true, now));
        assert_eq!(catalog.readings(now)[0].endpoints, 2);
        let with_tls = Sought { takes_tls: true, ..new };
        assert!(catalog.endpoints("carts", &with_tls).is_none(), "it would have found others");
    }
}
