//! `waf`: requests that look like an attack are refused, or told; what is harmless passes, whole.

use tollgate_tests::{curl, gateway_with, hello, http2, tollgate};

const ROUTES: &str = "
services: { users: <users> }
auth: { keys: { api_key: { header: X-API-Key, query: key } } }
apps: { web: { keys: [ { id: web, secret: 0123456789abcdef } ] } }
logs: { access: access.log, sample: { '2xx': 0% } }
defaults: { access: public, waf: block }
routes:
  - { match: '/users/{rest...}', to: users }
  - { match: /watched, to: users, waf: detect }
  - { match: /open, to: users, waf: off }
  - { match: /editor, to: users, waf: { exclude: ['xss@body.html'] } }
  - { match: /hidden, to: users, waf: { mode: detect, redact: true } }
  - { match: /small, to: users, waf: { max_body: 1KiB } }
  - { match: /cut, to: users, waf: { max_body: 1KiB, oversize: cut } }
  - { match: /watched/small, to: users, waf: { mode: detect, max_body: 1KiB } }
  - { match: /known, to: users, access: keys }
";

const ATTACK: &str = "1' OR 1=1 UNION SELECT name, password FROM users -- ";
const IN_A_QUERY: &str = "q=1%27%20OR%201=1%20UNION%20SELECT%20name,password%20FROM%20users%20--%20";

#[test]
fn attacks_are_refused_wherever_they_stand_and_the_service_sees_none() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    let json = format!(r#"{{"name":"Ann","notes":[{{"text":"{ATTACK}"}}]}}"#);
    let form = format!("name=Ann&{IN_A_QUERY}");
    let boundary = format!("--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{ATTACK}\r\n--x--\r\n");
    let xml = format!("<order><note>{ATTACK}</note></order>");
    let ask = |method: &str, target: &str| {
        gate.ask(method, target).header("User-Agent", "t").header("Accept", "*/*")
    };
    let post =
        |kind: &str, body: &str| ask("POST", "/users/1").header("Content-Type", kind).body(body).send();
    let answers = [
        (ask("GET", &format!("/users/1?{IN_A_QUERY}")).send(), "admit"),
        (ask("GET", "/users/%253Cscript%253Ealert(1)%253C%252Fscript%253E").send(), "admit"),
        (ask("GET", "/users/1").header("X-Search", ATTACK).send(), "admit"),
        (ask("GET", "/users/1").header("Cookie", &format!("a=1; theme={ATTACK}")).send(), "admit"),
        (ask("GET", "/users/1").header("User-Agent", "${jndi:ldap://evil.example/a}").send(), "admit"),
        (post("application/json", &json), "validate"),
        (post("application/x-www-form-urlencoded", &form), "validate"),
        (post("multipart/form-data; boundary=x", &boundary), "validate"),
        (post("application/xml", &xml), "validate"),
        (post("text/plain", ATTACK), "validate"),
    ];
    for (number, (answer, stage)) in answers.iter().enumerate() {
        assert_eq!(answer.status, 403, "{number}");
        let problem = answer.expect_refusal("waf_blocked");
        assert_eq!(problem["stage"], *stage, "{number}");
        let told = answer.text().to_lowercase();
        for word in ["sql", "xss", "union", "5001", "rule", "query"] {
            assert!(!told.contains(word), "{number} tells too much: {told}");
        }
    }
    assert!(users.requests().is_empty());
    // The connection is as good as before, whether the body was looked at or not.
    let mut wire = gate.connect();
    for _ in 0..2 {
        wire.send(format!(
            "POST /users/1?{IN_A_QUERY} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"
        ));
        wire.answer().expect_refusal("waf_blocked");
    }
}

#[test]
fn the_log_tells_rule_place_and_match_and_the_metrics_count() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    gate.get(&format!("/users/1?{IN_A_QUERY}")).expect(403);
    gate.get(&format!("/watched?{IN_A_QUERY}")).expect(200);
    gate.get(&format!("/hidden?{IN_A_QUERY}")).expect(200);
    gate.get(&format!("/open?{IN_A_QUERY}")).expect(200);
    gate.get("/watched?key=%3Cscript%3Ealert(1)%3C/script%3E").expect(200);
    // Nothing of the harmless ones is logged by `sample`, and all that was found is.
    let lines = gate.log(4);
    let [blocked, watched, hidden, secret] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&blocked["code"], &blocked["stage"]), (&"waf_blocked".into(), &"admit".into()));
    assert_eq!((&blocked["waf"]["blocked"], &watched["waf"]["blocked"]), (&true.into(), &false.into()));
    for line in [blocked, watched] {
        assert!(line["waf"]["score"].as_u64() >= Some(5), "{line}");
        let hits = line["waf"]["hits"].as_array().unwrap();
        let hit = hits.iter().find(|hit| hit["category"] == "sql").unwrap();
        assert_eq!(hit["place"], "query.q");
        assert!(
            hit["rule"].as_u64() > Some(5000) && hit["matched"].as_str().unwrap().contains("OR 1=1"),
            "{hit}"
        );
    }
    assert_eq!(hidden["waf"]["hits"][0]["matched"], "***");
    assert_eq!(secret["waf"]["hits"][0]["matched"], "***", "{secret}");
    let metrics = gate.metrics();
    let hits = |route: &str| metrics.sum("tollgate_waf_hits_total", &[("route", route), ("category", "sql")]);
    assert_eq!((hits("/users/{rest...}"), hits("/watched"), hits("/open")), (1.0, 1.0, 0.0));
    assert!(metrics.sum("tollgate_refusals_total", &[("code", "waf_blocked")]) > 0.0);
}

#[test]
fn what_is_harmless_or_excluded_reaches_the_service_whole() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    let page = r#"{"html":"<script>alert(1)</script>","title":"It's O'Neill's order by phone"}"#;
    gate.ask("POST", "/editor").header("Content-Type", "application/json").body(page).send().expect(200);
    gate.ask("POST", "/users/1").header("Content-Type", "application/json").body(page).send().expect(403);
    let prose = r#"{"title":"Select your table, drop us a line -- or call; 'til Monday"}"#;
    gate.ask("POST", "/users/1").header("Content-Type", "application/json").body(prose).send().expect(200);
    assert_eq!(users.request(0).body, page.as_bytes());
    assert_eq!(users.request(1).body, prose.as_bytes());
    // Nothing is read of who may not send it.
    let unknown = gate.ask("POST", "/known").header("Content-Type", "text/plain").body(ATTACK).send();
    unknown.expect_refusal("credentials_missing");
    // Pictures are not looked at, nor held, but for those that are none.
    let picture = |start: &str| {
        let body = format!("{start}{}", ATTACK.repeat(100));
        gate.ask("POST", "/cut").header("Content-Type", "image/png").body(body).send()
    };
    picture("\u{89}PNG\r\n\u{1a}\n").expect(200);
    picture("").expect_refusal("waf_blocked");
    // What is packed cannot be looked into.
    let packed = gate.ask("POST", "/users/1").header("Content-Encoding", "gzip").body("\u{1f}\u{8b}").send();
    packed.expect_refusal("waf_blocked");
    let url = format!("http://{}/users/1", gate.address());
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", &url]).text(), "200");
}

#[test]
fn bodies_beyond_what_is_looked_at_are_refused_or_sent_on_whole() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    let long = format!("note={}", "harmless words ".repeat(100_000));
    let attack = format!("{IN_A_QUERY}&{long}");
    let chunked = |path: &str, body: &str, size: usize| {
        let mut wire = gate.connect();
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ));
        for chunk in body.as_bytes().chunks(size) {
            let head = format!("{:x}\r\n", chunk.len());
            wire.send([head.as_bytes(), chunk, b"\r\n"].concat());
        }
        wire.send("0\r\n\r\n");
        wire.answer()
    };
    let whole = |path: &str, body: &str| {
        gate.ask("POST", path).header("Content-Type", "application/x-www-form-urlencoded").body(body).send()
    };
    for path in ["/cut", "/watched/small"] {
        for (number, answer) in
            [whole(path, &long), chunked(path, &long, 8000), chunked(path, &long, 100_000)]
                .into_iter()
                .enumerate()
        {
            assert_eq!(answer.status, 200, "{path} {number}");
            assert!(users.requests().pop().unwrap().body == long.as_bytes(), "{path} {number}");
        }
    }
    whole("/cut", &attack).expect_refusal("waf_blocked");
    chunked("/cut", &attack, 8000).expect_refusal("waf_blocked");
    whole("/watched/small", &attack).expect(200);
    whole("/small", &long).expect_refusal("body_too_large");
    chunked("/small", &long, 100).expect_refusal("body_too_large");
    // Up to there, in the smallest chunks.
    let short = &long[..900];
    for path in ["/small", "/cut"] {
        chunked(path, short, 1).expect(200);
        assert_eq!(users.requests().pop().unwrap().body, short.as_bytes());
    }
}

#[test]
fn http2_is_looked_at_as_well() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    let mut wire = http2::Http2::connect(gate.address(), &[]);
    assert_eq!(wire.ask(&http2::get(&format!("/users/1?{IN_A_QUERY}"))).code(), "waf_blocked");
    let url = |path: &str| format!("http://{}{path}", gate.address());
    let send = |path: &str, body: &str| {
        let file = gate.folder().join("body");
        std::fs::write(&file, body).unwrap();
        let body = format!("@{}", file.display());
        let arguments =
            ["--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", &body];
        curl(&[&arguments[..], &[&url(path)]].concat()).text()
    };
    let long = format!("note={}", "harmless words ".repeat(100_000));
    assert_eq!(send("/users/1", IN_A_QUERY), "403");
    assert_eq!(send("/users/1", "q=it's+fine"), "200");
    assert_eq!(send("/cut", &format!("{IN_A_QUERY}&{}", &long[..20_000])), "403");
    assert_eq!(send("/cut", &long), "200");
    assert!(users.requests().pop().unwrap().body == long.as_bytes());
}

#[test]
fn explain_says_what_would_be_found() {
    let users = hello();
    let gate = gateway_with(ROUTES, &[("users", &users)]);
    let file = gate.config_file().display().to_string();
    let explain =
        |target: &str| String::from_utf8(tollgate(&["explain", "GET", target, "-c", &file]).stdout).unwrap();
    let attack = explain(&format!("http://a/users/1?{IN_A_QUERY}"));
    assert!(attack.contains("waf: blocks at 5 points, level 1, bodies up to 128KiB"), "{attack}");
    assert!(attack.contains("refused with 403 (waf_blocked)") && attack.contains("at query.q"), "{attack}");
    let harmless = explain("http://a/users/1?q=fine");
    assert!(!harmless.contains("points:"), "{harmless}");
}
