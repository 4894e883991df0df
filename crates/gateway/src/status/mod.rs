//! How the gateway stands and what it has counted, on one page: what `/status` of the admin listener says.
//!
//! It is put together when somebody asks, from what the workers count anyway; no request waits for it. It is bounded: with very
//! many routes, services or endpoints, the quiet ones are counted and not listed.

mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

pub use shape::{
    BreakerStatus, Calls, Connections, EndpointStatus, PoolStatus, Requests, RouteStatus, ServiceStatus,
    Status, Times,
};

use crate::record::{CLASSES, EndpointFigures, Figures, Metrics, OTHER, RouteFigures};
use crate::snapshot::Snapshot;
use crate::upstream::ServiceSpec;
use crate::upstream::breaker::{State, Turns};
use crate::upstream::health::{EndpointLook, EndpointState, Healths, ServiceLook};

/// Routes, services, and endpoints of all services together, that are listed.
const LISTED: usize = 1000;

/// Where the page comes from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// What was counted.
    pub metrics: &'a Metrics,
    /// How endpoints stand.
    pub healths: &'a Healths,
    /// The routes.
    pub snapshot: &'a Snapshot,
    /// The services, with the endpoints that they have now.
    pub services: &'a [Arc<ServiceSpec>],
    /// Whether the gateway is about to end.
    pub is_draining: bool,
}

impl Sources<'_> {
    /// The page, as of now.
    pub fn status(&self, now: Instant) -> Status {
        let figures = self.metrics.figures();
        let mut all = [0; CLASSES];
        for route in figures.routes.values() {
            all.iter_mut().zip(&route.requests).for_each(|(sum, part)| *sum += part);
        }
        let (routes, routes_left_out) = self.routes(&figures);
        let (services, services_left_out) = self.services(&figures, now);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: in_seconds(figures.uptime),
            generation: figures.generation,
            workers: figures.workers,
            draining: self.is_draining,
            connections: Connections { open: figures.open, accepted: figures.accepted },
            requests: Requests::of(&all),
            routes,
            routes_left_out,
            services,
            services_left_out,
        }
    }

    /// The routes in force that were asked, the busiest first, and how many of them are left out.
    fn routes(&self, figures: &Figures) -> (Vec<RouteStatus>, usize) {
        let asked: HashMap<(&str, &str), &RouteFigures> =
            figures.routes.iter().map(|((name, api), route)| ((&**name, &**api), route)).collect();
        let in_force = self.snapshot.routes.iter().map(|route| ((&*route.name, &*route.api), Some(route)));
        // Those that found no route, and those of routes beyond the bound of the metrics.
        let nameless = [(("", ""), None), ((OTHER, OTHER), None)];
        let mut seen = HashSet::new();
        let mut found: Vec<_> = in_force
            .chain(nameless)
            .filter_map(|(names, route)| Some((names, route, *asked.get(&names)?)))
            .filter(|(names, ..)| seen.insert(*names))
            .collect();
        found.sort_by_cached_key(|(names, _, route)| (Reverse(route.requests.iter().sum::<u64>()), *names));
        let left_out = found.len().saturating_sub(LISTED);
        found.truncate(LISTED);
        let mut refusals: HashMap<&str, BTreeMap<String, u64>> = HashMap::new();
        for ((name, code), count) in &figures.refusals {
            refusals.entry(name).or_default().insert((*code).to_owned(), *count);
        }
        let services =
            |route| self.snapshot.services_of(route).iter().map(|one| one.name.to_string()).collect();
        let listed = found.into_iter().map(|((name, api), route, figures)| RouteStatus {
            name: name.to_owned(),
            api: api.to_owned(),
            services: route.map(services).unwrap_or_default(),
            requests: Requests::of(&figures.requests),
            refusals: refusals.get(name).cloned().unwrap_or_default(),
            duration_seconds: Times::of(&figures.duration),
            bytes_in: figures.bytes_in,
            bytes_out: figures.bytes_out,
        });
        (listed.collect(), left_out)
    }

    /// The services by name, and how many of them are left out. Where there are too many, those go first that are not as they
    /// should be, then the busiest; and so do their endpoints.
    fn services(&self, figures: &Figures, now: Instant) -> (Vec<ServiceStatus>, usize) {
        let mut all: Vec<Looked<'_>> =
            self.services.iter().map(|spec| Looked::at(spec, figures, self.healths, now)).collect();
        all.sort_by_key(|service| {
            (!service.is_troubled(), Reverse(service.sum.requests.iter().sum::<u64>()))
        });
        let left_out = all.len().saturating_sub(LISTED);
        all.truncate(LISTED);
        let mut ranked: Vec<(bool, Reverse<u64>, usize, usize)> = Vec::new();
        for (service, looked) in all.iter().enumerate() {
            for (place, look) in looked.look.endpoints.iter().enumerate() {
                let count = looked.figures[place].map_or(0, |counts| counts.requests.iter().sum());
                ranked.push((look.state == EndpointState::Up, Reverse(count), service, place));
            }
        }
        ranked.sort_unstable();
        let is_listed: HashSet<(usize, usize)> =
            ranked.into_iter().take(LISTED).map(|(.., service, place)| (service, place)).collect();
        let mut listed: Vec<ServiceStatus> = all
            .iter()
            .enumerate()
            .map(|(service, looked)| looked.status(|place| is_listed.contains(&(service, place))))
            .collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        (listed, left_out)
    }
}

/// A service, how it stands, and what was counted of it.
struct Looked<'a> {
    spec: &'a ServiceSpec,
    look: ServiceLook,
    /// Of its endpoints, in their order; nothing of those that no worker has called yet.
    figures: Vec<Option<&'a EndpointFigures>>,
    sum: EndpointFigures,
}

impl<'a> Looked<'a> {
    fn at(spec: &'a ServiceSpec, figures: &'a Figures, healths: &Healths, now: Instant) -> Self {
        let counts = |url: &str| figures.endpoints.get(&(Box::from(&*spec.name), Box::from(url)));
        let figures: Vec<_> = spec.endpoints.iter().map(|endpoint| counts(&endpoint.url)).collect();
        let mut sum = EndpointFigures::default();
        figures.iter().flatten().for_each(|counts| sum.add(counts));
        Self { spec, look: healths.look(spec, now), figures, sum }
    }

    fn is_troubled(&self) -> bool {
        let is_turned =
            |breaker: Option<(State, Turns)>| breaker.is_some_and(|(state, _)| state != State::Closed);
        let is_well = |one: &EndpointLook| one.state == EndpointState::Up && !is_turned(one.breaker);
        is_turned(self.look.breaker) || !self.look.endpoints.iter().all(is_well)
    }

    fn status(&self, is_listed: impl Fn(usize) -> bool) -> ServiceStatus {
        let listed = (0..self.spec.endpoints.len()).filter(|place| is_listed(*place));
        let endpoints: Vec<_> = listed.map(|place| self.endpoint(place)).collect();
        ServiceStatus {
            name: self.spec.name.to_string(),
            balance: self.spec.balance.name().to_owned(),
            breaker: self.look.breaker.map(BreakerStatus::from),
            calls: Calls::of(&self.sum),
            endpoints_left_out: self.spec.endpoints.len() - endpoints.len(),
            endpoints,
        }
    }

    fn endpoint(&self, place: usize) -> EndpointStatus {
        let (spec, look) = (&self.spec.endpoints[place], &self.look.endpoints[place]);
        EndpointStatus {
            url: spec.url.to_string(),
            weight: spec.weight,
            state: look.state,
            out_for_seconds: look.out_for.map(in_seconds),
            breaker: look.breaker.map(BreakerStatus::from),
            checked: self.spec.health.is_some(),
            calls: Calls::of(self.figures[place].unwrap_or(&EndpointFigures::default())),
        }
    }
}

/// Whole milliseconds, written as seconds.
fn in_seconds(time: std::time::Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}
