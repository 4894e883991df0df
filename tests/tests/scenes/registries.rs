//! Services whose endpoints stand in etcd, and in a double of Consul.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_tests::{
    Backend, ConsulDouble, Etcd, Faults, Gateway, Instance, backend, consul_double, etcd, eventually,
    fault_proxy, gateway_with, load, named,
};

fn gate_by(discover: &str) -> Gateway {
    gateway_with(
        "
        services: { mail: { discover: <discover> } }
        routes: [{ match: '/{rest...}', to: mail, access: public }]
        ",
        &[("discover", &discover)],
    )
}

fn gate_by_etcd(etcd: &Etcd) -> Gateway {
    gate_by(&format!("{{ etcd: '{etcd}', prefix: /services/mail/ }}"))
}

fn key(name: &str) -> String {
    format!("/services/mail/{name}")
}

fn expect_answers(gate: &Gateway, expected: &[&str]) {
    eventually(&format!("answers of {expected:?}"), || {
        let answers: BTreeSet<String> =
            (0..8 * expected.len()).map(|_| gate.get("/x").expect(200).text()).collect();
        answers == expected.iter().map(ToString::to_string).collect()
    });
}

/// The endpoints that the gateway says it has.
fn endpoints(gate: &Gateway) -> usize {
    gate.metrics().sum("tollgate_discovery_endpoints", &[]) as usize
}

#[test]
fn keys_of_etcd_are_endpoints_while_they_are_there() {
    let (one, two, three) = (named("one"), named("two"), named("three"));
    let etcd = etcd();
    etcd.put(&key("one"), &one.to_string());
    etcd.put("/services/mailing/x", "http://127.0.0.1:1");
    let gate = gate_by_etcd(&etcd);
    let load = load(gate.address(), 4, "/x");
    expect_answers(&gate, &["one"]);
    etcd.put(&key("two"), &format!("{{\"url\": \"{two}\", \"weight\": 2}}"));
    expect_answers(&gate, &["one", "two"]);
    etcd.put(&key("one"), &format!("127.0.0.1:{}", three.port()));
    expect_answers(&gate, &["two", "three"]);
    etcd.delete(&key("two"));
    expect_answers(&gate, &["three"]);
    etcd.put(&key("bad"), "s3cret: no endpoint");
    gate.expect_line("an endpoint that was found is left out: /services/mail/bad: expected a URL");
    etcd.put(&key("worse"), "{s3cret");
    gate.expect_line("/services/mail/bad: expected a URL such as http://127.0.0.1:9001, and 1 more");
    assert!(!gate.said().contains("s3cret"));
    // The last one does not go.
    etcd.delete(&key("one"));
    gate.expect_line("it names no endpoint");
    expect_answers(&gate, &["three"]);
    etcd.put(&key("one"), &one.to_string());
    expect_answers(&gate, &["one"]);
    load.stop().expect_no_failure();
}

#[test]
fn after_many_changes_under_load_the_endpoints_are_those_of_etcd() {
    let backends: Vec<Backend> = (0..8).map(|_| named("mail")).collect();
    let etcd = etcd();
    etcd.put(&key("0"), &backends[0].to_string());
    let gate = gate_by_etcd(&etcd);
    let load = load(gate.address(), 4, "/x");
    for change in 0..300 {
        // The first stays, the others come and go.
        let (place, name) = (1 + change * 5 % 7, key(&(1 + change * 3 % 11).to_string()));
        if change % 3 == 2 {
            etcd.delete(&name);
        } else {
            etcd.put(&name, &backends[place].to_string());
        }
    }
    let wanted: BTreeSet<String> = etcd.all("/services/mail/").into_values().collect();
    eventually("the endpoints are those of etcd", || {
        let metrics = gate.metrics();
        let has = |url: &String| {
            metrics.has("tollgate_upstream_endpoint_up", &[("service", "mail"), ("endpoint", url)])
        };
        endpoints(&gate) == wanted.len()
            && backends.iter().map(ToString::to_string).all(|url| has(&url) == wanted.contains(&url))
    });
    load.stop().expect_no_failure();
}

#[test]
fn an_etcd_that_is_gone_changes_nothing_and_what_changed_meanwhile_is_picked_up() {
    let (one, two) = (named("one"), named("two"));
    let mut etcd = etcd();
    etcd.put(&key("one"), &one.to_string());
    let gate = gate_by_etcd(&etcd);
    let load = load(gate.address(), 4, "/x");
    expect_answers(&gate, &["one"]);
    etcd.kill();
    gate.expect_line("its endpoints cannot be looked for, the one that is known is kept");
    expect_answers(&gate, &["one"]);
    etcd.revive();
    etcd.put(&key("two"), &two.to_string());
    expect_answers(&gate, &["one", "two"]);
    gate.expect_line("its endpoints can be looked for again");
    load.stop().expect_no_failure();
}

#[test]
fn history_that_was_compacted_while_the_watch_was_lost_is_not_needed() {
    let (one, two) = (named("one"), named("two"));
    let etcd = etcd();
    etcd.put(&key("one"), &one.to_string());
    let proxy = fault_proxy(etcd.address());
    let gate = gate_by(&format!("{{ etcd: '{proxy}', prefix: /services/mail/ }}"));
    expect_answers(&gate, &["one"]);
    proxy.set(Faults { resets: true, ..Faults::default() });
    proxy.cut();
    gate.expect_line("its endpoints cannot be looked for");
    etcd.put(&key("two"), &two.to_string());
    etcd.delete(&key("one"));
    etcd.compact();
    proxy.set(Faults::default());
    expect_answers(&gate, &["two"]);
}

#[test]
fn a_slow_way_to_etcd_delays_changes_and_breaks_none() {
    let backends: Vec<Backend> = ["one", "two", "three"].map(named).into();
    let etcd = etcd();
    let proxy = fault_proxy(etcd.address());
    etcd.put(&key("one"), &backends[0].to_string());
    let gate = gate_by(&format!("{{ etcd: '{proxy}', prefix: /services/mail/ }}"));
    expect_answers(&gate, &["one"]);
    // Messages arrive in pieces.
    proxy.set(Faults { bandwidth: Some(4000), ..Faults::default() });
    etcd.put(&key("two"), &backends[1].to_string());
    etcd.put(&key("three"), &backends[2].to_string());
    expect_answers(&gate, &["one", "two", "three"]);
    // An answer that is cut off in the middle.
    proxy.set(Faults { half_close_after: Some(100), ..Faults::default() });
    proxy.cut();
    gate.expect_line("its endpoints cannot be looked for, the 3 that are known are kept");
    expect_answers(&gate, &["one", "two", "three"]);
    proxy.set(Faults::default());
    etcd.delete(&key("three"));
    expect_answers(&gate, &["one", "two"]);
}

#[test]
fn an_etcd_with_users_is_asked_as_one_and_a_dead_member_is_passed_over() {
    let one = named("one");
    let etcd = etcd();
    etcd.put(&key("one"), &one.to_string());
    etcd.demand_password("s3cret");
    let dead = tollgate_tests::free_port();
    let gate = gate_by(&format!(
        "{{ etcd: ['http://127.0.0.1:{dead}', '{etcd}'], prefix: /services/mail/, user: root, password: s3cret }}"
    ));
    gate.get("/x").expect(200).expect_body("one");
    let gate =
        gate_by(&format!("{{ etcd: '{etcd}', prefix: /services/mail/, user: root, password: wr0ng }}"));
    gate.expect_line("its endpoints cannot be looked for, none is known yet");
    assert!(!gate.said().contains("wr0ng"));
}

#[test]
fn members_of_etcd_that_end_every_watch_are_told_of() {
    let one = named("one");
    let encoded = |text: &str| STANDARD.encode(text);
    let pair = format!(r#"{{"key":"{}","value":"{}"}}"#, encoded(&key("one")), encoded(&one.to_string()));
    let member = || {
        let pair = pair.clone();
        backend(move |call| {
            let answer = match call.target() {
                "/v3/watch" => r#"{"result":{"header":{"revision":"7"},"created":true}}"#.to_owned(),
                _ => format!(r#"{{"header":{{"revision":"7"}},"kvs":[{pair}]}}"#),
            };
            call.reply(200, answer);
        })
    };
    let (first, second) = (member(), member());
    let gate = gate_by(&format!("{{ etcd: ['{first}', '{second}'], prefix: /services/mail/ }}"));
    gate.get("/x").expect(200).expect_body("one");
    gate.expect_line("the one that is known is kept");
    gate.expect_line("it ended the watch");
    gate.get("/x").expect(200).expect_body("one");
}

fn instance(port: u16) -> Instance {
    Instance { service: "mail", node: "127.0.0.1", address: "", port, tags: &["v2", "eu"], passing: true }
}

fn gate_by_consul(consul: &ConsulDouble, lines: &str) -> Gateway {
    gate_by(&format!("{{ consul: '{consul}', service: mail{lines} }}"))
}

#[test]
fn instances_that_pass_in_a_double_of_consul_are_endpoints() {
    let (one, two) = (named("one"), named("two"));
    let consul = consul_double();
    consul.set(&[instance(one.port())]);
    let gate = gate_by_consul(&consul, ", tag: [v2, eu], datacenter: 'dc 1'");
    let load = load(gate.address(), 4, "/x");
    expect_answers(&gate, &["one"]);
    assert_eq!(consul.targets()[0], "/v1/health/service/mail?passing=1&tag=v2&tag=eu&dc=dc%201");
    eventually("a query waits", || consul.waiting() == 1);
    let others = Instance { service: "other", ..instance(1) };
    let old = Instance { tags: &["v1", "eu"], ..instance(1) };
    consul.set(&[
        instance(one.port()),
        Instance { address: "127.0.0.1", node: "10.255.255.1", ..instance(two.port()) },
        others,
        old,
    ]);
    expect_answers(&gate, &["one", "two"]);
    consul.set(&[Instance { passing: false, ..instance(one.port()) }, instance(two.port())]);
    expect_answers(&gate, &["two"]);
    consul.set(&[]);
    gate.expect_line("it names no endpoint");
    expect_answers(&gate, &["two"]);
    load.stop().expect_no_failure();
    assert!(consul.targets().last().unwrap().contains("&index="), "{:?}", consul.targets());
}

#[test]
fn a_double_of_consul_may_fail_hang_up_be_restored_and_move_its_index() {
    let (one, two) = (named("one"), named("two"));
    let consul = consul_double();
    consul.demand_token("s3cret");
    consul.set(&[instance(one.port())]);
    let gate = gate_by_consul(&consul, ", token: s3cret");
    expect_answers(&gate, &["one"]);
    consul.fail(Some((500, "No cluster leader")));
    gate.expect_line("No cluster leader");
    expect_answers(&gate, &["one"]);
    consul.fail(None);
    gate.expect_line("its endpoints can be looked for again");
    // The index moves and the answer does not.
    for _ in 0..5 {
        let asked = consul.targets().len();
        eventually("a query waits", || consul.waiting() == 1);
        consul.touch();
        eventually("it is asked again", || consul.targets().len() > asked);
    }
    assert!(gate.metrics().sum("tollgate_discovery_changes_total", &[]) < 1.5, "nothing has changed");
    consul.hang_up();
    consul.set(&[instance(two.port())]);
    expect_answers(&gate, &["two"]);
    eventually("a query waits", || consul.waiting() >= 1);
    consul.restore(&[instance(one.port())]);
    expect_answers(&gate, &["one"]);
    eventually("a query waits with the new index", || {
        consul.targets().last().is_some_and(|target| target.contains("&index=2&"))
    });
    let gate = gate_by_consul(&consul, "");
    gate.expect_line("403 Forbidden: ACL not found");
}
