//! Who may call: keys, scopes, apps and plans, and what services are told of callers.

use tollgate_tests::tls::{OpenSsl, Wish};
use tollgate_tests::{Backend, Gateway, backend, curl, fill, gateway_with, tollgate};

/// The SHA-256 of `foo`.
const FOO: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn service() -> Backend {
    backend(|call| call.reply(200, "served"))
}

/// A gateway with three apps, before a service.
fn gate_to(service: &Backend) -> Gateway {
    let text = format!(
        "
services: {{ users: <users> }}
auth:
  keys: {{ api_key: {{}} }}
  anywhere: {{ api_key: {{ header: X-Key, bearer: true, query: api_key }} }}
  passed: {{ api_key: {{ query: token, bearer: true, pass: true }} }}
plans: {{ free: {{}}, gold: {{}} }}
apps:
  mobile:
    plan: gold
    keys:
      - {{ id: ro, hash: '{FOO}', scopes: [read] }}
      - {{ id: rw, hash: '{FOO}', scopes: [read, write] }}
      - {{ id: old, hash: '{FOO}', expires: 2020-01-01 }}
  web: {{ plan: free, keys: [ {{ id: web, hash: '{FOO}' }} ] }}
  bare: {{ keys: [ {{ id: bare, hash: '{FOO}' }} ] }}
defaults: {{ access: keys }}
routes:
  - {{ match: '/known/{{rest...}}', to: users }}
  - {{ match: /open, to: users, access: public }}
  - {{ match: /anywhere, to: users, access: anywhere }}
  - {{ match: /passed, to: users, access: passed }}
  - {{ match: /write, to: users, access: {{ any: keys, scopes: [read, write] }} }}
  - {{ match: /mobile, to: users, access: {{ any: [keys, anywhere], apps: mobile }} }}
  - {{ match: /gold, to: users, access: {{ any: keys, plans: gold }} }}
  - {{ match: /both, to: users, access: {{ all: [keys, anywhere] }} }}
  - {{ match: '/of/{{app}}', to: users, access: {{ any: keys, when: 'identity.app == params.app' }} }}
  - {{ match: /never, to: users, access: {{ any: keys, when: \"identity.plan == 'gold'\" }} }}
"
    );
    gateway_with(&text, &[("users", service)])
}

#[test]
fn a_caller_is_known_by_a_key_and_by_nothing_else() {
    let users = service();
    let gate = gate_to(&users);
    gate.get("/open").expect(200);
    gate.ask("GET", "/known/x").header("X-API-Key", "ro.foo").send().expect(200).expect_body("served");
    let missing = gate.get("/known/x").expect(401);
    missing.expect_refusal("credentials_missing");
    assert_eq!(missing.header("www-authenticate"), Some("ApiKey realm=\"api\""));
    for wrong in [
        "ro.fo",
        "ro.foo ",
        "ro.",
        "ro",
        ".foo",
        "",
        "x.foo",
        "ro.FOO",
        "ro foo",
        "rw.foo.",
        &"x".repeat(5000),
    ] {
        let answer = gate.ask("GET", "/known/x").header("X-API-Key", wrong).send();
        if wrong == "ro.foo " {
            // White space around a value is no part of it.
            answer.expect(200);
        } else {
            answer.expect(401).expect_refusal("key_unknown");
        }
    }
    gate.ask("GET", "/known/x")
        .header("X-API-Key", "old.foo")
        .send()
        .expect(401)
        .expect_refusal("key_expired");
    let twice = gate.ask("GET", "/known/x").header("X-API-Key", "ro.foo").header("X-API-Key", "web.foo");
    twice.send().expect(401).expect_refusal("key_unknown");
    assert_eq!(users.requests().len(), 3, "who is refused reaches no service");
}

#[test]
fn a_key_may_come_in_each_place_that_the_configuration_names() {
    let users = service();
    let gate = gate_to(&users);
    gate.ask("GET", "/anywhere").header("X-Key", "ro.foo").send().expect(200);
    gate.ask("GET", "/anywhere").header("Authorization", "bearer ro.foo").send().expect(200);
    gate.get("/anywhere?a=1&api%5Fkey=ro%2Efoo&b=2").expect(200);
    gate.get("/anywhere?api_key=ro.foo").expect(200);
    gate.ask("GET", "/anywhere").header("X-API-Key", "ro.foo").send().expect_refusal("credentials_missing");
    gate.ask("GET", "/anywhere")
        .header("Authorization", "Basic cm8uZm9v")
        .send()
        .expect_refusal("credentials_missing");
    gate.get("/anywhere?api_key=ro.foo&api_key=ro.foo").expect_refusal("key_unknown");
    let two = gate
        .ask("GET", "/anywhere")
        .header("Authorization", "Bearer ro.foo")
        .header("Authorization", "Bearer web.foo");
    two.send().expect_refusal("key_unknown");
    let wrong = gate.ask("GET", "/anywhere").header("Authorization", "Bearer ro.bar").send();
    wrong.expect_refusal("key_unknown");
    assert_eq!(
        wrong.fields.all("www-authenticate"),
        ["Bearer realm=\"api\", error=\"invalid_token\"", "ApiKey realm=\"api\""]
    );
}

#[test]
fn services_see_who_calls_and_not_the_proof_of_it() {
    let users = service();
    let gate = gate_to(&users);
    gate.ask("GET", "/known/x")
        .header("X-API-Key", "rw.foo")
        .header("X-Tollgate-App", "bank")
        .header("X_Tollgate_User", "root")
        .send()
        .expect(200);
    let seen = users.request(0);
    assert_eq!(seen.header("x-api-key"), None);
    assert_eq!(seen.header("x-tollgate-app"), Some("mobile"));
    assert_eq!(seen.header("x-tollgate-plan"), Some("gold"));
    assert_eq!(seen.header("x-tollgate-scopes"), Some("read write"));
    assert_eq!((seen.header("x_tollgate_user"), seen.header("x-tollgate-user")), (None, None));
    gate.ask("GET", "/open")
        .header("X-Tollgate-App", "bank")
        .header("X-Tollgate-Plan", "gold")
        .send()
        .expect(200);
    let seen = users.request(1);
    assert_eq!((seen.header("x-tollgate-app"), seen.header("x-tollgate-plan")), (None, None));
    gate.get("/anywhere?a=1&api_key=ro.foo&b=%2f").expect(200);
    assert_eq!(users.request(2).target, "/anywhere?a=1&b=%2f");
    gate.get("/anywhere?api_key=ro.foo").expect(200);
    assert_eq!(users.request(3).target, "/anywhere");
    gate.ask("GET", "/anywhere").header("Authorization", "Bearer ro.foo").send().expect(200);
    assert_eq!(users.request(4).header("authorization"), None);
    gate.ask("GET", "/passed?token=x.y").header("Authorization", "Bearer ro.foo").send().expect(200);
    let seen = users.request(5);
    assert_eq!((seen.header("authorization"), &*seen.target), (Some("Bearer ro.foo"), "/passed?token=x.y"));
}

#[test]
fn a_known_caller_may_do_what_was_granted() {
    let users = service();
    let gate = gate_to(&users);
    let ask = |path: &str, key: &str| gate.ask("GET", path).header("X-API-Key", key).send();
    ask("/write", "rw.foo").expect(200);
    let lacking = ask("/write", "ro.foo").expect(403);
    lacking.expect_refusal("scope_missing");
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"read write\"";
    assert_eq!(lacking.header("www-authenticate"), Some(challenge));
    ask("/mobile", "ro.foo").expect(200);
    ask("/mobile", "web.foo").expect(403).expect_refusal("app_not_allowed");
    ask("/gold", "ro.foo").expect(200);
    ask("/gold", "web.foo").expect(403).expect_refusal("plan_not_allowed");
    ask("/gold", "bare.foo").expect(403).expect_refusal("plan_not_allowed");
    ask("/of/web", "web.foo").expect(200);
    ask("/of/mobile", "web.foo").expect(403).expect_refusal("not_allowed");
    // What cannot be told, as there is no plan, is no permission.
    ask("/never", "bare.foo").expect(403).expect_refusal("not_allowed");
    ask("/never", "nobody.foo").expect(401).expect_refusal("key_unknown");
}

#[test]
fn each_of_several_ways_must_lead_to_the_same_app() {
    let users = service();
    let gate = gate_to(&users);
    let both = |one: &str, other: &str| {
        gate.ask("GET", "/both").header("X-API-Key", one).header("X-Key", other).send()
    };
    both("ro.foo", "rw.foo").expect(200);
    assert_eq!(users.request(0).header("x-tollgate-scopes"), Some("read"), "the first says what was granted");
    both("ro.foo", "web.foo").expect(401).expect_refusal("credentials_contradict");
    both("ro.foo", "web.bar").expect(401).expect_refusal("key_unknown");
    gate.ask("GET", "/both").header("X-Key", "ro.foo").send().expect_refusal("credentials_missing");
    gate.ask("GET", "/both").header("X-API-Key", "ro.foo").send().expect_refusal("credentials_missing");
    // One of several: a wrong one beside a right one does no harm.
    let either = gate.ask("GET", "/mobile").header("X-API-Key", "ro.bar").header("X-Key", "ro.foo").send();
    either.expect(200);
}

#[test]
fn the_log_says_who_called_and_no_secret() {
    let users = service();
    let gate = gate_to(&users);
    gate.ask("GET", "/known/x").header("X-API-Key", "ro.foo").send().expect(200);
    gate.get("/anywhere?a=1&api_key=web.foo").expect(200);
    gate.get("/anywhere?api_key=web.guess").expect(401);
    gate.get("/known/x?api%5fkey=web.guess&b").expect(401);
    let led = gate
        .ask("GET", "/nowhere?api_key=web.guess")
        .header("Referer", "http://a.example/?api_key=web.guess");
    led.send().expect(404);
    let lines = gate.log(5);
    let of = |line: usize, member: &str| lines[line][member].as_str().unwrap_or_default().to_owned();
    assert_eq!(["app", "plan", "key", "auth"].map(|member| of(0, member)), ["mobile", "gold", "ro", "keys"]);
    assert_eq!(
        ["app", "plan", "key", "auth"].map(|member| of(1, member)),
        ["web", "free", "web", "anywhere"]
    );
    assert_eq!(of(1, "query"), "a=1");
    assert_eq!((of(2, "app"), of(2, "code")), (String::new(), "key_unknown".to_owned()));
    assert_eq!(of(3, "query"), "api%5fkey=***&b");
    assert_eq!(of(4, "query"), "api_key=***");
    assert_eq!(of(4, "referer"), "http://a.example/?api_key=***");
    assert!(
        lines.iter().all(|line| !line.to_string().contains("foo") && !line.to_string().contains("guess"))
    );
}

#[test]
fn a_key_that_a_reload_takes_away_is_refused_at_once() {
    let users = service();
    let text = |keys: &str| {
        format!(
            "
services: {{ users: <users> }}
auth: {{ keys: {{ api_key: {{}} }} }}
apps: {{ web: {{ keys: [ {keys} ] }} }}
routes: [ {{ match: '/{{rest...}}', to: users, access: keys }} ]
"
        )
    };
    let (old, new) = (format!("{{ id: old, hash: '{FOO}' }}"), format!("{{ id: new, hash: '{FOO}' }}"));
    let gate = gateway_with(&text(&old), &[("users", &users)]);
    let mut wire = gate.connect();
    let mut ask = |key: &str| {
        wire.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n"));
        wire.answer()
    };
    ask("old.foo").expect(200);
    let reload = |keys: &str| {
        gate.expect_reload(|| gate.replace_config(&fill(&text(keys), &[("users", &users)])));
    };
    reload(&format!("{old}, {new}"));
    ask("old.foo").expect(200);
    ask("new.foo").expect(200);
    reload(&new);
    ask("old.foo").expect(401);
    ask("new.foo").expect(200);
}

#[test]
fn a_key_is_made_with_its_line_and_works() {
    let output =
        tollgate(&["key", "new", "--app", "web", "--scopes", "read,list", "--expires", "2099-01-01"]);
    assert_eq!(output.status.code(), Some(0));
    let made = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = made.lines().collect();
    let (key, line) = (lines[1], lines[3]);
    assert!(!line.contains(key.split_once('.').unwrap().1), "the line has no secret: {line}");
    let users = service();
    let text = format!(
        "
services: {{ users: <users> }}
auth: {{ keys: {{ api_key: {{}} }} }}
apps:
  web:
    keys:
      {line}
routes: [ {{ match: /x, to: users, access: {{ any: keys, scopes: [list] }} }} ]
"
    );
    let gate = gateway_with(&text, &[("users", &users)]);
    gate.ask("GET", "/x").header("X-API-Key", key).send().expect(200);
    let output = tollgate(&["key", "new", "--app", "web", "--id", "a.b"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn explain_shows_what_a_route_asks_and_no_secret() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("access.yaml").display().to_string();
    let text = "
services: { users: http://127.0.0.1:9001 }
auth: { keys: { api_key: { query: api_key } } }
routes: [ { match: /x, to: users, access: { any: keys, scopes: [list], when: \"identity.app == 'a'\" } } ]
";
    std::fs::write(&path, text).unwrap();
    let output = tollgate(&["explain", "GET", "/x?api_key=web.guess&a=1", "-c", &path]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("identify   access: keys (an API key in the query parameter api_key)"), "{told}");
    assert!(told.contains("authorize  access: scopes list; when identity.app == 'a'"), "{told}");
    assert!(told.contains("http://127.0.0.1:9001/x?a=1\n") && told.contains("api_key=***"), "{told}");
    assert!(!told.contains("guess"), "{told}");
}

#[test]
fn certificates_say_who_calls() {
    let users = service();
    let authority = OpenSsl::new();
    authority.issue("a", Wish { hosts: &["a.test"], ..Wish::default() });
    authority.issue("bank-7", Wish { hosts: &["seven.bank.test"], ..Wish::default() });
    for name in ["partner-1", "stranger"] {
        authority.issue(name, Wish::default());
    }
    let gate = gateway_with(
        "
        listeners:
          - address: '127.0.0.1:0'
            tls:
              certificates: { cert: <dir>/a.pem, key: <dir>/a.key }
              client: { ca: <dir>/ca.pem, required: false }
        services: { users: <users> }
        auth: { mtls: { mtls: { allow: 'CN=partner-*', apps: { bank: 'dns:*.bank.test' } } } }
        plans: { gold: {} }
        apps: { bank: { plan: gold } }
        routes:
          - { match: /x, to: users, access: mtls }
          - { match: /bank, to: users, access: { any: mtls, apps: bank } }
        ",
        &[("dir", &authority.folder().display()), ("users", &users)],
    );
    let ask = |name: Option<&str>, path: &str| {
        let url = format!("https://{}{path}", gate.address());
        let files = name.map(|name| {
            ["pem", "key"].map(|kind| authority.path(&format!("{name}.{kind}")).display().to_string())
        });
        let mut arguments = vec!["-k", "-o", "/dev/null", "-w", "%{http_code}"];
        if let Some([cert, key]) = &files {
            arguments.extend(["--cert", cert, "--key", key]);
        }
        arguments.push(&url);
        curl(&arguments).text()
    };
    assert_eq!(ask(Some("bank-7"), "/bank"), "200");
    let seen = users.request(0);
    assert_eq!((seen.header("x-tollgate-app"), seen.header("x-tollgate-plan")), (Some("bank"), Some("gold")));
    assert_eq!(seen.header("x-tollgate-user"), Some("CN=bank-7"));
    assert_eq!(ask(Some("partner-1"), "/x"), "200");
    assert_eq!(ask(Some("partner-1"), "/bank"), "403");
    assert_eq!(ask(Some("stranger"), "/x"), "401");
    assert_eq!(ask(None, "/x"), "401");
    let log = gate.log(5);
    let codes = [2, 3, 4].map(|line| log[line]["code"].as_str().unwrap_or_default());
    assert_eq!(codes, ["app_not_allowed", "certificate_unknown", "credentials_missing"]);
}
