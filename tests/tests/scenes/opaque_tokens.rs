//! Tokens that mean nothing by themselves, given out by a real provider (oidc-provider), which is asked about them.

use serde_json::json;
use tollgate_tests::{
    Answer, Backend, Gateway, OpenIdProvider, eventually, fill, gateway, hello, openid_provider,
};

/// A gateway that asks a provider: about every request, or once a minute.
struct Scene {
    gate: Gateway,
    provider: OpenIdProvider,
    users: Backend,
}

impl Scene {
    fn new(options: &serde_json::Value) -> Self {
        let (users, mut provider) = (hello(), openid_provider(options));
        provider.register_program("web");
        provider.register_program("robot");
        let text = "
workers: 1
services: { users: <users> }
auth:
  always: { introspection: { url: <issuer>/token/introspection, client_id: web, client_secret: the secret of the web,
                             issuer: <issuer>, audience: 'urn:orders', cache: 0s, negative_cache: 0s } }
  sometimes: { introspection: { url: <issuer>/token/introspection, client_id: web, client_secret: the secret of the web,
                                issuer: <issuer>, audience: 'urn:orders' } }
  stranger: { introspection: { url: <issuer>/token/introspection, client_id: web, client_secret: a wrong secret } }
apps: { robot: {} }
routes:
  - { match: /always, to: users, access: { any: always, scopes: read, apps: robot } }
  - { match: /sometimes, to: users, access: { any: sometimes, scopes: read, apps: robot } }
  - { match: /stranger, to: users, access: stranger }
";
        let gate = gateway(fill(text, &[("users", &users), ("issuer", &provider.issuer())]));
        Self { gate, provider, users }
    }

    /// A token of the robot's, with these scopes for this audience.
    #[track_caller]
    fn token(&self, more: &str) -> String {
        self.provider.token("robot", more)
    }
}

fn ask(gate: &Gateway, path: &str, token: &str) -> Answer {
    gate.ask("GET", path).header("Authorization", &format!("Bearer {token}")).send()
}

#[test]
fn a_token_lets_in_whom_and_where_the_provider_says() {
    let scene = Scene::new(&json!({}));
    let token = scene.token("scope=read&resource=urn:orders");
    assert!(!token.contains('.'), "it means nothing by itself: {token}");
    ask(&scene.gate, "/always", &token).expect(200);
    let seen = scene.users.request(0);
    assert_eq!((seen.header("x-tollgate-app"), seen.header("authorization")), (Some("robot"), None));
    let log = scene.gate.log(1);
    assert_eq!((&log[0]["app"], &log[0]["auth"]), (&json!("robot"), &json!("always")));
    let other = scene.token("scope=read&resource=urn:bills");
    ask(&scene.gate, "/always", &other).expect(401).expect_refusal("token_audience");
    let without = scene.token("resource=urn:orders");
    ask(&scene.gate, "/always", &without).expect(403).expect_refusal("scope_missing");
    ask(&scene.gate, "/always", "never-given-out").expect(401).expect_refusal("token_inactive");
}

#[test]
fn a_token_that_is_taken_back_is_worth_nothing_once_its_answer_is_old() {
    let scene = Scene::new(&json!({}));
    let token = scene.token("scope=read&resource=urn:orders");
    ask(&scene.gate, "/always", &token).expect(200);
    ask(&scene.gate, "/sometimes", &token).expect(200);
    scene.provider.revoke("robot", &token);
    ask(&scene.gate, "/always", &token).expect(401).expect_refusal("token_inactive");
    ask(&scene.gate, "/sometimes", &token).expect(200);
}

#[test]
fn a_token_ends_when_the_provider_has_said_that_it_does() {
    let scene = Scene::new(&json!({ "lifetime": 3 }));
    let token = scene.token("scope=read&resource=urn:orders");
    ask(&scene.gate, "/sometimes", &token).expect(200);
    // Long before the minute is over for which an answer is believed.
    eventually("the token has ended", || ask(&scene.gate, "/sometimes", &token).status == 401);
    ask(&scene.gate, "/always", &token).expect(401).expect_refusal("token_inactive");
}

#[test]
fn answers_are_believed_for_a_while_and_no_longer() {
    let scene = Scene::new(&json!({}));
    let token = scene.token("scope=read&resource=urn:orders");
    for _ in 0..5 {
        ask(&scene.gate, "/sometimes", &token).expect(200);
    }
    assert_eq!(scene.provider.count("introspection"), 1);
    for _ in 0..5 {
        ask(&scene.gate, "/sometimes", "never-given-out").expect(401).expect_refusal("token_inactive");
    }
    assert_eq!(scene.provider.count("introspection"), 2);
    for _ in 0..5 {
        ask(&scene.gate, "/always", &token).expect(200);
    }
    assert_eq!(scene.provider.count("introspection"), 7);
}

#[test]
fn a_provider_that_is_away_or_does_not_know_the_gateway_lets_nobody_new_in() {
    let scene = Scene::new(&json!({}));
    let token = scene.token("scope=read&resource=urn:orders");
    let late = scene.token("scope=read&resource=urn:orders");
    ask(&scene.gate, "/stranger", &token).expect(503).expect_refusal("introspection_unavailable");
    ask(&scene.gate, "/sometimes", &token).expect(200);
    let Scene { gate, provider, users } = scene;
    drop(provider);
    ask(&gate, "/sometimes", &token).expect(200);
    ask(&gate, "/sometimes", &late).expect(503).expect_refusal("introspection_unavailable");
    ask(&gate, "/always", &token).expect(503).expect_refusal("introspection_unavailable");
    assert_eq!(users.requests().len(), 2);
}
