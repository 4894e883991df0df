//! `cors`: pages of other origins, before a browser that is made of fields and before a real one.

use tollgate_tests::{Ask, Backend, Gateway, backend, browser, eventually, front, gateway_with, tollgate};

const APP: &str = "https://app.example.com";

fn open_gate() -> (Backend, Gateway) {
    let users = backend(|call| {
        let of_its_own = "Access-Control-Allow-Origin: *\r\naccess-control-max-age: 1\r\nVary: Accept\r\n";
        call.reply_with(200, of_its_own, "users");
    });
    let gate = gateway_with(
        "
services: { users: <users> }
auth: { keys: { api_key: { header: X-API-Key } } }
apps: { web: { keys: [ { id: web, secret: 0123456789abcdef } ] } }
defaults:
  access: keys
  cors: { origins: [https://app.example.com, 'https://*.example.org'], headers: [X-API-Key, Content-Type],
          expose: [X-Request-Id], credentials: true, max_age: 5m }
routes:
  - { match: 'GET /users/{id}', to: users }
  - { match: 'PUT /users/{id}', to: users, cors: { origins: [https://admin.example.com], methods: [PUT], private_network: true } }
  - { match: 'DELETE /users/{id}', to: users, cors: off }
  - { match: /open, respond: { status: 200, body: open }, access: public, cors: '*' }
  - { match: /own, respond: 200, access: public, cors: { origins: [https://app.example.com], strict: true } }
  - { match: 'OPTIONS /asked', to: users, access: public }
",
        &[("users", &users)],
    );
    (users, gate)
}

fn preflight(gate: &Gateway, path: &str, origin: &str, method: &str) -> Ask {
    gate.ask("OPTIONS", path).header("Origin", origin).header("Access-Control-Request-Method", method)
}

#[test]
fn a_preflight_is_answered_for_the_route_that_it_asks_about() {
    let (users, gate) = open_gate();
    let allowed =
        preflight(&gate, "/users/7", APP, "GET").header("Access-Control-Request-Headers", "x-api-key").send();
    let allowed = allowed.expect(204);
    for (name, value) in [
        ("Access-Control-Allow-Origin", Some(APP)),
        ("Access-Control-Allow-Credentials", Some("true")),
        ("Access-Control-Allow-Methods", Some("GET")),
        ("Access-Control-Allow-Headers", Some("x-api-key, content-type")),
        ("Access-Control-Max-Age", Some("300")),
        ("Access-Control-Expose-Headers", None),
        ("Access-Control-Allow-Private-Network", None),
        ("Vary", Some("Origin")),
    ] {
        assert_eq!(allowed.header(name), value, "{name}");
    }
    // Another method of the same path is another route, which has another `cors`.
    preflight(&gate, "/users/7", APP, "PUT").send().expect_refusal("origin_not_allowed");
    let admin = preflight(&gate, "/users/7", "https://admin.example.com", "PUT")
        .header("Access-Control-Request-Headers", "x-anything,x-more")
        .header("Access-Control-Request-Private-Network", "true")
        .send()
        .expect(204);
    assert_eq!(admin.header("Access-Control-Allow-Headers"), Some("x-anything,x-more"));
    assert_eq!(admin.header("Access-Control-Allow-Private-Network"), Some("true"));
    assert_eq!(admin.header("Access-Control-Allow-Credentials"), None);
    for (origin, path, method, headers, code) in [
        ("https://evil.test", "/users/7", "GET", "x-api-key", "origin_not_allowed"),
        ("null", "/users/7", "GET", "x-api-key", "origin_not_allowed"),
        ("https://example.org", "/users/7", "GET", "x-api-key", "origin_not_allowed"),
        (APP, "/users/7", "GET", "x-api-key, x-other", "preflight_refused"),
    ] {
        let refused =
            preflight(&gate, path, origin, method).header("Access-Control-Request-Headers", headers).send();
        assert_eq!(refused.expect_refusal(code)["stage"], "admit", "{origin} {method} {headers}");
    }
    // Where the route has none, and where OPTIONS is no preflight, nothing is different.
    let plain = preflight(&gate, "/users/7", APP, "DELETE").send();
    assert_eq!((plain.status, plain.header("Access-Control-Allow-Origin")), (204, None));
    assert_eq!(plain.header("Allow"), Some("GET, HEAD, PUT, DELETE, OPTIONS"));
    assert_eq!(gate.ask("OPTIONS", "/users/7").header("Origin", APP).send().status, 204);
    assert_eq!(users.requests().len(), 0);
    preflight(&gate, "/asked", APP, "GET").send().expect(200);
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn answers_and_refusals_say_who_may_read_them() {
    let (_users, gate) = open_gate();
    let get = |origin: &str| gate.ask("GET", "/users/7").header("Origin", origin);
    let key = ("X-API-Key", "web.0123456789abcdef");
    for origin in [APP, "https://a.b.example.org"] {
        let answer = get(origin).header(key.0, key.1).send().expect(200);
        let all = |name: &str| answer.fields.all(name);
        assert_eq!(all("Access-Control-Allow-Origin"), [origin]);
        assert_eq!(all("Access-Control-Allow-Credentials"), ["true"]);
        assert_eq!(all("Access-Control-Expose-Headers"), ["x-request-id"]);
        assert_eq!(all("Access-Control-Max-Age"), [""; 0] as [&str; 0]);
        assert_eq!(all("Vary"), ["Accept", "Origin"]);
    }
    // No page could tell a refusal that it may not read from a network that is down.
    let refused = get(APP).send();
    refused.expect_refusal("credentials_missing");
    assert_eq!(refused.header("Access-Control-Allow-Origin"), Some(APP));
    // The browser keeps what it may not have; the request itself is as good as any.
    let foreign = get("https://evil.test").header(key.0, key.1).send().expect(200);
    assert_eq!(foreign.header("Access-Control-Allow-Origin"), None);
    assert_eq!(foreign.fields.all("Vary"), ["Accept", "Origin"]);
    let open = gate.ask("GET", "/open").header("Origin", "null").send();
    assert_eq!((open.header("Access-Control-Allow-Origin"), open.header("Vary")), (Some("*"), None));
}

#[test]
fn strict_refuses_pages_of_other_origins_and_not_those_of_its_own() {
    let (_users, gate) = open_gate();
    let ask = |origin: &str| gate.ask("POST", "/own").header("Origin", origin).body("x").send();
    ask(APP).expect(200);
    ask("http://gate.test").expect(200);
    gate.ask("POST", "/own").body("x").send().expect(200);
    for origin in ["https://evil.test", "null", "http://gate.test:81", ""] {
        ask(origin).expect_refusal("origin_not_allowed");
    }
    let two = gate.ask("GET", "/own").header("Origin", APP).header("Origin", "https://evil.test").send();
    two.expect_refusal("origin_not_allowed");
}

#[test]
fn explain_says_which_route_answers_a_preflight() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.yaml");
    std::fs::write(
        &file,
        "
services: { users: http://127.0.0.1:9001 }
defaults: { access: public, request: { url: 2KiB } }
routes:
  - { match: 'PUT /users/{id}', name: change, to: users, cors: https://app.example.com }
  - { match: 'GET /users/{id}', to: users }
",
    )
    .unwrap();
    let explain = |method: &str| {
        let asked = format!("Access-Control-Request-Method: {method}");
        let file = file.to_str().unwrap();
        let arguments = [
            "explain",
            "-c",
            file,
            "OPTIONS",
            "/users/7",
            "-H",
            "Origin: https://app.example.com",
            "-H",
            &asked,
        ];
        String::from_utf8(tollgate(&arguments).stdout).unwrap()
    };
    let told = explain("PUT");
    assert!(told.contains("route      change"), "{told}");
    assert!(told.contains("cors: pages of https://app.example.com"), "{told}");
    assert!(told.contains("this is a preflight"), "{told}");
    assert!(!told.contains("not change") && !told.contains("request:"), "{told}");
    let told = explain("GET");
    assert!(told.contains("answered by the gateway: 204"), "{told}");
}

/// Asks an API at another origin and tells with the path of a request what it could read.
const PAGE: &str = "<!doctype html><script>
    const api = new URLSearchParams(location.search).get('api');
    const told = (what) => fetch('/heard/' + what);
    const ask = (name, path, how) => fetch(api + path, how)
        .then(async (answer) => told(name + '-' + answer.status + '-' + (answer.headers.get('X-Request-Id') ? 'id' : 'no')))
        .catch(() => told(name + '-kept'));
    ask('simple', '/allowed');
    ask('asked', '/allowed', { method: 'PUT', headers: { 'X-Custom': '1' } });
    ask('refused', '/refused', { headers: { 'X-API-Key': 'none' } });
    ask('foreign', '/foreign');
    ask('method', '/allowed', { method: 'DELETE' });
</script>";

#[test]
fn a_browser_reads_across_origins_what_it_may_and_nothing_else() {
    let pages = backend(|call| call.reply_with(200, "Content-Type: text/html\r\n", PAGE));
    let front = front(&pages);
    let front_origin = format!("http://{}", front.address());
    let api = gateway_with(
        "
auth: { keys: { api_key: { header: X-API-Key } } }
defaults: { access: public, cors: { origins: ['<front>'], expose: X-Request-Id, methods: [GET, PUT] } }
routes:
  - { match: /allowed, respond: 200 }
  - { match: /refused, respond: 200, access: keys }
  - { match: /foreign, respond: 200, cors: https://elsewhere.example.com }
",
        &[("front", &front_origin)],
    );
    let _browser = browser(&format!("{front_origin}/?api=http://{}", api.address()));
    let expected = ["asked-200-id", "foreign-kept", "method-kept", "refused-401-id", "simple-200-id"]
        .map(|what| format!("/heard/{what}"));
    let mut heard = Vec::new();
    eventually("the page to tell what it could read", || {
        let requests = pages.requests();
        heard = requests
            .iter()
            .map(|seen| seen.target.clone())
            .filter(|path| path.starts_with("/heard/"))
            .collect();
        heard.sort();
        heard.len() >= expected.len()
    });
    assert_eq!(heard, expected);
}
