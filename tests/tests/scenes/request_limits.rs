//! `request`: how large a request may be, and what is in its JSON.

use tollgate_tests::{gateway_with, hello};

#[test]
fn a_route_may_want_smaller_heads_than_its_listener() {
    let users = hello();
    let gate = gateway_with(
        "
services: { users: <users> }
defaults: { access: public }
routes:
  - { match: '/url/{rest...}', to: users, request: { url: 12 } }
  - { match: /headers, to: users, request: { headers: 2 } }
  - { match: /size, to: users, request: { header_size: 30 } }
",
        &[("users", &users)],
    );
    gate.get("/url/1234567").expect(200);
    gate.get("/url/12?4567").expect(200);
    let long = gate.get("/url/12?45678");
    assert_eq!((long.status, &long.expect_refusal("uri_too_long")["stage"]), (414, &"admit".into()));
    gate.ask("GET", "/headers").header("A", "1").header("B", "2").send().expect(200);
    let many = gate.ask("GET", "/headers").header("A", "1").header("B", "2").header("C", "3").send();
    assert_eq!((many.status, &many.expect_refusal("header_too_large")["stage"]), (431, &"admit".into()));
    gate.ask("GET", "/size").header("X-Name", &"v".repeat(24)).send().expect(200);
    gate.ask("GET", "/size").header("X-Name", &"v".repeat(25)).send().expect_refusal("header_too_large");
}

#[test]
fn json_is_gone_over_before_the_service_sees_it() {
    let users = hello();
    let gate = gateway_with(
        "
services: { users: <users> }
auth: { keys: { api_key: { header: X-API-Key } } }
apps: { web: { keys: [ { id: web, secret: 0123456789abcdef } ] } }
defaults: { access: public, request: { max_body: 4KiB, json: { depth: 3, keys: 2, array: 4, string: 8, values: 9 } } }
routes:
  - { match: /users, to: users }
  - { match: /usual, to: users, request: { json: true } }
  - { match: /known, to: users, access: keys }
",
        &[("users", &users)],
    );
    let post = |path: &str, content_type: &str, body: &str| {
        gate.ask("POST", path).header("Content-Type", content_type).body(body).send()
    };
    let json = |body: &str| post("/users", "application/json; charset=utf-8", body);
    json(r#"{"a":[1,2],"b":{"c":"12345678"}}"#).expect(200);
    assert_eq!(users.requests()[0].body, br#"{"a":[1,2],"b":{"c":"12345678"}}"#);
    json("").expect(200);
    gate.ask("GET", "/users").header("Content-Type", "application/json").send().expect(200);
    for (body, status, code, told) in [
        ("[[[[1]]]]", 413, "json_too_large", "3 deep"),
        (r#"{"a":1,"b":2,"c":3}"#, 413, "json_too_large", "2 members"),
        ("[1,2,3,4,5]", 413, "json_too_large", "4 elements"),
        (r#""123456789""#, 413, "json_too_large", "8 bytes"),
        ("[[1,2,3,4],[1,2,3,4]]", 413, "json_too_large", "9 values"),
        ("{", 400, "json_malformed", "no JSON"),
        ("[1,]", 400, "json_malformed", "no JSON"),
    ] {
        let refused = json(body);
        assert_eq!(refused.status, status, "{body}");
        let problem = refused.expect_refusal(code);
        assert_eq!(problem["stage"], "validate");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    post("/users", "application/problem+json", "nonsense").expect_refusal("json_malformed");
    post("/users", "text/plain", "nonsense").expect(200);
    let encoded = gate
        .ask("POST", "/users")
        .header("Content-Type", "application/json")
        .header("Content-Encoding", "gzip");
    encoded.body("\u{1f}").send().expect_refusal("json_encoded");
    json(&"1".repeat(4097)).expect_refusal("body_too_large");
    post("/usual", "application/json", &format!("\"{}\"", "x".repeat(1 << 20)))
        .expect_refusal("body_too_large");
    post("/usual", "application/json", "[[[[1]]]]").expect(200);
    // Nothing is read of who may not send it.
    post("/known", "application/json", "nonsense").expect_refusal("credentials_missing");
}
