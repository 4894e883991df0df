//! What is left of a request: a line in the access log, and numbers in `/metrics`.

use std::fs;

use serde_json::Value;
use tollgate_tests::{backend, eventually, front, front_with, gateway, gateway_with, hello};

#[test]
fn a_request_leaves_one_line_of_json_that_says_all() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes: [{ match: 'POST /users/{id}', name: edit, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let answer =
        gate.ask("POST", "/users/7?a=b").host("shop.test").header("User-Agent", "scene").body("12345").send();
    answer.clone().expect(200);
    let lines = gate.log(1);
    let line = &lines[0];
    let expected = [
        ("method", "POST"),
        ("path", "/users/7"),
        ("host", "shop.test"),
        ("client_ip", "127.0.0.1"),
        ("route", "edit"),
        ("service", "users"),
        ("request_id", answer.header("X-Request-Id").unwrap()),
    ];
    for (member, value) in expected {
        assert_eq!(line[member], value, "{member} in {line}");
    }
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(line["bytes_in"], 5, "{line}");
    assert_eq!(line["bytes_out"], 5, "{line}");
    assert!(line["endpoint"].as_str().unwrap().contains(&users.authority()), "{line}");
    assert!(line["time"].is_string() && !line["code"].is_string(), "{line}");
}

#[test]
fn a_refusal_s_code_stands_in_the_log_and_in_the_metrics() {
    let gate = gateway("routes: [{ match: /x, respond: 204, access: public }]");
    gate.get("/nowhere").expect(404);
    let lines = gate.log(1);
    assert_eq!(lines[0]["code"], "no_route");
    assert_eq!(lines[0]["stage"], "route");
    assert_eq!(lines[0]["status"], 404);
    assert!(gate.metrics().sum("tollgate_refusals_total", &[("code", "no_route")]) >= 1.0);
}

#[test]
fn what_a_request_waits_for_a_limit_is_not_taken_for_time_of_the_service() {
    let users = hello();
    for policy in [
        "throttle: { limit: 1/h, burst: 1, delay: 200ms }",
        "rate_limit: { limit: 2/s, algorithm: leaky_bucket, queue: 5 }",
    ] {
        let gate = front_with(&users, &format!("defaults: {{ {policy} }}"));
        let send = || gate.send(gate.ask("GET", "/x").bytes());
        for mut wire in [send(), send()] {
            wire.answer().expect(200);
        }
        let lines = gate.log(2);
        let time = |line: &Value, member: &str| line[member].as_f64().unwrap_or_default();
        assert_eq!(lines.iter().filter(|line| line.get("wait_ms").is_none()).count(), 1, "{lines:?}");
        assert!(lines.iter().any(|line| time(line, "wait_ms") > 50.0), "{lines:?}");
        for line in &lines {
            let parts: f64 =
                ["wait_ms", "connect_ms", "upstream_ms"].iter().map(|part| time(line, part)).sum();
            assert!(line["connect_ms"].is_f64() && parts <= time(line, "first_byte_ms") + 0.01, "{line}");
        }
    }
}

#[test]
fn a_malformed_request_is_logged_and_counted_too() {
    let gate = gateway("routes: [{ match: /x, respond: 204, access: public }]");
    gate.send("GET /x HTTP/1.1\r\n\r\n").answer().expect(400);
    assert_eq!(gate.log(1)[0]["code"], "host_missing");
    assert!(gate.metrics().sum("tollgate_refusals_total", &[("code", "host_missing")]) >= 1.0);
}

#[test]
fn nothing_that_a_client_sends_breaks_the_line() {
    let users = hello();
    let gate = front(&users);
    let evil = "q\"uo\\te</script>\u{7f}\u{e9}";
    let mut wire = gate.send(format!(
        "GET /a\"b%0Ac?x=\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: {evil}\r\nReferer: {evil}\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    ));
    wire.answer();
    gate.get("/next").expect(200);
    let lines = gate.log(2);
    assert!(lines.iter().all(|line| line["status"].is_u64()), "{lines:?}");
}

#[test]
fn a_client_that_leaves_is_in_the_log() {
    let users = backend(|call| {
        call.wait_end();
    });
    let gate = front(&users);
    let wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    users.request(0);
    drop(wire);
    let lines = gate.log(1);
    assert_eq!(lines[0]["code"], "client_gone");
    assert_eq!(lines[0]["status"], 499);
}

#[test]
fn the_common_format_is_the_one_that_every_tool_reads() {
    let users = hello();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("common.log");
    let gate = front_with(&users, &format!("logs: {{ access: {}, format: common }}", log.display()));
    gate.get("/x?a=b").expect(200);
    let mut line = String::new();
    eventually("a line is written", || {
        line = fs::read_to_string(&log).unwrap_or_default();
        line.ends_with('\n')
    });
    // 127.0.0.1 - - [21/Nov/2026:07:18:18 +0000] "GET /x?a=b HTTP/1.1" 200 5
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let date = line.split(['[', ']']).nth(1).unwrap();
    assert_eq!(date.len(), "21/Nov/2026:07:18:18 +0000".len(), "{line}");
    let request = line.split('"').nth(1).unwrap();
    assert!(request.starts_with("GET /x") && request.ends_with(" HTTP/1.1"), "{line}");
    assert!(line.trim_end().ends_with("\" 200 5"), "{line}");
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew_on_a_hang_up() {
    let users = hello();
    let gate = front(&users);
    gate.get("/before").expect(200);
    assert_eq!(gate.log(1)[0]["path"], "/before");
    let moved = gate.folder().join("access.log.1");
    fs::rename(gate.log_file(), &moved).unwrap();
    gate.hang_up();
    eventually("the log is opened anew", || gate.log_file().exists());
    gate.get("/after").expect(200);
    assert_eq!(gate.log(1)[0]["path"], "/after");
    assert!(!fs::read_to_string(moved).unwrap().contains("/after"));
}

#[test]
fn a_log_may_be_off_or_go_to_stdout() {
    let gate = gateway("logs: off\nroutes: [{ match: /x, respond: 204, access: public }]");
    gate.get("/x").expect(204);
    assert!(!gate.log_file().exists());

    let gate = gateway("logs: stdout\nroutes: [{ match: /x, respond: 204, access: public }]");
    gate.get("/x").expect(204);
    eventually("the line is on stdout", || {
        let out = fs::read_to_string(gate.folder().join("stdout")).unwrap_or_default();
        out.contains("\"/x\"")
    });
}

#[test]
fn a_sampled_log_keeps_the_refusals() {
    let gate = gateway(
        "
        logs: { access: stdout, sample: { '2xx': 0% } }
        routes: [{ match: /x, respond: 204, access: public }]
        ",
    );
    gate.get("/x").expect(204);
    gate.get("/nowhere").expect(404);
    let out = || fs::read_to_string(gate.folder().join("stdout")).unwrap_or_default();
    eventually("the refusal is logged", || out().contains("no_route"));
    assert!(!out().contains("\"/x\""), "{}", out());
}

#[test]
fn a_log_that_cannot_be_written_loses_lines_and_counts_them_but_no_request() {
    let users = hello();
    let gate = front_with(&users, "logs: { access: /dev/full, format: json }");
    for _ in 0..50 {
        gate.get("/x").expect(200);
    }
    eventually("the loss is counted", || gate.metrics().sum("tollgate_log_dropped_total", &[]) > 0.0);
}

#[test]
fn the_metrics_count_requests_by_route_and_status() {
    let users = backend(|call| {
        let status = call.target()[1..].parse().unwrap();
        call.reply(status, "hello");
    });
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes: [{ match: '/{code}', name: any, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    for (status, times) in [(200, 3), (404, 2), (500, 1)] {
        for _ in 0..times {
            gate.get(&format!("/{status}")).expect(status);
        }
    }
    let mut metrics = gate.metrics();
    for (class, times) in [("2xx", 3.0), ("4xx", 2.0), ("5xx", 1.0)] {
        // An exchange is counted after its answer has gone.
        eventually(&format!("{class} is counted {times} times"), || {
            metrics = gate.metrics();
            let count = metrics.sum("tollgate_requests_total", &[("route", "any"), ("status", class)]);
            (count - times).abs() < 0.5
        });
    }
    assert!(metrics.names().iter().any(|name| name.ends_with("_bucket")), "{:?}", metrics.names());
}

#[test]
fn connections_and_the_pool_are_counted_while_they_live() {
    let users = hello();
    let gate = front(&users);
    let open = || gate.metrics().sum("tollgate_connections_open", &[]);
    let before = open();
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200);
    eventually("the connection is counted", || (open() - before - 1.0).abs() < 0.5);
    drop(wire);
    eventually("its end is counted", || (open() - before).abs() < 0.5);
}

#[test]
fn made_up_routes_do_not_fill_the_metrics() {
    let gate = gateway("routes: [{ match: /x, respond: 204, access: public }]");
    let size = || gate.admin_get("/metrics").expect(200).body.len();
    gate.get("/nowhere").expect(404);
    gate.ask("MADE", "/x").send();
    // Both series must be there before their size is taken.
    eventually("both requests are counted", || gate.metrics().sum("tollgate_requests_total", &[]) >= 2.0);
    let before = size();
    for number in 0..100 {
        gate.ask("GET", &format!("/made-up-{number}")).host(&format!("h{number}.test")).send().expect(404);
        gate.ask(&format!("MADE{number}"), "/x").send().expect(204);
    }
    assert!(size() < before + 2000, "from {before} to {} bytes", size());
}

#[test]
fn the_admin_listener_is_not_reached_through_the_routes_nor_the_other_way() {
    let gate = gateway("routes: [{ match: /x, respond: 204, access: public }]");
    gate.get("/metrics").expect(404);
    gate.admin_get("/x").expect(404);
}

#[test]
fn a_refused_head_is_logged_with_all_that_can_be_told_of_it() {
    let gate = gateway(
        "
        listeners: [{ address: '127.0.0.1:0', trust_forwarded: { from: [127.0.0.0/8] } }]
        routes: [{ match: /x, respond: 204, access: public }]
        ",
    );
    let head = "PUT /a/..%2Fb?c=d HTTP/1.0\r\nHost: a\r\n\r\n";
    gate.send(head).answer().expect(400).expect_refusal("target_dot_segment");
    let head =
        "PUT /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nUser-Agent: scene\r\nHost: b\r\n\r\n";
    gate.send(head).answer().expect(400).expect_refusal("host_repeated");
    gate.send("\u{1}\u{2}\r\n\r\n").answer().expect(400).expect_refusal("not_http");
    let lines = gate.log(3);
    for (line, member, value) in [
        (0, "method", "PUT"),
        (0, "path", "/a/..%2Fb"),
        (0, "query", "c=d"),
        (0, "protocol", "HTTP/1.0"),
        (1, "client_ip", "203.0.113.9"),
        (1, "user_agent", "scene"),
        (2, "method", "-"),
    ] {
        assert_eq!(lines[line][member], value, "{member} in {}", lines[line]);
    }
    assert_eq!(gate.send("HEAD /x HTTP/1.1\r\n\r\n").answer_to("HEAD").expect(400).body, b"");
}

#[test]
fn the_gateway_s_own_time_holds_no_waiting() {
    let users = backend(|call| match call.target() {
        "/slow" => {
            // The wait is part of the scene.
            std::thread::sleep(std::time::Duration::from_millis(300));
            call.reply(200, "late");
        }
        _ => {
            call.wait_end();
        }
    });
    let gate = front_with(&users, "defaults: { timeout: { first_byte: 600ms } }");
    gate.get("/slow").expect(200);
    gate.get("/never").expect(504);
    gate.log(2);
    let metrics = gate.metrics();
    let sum = |name: &str| metrics.sum(&format!("tollgate_{name}_duration_seconds_sum"), &[]);
    assert!(sum("request") >= 0.9, "{}", sum("request"));
    assert!(sum("gateway") < sum("request") / 2.0, "{} of {}", sum("gateway"), sum("request"));
}

#[test]
fn a_body_that_stops_coming_is_counted_as_a_slow_client_s() {
    let users = backend(|call| {
        call.wait_end();
    });
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', limits: { body_timeout: 100ms } }]
        services: { users: <users> }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").answer().expect(408);
    assert!(gate.metrics().sum("tollgate_parse_refusals_total", &[("code", "body_timeout")]) >= 1.0);
}
