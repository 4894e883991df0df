//! The page, from counts and healths that the tests make themselves.

use std::time::{Duration, SystemTime};

use super::*;
use crate::config::{self, Source, Surroundings};
use crate::record::TIME_BOUNDS;
use crate::upstream::breaker::Guard;
use crate::upstream::health::{EjectRules, Ejection, EndpointHealth};

struct Scene {
    metrics: Arc<Metrics>,
    healths: Healths,
    snapshot: Snapshot,
    now: Instant,
}

impl Scene {
    fn of(text: &str) -> Self {
        let source = Source::new("tollgate.yaml", text.to_owned());
        let (config, _) = config::load_source(source, Surroundings::of_process("")).unwrap();
        let (snapshot, _) = Snapshot::build(&config, None).unwrap();
        let now = Instant::now();
        Self { metrics: Metrics::new(), healths: Healths::new(now), snapshot, now }
    }

    fn status(&self) -> Status {
        let sources = Sources {
            metrics: &self.metrics,
            healths: &self.healths,
            snapshot: &self.snapshot,
            services: &self.snapshot.services,
            is_draining: false,
        };
        sources.status(self.now)
    }
}

const USUAL: &str = r#"
services:
  users:
    endpoints: [ "http://127.0.0.1:9001", { url: "http://127.0.0.1:9002", weight: 3 }, "http://127.0.0.1:9003" ]
    balance: ewma
    eject: 1
    health: { path: / }
    breaker: { failures: 1 }
  orders: http://127.0.0.1:9004
routes:
  - { match: "/users/{path...}", to: users, access: public }
  - { match: "/orders", to: orders, access: public }
  - { match: "/hello", respond: 200, access: public }
"#;

const RULES: EjectRules = EjectRules {
    errors: Some(1),
    share: None,
    time: Duration::from_secs(30),
    most: 1_000_000,
    slow_start: Duration::from_secs(10),
};

/// One failure among three endpoints.
fn put_out(endpoint: &EndpointHealth, now: Instant) {
    let ejection = Ejection::new(RULES, std::iter::once(endpoint), 3, 0);
    assert!(ejection.failed(endpoint, 0, now).is_some());
}

#[test]
fn services_that_nobody_called_are_there_and_up() {
    let status = Scene::of(USUAL).status();
    assert_eq!((status.version.as_str(), status.pid), (env!("CARGO_PKG_VERSION"), std::process::id()));
    assert!(status.routes.is_empty(), "none was asked");
    let [orders, users] = &status.services[..] else { panic!("{:?}", status.services) };
    assert_eq!(
        (orders.name.as_str(), orders.balance.as_str(), orders.breaker),
        ("orders", "round_robin", None)
    );
    assert_eq!((users.name.as_str(), users.balance.as_str()), ("users", "ewma"));
    assert_eq!(users.breaker, Some(BreakerStatus { state: State::Closed, opened: 0, closed: 0 }));
    assert_eq!(users.endpoints.iter().map(|one| one.weight).collect::<Vec<_>>(), [1, 3, 1]);
    for endpoint in &users.endpoints {
        assert_eq!((endpoint.state, endpoint.checked), (EndpointState::Up, true));
        assert_eq!(endpoint.calls.first_byte_seconds.buckets.len(), TIME_BOUNDS.len());
        assert_eq!(endpoint.calls.requests.total, 0);
    }
}

#[test]
fn an_endpoint_that_is_out_one_that_is_down_and_an_open_breaker_are_told() {
    let mut scene = Scene::of(USUAL);
    let users = scene.healths.service(&"users".into());
    let endpoint = |port: u16| users.endpoint(&format!("http://127.0.0.1:{port}").into());
    let (out, down) = (endpoint(9001), endpoint(9002));
    put_out(&out, scene.now);
    down.set_down(true, scene.now);
    let rules = scene.snapshot.services[1].breaker.unwrap();
    let guard = Guard::new(Arc::clone(users.breaker()), rules, 0);
    assert!(guard.admit(scene.now).unwrap().ended(true, Duration::ZERO, scene.now).is_some());
    let told = |scene: &Scene| {
        let users = scene.status().services.remove(1);
        let endpoints = users.endpoints.iter().map(|one| (one.state, one.out_for_seconds));
        (users.breaker.unwrap(), endpoints.collect::<Vec<_>>())
    };
    let (breaker, endpoints) = told(&scene);
    assert_eq!(breaker, BreakerStatus { state: State::Open, opened: 1, closed: 0 });
    let others = [(EndpointState::Down, None), (EndpointState::Up, None)];
    assert_eq!(endpoints[0], (EndpointState::Out, Some(30.0)));
    assert_eq!(endpoints[1..], others);
    scene.now += RULES.time;
    assert_eq!(told(&scene).1[0], (EndpointState::Returning, None));
}

#[test]
fn what_workers_counted_is_added_up() {
    let scene = Scene::of(USUAL);
    scene.metrics.reloaded(true, SystemTime::UNIX_EPOCH);
    let millis = Duration::from_millis;
    for shard in [scene.metrics.shard(), scene.metrics.shard()] {
        shard.route("/users/{path...}", "").record(200, millis(3), millis(0), 1, 2);
        shard.route("", "").record(404, millis(0), millis(0), 0, 5);
        shard.route("gone", "").record(200, millis(3), millis(0), 1, 2);
        shard.refusal("", "no_route");
        shard.connection_opened();
        for port in [9001, 9002] {
            let endpoint = shard.endpoint("users", &format!("http://127.0.0.1:{port}"));
            endpoint.record(503, millis(3));
            endpoint.retries.add(2);
            endpoint.pool_idle.set(1);
        }
    }
    let status = scene.status();
    assert_eq!((status.workers, status.generation), (2, 1));
    assert_eq!(status.connections, Connections { open: 2, accepted: 2 });
    assert_eq!((status.requests.total, status.requests.success, status.requests.client_error), (6, 4, 2));
    let [nameless, users] = &status.routes[..] else { panic!("{:?}", status.routes) };
    assert_eq!((nameless.name.as_str(), nameless.requests.client_error), ("", 2));
    assert_eq!(nameless.refusals, BTreeMap::from([("no_route".to_owned(), 2)]));
    assert_eq!((users.services.join(","), users.bytes_in, users.bytes_out), ("users".to_owned(), 2, 4));
    assert!(users.duration_seconds.buckets.contains(&(0.0025, 0)));
    assert!(users.duration_seconds.buckets.contains(&(0.005, 2)));
    let users = &status.services[1];
    assert_eq!((users.calls.requests.server_error, users.calls.retries, users.calls.pool.idle), (4, 8, 4));
    assert_eq!(users.endpoints[1].calls.requests.server_error, 2);
    assert_eq!(users.endpoints[2].calls.requests.total, 0);
}

#[test]
fn what_is_quiet_and_well_is_left_out_where_there_is_too_much() {
    use std::fmt::Write as _;
    let mut text = "services:\n".to_owned();
    for service in 0..LISTED + 3 {
        writeln!(
            text,
            "  s{service}: {{ endpoints: [ http://127.0.0.1:9001, http://127.0.0.1:9002 ], eject: 1 }}"
        )
        .unwrap();
    }
    text.push_str("routes:\n");
    for route in 0..LISTED + 3 {
        writeln!(text, "  - {{ match: /r{route}, to: s{route}, access: public }}").unwrap();
    }
    let scene = Scene::of(&text);
    let shard = scene.metrics.shard();
    for route in 0..LISTED + 3 {
        let times = if route == 7 { 0..1 } else { 0..2 };
        times.for_each(|_| {
            shard.route(&format!("/r{route}"), "").record(200, Duration::ZERO, Duration::ZERO, 0, 0);
        });
    }
    let ill = scene.healths.service(&"s9".into()).endpoint(&"http://127.0.0.1:9001".into());
    put_out(&ill, scene.now);
    shard.endpoint("s8", "http://127.0.0.1:9002").record(200, Duration::ZERO);
    let status = scene.status();
    assert_eq!((status.routes.len(), status.routes_left_out), (LISTED, 3));
    assert!(status.routes.iter().all(|route| route.name != "/r7"), "it is the quietest");
    assert_eq!((status.services.len(), status.services_left_out), (LISTED, 3));
    let endpoints: usize = status.services.iter().map(|service| service.endpoints.len()).sum();
    let left_out: usize = status.services.iter().map(|service| service.endpoints_left_out).sum();
    assert_eq!((endpoints, left_out), (LISTED, LISTED));
    let listed = |name: &str, url: &str| {
        let service = status.services.iter().find(|service| service.name == name);
        service.is_some_and(|service| service.endpoints.iter().any(|endpoint| endpoint.url == url))
    };
    assert!(listed("s9", "http://127.0.0.1:9001"), "it is out");
    assert!(listed("s8", "http://127.0.0.1:9002"), "it was called");
    let names: Vec<_> = status.services.iter().map(|service| &service.name).collect();
    assert!(names.is_sorted());
}

#[test]
fn what_is_written_is_read_and_what_is_missing_is_zero() {
    let scene = Scene::of(USUAL);
    scene.metrics.shard().endpoint("users", "http://127.0.0.1:9001").record(200, Duration::ZERO);
    let status = scene.status();
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    assert!(text.contains(r#""breaker":{"state":"closed","opened":0,"closed":0}"#), "{text}");
    assert!(text.contains(r#""state":"up","checked":true,"requests":{"total":1,"1xx":0,"2xx":1"#), "{text}");
    assert!(!text.contains("out_for_seconds"), "{text}");
    let old: Status =
        serde_json::from_str(r#"{"services":[{"name":"a","endpoints":[{}]}],"new":1}"#).unwrap();
    assert_eq!(old.services[0].endpoints, [EndpointStatus::default()]);
}
