//! Signed requests, made by openssl and curl, before two gateways of one fleet.

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::http2::{END_STREAM, Http2, kind, pack};
use tollgate_tests::{
    Backend, Gateway, Redis, backend, curl, eventually, gateway_with, installed, redis, redis_cli,
    redis_cluster, script_path,
};

pub(crate) const SECRET: &str = "a secret of some length";
const OTHER: &str = "another secret of some length";

/// A gateway that asks for signatures, with what follows in its configuration.
fn gate_of(folder: &TempDir, orders: &Backend, more: &str) -> Gateway {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "
{more}
services: {{ orders: <orders> }}
auth:
  signed: {{ hmac: {{ window: 300s, max_body: 4KiB }} }}
  digested: {{ hmac: {{ algorithm: sha512, body: sha256, headers: {{ key: X-Client, signature: X-Signed }}, pass: true }} }}
  keys: {{ api_key: {{}} }}
  partners: {{ signature: {{ keys: {{ ed: {{ app: partner, file: {ed}, scopes: [read] }}, ec: {{ app: partner, file: {ec} }} }} }} }}
plans: {{ gold: {{}} }}
apps:
  bank:
    plan: gold
    keys:
      - {{ id: bank-1, secret: {SECRET}, scopes: [write] }}
      - {{ id: bank-2, secret: {OTHER} }}
      - {{ id: old, secret: {SECRET}, expires: 2020-01-01 }}
      - {{ id: hashed, hash: 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' }}
  partner: {{ plan: gold }}
routes:
  - {{ match: '/orders/{{rest...}}', to: orders, access: signed }}
  - {{ match: /digested, to: orders, access: digested }}
  - {{ match: /either, to: orders, access: {{ any: [keys, signed], scopes: write }} }}
  - {{ match: '/partners/{{rest...}}', to: orders, access: partners }}
",
        ed = file("ed25519.pem"),
        ec = file("p256.pem"),
    );
    gateway_with(&text, &[("orders", orders)])
}

pub(crate) fn service() -> Backend {
    backend(|call| call.reply(200, "served"))
}

/// A folder with the public keys of partners.
pub(crate) fn partners() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    sign_messages(&folder, &json!([]));
    folder
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn nonce() -> String {
    let mut command = Command::new("openssl");
    let output = command.args(["rand", "-hex", "16"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What openssl says is the HMAC of this text.
fn hmac(hash: &str, secret: &str, text: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["dgst", &format!("-{hash}"), "-hmac", secret, "-r"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// A signed request.
#[derive(Clone)]
struct Signed {
    method: &'static str,
    target: String,
    body: String,
    fields: Vec<(&'static str, String)>,
}

impl Signed {
    /// A POST with a body, signed at this time with this nonce.
    fn at(time: u64, nonce: &str) -> Self {
        Self::by("bank-1", SECRET, &time.to_string(), nonce)
    }

    fn new() -> Self {
        Self::at(now(), &nonce())
    }

    fn by(key: &str, secret: &str, time: &str, nonce: &str) -> Self {
        let (target, body) = ("/orders/new?dry=1&x=a%20b", "{\"sku\":\"a-7\"}");
        let signature = hmac("sha256", secret, &format!("POST\n{target}\n{time}\n{nonce}\n{body}"));
        let fields =
            [("X-API-Key", key), ("X-Timestamp", time), ("X-Nonce", nonce), ("X-Signature", &signature)];
        Self {
            method: "POST",
            target: target.to_owned(),
            body: body.to_owned(),
            fields: fields.map(|(name, value)| (name, value.to_owned())).into(),
        }
    }

    /// The same with another value in one of its fields.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, old)| value.clone_into(old));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self
    }

    /// The same with one of its fields twice.
    fn twice(mut self, name: &str) -> Self {
        let field = self.fields.iter().find(|(known, _)| *known == name).unwrap().clone();
        self.fields.push(field);
        self
    }

    /// Sends it in this protocol; the status, and the code of a refusal.
    fn send(&self, gate: &Gateway, protocol: Protocol) -> (u16, String) {
        if protocol == Protocol::Http2 {
            return self.send_by_http2(gate);
        }
        let url = format!("http://{}{}", gate.address(), self.target);
        let chunked: &[&str] =
            if protocol == Protocol::Chunked { &["-H", "Transfer-Encoding: chunked"] } else { &[] };
        send_by_curl(self.method, &url, &self.fields, &self.body, chunked)
    }

    fn send_by_http2(&self, gate: &Gateway) -> (u16, String) {
        let mut client = Http2::connect(gate.address(), &[]);
        let names: Vec<String> = self.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let mut head =
            vec![(":method", self.method), (":scheme", "http"), (":path", &self.target), (":authority", "a")];
        head.extend(names.iter().zip(&self.fields).map(|(name, (_, value))| (name.as_str(), value.as_str())));
        let outcome = if self.body.is_empty() {
            client.ask(&pack(&head))
        } else {
            let stream = client.open(&pack(&head), 0);
            client.send_frame(kind::DATA, END_STREAM, stream, self.body.as_bytes());
            client.outcome(stream)
        };
        match serde_json::from_slice::<Value>(&outcome.body) {
            Ok(problem) => (problem["status"].as_u64().unwrap() as u16, outcome.code()),
            Err(_) => (outcome.status().unwrap(), String::new()),
        }
    }

    #[track_caller]
    fn expect(&self, gate: &Gateway, protocol: Protocol, status: u16, code: &str) {
        assert_eq!(
            self.send(gate, protocol),
            (status, code.to_owned()),
            "{protocol:?} {} {:?}",
            self.target,
            self.fields
        );
    }
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Protocol {
    Http1,
    /// The same with the body in chunks.
    Chunked,
    Http2,
}

/// Sends a request with curl; the status, and the code of a refusal.
pub(crate) fn send_by_curl(
    method: &str,
    url: &str,
    fields: &[(impl Display, String)],
    body: &str,
    options: &[&str],
) -> (u16, String) {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut arguments = vec!["-X", method, "-w", "\n%{http_code}", url];
    arguments.extend(fields.iter().flat_map(|field| ["-H", field.as_str()]));
    if !body.is_empty() {
        arguments.extend(["--data-binary", body]);
    }
    arguments.extend(options);
    let answer = curl(&arguments).text();
    let (body, status) = answer.rsplit_once('\n').unwrap();
    let problem = serde_json::from_str::<Value>(body).unwrap_or_default();
    (status.parse().unwrap(), problem["code"].as_str().unwrap_or_default().to_owned())
}

/// What is wrong with a signed request, the request, and the code that it is refused with.
fn hostile() -> Vec<(&'static str, Signed, &'static str)> {
    let good = Signed::new;
    let change = |of: fn(&mut Signed)| {
        let mut signed = good();
        of(&mut signed);
        signed
    };
    let time = now();
    let (stale, future, millis) = (time - 400, time + 400, time * 1000);
    vec![
        ("stale", Signed::at(stale, &nonce()), "signature_stale"),
        ("from the future", Signed::at(future, &nonce()), "signature_stale"),
        (
            "stale, with a fresh time",
            Signed::at(stale, &nonce()).with("X-Timestamp", &time.to_string()),
            "signature_wrong",
        ),
        (
            "in milliseconds",
            Signed::by("bank-1", SECRET, &millis.to_string(), &nonce()),
            "signature_malformed",
        ),
        ("another body", change(|signed| signed.body.push(' ')), "signature_wrong"),
        ("no body", change(|signed| signed.body.clear()), "signature_wrong"),
        (
            "another path",
            change(|signed| signed.target = signed.target.replace("new", "old")),
            "signature_wrong",
        ),
        (
            "another query",
            change(|signed| signed.target = signed.target.replace("dry=1", "dry=0")),
            "signature_wrong",
        ),
        ("no query", change(|signed| signed.target.truncate("/orders/new".len())), "signature_wrong"),
        ("more query", change(|signed| signed.target.push('&')), "signature_wrong"),
        ("another method", change(|signed| signed.method = "PUT"), "signature_wrong"),
        ("another time", good().with("X-Timestamp", &(time - 1).to_string()), "signature_wrong"),
        ("another nonce", good().with("X-Nonce", &nonce()), "signature_wrong"),
        ("another key", good().with("X-API-Key", "bank-2"), "signature_wrong"),
        ("no such key", good().with("X-API-Key", "nobody"), "signature_wrong"),
        ("a key of which only the hash is known", good().with("X-API-Key", "hashed"), "signature_wrong"),
        (
            "signed by the hash",
            {
                let hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
                Signed::by("hashed", hash, &time.to_string(), &nonce())
            },
            "signature_wrong",
        ),
        ("a key and its secret", good().with("X-API-Key", &format!("bank-1.{SECRET}")), "signature_wrong"),
        ("another's secret", Signed::by("bank-1", OTHER, &time.to_string(), &nonce()), "signature_wrong"),
        ("an expired key", Signed::by("old", SECRET, &time.to_string(), &nonce()), "key_expired"),
        ("no signature", good().without("X-Signature"), "credentials_missing"),
        ("an empty signature", good().with("X-Signature", "00"), "signature_malformed"),
        ("half a signature", change(|signed| signed.fields[3].1.truncate(32)), "signature_malformed"),
        ("no nonce", good().without("X-Nonce"), "signature_malformed"),
        ("a short nonce", Signed::at(time, "1234567"), "signature_malformed"),
        ("a nonce of other letters", good().with("X-Nonce", "12345678,12345678"), "signature_malformed"),
        ("no time", good().without("X-Timestamp"), "signature_malformed"),
        ("a time with a sign", good().with("X-Timestamp", &format!("+{time}")), "signature_malformed"),
        ("no key", good().without("X-API-Key"), "signature_malformed"),
        ("two keys", good().twice("X-API-Key"), "signature_malformed"),
        ("two times", good().twice("X-Timestamp"), "signature_malformed"),
        ("two nonces", good().twice("X-Nonce"), "signature_malformed"),
        ("two signatures", good().twice("X-Signature"), "signature_malformed"),
    ]
}

/// Two gateways with one Redis.
pub(crate) fn fleet(folder: &TempDir, orders: &Backend, store: &Redis) -> [Gateway; 2] {
    let more = format!("cluster: {{ redis: 'redis://{}', timeout: 2s }}", store.address());
    [gate_of(folder, orders, &more), gate_of(folder, orders, &more)]
}

#[test]
fn what_is_not_signed_as_it_is_sent_is_refused_by_every_gateway_in_every_protocol() {
    let (folder, orders, store) = (partners(), service(), redis());
    let fleet = fleet(&folder, &orders, &store);
    for (number, (what, signed, code)) in hostile().iter().enumerate() {
        for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Chunked] {
            // A method without a body is not sent in chunks.
            if protocol == Protocol::Chunked && signed.body.is_empty() {
                continue;
            }
            let (status, found) = signed.send(&fleet[number % 2], protocol);
            assert_eq!((status, found.as_str()), (401, *code), "{what}, {protocol:?}");
        }
    }
    assert_eq!(orders.requests().len(), 0);
    // None of it has used a nonce.
    assert_eq!(redis_cli(store.address(), &["DBSIZE"]), "0");
    let mut long = Signed::new();
    long.body = "x".repeat(5000);
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Chunked] {
        long.expect(&fleet[0], protocol, 413, "body_too_large");
    }
}

#[test]
fn a_signed_request_is_taken_once_by_the_whole_fleet() {
    let (folder, orders, store) = (partners(), service(), redis());
    let fleet = fleet(&folder, &orders, &store);
    for (protocol, others) in [
        (Protocol::Http1, Protocol::Http2),
        (Protocol::Http2, Protocol::Chunked),
        (Protocol::Chunked, Protocol::Http1),
    ] {
        let (time, nonce) = (now(), nonce());
        let signed = Signed::at(time, &nonce);
        signed.expect(&fleet[0], protocol, 200, "");
        for gate in &fleet {
            signed.expect(gate, protocol, 401, "signature_replayed");
            signed.expect(gate, others, 401, "signature_replayed");
            // Signed anew, at another time.
            Signed::at(time - 1, &nonce).expect(gate, protocol, 401, "signature_replayed");
        }
        // Another key may say the same.
        Signed::by("bank-2", OTHER, &time.to_string(), &nonce).expect(&fleet[1], protocol, 200, "");
    }
    let kept = redis_cli(store.address(), &["--scan", "--pattern", "tg:nonce:*"]);
    assert_eq!(kept.lines().count(), 6, "{kept}");
    for name in kept.lines() {
        let left: u64 = redis_cli(store.address(), &["TTL", name]).parse().unwrap();
        assert!((300..=602).contains(&left), "{left}");
    }
    let seen = orders.request(0);
    assert_eq!(seen.body, b"{\"sku\":\"a-7\"}");
    for name in ["x-api-key", "x-timestamp", "x-nonce", "x-signature"] {
        assert_eq!(seen.header(name), None);
    }
    for (name, value) in [("app", "bank"), ("plan", "gold"), ("scopes", "write")] {
        assert_eq!(seen.header(&format!("x-tollgate-{name}")), Some(value));
    }
    let line = &fleet[0].log(1)[0];
    assert_eq!([&line["app"], &line["key"], &line["auth"]], ["bank", "bank-1", "signed"]);
}

#[test]
fn of_one_request_sent_many_times_at_once_one_is_taken() {
    let (folder, orders) = (partners(), service());
    let gate = gate_of(&folder, &orders, "workers: 4");
    let signed = Signed::new();
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| signed.send(&gate, Protocol::Http1))).collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        answers.filter(|answer| *answer == (200, String::new())).count()
    });
    assert_eq!((taken, orders.requests().len()), (1, 1));
}

#[test]
fn what_was_used_stays_used_over_a_reload() {
    let (folder, orders) = (partners(), service());
    let gate = gate_of(&folder, &orders, "drain: 5s");
    let signed = Signed::new();
    signed.expect(&gate, Protocol::Http1, 200, "");
    let config = fs::read_to_string(gate.config_file()).unwrap();
    gate.expect_reload(|| fs::write(gate.config_file(), config.replace("drain: 5s", "drain: 6s")).unwrap());
    signed.expect(&gate, Protocol::Http1, 401, "signature_replayed");
    Signed::new().expect(&gate, Protocol::Http1, 200, "");
    // From one table into the other: what is not known there is taken.
    let store = redis();
    let more = format!("cluster: {{ redis: 'redis://{}', prefix: 'shop:', timeout: 2s }}", store.address());
    gate.expect_reload(|| fs::write(gate.config_file(), config.replace("drain: 5s", &more)).unwrap());
    let signed = Signed::new();
    signed.expect(&gate, Protocol::Http1, 200, "");
    signed.expect(&gate, Protocol::Http1, 401, "signature_replayed");
    assert!(redis_cli(store.address(), &["--scan"]).starts_with("shop:nonce:"));
    assert!((0.5..1.5).contains(&gate.metrics().sum("tollgate_redis_up", &[])));
}

#[test]
fn nonces_of_a_fleet_are_kept_in_all_of_a_cluster() {
    let (folder, orders, store) = (partners(), service(), redis_cluster(false));
    let more = format!("cluster: {{ redis: '{}', timeout: 2s }}", store.url());
    let fleet = [gate_of(&folder, &orders, &more), gate_of(&folder, &orders, &more)];
    for number in 0..30 {
        let signed = Signed::new();
        signed.expect(&fleet[number % 2], Protocol::Http1, 200, "");
        signed.expect(&fleet[(number + 1) % 2], Protocol::Http1, 401, "signature_replayed");
    }
    let kept = [0, 1, 2].map(|node| store.names(node, "tg:nonce:*").len());
    assert!(kept.iter().sum::<usize>() == 30 && kept.iter().all(|count| *count > 1), "{kept:?}");
}

#[test]
fn without_its_redis_a_gateway_lets_nobody_in_and_goes_on_when_it_is_back() {
    let (folder, orders, mut store) = (partners(), service(), redis());
    let more = format!("cluster: {{ redis: 'redis://{}', timeout: 300ms }}", store.address());
    let gate = gate_of(&folder, &orders, &more);
    let up = || gate.metrics().sum("tollgate_redis_up", &[]) > 0.5;
    let comes_back = || {
        eventually("signed requests are let in again", || {
            Signed::new().send(&gate, Protocol::Http1).0 == 200
        });
        assert!(up());
    };
    comes_back();
    let served = orders.requests().len();
    store.kill();
    Signed::new().expect(&gate, Protocol::Http1, 503, "nonces_unavailable");
    gate.expect_line("does not answer, what needs it is refused");
    eventually("it is told that Redis is down", || !up());
    // What is wrong is wrong all the same, and other ways do not need it.
    Signed::new().with("X-Nonce", "0123456789").expect(&gate, Protocol::Http2, 401, "signature_wrong");
    Signed::new().expect(&gate, Protocol::Http2, 503, "nonces_unavailable");
    gate.ask("GET", "/either").header("X-API-Key", &format!("bank-1.{SECRET}")).send().expect(200);
    assert_eq!(orders.requests().len(), served + 1);
    store.revive();
    comes_back();
    gate.expect_line("answers again");
    // One that takes commands and says nothing is as good as gone.
    store.pause();
    Signed::new().expect(&gate, Protocol::Http1, 503, "nonces_unavailable");
    store.resume();
    comes_back();
    assert!(gate.metrics().sum("tollgate_redis_failures_total", &[]) > 2.5);
}

#[test]
fn a_redis_that_wants_a_password_gets_it_and_no_one_is_told() {
    let (folder, orders, store) = (partners(), service(), redis());
    assert_eq!(redis_cli(store.address(), &["CONFIG", "SET", "requirepass", "a word for redis"]), "OK");
    let with = |password: &str| {
        format!("cluster: {{ redis: 'redis://{}/3', password: {password}, timeout: 2s }}", store.address())
    };
    let gate = gate_of(&folder, &orders, &with("another word"));
    let line = gate.expect_line("does not answer, what needs it is refused");
    assert!(!line.contains("another word"), "{line}");
    Signed::new().expect(&gate, Protocol::Http1, 503, "nonces_unavailable");
    let config = fs::read_to_string(gate.config_file()).unwrap();
    let right = config.replace(&with("another word"), &with("a word for redis"));
    gate.expect_reload(|| fs::write(gate.config_file(), right).unwrap());
    eventually("Redis is asked", || Signed::new().send(&gate, Protocol::Http1).0 == 200);
    let keys =
        redis_cli(store.address(), &["--no-auth-warning", "-a", "a word for redis", "-n", "3", "DBSIZE"]);
    assert_eq!(keys, "1");
    assert!(!gate.said().contains("word for"), "{}", gate.said());
}

#[test]
fn a_key_may_be_sent_or_sign_where_both_are_taken() {
    let (folder, orders) = (partners(), service());
    let gate = gate_of(&folder, &orders, "");
    let (time, nonce) = (now().to_string(), nonce());
    let signature = hmac("sha256", SECRET, &format!("GET\n/either\n{time}\n{nonce}\n"));
    let ask = || {
        let ask = gate.ask("GET", "/either").header("X-API-Key", "bank-1").header("X-Timestamp", &time);
        ask.header("X-Nonce", &nonce).header("X-Signature", &signature).send()
    };
    ask().expect(200);
    // The first way takes the id for a key that is none; that it is signed, too, is the second's to say.
    ask().expect(401);
    gate.ask("GET", "/either").header("X-API-Key", &format!("bank-1.{SECRET}")).send().expect(200);
    let body = "a body of some length";
    let digest = {
        let mut command = Command::new("sh");
        command.args(["-c", "printf %s \"$0\" | openssl dgst -sha256 -r | cut -d' ' -f1", body]);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let signature = hmac("sha512", SECRET, &format!("POST\n/digested\n{time}\n{nonce}-2\n{digest}"));
    let ask = gate.ask("POST", "/digested").header("X-Client", "bank-1").header("X-Timestamp", &time);
    let ask = ask.header("X-Nonce", &format!("{nonce}-2")).header("X-Signed", &signature).body(body);
    ask.send().expect(200);
    let seen = orders.request(orders.requests().len() - 1);
    assert_eq!(seen.header("x-signed"), Some(signature.as_str()));
}

/// Has http-message-signatures sign these; the fields of each.
pub(crate) fn sign_messages(folder: &TempDir, jobs: &Value) -> Vec<Vec<(String, String)>> {
    let mut command = Command::new(installed("venv/bin/python"));
    command.arg(script_path("signer.py")).arg(folder.path()).arg(jobs.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signed: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: Value| value.as_str().unwrap().to_owned();
    signed.into_iter().map(|one| one.into_iter().map(|(name, value)| (name, text(value))).collect()).collect()
}
