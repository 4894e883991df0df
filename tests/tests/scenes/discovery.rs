//! Services whose endpoints are found elsewhere and change while requests run: files, URLs, DNS.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use tollgate_tests::{
    Authority, Backend, Gateway, Signal, backend, backend_on, dns_server, eventually, gateway, gateway_with,
    load, named, tls_server,
};

/// A gateway of one worker in front of a service that looks for its endpoints like this.
fn gate_by(discover: &str, lines: &str) -> Gateway {
    gateway_with(
        "
        services: { carts: { discover: <discover>, <lines> } }
        routes: [{ match: '/{rest...}', to: carts, access: public }]
        ",
        &[("discover", &discover), ("lines", &lines)],
    )
}

/// A gateway whose service has the endpoints of this file in its folder.
fn gate_by_file(text: &str, lines: &str) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("carts.yaml"), text).unwrap();
    let config = format!(
        "services: {{ carts: {{ discover: {{ file: carts.yaml }}, {lines} }} }}\n\
         routes: [{{ match: '/{{rest...}}', to: carts, access: public }}]\n"
    );
    let command = std::process::Command::new(tollgate_tests::binary());
    Gateway::start_in(folder, command, &config, &["--workers", "1"])
}

fn write(gate: &Gateway, text: &str) {
    let beside = gate.folder().join("carts.yaml.new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, gate.folder().join("carts.yaml")).unwrap();
}

/// Asks until the answers of so many requests in a row are these, each at least once.
fn expect_answers(gate: &Gateway, expected: &[&str]) {
    eventually(&format!("answers of {expected:?}"), || {
        let answers: Vec<String> =
            (0..8 * expected.len()).map(|_| gate.get("/x").expect(200).text()).collect();
        expected.iter().all(|name| answers.iter().any(|answer| answer == name))
            && answers.iter().all(|answer| expected.contains(&answer.as_str()))
    });
}

fn age(gate: &Gateway) -> f64 {
    gate.metrics().sum("tollgate_discovery_age_seconds", &[("service", "carts")])
}

#[test]
fn endpoints_of_a_file_come_and_go_and_a_broken_one_changes_nothing() {
    let (one, two) = (named("one"), named("two"));
    let gate = gate_by_file(&format!("- {one}\n"), "");
    expect_answers(&gate, &["one"]);
    let load = load(gate.address(), 4, "/x");
    write(&gate, &format!("- {one}\n- {{ url: {two}, weight: 3 }}\n"));
    expect_answers(&gate, &["one", "two"]);
    write(&gate, "- http://127.0.0.1:1\n- ur: x\n");
    let said =
        gate.expect_line("service carts: its endpoints cannot be looked for, the 2 that are known are kept");
    assert!(said.contains("carts.yaml"), "{said}");
    gate.expect_line("unknown key `ur`");
    expect_answers(&gate, &["one", "two"]);
    write(&gate, &format!("- {two}\n"));
    gate.expect_line("service carts: its endpoints can be looked for again");
    expect_answers(&gate, &["two"]);
    fs::remove_file(gate.folder().join("carts.yaml")).unwrap();
    gate.expect_line("the one that is known is kept");
    expect_answers(&gate, &["two"]);
    load.stop().expect_no_failure();
    let metrics = gate.metrics();
    assert_eq!(metrics.sum("tollgate_discovery_endpoints", &[("service", "carts")]) as usize, 1);
    assert!(metrics.sum("tollgate_discovery_failures_total", &[]) >= 2.0);
    assert!(metrics.sum("tollgate_discovery_changes_total", &[]) >= 3.0);
}

#[test]
fn what_was_found_is_known_to_the_process_that_takes_over() {
    let (one, two, three) = (named("one"), named("two"), named("three"));
    let mut gate = gate_by_file(&format!("- {one}\n- {{ url: {two}, weight: 3 }}\n"), "");
    expect_answers(&gate, &["one", "two"]);
    let load = load(gate.address(), 4, "/x");
    fs::remove_file(gate.folder().join("carts.yaml")).unwrap();
    gate.expect_line("the 2 that are known are kept");
    gate.upgrade();
    gate.expect_successor(1);
    assert_eq!(gate.expect_exit().code(), Some(0));
    expect_answers(&gate, &["one", "two"]);
    assert_eq!(gate.metrics().sum("tollgate_discovery_endpoints", &[("service", "carts")]) as usize, 2);
    assert!(age(&gate) > 0.0, "nobody has said how it is");
    write(&gate, &format!("- {three}\n"));
    expect_answers(&gate, &["three"]);
    load.stop().expect_no_failure();
}

#[test]
fn a_request_at_an_endpoint_that_is_taken_away_is_answered_to_its_end() {
    let (arrived, go) = (Signal::new(), Signal::new());
    let (raised, awaited) = (arrived.clone(), go.clone());
    let slow = backend(move |call| {
        if call.target() == "/slow" {
            raised.raise();
            awaited.wait();
        }
        call.reply(200, "slow");
    });
    let other = named("other");
    let gate = gate_by_file(&format!("- {slow}\n"), "");
    let mut wire = gate.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    arrived.wait();
    write(&gate, &format!("- {other}\n"));
    expect_answers(&gate, &["other"]);
    go.raise();
    wire.answer().expect(200).expect_body("slow");
    // Nobody needs its connections any more.
    slow.expect_ended(slow.connections());
}

#[test]
fn what_is_known_of_endpoints_that_stay_is_kept() {
    let bad = backend(|call| call.reply(503, "no"));
    let (good, third) = (named("good"), named("third"));
    let gate = gate_by_file(
        &format!("- {bad}\n- {good}\n"),
        "eject: { errors: 1, for: 1h }, retry: { attempts: 1, on: [503] }",
    );
    gate.get("/x").expect(200);
    gate.get("/x").expect(200);
    gate.expect_line("is out for");
    let (asked, connections) = (bad.requests().len(), good.connections());
    write(&gate, &format!("- {bad}\n- {good}\n- {third}\n"));
    expect_answers(&gate, &["good", "third"]);
    assert_eq!(bad.requests().len(), asked, "it is still out");
    assert_eq!(good.connections(), connections, "its connection is still there");
}

#[test]
fn found_endpoints_are_checked_as_any_others() {
    let (ill, well) = (
        backend(|call| {
            let status = if call.target() == "/health" { 503 } else { 200 };
            call.reply(status, "ill");
        }),
        named("well"),
    );
    let gate =
        gate_by_file(&format!("- {well}\n"), "health: { path: /health, every: 100ms, unhealthy_after: 1 }");
    expect_answers(&gate, &["well"]);
    write(&gate, &format!("- {well}\n- {ill}\n"));
    gate.expect_line("is not well");
    expect_answers(&gate, &["well"]);
}

#[test]
fn the_list_of_a_url_is_asked_for_again_and_again() {
    let (one, two) = (named("one"), named("two"));
    let list = Arc::new(Mutex::new((200, format!("[\"{one}\"]"))));
    let told = Arc::clone(&list);
    let inventory = backend(move |call| {
        let (status, text) = told.lock().unwrap().clone();
        let tag = format!("\"{}\"", text.len());
        if status == 200 && call.seen.header("If-None-Match") == Some(&tag) {
            return call.reply_with(304, &format!("ETag: {tag}\r\n"), "");
        }
        call.reply_with(status, &format!("ETag: {tag}\r\n"), text);
    });
    let gate = gate_by(
        &format!(
            "{{ http: '{inventory}/hosts?zone=b', every: 100ms, headers: {{ Authorization: Bearer s3cret }} }}"
        ),
        "",
    );
    expect_answers(&gate, &["one"]);
    let first = inventory.request(0);
    assert_eq!(first.target, "/hosts?zone=b");
    assert_eq!(first.header("Authorization"), Some("Bearer s3cret"));
    eventually("an answer that nothing has changed", || {
        inventory.requests().iter().any(|seen| seen.fields.has("If-None-Match"))
    });
    *list.lock().unwrap() = (200, format!("[{{\"url\": \"{two}\", \"weight\": 2}}, \"{one}\"]"));
    expect_answers(&gate, &["one", "two"]);
    for (status, text, why) in [
        (200, "[]".to_owned(), "it names no endpoint"),
        (500, "oops".to_owned(), ""),
        (200, "<html>".to_owned(), ""),
        (200, format!("[{{\"url\": \"{one}\", \"weight\": 0}}]"), ""),
    ] {
        let failures = || gate.metrics().sum("tollgate_discovery_failures_total", &[]);
        let before = failures();
        *list.lock().unwrap() = (status, text);
        eventually("the answer is not believed", || failures() > before + 1.0);
        if !why.is_empty() {
            gate.expect_line(why);
        }
        expect_answers(&gate, &["one", "two"]);
    }
    assert!(age(&gate) > 0.0);
    *list.lock().unwrap() = (200, format!("[\"{two}\", \"nonsense:\", \"ftp://x\"]"));
    gate.expect_line("an endpoint that was found is left out: nonsense:: expected a URL such as http://127.0.0.1:9001, and 1 more");
    expect_answers(&gate, &["two"]);
    assert!(!gate.said().contains("s3cret"));
}

/// Backends with the same port at addresses of their own on loopback.
fn at_one_port(names: &[(&'static str, u8)]) -> (Vec<Backend>, u16) {
    let at = |last: u8| IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let answer = |name: &'static str| move |call: &mut tollgate_tests::Call<'_>| call.reply(200, name);
    let (name, last) = names[0];
    let first = backend_on((at(last), 0), answer(name));
    let port = first.port();
    let others = names[1..].iter().map(|(name, last)| backend_on((at(*last), port), answer(name)));
    (std::iter::once(first).chain(others).collect(), port)
}

#[test]
fn the_addresses_of_a_name_are_endpoints_and_follow_it() {
    let (_backends, port) = at_one_port(&[("two", 2), ("three", 3), ("four", 4)]);
    let mut dns = dns_server(1, &[]);
    dns.set("127.0.0.2 carts.test\n127.0.0.3 carts.test\n");
    let gate = gate_by(&format!("{{ dns: 'carts.test:{port}', server: '{dns}' }}"), "");
    expect_answers(&gate, &["two", "three"]);
    let load = load(gate.address(), 4, "/x");
    dns.set("127.0.0.4 carts.test\n");
    expect_answers(&gate, &["four"]);
    // A name that is gone, and a server that is: neither takes the last address away.
    dns.set("");
    gate.expect_line("carts: its endpoints cannot be looked for, the one that is known is kept");
    expect_answers(&gate, &["four"]);
    dns.kill();
    let failures = || gate.metrics().sum("tollgate_discovery_failures_total", &[]);
    let before = failures();
    eventually("the server is missed", || failures() > before + 1.0);
    expect_answers(&gate, &["four"]);
    assert!(age(&gate) > 0.0);
    dns.revive(&[]);
    dns.set("127.0.0.2 carts.test\n127.0.0.4 carts.test\n");
    expect_answers(&gate, &["two", "four"]);
    load.stop().expect_no_failure();
}

#[test]
fn srv_records_tell_ports_and_weights_and_the_lowest_priority_number_counts() {
    let (light, heavy, spare) = (named("light"), named("heavy"), named("spare"));
    let record = |backend: &Backend, priority: u8, weight: u8| {
        format!("--srv-host=_http._tcp.carts.test,node.test,{},{priority},{weight}", backend.port())
    };
    let records = [record(&light, 10, 1), record(&heavy, 10, 3), record(&spare, 20, 50)];
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let mut dns = dns_server(1, &[&records[..], &["--host-record=node.test,127.0.0.1"]].concat());
    let gate = gate_by(&format!("{{ srv: _http._tcp.carts.test, server: '{dns}' }}"), "");
    let answers: Vec<String> = (0..40).map(|_| gate.get("/x").expect(200).text()).collect();
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!((count("light"), count("heavy"), count("spare")), (10, 30, 0));
    dns.revive(&[&records[2..], &["--host-record=node.test,127.0.0.1"]].concat());
    expect_answers(&gate, &["spare"]);
}

#[test]
fn the_certificate_of_an_address_is_for_the_name_that_it_was_found_under() {
    let server = tls_server("carts.test");
    let dns = dns_server(1, &[]);
    dns.set("127.0.0.1 carts.test\n127.0.0.1 other.test\n");
    let gate = |name: &str| {
        gate_by(
            &format!("{{ dns: '{name}:{}', server: '{dns}', scheme: https }}", server.port),
            &format!("tls: {{ ca: '{}' }}, protocol: http1", server.authority().display()),
        )
    };
    gate("carts.test").get("/x").expect(200);
    gate("other.test").get("/x").expect_refusal("upstream_tls_failed");
}

#[test]
fn a_start_waits_for_the_first_answer_and_has_endpoints_to_begin_with() {
    let one = named("one");
    let asked = Signal::new();
    let raised = asked.clone();
    let url = one.to_string();
    let inventory = backend(move |call| {
        raised.raise();
        call.reply(200, format!("[\"{url}\"]"));
    });
    let gate = gate_by(&format!("{{ http: '{inventory}' }}"), "");
    gate.get("/x").expect(200).expect_body("one");
    assert!(asked.is_raised());
    // Nobody knows any: what is written down serves, and without it nobody does.
    let dead = tollgate_tests::free_port();
    let gate = gate_by(&format!("{{ http: 'http://127.0.0.1:{dead}' }}"), &format!("endpoints: {one}"));
    gate.get("/x").expect(200).expect_body("one");
    gate.expect_line("none is known yet");
    let gate = gate_by(&format!("{{ http: 'http://127.0.0.1:{dead}' }}"), "");
    gate.get("/x").expect_refusal("upstream_unavailable");
}

#[test]
fn a_reload_keeps_what_was_found_until_the_new_source_has_answered() {
    let (one, two) = (named("one"), named("two"));
    let gate = gate_by_file(&format!("- {one}\n"), "");
    let routes = "routes: [{ match: '/{rest...}', to: carts, access: public }]\n";
    let load = load(gate.address(), 2, "/x");
    // A source that never answers. What was found is better than what is written down, also after one reload more.
    let dead = tollgate_tests::free_port();
    for drain in ["", "drain: 7s\n"] {
        gate.expect_reload(|| {
            gate.replace_config(&format!(
                "services: {{ carts: {{ discover: {{ http: 'http://127.0.0.1:{dead}' }}, endpoints: {two} }} }}\n\
                 {routes}{drain}"
            ));
        });
        expect_answers(&gate, &["one"]);
    }
    let url = two.to_string();
    let inventory = backend(move |call| call.reply(200, format!("[\"{url}\"]")));
    gate.expect_reload(|| {
        gate.replace_config(&format!(
            "services: {{ carts: {{ discover: {{ http: '{inventory}' }} }} }}\n{routes}"
        ));
    });
    expect_answers(&gate, &["two"]);
    // A service that looks for nothing any more has what is written down, and nobody asks.
    gate.expect_reload(|| gate.replace_config(&format!("services: {{ carts: {one} }}\n{routes}")));
    expect_answers(&gate, &["one"]);
    assert!(!gate.metrics().has("tollgate_discovery_endpoints", &[("service", "carts")]));
    load.stop().expect_no_failure();
}

#[test]
fn a_configuration_that_is_refused_changes_nothing_of_where_requests_go() {
    let (one, two) = (named("one"), named("two"));
    let asked = Signal::new();
    let (raised, url) = (asked.clone(), two.to_string());
    let inventory = backend(move |call| {
        raised.raise();
        call.reply(200, format!("[\"{url}\"]"));
    });
    let gate = gate_by_file(&format!("- {one}\n"), "");
    expect_answers(&gate, &["one"]);
    // Its port is taken: the search has begun by the time that this is seen.
    gate.replace_config(&format!(
        "listeners: ['127.0.0.1:{}']\n\
         services: {{ carts: {{ discover: {{ http: '{inventory}' }} }} }}\n\
         routes: [{{ match: '/{{rest...}}', to: carts, access: public }}]\n",
        one.port()
    ));
    gate.expect_line("cannot listen on");
    assert!(asked.is_raised());
    expect_answers(&gate, &["one"]);
    assert_eq!(two.requests().len(), 0);
    // The old search runs again.
    write(&gate, &format!("- {one}\n- {two}\n"));
    expect_answers(&gate, &["one", "two"]);
}

#[test]
fn endpoints_with_tls_are_not_kept_for_a_service_without_it() {
    let server = tls_server("carts.test");
    let inventory_list = format!("[\"https://127.0.0.1:{}\"]", server.port);
    let inventory = backend(move |call| call.reply(200, &inventory_list));
    let gate = gate_by(
        &format!("{{ http: '{inventory}' }}"),
        &format!(
            "tls: {{ ca: '{}', server_name: carts.test }}, protocol: http1",
            server.authority().display()
        ),
    );
    gate.get("/x").expect(200);
    let dead = tollgate_tests::free_port();
    gate.expect_reload(|| {
        gate.replace_config(&format!(
            "services: {{ carts: {{ discover: {{ consul: 'http://127.0.0.1:{dead}', service: carts }} }} }}\n\
             routes: [{{ match: '/{{rest...}}', to: carts, access: public }}]\n"
        ));
    });
    gate.get("/x").expect_refusal("upstream_unavailable");
}

#[test]
fn connections_that_are_passed_on_find_their_endpoints_too() {
    let redis = tollgate_tests::redis();
    let inventory_list = format!("[\"{}\"]", redis.address());
    let inventory = backend(move |call| call.reply(200, &inventory_list));
    let gate = gateway(format!(
        "
        listeners: [{{ address: '127.0.0.1:0', tcp: cache }}]
        services: {{ cache: {{ discover: {{ http: '{inventory}', scheme: tcp }} }} }}
        "
    ));
    assert_eq!(tollgate_tests::redis_cli(gate.address(), &["PING"]), "PONG");
}

#[test]
fn the_authority_of_a_source_is_checked() {
    let (authority, other) = (Authority::new(), Authority::new());
    let one = named("one");
    let url = one.to_string();
    let inventory = backend(move |call| call.reply(200, format!("[\"{url}\"]")));
    let pair = authority.sign(&["127.0.0.1"]);
    // Our own gateway stands before the list with TLS.
    let front = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tls: { certificates: [{ cert: <cert>, key: <key> }] } }]
        services: { list: <list> }
        routes: [{ match: '/{rest...}', to: list, access: public }]
        ",
        &[("cert", &pair.certificate.display()), ("key", &pair.key.display()), ("list", &inventory)],
    );
    let by = |ca: &Authority| {
        let ca = ca.certificate();
        let discover = format!(
            "{{ http: 'https://{}', every: 100ms, tls: {{ ca: '{}' }} }}",
            front.address(),
            ca.display()
        );
        gate_by(&discover, "")
    };
    by(&authority).get("/x").expect(200).expect_body("one");
    let gate = by(&other);
    gate.expect_line("its endpoints cannot be looked for");
    gate.get("/x").expect_refusal("upstream_unavailable");
}
