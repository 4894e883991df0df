//! Keys that an issuer publishes: fetched, changed, withdrawn, and out of reach.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tollgate_tests::{Answer, Backend, Gateway, backend, eventually, gateway_with, hello, load_with};

use crate::tokens::Issuer;

/// An issuer that publishes what the scene says, or answers with an error where that is nothing.
struct Publisher {
    said: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
    backend: Backend,
}

impl Publisher {
    fn new(keys: &Value) -> Self {
        let (said, asked) = (Arc::new(Mutex::new(keys.clone())), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (Arc::clone(&said), Arc::clone(&asked));
        let backend = backend(move |call| {
            let authority = call.seen.header("host").unwrap().to_owned();
            if call.target().starts_with("/.well-known/") {
                let issuer = format!("http://{authority}/tenant/");
                let description =
                    json!({ "issuer": issuer, "jwks_uri": format!("http://{authority}/keys") }).to_string();
                return call.reply(200, description);
            }
            if call.target().contains("/.well-known/") {
                let issuer = format!("http://{authority}/tenant");
                let description =
                    json!({ "issuer": issuer, "jwks_uri": format!("http://{authority}/keys") }).to_string();
                return call.reply(200, description);
            }
            count.fetch_add(1, Ordering::Relaxed);
            let keys = answer.lock().unwrap().clone();
            if keys.is_null() { call.reply(503, "") } else { call.reply(200, keys.to_string()) }
        });
        Self { said, asked, backend }
    }

    fn says(&self, keys: &Value) {
        *self.said.lock().unwrap() = keys.clone();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn claims(issuer: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": issuer, "aud": "api", "sub": "ann", "exp": now + 3600 })
}

const ISSUER: &str = "https://id.example.com/";

fn gate_of(publisher: &Publisher, users: &Backend) -> Gateway {
    let text = "
services: { users: <users> }
auth: { corp: { jwt: { issuer: https://id.example.com/, jwks: <issuer>/keys, audience: api } } }
routes: [ { match: /, to: users, access: corp } ]
";
    gateway_with(text, &[("users", users), ("issuer", &publisher.backend)])
}

fn ask(gate: &Gateway, token: &str) -> Answer {
    gate.ask("GET", "/").header("Authorization", &format!("Bearer {token}")).send()
}

#[test]
fn keys_are_fetched_and_a_new_one_is_asked_for_at_once() {
    let (old, new) = (Issuer::new("old", &claims(ISSUER)), Issuer::new("new", &claims(ISSUER)));
    let (publisher, users) = (Publisher::new(&old.jwks), hello());
    let gate = gate_of(&publisher, &users);
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        ask(&gate, old.token(algorithm)).expect(200);
    }
    // What everybody can read is no secret that anybody could share.
    ask(&gate, old.token("HS256")).expect(401).expect_refusal("token_algorithm");
    publisher.says(&new.jwks);
    ask(&gate, new.token("ES256")).expect(200);
    // The old key is withdrawn, and so is what it has proved.
    ask(&gate, old.token("ES256")).expect(401).expect_refusal("token_key_unknown");
    let metrics = gate.metrics();
    assert!(metrics.sum("tollgate_key_set_keys", &[]) >= 3.0);
    assert!(metrics.sum("tollgate_key_set_failures_total", &[]) < 0.5);
}

#[test]
fn an_issuer_that_is_out_of_reach_takes_no_known_key_away() {
    let (old, new) = (Issuer::new("old", &claims(ISSUER)), Issuer::new("new", &claims(ISSUER)));
    let (publisher, users) = (Publisher::new(&old.jwks), hello());
    let gate = gate_of(&publisher, &users);
    ask(&gate, old.token("RS256")).expect(200);
    publisher.says(&Value::Null);
    let refused = ask(&gate, new.token("RS256")).expect(503);
    refused.expect_refusal("keys_unavailable");
    gate.expect_line("no new keys to verify tokens by");
    for algorithm in ["RS256", "ES256"] {
        ask(&gate, old.token(algorithm)).expect(200);
    }
    // What is no set of keys changes nothing either.
    publisher.says(&json!({ "keys": [] }));
    ask(&gate, new.token("RS256")).expect(503).expect_refusal("keys_unavailable");
    ask(&gate, old.token("ES256")).expect(200);
    publisher.says(&new.jwks);
    ask(&gate, new.token("RS256")).expect(200);
}

#[test]
fn nobody_is_let_in_before_the_first_keys_are_there() {
    let issuer = Issuer::new("a", &claims(ISSUER));
    let (publisher, users) = (Publisher::new(&Value::Null), hello());
    let gate = gate_of(&publisher, &users);
    ask(&gate, issuer.token("RS256")).expect(503).expect_refusal("keys_unavailable");
    ask(&gate, "a.b.c").expect(401).expect_refusal("token_malformed");
    publisher.says(&issuer.jwks);
    eventually("the keys are fetched", || ask(&gate, issuer.token("RS256")).status == 200);
}

#[test]
fn names_of_no_key_do_not_make_the_gateway_ask_without_end() {
    let issuer = Issuer::new("a", &claims(ISSUER));
    let (publisher, users) = (Publisher::new(&issuer.jwks), hello());
    let gate = gate_of(&publisher, &users);
    ask(&gate, issuer.token("ES256")).expect(200);
    let unknown = Issuer::new("stranger", &claims(ISSUER));
    let before = publisher.asked();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let refused = std::thread::scope(|scope| {
            let asked: Vec<_> =
                (0..20).map(|_| scope.spawn(|| ask(&gate, unknown.token(algorithm)))).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        for answer in refused {
            answer.expect(401).expect_refusal("token_key_unknown");
        }
    }
    let asked = publisher.asked() - before;
    assert!((1..=6).contains(&asked), "asked {asked} times for 60 requests");
}

#[test]
fn the_keys_are_where_the_issuer_says() {
    let (publisher, users) = (Publisher::new(&Value::Null), hello());
    let text = "
services: { users: <users> }
auth:
  right: { jwt: { issuer: <issuer>/tenant, audience: api } }
  wrong: { jwt: { issuer: <issuer>, audience: api } }
routes: [ { match: /right, to: users, access: right }, { match: /wrong, to: users, access: wrong } ]
";
    let at = format!("{}/tenant", publisher.backend);
    let issuer = Issuer::new("a", &claims(&at));
    publisher.says(&issuer.jwks);
    let gate = gateway_with(text, &[("users", &users), ("issuer", &publisher.backend)]);
    let ask = |path| {
        let token = format!("Bearer {}", issuer.token("ES256"));
        gate.ask("GET", path).header("Authorization", &token).send()
    };
    ask("/right").expect(200);
    // Whoever says to be another issuer does not vouch for this one.
    ask("/wrong").expect(503).expect_refusal("keys_unavailable");
    gate.expect_line("it describes another issuer");
}

#[test]
fn no_valid_token_is_refused_while_keys_change_and_the_issuer_goes() {
    let issuers: Vec<Issuer> =
        ["a", "b", "c"].iter().map(|name| Issuer::new(name, &claims(ISSUER))).collect();
    let (publisher, users) = (Publisher::new(&issuers[0].jwks), hello());
    let gate = gate_of(&publisher, &users);
    let both = |one: &Issuer, other: &Issuer| {
        let mut keys = one.jwks.clone();
        keys["keys"].as_array_mut().unwrap().extend(other.jwks["keys"].as_array().unwrap().clone());
        keys
    };
    let field = |issuer: &Issuer| format!("Bearer {}", issuer.token("ES256"));
    ask(&gate, issuers[0].token("ES256")).expect(200);
    let first = load_with(gate.address(), 4, "/", &[("Authorization", &field(&issuers[0]))]);
    first.expect_more(200);
    // As issuers do it: the new key is published beside the old one, and then used.
    publisher.says(&both(&issuers[0], &issuers[1]));
    let second = load_with(gate.address(), 4, "/", &[("Authorization", &field(&issuers[1]))]);
    second.expect_more(200);
    publisher.says(&Value::Null);
    ask(&gate, issuers[2].token("ES256")).expect(503);
    first.expect_more(200);
    second.expect_more(200);
    publisher.says(&both(&issuers[1], &issuers[2]));
    first.stop().expect_no_failure();
    ask(&gate, issuers[2].token("ES256")).expect(200);
    second.expect_more(200);
    second.stop().expect_no_failure();
}
