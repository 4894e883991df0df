//! `rate_limit`: how many requests callers may make, and what they are told of it.

use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_tests::{
    Answer, Gateway, backend, curl, eventually, gateway, gateway_with, grpc_call, grpc_server, hello,
    tollgate,
};

/// A gateway of two workers that believes who the scene says that it is. Buckets fill so slowly that no scene sees it.
fn gate_of(lines: &str) -> Gateway {
    gateway(config_of(lines))
}

fn config_of(lines: &str) -> String {
    format!(
        "
workers: 2
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
auth: {{ keys: {{ api_key: {{}} }} }}
apps:
  web: {{ keys: [ {{ id: w1, secret: 0123456789abcdef }}, {{ id: w2, secret: 0123456789abcdef }} ] }}
  shop: {{ keys: [ {{ id: s1, secret: 0123456789abcdef }} ] }}
{lines}
"
    )
}

fn from(gate: &Gateway, path: &str, client: &str) -> u16 {
    gate.ask("GET", path).header("X-Forwarded-For", client).send().status
}

fn with_key(gate: &Gateway, path: &str, key: &str) -> u16 {
    gate.ask("GET", path).header("X-API-Key", &format!("{key}.0123456789abcdef")).send().status
}

/// What an answer tells of limits: their policy, and what is left.
fn told(answer: &Answer) -> [Option<&str>; 2] {
    ["RateLimit-Policy", "RateLimit"].map(|name| answer.header(name))
}

#[test]
fn after_the_burst_callers_are_told_when_to_come_back() {
    let gate = gateway("routes: [{ match: /x, respond: 200, access: public, rate_limit: 3/h }]");
    let policy = "\"ip\";q=3;w=3600";
    assert_eq!(told(&gate.get("/x").expect(200)), [Some(policy), Some("\"ip\";r=2;t=1200")]);
    for left in ["\"ip\";r=1;t=2", "\"ip\";r=0;t=3"] {
        let answer = gate.get("/x").expect(200);
        assert!(answer.header("RateLimit").unwrap().starts_with(left), "{answer:?}");
    }
    let refused = gate.get("/x").expect(429);
    let problem = refused.expect_refusal("rate_limited");
    assert_eq!(problem["stage"], "limit");
    assert!(problem["detail"].as_str().unwrap().contains("(3/h)"), "{problem}");
    assert_eq!(told(&refused)[0], Some(policy));
    assert!(told(&refused)[1].unwrap().starts_with("\"ip\";r=0;t="), "{refused:?}");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&wait), "{wait}");
    // What is logged has been counted.
    assert_eq!(gate.log(4)[3]["code"], "rate_limited");
    assert!(gate.metrics().sum("tollgate_refusals_total", &[("code", "rate_limited")]) >= 1.0);
}

#[test]
fn who_waits_as_told_is_let_in() {
    let gate = gateway(
        "routes: [{ match: /x, respond: 200, access: public, rate_limit: { limit: 1/s, burst: 1 } }]",
    );
    gate.get("/x").expect(200);
    gate.get("/x").expect(429).expect_header("Retry-After", "1");
    eventually("there is a token again", || gate.get("/x").status == 200);
}

#[test]
fn addresses_are_counted_apart_and_a_network_of_ipv6_together() {
    let gate = gate_of("routes: [{ match: /x, respond: 200, access: public, rate_limit: 1/h }]");
    for (client, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.2", 200),
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(from(&gate, "/x", client), expected, "{client}");
    }
}

#[test]
fn some_networks_are_left_out_and_those_of_ipv6_are_as_long_as_is_said() {
    let gate = gate_of(
        "
defaults: { access: public }
routes:
  - { match: /except, respond: 200, rate_limit: { limit: 1/h, except: [10.0.0.0/8, '2001:db8:1::/48'] } }
  - { match: /several, respond: 200, rate_limit: [ 1/h, { limit: 2/h, by: global, except: [10.0.0.0/8] } ] }
  - { match: /wide, respond: 200, rate_limit: { limit: 1/h, ipv6_prefix: 56 } }
  - { match: /narrow, respond: 200, rate_limit: { limit: 1/h, ipv6_prefix: 128 } }
",
    );
    for (path, client, expected) in [
        ("/except", "10.1.2.3", 200),
        ("/except", "10.1.2.3", 200),
        ("/except", "2001:db8:1::1", 200),
        ("/except", "2001:db8:1::1", 200),
        ("/except", "192.0.2.1", 200),
        ("/except", "192.0.2.1", 429),
        ("/several", "10.1.2.3", 200),
        ("/several", "10.1.2.3", 429),
        ("/several", "192.0.2.1", 200),
        ("/several", "192.0.2.2", 200),
        ("/several", "192.0.2.3", 429),
        ("/several", "10.1.2.4", 200),
        ("/wide", "2001:db8:0:aa00::1", 200),
        ("/wide", "2001:db8:0:aaff::1", 429),
        ("/wide", "2001:db8:0:ab00::1", 200),
        ("/wide", "192.0.2.1", 200),
        ("/wide", "192.0.2.2", 200),
        ("/narrow", "2001:db8::1", 200),
        ("/narrow", "2001:db8::2", 200),
        ("/narrow", "2001:db8::2", 429),
    ] {
        assert_eq!(from(&gate, path, client), expected, "{path} {client}");
    }
    let told = gate.ask("GET", "/except").header("X-Forwarded-For", "10.1.2.3").send().expect(200);
    assert_eq!(told.header("RateLimit"), None);
}

#[test]
fn callers_are_counted_by_who_they_are() {
    let gate = gate_of(
        "
defaults: { access: keys }
routes:
  - { match: /app, respond: 200, rate_limit: { limit: 1/h, by: app } }
  - { match: /key, respond: 200, rate_limit: { limit: 1/h, by: key } }
  - { match: /user, respond: 200, rate_limit: { limit: 1/h, by: user } }
",
    );
    for (path, key, expected) in [
        ("/app", "w1", 200),
        ("/app", "w2", 429),
        ("/app", "s1", 200),
        ("/key", "w1", 200),
        ("/key", "w2", 200),
        ("/key", "w2", 429),
        // Nobody knows a user here: the app is the next best.
        ("/user", "w1", 200),
        ("/user", "w2", 429),
        ("/user", "s1", 200),
    ] {
        assert_eq!(with_key(&gate, path, key), expected, "{path} {key}");
    }
    // Who may not call takes nothing.
    assert_eq!(with_key(&gate, "/key", "none"), 401);
}

#[test]
fn a_limit_may_go_by_a_header_an_expression_or_by_all() {
    let gate = gate_of(
        "
defaults: { access: public }
routes:
  - { match: /header, respond: 200, rate_limit: { limit: 1/h, by: 'header:X-Tenant' } }
  - { match: '/of/{id}', respond: 200, rate_limit: { limit: 1/h, by: params.id } }
  - { match: /all, respond: 200, rate_limit: { limit: 1/h, by: global } }
  - { match: /when, respond: 200, rate_limit: { limit: 1/h, when: \"request.method != 'HEAD'\" } }
  - { match: /quiet, respond: 200, rate_limit: { limit: 1/h, headers: false } }
",
    );
    let tenant = |name: &str| gate.ask("GET", "/header").header("X-Tenant", name).send().status;
    assert_eq!(["a", "b", "a"].map(tenant), [200, 200, 429]);
    assert_eq!(["/header", "/header"].map(|path| gate.get(path).status), [200, 429]);
    assert_eq!(["/of/1", "/of/2", "/of/1"].map(|path| gate.get(path).status), [200, 200, 429]);
    assert_eq!(["192.0.2.1", "192.0.2.2"].map(|client| from(&gate, "/all", client)), [200, 429]);
    for _ in 0..3 {
        assert_eq!(told(&gate.ask("HEAD", "/when").send().expect(200)), [None, None]);
    }
    assert_eq!(["/when", "/when"].map(|path| gate.get(path).status), [200, 429]);
    assert_eq!(told(&gate.get("/quiet").expect(200)), [None, None]);
    let refused = gate.get("/quiet").expect(429);
    assert!(refused.header("Retry-After").is_some() && told(&refused) == [None, None], "{refused:?}");
}

#[test]
fn a_refused_request_does_not_charge_the_other_limit() {
    let gate = gate_of(
        "
routes:
  - match: /x
    respond: 200
    access: public
    rate_limit: [ { limit: 3/h, by: 'header:X-Tenant' }, 1/h, { limit: 100/h, by: global, headers: false } ]
",
    );
    let ask = |tenant: &str, client: &str| {
        gate.ask("GET", "/x").header("X-Tenant", tenant).header("X-Forwarded-For", client).send()
    };
    let first = ask("a", "192.0.2.1").expect(200);
    let policy = "\"header\";q=3;w=3600, \"ip\";q=1;w=3600";
    assert_eq!(told(&first), [Some(policy), Some("\"ip\";r=0;t=3600")]);
    for _ in 0..5 {
        assert!(ask("a", "192.0.2.1").expect(429).header("RateLimit").unwrap().starts_with("\"ip\";r=0"));
    }
    // Two of the tenant's three are left.
    assert_eq!(
        ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|client| ask("a", client).status),
        [200, 200, 429]
    );
    // And the address whose request the tenant's limit refused has its own.
    ask("b", "192.0.2.4").expect(200);
}

#[test]
fn the_nearest_limit_holds_and_what_is_inherited_is_counted_together() {
    let gate = gate_of(
        "
defaults: { access: public, rate_limit: 2/h }
routes:
  - { match: /a, respond: 200 }
  - { match: /b, respond: 200 }
  - { match: /own, respond: 200, rate_limit: 1/h }
  - { match: /off, respond: 200, rate_limit: off }
  - { match: /each, respond: 200, rate_limit: { limit: 1/h, by: route } }
",
    );
    assert_eq!(["/a", "/b", "/a", "/b"].map(|path| gate.get(path).status), [200, 200, 429, 429]);
    assert_eq!(["/own", "/own", "/each", "/each"].map(|path| gate.get(path).status), [200, 429, 200, 429]);
    for _ in 0..5 {
        assert_eq!(told(&gate.get("/off").expect(200)), [None, None]);
    }
}

#[test]
fn a_reload_keeps_what_was_used_up_whatever_the_numbers() {
    let with = |limit: &str| {
        format!(
            "routes: [{{ match: /x, respond: 200, access: public, rate_limit: {{ limit: {limit}, by: ip }} }}]"
        )
    };
    let gate = gateway(with("4/h"));
    (0..4).for_each(|_| drop(gate.get("/x").expect(200)));
    gate.get("/x").expect(429);
    gate.expect_reload(|| gate.replace_config(&with("4/h, burst: 4")));
    gate.get("/x").expect(429);
    // The bucket would be full again in an hour, and half of this one takes as long.
    gate.expect_reload(|| gate.replace_config(&with("4/h, burst: 8")));
    assert_eq!((0..5).map(|_| gate.get("/x").status).collect::<Vec<_>>(), [200, 200, 200, 200, 429]);
}

#[test]
fn all_workers_count_together() {
    let gate = gate_of("routes: [{ match: /x, respond: 200, access: public, rate_limit: 20/h }]");
    // Each connection goes to whichever worker the kernel chooses.
    let served = (0..60).filter(|_| gate.get("/x").status == 200).count();
    assert_eq!(served, 20);
}

#[test]
fn a_refusal_is_told_in_every_protocol() {
    let server = grpc_server();
    let gate = gateway_with(
        "
services: { calls: { endpoints: [ <calls> ], protocol: grpc } }
defaults: { access: public, rate_limit: { limit: 1/h, by: route } }
routes:
  - { match: /x, respond: { body: hello } }
  - { match: '/{rest...}', to: calls }
",
        &[("calls", &server)],
    );
    let url = format!("http://{}/x", gate.address());
    let ask = || curl(&["--http2-prior-knowledge", "-s", "-D-", "-o", "-", &url]).text();
    let first = ask();
    assert!(first.contains("HTTP/2 200") && first.contains("ratelimit: \"route\";r=0;t=3600"), "{first}");
    let second = ask();
    assert!(second.contains("HTTP/2 429") && second.contains("retry-after: "), "{second}");
    grpc_call(gate.address(), "unary", "Unary").send(&["hello"]).expect("OK");
    let refused = grpc_call(gate.address(), "unary", "Unary").send(&["hello"]).expect("RESOURCE_EXHAUSTED");
    assert_eq!(refused.trailing("tollgate-code"), Some("rate_limited"));
}

#[test]
fn fields_of_the_service_stay_and_preflights_are_not_counted() {
    let users = backend(|call| call.reply_with(200, "RateLimit: \"own\";r=5;t=1\r\n", "served"));
    let gate = gateway_with(
        "
services: { users: <users> }
routes: [{ match: /x, to: users, access: public, cors: '*', rate_limit: 2/h }]
",
        &[("users", &users)],
    );
    for _ in 0..5 {
        let preflight = gate.ask("OPTIONS", "/x").header("Origin", "https://a.example");
        preflight.header("Access-Control-Request-Method", "GET").send().expect(204);
    }
    let answer = gate.get("/x").expect(200);
    assert_eq!(answer.fields.all("RateLimit"), ["\"own\";r=5;t=1", "\"ip\";r=1;t=1800"]);
}

#[test]
fn requests_take_what_they_cost() {
    let gate = gate_of(
        "
defaults: { access: public }
routes:
  - match: /units
    respond: 200
    rate_limit: { limit: 10/d, cost: 'int(request.headers[\"x-units\"])' }
  - match: /log
    respond: 200
    rate_limit: { limit: 10/d, cost: 'int(request.headers[\"x-units\"])', algorithm: sliding_window }
  - match: /counts
    respond: 200
    rate_limit: { limit: 100/d, cost: '10.0 * double(request.headers[\"x-units\"])', algorithm: sliding_window }
  - match: /window
    respond: 200
    rate_limit: { limit: 10/d, cost: 'int(request.headers[\"x-units\"])', algorithm: fixed_window }
  - match: /body
    respond: 200
    rate_limit: { limit: 10/d, cost: 'has(request.size) ? request.size / 100 + 1 : 5' }
  - match: /both
    respond: 200
    rate_limit: [ { limit: 3/d, by: global }, { limit: 10/d, cost: 'int(request.headers[\"x-units\"])' } ]
",
    );
    let ask = |path: &str, units: &str| gate.ask("GET", path).header("X-Units", units).send();
    for path in ["/units", "/log", "/counts", "/window"] {
        // Nothing, four, one that cannot be told, one below nothing, which cannot be told either.
        for (units, left) in [("0", None), ("4", Some(6)), ("x", Some(5)), ("-1", Some(4))] {
            let answer = ask(path, units).expect(200);
            let left = left.map(|left| if path == "/counts" { [60, 59, 58][6 - left] } else { left });
            let found =
                told(&answer)[1].map(|told| told.starts_with(&format!("\"ip\";r={};", left.unwrap())));
            assert_eq!(found, left.map(|_| true), "{path} {units}: {answer:?}");
        }
        let refused = ask(path, "7").expect(429);
        let detail = refused.expect_refusal("rate_limited")["detail"].to_string();
        assert!(detail.contains("more requests, by what they cost, than one address may make"), "{detail}");
        // What is left is told also to who wants more.
        let left = if path == "/counts" { 58 } else { 4 };
        assert!(told(&refused)[1].unwrap().starts_with(&format!("\"ip\";r={left};")), "{path}: {refused:?}");
        ask(path, "4").expect(200);
        ask(path, "0").expect(200);
    }
    // What costs more than there ever is takes all of it.
    for path in ["/units", "/log", "/window"] {
        let ask = |units: &str| {
            gate.ask("GET", path).header("X-Units", units).header("X-Forwarded-For", "192.0.2.9").send()
        };
        assert!(told(&ask("11").expect(200))[1].unwrap().starts_with("\"ip\";r=0;"));
        ask("1").expect(429);
    }
    let post = |size: usize| gate.post("/body", vec![b'a'; size]).status;
    assert_eq!([post(450), post(450), post(399), post(0), post(0)], [200, 200, 429, 429, 429]);
    // None is charged of the other when it is too dear.
    for (units, status) in [("8", 200), ("3", 429), ("3", 429), ("2", 200), ("0", 200), ("0", 429)] {
        assert_eq!(ask("/both", units).status, status, "{units}");
    }
}

#[test]
fn a_limit_that_is_kept_to_itself_refuses_without_a_word_of_itself() {
    let gate = gate_of(
        "routes: [{ match: /x, respond: 200, access: public, rate_limit: [ 20/d, { limit: 2/d, by: global, headers: false } ] }]",
    );
    (0..2).for_each(|_| drop(gate.get("/x").expect(200)));
    let refused = gate.get("/x").expect(429);
    let detail = refused.expect_refusal("rate_limited")["detail"].to_string();
    assert!(!detail.contains("2/d") && detail.contains("Retry-After"), "{detail}");
    assert_eq!(told(&refused), [Some("\"ip\";q=20;w=86400"), None]);
}

#[test]
fn legacy_fields_are_told_where_they_are_wanted() {
    let users =
        backend(|call| call.reply_with(200, "X-RateLimit-Limit: 7\r\nX-RateLimit-Other: 8\r\n", "served"));
    let gate = gateway_with(
        "
services: { users: <users> }
defaults: { access: public }
routes:
  - { match: /both, to: users, rate_limit: { limit: 2/h, legacy_headers: true } }
  - { match: /only, respond: 200, rate_limit: { limit: 2/h, headers: false, legacy_headers: true } }
  - { match: /none, respond: 200, rate_limit: 2/h }
  - { match: /less, to: users, rate_limit: [ 1/h, { limit: 2/h, by: route, legacy_headers: true } ] }
",
        &[("users", &users)],
    );
    let unix = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let names = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    let legacy =
        |answer: &Answer| names.map(|name| answer.header(name).map(|text| text.parse::<u64>().unwrap()));
    for (path, is_told) in [("/both", true), ("/only", false)] {
        for (status, left, full_in) in [(200, 1, 1800), (200, 0, 3600), (429, 0, 3600)] {
            let answer = gate.get(path).expect(status);
            let [limit, remaining, reset] = legacy(&answer);
            assert_eq!([limit, remaining], [Some(2), Some(left)], "{answer:?}");
            assert!(reset.unwrap().abs_diff(unix() + full_in) <= 2, "{answer:?}");
            assert_eq!(answer.header("RateLimit").is_some(), is_told, "{answer:?}");
            assert_eq!(answer.fields.all("X-RateLimit-Limit"), ["2"]);
        }
    }
    assert_eq!(legacy(&gate.get("/none").expect(200)), [None; 3]);
    // Another limit has less left, and those of the service tell of neither.
    let answer = gate.get("/less").expect(200);
    assert_eq!((legacy(&answer), answer.header("X-RateLimit-Other")), ([None; 3], Some("8")));
}

#[test]
fn explain_tells_of_limits() {
    let users = hello();
    let gate = gateway_with(
        "
services: { users: <users> }
routes: [{ match: /x, to: users, access: public, rate_limit: [ 100/m, { limit: 10/s, burst: 20, by: global } ] }]
",
        &[("users", &users)],
    );
    let config = gate.config_file();
    let said = tollgate(&["explain", "GET", "/x", "-c", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("limit      rate_limit: 100/m by ip; 10/s by global, burst 20"), "{said}");
}

const BANS: &str = "
defaults: { access: public, ban: { after: 3 refusals in 1h, for: 2h, except: [192.0.2.9] } }
routes:
  - { match: /x, respond: 200, access: keys }
  - { match: /open, respond: 200 }
  - { match: /missing, respond: 404 }
  - { match: /calm, respond: 200, ban: off }
";

#[test]
fn who_is_refused_too_often_is_banned_wherever_there_is_a_ban() {
    let gate = gate_of(BANS);
    // What no policy refuses is no reason.
    for _ in 0..4 {
        assert_eq!(from(&gate, "/missing", "192.0.2.1"), 404);
        assert_eq!(from(&gate, "/none", "192.0.2.1"), 404);
    }
    for expected in [401, 401, 401, 429] {
        assert_eq!(from(&gate, "/x", "192.0.2.1"), expected);
    }
    let refused = gate.ask("GET", "/open").header("X-Forwarded-For", "192.0.2.1").send().expect(429);
    assert_eq!(refused.expect_refusal("address_banned")["stage"], "admit");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((7000..=7200).contains(&wait), "{wait}");
    assert_eq!(from(&gate, "/calm", "192.0.2.1"), 200);
    assert_eq!(from(&gate, "/open", "192.0.2.2"), 200);
    let banned = || gate.metrics().sum("tollgate_refusals_total", &[("code", "address_banned")]);
    eventually("both are counted", || banned() > 1.5);
}

#[test]
fn a_ban_outlives_a_reload_and_is_for_a_whole_network_of_ipv6_but_for_no_exception() {
    let gate = gate_of(BANS);
    for client in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        assert_eq!(from(&gate, "/x", client), 401);
    }
    assert_eq!(from(&gate, "/open", "2001:db8::4"), 429);
    for _ in 0..5 {
        assert_eq!(from(&gate, "/x", "192.0.2.9"), 401);
    }
    assert_eq!(from(&gate, "/open", "192.0.2.9"), 200);
    gate.expect_reload(|| gate.replace_config(&config_of(&BANS.replace("3 refusals", "4 refusals"))));
    assert_eq!(from(&gate, "/open", "2001:db8::1"), 429);
    assert_eq!(from(&gate, "/open", "2001:db8:0:1::1"), 200);
}

#[test]
fn a_ban_is_for_as_much_of_a_network_as_is_said() {
    let lines = BANS.replace("for: 2h", "for: 2h, ipv6_prefix: 56");
    let gate = gate_of(&format!(
        "{lines}  - {{ match: /usual, respond: 200, ban: {{ after: 3 refusals in 1h, for: 2h }} }}\n"
    ));
    for client in ["2001:db8::1", "2001:db8:0:7::1", "2001:db8:0:ff::1"] {
        assert_eq!(from(&gate, "/x", client), 401);
    }
    assert_eq!(from(&gate, "/open", "2001:db8:0:8::1"), 429);
    assert_eq!(from(&gate, "/open", "2001:db8:0:100::1"), 200);
    // One that is told apart in another way is banned by itself.
    assert_eq!(from(&gate, "/usual", "2001:db8::1"), 200);
}

#[test]
fn a_ban_ends() {
    let gate = gate_of(&BANS.replace("for: 2h", "for: 1s"));
    for expected in [401, 401, 401, 429] {
        assert_eq!(from(&gate, "/x", "192.0.2.1"), expected);
    }
    eventually("the ban is over", || from(&gate, "/open", "192.0.2.1") == 200);
    // It has used up its refusals.
    assert_eq!(from(&gate, "/x", "192.0.2.1"), 401);
    assert_eq!(from(&gate, "/open", "192.0.2.1"), 429);
}
