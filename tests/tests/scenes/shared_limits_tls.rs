//! Limits that gateways share over a Redis with TLS.

use std::fmt::Display;
use std::fs;

use tollgate_tests::{Authority, Gateway, Redis, eventually, gateway_with, redis_by_tls};

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
