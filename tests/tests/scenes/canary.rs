//! Requests that are split among services, copied to another, or made to fail on purpose.

use tollgate_tests::{Backend, Gateway, gateway_with, named, tollgate};

/// One worker in front of two versions of a service, with this as the route's target.
fn split(first: &Backend, second: &Backend, to: &str) -> Gateway {
    gateway_with(
        "
        workers: 1
        services: { v1: <v1>, v2: <v2> }
        routes: [{ match: '/{rest...}', to: <to>, access: public }]
        ",
        &[("v1", first), ("v2", second), ("to", &to)],
    )
}

fn asked(gate: &Gateway, name: &str, value: &str) -> String {
    gate.ask("GET", "/x").header(name, value).send().expect(200).text()
}

/// Changes a word of the configuration, and waits until that holds.
fn reconfigure(gate: &Gateway, was: &str, becomes: &str) {
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    assert!(config.contains(was), "{config}");
    gate.expect_reload(|| std::fs::write(gate.config_file(), config.replace(was, becomes)).unwrap());
}

#[test]
fn requests_are_split_by_weight() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gate = split(&v1, &v2, "{ split: [{ to: v1, weight: 95 }, { to: v2, weight: 5 }] }");
    let mut wire = gate.connect();
    for _ in 0..2_000 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.answer().expect(200);
        assert!(answer.header("Set-Cookie").is_none(), "nothing is remembered");
    }
    let few = v2.requests().len();
    assert!((30..=200).contains(&few), "{few} of 2000");
    assert_eq!(v1.requests().len() + few, 2_000);
    let answered = gate.metrics().sum("tollgate_upstream_requests_total", &[("service", "v2")]);
    assert!((answered - few as f64).abs() < 0.1, "{answered}");
    let services = gate.log(2_000);
    let told = services.iter().filter(|line| line["service"] == "v2").count();
    assert_eq!(told, few);
}

#[test]
fn who_got_a_sticky_service_keeps_it_until_it_has_no_weight() {
    let (v1, v2) = (named("v1"), named("v2"));
    let gate = split(&v1, &v2, "{ split: [{ to: v1, weight: 0 }, { to: v2, weight: 5, sticky: true }] }");
    let answer = gate.get("/x").expect(200).expect_body("v2");
    let cookie = answer.header("Set-Cookie").unwrap();
    let pair = cookie.strip_suffix("; Path=/; HttpOnly; SameSite=Lax").unwrap().to_owned();
    assert!(pair.starts_with("tg_split=") && !pair.contains("v2"), "{pair}");
    reconfigure(&gate, "v1, weight: 0", "v1, weight: 1000");
    for _ in 0..20 {
        let kept = gate.ask("GET", "/x").header("Cookie", &format!("a=b; {pair}")).send();
        kept.expect_body("v2");
    }
    assert_eq!(asked(&gate, "Cookie", "tg_split=0123456789abcdef"), "v1", "made up");
    reconfigure(&gate, "v2, weight: 5", "v2, weight: 0");
    for _ in 0..5 {
        assert_eq!(asked(&gate, "Cookie", &pair), "v1");
    }
    reconfigure(&gate, "v2, weight: 0", "v2, weight: 1");
    assert_eq!(asked(&gate, "Cookie", &pair), "v2", "back with its weight");
    reconfigure(&gate, "{ split: [{ to: v1, weight: 1000 }, { to: v2, weight: 1, sticky: true }] }", "v1");
    assert_eq!(asked(&gate, "Cookie", &pair), "v1");
}

#[test]
fn routes_that_split_among_others_share_a_cookie() {
    let backends = [named("a"), named("b"), named("c"), named("d")];
    let gate = gateway_with(
        "
        services: { a: <a>, b: <b>, c: <c>, d: <d> }
        defaults: { access: public }
        routes:
          - { match: /one, to: { split: [{ to: a, sticky: true }, { to: b, sticky: true }] } }
          - { match: /two, to: { split: [{ to: c, sticky: true }, { to: d, sticky: true }] } }
        ",
        &[("a", &backends[0]), ("b", &backends[1]), ("c", &backends[2]), ("d", &backends[3])],
    );
    let mut cookie = String::new();
    let mut got = Vec::new();
    for path in ["/one", "/two"] {
        let answer = gate.ask("GET", path).header("Cookie", &cookie).send().expect(200);
        cookie = answer.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
        got.push(answer.text());
    }
    for _ in 0..10 {
        for (path, name) in ["/one", "/two"].iter().zip(&got) {
            let answer = gate.ask("GET", path).header("Cookie", &cookie).send().expect_body(name);
            assert!(answer.header("Set-Cookie").is_none());
        }
    }
}

#[test]
fn the_same_user_gets_the_same_service_and_a_growing_weight_moves_users_to_it_alone() {
    for (by, name) in [("header: X-User", "X-User"), ("hash: \"request.headers['x-tenant']\"", "X-Tenant")] {
        let (v1, v2) = (named("v1"), named("v2"));
        let gate = split(
            &v1,
            &v2,
            &format!("{{ split: [{{ to: v1, weight: 90 }}, {{ to: v2, weight: 10 }}], by: {{ {by} }} }}"),
        );
        let services = |gate: &Gateway| {
            let users = (0..200).map(|user| asked(gate, name, &format!("user-{user}")));
            users.collect::<Vec<_>>()
        };
        let before = services(&gate);
        assert_eq!(services(&gate), before);
        let count = |services: &[String]| services.iter().filter(|one| *one == "v2").count();
        assert!((4..=60).contains(&count(&before)), "{}", count(&before));
        reconfigure(&gate, "v2, weight: 10", "v2, weight: 30");
        let after = services(&gate);
        assert!(count(&after) > count(&before));
        let stays = |(was, is): (&String, &String)| was == is || is == "v2";
        assert!(before.iter().zip(&after).all(stays));
        // Without the value it is left to chance, and no cookie is set.
        assert!(gate.get("/x").expect(200).header("Set-Cookie").is_none());
    }
}

#[test]
fn a_header_forces_a_service_where_the_route_says_so() {
    let (v1, v2) = (named("v1"), named("v2"));
    let to = "{ split: [{ to: v1 }, { to: v2, weight: 0, sticky: true }], force: X-Branch }";
    let gate = split(&v1, &v2, to);
    assert_eq!(asked(&gate, "X-Branch", "v2"), "v2", "whatever its weight");
    assert_eq!(asked(&gate, "X-Branch", "v3"), "v1", "as if it were not there");
    assert_eq!(asked(&gate, "X-Branch", ""), "v1");
    let path = gate.config_file().display().to_string();
    let explained = |arguments: &[&str]| {
        let output = tollgate(&[&["explain", "GET", "/x", "-c", &path][..], arguments].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explained(&[]);
    for words in [
        "one of 2 services, by the cookie tg_split, or chance",
        "1 of 1 to v1",
        "0 of 1 to v2, who got it keeps it",
    ] {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
    let text = explained(&["-H", "X-Branch: v2"]);
    assert!(text.contains("x-branch names it") && !text.contains("service v1"), "{text}");
    reconfigure(&gate, ", force: X-Branch", "");
    assert_eq!(asked(&gate, "X-Branch", "v2"), "v1");
}

#[test]
fn each_service_of_a_split_has_its_own_time_limits_and_retries() {
    let silent = tollgate_tests::backend(|call| {
        call.wait_end();
    });
    let bad = tollgate_tests::backend(|call| call.reply(503, "no"));
    let gate = gateway_with(
        "
        workers: 1
        services:
          silent: { endpoints: <silent>, timeout: 100ms, retry: off }
          bad: { endpoints: <bad>, retry: { attempts: 2, on: [503], backoff: 1ms } }
        routes: [{ match: /x, to: { split: [{ to: silent }, { to: bad }], force: X-Branch }, access: public }]
        ",
        &[("silent", &silent), ("bad", &bad)],
    );
    let answer = gate.ask("GET", "/x").header("X-Branch", "silent").send().expect(504);
    answer.expect_refusal("upstream_timeout");
    gate.ask("GET", "/x").header("X-Branch", "bad").send().expect(503).expect_body("no");
    assert_eq!((silent.requests().len(), bad.requests().len()), (1, 3));
}
