//! Which route answers: hosts, templates, methods, conditions; and what it does with the request.

use tollgate_tests::{Gateway, gateway, gateway_with, hello, named};

/// A gateway of routes that each answer with their own name.
fn routes(lines: &[(&str, &str)]) -> Gateway {
    let route = |(name, matches): &(&str, &str)| {
        format!("  - {{ match: {matches}, respond: {{ body: '{name}' }}, access: public }}\n")
    };
    gateway(format!("routes:\n{}", lines.iter().map(route).collect::<String>()))
}

/// Asks for each and compares the names of the routes that answered; `404` and the like where none did.
#[track_caller]
fn expect(gate: &Gateway, cases: &[(&str, &str, &str)]) {
    for (host, target, name) in cases {
        let answer = gate.ask("GET", target).host(host).send();
        let got = if answer.status == 200 { answer.text() } else { answer.status.to_string() };
        assert_eq!(got, *name, "{host}{target}: {answer:?}");
    }
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let gate = routes(&[
        ("rest", "'/users/{rest...}'"),
        ("any", "'/users/{id}'"),
        ("number", "'/users/{id:[0-9]+}'"),
        ("exact", "/users/me"),
        ("deep", "'/users/{id}/posts'"),
    ]);
    expect(
        &gate,
        &[
            ("a", "/users/me", "exact"),
            ("a", "/users/12", "number"),
            ("a", "/users/ann", "any"),
            ("a", "/users/ann/posts", "deep"),
            ("a", "/users/ann/posts/1", "rest"),
            ("a", "/users/me/posts", "deep"),
            ("a", "/elsewhere", "404"),
            ("a", "/USERS/me", "404"),
        ],
    );
}

#[test]
fn a_route_that_fits_worse_answers_where_the_better_one_fails_deeper() {
    let gate = routes(&[("one", "'/a/{x}/c'"), ("two", "'/a/b/{y}'"), ("rest", "'/{rest...}'")]);
    expect(
        &gate,
        &[("a", "/a/b/c", "two"), ("a", "/a/z/c", "one"), ("a", "/a/b/d", "two"), ("a", "/a/z/d", "rest")],
    );
}

#[test]
fn hosts_are_exact_then_wild_then_any() {
    let gate = routes(&[
        ("any", "/x"),
        ("wild", "{ path: /x, host: '*.shop.test' }"),
        ("exact", "{ path: /x, host: api.shop.test }"),
    ]);
    expect(
        &gate,
        &[
            ("api.shop.test", "/x", "exact"),
            ("API.Shop.Test:8080", "/x", "exact"),
            ("www.shop.test", "/x", "wild"),
            ("shop.test", "/x", "any"),
            ("other.test", "/x", "any"),
        ],
    );
}

#[test]
fn a_template_s_segment_holds_an_encoded_slash() {
    let gate = routes(&[("one", "'/files/{name}'"), ("two", "'/files/{dir}/{name}'")]);
    expect(&gate, &[("a", "/files/a%2Fb", "one"), ("a", "/files/a/b", "two")]);
}

#[test]
fn a_method_that_no_route_takes_gets_405_with_those_that_some_do() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes:
          - { match: 'GET,POST /users', to: users, access: public }
          - { match: DELETE /users, to: users, access: public }
        ",
        &[("users", &users)],
    );
    let answer = gate.ask("PATCH", "/users").send().expect(405);
    answer.expect_refusal("method_not_allowed");
    let mut allowed: Vec<_> = answer.header("Allow").unwrap().split(", ").map(str::to_owned).collect();
    allowed.sort();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "OPTIONS", "POST"]);
    gate.ask("DELETE", "/users").send().expect(200);
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn a_route_for_get_answers_head_too() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes: [{ match: GET /users, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let mut wire = gate.send("HEAD /users HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer_to("HEAD").expect(200).expect_header("Content-Length", "5");
    assert_eq!(users.only_request().method, "HEAD");
}

#[test]
fn options_is_answered_where_no_route_takes_it() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes: [{ match: GET /users, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let answer = gate.ask("OPTIONS", "/users").send();
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    assert!(answer.header("Allow").unwrap().contains("GET"), "{answer:?}");
    assert!(users.requests().is_empty());
    let answer = gate.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
}

#[test]
fn conditions_on_headers_query_and_device_choose_among_equal_paths() {
    let gate = gateway(
        "
        devices:
          phone: { user_agent: '(?i)android|iphone' }
          meter: { header: X-Device-Id }
        routes:
          - { match: /x, respond: { body: plain }, access: public }
          - { match: { path: /x, headers: { X-Region: eu } }, respond: { body: eu }, access: public }
          - { match: { path: /x, query: { debug: '1' } }, respond: { body: debug }, access: public }
          - { match: { path: /x, device: phone }, respond: { body: phone }, access: public }
          - { match: { path: /x, device: meter }, respond: { body: meter }, access: public }
          - { match: { path: /x, headers: { X-Region: eu }, query: { debug: '1' } }, respond: { body: both }, access: public }
        ",
    );
    let ask =
        |target: &str, name: &str, value: &str| gate.ask("GET", target).header(name, value).send().text();
    assert_eq!(ask("/x", "X-Other", "eu"), "plain");
    assert_eq!(ask("/x", "X-Region", "eu"), "eu");
    assert_eq!(ask("/x", "X-Region", "us"), "plain");
    assert_eq!(ask("/x?a=b&debug=1", "X-Other", ""), "debug");
    assert_eq!(ask("/x?debug=10", "X-Other", ""), "plain");
    assert_eq!(ask("/x", "User-Agent", "Mozilla (iPhone)"), "phone");
    assert_eq!(ask("/x", "X-Device-Id", "7"), "meter");
    assert_eq!(ask("/x?debug=1", "X-Region", "eu"), "both");
}

#[test]
fn an_expression_decides_where_nothing_else_can() {
    let gate = gateway(
        "
        routes:
          - { match: { path: '/x/{id}', when: \"params.id.startsWith('a')\" }, respond: { body: a }, access: public }
          - { match: { path: '/x/{id}', when: \"request.headers['x-n'] == '1'\" }, respond: { body: header }, access: public }
          - { match: { path: '/y', when: 'request.size < 10' }, respond: { body: small }, access: public }
        ",
    );
    assert_eq!(gate.get("/x/abc").expect(200).text(), "a");
    assert_eq!(gate.ask("GET", "/x/b").header("X-N", "1").send().expect(200).text(), "header");
    // A field that is not there is not an error of the request.
    gate.get("/x/b").expect(404);
    gate.post("/y", "12345").expect(200).expect_body("small");
    gate.post("/y", "12345678901").expect(404);
}

#[test]
fn a_rewrite_is_what_the_service_sees() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users>, deep: <users>/base }
        routes:
          - { match: 'GET /public/{rest...}', to: users, rewrite: '/static/{rest}', access: public }
          - { match: 'GET /u/{id}/p/{post}', to: users, rewrite: '/posts/{post}/of/{id}', access: public }
          - { match: 'GET /deep/{rest...}', to: deep, access: public }
        ",
        &[("users", &users)],
    );
    for (sent, seen) in [
        ("/public/css/a.css?v=1", "/static/css/a.css?v=1"),
        ("/u/7/p/9", "/posts/9/of/7"),
        ("/u/a%2Fb/p/%20", "/posts/%20/of/a%2Fb"),
        ("/deep/x", "/base/deep/x"),
    ] {
        let number = users.requests().len();
        gate.get(sent).expect(200);
        assert_eq!(users.request(number).target, seen, "{sent}");
    }
}

#[test]
fn a_route_may_answer_by_itself() {
    let gate = gateway(
        "
        routes:
          - match: 'GET /legacy/{rest...}'
            respond: { status: 410, body: gone, headers: { Link: '</v2>; rel=successor-version' } }
            access: public
          - { match: /empty, respond: 204, access: public }
          - { match: /json, respond: { body: '{}', headers: { Content-Type: application/json } }, access: public }
        ",
    );
    let answer = gate.get("/legacy/x").expect(410).expect_body("gone");
    assert_eq!(answer.header("Link"), Some("</v2>; rel=successor-version"));
    assert!(answer.header("Content-Type").unwrap().starts_with("text/plain"), "{answer:?}");
    assert!(!gate.get("/empty").expect(204).fields.has("Content-Length"));
    gate.get("/json").expect(200).expect_header("Content-Type", "application/json");
    let mut wire = gate.send("HEAD /json HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer_to("HEAD").expect(200).expect_header("Content-Length", "2");
    wire.answer().expect(200).expect_body("{}");
}

#[test]
fn a_body_that_nobody_reads_does_not_upset_the_connection() {
    let gate = gateway("routes: [{ match: /x, respond: { body: ok }, access: public }]");
    let mut wire = gate.connect();
    for _ in 0..3 {
        wire.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        wire.answer().expect(200).expect_body("ok");
    }
    wire.send("POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    wire.answer().expect(404);
}

#[test]
fn a_redirecting_listener_sends_everybody_to_https() {
    let gate = gateway(
        "
        listeners: [{ address: '127.0.0.1:0', redirect: https }]
        routes: [{ match: /x, respond: { body: ok }, access: public }]
        ",
    );
    let answer = gate.ask("POST", "/a/b?c=d").host("shop.test:8080").body("x").send().expect(308);
    let location = answer.header("Location").unwrap();
    assert!(location.starts_with("https://shop.test"), "{location}");
    assert!(location.ends_with("/a/b?c=d"), "{location}");
    // A host that could break out of the URL is refused before.
    gate.ask("GET", "/x").host("a\"b").send().expect(400);
}

#[test]
fn a_redirect_leads_to_the_listener_with_tls() {
    let port = tollgate_tests::free_port();
    let gate = gateway_with(
        "
        listeners:
          - { address: '127.0.0.1:0', redirect: https }
          - { address: '127.0.0.1:<port>', tls: dev }
        routes: [{ match: /x, respond: { body: ok }, access: public }]
        ",
        &[("port", &port)],
    );
    let answer = gate.ask("GET", "/a").host("shop.test:8080").send().expect(308);
    assert_eq!(answer.header("Location").unwrap(), format!("https://shop.test:{port}/a"));
}

#[test]
fn no_route_is_a_problem_that_can_be_worked_with() {
    let gate = routes(&[("x", "/x")]);
    let answer = gate.get("/nowhere").expect(404);
    let problem = answer.expect_refusal("no_route");
    assert_eq!(problem["stage"], "route");
    assert_eq!(problem["request_id"], answer.header("X-Request-Id").unwrap());
    assert!(problem["detail"].as_str().unwrap().len() > 20, "{problem}");
    let mut wire = gate.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer_to("HEAD").expect(404);
    wire.answer().expect(200);
}

#[test]
fn answers_are_changed_as_the_route_says() {
    let users = tollgate_tests::backend(|call| {
        call.reply_with(200, "Server: svc\r\nX-A: 1\r\nX-A: 2\r\nVary: Accept\r\n", "");
    });
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes:
          - match: /x
            to: users
            access: public
            response: { headers: { set: { X-A: new }, add: { Vary: Cookie }, remove: [Server] } }
          - { match: /y, to: users, access: public }
        ",
        &[("users", &users)],
    );
    let answer = gate.get("/x").expect(200).expect_header("X-A", "new");
    assert!(!answer.fields.has("Server"), "{answer:?}");
    assert_eq!(answer.fields.all("Vary"), ["Accept", "Cookie"]);
    assert_eq!(gate.get("/y").expect(200).fields.all("X-A"), ["1", "2"]);
}

#[test]
fn listeners_share_the_routes() {
    let users = named("users");
    let gate = gateway_with(
        "
        listeners: ['127.0.0.1:0', '127.0.0.1:0']
        services: { users: <users> }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    for number in 0..2 {
        tollgate_tests::Ask::new(gate.listener(number), "GET", "/x").send().expect(200);
    }
}
