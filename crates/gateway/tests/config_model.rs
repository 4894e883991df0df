//! What a good configuration means: the model, the routes as they hold, and what changes between two.
#![allow(clippy::unwrap_used)]

use gateway::config::{
    self, Access, AccessLog, Action, Balance, Config, EffectiveRoute, Redirect, Source, SplitBy,
    Surroundings, VersionBy, VersionState,
};
use http::Method;

const WHOLE: &str = include_str!("config/whole.yaml");

fn read(text: &str) -> Config {
    let surroundings =
        Surroundings::new("/etc/tollgate", |name| (name == "TOKEN").then(|| "secret".to_owned()));
    match config::load_source(Source::new("test.yaml", text), surroundings) {
        Ok((config, warnings)) => {
            assert!(warnings.is_empty(), "{}", warnings.render(false));
            config
        }
        Err(faults) => panic!("{}", faults.render(false)),
    }
}

fn route<'c>(routes: &'c [EffectiveRoute<'c>], label: &str) -> &'c EffectiveRoute<'c> {
    routes.iter().find(|route| route.label == label).unwrap_or_else(|| {
        panic!("no route {label} among {:?}", routes.iter().map(|route| &route.label).collect::<Vec<_>>())
    })
}

#[test]
fn every_served_key_is_read() {
    let config = read(WHOLE);
    let [plain, full, to_one, by_name, redirect, local] = config.listeners.as_slice() else {
        panic!("six listeners")
    };
    assert_eq!(plain.address.value.to_string(), "127.0.0.1:8081");
    assert_eq!(plain.limits, config::Limits::default());
    assert_eq!(full.address.value.to_string(), "0.0.0.0:8080");
    let trust = full.trust_forwarded.as_ref().unwrap();
    assert!(trust.from.iter().any(|network| network.contains("2001:db8::7".parse().unwrap())));
    let limits = &full.limits;
    assert_eq!((limits.connections, limits.headers, limits.line_size.bytes()), (1000, 50, 4096));
    assert_eq!(
        (limits.header_timeout.as_secs(), limits.body_timeout.as_secs(), limits.idle_timeout.as_secs()),
        (5, 20, 30)
    );
    assert_eq!((redirect.redirect, redirect.trust_forwarded.is_some()), (Some(Redirect::Https), true));
    assert_eq!(local.address.value.to_string(), "unix:/run/tollgate.sock");
    assert_eq!(local.mode.map(gateway::config::values::FileMode::bits), Some(0o666));
    let services = |tcp: &Option<config::Tcp>| tcp.as_ref().unwrap().services().count();
    assert_eq!((services(&to_one.tcp), services(&by_name.tcp)), (1, 9));
    assert_eq!(by_name.tcp.as_ref().unwrap().sni[1].0.value, "*.example.org");
    for proxied in [to_one, by_name] {
        let from = &proxied.proxy_protocol.as_ref().unwrap().from;
        assert!(from[0].contains("10.1.2.3".parse().unwrap()));
    }
    assert_eq!(config.services["users"].proxy_protocol, Some(config::ProxyVersion::V2));
    assert!(config.services["cache"].endpoints[0].url.value.is_tcp);
    assert_eq!((config.workers, config.drain.as_secs()), (Some(2), 10));
    let admin = config.admin.as_ref().unwrap();
    assert_eq!(
        (admin.address.value.socket().port(), admin.token.as_ref().unwrap().expose()),
        (9900, "secret")
    );
    let users = &config.services["users"];
    assert_eq!(users.endpoints.iter().map(|one| one.weight).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(users.endpoints[1].url.base, "/base");
    assert_eq!(users.balance, Balance::LeastRequests);
    assert_eq!((users.pool.max, users.pool.idle, users.pool.idle_for.as_secs()), (10, 5, 20));
    assert!(
        matches!(&config.services["carts"].balance, Balance::Hash(text) if text.value.contains("x-tenant"))
    );
    assert!(matches!(&config.services["bills"].balance, Balance::Sticky(name) if name.value == "tg_session"));
    assert_eq!(config.services["search"].endpoints.len(), 2);
    assert_eq!(config.services["orders"].endpoints[0].url.port, 80);
    assert_eq!(config.services["bills"].endpoints[1].url.to_string(), "unix:/run/app.sock");
    assert_eq!(config.logs.access, AccessLog::File("/etc/tollgate/access.log".into()));
    assert_eq!(config.logs.sample[0].1.millionths(), 100_000);
}

#[test]
fn a_route_holds_the_front_of_its_api() {
    let config = read(WHOLE);
    let routes = config.routes();
    let first = route(&routes, "GET api.example.com/shop/v1/users/{id}");
    assert_eq!(first.methods, [Method::GET]);
    assert_eq!(first.path.value, "/shop/v1/users/{id}");
    assert_eq!(first.host.unwrap().value, "api.example.com");
    assert_eq!(config.source().slice(first.path.span), "/users/{id}");
    let version = first.version.unwrap();
    assert_eq!((version.version.state, version.by), (VersionState::Deprecated, &VersionBy::Path));
    assert_eq!(version.version.sunset.unwrap().to_string(), "2027-03-31");
    route(&routes, "GET api.example.com/shop/v2/users/{id}");
    route(&routes, "api.example.com/shop/v2");
    assert!(routes.iter().all(|route| route.label != "api.example.com/shop/v1"), "this route is of v2 only");
    let by_header = route(&routes, "bill").version.unwrap();
    assert!(matches!(by_header.by, VersionBy::Header(name) if name == "x-version"));
    assert_eq!(route(&routes, "bill").path.value, "/bills/{id:[0-9]+}");
    assert!(
        matches!(route(&routes, "/media").version.unwrap().by, VersionBy::MediaType(name) if name == "application/vnd.media")
    );
}

#[test]
fn the_nearest_policy_wins_whole() {
    let config = read(WHOLE);
    let routes = config.routes();
    let total = |label: &str| route(&routes, label).timeouts.total.map(|total| total.to_string());
    assert_eq!(
        total("GET api.example.com/shop/v1/users/{id}").as_deref(),
        Some("5s"),
        "the API's before the service's"
    );
    assert_eq!(total("GET /public/{rest...}"), None, "the service's before the defaults");
    assert_eq!(total("orders").as_deref(), Some("20s"), "the defaults");
    assert_eq!(total("api.example.com/shop/v2").as_deref(), Some("1m"), "off: as if nobody had set it");
    let connect = route(&routes, "GET api.example.com/shop/v1/users/{id}").timeouts.connect;
    assert_eq!(connect.to_string(), "1s", "whole: nothing is merged from the service");
    let retries = |label: &str| route(&routes, label).retry.attempts;
    assert_eq!(retries("GET /public/{rest...}"), 2, "the service's");
    assert_eq!(retries("orders"), 0, "off on the route");
    assert_eq!(retries("bill"), 0, "off on the service");
    assert_eq!(retries("/media"), 1, "the defaults");
    assert!(route(&routes, "api.example.com/shop/v2").request.is_none());
    let request = route(&routes, "orders").request.unwrap();
    assert_eq!(request.max_body.unwrap().bytes(), 10 << 20);
    assert!(routes.iter().all(|route| route.access == Some(&Access::Public)));
}

#[test]
fn routes_come_in_the_order_of_the_file() {
    let config = read(WHOLE);
    let starts: Vec<usize> = config.routes().iter().map(|route| route.span.start()).collect();
    assert!(starts.is_sorted());
}

#[test]
fn what_a_route_does_is_decided() {
    let config = read(WHOLE);
    let routes = config.routes();
    match route(&routes, "GET /public/{rest...}").action {
        Action::Forward { service, rewrite } => {
            assert_eq!(
                (service.name.value.as_str(), rewrite.unwrap().value.as_str()),
                ("users", "/static/{rest}")
            );
        }
        other => panic!("goes to a service: {other:?}"),
    }
    match route(&routes, "/gone").action {
        Action::Respond(respond) => {
            assert_eq!(
                (respond.status.as_u16(), respond.body.as_ref().unwrap().value.as_str()),
                (410, "gone")
            );
        }
        other => panic!("is answered here: {other:?}"),
    }
    let split = route(&routes, "/carts/{rest...}");
    let Action::Split { split: model, rewrite } = split.action else { panic!("is split") };
    assert!(matches!(&model.by, SplitBy::Hash(text) if text.value == "params.rest"));
    assert_eq!(model.force.as_ref().unwrap(), "x-branch");
    assert_eq!(rewrite.unwrap().value, "/{rest}");
    let calls: Vec<_> =
        split.branches.iter().map(|call| (&*call.service.name, call.retry.attempts)).collect();
    assert_eq!(calls, [(&"carts".to_owned(), 1), (&"bills".to_owned(), 0)], "each service has its say");
    let Action::Split { split: model, .. } = route(&routes, "/search").action else { panic!("is split") };
    assert!(matches!(&model.by, SplitBy::Cookie(name) if name.value == "tg_search"));
    assert_eq!(
        model.branches.iter().map(|one| (one.weight, one.sticky)).collect::<Vec<_>>(),
        [(95, false), (5, true)]
    );
}

#[test]
fn copies_take_what_their_service_allows() {
    let config = read(WHOLE);
    let routes = config.routes();
    let (mirror, call) = route(&routes, "orders").mirror.as_ref().unwrap();
    assert_eq!(
        (mirror.percent.millionths(), mirror.max_body.bytes(), mirror.max_in_flight),
        (125_000, 1 << 20, 7)
    );
    assert_eq!((&*call.service.name.value, call.retry.attempts), ("search", 0));
    assert_eq!(call.timeouts.total.unwrap().as_secs(), 20, "the defaults, and not the route's own");
    assert!(route(&routes, "/media").mirror.is_none());
    let text = "services: { a: http://a, b: http://b }\ndefaults: { access: public, mirror: b }\n\
        routes: [ { match: /a, to: a }, { match: /b, to: a, mirror: off }, { match: /c, respond: 204 } ]\n";
    let config = read(text);
    let mirrored: Vec<bool> = config.routes().iter().map(|route| route.mirror.is_some()).collect();
    assert_eq!(mirrored, [true, false, false], "where a service is called, and it is not off");
}

#[test]
fn faults_say_whom_they_fall_on() {
    let config = read(WHOLE);
    let routes = config.routes();
    let told = |label: &str| route(&routes, label).fault.map(ToString::to_string);
    assert_eq!(
        told("/search").as_deref(),
        Some("10% wait 300ms (of those with x-fault-delay); 0.5% get 503 (of those with x-fault-abort)")
    );
    assert_eq!(told("/telemetry").as_deref(), Some("100% wait 1s; 100% get 429"));
    assert_eq!(told("orders"), None);
}

#[test]
fn a_few_lines_are_enough() {
    let config =
        read("services: { a: http://127.0.0.1:1 }\nroutes: [ { match: /, to: a, access: public } ]\n");
    assert_eq!(config.listeners[0].address.value.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.unwrap().address.value.to_string(), "127.0.0.1:9900");
    assert_eq!(config.drain.as_secs(), 30);
}

#[test]
fn no_file_is_needed_for_one_target() {
    let config = Config::for_target("http://localhost:3000", None).unwrap();
    let routes = config.routes();
    assert_eq!((routes.len(), routes[0].path.value.as_str()), (1, "/{rest...}"));
    assert_eq!(config.listeners[0].address.value.to_string(), "127.0.0.1:8080");
    for url in ["localhost:3000", "http://\"", "", "a\nb: c", "${env:HOME}", "ftp://localhost"] {
        assert!(Config::for_target(url, None).is_err(), "{url}");
    }
}

#[test]
fn the_files_that_were_asked_for_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    std::fs::write(
        &path,
        "admin: { token: \"${file:token}\" }\nroutes: [ { match: /, respond: 204, access: public } ]\n",
    )
    .unwrap();
    assert!(config::load(&path).unwrap_err().summary().contains("cannot read"));
    std::fs::write(directory.path().join("token"), "s3cret\n").unwrap();
    let (config, _) = config::load(&path).unwrap();
    assert_eq!(config.admin.as_ref().unwrap().token.as_ref().unwrap().expose(), "s3cret");
    assert_eq!(config.files().iter().collect::<Vec<_>>(), [&directory.path().join("token")]);
}

#[test]
fn a_later_stage_can_add_faults() {
    let config = read(WHOLE);
    let routes = config.routes();
    let when = route(&routes, "orders").when.unwrap();
    let mut faults = config.faults();
    let span = config.source().part(when, 8..12);
    faults.push(config::Fault::error("bad_expression", span, "there is no such field"));
    let rendered = faults.render(false);
    assert!(rendered.contains("error: there is no such field [bad_expression]"), "{rendered}");
    assert_eq!(config.source().slice(span), "size");
}

/// What the first text becomes, and what is said of it.
const CHANGES: &[(&str, &str, &[&str])] = &[
    ("", "", &[]),
    (
        "127.0.0.1:8081",
        "127.0.0.1:8082",
        &["listener 127.0.0.1:8081 removed", "listener 127.0.0.1:8082 added"],
    ),
    ("headers: 50,", "headers: 60,", &["listener 0.0.0.0:8080 altered: header limit becomes 60 (was 50)"]),
    ("workers: 2\n", "", &["setting workers altered: threads becomes one per core (was 2)"]),
    ("${env:TOKEN}", "other", &["setting admin altered: token becomes another"]),
    (
        "weight: 3",
        "weight: 4",
        &["service users altered: endpoint http://127.0.0.1:9002/base becomes weight 4 (was weight 3)"],
    ),
    (
        "http://127.0.0.1:9003, ",
        "",
        &["service search altered: endpoint http://127.0.0.1:9003 removed (was weight 1)"],
    ),
    ("least_requests", "ewma", &["service users altered: balance becomes ewma (was least_requests)"]),
    (
        "first_byte: 2s",
        "first_byte: 3s",
        &["route GET /public/{rest...} altered: first-byte timeout becomes 3s (was 2s)"],
    ),
    (
        "android|",
        "",
        &["device mobile altered: user agent becomes (?i)iphone|mobile (was (?i)android|iphone|mobile)"],
    ),
    (
        "sunset: 2027-03-31",
        "sunset: 2027-04-30",
        &["API shop altered: version v1 becomes deprecated since 2026-01-01, sunset 2027-04-30 \
         (was deprecated since 2026-01-01, sunset 2027-03-31)"],
    ),
    (
        "name: orders",
        "name: orders2",
        &["route orders2 altered: name becomes orders2 (was orders); its limits and quotas begin anew"],
    ),
    (
        "    name: orders\n",
        "",
        &[
            "route GET,POST *.example.com/orders/{id} altered: name removed (was orders); its limits and quotas begin anew",
        ],
    ),
    (
        "\"/orders/{id}\"",
        "\"/order/{id}\"",
        &["route orders altered: path becomes /order/{id} (was /orders/{id})"],
    ),
    (
        "match: /gone",
        "match: /away",
        &["route /gone removed", "route /away added: answer status 410; access public"],
    ),
    ("body: gone,", "body: left,", &["route /gone altered: answer's body becomes \"left\" (was \"gone\")"]),
    (
        "max_body: 10MiB",
        "max_body: 1MiB",
        &[
            "11 routes altered (GET api.example.com/shop/v1/users/{id}, GET api.example.com/shop/v2/users/{id}, bill and 8 more): \
         body limit becomes 1MiB (was 10MiB)",
        ],
    ),
    (
        "weight: 5,",
        "weight: 10,",
        &["route /search altered: share of orders becomes weight 10, sticky (was weight 5, sticky)"],
    ),
    (
        "    fault: { delay: 1s, abort: 429 }\n",
        "",
        &["route /telemetry altered: injected faults removed (was 100% wait 1s; 100% get 429)"],
    ),
    (
        "percent: 12.5",
        "percent: 25",
        &["route orders altered: copies becomes 25% to search, bodies up to 1MiB, 7 at once \
              (was 12.5% to search, bodies up to 1MiB, 7 at once)"],
    ),
    (
        "by: { hash: params.rest }",
        "by: { header: X-User }",
        &[
            "route /carts/{rest...} altered: target becomes split by header x-user (was split by hash of params.rest)",
        ],
    ),
    (
        "respond: 204",
        "to: orders",
        &["route /telemetry altered: answer removed (was status 204); target added: service orders"],
    ),
];

#[test]
fn changes_are_told_in_plain_sentences() {
    let old = read(WHOLE);
    for (was, becomes, expected) in CHANGES {
        assert!(WHOLE.contains(was), "{was}");
        let new = read(&WHOLE.replacen(was, becomes, 1));
        let told: Vec<String> = config::diff(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(told, *expected, "{was} -> {becomes}");
    }
}

#[test]
fn a_route_that_gets_another_name_is_said_to_count_anew_where_it_counts() {
    let with = |name: &str, limit: &str| {
        read(&format!(
            "services: {{ a: http://a }}\ndefaults: {{ access: public, rate_limit: 5/s }}\nroutes: [ {{ match: /a, to: a{name}{limit} }} ]\n"
        ))
    };
    let told = |limit| {
        let changes = config::diff(&with("", limit), &with(", name: kq", limit));
        changes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let anew = "route kq altered: name added: kq; its limits and quotas begin anew";
    assert_eq!(told(", rate_limit: 10/s"), [anew]);
    assert_eq!(told(""), ["route kq altered: name added: kq"]);
    assert_eq!(told(", rate_limit: off"), ["route kq altered: name added: kq"]);
}

#[test]
fn moving_a_route_changes_nothing() {
    let one = "services: { a: http://a }\ndefaults: { access: public }\nroutes: [ {match: /a, to: a}, {match: /b, to: a} ]\n";
    let other = "routes: [ {match: /b, to: a}, {match: /a, to: a} ]\nservices: { a: http://a:80/ }\ndefaults: { access: public }\n";
    assert_eq!(config::diff(&read(one), &read(other)), []);
}

#[test]
fn every_example_of_the_guide_is_a_whole_configuration() {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "s3cret").unwrap();
    let mut examples = 0;
    for block in guide.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap().replace("/run/secrets/admin", "secret");
        let surroundings = Surroundings::new(directory.path(), |_| Some("users.internal".to_owned()));
        match config::load_source(Source::new("configuration.md", text), surroundings) {
            Ok((_, warnings)) => assert!(warnings.is_empty(), "{}", warnings.render(false)),
            Err(faults) => panic!("{}", faults.render(false)),
        }
        examples += 1;
    }
    assert!(examples > 5);
}

#[test]
fn limits_are_counted_where_they_stand() {
    let config = read(
        "
services: { users: http://127.0.0.1:9001 }
defaults: { access: public, rate_limit: 100/m }
routes:
  - { match: /usual, to: users }
  - { match: 'GET /own', to: users, rate_limit: { limit: 5/s, burst: 9 } }
  - { match: /named, name: mine, to: users, rate_limit: 5/s }
  - { match: /off, to: users, rate_limit: off }
apis:
  shop:
    base: /shop
    rate_limit: { limit: 10/s, by: api }
    versions: { by: path, v1: { state: supported }, v2: { state: current } }
    routes:
      - { match: /usual, to: users }
      - { match: /own, to: users, rate_limit: 1/s }
",
    );
    let routes = config.routes();
    for (label, expected) in [
        ("/usual", Some(("defaults", "100/m by ip"))),
        ("GET /own", Some(("route GET /own", "5/s by ip, burst 9"))),
        ("mine", Some(("route mine", "5/s by ip"))),
        ("/off", None),
        ("/shop/v1/usual", Some(("api shop", "10/s by api"))),
        ("/shop/v1/own", Some(("route /shop/own", "1/s by ip"))),
        ("/shop/v2/own", Some(("route /shop/own", "1/s by ip"))),
    ] {
        let limits = route(&routes, label).limits.as_ref();
        let told = limits.map(|limits| (limits.place.to_string(), limits.limit.to_string()));
        assert_eq!(told, expected.map(|(place, text)| (place.to_owned(), text.to_owned())), "{label}");
    }
}
