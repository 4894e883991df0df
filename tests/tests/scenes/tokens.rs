//! Signed tokens, made by `PyJWT`.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::{Answer, Backend, Gateway, backend, gateway_with, installed, script_path};

/// Keys of an issuer, and a token by each.
pub(crate) struct Issuer {
    pub(crate) jwks: Value,
    tokens: Value,
}

impl Issuer {
    /// One whose keys have names that begin so, and who says this.
    pub(crate) fn new(prefix: &str, claims: &Value) -> Self {
        let mut command = Command::new(installed("venv/bin/python"));
        let output =
            command.arg(script_path("token_maker.py")).args([prefix, &claims.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self { jwks: made["jwks"].clone(), tokens: made["tokens"].clone() }
    }

    pub(crate) fn token(&self, algorithm: &str) -> &str {
        self.tokens[algorithm].as_str().unwrap()
    }
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": "https://id.example.com/", "aud": ["api"], "sub": "ann", "azp": "mobile", "scope": "read write",
            "tenant": "t1", "iat": now, "exp": now + 3600 })
}

/// A gateway that takes the tokens of that issuer, signed in each of these ways.
fn gate_of(folder: &TempDir, issuer: &Issuer, algorithms: &str, users: &Backend) -> Gateway {
    let file = folder.path().join("jwks.json");
    fs::write(&file, issuer.jwks.to_string()).unwrap();
    let text = format!(
        "
services: {{ users: <users> }}
auth:
  corp: {{ jwt: {{ issuer: https://id.example.com/, jwks: {file}, audience: api, algorithms: [{algorithms}] }} }}
  keys: {{ api_key: {{ bearer: true }} }}
plans: {{ gold: {{}} }}
apps: {{ mobile: {{ plan: gold, keys: [ {{ id: m, secret: a secret of some length }} ] }} }}
routes:
  - {{ match: '/any/{{rest...}}', to: users, access: corp }}
  - {{ match: '/of/{{tenant}}', to: users, access: {{ any: [keys, corp], scopes: write, when: 'identity.claims.tenant == params.tenant' }} }}
  - {{ match: /admin, to: users, access: {{ any: corp, scopes: admin }} }}
",
        file = file.display()
    );
    gateway_with(&text, &[("users", users)])
}

fn ask(gate: &Gateway, path: &str, token: &str) -> Answer {
    gate.ask("GET", path).header("Authorization", &format!("Bearer {token}")).send()
}

#[test]
fn tokens_of_every_algorithm_are_verified_and_tell_who_calls() {
    let (folder, users) = (tempfile::tempdir().unwrap(), backend(|call| call.reply(200, "served")));
    let issuer = Issuer::new("a", &claims());
    let all = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256";
    let gate = gate_of(&folder, &issuer, all, &users);
    for algorithm in all.split(", ") {
        // The second time it is known.
        for _ in 0..2 {
            ask(&gate, "/any/x", issuer.token(algorithm)).expect(200);
        }
        // One letter of its claims is another.
        let (front, signature) = issuer.token(algorithm).rsplit_once('.').unwrap();
        let (head, claims) = front.split_once('.').unwrap();
        let forged = format!("{head}.{}.{signature}", claims.replacen('J', "K", 1));
        ask(&gate, "/any/x", &forged).expect(401).expect_refusal("token_signature");
    }
    let seen = users.request(0);
    assert_eq!(seen.header("authorization"), None);
    for (name, value) in [("app", "mobile"), ("user", "ann"), ("plan", "gold"), ("scopes", "read write")] {
        assert_eq!(seen.header(&format!("x-tollgate-{name}")), Some(value));
    }
    let line = &gate.log(1)[0];
    assert_eq!([&line["app"], &line["user"], &line["auth"]], ["mobile", "ann", "corp"]);
    let counted = gate.metrics().sum("tollgate_app_requests_total", &[("app", "mobile"), ("status", "2xx")]);
    assert!((21.5..22.5).contains(&counted), "{counted}");
}

#[test]
fn what_a_token_grants_is_what_its_bearer_may_do() {
    let (folder, users) = (tempfile::tempdir().unwrap(), backend(|call| call.reply(200, "served")));
    let issuer = Issuer::new("a", &claims());
    let gate = gate_of(&folder, &issuer, "RS256", &users);
    let token = issuer.token("RS256");
    ask(&gate, "/of/t1", token).expect(200);
    ask(&gate, "/of/t2", token).expect(403).expect_refusal("not_allowed");
    ask(&gate, "/admin", token).expect(403).expect_refusal("scope_missing");
    ask(&gate, "/any/x", issuer.token("ES256")).expect(401).expect_refusal("token_algorithm");
    ask(&gate, "/any/x", "m.a secret of some length").expect(401).expect_refusal("token_malformed");
    let refused = gate.get("/any/x").expect(401);
    refused.expect_refusal("credentials_missing");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"api\""));
    // Where a key may come in the same place, it is no token, and is no less a key.
    ask(&gate, "/of/t1", "m.a secret of some length").expect(403).expect_refusal("scope_missing");
}

#[test]
fn keys_change_while_the_gateway_runs() {
    let (folder, users) = (tempfile::tempdir().unwrap(), backend(|call| call.reply(200, "served")));
    let (old, new) = (Issuer::new("old", &claims()), Issuer::new("new", &claims()));
    let gate = gate_of(&folder, &old, "ES256", &users);
    ask(&gate, "/any/x", old.token("ES256")).expect(200);
    ask(&gate, "/any/x", new.token("ES256")).expect(401).expect_refusal("token_key_unknown");
    let file = folder.path().join("jwks.json");
    let mut both = old.jwks.clone();
    both["keys"].as_array_mut().unwrap().extend(new.jwks["keys"].as_array().unwrap().clone());
    gate.expect_reload(|| fs::write(&file, both.to_string()).unwrap());
    ask(&gate, "/any/x", old.token("ES256")).expect(200);
    ask(&gate, "/any/x", new.token("ES256")).expect(200);
    gate.expect_reload(|| fs::write(&file, new.jwks.to_string()).unwrap());
    ask(&gate, "/any/x", old.token("ES256")).expect(401).expect_refusal("token_key_unknown");
    ask(&gate, "/any/x", new.token("ES256")).expect(200);
    // A set that cannot be used changes nothing.
    fs::write(&file, "{\"keys\":[]}").unwrap();
    gate.expect_line("jwks.json cannot be used");
    ask(&gate, "/any/x", new.token("ES256")).expect(200);
}
