//! Which endpoints take requests: what the process knows of each, shared by its workers without a lock.

mod eject;
mod look;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

pub use eject::{EjectRules, Ejected, Ejection, Reason};
pub use look::{EndpointLook, EndpointState, ServiceLook};

use super::breaker::{Breaker, State};
use super::tally::Tally;
use crate::record::{BreakerReading, EndpointReading, HealthReadings};

/// The share of its requests, in thousandths, that an endpoint gets when it comes back.
const FIRST_SHARE: u64 = 100;

/// What the process knows of its services' endpoints.
#[derive(Debug)]
pub struct Healths {
    services: Mutex<HashMap<Arc<str>, Weak<ServiceHealth>>>,
    began: Instant,
}

/// The endpoints of a service.
#[derive(Debug)]
pub struct ServiceHealth {
    name: Arc<str>,
    endpoints: Mutex<HashMap<Arc<str>, Weak<EndpointHealth>>>,
    breaker: Arc<Breaker>,
    /// From when times are counted.
    began: Instant,
}

/// One endpoint. It outlives snapshots as long as any has it.
#[derive(Debug)]
pub struct EndpointHealth {
    service: Arc<ServiceHealth>,
    url: Arc<str>,
    /// Failures, one after another.
    failures: AtomicU32,
    /// How often it was put out without having stayed in between.
    ejections: AtomicU32,
    /// Until when it is out, in milliseconds since the beginning; 0 when nothing is held against it.
    out_until: AtomicU64,
    /// Whether checks find that it is not well.
    is_down: AtomicBool,
    /// Its calls, where a share of them matters.
    tally: Tally,
    /// From when they count.
    counted_from: AtomicU64,
    /// Its own breaker, once it has had one.
    breaker: OnceLock<Arc<Breaker>>,
}

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests.
    In,
    /// It is coming back: it takes this share of them, in thousandths.
    Returning(u64),
    /// It takes none.
    Out,
}

impl Healths {
    /// Nothing is known at this time, from which times are counted.
    pub fn new(began: Instant) -> Self {
        Self { services: Mutex::default(), began }
    }

    /// What is known of a service.
    pub fn service(&self, name: &Arc<str>) -> Arc<ServiceHealth> {
        let mut services = lock(&self.services);
        make_room(&mut services);
        services.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let new = Arc::new(ServiceHealth {
                name: Arc::clone(name),
                endpoints: Mutex::default(),
                breaker: Arc::new(Breaker::new(self.began)),
                began: self.began,
            });
            services.insert(Arc::clone(name), Arc::downgrade(&new));
            new
        })
    }

    /// All services that are in use, by name.
    fn services(&self) -> Vec<Arc<ServiceHealth>> {
        let mut services: Vec<_> = lock(&self.services).values().filter_map(Weak::upgrade).collect();
        services.sort_by(|one, other| one.name.cmp(&other.name));
        services
    }

    /// How all of them stand, for the metrics.
    pub fn readings(&self, now: Instant) -> HealthReadings {
        let mut readings = HealthReadings::default();
        for service in self.services() {
            let mut endpoints = service.live();
            endpoints.sort_by(|one, other| one.url.cmp(&other.url));
            readings.endpoints.extend(endpoints.iter().map(|endpoint| EndpointReading {
                service: Arc::clone(&service.name),
                endpoint: Arc::clone(&endpoint.url),
                is_up: endpoint.standing(true, Duration::ZERO, now) != Standing::Out,
            }));
            readings.breakers.push(reading(&service, None, &service.breaker, now));
            for endpoint in &endpoints {
                let breaker = endpoint.known_breaker();
                readings
                    .breakers
                    .extend(breaker.map(|breaker| reading(&service, Some(endpoint), breaker, now)));
            }
        }
        readings
    }
}

fn reading(
    service: &ServiceHealth,
    endpoint: Option<&Arc<EndpointHealth>>,
    breaker: &Breaker,
    now: Instant,
) -> BreakerReading {
    let turns = breaker.turns();
    BreakerReading {
        service: Arc::clone(&service.name),
        endpoint: endpoint.map(|endpoint| Arc::clone(&endpoint.url)),
        state: match breaker.state(now) {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        },
        opened: turns.opened,
        closed: turns.closed,
    }
}

impl ServiceHealth {
    /// Its breaker, which is never opened where the configuration has no rules for it.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// What is known of one of its endpoints.
    pub fn endpoint(self: &Arc<Self>, url: &Arc<str>) -> Arc<EndpointHealth> {
        let mut endpoints = lock(&self.endpoints);
        make_room(&mut endpoints);
        endpoints.get(url).and_then(Weak::upgrade).unwrap_or_else(|| {
            let new = Arc::new(EndpointHealth {
                service: Arc::clone(self),
                url: Arc::clone(url),
                failures: AtomicU32::new(0),
                ejections: AtomicU32::new(0),
                out_until: AtomicU64::new(0),
                is_down: AtomicBool::new(false),
                tally: Tally::default(),
                counted_from: AtomicU64::new(0),
                breaker: OnceLock::new(),
            });
            endpoints.insert(Arc::clone(url), Arc::downgrade(&new));
            new
        })
    }

    fn live(&self) -> Vec<Arc<EndpointHealth>> {
        lock(&self.endpoints).values().filter_map(Weak::upgrade).collect()
    }

    fn millis(&self, now: Instant) -> u64 {
        // Never 0, which means that nothing is held against an endpoint.
        now.saturating_duration_since(self.began).as_millis() as u64 + 1
    }
}

impl EndpointHealth {
    /// The name of its service.
    pub fn service(&self) -> &str {
        &self.service.name
    }

    /// Its own breaker, of which there is none before it is first asked for.
    pub fn breaker(&self) -> &Arc<Breaker> {
        self.breaker.get_or_init(|| Arc::new(Breaker::new(self.service.began)))
    }

    /// Its own breaker, if it has ever had one.
    pub fn known_breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.get()
    }

    /// How it stands; what checks found holds where it `is_checked`.
    pub fn standing(&self, is_checked: bool, slow_start: Duration, now: Instant) -> Standing {
        if is_checked && self.is_down.load(Ordering::Relaxed) {
            return Standing::Out;
        }
        let out_until = self.out_until.load(Ordering::Relaxed);
        if out_until == 0 {
            return Standing::In;
        }
        let Some(back_for) = self.service.millis(now).checked_sub(out_until) else { return Standing::Out };
        let slow_start = slow_start.as_millis() as u64;
        if back_for < slow_start {
            return Standing::Returning(FIRST_SHARE + (1000 - FIRST_SHARE) * back_for / slow_start);
        }
        Standing::In
    }

    /// A number that is another one each time it comes back.
    pub fn comeback(&self) -> u64 {
        self.out_until.load(Ordering::Relaxed)
    }

    /// Whether checks find that it is not well.
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Checks have found that it is not well, or that it is again: then it comes back slowly.
    pub fn set_down(&self, is_down: bool, now: Instant) {
        let was_down = self.is_down.swap(is_down, Ordering::Relaxed);
        if was_down && !is_down {
            let now = self.service.millis(now);
            self.count_anew(now);
            self.out_until.store(now, Ordering::Relaxed);
        }
    }

    /// Nothing is held against it any more that calls have shown.
    pub fn pardon(&self) {
        self.count_anew(0);
        self.out_until.store(0, Ordering::Relaxed);
    }

    /// Forgets what calls have shown until then.
    fn count_anew(&self, from: u64) {
        self.failures.store(0, Ordering::Relaxed);
        self.counted_from.store(from, Ordering::Relaxed);
    }
}

/// Lets go of what nobody has any more, when a map would have to grow otherwise: at each look it would take the square of the time.
fn make_room<T>(map: &mut HashMap<Arc<str>, Weak<T>>) {
    if map.len() == map.capacity() {
        map.retain(|_, known| known.strong_count() > 0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
