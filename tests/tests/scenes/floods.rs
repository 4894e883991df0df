//! `limits.requests_per_ip`: requests of one address, over all connections and workers, whatever they ask for.

use tollgate_tests::http2::{Http2, get};
use tollgate_tests::{Gateway, curl, eventually, fill, gateway_with, grpc_call, grpc_server};

/// A gateway whose workers share the connections. An hour brings so little that no scene sees it.
fn gate_with(limits: &str, more: &str, lines: &str) -> Gateway {
    Gateway::start(&config(limits, more, lines), &["--workers", "4"])
}

fn config(limits: &str, more: &str, lines: &str) -> String {
    let config = "
listeners: [ { address: '127.0.0.1:0', limits: { <limits> }<more> } ]
routes: [ { match: /x, respond: { status: 200, body: x }, access: public<lines> } ]
";
    fill(config, &[("limits", &limits), ("more", &more), ("lines", &lines)])
}

/// The statuses of so many requests, each on a connection of its own.
fn statuses(gate: &Gateway, path: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| gate.get(path).status).collect()
}

fn from(gate: &Gateway, client: &str) -> u16 {
    gate.ask("GET", "/x").header("X-Forwarded-For", client).send().status
}

#[test]
fn an_address_makes_as_many_requests_as_it_may_whatever_it_asks_for() {
    let gate = gate_with("requests_per_ip: 2/h", "", "");
    assert_eq!(statuses(&gate, "/x", 4), [200; 4]);
    let refused = gate.get("/x").expect(429);
    let problem = refused.expect_refusal("address_limited");
    assert_eq!(problem["stage"], "admit");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    gate.get("/no-route").expect(429).expect_refusal("address_limited");
    gate.expect_line("127.0.0.1 makes more requests than it may (`requests_per_ip`: 2/h); 1 refused lately");
    let url = format!("http://{}/x", gate.address());
    assert_eq!(curl(&["--interface", "127.0.0.2", &url]).text(), "x");
    let refusals = || gate.metrics().sum("tollgate_refusals_total", &[("code", "address_limited")]);
    eventually("both are counted", || refusals() > 1.5);
}

#[test]
fn requests_of_one_connection_count_like_those_of_many() {
    let gate = gate_with("requests_per_ip: 1000/h", "", "");
    let mut wire = gate.connect();
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2100));
    let through = (0..2100).filter(|_| wire.answer().status == 200).count();
    assert_eq!(through, 2000);
    assert_eq!(statuses(&gate, "/x", 1), [429]);
}

#[test]
fn what_a_connection_has_not_used_is_there_for_the_next() {
    let gate = gate_with("requests_per_ip: 1000/h", "", "");
    for _ in 0..20 {
        let mut wire = gate.connect();
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(9));
        assert!((0..9).all(|_| wire.answer().status == 200));
    }
    eventually("they have ended", || gate.metrics().sum("tollgate_connections_open", &[]) == 0.0);
    let mut wire = gate.connect();
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000));
    assert_eq!((0..2000).filter(|_| wire.answer().status == 200).count(), 2000 - 20 * 9);
}

#[test]
fn streams_and_calls_of_grpc_count_as_requests() {
    let server = grpc_server();
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', limits: { requests_per_ip: 2/h } }]
        services: { calls: { endpoints: [<calls>], protocol: grpc } }
        routes:
          - { match: /x, respond: { status: 200, body: x }, access: public }
          - { match: '/{rest...}', to: calls, access: public }
        ",
        &[("calls", &server)],
    );
    let mut client = Http2::connect(gate.address(), &[]);
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/x")).status(), Some(200));
    }
    grpc_call(gate.address(), "unary", "Unary").send(&["hello"]).expect("OK");
    let refused = grpc_call(gate.address(), "unary", "Unary").send(&["hello"]).expect("RESOURCE_EXHAUSTED");
    assert_eq!(refused.trailing("tollgate-code"), Some("address_limited"));
    assert_eq!(client.ask(&get("/x")).code(), "address_limited");
}

#[test]
fn behind_a_trusted_peer_each_client_has_its_own() {
    let gate = gate_with("requests_per_ip: 1/h", ", trust_forwarded: 127.0.0.1", "");
    for client in ["203.0.113.9", "203.0.113.10", "2001:db8::1"] {
        assert_eq!([0; 3].map(|_| from(&gate, client)), [200, 200, 429], "{client}");
    }
    // A customer has a whole network of IPv6.
    assert_eq!(from(&gate, "2001:db8::ffff"), 429);
    assert_eq!(from(&gate, "2001:db8:0:1::1"), 200);
    // What the peer asks for itself is nobody else's.
    assert_eq!(statuses(&gate, "/x", 5), [200; 5]);
}

#[test]
fn behind_a_balancer_the_clients_address_counts() {
    let gate = gate_with("requests_per_ip: 1/h", ", proxy_protocol: 127.0.0.1", "");
    let ask = |header: &str| {
        let mut wire = gate.connect();
        wire.send(format!("{header}\r\n{}", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)));
        [0; 3].map(|_| wire.answer().status)
    };
    assert_eq!(ask("PROXY TCP4 203.0.113.9 127.0.0.1 40000 80"), [200, 200, 429]);
    assert_eq!(ask("PROXY TCP4 203.0.113.9 127.0.0.1 40001 80"), [429; 3]);
    assert_eq!(ask("PROXY TCP4 203.0.113.10 127.0.0.1 40000 80"), [200, 200, 429]);
    // Whom it does not name it may have many of.
    assert_eq!(ask("PROXY UNKNOWN"), [200; 3]);
}

#[test]
fn a_reload_keeps_what_was_counted_and_changes_what_may_come() {
    let gate = gate_with("requests_per_ip: 1/h", "", "");
    assert_eq!(statuses(&gate, "/x", 3), [200, 200, 429]);
    gate.expect_reload(|| gate.replace_config(&config("requests_per_ip: 1/h, headers: 50", "", "")));
    assert_eq!(statuses(&gate, "/x", 1), [429]);
    gate.expect_reload(|| gate.replace_config(&config("requests_per_ip: off", "", "")));
    assert_eq!(statuses(&gate, "/x", 9), [200; 9]);
}

#[test]
fn who_floods_is_banned_where_there_is_a_ban() {
    let ban = ", ban: { after: 2 refusals in 1h, for: 1h }";
    let gate = gate_with("requests_per_ip: 1/h", "", ban);
    assert_eq!(statuses(&gate, "/x", 4), [200, 200, 429, 429]);
    // What belongs to no route is none of its bans'.
    gate.get("/no-route").expect(429).expect_refusal("address_limited");
    gate.expect_reload(|| gate.replace_config(&config("requests_per_ip: off", "", ban)));
    gate.get("/x").expect(429).expect_refusal("address_banned");
}
