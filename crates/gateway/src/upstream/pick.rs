//! Which endpoint a call goes to, and what is told of it afterwards: to the balancer, to who puts endpoints out, to the breaker.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::adaptive::{Adaptive, Now};
use super::balance::{self, InFlight};
use super::breaker::{BreakerRules, Guards, Permit, Turn};
use super::health::{Ejected, Ejection, Standing};
use super::{Endpoint, Service};
use crate::clock;
use crate::notice::notice;

/// The endpoint that a call goes to.
#[derive(Debug)]
pub struct Picked {
    /// The endpoint.
    pub endpoint: Rc<Endpoint>,
    /// Its place in the service's list.
    pub index: usize,
    /// Counts the call among those in flight until it is dropped.
    pub in_flight: InFlight,
    /// Whether the client is to be given a cookie that leads it here again.
    pub set_sticky: bool,
    /// What learns from its latency.
    adaptive: Option<Rc<Adaptive>>,
    /// What may put the endpoint out.
    ejection: Option<Rc<Ejection>>,
    /// What the breaker of the service, or of the endpoint, gave.
    permit: RefCell<Option<Permit>>,
}

impl Picked {
    /// The same, with leave of the service's breaker.
    #[must_use]
    pub fn with_permit(self, permit: Option<Permit>) -> Self {
        if permit.is_some() {
            self.permit.replace(permit);
        }
        self
    }

    /// The head of its answer came so long after the request was sent.
    pub fn answered(&self, status: StatusCode, latency: Duration) {
        self.in_flight.answered(latency, clock::now());
        // What a service turns away itself it does so quickly that it tells nothing of its latency.
        let is_work = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
        if let Some(adaptive) = self.adaptive.as_ref().filter(|_| is_work) {
            adaptive.answered(latency, Now { instant: clock::now(), unix_ms: clock::unix_ms() });
        }
        if matches!(status.as_u16(), 502..=504) {
            return self.blame(latency);
        }
        if let Some(ejection) = &self.ejection {
            ejection.succeeded(&self.endpoint.health, self.index, clock::now());
        }
        self.tell_breaker(false, latency);
    }

    /// A connection that is passed on came about.
    pub fn reached(&self, latency: Duration) {
        self.answered(StatusCode::OK, latency);
    }

    /// Another endpoint was faster: it has taken at least so long, and may still be well.
    pub fn outrun(&self, latency: Duration) {
        self.in_flight.answered(latency, clock::now());
        let is_slow = self.permit.borrow().as_ref().is_some_and(|permit| permit.rules().is_slow(latency));
        if is_slow {
            self.tell_breaker(false, latency);
        }
    }

    /// It failed to answer, after so long.
    pub fn failed(&self, latency: Duration) {
        self.in_flight.failed(latency, clock::now());
        if let Some(adaptive) = &self.adaptive {
            adaptive.failed(latency, Now { instant: clock::now(), unix_ms: clock::unix_ms() });
        }
        self.blame(latency);
    }

    fn blame(&self, latency: Duration) {
        self.tell_breaker(true, latency);
        let endpoint = &self.endpoint;
        let Some(ejection) = &self.ejection else { return };
        if let Some(ejected) = ejection.failed(&endpoint.health, self.index, clock::now()) {
            endpoint.metrics.ejections.add(1);
            let Ejected { time, reason } = ejected;
            let service = endpoint.health.service();
            let url = &endpoint.spec.url;
            notice(format_args!("service {service}: {url} is out for {time:?}, {reason}"));
        }
    }

    fn tell_breaker(&self, failed: bool, latency: Duration) {
        let Some(permit) = self.permit.borrow_mut().take() else { return };
        let BreakerRules { open_for, is_per_endpoint, .. } = *permit.rules();
        let Some(turn) = permit.ended(failed, latency, clock::now()) else { return };
        let service = self.endpoint.health.service();
        let (colon, url) = if is_per_endpoint { (": ", &*self.endpoint.spec.url) } else { ("", "") };
        match turn {
            Turn::Opened(reason) => {
                notice(format_args!(
                    "service {service}{colon}{url} is not called for {open_for:?}, {reason}"
                ));
            }
            Turn::Closed => {
                notice(format_args!("service {service}{colon}{url} is called as usual again"));
            }
        }
    }
}

/// Why no endpoint is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// A breaker is open, for so long yet.
    Until(Duration),
    /// None takes requests.
    NoEndpoint,
}

impl Service {
    /// Chooses an endpoint, none of those already `tried`. Nobody is sent to queue at a full one while another has
    /// room, unless a cookie binds the client to it; nobody to one that is out while another is not, and nobody to one whose
    /// breaker is open.
    pub fn pick(
        &self,
        hash: Option<u64>,
        sticky: Option<&[u8]>,
        tried: &[usize],
        now: Instant,
    ) -> Result<Picked, Unavailable> {
        let ask = balance::Ask { hash, sticky, again: !tried.is_empty(), now };
        let mut refused = Vec::new();
        loop {
            let pick = self.choose(&ask, tried, &refused).ok_or_else(|| self.unavailable(now))?;
            let Ok(permit) = self.guards.admit_to(pick.index, now) else {
                // As many as may try it do, on other workers too.
                refused.push(pick.index);
                continue;
            };
            let endpoint = Rc::clone(&self.endpoints[pick.index]);
            let in_flight = endpoint.load.begin();
            return Ok(Picked {
                endpoint,
                index: pick.index,
                in_flight,
                set_sticky: pick.set_sticky,
                adaptive: self.adaptive.clone(),
                ejection: self.ejection.clone(),
                permit: RefCell::new(permit),
            });
        }
    }

    fn choose(&self, ask: &balance::Ask<'_>, tried: &[usize], refused: &[usize]) -> Option<balance::Pick> {
        let now = ask.now;
        let is_called = |index| !refused.contains(&index) && self.guards.may_admit_to(index, now);
        // Who comes for a certain endpoint is not sent elsewhere while it warms up.
        let is_bound = ask.hash.is_some() || ask.sticky.is_some();
        let takes = |index| {
            let is_in = match self.standing(index, now) {
                Standing::In => true,
                Standing::Returning(share) => is_bound || self.memory.random.below(1000) < share,
                Standing::Out => false,
            };
            is_in && is_called(index)
        };
        let is_in = |index| self.standing(index, now) != Standing::Out && is_called(index);
        let mut has_room =
            |index: usize| self.endpoints[index].pool.has_room() && !tried.contains(&index) && takes(index);
        let mut pick = if ask.sticky.is_none() { self.balancer.pick(ask, &mut has_room) } else { None };
        let mut later: [&mut dyn FnMut(usize) -> bool; 3] = [
            &mut |index| !tried.contains(&index) && takes(index),
            &mut |index| !tried.contains(&index) && is_in(index),
            // Only when all are out: one that failed this request is better than one that is known to.
            &mut |index| tried.is_empty() && !self.spec.fails_when_all_down && is_called(index),
        ];
        for usable in &mut later {
            if pick.is_none() {
                pick = self.balancer.pick(ask, usable);
            }
        }
        pick
    }

    /// Why none is chosen. Where breakers are open: until the first of them lets calls try it.
    fn unavailable(&self, now: Instant) -> Unavailable {
        let Guards::Endpoints(guards) = &self.guards else { return Unavailable::NoEndpoint };
        let serving = guards.iter().zip(&*self.spec.endpoints).filter(|(_, spec)| spec.weight > 0);
        let waits = serving.filter(|(guard, _)| !guard.is_closed()).map(|(guard, _)| guard.wait(now));
        waits.min().map_or(Unavailable::NoEndpoint, Unavailable::Until)
    }

    /// Leave for a call, or how long to wait for it.
    pub fn admit(&self, now: Instant) -> Result<Option<Permit>, Duration> {
        self.guards.admit(now)
    }

    fn standing(&self, index: usize, now: Instant) -> Standing {
        if self.spec.eject.is_none() && self.spec.health.is_none() {
            return Standing::In;
        }
        let slow_start = self.spec.eject.map_or(Duration::ZERO, |eject| eject.slow_start);
        let endpoint = &self.endpoints[index];
        let standing = endpoint.health.standing(self.spec.health.is_some(), slow_start, now);
        let comeback = endpoint.health.comeback();
        if standing != Standing::Out && comeback != endpoint.comeback.replace(comeback) {
            endpoint.load.forget();
        }
        standing
    }

    /// Whether some endpoint beside these takes requests.
    pub fn has_other(&self, than: &[usize], now: Instant) -> bool {
        let takes = |index: usize| {
            self.spec.endpoints[index].weight > 0
                && self.standing(index, now) != Standing::Out
                && self.guards.may_admit_to(index, now)
        };
        (0..self.endpoints.len()).any(|index| !than.contains(&index) && takes(index))
    }

    /// Whether no breaker keeps calls from it.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.guards.is_closed(now)
    }

    /// The value of the cookie that leads a client to this endpoint.
    pub fn sticky_id(&self, index: usize) -> Option<&balance::StickyId> {
        self.balancer.sticky_id(index)
    }
}
