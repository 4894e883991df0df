//! What happened between two readings: rates, shares and quantiles, from counts that only grow.

use std::collections::HashMap;

use gateway::status::{BreakerStatus, Calls, Requests, RouteStatus, ServiceStatus, Status, Times};
use gateway::upstream::health::EndpointState;

/// What is shown of a gateway. What needs two readings is absent after the first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Figures {
    pub(super) version: String,
    /// Seconds since its start.
    pub(super) uptime: f64,
    pub(super) generation: u64,
    pub(super) workers: usize,
    pub(super) is_draining: bool,
    /// Connections of clients.
    pub(super) open: u64,
    pub(super) all: Option<Flow>,
    pub(super) services: Vec<ServiceFigures>,
    pub(super) services_left_out: usize,
    pub(super) routes: Vec<RouteFigures>,
    pub(super) routes_left_out: usize,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServiceFigures {
    pub(super) name: String,
    pub(super) breaker: Option<BreakerStatus>,
    pub(super) calls: CallFigures,
    pub(super) endpoints: Vec<EndpointFigures>,
    pub(super) endpoints_left_out: usize,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndpointFigures {
    pub(super) url: String,
    pub(super) weight: u32,
    pub(super) state: EndpointState,
    /// Seconds.
    pub(super) out_for: Option<f64>,
    pub(super) breaker: Option<BreakerStatus>,
    pub(super) calls: CallFigures,
}

/// Calls of an endpoint or of all of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallFigures {
    pub(super) flow: Option<Flow>,
    /// A second.
    pub(super) retries: Option<f64>,
    /// Connections that wait.
    pub(super) idle: u64,
}

/// A route.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteFigures {
    pub(super) name: String,
    pub(super) api: String,
    pub(super) services: Vec<String>,
    pub(super) flow: Option<Flow>,
}

/// What came through in the time between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    /// Requests a second.
    pub(super) rate: f64,
    /// The same for each class, 1xx to 5xx.
    pub(super) classes: [f64; 5],
    /// The share of requests that failed, from 0 to 1.
    pub(super) errors: f64,
    pub(super) p50: Option<Quantile>,
    pub(super) p99: Option<Quantile>,
}

/// How long so many took at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantile {
    /// So many seconds.
    Within(f64),
    /// More than the last bound, so many seconds.
    Beyond(f64),
}

impl Quantile {
    /// In seconds.
    pub(super) fn seconds(self) -> f64 {
        match self {
            Self::Within(seconds) | Self::Beyond(seconds) => seconds,
        }
    }
}

impl Figures {
    /// What happened between two readings. The first one counts for nothing where the gateway was started anew since.
    pub(super) fn between(before: Option<&Status>, now: &Status) -> Self {
        let since = before.and_then(|before| Since::of(before, now));
        let since = since.as_ref();
        Self {
            version: now.version.clone(),
            uptime: now.uptime_seconds,
            generation: now.generation,
            workers: now.workers,
            is_draining: now.draining,
            open: now.connections.open,
            all: since.map(|since| since.flow(&since.before.requests, &now.requests, None, 0, 0)),
            services: now.services.iter().map(|service| ServiceFigures::of(service, since)).collect(),
            services_left_out: now.services_left_out,
            routes: now.routes.iter().map(|route| RouteFigures::of(route, since)).collect(),
            routes_left_out: now.routes_left_out,
        }
    }
}

/// A reading before, and how long ago it was.
struct Since<'a> {
    before: &'a Status,
    routes: HashMap<(&'a str, &'a str), &'a RouteStatus>,
    services: HashMap<&'a str, &'a ServiceStatus>,
    seconds: f64,
    /// Whether the same configuration is in force.
    is_same: bool,
}

impl<'a> Since<'a> {
    fn of(before: &'a Status, now: &Status) -> Option<Self> {
        let seconds = now.uptime_seconds - before.uptime_seconds;
        let has_grown = now.requests.total >= before.requests.total
            && now.connections.accepted >= before.connections.accepted;
        let is_same_process = before.pid == now.pid && seconds > 0.0 && has_grown;
        let routes = before.routes.iter().map(|route| ((route.name.as_str(), route.api.as_str()), route));
        let services = before.services.iter().map(|service| (service.name.as_str(), service));
        is_same_process.then(|| Self {
            before,
            routes: routes.collect(),
            services: services.collect(),
            seconds,
            is_same: before.generation == now.generation,
        })
    }

    /// Per second.
    fn rate(&self, before: u64, now: u64) -> f64 {
        now.saturating_sub(before) as f64 / self.seconds
    }

    /// `failed`: what failed beside the answers of class 5xx.
    fn flow(
        &self,
        before: &Requests,
        now: &Requests,
        times: Option<(&Times, &Times)>,
        failed_before: u64,
        failed: u64,
    ) -> Flow {
        let classes = classes(now).zip(classes(before)).map(|(now, before)| now.saturating_sub(before));
        let counts: Vec<u64> = classes.collect();
        let failed = failed.saturating_sub(failed_before);
        let total = counts.iter().sum::<u64>() + failed;
        let bad = counts[4] + failed;
        let quantile = |share| times.and_then(|(before, now)| quantile(before, now, share));
        let mut rates = [0.0; 5];
        rates.iter_mut().zip(&counts).for_each(|(rate, count)| *rate = *count as f64 / self.seconds);
        Flow {
            rate: total as f64 / self.seconds,
            classes: rates,
            errors: if total == 0 { 0.0 } else { bad as f64 / total as f64 },
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }
}

fn classes(requests: &Requests) -> impl Iterator<Item = u64> {
    let Requests { informational, success, redirection, client_error, server_error, .. } = *requests;
    [informational, success, redirection, client_error, server_error].into_iter()
}

impl ServiceFigures {
    fn of(now: &ServiceStatus, since: Option<&Since<'_>>) -> Self {
        let before = since.and_then(|since| Some((since, *since.services.get(now.name.as_str())?)));
        let known = before.map_or(&[][..], |(_, service)| &service.endpoints);
        let known: HashMap<&str, &Calls> = known.iter().map(|one| (one.url.as_str(), &one.calls)).collect();
        let endpoints = now.endpoints.iter().map(|endpoint| {
            let before = since.and_then(|since| Some((since, *known.get(endpoint.url.as_str())?)));
            EndpointFigures {
                url: endpoint.url.clone(),
                weight: endpoint.weight,
                state: endpoint.state,
                out_for: endpoint.out_for_seconds,
                breaker: endpoint.breaker,
                calls: CallFigures::of(&endpoint.calls, before),
            }
        });
        Self {
            name: now.name.clone(),
            breaker: now.breaker,
            calls: CallFigures::of(&now.calls, before.map(|(since, service)| (since, &service.calls))),
            endpoints: endpoints.collect(),
            endpoints_left_out: now.endpoints_left_out,
        }
    }
}

impl CallFigures {
    fn of(now: &Calls, before: Option<(&Since<'_>, &Calls)>) -> Self {
        let flow = before.map(|(since, before)| {
            let times = (&before.first_byte_seconds, &now.first_byte_seconds);
            let failures = (before.connect_failures, now.connect_failures);
            since.flow(&before.requests, &now.requests, Some(times), failures.0, failures.1)
        });
        let retries = before.map(|(since, before)| since.rate(before.retries, now.retries));
        Self { flow, retries, idle: now.pool.idle }
    }
}

impl RouteFigures {
    fn of(now: &RouteStatus, since: Option<&Since<'_>>) -> Self {
        let never_asked = RouteStatus::default();
        let flow = since.and_then(|since| {
            let known = since.routes.get(&(now.name.as_str(), now.api.as_str())).copied();
            // A route that was not listed was not asked, unless it was left out or not in force.
            let is_new = since.is_same && since.before.routes_left_out == 0;
            let before = known.or_else(|| is_new.then_some(&never_asked))?;
            let times = (&before.duration_seconds, &now.duration_seconds);
            Some(since.flow(&before.requests, &now.requests, Some(times), 0, 0))
        });
        Self { name: now.name.clone(), api: now.api.clone(), services: now.services.clone(), flow }
    }
}

/// How long the given share of those took at most that came between two readings. Within a bucket they are taken for evenly
/// spread. Nothing where none came, or where the buckets are not the same.
fn quantile(before: &Times, now: &Times, share: f64) -> Option<Quantile> {
    let earlier = |place: usize| before.buckets.get(place).map_or(0, |(_, count)| *count);
    let has_same_bounds = before.buckets.is_empty()
        || before.buckets.len() == now.buckets.len()
            && before
                .buckets
                .iter()
                .zip(&now.buckets)
                .all(|(before, now)| before.0.total_cmp(&now.0).is_eq());
    let count = now.count.saturating_sub(before.count);
    if count == 0 || !has_same_bounds {
        return None;
    }
    let wanted = share * count as f64;
    let (mut below, mut from) = (0.0, 0.0);
    for (place, (bound, total)) in now.buckets.iter().enumerate() {
        let upto = total.saturating_sub(earlier(place)) as f64;
        if upto >= wanted && upto > below {
            let part = (wanted - below) / (upto - below);
            return Some(Quantile::Within(from + (bound - from) * part.clamp(0.0, 1.0)));
        }
        (below, from) = (upto.max(below), *bound);
    }
    now.buckets.last().map(|(bound, _)| Quantile::Beyond(*bound))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use gateway::status::{Connections, EndpointStatus};

    fn requests(classes: [u64; 5]) -> Requests {
        Requests::of(&classes)
    }

    /// So many within 1 ms, 10 ms, 100 ms, and more.
    fn times(counts: [u64; 4]) -> Times {
        let mut upto = 0;
        let mut next = |count: u64| {
            upto += count;
            upto
        };
        let buckets = vec![(0.001, next(counts[0])), (0.01, next(counts[1])), (0.1, next(counts[2]))];
        Times { count: counts.iter().sum(), sum: 0.0, buckets }
    }

    fn reading(uptime: f64, count: u64) -> Status {
        let calls = Calls {
            requests: requests([0, count, 0, 0, count / 4]),
            first_byte_seconds: times([0, count, 0, 0]),
            connect_failures: count / 2,
            retries: count,
            ..Calls::default()
        };
        let endpoint =
            EndpointStatus { url: "http://a".to_owned(), calls: calls.clone(), ..Default::default() };
        Status {
            pid: 7,
            uptime_seconds: uptime,
            generation: 1,
            requests: requests([0, count, 0, count, 0]),
            routes: vec![RouteStatus {
                name: "r".to_owned(),
                requests: requests([0, count, 0, 0, count]),
                duration_seconds: times([0, 0, 0, count]),
                ..RouteStatus::default()
            }],
            services: vec![ServiceStatus {
                name: "s".to_owned(),
                calls,
                endpoints: vec![endpoint],
                ..ServiceStatus::default()
            }],
            ..Status::default()
        }
    }

    #[track_caller]
    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} is not {other}");
    }

    #[test]
    fn rates_are_what_was_added_in_the_time_between() {
        let figures = Figures::between(Some(&reading(10.0, 100)), &reading(12.0, 180));
        let all = figures.all.unwrap();
        close(all.rate, 80.0);
        close(all.classes[1], 40.0);
        close(all.errors, 0.0);
        let service = &figures.services[0].calls;
        let flow = service.flow.unwrap();
        // 80 good, 20 bad, 40 that found no connection, in two seconds.
        close(flow.rate, 70.0);
        close(flow.errors, 60.0 / 140.0);
        close(service.retries.unwrap(), 40.0);
        assert_eq!(&figures.services[0].endpoints[0].calls, service);
        let route = figures.routes[0].flow.unwrap();
        close(route.errors, 0.5);
        assert_eq!(route.p99, Some(Quantile::Beyond(0.1)));
    }

    #[test]
    fn the_first_reading_has_states_and_no_rates() {
        let figures = Figures::between(None, &reading(10.0, 100));
        assert!(figures.all.is_none() && figures.routes[0].flow.is_none());
        assert_eq!(figures.services[0].endpoints[0].state, EndpointState::Up);
        assert!(figures.services[0].endpoints[0].calls.retries.is_none());
    }

    #[test]
    fn a_gateway_that_was_started_anew_begins_anew() {
        let before = reading(10.0, 100);
        let other_process = Status { pid: 8, ..reading(12.0, 180) };
        let same_number = reading(3.0, 180);
        let fewer = reading(12.0, 50);
        let accepted = Connections { open: 0, accepted: 5 };
        let fewer_connections = (Status { connections: accepted, ..before.clone() }, reading(12.0, 180));
        for now in [&other_process, &same_number, &fewer, &before] {
            assert!(Figures::between(Some(&before), now).all.is_none(), "{now:?}");
        }
        assert!(Figures::between(Some(&fewer_connections.0), &fewer_connections.1).all.is_none());
    }

    #[test]
    fn a_route_that_is_asked_for_the_first_time_has_a_rate_and_one_that_was_left_out_has_none() {
        let now = reading(12.0, 180);
        let unasked = Status { routes: Vec::new(), ..reading(10.0, 100) };
        close(Figures::between(Some(&unasked), &now).routes[0].flow.unwrap().rate, 180.0);
        let left_out = Status { routes_left_out: 1, ..unasked.clone() };
        assert!(Figures::between(Some(&left_out), &now).routes[0].flow.is_none());
        let reloaded = Status { generation: 2, ..now.clone() };
        assert!(Figures::between(Some(&unasked), &reloaded).routes[0].flow.is_none());
        let without_service = Status { services: Vec::new(), ..reading(10.0, 100) };
        assert!(Figures::between(Some(&without_service), &now).services[0].calls.flow.is_none());
    }

    #[test]
    fn quantiles_come_from_what_the_buckets_gained() {
        let none = times([0; 4]);
        let gained = |counts, share| quantile(&times([50, 0, 0, 0]), &counts, share);
        let more = times([60, 10, 80, 0]);
        for (share, expected) in [(0.05, 0.0005), (0.1, 0.001), (0.15, 0.0055), (0.6, 0.055), (1.0, 0.1)] {
            let Some(Quantile::Within(found)) = gained(more.clone(), share) else { panic!("{share}") };
            close(found, expected);
        }
        assert_eq!(quantile(&none, &times([0, 0, 0, 3]), 0.5), Some(Quantile::Beyond(0.1)));
        assert_eq!(quantile(&none, &times([97, 0, 0, 3]), 0.99), Some(Quantile::Beyond(0.1)));
        assert_eq!(quantile(&more, &more, 0.5), None, "none came");
        let other = Times { buckets: vec![(0.5, 1)], ..times([1, 0, 0, 0]) };
        assert_eq!(quantile(&other, &more, 0.5), None, "other buckets");
        assert_eq!(
            quantile(&Times::default(), &times([1, 0, 0, 0]), 1.0),
            Some(Quantile::Within(0.001)),
            "from nothing"
        );
        // Counts and buckets are not read at one moment.
        let torn = Times { count: 200, ..times([60, 10, 80, 0]) };
        assert_eq!(gained(torn, 0.99), Some(Quantile::Beyond(0.1)));
    }
}
