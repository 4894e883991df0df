//! How the gateway says that it stands: `/status`, and `tollgate top` as text and on a real terminal.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tollgate_tests::{
    Ask, Backend, Gateway, Sent, Signal, Terminal, backend, binary, eventually, gateway_with, load, named,
    terminal, tollgate,
};

/// Two services: one whose endpoints are put out and asked how they are, one with a breaker.
fn gate(users: &[&Backend], orders: &Backend, lines: &str) -> Gateway {
    let endpoints = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    gateway_with(
        "
        <lines>
        services:
          users: { endpoints: [<users>], eject: { errors: 1, for: 1h }, retry: { attempts: 1 } }
          orders: { endpoints: [<orders>], balance: ewma, breaker: { failures: 1, open_for: 1h }, retry: off }
          asked: { endpoints: [<users>], health: { check: tcp, every: 50ms, unhealthy_after: 1 } }
        routes:
          - { match: '/users/{rest...}', to: users, access: public }
          - { match: '/orders', to: orders, access: public }
          - { match: '/hello', respond: 204, access: public }
        ",
        &[("users", &endpoints), ("orders", orders), ("lines", &lines)],
    )
}

fn status(gate: &Gateway) -> Value {
    gate.admin_get("/status").expect(200).expect_header("Content-Type", "application/json").json()
}

fn member<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|one| one[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

fn endpoint<'v>(status: &'v Value, service: &str, url: &impl ToString) -> &'v Value {
    member(&member(&status["services"], "name", service)["endpoints"], "url", &url.to_string())
}

/// `tollgate top --once` for this gateway, with these arguments beside it.
fn once(gate: &Gateway, arguments: &[&str]) -> Output {
    let admin = gate.admin().to_string();
    tollgate(&[&["top", "--once", "--every", "100ms", "--admin", &admin], arguments].concat())
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The line of the text that begins so, its blanks made one.
#[track_caller]
fn line(text: &str, begins: &str) -> String {
    let found = text.lines().find(|line| line.trim_start().starts_with(begins));
    let found = found.unwrap_or_else(|| panic!("no line {begins:?} in\n{text}"));
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_status_tells_routes_services_endpoints_and_breakers() {
    let (gone, good, orders) = (named("gone"), named("good"), backend(|call| call.reply(502, "ill")));
    let gate = gate(&[&gone, &good], &orders, "");
    let before = status(&gate);
    assert_eq!(
        (&before["generation"], &before["workers"], &before["draining"]),
        (&1.into(), &1.into(), &false.into())
    );
    assert_eq!(before["pid"], gate.pid());
    assert_eq!(before["routes"], Value::Array(Vec::new()), "none was asked");
    for service in ["users", "asked"] {
        assert_eq!(endpoint(&before, service, &gone)["state"], "up");
        assert_eq!(endpoint(&before, service, &gone)["requests"]["total"], 0);
    }
    assert_eq!(member(&before["services"], "name", "orders")["breaker"]["state"], "closed");
    assert_eq!(member(&before["services"], "name", "users")["breaker"], Value::Null);

    gone.stop();
    for _ in 0..10 {
        gate.get("/users/1").expect(200).expect_body("good");
    }
    gate.get("/orders").expect(502);
    gate.get("/orders").expect(503).expect_refusal("breaker_open");
    gate.get("/hello").expect(204);
    gate.get("/nowhere").expect(404);
    eventually("the check that fails", || endpoint(&status(&gate), "asked", &gone)["state"] == "down");
    eventually("every request to be counted", || status(&gate)["requests"]["total"] == 14);
    let now = status(&gate);
    let (lost, kept) = (endpoint(&now, "users", &gone), endpoint(&now, "users", &good));
    assert_eq!(
        (&lost["state"], &lost["ejections"], &lost["checked"]),
        (&"out".into(), &1.into(), &false.into())
    );
    let left = lost["out_for_seconds"].as_f64().unwrap();
    assert!(left > 3000.0 && left <= 3600.0, "{left}");
    assert!(lost["connect_failures"].as_u64().unwrap() >= 1, "{lost:#}");
    assert_eq!((&kept["state"], &kept["requests"]["2xx"]), (&"up".into(), &10.into()));
    assert_eq!(kept["first_byte_seconds"]["count"], 10);
    assert_eq!(kept["first_byte_seconds"]["buckets"][15], serde_json::json!([60.0, 10]));
    assert_eq!((&kept["pool"]["opened"], &kept["pool"]["reused"]), (&1.into(), &9.into()));
    let users = member(&now["services"], "name", "users");
    assert_eq!(
        (&users["balance"], &users["requests"]["2xx"], &users["retries"]),
        (&"round_robin".into(), &10.into(), &1.into())
    );
    let orders = member(&now["services"], "name", "orders");
    assert_eq!(orders["balance"], "ewma");
    assert_eq!(orders["breaker"], serde_json::json!({ "state": "open", "opened": 1, "closed": 0 }));
    assert_eq!(endpoint(&now, "asked", &gone)["checked"], true);
    let route = member(&now["routes"], "name", "/orders");
    assert_eq!((&route["services"][0], &route["requests"]["5xx"]), (&"orders".into(), &2.into()));
    assert_eq!(route["refusals"]["breaker_open"], 1);
    assert_eq!(member(&now["routes"], "name", "/hello")["services"], Value::Array(Vec::new()));
    assert_eq!(member(&now["routes"], "name", "")["refusals"]["no_route"], 1);
    assert_eq!((&now["requests"]["total"], &now["requests"]["2xx"]), (&14.into(), &11.into()));
}

#[test]
fn the_status_outlives_a_reload_and_is_told_while_the_gateway_drains() {
    let held = Signal::new();
    let (asked, release) = (Signal::new(), held.clone());
    let seen = asked.clone();
    let slow = backend(move |call| {
        seen.raise();
        release.wait();
        call.reply(200, "late");
    });
    let orders = named("orders");
    let gate = gate(&[&slow], &orders, "drain: 30s");
    gate.get("/orders").expect(200);
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    gate.expect_reload(|| gate.replace_config(&config.replace("/hello", "/bye")));
    let now = status(&gate);
    assert_eq!(now["generation"], 2);
    assert_eq!(member(&now["routes"], "name", "/orders")["requests"]["2xx"], 1);
    let address = gate.address();
    let client = std::thread::spawn(move || Ask::new(address, "GET", "/users/1").send());
    asked.wait();
    gate.terminate();
    eventually("the drain", || status(&gate)["draining"] == true);
    assert_eq!(member(&status(&gate)["services"], "name", "users")["endpoints"][0]["url"], slow.to_string());
    held.raise();
    client.join().unwrap().expect(200);
}

#[test]
fn top_prints_services_endpoints_states_and_rates() {
    let (gone, good, orders) = (named("gone"), named("good"), backend(|call| call.reply(502, "ill")));
    let gate = gate(&[&gone, &good], &orders, "");
    let calm = out(&once(&gate, &[]));
    assert!(calm.starts_with(&format!("tollgate 0.1.0 at http://{}, up ", gate.admin())), "{calm}");
    assert!(calm.contains("generation 1, 1 worker\n"), "{calm}");
    assert_eq!(line(&calm, &gone.to_string()), format!("{gone} up 1 0 0 - - 0 0"));
    assert_eq!(line(&calm, "orders"), "orders closed 0 0 - - 0 0");
    gone.stop();
    for _ in 0..4 {
        gate.get("/users/1").expect(200);
    }
    gate.get("/orders").expect(502);
    eventually("the check that fails", || endpoint(&status(&gate), "asked", &gone)["state"] == "down");
    let clients = load(gate.address(), 2, "/users/1");
    clients.expect_more(50);
    let mut text = String::new();
    eventually("traffic between two readings", || {
        text = out(&once(&gate, &[]));
        !line(&text, "/users/").contains(" 0 0 0 ")
    });
    clients.stop();
    let users = text.split("\nusers ").nth(1).unwrap();
    assert!(line(users, &gone.to_string()).starts_with(&format!("{gone} out ")), "{text}");
    assert!(line(users, &good.to_string()).starts_with(&format!("{good} up 1 ")), "{text}");
    assert!(line(&text, &gone.to_string()).starts_with(&format!("{gone} down ")), "{text}");
    assert!(line(&text, "orders").starts_with("orders breaker open"), "{text}");
    let rate: f64 = line(&text, "/users/").split(' ').nth(2).unwrap().parse().unwrap();
    assert!(rate > 0.0, "{text}");
    assert!(line(&text, "/users/").contains("ms"), "{text}");
}

#[test]
fn top_says_what_it_needs() {
    let users = named("users");
    let gate = gate(&[&users], &users, "admin: { address: '127.0.0.1:0', token: s3cret }");
    let missing = refused(&once(&gate, &[]));
    assert!(
        missing.contains("wants the admin token") && missing.contains("TOLLGATE_ADMIN_TOKEN"),
        "{missing}"
    );
    let wrong = refused(&once(&gate, &["--token", "wrong"]));
    assert!(wrong.contains("does not take this admin token"), "{wrong}");
    assert!(out(&once(&gate, &["--token", "s3cret"])).contains(&users.to_string()));
    assert!(out(&once(&gate, &[&gate.config_file().display().to_string()])).contains(&users.to_string()));
    // Without a terminal it prints as well.
    let admin = gate.admin().to_string();
    let mut piped = Command::new(binary());
    piped.args(["top", "--every", "100ms", "--admin", &admin]).env("TOLLGATE_ADMIN_TOKEN", "s3cret");
    assert!(out(&piped.stdin(Stdio::null()).output().unwrap()).contains(&users.to_string()));
    let elsewhere = refused(&tollgate(&["top", "--once", "--admin", &gate.address().to_string()]));
    assert!(elsewhere.contains("not the admin listener"), "{elsewhere}");
    users.stop();
    let nobody = refused(&tollgate(&["top", "--once", "--admin", &users.to_string()]));
    assert!(nobody.contains(&format!("cannot reach {users}: Connection refused")), "{nobody}");
}

fn watch(gate: &Gateway, size: (u16, u16), environment: &[(&str, &str)]) -> Terminal {
    terminal(size, &["top", "--every", "100ms", "--admin", &gate.admin().to_string()], environment)
}

#[test]
fn top_takes_keys_and_sizes_and_leaves_the_terminal_as_it_was() {
    let (users, orders) = (named("users"), named("orders"));
    let gate = gate(&[&users], &orders, "");
    let mut screen = watch(&gate, (80, 24), &[]);
    screen.expect("service by name");
    screen.expect(&users.authority());
    assert!(screen.is_full_screen() && !screen.is_usual() && !screen.has_cursor() && screen.is_colored());
    gate.get("/users/1").expect(200);
    screen.expect("/users/{rest...}");
    screen.keys("?");
    screen.expect("keys and words");
    screen.keys("x");
    screen.expect_gone("keys and words");
    screen.keys("/orders\r");
    screen.expect("only names with \"orders\"");
    screen.expect_gone(&users.authority());
    screen.expect(&orders.authority());
    screen.keys("\u{1b}");
    screen.expect(&users.authority());
    screen.keys("ro");
    screen.expect("route by errors");
    screen.keys("p");
    screen.expect("PAUSED");
    screen.resize((30, 5));
    screen.expect("needs 40 x 10");
    screen.resize((120, 40));
    screen.expect("idle");
    screen.keys("q");
    assert!(screen.expect_exit().success());
    assert!(screen.is_usual());
    eventually("the screen of before", || !screen.is_full_screen() && screen.has_cursor());
}

#[test]
fn top_waits_for_a_gateway_that_does_not_answer_and_ends_by_a_signal() {
    let users = named("users");
    let mut gate = gate(&[&users], &users, "");
    let mut screen = watch(&gate, (80, 24), &[("NO_COLOR", "1")]);
    screen.expect(&users.authority());
    assert!(!screen.is_colored());
    gate.pause();
    screen.expect("no answer within 5s; trying");
    screen.expect(&users.authority());
    gate.resume();
    screen.expect_gone("cannot reach");
    gate.terminate();
    assert!(gate.expect_exit().success());
    screen.expect("Connection refused");
    screen.signal(Sent::TERM);
    assert!(screen.expect_exit().success());
    assert!(screen.is_usual());
    eventually("the screen of before", || !screen.is_full_screen() && screen.has_cursor());
}

#[test]
fn top_moves_in_a_table_that_is_longer_than_the_screen() {
    let mut config = "services:\n".to_owned();
    for service in 0..50 {
        writeln!(config, "  s{service:02}: http://127.0.0.1:9").unwrap();
    }
    config.push_str("routes: [{ match: /x, to: s00, access: public }]\n");
    let gate = gateway_with(&config, &[]);
    let mut screen = watch(&gate, (80, 24), &[]);
    screen.expect(" s00");
    screen.keys("\u{1b}[6~");
    screen.expect_gone(" s00");
    screen.keys("\u{1b}[F");
    screen.expect(" s49");
    screen.keys("\u{1b}[H\u{1b}[B");
    screen.expect("name 2-");
    screen.keys("\u{3}");
    assert!(screen.expect_exit().success());
    assert!(screen.is_usual());
}
