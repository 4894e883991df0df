//! APIs: a shared front for routes, and versions chosen by path, header or media type.

use tollgate_tests::{Gateway, gateway, gateway_with, hello};

fn shop(by: &str) -> Gateway {
    gateway(format!(
        "
        apis:
          shop:
            host: api.test
            base: /shop
            access: public
            versions:
              by: {by}
              v1: {{ state: deprecated, since: 2026-03-01, sunset: 2027-03-31 }}
              v2: {{ state: current }}
              v0: {{ state: retired, sunset: 2025-01-01 }}
            routes:
              - {{ match: 'GET /users/{{id}}', respond: {{ body: users }} }}
              - {{ match: 'GET /new', respond: {{ body: new }}, versions: [v2] }}
        "
    ))
}

#[test]
fn an_api_s_routes_stand_under_its_base_and_host() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users> }
        apis:
          shop:
            host: api.test
            base: /shop
            access: public
            routes:
              - { match: 'GET /users/{id}', to: users }
        ",
        &[("users", &users)],
    );
    gate.ask("GET", "/shop/users/1").host("api.test").send().expect(200);
    assert_eq!(users.only_request().target, "/shop/users/1");
    gate.ask("GET", "/users/1").host("api.test").send().expect(404);
    gate.ask("GET", "/shop/users/1").host("other.test").send().expect(404);
}

#[test]
fn a_version_is_chosen_by_path() {
    let gate = shop("path");
    let get = |target: &str| gate.ask("GET", target).host("api.test").send();
    get("/shop/v2/users/1").expect(200).expect_body("users");
    get("/shop/v1/users/1").expect(200).expect_body("users");
    get("/shop/v2/new").expect(200).expect_body("new");
    get("/shop/v1/new").expect(404);
    get("/shop/v9/users/1").expect(404);
    let answer = get("/shop/v0/users/1").expect(410);
    answer.clone().expect_refusal("version_retired");
    assert_eq!(answer.header("Sunset"), Some("Wed, 01 Jan 2025 00:00:00 GMT"));
    assert_eq!(gate.log(6)[5]["code"], "version_retired");
}

#[test]
fn a_version_is_chosen_by_header_and_the_current_one_without() {
    let gate = shop("{ header: X-Version }");
    let get = |target: &str, version: &str| {
        gate.ask("GET", target).host("api.test").header("X-Version", version).send()
    };
    get("/shop/new", "v2").expect(200);
    get("/shop/new", "v1").expect(404);
    get("/shop/users/1", "v1").expect(200);
    get("/shop/users/1", "v0").expect(410);
    gate.ask("GET", "/shop/new").host("api.test").send().expect(200);
}

#[test]
fn a_version_is_chosen_by_media_type_and_the_current_one_without() {
    let gate = shop("media_type");
    let get =
        |target: &str, accept: &str| gate.ask("GET", target).host("api.test").header("Accept", accept).send();
    get("/shop/new", "application/vnd.shop.v2+json").expect(200);
    get("/shop/new", "text/html, application/vnd.shop.v1+json;q=0.5").expect(404);
    get("/shop/new", "*/*").expect(200);
    get("/shop/users/1", "application/json; version=0").expect(410);
    get("/shop/users/1", "application/vnd.shop+json; version=1")
        .expect(200)
        .expect_header("Deprecation", "@1772323200");
    get("/shop/users/1", "application/vnd.shop.v9+json").expect(404);
    // Versions of something else: what a browser sends, and another product.
    get("/shop/new", "text/html,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7").expect(200);
    get("/shop/new", "application/vnd.other.v1+json").expect(200);
}

#[test]
fn the_media_type_of_a_version_can_be_named() {
    let gate = shop("{ media_type: application/vnd.example.shop }");
    let get = |accept: &str| {
        gate.ask("GET", "/shop/users/1").host("api.test").header("Accept", accept).send().status
    };
    assert_eq!(get("application/vnd.example.shop.v0+json"), 410);
    assert_eq!(get("application/vnd.example.shop;version=0"), 410);
    assert_eq!(get("application/vnd.shop.v0+json"), 200, "the type that holds without a name");
}

#[test]
fn a_version_deprecated_on_an_unknown_day_sends_no_made_up_one() {
    let gate = gateway(
        "
        apis:
          shop:
            access: public
            versions:
              v1: { state: deprecated, sunset: 2027-03-31 }
              v0: { state: retired }
            routes:
              - { match: GET /users, respond: 204 }
        ",
    );
    gate.expect_line("without `since`");
    let answer = gate.get("/v1/users").expect(204);
    assert_eq!(answer.header("Sunset"), Some("Wed, 31 Mar 2027 00:00:00 GMT"));
    assert!(!answer.fields.has("Deprecation"), "{answer:?}");
    let answer = gate.get("/v0/users").expect(410);
    assert!(!answer.fields.has("Deprecation"), "{answer:?}");
}

#[test]
fn a_deprecated_version_says_so_and_when_it_ends() {
    let gate = shop("path");
    let get = |target: &str| gate.ask("GET", target).host("api.test").send();
    let answer = get("/shop/v1/users/1").expect(200);
    // RFC 9745: a structured date. RFC 8594: an HTTP date. 2026-03-01 is 1772323200.
    assert_eq!(answer.header("Deprecation"), Some("@1772323200"));
    assert_eq!(answer.header("Sunset"), Some("Wed, 31 Mar 2027 00:00:00 GMT"));
    let answer = get("/shop/v2/users/1").expect(200);
    assert!(!answer.fields.has("Deprecation") && !answer.fields.has("Sunset"), "{answer:?}");
}
