//! `limits.connections_per_ip` and `limits.connection_rate_per_ip`: connections of one address, over all workers.

use tollgate_tests::{Ending, Gateway, Wire, curl, eventually, fill};

/// A gateway whose workers share the connections, with these limits.
fn gate_with(limits: &str, more: &str) -> Gateway {
    Gateway::start(&config(limits, more), &["--workers", "4"])
}

fn config(limits: &str, more: &str) -> String {
    let config = "
listeners: [ { address: '127.0.0.1:0', limits: { <limits> }<more> } ]
routes: [ { match: /x, respond: { status: 200, body: x }, access: public } ]
";
    fill(config, &[("limits", &limits), ("more", &more)])
}

const REQUEST: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// Whether a new connection gets an answer; it stays open then.
fn open(gate: &Gateway, before: &str) -> Option<Wire> {
    let mut wire = gate.connect();
    wire.send(format!("{before}{REQUEST}"));
    match wire.try_answer("GET") {
        Ok(answer) => {
            answer.expect(200);
            Some(wire)
        }
        Err(broken) => {
            assert_ne!(broken.ending, Ending::Silent, "it is left open without an answer");
            None
        }
    }
}

fn refused(gate: &Gateway, reason: &str) -> u64 {
    gate.metrics().sum("tollgate_connections_refused_total", &[("reason", reason)]) as u64
}

#[test]
fn an_address_has_as_many_connections_as_it_may_over_all_workers() {
    let gate = gate_with("connections_per_ip: 10", "");
    let held: Vec<_> = (0..10).map(|_| open(&gate, "").expect("it may have ten")).collect();
    assert!((0..5).all(|_| open(&gate, "").is_none()));
    assert_eq!(refused(&gate, "address_limit"), 5);
    gate.expect_line("127.0.0.1 has as many connections as it may (`connections_per_ip`)");
    // Others are not concerned, and one that ends makes room for another.
    let url = format!("http://{}/x", gate.address());
    assert_eq!(curl(&["--interface", "127.0.0.2", &url]).text(), "x");
    drop(held);
    eventually("the others to be gone", || open(&gate, "").is_some());
}

#[test]
fn a_reload_keeps_what_was_counted() {
    let gate = gate_with("connections_per_ip: 3", "");
    let held: Vec<_> = (0..3).map(|_| open(&gate, "").unwrap()).collect();
    gate.expect_reload(|| gate.replace_config(&config("connections_per_ip: 3, headers: 50", "")));
    assert!(open(&gate, "").is_none());
    gate.expect_reload(|| gate.replace_config(&config("connections_per_ip: 4", "")));
    let fourth = open(&gate, "").expect("it may have four now");
    assert!(open(&gate, "").is_none());
    drop((held, fourth));
}

#[test]
fn an_address_makes_connections_as_fast_as_it_may() {
    // One more comes after an hour.
    let gate = gate_with("connection_rate_per_ip: 5/h", "");
    assert!((0..5).all(|_| open(&gate, "").is_some()));
    assert!((0..3).all(|_| open(&gate, "").is_none()));
    assert_eq!(refused(&gate, "address_rate"), 3);
    gate.expect_line("127.0.0.1 makes connections faster than it may (`connection_rate_per_ip`)");
    let url = format!("http://{}/x", gate.address());
    assert_eq!(curl(&["--interface", "127.0.0.2", &url]).text(), "x");
}

#[test]
fn behind_a_proxy_the_clients_address_counts() {
    let gate = gate_with("connections_per_ip: 2", ", proxy_protocol: 127.0.0.1");
    let from = |client: &str| {
        let (family, own) = if client.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
        open(&gate, &format!("PROXY {family} {client} {own} 40000 80\r\n"))
    };
    let held = [from("203.0.113.9"), from("203.0.113.9"), from("203.0.113.10")];
    assert!(held.iter().all(Option::is_some));
    assert!(from("203.0.113.9").is_none());
    // A customer has a whole network of IPv6.
    let v6 = [from("2001:db8::1"), from("2001:db8::2"), from("2001:db8:0:1::1")];
    assert!(v6.iter().all(Option::is_some));
    assert!(from("2001:db8::ffff").is_none());
    assert_eq!(refused(&gate, "address_limit"), 2);
}

#[test]
fn a_peer_that_speaks_for_others_has_no_limit() {
    let gate = gate_with("connections_per_ip: 1", ", trust_forwarded: 127.0.0.1");
    let held: Vec<_> = (0..5).map(|_| open(&gate, "").expect("many clients are behind it")).collect();
    assert_eq!(held.len(), 5);
}

#[test]
fn the_default_is_for_strangers_and_not_for_what_may_be_a_proxy_beside_the_gateway() {
    let gate = gate_with("", ", proxy_protocol: 127.0.0.1");
    let from = |client: &str| open(&gate, &format!("PROXY TCP4 {client} 127.0.0.1 40000 80\r\n"));
    let held: Vec<_> = (0..1000).map(|_| from("203.0.113.9").expect("it may have a thousand")).collect();
    assert!(from("203.0.113.9").is_none());
    gate.expect_line("203.0.113.9 has as many connections as it may by default (`connections_per_ip`)");
    gate.expect_line("if it is a proxy, name it in `trust_forwarded` or `proxy_protocol`");
    let near: Vec<_> = (0..1010).map(|_| from("127.0.0.9").expect("it may have any number")).collect();
    let without = config("connections_per_ip: off", ", proxy_protocol: 127.0.0.1");
    gate.expect_reload(|| gate.replace_config(&without));
    assert!(from("203.0.113.9").is_some());
    drop((held, near));
}
