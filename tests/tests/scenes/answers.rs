//! `validate.response`: answers of services that are held against the API's description, looked at or held back.

use std::fs;

use serde_json::Value;
use tollgate_tests::http2::{END_HEADERS, END_STREAM, Http2, Http2Service, get, kind, pack};
use tollgate_tests::{
    Backend, Call, Ending, Gateway, Signal, backend, eventually, fill, gateway_with, raw_backend,
};

const CONTRACT: &str = r#"
openapi: 3.1.0
info: { title: Users, version: 1.0.0 }
paths:
  /added: { get: { responses: { "201": { description: Added } } } }
  /user:
    get:
      responses:
        "200":
          description: A user
          headers: { X-Count: { schema: { type: integer } } }
          content:
            application/json: { schema: { type: object, required: [id], properties: { id: { type: integer } } } }
            text/event-stream: {}
            application/octet-stream: {}
        "201": { description: Added }
        "204": { description: Nothing }
        "4XX": { description: Not so, content: { application/json: { schema: { type: object, required: [error] } } } }
    post:
      requestBody: { content: { text/plain: {} } }
      responses:
        "200": { description: Added, content: { application/json: { schema: { type: object, required: [id] } } } }
"#;

/// A gateway that looks at answers below `/log` and holds them back below `/block`.
fn gate_to(service: &Backend) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users.yaml"), CONTRACT).unwrap();
    let text = "
services: { back: { endpoints: [<back>], timeout: { idle: 5s } } }
defaults: { access: public }
routes:
  - { match: '/log/{rest...}', to: back, validate: { openapi: <files>/users.yaml, base: /log, response: true, max_body: 1KB } }
  - { match: '/block/{rest...}', to: back, validate: { openapi: <files>/users.yaml, base: /block, response: block, max_body: 1KB } }
  - { match: '/strict/{rest...}', to: back, validate: { openapi: <files>/users.yaml, base: /strict, response: block, unknown: refuse } }
";
    let text = fill(text, &[("files", &folder.path().display())]);
    (gateway_with(&text, &[("back", service)]), folder)
}

/// A service that answers what the end of the target names.
fn service() -> Backend {
    backend(|call| {
        let json = "Content-Type: application/json\r\n";
        match call.target().rsplit('?').next().unwrap() {
            "bad" => call.reply_with(200, json, r#"{"id":"hunter2","secret":"hunter2"}"#),
            "no-json" => call.reply_with(200, json, "hunter2"),
            "empty" => call.reply_with(200, json, ""),
            "header" => call.reply_with(200, &format!("{json}X-Count: hunter2\r\n"), r#"{"id":1}"#),
            "type" => call.reply_with(200, "Content-Type: text/html\r\n", "<p>hunter2</p>"),
            "status" => call.reply_with(500, json, r#"{"error":"hunter2"}"#),
            "range" => call.reply_with(404, json, r#"{"error":"none"}"#),
            "bad-range" => call.reply_with(404, json, r#"{"hunter2":1}"#),
            "added" | "/strict/added" => call.reply_with(201, json, "[]"),
            "gzip" => call.reply_with(200, &format!("{json}Content-Encoding: gzip\r\n"), "hunter2"),
            "part" => call.reply_with(206, json, r#"{"id":"#),
            "file" => call.reply_with(200, "Content-Type: application/octet-stream\r\n", "x".repeat(3000)),
            "long" => call.reply_with(200, json, format!(r#"{{"id":1,"pad":"{}"}}"#, "x".repeat(1000))),
            "none" => {
                call.body();
                call.send("HTTP/1.1 204 No Content\r\n\r\n");
            }
            "same" => {
                call.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
            }
            "chunks" => chunks(call, &[r#"{"id""#, ":1}"]),
            "bad-chunks" => chunks(call, &[r#"{"id""#, ":\"hunter2\"}"]),
            "close" => {
                call.send(format!("HTTP/1.1 200 OK\r\n{json}\r\n{{\"id\":1}}"));
                call.close();
            }
            "cut" => {
                call.send(format!("HTTP/1.1 200 OK\r\n{json}Content-Length: 100\r\n\r\n{{\"id\":1"));
                call.close();
            }
            _ => call.reply_with(200, &format!("{json}X-Count: 7\r\n"), r#"{"id":1}"#),
        }
    })
}

fn chunks(call: &mut Call, chunks: &[&str]) {
    call.begin_chunked("Content-Type: application/json\r\nTrailer: X-Sum\r\n");
    for chunk in chunks {
        call.chunk(chunk);
    }
    call.send("0\r\nX-Sum: 1\r\n\r\n");
}

/// What the log says of the last of so many requests: how much is wrong, and what first.
fn logged(gate: &Gateway, count: usize) -> (u64, String) {
    let line: Value = gate.log(count).pop().unwrap();
    let first = line["first_violations"].as_str().unwrap_or_default();
    (line["violations"].as_u64().unwrap_or_default(), first.to_owned())
}

/// Answers are counted when their exchange ends, which their client does not wait for.
#[track_caller]
fn expect_counted(gate: &Gateway, labels: &[(&str, &str)], count: usize) {
    let counted = || gate.metrics().sum("tollgate_reviewed_answers_total", labels) as usize;
    eventually(&format!("{count} of {labels:?} are counted"), || counted() == count);
}

#[track_caller]
fn expect_result(gate: &Gateway, route: &str, result: &str, count: usize) {
    let route = format!("/{route}/{{rest...}}");
    expect_counted(gate, &[("route", &route), ("result", result)], count);
}

/// What is asked for, what is wrong with the answer, and what of it is sent when it is not held back.
const WRONG: [(&str, u16, &str); 7] = [
    ("bad", 200, "body /id: must be an integer"),
    ("no-json", 200, "body: is not JSON"),
    ("empty", 200, "body: is not JSON"),
    ("header", 200, "header X-Count: must be an integer"),
    ("type", 200, "body: is of another type than application/json, text/event-stream"),
    ("status", 500, "body: status 500 is not among those that the contract lists"),
    ("bad-range", 404, "body /error: is missing"),
];

const RIGHT: [(&str, u16, &str); 8] = [
    ("good", 200, r#"{"id":1}"#),
    ("range", 404, r#"{"error":"none"}"#),
    ("added", 201, "[]"),
    ("none", 204, ""),
    ("same", 304, ""),
    ("chunks", 200, r#"{"id":1}"#),
    ("close", 200, r#"{"id":1}"#),
    ("good&x=1", 200, r#"{"id":1}"#),
];

#[test]
fn answers_as_described_pass_and_others_are_logged_or_replaced() {
    let back = service();
    let (gate, _folder) = gate_to(&back);
    let mut count = 0;
    for (case, status, body) in RIGHT {
        for how in ["log", "block"] {
            gate.get(&format!("/{how}/user?{case}")).expect(status).expect_body(body);
            count += 1;
            assert_eq!(logged(&gate, count), (0, String::new()), "{how} {case}");
        }
    }
    for (case, status, what) in WRONG {
        let answer = gate.get(&format!("/log/user?{case}")).expect(status);
        assert!(case == "empty" || format!("{answer:?}").contains("hunter2"), "{case}");
        count += 1;
        let (violations, first) = logged(&gate, count);
        assert_eq!(violations, 1, "{case}");
        assert!(first.starts_with(what), "{case}: {first}");

        let answer = gate.get(&format!("/block/user?{case}")).expect(502);
        answer.expect_refusal("response_invalid");
        assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
        count += 1;
        let line = gate.log(count).pop().unwrap();
        assert!(!line.to_string().contains("hunter2"), "{line}");
        assert_eq!(line["code"], "response_invalid");
        assert!(line["first_violations"].as_str().unwrap().starts_with(what), "{line}");
    }
    // 304 is no answer of its own.
    for (how, wrong) in [("log", "invalid"), ("block", "blocked")] {
        expect_result(&gate, how, "valid", RIGHT.len() - 1);
        expect_result(&gate, how, wrong, WRONG.len());
    }
}

#[test]
fn what_cannot_be_looked_at_passes_uncounted_as_right_or_is_held_back() {
    let back = service();
    let (gate, _folder) = gate_to(&back);
    gate.get("/log/user?gzip").expect(200).expect_body("hunter2");
    expect_result(&gate, "log", "encoded", 1);
    assert!(gate.get("/log/user?long").expect(200).body.len() > 1000);
    expect_result(&gate, "log", "long", 1);
    assert!(gate.ask("GET", "/log/user?cut").try_send().is_err());
    expect_result(&gate, "log", "broken", 1);
    gate.get("/log/user?part").expect(206);
    assert_eq!(logged(&gate, 4).1, "body: status 206 is not among those that the contract lists");

    gate.get("/block/user?gzip").expect(502).expect_refusal("response_invalid");
    assert_eq!(logged(&gate, 5), (1, "body: is encoded, and cannot be looked at".to_owned()));
    gate.get("/block/user?long").expect(502).expect_refusal("response_too_large");
    gate.get("/block/user?cut").expect(502).expect_refusal("upstream_truncated");
    for result in ["long", "broken"] {
        expect_result(&gate, "block", result, 1);
    }
    // Of what is in files nothing is said, so they are not held.
    assert_eq!(gate.get("/block/user?file").expect(200).body.len(), 3000);
    // A service that could compress is asked not to.
    let asked = gate.ask("GET", "/block/user?good").header("Accept-Encoding", "gzip").send().expect(200);
    assert_eq!(asked.header("Content-Encoding"), None);
    assert_eq!(back.requests().pop().unwrap().header("Accept-Encoding"), Some("identity"));
    gate.ask("GET", "/log/user?good").header("Accept-Encoding", "gzip").send().expect(200);
    assert_eq!(back.requests().pop().unwrap().header("Accept-Encoding"), Some("gzip"));
    // What the operation does not speak of is held back where that is asked for.
    gate.get("/strict/added").expect(502).expect_refusal("response_invalid");
    gate.get("/strict/user").expect(200);
}

#[test]
fn answers_to_head_are_judged_without_a_body() {
    let back = service();
    let (gate, _folder) = gate_to(&back);
    let answer = gate.ask("HEAD", "/block/user?good").send().expect(200);
    assert_eq!(answer.header("Content-Length"), Some("8"));
    gate.ask("HEAD", "/block/user?bad").send().expect(200);
    gate.ask("HEAD", "/block/user?header").send().expect(502);
    gate.ask("HEAD", "/block/user?status").send().expect(502);
}

#[test]
fn an_answer_that_is_held_back_does_no_harm_to_the_connections() {
    let back = service();
    let (gate, _folder) = gate_to(&back);
    // The client's: after a body that was held, and with the next request already sent.
    let body = |case: &str| {
        format!(
            "POST /block/user?{case} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody"
        )
    };
    let mut wire = gate.send(body("bad-range") + &body("good") + &body("bad") + &body("good"));
    for status in [502, 200, 200, 200] {
        let answer = wire.answer().expect(status);
        assert!(!answer.closes());
    }
    // The service's: an answer that has been read whole leaves it as it was.
    let before = back.connections();
    for _ in 0..3 {
        gate.get("/block/user?bad").expect(502);
        gate.get("/block/user?good").expect(200);
    }
    assert_eq!(back.connections(), before);
}

#[test]
fn answers_that_are_only_looked_at_are_passed_on_as_they_come() {
    let received = Signal::new();
    let next = received.clone();
    let back = backend(move |call| {
        call.begin_chunked("Content-Type: application/json\r\n");
        call.chunk(r#"{"id":"#);
        next.wait();
        call.chunk("\"x\"}");
        call.end_chunked();
    });
    let (gate, _folder) = gate_to(&back);
    let mut wire = gate.send("GET /log/user HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    wire.take_until(br#"{"id":"#).unwrap();
    received.raise();
    wire.take_until(b"0\r\n\r\n").unwrap();
    assert_eq!(logged(&gate, 1), (1, "body /id: must be an integer".to_owned()));
}

#[test]
fn streams_of_events_are_never_held() {
    let received = Signal::new();
    let next = received.clone();
    let back = backend(move |call| {
        call.begin_chunked("Content-Type: text/event-stream\r\n");
        call.chunk("data: one\n\n");
        next.wait();
        call.end_chunked();
    });
    let (gate, _folder) = gate_to(&back);
    let mut wire = gate.send("GET /block/user HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    wire.take_until(b"data: one\n\n").unwrap();
    received.raise();
    wire.take_until(b"0\r\n\r\n").unwrap();
    expect_result(&gate, "block", "valid", 1);
}

#[test]
fn a_client_that_leaves_while_its_answer_is_held_ends_the_call() {
    let (begun, ended) = (Signal::new(), Signal::new());
    let (tell_begun, tell_ended) = (begun.clone(), ended.clone());
    let back = backend(move |call| {
        call.begin_chunked("Content-Type: application/json\r\n");
        call.chunk(r#"{"id":"#);
        tell_begun.raise();
        assert_ne!(call.wait_end(), Ending::Silent);
        tell_ended.raise();
    });
    let (gate, _folder) = gate_to(&back);
    let wire = gate.send("GET /block/user HTTP/1.1\r\nHost: a\r\n\r\n");
    begun.wait();
    wire.reset();
    ended.wait();
    assert_eq!(gate.log(1)[0]["code"], "client_gone");
}

#[test]
fn a_request_that_is_still_on_its_way_does_not_block_the_answer_that_is_held() {
    let back = backend(move |call| {
        // The answer begins first, and ends when the request has.
        call.begin_chunked("Content-Type: application/json\r\n");
        call.chunk(r#"{"id":"#);
        call.body();
        call.chunk("1}");
        call.end_chunked();
    });
    let (gate, _folder) = gate_to(&back);
    let long = "x".repeat(500_000);
    let unread = gate.ask("POST", "/block/user").header("Content-Type", "text/plain").body(long).send();
    unread.expect(413).expect_refusal("body_too_large");
    let short =
        gate.ask("POST", "/block/user").header("Content-Type", "text/plain").body("x".repeat(900)).send();
    short.expect(200).expect_body(r#"{"id":1}"#);
}

#[test]
fn answers_over_http2_are_judged_as_others() {
    let back = service();
    let (gate, _folder) = gate_to(&back);
    let mut client = Http2::connect(gate.address(), &[]);
    for (case, status, body) in [("good", 200, r#"{"id":1}"#), ("none", 204, "")] {
        for how in ["log", "block"] {
            let outcome = client.ask(&get(&format!("/{how}/user?{case}")));
            assert_eq!((outcome.status(), outcome.body), (Some(status), body.into()), "{how} {case}");
        }
    }
    // A head and trailers; those of an answer that was held are gone.
    for (target, body, heads) in [
        ("/log/user?chunks", r#"{"id":1}"#, 2),
        ("/block/user?chunks", r#"{"id":1}"#, 1),
        ("/log/user?bad-chunks", r#"{"id":"hunter2"}"#, 2),
    ] {
        let outcome = client.ask(&get(target));
        assert_eq!((outcome.heads.len(), outcome.body), (heads, body.into()), "{target}");
    }
    for case in ["bad-chunks", "type", "gzip"] {
        let outcome = client.ask(&get(&format!("/block/user?{case}")));
        assert_eq!(outcome.code(), "response_invalid", "{case}");
        assert!(!String::from_utf8_lossy(&outcome.body).contains("hunter2"));
    }
    assert_eq!(client.ask(&get("/block/user?long")).code(), "response_too_large");
    assert_eq!(client.ask(&get("/block/user?cut")).code(), "upstream_truncated");
}

#[test]
fn answers_of_services_that_speak_http2_are_judged_as_others() {
    let back = raw_backend(|socket| {
        let mut service = Http2Service::accept(socket, &[]);
        let bodies = [r#"{"id":1}"#, r#"{"id":"hunter2"}"#, "", r#"{"id":1}"#];
        for body in bodies {
            let Some(stream) = service.request() else { return };
            let head = pack(&[(":status", "200"), ("content-type", "application/json")]);
            service.send_frame(kind::HEADERS, END_HEADERS, stream, &head);
            for part in [&body[..body.len() / 2], &body[body.len() / 2..]] {
                service.send_frame(kind::DATA, 0, stream, part.as_bytes());
            }
            let trailers = pack(&[("x-sum", "1")]);
            service.send_frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &trailers);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users.yaml"), CONTRACT).unwrap();
    let text = "
services: { back: { endpoints: [<back>], protocol: http2 } }
routes:
  - { match: '/{rest...}', to: back, access: public, validate: { openapi: <files>/users.yaml, response: block } }
";
    let text = fill(text, &[("files", &folder.path().display())]);
    let gate = gateway_with(&text, &[("back", &back)]);
    let answer = gate.get("/user").expect(200).expect_body(r#"{"id":1}"#);
    assert_eq!(answer.header("Content-Length"), Some("8"));
    let answer = gate.get("/user").expect(502);
    answer.expect_refusal("response_invalid");
    assert!(!answer.text().contains("hunter2"));
    gate.get("/user").expect(502).expect_refusal("response_invalid");
    let outcome = Http2::connect(gate.address(), &[]).ask(&get("/user"));
    assert_eq!((outcome.status(), outcome.body), (Some(200), br#"{"id":1}"#.to_vec()));
    assert_eq!(back.connections(), 1);
}

#[test]
fn answers_of_the_gateway_are_nobodys_to_judge_and_a_retried_one_is_judged_once() {
    let back = backend(|call| match call.seen.connection {
        _ if call.target().ends_with("bad") => call.reply(503, "busy"),
        _ => call.reply_with(200, "Content-Type: application/json\r\n", r#"{"id":1}"#),
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users.yaml"), CONTRACT).unwrap();
    let text = "
services:
  back: <back>
  down: { endpoints: [ http://127.0.0.1:1 ], fallback: { respond: { status: 503, body: later } } }
defaults: { access: public, validate: { openapi: <files>/users.yaml, response: block } }
routes:
  - { match: '/user', to: back, retry: { attempts: 2, on: [503], backoff: 1ms } }
  - { match: '/down/{rest...}', to: down, validate: { openapi: <files>/users.yaml, response: block, base: /down } }
  - { match: '/fixed/{rest...}', respond: { status: 418, body: tea }, validate: { openapi: <files>/users.yaml, response: block, base: /fixed } }
";
    let text = fill(text, &[("files", &folder.path().display())]);
    let gate = gateway_with(&text, &[("back", &back)]);
    gate.get("/down/user").expect(503).expect_body("later");
    gate.get("/fixed/user").expect(418).expect_body("tea");
    gate.get("/fixed/none").expect(404).expect_refusal("operation_unknown");
    gate.get("/user?bad").expect(502).expect_refusal("response_invalid");
    gate.get("/user?good").expect(200);
    expect_counted(&gate, &[("result", "valid")], 1);
    expect_counted(&gate, &[("result", "blocked")], 1);
    expect_counted(&gate, &[], 2);
    assert!(back.requests().len() > 2, "it was tried again");
}
