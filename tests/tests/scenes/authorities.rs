//! Others who are asked about callers: about tokens (`introspection`), and about whole requests (`forward`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tollgate_tests::{Answer, Backend, Gateway, backend, gateway_with, hello};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Who knows tokens by their names, and has the gateway prove itself. What goes wrong with real ones is told here by name.
fn token_office(is_open: &Arc<AtomicBool>) -> Backend {
    let is_open = Arc::clone(is_open);
    backend(move |call| {
        let body = String::from_utf8(call.body()).unwrap();
        // gw:a secret & more, each as a form has it.
        assert_eq!(call.seen.header("authorization"), Some("Basic Z3c6YSUyMHNlY3JldCUyMCUyNiUyMG1vcmU="));
        assert_eq!(call.seen.header("content-type"), Some("application/x-www-form-urlencoded"));
        if !is_open.load(Ordering::Relaxed) {
            return call.reply(500, "{}");
        }
        let token = body.strip_prefix("token=").unwrap().split('&').next().unwrap().to_owned();
        let good = json!({ "active": true, "sub": "ann", "client_id": "mobile", "scope": "read", "aud": "api",
                           "iss": "https://id.example.com/", "exp": now() + 600, "tenant": "t1" });
        let with = |name: &str, value: serde_json::Value| {
            let mut answer = good.clone();
            answer[name] = value;
            answer.to_string()
        };
        match token.as_str() {
            "good" => call.reply(200, good.to_string()),
            "a%2Bb%2F%3D" => call.reply(200, with("sub", json!("bob"))),
            "short" => call.reply(200, with("exp", json!(now() - 1))),
            "early" => call.reply(200, with("nbf", json!(now() + 600))),
            "foreign" => call.reply(200, with("iss", json!("https://id.example.org/"))),
            "other" => call.reply(200, with("aud", json!("them"))),
            "forged" => call.reply(200, with("sub", json!("a\nb"))),
            "text" => call.reply(200, "active"),
            "twice" => call.reply(200, "{\"active\":false,\"active\":true}"),
            "truthy" => call.reply(200, with("active", json!("true"))),
            "lost" => call.reset(),
            _ => call.reply(200, "{\"active\":false}"),
        }
    })
}

fn gate_of(office: &Backend, users: &Backend) -> Gateway {
    let text = "
services: { users: <users> }
auth:
  opaque:
    introspection: { url: <office>/introspect, client_id: gw, client_secret: a secret & more, audience: api,
                     issuer: https://id.example.com/ }
  keys: { api_key: { header: X-API-Key } }
plans: { gold: {} }
apps: { mobile: { plan: gold, keys: [ { id: m, secret: a secret of some length, scopes: [read] } ] } }
routes:
  - { match: /, to: users, access: { any: opaque, scopes: read, when: \"identity.app == 'mobile'\" } }
  - { match: /either, to: users, access: { any: [opaque, keys] } }
";
    gateway_with(text, &[("users", users), ("office", office)])
}

fn ask(gate: &Gateway, token: &str) -> Answer {
    gate.ask("GET", "/").header("Authorization", &format!("Bearer {token}")).send()
}

#[test]
fn a_token_is_worth_what_is_said_of_it() {
    let is_open = Arc::new(AtomicBool::new(true));
    let (office, users) = (token_office(&is_open), hello());
    let gate = gate_of(&office, &users);
    for _ in 0..5 {
        ask(&gate, "good").expect(200);
    }
    assert_eq!(office.requests().len(), 1, "an answer is believed for a while");
    let seen = users.request(0);
    assert_eq!((seen.header("x-tollgate-user"), seen.header("x-tollgate-plan")), (Some("ann"), Some("gold")));
    assert_eq!(seen.header("authorization"), None);
    ask(&gate, "a+b/=").expect(200);
    for (token, code) in [
        ("short", "token_expired"),
        ("early", "token_too_early"),
        ("foreign", "token_issuer"),
        ("other", "token_audience"),
        ("forged", "token_claims"),
        ("truthy", "token_inactive"),
        ("unknown", "token_inactive"),
    ] {
        for _ in 0..2 {
            let refused = ask(&gate, token).expect(401);
            refused.expect_refusal(code);
            assert_eq!(
                refused.header("www-authenticate"),
                Some("Bearer realm=\"api\", error=\"invalid_token\"")
            );
        }
        let asked = office.requests().len();
        ask(&gate, token).expect(401);
        assert_eq!(office.requests().len(), asked, "that it is worth nothing is believed too: {token}");
    }
    for token in ["text", "twice", "lost"] {
        ask(&gate, token).expect(503).expect_refusal("introspection_unavailable");
    }
    // What cannot be a token is nobody's business.
    let asked = office.requests().len();
    ask(&gate, "two words").expect(401).expect_refusal("token_malformed");
    gate.get("/").expect(401).expect_refusal("credentials_missing");
    assert_eq!(office.requests().len(), asked);
}

#[test]
fn who_cannot_be_asked_lets_nobody_in_and_shuts_out_nobody_who_is_known() {
    let is_open = Arc::new(AtomicBool::new(true));
    let (office, users) = (token_office(&is_open), hello());
    let gate = gate_of(&office, &users);
    ask(&gate, "good").expect(200);
    is_open.store(false, Ordering::Relaxed);
    ask(&gate, "good").expect(200);
    ask(&gate, "a+b/=").expect(503).expect_refusal("introspection_unavailable");
    // Another way may still find who calls.
    let either = gate.ask("GET", "/either").header("Authorization", "Bearer fresh");
    either.header("X-API-Key", "m.a secret of some length").send().expect(200);
    office.stop();
    ask(&gate, "never-seen").expect(503).expect_refusal("introspection_unavailable");
    ask(&gate, "good").expect(200);
}

#[test]
fn many_who_bring_the_same_token_ask_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, gone) = (Arc::clone(&asked), Arc::new(std::sync::Barrier::new(2)));
    let release = Arc::clone(&gone);
    let office = backend(move |call| {
        count.fetch_add(1, Ordering::Relaxed);
        release.wait();
        call.reply(200, json!({ "active": true, "sub": "ann" }).to_string());
    });
    let users = hello();
    let text = "
workers: 1
services: { users: <users> }
auth: { opaque: { introspection: { url: <office>, client_id: gw, client_secret: a secret } } }
routes: [ { match: /, to: users, access: opaque } ]
";
    let gate = gateway_with(text, &[("users", &users), ("office", &office)]);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..20).map(|_| scope.spawn(|| ask(&gate, "good"))).collect();
        office.request(0);
        gone.wait();
        for one in waiting {
            one.join().unwrap().expect(200);
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn somebody_else_decides_and_what_he_says_reaches_the_service_or_the_client() {
    let judge = backend(|call| {
        let seen = call.seen.clone();
        match seen.header("cookie") {
            Some("session=ann") => {
                call.reply_with(200, "X-User: ann\r\nX-Role: admin\r\nX-Other: no\r\n", "");
            }
            Some("session=down") => call.reply(502, "oops"),
            Some("session=bob") => {
                call.reply_with(403, "Content-Type: text/plain\r\nX-Other: no\r\n", "not you, bob");
            }
            _ => call.reply_with(302, "Location: /login\r\nSet-Cookie: back=1\r\nSet-Cookie: b=2\r\n", ""),
        }
    });
    let users = hello();
    let text = "
services: { users: <users> }
auth:
  ask: { forward: { url: <judge>/check, pass: [cookie], keep: [x-user, x-role], user: x-user } }
  keys: { api_key: {} }
plans: { gold: {} }
apps: { mobile: { plan: gold, keys: [ { id: m, secret: a secret of some length } ] } }
routes:
  - { match: '/a/{rest...}', to: users, access: ask }
  - { match: /either, to: users, access: { any: [ask, keys] } }
";
    let gate = gateway_with(text, &[("users", &users), ("judge", &judge)]);
    let as_who = |who: &str| {
        let ask = gate.ask("POST", "/a/b%20c?d=e").header("Cookie", &format!("session={who}"));
        ask.header("X-Role", "forged").header("X-Secret", "s").body("the body").send()
    };
    as_who("ann").expect(200);
    let asked = judge.request(0);
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/check"));
    for (name, value) in [
        ("x-forwarded-method", Some("POST")),
        ("x-forwarded-uri", Some("/a/b%20c?d=e")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-secret", None),
        ("content-length", None),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
    let seen = users.request(0);
    assert_eq!((seen.header("x-user"), seen.header("x-role")), (Some("ann"), Some("admin")));
    assert_eq!((seen.header("x-other"), seen.header("x-tollgate-user")), (None, Some("ann")));
    let refused = as_who("bob").expect(403);
    assert_eq!((refused.text().as_str(), refused.header("x-other")), ("not you, bob", None));
    let sent_away = as_who("nobody").expect(302);
    assert_eq!(sent_away.header("location"), Some("/login"));
    assert_eq!(sent_away.fields.all("set-cookie").len(), 2);
    as_who("down").expect(503).expect_refusal("authority_unavailable");
    gate.get("/either").expect(302);
    gate.ask("GET", "/either").header("X-API-Key", "m.a secret of some length").send().expect(200);
    judge.stop();
    as_who("ann").expect(503).expect_refusal("authority_unavailable");
    assert_eq!(users.requests().len(), 2, "nobody else was let through");
}
