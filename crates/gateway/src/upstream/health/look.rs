//! How a service stands, for an operator who looks from outside: nothing is changed by looking, and an endpoint of which nobody
//! knows anything is up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::ServiceSpec;
use super::super::breaker::{State, Turns};
use super::{EndpointHealth, Healths, ServiceHealth, Standing, lock};

/// How a service stands.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceLook {
    /// Its breaker, where it has one.
    pub breaker: Option<(State, Turns)>,
    /// Its endpoints, in the order of the specification.
    pub endpoints: Vec<EndpointLook>,
}

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointLook {
    /// Its breaker, where each endpoint has one.
    pub breaker: Option<(State, Turns)>,
    /// In a word.
    pub state: EndpointState,
    /// For how much longer it is out, where that is known.
    pub out_for: Option<Duration>,
}

/// How an endpoint stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It takes requests.
    Up,
    /// It is coming back, and takes some of them.
    Returning,
    /// It failed too often, and takes none for a while.
    Out,
    /// Checks find that it is not well.
    Down,
}

/// A breaker that nobody has had a use for yet.
const UNTURNED: (State, Turns) = (State::Closed, Turns { opened: 0, closed: 0 });

impl Healths {
    /// How a service stands that is specified so.
    pub fn look(&self, spec: &ServiceSpec, now: Instant) -> ServiceLook {
        let service = lock(&self.services).get(&spec.name).and_then(std::sync::Weak::upgrade);
        let known = |url| service.as_deref().and_then(|service: &ServiceHealth| service.known(url));
        let has_breakers = spec.breaker.is_some_and(|rules| rules.is_per_endpoint);
        let endpoints = spec.endpoints.iter().map(|endpoint| {
            let health = known(&endpoint.url);
            let look = health.as_ref().map_or(EndpointLook::UP, |health| EndpointLook::of(health, spec, now));
            let breaker = health.as_ref().and_then(|health| health.known_breaker());
            let breaker = breaker.map_or(UNTURNED, |breaker| (breaker.state(now), breaker.turns()));
            EndpointLook { breaker: has_breakers.then_some(breaker), ..look }
        });
        let endpoints = endpoints.collect();
        let breaker = spec.breaker.filter(|rules| !rules.is_per_endpoint).map(|_| {
            let breaker = service.as_ref().map(|service| service.breaker());
            breaker.map_or(UNTURNED, |breaker| (breaker.state(now), breaker.turns()))
        });
        ServiceLook { breaker, endpoints }
    }
}

impl EndpointLook {
    const UP: Self = Self { breaker: None, state: EndpointState::Up, out_for: None };

    fn of(health: &EndpointHealth, spec: &ServiceSpec, now: Instant) -> Self {
        let is_checked = spec.health.is_some();
        if is_checked && health.is_down() {
            return Self { breaker: None, state: EndpointState::Down, out_for: None };
        }
        let slow_start = spec.eject.map_or(Duration::ZERO, |eject| eject.slow_start);
        match health.standing(is_checked, slow_start, now) {
            Standing::In => Self::UP,
            Standing::Returning(_) => Self { breaker: None, state: EndpointState::Returning, out_for: None },
            Standing::Out => {
                let until = health.out_until.load(Ordering::Relaxed);
                let left = until.saturating_sub(health.service.millis(now));
                Self { breaker: None, state: EndpointState::Out, out_for: Some(Duration::from_millis(left)) }
            }
        }
    }
}

impl ServiceHealth {
    fn known(&self, url: &Arc<str>) -> Option<Arc<EndpointHealth>> {
        lock(&self.endpoints).get(url)?.upgrade()
    }
}
