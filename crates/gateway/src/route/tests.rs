//! The router against tables.
#![allow(clippy::unwrap_used)]

use http1::{Known, TargetForm};

use super::*;

/// A route written as `METHODS HOST PATH`, with `-` for any.
pub(super) fn route(text: &str) -> RouteMatch {
    let mut parts = text.split_whitespace();
    let mut part = || parts.next().unwrap();
    let methods = match part() {
        "-" => Vec::new(),
        methods => methods.split(',').map(|method| method.parse().unwrap()).collect(),
    };
    let host = match part() {
        "-" => HostPattern::Any,
        host => HostPattern::parse(host).unwrap(),
    };
    RouteMatch { host, methods, ..RouteMatch::new(PathPattern::parse(part()).unwrap()) }
}

pub(super) fn router(routes: &[&str]) -> Router {
    Router::build(routes.iter().map(|text| route(text)).collect()).unwrap()
}

pub(super) fn head(method: &str, host: &str, target: &str) -> RequestHead {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    RequestHead {
        method: method.parse().unwrap(),
        authority: host.to_owned(),
        path: path.to_owned(),
        query: query.unwrap_or_default().to_owned(),
        has_query: query.is_some(),
        ..RequestHead::default()
    }
}

/// What was found, as text: `2 id=7`, `404`, `405 GET, HEAD, OPTIONS`, `204 …`.
pub(super) fn find(router: &Router, head: &RequestHead) -> String {
    let mut params = Params::new();
    match router.find(&RequestView::new(head, CLIENT), &mut params) {
        Found::Route(route) => {
            let bound = params.bind(router.params_of(route), &head.path);
            bound.iter().fold(route.to_string(), |text, (name, value)| format!("{text} {name}={value}"))
        }
        Found::NoRoute => "404".to_owned(),
        Found::MethodNotAllowed(allow) => format!("405 {allow}"),
        Found::Options(allow) => format!("204 {allow}"),
    }
}

pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn the_most_specific_route_wins_wherever_it_stands() {
    let router = router(&[
        "- - /{rest...}",
        "GET - /users/{id}",
        "GET - /users/{id:[0-9]+}",
        "GET - /users/me",
        "GET - /users/{id}.json",
        "GET - /users/{id}/posts/{post}",
        "POST - /users",
        "- api.example.com /{rest...}",
        "- *.example.com /{rest...}",
        "- *.b.example.com /{rest...}",
        "GET - /public/{rest...}",
        "GET - /",
    ]);
    for (method, host, path, expected) in [
        ("GET", "x", "/users/me", "3"),
        ("GET", "x", "/users/7", "2 id=7"),
        ("GET", "x", "/users/ann", "1 id=ann"),
        ("GET", "x", "/users/7.json", "4 id=7"),
        ("GET", "x", "/users/.json", "1 id=.json"),
        ("GET", "x", "/users/a%2Fb/posts/1", "5 id=a%2Fb post=1"),
        ("GET", "x", "/users/7/", "0 rest=users/7/"),
        ("GET", "x", "/users/", "0 rest=users/"),
        ("PUT", "x", "/users/7", "0 rest=users/7"),
        ("GET", "x", "/users/7/posts", "0 rest=users/7/posts"),
        ("GET", "x", "/", "11"),
        ("PUT", "x", "/", "0 rest="),
        ("GET", "x", "/public", "10 rest="),
        ("GET", "x", "/public/", "10 rest="),
        ("GET", "x", "/public/x/y", "10 rest=x/y"),
        ("GET", "x", "/publicity", "0 rest=publicity"),
        ("GET", "api.example.com:8080", "/users/me", "7 rest=users/me"),
        ("GET", "api.example.com.", "/a", "7 rest=a"),
        ("GET", "a.example.com", "/a", "8 rest=a"),
        ("GET", "a.b.example.com", "/a", "9 rest=a"),
        ("GET", "z.a.b.example.com", "/a", "9 rest=a"),
        ("GET", "b.example.com", "/a", "8 rest=a"),
        ("GET", "example.com", "/a", "0 rest=a"),
        ("GET", "", "/a", "0 rest=a"),
    ] {
        assert_eq!(find(&router, &head(method, host, path)), expected, "{method} {host} {path}");
    }
}

#[test]
fn methods_decide_between_a_route_an_allow_list_and_nothing() {
    let router = router(&[
        "GET - /a",
        "POST,PURGE - /a",
        "GET - /b",
        "HEAD - /b",
        "OPTIONS - /c",
        "POST - /c",
        "- - /any",
        "CONNECT - /tunnel",
        "POST - /{x}",
    ]);
    for (method, path, expected) in [
        ("GET", "/a", "0"),
        ("HEAD", "/a", "0"),
        ("PURGE", "/a", "1"),
        ("DELETE", "/a", "405 GET, HEAD, POST, OPTIONS, PURGE"),
        ("OPTIONS", "/a", "204 GET, HEAD, POST, OPTIONS, PURGE"),
        ("BREW", "/a", "405 GET, HEAD, POST, OPTIONS, PURGE"),
        ("HEAD", "/b", "3"),
        ("GET", "/b", "2"),
        ("OPTIONS", "/c", "4"),
        ("GET", "/c", "405 POST, OPTIONS"),
        ("BREW", "/any", "6"),
        ("CONNECT", "/any", "405 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PURGE"),
        ("CONNECT", "/tunnel", "7"),
        ("GET", "/tunnel", "405 POST, OPTIONS"),
        ("GET", "/x/y", "404"),
        ("OPTIONS", "/x/y", "404"),
    ] {
        let expected = if path == "/any" && method == "CONNECT" {
            "405 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        } else {
            expected
        };
        assert_eq!(find(&router, &head(method, "x", path)), expected, "{method} {path}");
    }
}

#[test]
fn options_of_the_whole_gateway_and_connect_have_no_path() {
    let mut asterisk = head("OPTIONS", "x", "*");
    asterisk.form = TargetForm::Asterisk;
    let everything = router(&["- - /{rest...}"]);
    assert_eq!(find(&everything, &asterisk), "204 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    let connect = head("CONNECT", "x", "");
    assert_eq!(find(&everything, &connect), "405 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert_eq!(find(&router(&["CONNECT - /{rest...}"]), &connect), "0 rest=");
    assert_eq!(find(&router(&["CONNECT - /"]), &connect), "0");
    assert_eq!(find(&router(&[]), &connect), "404");
}

#[test]
fn head_goes_to_the_route_that_names_it_among_equals_only() {
    let first = router(&["GET - /a", "HEAD - /a", "- - /a"]);
    assert_eq!(find(&first, &head("HEAD", "x", "/a")), "1");
    let nearer = router(&["GET - /a", "HEAD - /{x}"]);
    assert_eq!(find(&nearer, &head("HEAD", "x", "/a")), "0");
    let any = router(&["- - /a", "GET - /a"]);
    assert_eq!(find(&any, &head("HEAD", "x", "/a")), "1");
}

#[test]
fn conditions_on_the_query_and_expressions_choose_among_routes_of_one_path() {
    let mut debug = route("GET - /a/{x}");
    debug.query = vec![("debug".into(), ValueMatch::parse("1").unwrap())];
    let mut deep = route("GET - /a/{y}");
    deep.query = vec![
        ("debug".into(), ValueMatch::parse("*").unwrap()),
        ("na me".into(), ValueMatch::parse("x y").unwrap()),
    ];
    let mut when = route("GET - /a/{z}");
    when.when = Some(Expression::compile("params.z == 'b c' && request.query.q != ''").unwrap());
    let plain = route("GET - /a/{w}");
    let router = Router::build(vec![plain, when, debug, deep]).unwrap();
    for (target, expected) in [
        ("/a/1", "0 w=1"),
        ("/a/1?debug=1", "2 x=1"),
        ("/a/1?debug=0&debug=1", "2 x=1"),
        ("/a/1?debug=2", "0 w=1"),
        ("/a/1?debug&na+me=x%20y", "3 y=1"),
        ("/a/b%20c?q=1", "1 z=b%20c"),
        ("/a/b%20c?q=", "0 w=b%20c"),
        ("/a/b%20c", "0 w=b%20c"),
    ] {
        assert_eq!(find(&router, &head("GET", "x", target)), expected, "{target}");
    }
    let mut params = Params::new();
    let request = head("GET", "x", "/a/b%20c");
    router.find(&RequestView::new(&request, CLIENT), &mut params);
    assert_eq!(params.expression_faults, 1, "there is no request.query.q");
}

#[test]
fn headers_devices_and_versions_choose_among_routes_of_one_path() {
    let plain = || route("GET - /a");
    let header = |value: &str| RouteMatch {
        headers: vec![("X-Region".into(), ValueMatch::parse(value).unwrap())],
        ..plain()
    };
    let mobile = Arc::new(Device::new("mobile", Some("(?i)android|iphone"), None).unwrap());
    let iot = Arc::new(Device::new("iot", None, Some("X-Device-Id")).unwrap());
    let version = |by: VersionBy, version: &str, default| RouteMatch {
        version: Some(VersionMatch { by, version: version.into(), default }),
        ..route("GET - /v")
    };
    let by_header = || VersionBy::Header("X-Api-Version".into());
    let by = || VersionBy::MediaType("application/vnd.shop".into());
    let mut by_type = [version(by(), "v1", false), version(by(), "v2", true)];
    for route in &mut by_type {
        route.path = PathPattern::parse("/t").unwrap();
    }
    let [type_1, type_2] = by_type;
    let router = Router::build(vec![
        plain(),
        header("*"),
        header("e*"),
        header("eu"),
        RouteMatch { device: Some(mobile), ..plain() },
        RouteMatch { device: Some(iot), ..header("eu") },
        version(by_header(), "v1", false),
        version(by_header(), "v2", true),
        type_1,
        type_2,
    ])
    .unwrap();
    for (path, fields, expected) in [
        ("/a", vec![], "0"),
        ("/a", vec![("x-region", "us")], "1"),
        ("/a", vec![("x-region", "east")], "2"),
        ("/a", vec![("x-region", "us"), ("X-REGION", "eu")], "3"),
        ("/a", vec![("user-agent", "Android 14")], "4"),
        ("/a", vec![("x-region", "eu"), ("x-device-id", "")], "5"),
        ("/v", vec![], "7"),
        ("/v", vec![("x-api-version", "1")], "6"),
        ("/v", vec![("x-api-version", "v2")], "7"),
        ("/v", vec![("x-api-version", "v3")], "404"),
        ("/t", vec![("accept", "application/vnd.shop.v1+json")], "8"),
        ("/t", vec![("accept", "text/html, application/json;version=1")], "8"),
        ("/t", vec![("accept", "text/html")], "9"),
        ("/t", vec![("accept", "application/json;version=7")], "404"),
    ] {
        let mut request = head("GET", "x", path);
        for (name, value) in &fields {
            request.fields.append_named(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(find(&router, &request), expected, "{path} {fields:?}");
    }
    let mut request = head("GET", "x", "/v");
    request.fields.append(Known::Accept, b"x/y");
    request.fields.append_named(b"x-api-version", b"v9");
    let told = router.explain(&RequestView::new(&request, CLIENT));
    let reason = Verdict::Loses("it asks for version v1 in `X-Api-Version`".to_owned());
    assert!(told.contains(&Candidate { route: 6, verdict: reason }), "{told:?}");
}

#[test]
fn a_route_for_connect_lets_no_path_answer_405() {
    let router = router(&["CONNECT - /{rest...}", "GET - /a"]);
    assert_eq!(find(&router, &head("GET", "x", "/b")), "404");
    assert_eq!(find(&router, &head("POST", "x", "/a")), "405 GET, HEAD, OPTIONS");
}

#[test]
fn a_preflight_is_routed_by_the_method_that_it_asks_about() {
    let router = router(&["GET - /a", "PUT - /a"]);
    let request = head("OPTIONS", "x", "/a");
    let view = RequestView { method: &Method::PUT, ..RequestView::new(&request, CLIENT) };
    assert!(matches!(router.find(&view, &mut Params::new()), Found::Route(1)));
}

#[test]
fn a_path_that_branches_at_every_segment_is_searched_without_losing_its_way() {
    let router = router(&[
        "GET - /a/{x}/c/{y}/e",
        "GET - /{u}/b/c/d/f",
        "GET - /a/b/{v}/d/{w...}",
        "GET - /a/b/c/{z}/g",
    ]);
    for (path, expected) in [
        ("/a/b/c/d/e", "2 v=c w=e"),
        ("/a/b/c/d/g", "3 z=d"),
        ("/a/b/c/x/e", "0 x=b y=x"),
        ("/z/b/c/d/f", "1 u=z"),
        ("/a/b/c/d/f", "2 v=c w=f"),
        ("/a/q/c/d/f", "404"),
    ] {
        assert_eq!(find(&router, &head("GET", "x", path)), expected, "{path}");
    }
}

#[test]
fn an_explanation_names_the_winner_and_the_rule_that_each_other_loses_by() {
    let mut asks = route("GET - /users/{id}");
    asks.query = vec![("debug".into(), ValueMatch::Present)];
    let mut when = route("GET - /users/{id}");
    when.when = Some(Expression::compile("request.host == 'y'").unwrap());
    let mut list: Vec<_> = [
        "GET - /users/{name}",
        "GET - /users/{name}",
        "GET,POST - /users/{name}",
        "- - /users/{name}",
        "POST - /users/{name}",
        "GET - /users/{rest...}",
        "GET z /users/7",
        "GET - /users/7/",
        "GET - /{rest...}",
    ]
    .map(route)
    .into();
    list.extend([asks, when]);
    let router = Router::build(list).unwrap();
    let request = head("GET", "x", "/users/7");
    let told: Vec<_> = router
        .explain(&RequestView::new(&request, CLIENT))
        .into_iter()
        .map(|candidate| match candidate.verdict {
            Verdict::Wins => (candidate.route, "wins".to_owned()),
            Verdict::Loses(reason) => (candidate.route, reason),
        })
        .collect();
    let expected = [
        (10, "`request.host == 'y'` is false"),
        (9, "the query parameter `debug` is missing"),
        (0, "wins"),
        (1, "it is as specific as the winner, which stands before it"),
        (4, "it takes POST, not GET"),
        (2, "the winner takes fewer methods"),
        (3, "the winner has more conditions (1 against 0)"),
        (
            5,
            "at segment 2 of the path the winner has the parameter `{}`, which is more specific than the rest `{...}`",
        ),
        (
            8,
            "at segment 1 of the path the winner has the text `users`, which is more specific than the rest `{...}`",
        ),
    ];
    let mut told_sorted = told.clone();
    told_sorted.sort();
    let mut expected_sorted = expected.map(|(at, text)| (at, text.to_owned()));
    expected_sorted.sort();
    assert_eq!(told_sorted, expected_sorted, "{told:#?}");
}

#[test]
fn an_explanation_of_nothing_names_what_only_host_or_slash_keep_away() {
    let router = router(&["GET api.x /users/{id}", "GET - /users/{id}/", "POST - /other"]);
    let request = head("GET", "y", "/users/7");
    let told = router.explain(&RequestView::new(&request, CLIENT));
    assert_eq!(
        told,
        [
            Candidate {
                route: 1,
                verdict: Verdict::Loses("its path matches only with a `/` at the end".to_owned())
            },
            Candidate { route: 0, verdict: Verdict::Loses("it is for the host `api.x`, not `y`".to_owned()) },
        ]
    );
}

#[test]
fn an_explanation_is_bounded_but_holds_the_winner() {
    let mut texts = vec!["POST - /a"; 100];
    texts.push("GET,PUT - /a");
    let router = router(&texts);
    let request = head("GET", "x", "/a");
    let told = router.explain(&RequestView::new(&request, CLIENT));
    assert_eq!(told.len(), MAX_CANDIDATES + 1);
    assert!(told.contains(&Candidate { route: 100, verdict: Verdict::Wins }));
}

#[test]
fn routes_that_others_always_go_before_are_found() {
    let with = |text: &str, condition: &str| {
        let mut route = route(text);
        route.query = vec![("q".into(), ValueMatch::parse(condition).unwrap())];
        route
    };
    let when = |text: &str, condition: &str| {
        let mut route = route(text);
        route.when = Some(Expression::compile(condition).unwrap());
        route
    };
    let list = vec![
        route("GET - /a/{x}"),
        route("GET - /a/{y}"),      // 1: by 0
        route("GET,POST - /a/{y}"), // POST is left
        route("POST,GET - /a/{z}"), // 3: by 0 and 2
        route("POST - /a/{y}"),     // fewer methods: goes before 2
        route("- - /a/{y}"),        // the other methods are left
        route("- - /a/{z}"),        // 6: by 5
        with("GET - /a/{x}", "1"),
        with("GET - /a/{x}", "2"),
        with("GET - /a/{y}", "1"), // 9: by 7
        when("GET - /a/{x}", "params.x == '1'"),
        when("GET - /a/{y}", "params.x == '1'"), // speaks of another parameter
        when("GET - /a/{x}", "params.x == '1'"), // 12: by 10
        route("GET x /a/{y}"),
        route("GET *.x /a/{y}"),
        route("HEAD - /a/{x}"), // named, so before GET
        route("GET - /b/{x:.+}"),
        route("GET - /b/{x}"), // 17: by 16
        route("GET - /b/{x:[0-9]}"),
    ];
    let router = Router::build(list).unwrap();
    let found: Vec<_> = router.unreachable().into_iter().map(|found| (found.loser, found.winner)).collect();
    // POST alone stands before GET,POST, so both together cover 2 as well as 3.
    assert_eq!(found, [(1, 0), (2, 0), (3, 0), (6, 5), (9, 7), (12, 10), (17, 16)]);
}

#[test]
fn too_many_methods_are_a_fault_of_the_route_that_names_one_too_many() {
    let routes = (0..=MAX_EXTENSION_METHODS).map(|at| route(&format!("X{at} - /a"))).collect();
    assert_eq!(Router::build(routes).unwrap_err(), RouterFault::TooManyMethods(MAX_EXTENSION_METHODS));
}
