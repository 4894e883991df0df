//! Certificates that are replaced while the gateway runs, and those that grow old.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_tests::tls::{OpenSsl, Secured, Wish, s_client};
use tollgate_tests::{Gateway, eventually, gateway_with};

#[track_caller]
fn serving(authority: &OpenSsl, names: &[&str], more: &str) -> Gateway {
    let dir = authority.folder().display();
    let pairs: Vec<String> =
        names.iter().map(|name| format!("{{ cert: {dir}/{name}.pem, key: {dir}/{name}.key }}")).collect();
    let config = "
        listeners:
          - { address: '127.0.0.1:0', tls: { certificates: [ <pairs> ] } }
          <more>
        routes: [ { match: '/{rest...}', respond: { body: pong }, access: public } ]
        ";
    gateway_with(config, &[("pairs", &pairs.join(", ")), ("more", &more)])
}

/// The name in the certificate that the gateway shows now.
#[track_caller]
fn shown(gate: &Gateway) -> String {
    s_client(gate.address(), &[]).expect(&["HTTP/1.1 200"]).subject().to_owned()
}

fn authority() -> OpenSsl {
    let authority = OpenSsl::new();
    for name in ["old", "new"] {
        authority.issue(name, Wish { hosts: &["a.test"], ..Wish::default() });
    }
    authority.issue("a", Wish { hosts: &["a.test"], ..Wish::default() });
    authority.replace(&["pem", "key"], "old", "a");
    authority
}

#[test]
fn a_replaced_certificate_is_served_without_a_word_from_anybody() {
    let authority = authority();
    let gate = serving(&authority, &["a"], "");
    assert_eq!(shown(&gate), "old");
    let mut before = Secured::connect(gate.address(), "a.test");
    let replaced = Instant::now();
    gate.expect_reload(|| authority.replace(&["pem", "key"], "new", "a"));
    eventually("the new certificate is shown", || shown(&gate) == "new");
    assert!(replaced.elapsed() < Duration::from_secs(10), "it took {:?}", replaced.elapsed());
    let said = gate.expect_line("holds another certificate now");
    assert!(said.contains("a.pem") && said.contains("a.test, valid until 20"), "{said}");
    before.expect_pong();
}

#[test]
fn a_pair_that_does_not_fit_leaves_the_old_one_until_it_does() {
    let authority = authority();
    let gate = serving(&authority, &["a"], "");
    authority.replace(&["pem"], "new", "a");
    gate.expect_line("kept the configuration in force");
    let said = gate.expect_line("does not fit the certificate in");
    assert!(said.contains("error:") && said.contains("[key_mismatch]"), "{said}");
    assert_eq!(shown(&gate), "old");
    assert_eq!(gate.readiness()["config"]["reload"]["result"], "refused");
    gate.expect_reload(|| authority.replace(&["key"], "new", "a"));
    assert_eq!(shown(&gate), "new");
}

#[test]
fn a_signal_takes_up_a_certificate_at_once() {
    let authority = authority();
    let gate = serving(&authority, &["a"], "");
    gate.expect_reload(|| {
        authority.replace(&["pem", "key"], "new", "a");
        gate.hang_up();
    });
    eventually("the new certificate is shown", || shown(&gate) == "new");
}

#[test]
fn no_handshake_fails_while_certificates_are_replaced() {
    let authority = authority();
    let gate = serving(&authority, &["a"], "");
    let shaken = AtomicUsize::new(0);
    let (running, over) = mpsc::channel::<()>();
    let over = Mutex::new(over);
    let (over, gate, shaken) = (&over, &gate, &shaken);
    thread::scope(|scope| {
        // Dropped whatever happens, and then the others end.
        let running = running;
        for _ in 0..2 {
            scope.spawn(move || {
                while over.lock().unwrap().try_recv() == Err(TryRecvError::Empty) {
                    Secured::connect(gate.address(), "a.test").expect_pong();
                    shaken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for name in ["new", "old", "new"] {
            gate.expect_reload(|| authority.replace(&["pem", "key"], name, "a"));
            eventually("the other certificate is shown", || shown(gate) == name);
        }
        drop(running);
    });
    assert!(shaken.load(Ordering::Relaxed) > 20, "{shaken:?} handshakes");
}

#[test]
fn the_last_days_of_a_certificate_are_told_everywhere() {
    let authority = OpenSsl::new();
    authority.issue("a", Wish { hosts: &["a.test"], days: Some(10), ..Wish::default() });
    let gate = serving(&authority, &["a"], "");
    assert!(gate.expect_line("the certificate of a.test (").contains("expires in "));
    let body = gate.readiness();
    assert_eq!((&body["status"], &body["certificates"]["count"]), (&"ready".into(), &1.into()));
    let soon = &body["certificates"]["soon"][0];
    assert_eq!((&soon["name"], &soon["state"]), (&"a.test".into(), &"expiring".into()));
    let told = gate.metrics().sum("tollgate_certificate_expiry_timestamp_seconds", &[("name", "a.test")]);
    assert_eq!(soon["not_after"].as_f64(), Some(told));
}

#[test]
fn an_expired_certificate_degrades_and_without_any_other_way_in_it_makes_unready() {
    let authority = authority();
    authority.issue("late", Wish { hosts: &["late.test"], days: Some(0), ..Wish::default() });
    for (names, more, status, code) in [
        (&["a", "late"][..], "", "degraded", 200),
        (&["late"], "", "expired", 503),
        (&["late"], "- 127.0.0.1:0", "degraded", 200),
    ] {
        let gate = serving(&authority, names, more);
        gate.expect_line("[certificate_expired]");
        gate.expect_line("HAS EXPIRED");
        let answer = gate.admin_get("/readyz").expect(code);
        assert_eq!(answer.json()["status"], status);
    }
}
