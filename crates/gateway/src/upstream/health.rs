//! Which endpoints take requests: what the process knows of each, shared by its workers without a lock, and passive ejection.
//!
//! An endpoint that fails several times in a row is put out for a while, each time for longer. When the while is over it gets
//! few requests at first, then more. It never happens to more than a share of a service's endpoints: where most fail the
//! fault may be elsewhere, and the others would break down under what is left.

mod look;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

pub use look::{EndpointLook, EndpointState, ServiceLook};

use super::breaker::{Breaker, State};
use crate::record::{BreakerReading, EndpointReading, HealthReadings};

/// When endpoints of a service are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectRules {
    /// After so many failures one after another.
    pub errors: u32,
    /// For how long, the first time.
    pub time: Duration,
    /// The share of the endpoints that may be out at once, in millionths.
    pub most: u32,
    /// For how long it gets fewer requests afterwards.
    pub slow_start: Duration,
}

/// How much longer than the first time an endpoint is put out at most.
const LONGEST: u32 = 10;
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
            let turns = service.breaker.turns();
            readings.breakers.push(BreakerReading {
                service: Arc::clone(&service.name),
                state: match service.breaker.state(now) {
                    State::Closed => 0,
                    State::HalfOpen => 1,
                    State::Open => 2,
                },
                opened: turns.opened,
                closed: turns.closed,
            });
        }
        readings
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
            self.failures.store(0, Ordering::Relaxed);
            self.out_until.store(self.service.millis(now), Ordering::Relaxed);
        }
    }

    /// Nothing is held against it any more that calls have shown.
    pub fn pardon(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.out_until.store(0, Ordering::Relaxed);
    }

    /// It answered as it should.
    pub fn succeeded(&self) {
        // Only read as a rule: what nobody writes to stays in every core's cache.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It failed, one of so many that serve. Whether it was put out for that, and for how long.
    pub fn failed(&self, rules: &EjectRules, serving: usize, now: Instant) -> Option<Duration> {
        let now_ms = self.service.millis(now);
        // What was under way when it was put out says nothing new; and where none may be out nothing is counted.
        let most = serving as u64 * u64::from(rules.most) / 1_000_000;
        if most == 0 || now_ms < self.out_until.load(Ordering::Relaxed) {
            return None;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < rules.errors {
            return None;
        }
        let endpoints = lock(&self.service.endpoints);
        let out_until = self.out_until.load(Ordering::Relaxed);
        if now_ms < out_until {
            // Another worker was faster.
            return None;
        }
        let is_out = |one: &Arc<EndpointHealth>| {
            one.is_down.load(Ordering::Relaxed) || now_ms < one.out_until.load(Ordering::Relaxed)
        };
        let out = endpoints.values().filter_map(Weak::upgrade).filter(is_out).count() as u64;
        if out >= most {
            // Not asked again for every failure of an outage.
            self.failures.store(0, Ordering::Relaxed);
            return None;
        }
        // Whoever stayed in for as long as the longest time begins anew.
        let longest = rules.time.saturating_mul(LONGEST).as_millis() as u64;
        let stayed = out_until == 0 || now_ms - out_until > longest;
        let ejections = if stayed { 1 } else { self.ejections.load(Ordering::Relaxed).saturating_add(1) };
        let time = rules.time.saturating_mul(ejections.min(LONGEST));
        self.ejections.store(ejections, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.out_until.store(now_ms.saturating_add(time.as_millis() as u64), Ordering::Relaxed);
        Some(time)
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
mod tests {
    use super::*;

    const RULES: EjectRules = EjectRules {
        errors: 3,
        time: Duration::from_secs(10),
        most: 500_000,
        slow_start: Duration::from_secs(10),
    };

    fn endpoints(healths: &Healths, count: usize) -> Vec<Arc<EndpointHealth>> {
        (0..count)
            .map(|place| healths.service(&"users".into()).endpoint(&format!("http://{place}").into()))
            .collect()
    }

    fn fail(endpoint: &EndpointHealth, serving: usize, times: u32, now: Instant) -> Option<Duration> {
        (0..times).filter_map(|_| endpoint.failed(&RULES, serving, now)).last()
    }

    #[test]
    fn failures_in_a_row_put_an_endpoint_out_for_longer_each_time() {
        let healths = Healths::new(Instant::now());
        let all = endpoints(&healths, 3);
        let mut now = Instant::now();
        assert_eq!(fail(&all[0], all.len(), 2, now), None);
        all[0].succeeded();
        assert_eq!(fail(&all[0], all.len(), 2, now), None, "not in a row");
        assert_eq!(fail(&all[0], all.len(), 1, now), Some(RULES.time));
        assert_eq!(all[0].standing(true, RULES.slow_start, now), Standing::Out);
        assert_eq!(all[1].standing(true, RULES.slow_start, now), Standing::In);
        for times in 2..=12 {
            now += RULES.time * LONGEST;
            assert_eq!(fail(&all[0], all.len(), 3, now), Some(RULES.time * times.min(LONGEST)), "{times}");
        }
        now += RULES.time * (2 * LONGEST + 1);
        assert_eq!(fail(&all[0], all.len(), 3, now), Some(RULES.time), "it had stayed in");
    }

    #[test]
    fn no_more_than_the_share_is_out_at_once() {
        let healths = Healths::new(Instant::now());
        let all = endpoints(&healths, 5);
        let now = Instant::now();
        assert!(fail(&all[0], all.len(), 3, now).is_some());
        assert!(fail(&all[1], all.len(), 3, now).is_some());
        assert_eq!(fail(&all[2], all.len(), 30, now), None, "three of five are more than half");
        let later = now + RULES.time;
        assert!(fail(&all[2], all.len(), 3, later).is_some(), "the others are back");
        let alone = endpoints(&Healths::new(Instant::now()), 1);
        assert_eq!(fail(&alone[0], 1, 30, now), None);
    }

    #[test]
    fn an_endpoint_that_comes_back_gets_more_and_more() {
        let healths = Healths::new(Instant::now());
        let all = endpoints(&healths, 2);
        let now = Instant::now();
        fail(&all[0], all.len(), 3, now);
        let after = |seconds| all[0].standing(true, RULES.slow_start, now + Duration::from_secs(seconds));
        assert_eq!(after(9), Standing::Out);
        assert_eq!(after(10), Standing::Returning(100));
        assert_eq!(after(15), Standing::Returning(550));
        assert_eq!(after(20), Standing::In);
        assert_eq!(all[0].standing(true, Duration::ZERO, now + RULES.time), Standing::In);
    }

    #[test]
    fn what_is_known_lasts_as_long_as_somebody_has_the_endpoint() {
        let healths = Healths::new(Instant::now());
        let now = Instant::now();
        let all = endpoints(&healths, 2);
        fail(&all[1], all.len(), 3, now);
        assert_eq!(endpoints(&healths, 2)[1].standing(true, Duration::ZERO, now), Standing::Out);
        let told = healths.readings(now).endpoints;
        let told: Vec<_> = told.iter().map(|one| (&*one.endpoint, one.is_up)).collect();
        assert_eq!(told, [("http://0", true), ("http://1", false)]);
        drop(all);
        assert_eq!(endpoints(&healths, 2)[1].standing(true, Duration::ZERO, now), Standing::In);
    }
}
