//! What services are told of callers, signed, as `PyJWT` verifies it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::{Backend, Gateway, Seen, backend, gateway_with, installed, script_path};

/// The SHA-256 of `foo`.
const FOO: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn service() -> Backend {
    backend(|call| call.reply(200, "served"))
}

/// A new private key in PEM.
fn make_key(folder: &TempDir, name: &str, options: &[&str]) {
    let mut command = Command::new("openssl");
    let made =
        command.arg("genpkey").args(options).arg("-out").arg(folder.path().join(name)).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A gateway that tells services of callers as this block says.
fn gate_of(identity: &str, services: [&Backend; 3]) -> Gateway {
    let text = format!(
        "
services:
  users: {{ endpoints: <users>, fallback: {{ to: orders }} }}
  orders: <orders>
  copies: <copies>
auth: {{ keys: {{ api_key: {{}} }} }}
plans: {{ gold: {{}} }}
apps: {{ mobile: {{ plan: gold, keys: [ {{ id: a, hash: '{FOO}', scopes: [read, write] }}, {{ id: b, hash: '{FOO}' }} ] }} }}
identity: {identity}
routes:
  - {{ match: /users, to: users, access: keys }}
  - {{ match: /orders, to: orders, access: keys, mirror: copies }}
  - {{ match: /open, to: users, access: public }}
"
    );
    let [users, orders, copies] = services;
    gateway_with(&text, &[("users", users), ("orders", orders), ("copies", copies)])
}

fn ask(gate: &Gateway, path: &str, key: &str) {
    let ask = gate.ask("GET", path).header("X-API-Key", key).header("X-Tollgate-Identity", "mine");
    ask.header("x_tollgate_identity", "mine").send().expect(200);
}

/// What a service that goes by this name makes of what it was told.
fn verified(gate: &Gateway, seen: &Seen, service: &str) -> Option<Value> {
    let keys = gate.admin_get("/.well-known/jwks.json").expect(200).text();
    let mut command = Command::new(installed("venv/bin/python"));
    let token = seen.header("x-tollgate-identity").unwrap();
    let output =
        command.arg(script_path("token_reader.py")).args([&keys, token, service, "edge"]).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_service_can_verify_who_calls_and_that_it_is_meant() {
    for (algorithm, options) in [
        ("EdDSA", &["-algorithm", "ed25519"][..]),
        ("ES256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make_key(&folder, "identity.key", options);
        let [users, orders, copies] = [(); 3].map(|()| service());
        let path = folder.path().join("identity.key").display().to_string();
        let block = format!("{{ headers: signed, keys: '${{file:{path}}}', issuer: edge }}");
        let gate = gate_of(&block, [&users, &orders, &copies]);
        ask(&gate, "/users", "a.foo");
        let seen = users.request(0);
        assert_eq!((seen.header("x-tollgate-app"), seen.header("x_tollgate_identity")), (None, None));
        let told = verified(&gate, &seen, "users").unwrap();
        assert_eq!(told["head"]["alg"], algorithm);
        let claims = &told["claims"];
        let expected =
            [("app", "mobile"), ("plan", "gold"), ("scope", "read write"), ("aud", "users"), ("iss", "edge")];
        assert!(expected.iter().all(|(name, value)| claims[name] == *value), "{claims}");
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        assert!(verified(&gate, &seen, "orders").is_none(), "it is for one service");
        // Nobody is told of where nobody is asked.
        ask(&gate, "/open", "a.foo");
        assert_eq!(users.request(1).header("x-tollgate-identity"), None);
        // Another key of the same app has other scopes.
        ask(&gate, "/users", "b.foo");
        assert_eq!(verified(&gate, &users.request(2), "users").unwrap()["claims"]["scope"], json!(null));
        // A copy, and what stands in for another, are told by a token of their own.
        ask(&gate, "/orders", "a.foo");
        assert!(verified(&gate, &orders.request(0), "orders").is_some());
        assert!(verified(&gate, &copies.request(0), "copies").is_some());
        users.stop();
        ask(&gate, "/users", "a.foo");
        assert!(verified(&gate, &orders.request(1), "orders").is_some());
    }
}

#[test]
fn keys_are_replaced_without_a_token_that_nobody_can_verify() {
    let folder = tempfile::tempdir().unwrap();
    let [users, orders, copies] = [(); 3].map(|()| service());
    for name in ["identity.key", "next.key"] {
        make_key(&folder, name, &["-algorithm", "ed25519"]);
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let block = format!(
        "{{ headers: [plain, signed], keys: ['${{file:{}}}', '${{file:{}}}'], issuer: edge }}",
        path("identity.key"),
        path("next.key")
    );
    let gate = gate_of(&block, [&users, &orders, &copies]);
    ask(&gate, "/users", "a.foo");
    assert_eq!(users.request(0).header("x-tollgate-app"), Some("mobile"));
    let first = verified(&gate, &users.request(0), "users").unwrap()["head"]["kid"].clone();
    gate.expect_reload(|| {
        fs::rename(path("next.key"), path("swap.key")).unwrap();
        fs::copy(path("identity.key"), path("next.key")).unwrap();
        fs::rename(path("swap.key"), path("identity.key")).unwrap();
    });
    gate.expect_line("setting identity altered: keys become others");
    // In between, a file was not there: what is served in the end is what counts.
    tollgate_tests::eventually("the new key signs", || {
        ask(&gate, "/users", "a.foo");
        let last = users.requests().len() - 1;
        verified(&gate, &users.request(last), "users").is_some_and(|told| told["head"]["kid"] != first)
    });
    assert!(verified(&gate, &users.request(0), "users").is_some(), "the old key is still in the set");
}

#[test]
fn services_are_told_nothing_where_that_is_wished() {
    let [users, orders, copies] = [(); 3].map(|()| service());
    let gate = gate_of("{ headers: off }", [&users, &orders, &copies]);
    ask(&gate, "/users", "a.foo");
    let seen = users.request(0);
    assert_eq!((seen.header("x-tollgate-app"), seen.header("x-tollgate-identity")), (None, None));
    assert_eq!(gate.admin_get("/.well-known/jwks.json").expect(200).text(), "{\"keys\":[]}");
    // A key that cannot be used does not load.
    let text = fs::read_to_string(gate.config_file()).unwrap();
    let (front, rest) = text.split_once("identity: { headers: off }").unwrap();
    fs::write(gate.config_file(), format!("{front}identity: {{ headers: signed, keys: hunter2 }}{rest}"))
        .unwrap();
    gate.expect_line("a shared secret has at least 32 bytes");
}
