//! Limits that gateways share over a Redis with TLS.

use std::fmt::Display;
use std::fs;

use tollgate_tests::limits::{admitted, is_up};
use tollgate_tests::{
    Authority, Gateway, Redis, eventually, gateway_with, redis_by_tls, redis_cli, redis_cluster_by_tls,
    sentinel_redis_by_tls,
};

/// A gateway that has this about TLS in its configuration.
fn gate_of(store: &Redis, host: &str, tls: &str, files: &[(&str, &dyn Display)]) -> Gateway {
    let config = format!(
        "
cluster: {{ redis: 'rediss://{host}:{}', timeout: 2s, tls: {{ {tls} }} }}
routes: [{{ match: /x, respond: 200, access: public, rate_limit: {{ limit: 3/h, by: global, shared: true, on_outage: refuse }} }}]
",
        store.port
    );
    gateway_with(&config, files)
}

#[test]
fn redis_is_believed_that_has_the_word_of_an_authority_of_our_own() {
    let authority = Authority::new();
    let store = redis_by_tls(&authority, false);
    let stranger = Authority::new();
    let (ours, others) = (authority.certificate(), stranger.certificate());
    let (ours, others) = (ours.display(), others.display());
    let by = |host: &str, tls: &str, ca: &dyn Display| gate_of(&store, host, tls, &[("ca", ca)]);
    let gates = [
        by("127.0.0.1", "ca: <ca>", &ours),
        by("127.0.0.1", "ca: <ca>, server_name: redis.internal", &ours),
        by("localhost", "ca: <ca>, server_name: redis.internal", &ours),
    ];
    let counted = [0, 1, 2, 0].map(|number: usize| gates[number].get("/x").status);
    assert_eq!(counted, [200, 200, 200, 429]);
    for (host, tls, ca) in [
        ("127.0.0.1", "ca: <ca>", &others as &dyn Display),
        ("localhost", "ca: <ca>", &ours),
        ("127.0.0.1", "ca: <ca>, server_name: redis.example", &ours),
    ] {
        let gate = by(host, tls, ca);
        gate.expect_line("does not answer, what needs it is refused");
        assert_eq!(
            gate.get("/x").expect(503).expect_refusal("limits_unavailable")["stage"],
            "limit",
            "{host} {tls}"
        );
        assert!(gate.metrics().sum("tollgate_redis_up", &[]) < 0.5);
    }
}

#[test]
fn redis_is_shown_the_certificate_that_it_wants_to_see_and_a_new_one_after_a_reload() {
    let authority = Authority::new();
    let store = redis_by_tls(&authority, true);
    let pair = authority.sign(&["gateway"]);
    let (ca, stranger) = (authority.certificate(), Authority::new());
    let files: [(&str, &dyn Display); 3] =
        [("ca", &ca.display()), ("cert", &pair.certificate.display()), ("key", &pair.key.display())];
    let gate = gate_of(&store, "127.0.0.1", "ca: <ca>", &files);
    assert_eq!(gate.get("/x").status, 503);
    let gate = gate_of(&store, "127.0.0.1", "ca: <ca>, cert: <cert>, key: <key>", &files);
    assert_eq!(gate.get("/x").status, 200);
    // The files are read anew, and the connection is made anew with what they hold.
    let strange = stranger.sign(&["gateway"]);
    gate.expect_reload(|| {
        fs::copy(&strange.certificate, &pair.certificate).unwrap();
        fs::copy(&strange.key, &pair.key).unwrap();
        gate.hang_up();
    });
    eventually("Redis refuses the stranger", || gate.get("/x").status == 503);
    gate.expect_reload(|| {
        authority.sign(&["gateway"]);
        gate.hang_up();
    });
    eventually("Redis believes its own", || gate.get("/x").status == 200);
}

/// Two gateways that believe these servers, and two that do not: by another authority, and by another name.
fn fleet(keys: &str, authority: &Authority, stranger: &Authority) -> ([Gateway; 2], [Gateway; 2]) {
    let (ours, others) = (authority.certificate(), stranger.certificate());
    let (ours, others) = (ours.display(), others.display());
    let by = |tls: &str, ca: &dyn Display| {
        let config = format!(
            "
cluster: {{ {keys}, timeout: 1s, tls: {{ ca: <ca>{tls} }} }}
routes: [{{ match: /x, respond: 200, access: public, rate_limit: {{ limit: 20/d, by: global, shared: true, on_outage: refuse }} }}]
"
        );
        gateway_with(&config, &[("ca", ca)])
    };
    let named = ", server_name: redis.internal";
    ([by(named, &ours), by(named, &ours)], [by(named, &others), by("", &ours)])
}

/// That gateways which do not believe a Redis stay without it, and have said once why.
#[track_caller]
fn expect_disbelief(gates: &[Gateway; 2]) {
    for (gate, why) in gates.iter().zip(["BadSignature", "not valid for name"]) {
        let line = gate
            .expect_line("does not answer, what needs it is refused, shared limits do what `on_outage` says");
        assert!(line.contains(why), "{line}");
        assert!(!is_up(gate));
        gate.get("/x").expect(503).expect_refusal("limits_unavailable");
        assert_eq!(gate.said().matches("does not answer").count(), 1, "{}", gate.said());
    }
}

#[test]
fn a_master_behind_sentinels_is_believed_by_its_certificate_and_so_is_the_next() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut store = sentinel_redis_by_tls(&authority);
    let (gates, strangers) = fleet(&store.keys(), &authority, &stranger);
    assert_eq!(admitted(&gates, "/x", 15), 15);
    let keys = |address| redis_cli(address, &["--scan", "--pattern", "tg:limit:*"]).lines().count();
    eventually("the replica knows as much", || keys(store.servers[1].address()) == 1);
    store.servers[0].kill();
    for gate in &gates {
        gate.expect_line("mymaster does not answer");
        eventually("the new master is found", || is_up(gate));
    }
    assert_eq!(admitted(&gates, "/x", 10), 5);
    // They have tried all the while.
    expect_disbelief(&strangers);
}

#[test]
fn all_servers_of_a_cluster_are_believed_by_one_name_and_so_is_a_replica_that_takes_over() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut store = redis_cluster_by_tls(&authority);
    let (gates, strangers) = fleet(&format!("redis: '{}'", store.url()), &authority, &stranger);
    for gate in &gates {
        eventually("the cluster is in use", || is_up(gate));
    }
    assert_eq!(admitted(&gates, "/x", 15), 15);
    let keys = |node: usize| store.names(node, "tg:limit:*").len();
    let owner = (0..3).find(|node| keys(*node) == 1).unwrap();
    eventually("the replica knows as much", || keys(owner + 3) == 1);
    store.nodes[owner].kill();
    for gate in &gates {
        gate.expect_line("does not answer");
        eventually("the replica is asked", || is_up(gate));
    }
    assert_eq!(admitted(&gates, "/x", 10), 5);
    expect_disbelief(&strangers);
}
