//! TLS towards clients, as OpenSSL's own client sees it: which certificate, which protocol, which version, which session.

use std::fs;
use std::time::{Duration, Instant};

use tollgate_tests::tls::{OpenSsl, Wish, s_client};
use tollgate_tests::{Gateway, backend, curl, eventually, gateway_with};

/// A gateway that answers by itself, with one TLS listener that has these settings.
#[track_caller]
fn secured(authority: &OpenSsl, listener: &str) -> Gateway {
    let config = "
        listeners: [ { address: '127.0.0.1:0', <listener> } ]
        routes: [ { match: '/{rest...}', respond: { body: pong }, access: public } ]
        ";
    gateway_with(config, &[("listener", &listener), ("dir", &authority.folder().display())])
}

const PAIR: &str = "tls: { certificates: { cert: <dir>/a.pem, key: <dir>/a.key } <more> }";

#[track_caller]
fn one_pair(authority: &OpenSsl, more: &str) -> Gateway {
    secured(authority, &PAIR.replace("<more>", more))
}

fn authority() -> OpenSsl {
    let authority = OpenSsl::new();
    authority.issue("a", Wish { hosts: &["a.test"], ..Wish::default() });
    authority
}

#[test]
fn a_client_gets_the_certificate_for_the_name_it_asks_for() {
    let authority = authority();
    authority.issue("b", Wish { hosts: &["*.b.test", "b.test"], ..Wish::default() });
    authority.issue("c", Wish { hosts: &["c.b.test"], ..Wish::default() });
    let gate = secured(
        &authority,
        "tls: { certificates: [ { cert: <dir>/a.pem, key: <dir>/a.key }, { cert: <dir>/b.pem, key: <dir>/b.key },
                                { cert: <dir>/c.pem, key: <dir>/c.key } ] }",
    );
    for (name, subject) in [
        ("a.test", "a"),
        ("b.test", "b"),
        ("x.b.test", "b"),
        ("c.b.test", "c"),
        ("x.y.b.test", "a"),
        ("other", "a"),
    ] {
        let told = s_client(gate.address(), &["-servername", name]);
        assert_eq!(told.expect(&["HTTP/1.1 200", "pong"]).subject(), subject, "{name}");
    }
    assert_eq!(s_client(gate.address(), &["-noservername"]).subject(), "a");
}

#[test]
fn of_an_rsa_and_an_ecdsa_key_the_client_gets_what_it_understands() {
    let authority = authority();
    authority.issue("r", Wish { hosts: &["a.test"], rsa: true, ..Wish::default() });
    let gate = secured(
        &authority,
        "tls: { certificates: [ { cert: <dir>/r.pem, key: <dir>/r.key }, { cert: <dir>/a.pem, key: <dir>/a.key } ] }",
    );
    for (arguments, kind) in [
        (&["-servername", "a.test"][..], "ECDSA"),
        (&["-servername", "a.test", "-sigalgs", "RSA-PSS+SHA256"], "RSA-PSS"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "RSA"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDSA"),
    ] {
        s_client(gate.address(), arguments)
            .expect(&[&format!("Peer signature type: {kind}"), "HTTP/1.1 200"]);
    }
}

#[test]
fn both_agree_on_a_protocol_and_on_a_version() {
    let authority = authority();
    let usual = one_pair(&authority, "");
    for (offered, agreed) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2")] {
        s_client(usual.address(), &["-alpn", offered]).expect(&[&format!("ALPN protocol: {agreed}\n")]);
    }
    s_client(usual.address(), &["-alpn", "spdy/3"]).expect_no_answer("alert no application protocol");
    s_client(usual.address(), &["-tls1_2"]).expect(&["HTTP/1.1 200", "New, TLSv1.2"]);
    s_client(usual.address(), &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]).expect_no_answer("alert");
    let strict = one_pair(&authority, ", min_version: 1.3");
    s_client(strict.address(), &["-tls1_2"]).expect_no_answer("alert protocol version");
    s_client(strict.address(), &[]).expect(&["HTTP/1.1 200", "New, TLSv1.3"]);
}

#[test]
fn an_ocsp_response_is_stapled_for_who_asks() {
    let authority = authority();
    authority.ocsp("a");
    let gate = secured(
        &authority,
        "tls: { certificates: { cert: <dir>/a.pem, key: <dir>/a.key, ocsp: <dir>/a.ocsp } }",
    );
    s_client(gate.address(), &["-status"]).expect(&["OCSP Response Status: successful", "Cert Status: good"]);
    let plain = one_pair(&authority, "");
    s_client(plain.address(), &["-status"]).expect(&["OCSP response: no response sent"]);
}

#[test]
fn a_session_goes_on_after_a_reload_and_at_a_gateway_with_the_same_keys() {
    let authority = authority();
    let keys: Vec<u8> = (0..160u8).map(|at| at.wrapping_mul(89).wrapping_add(7)).collect();
    fs::write(authority.path("old.key"), &keys[..80]).unwrap();
    fs::write(authority.path("new.key"), [&keys[80..], &keys[..80]].concat()).unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.path("session").display().to_string();
        let keep = [version, "-servername", "a.test", "-sess_out", &session];
        let go_on = [version, "-servername", "a.test", "-sess_in", &session];
        let alone = one_pair(&authority, "");
        assert!(!s_client(alone.address(), &keep).expect(&["HTTP/1.1 200"]).is_resumed());
        assert!(s_client(alone.address(), &go_on).expect(&["HTTP/1.1 200"]).is_resumed(), "{version}");
        alone.expect_reload(|| alone.hang_up());
        assert!(s_client(alone.address(), &go_on).is_resumed(), "{version}: the reload ended the session");
        let other = one_pair(&authority, "");
        assert!(!s_client(other.address(), &go_on).is_resumed(), "{version}: another process knows the keys");

        let first = one_pair(&authority, ", tickets: <dir>/old.key");
        let second = one_pair(&authority, ", tickets: <dir>/new.key");
        s_client(first.address(), &keep).expect(&["HTTP/1.1 200"]);
        assert!(
            s_client(second.address(), &go_on).expect(&["HTTP/1.1 200"]).is_resumed(),
            "{version}: of the fleet"
        );
        s_client(second.address(), &keep);
        assert!(!s_client(first.address(), &go_on).expect(&["HTTP/1.1 200"]).is_resumed());
    }
}

#[test]
fn large_bodies_go_through_whole_both_ways() {
    let authority = authority();
    let echo = backend(|call| {
        let body = call.body();
        call.reply(200, body);
    });
    let config = "
        listeners: [ { address: '127.0.0.1:0', tls: { certificates: { cert: <dir>/a.pem, key: <dir>/a.key } } } ]
        services: { echo: <echo> }
        routes: [ { match: '/{rest...}', to: echo, access: public } ]
        ";
    let gate = gateway_with(config, &[("dir", &authority.folder().display()), ("echo", &echo)]);
    let body: Vec<u8> = (0..5_000_000u32).flat_map(|number| [(number % 251) as u8]).collect();
    let file = authority.path("body");
    fs::write(&file, &body).unwrap();
    let (url, from) = (format!("https://{}/x", gate.address()), format!("@{}", file.display()));
    for version in ["--http1.1", "--http2"] {
        let answer = curl(&["-k", version, "-H", "Expect:", "--data-binary", &from, &url]);
        assert!(
            answer.code == 0 && answer.out == body,
            "{version}: {} bytes, {}",
            answer.out.len(),
            answer.err
        );
    }
}

#[test]
fn a_request_in_clear_on_the_tls_port_is_told_to_come_by_https() {
    let authority = authority();
    let gate = one_pair(&authority, "");
    let answer = gate.get("/x").expect(400);
    assert_eq!(answer.json()["code"], "clear_on_tls_port");
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(gate.log(1)[0]["code"], "clear_on_tls_port");
    // Nor does HTTP/2 come in by the side.
    let url = format!("http://{}/x", gate.address());
    let answer = curl(&["--http2-prior-knowledge", "-w", " %{http_code}", &url]);
    let told = String::from_utf8(answer.out).unwrap();
    assert!(told.contains("clear_on_tls_port") && told.ends_with(" 400"), "{told}");
}

#[test]
fn a_handshake_on_the_clear_port_is_logged_for_what_it_is() {
    let gate = gateway_with("routes: [ { match: /x, respond: 200, access: public } ]", &[]);
    s_client(gate.address(), &[]).expect_no_answer("wrong version number");
    assert_eq!(gate.log(1)[0]["code"], "tls_on_clear_port");
}

#[test]
fn a_client_that_does_not_shake_hands_is_let_go() {
    let authority = authority();
    let gate = one_pair(&authority, ", handshake_timeout: 300ms, handshakes: 2");
    let begun = Instant::now();
    let mut idle = [gate.connect(), gate.connect(), gate.connect()];
    s_client(gate.address(), &[]).expect(&["HTTP/1.1 200"]);
    // A handshake begins with its first byte.
    let mut silent = [gate.send(b"\x16"), gate.send(b"\x16")];
    eventually("two handshakes are under way and no third begins", || {
        let mut third = gate.connect();
        third.send(b"\x16");
        third.expect_end();
        gate.metrics().sum("tollgate_tls_handshakes_total", &[("result", "refused")]) >= 1.0
    });
    for wire in silent.iter_mut().chain(&mut idle) {
        wire.expect_end();
    }
    assert!(begun.elapsed() >= Duration::from_millis(300));
    s_client(gate.address(), &[]).expect(&["HTTP/1.1 200"]);
}

#[test]
fn a_certificate_for_development_is_announced_with_its_fingerprint() {
    let authority = OpenSsl::new();
    let gate = secured(&authority, "tls: dev");
    let port = gate.address().port();
    let said = gate.expect_line("  SHA-256 ");
    gate.expect_line("shows a certificate of its own making, for development only");
    let url = format!("https://localhost:{port}/x");
    assert_eq!(curl(&["-k", &url]).text(), "pong");
    assert_eq!(curl(&[&url]).code, 60, "nobody believes it by itself");
    let shown = s_client(gate.address(), &["-showcerts"]);
    let pem: String =
        shown.text().split_inclusive('\n').skip_while(|line| !line.contains("BEGIN CERT")).collect();
    let file = authority.path("shown.pem");
    fs::write(&file, pem.split("-----END").next().unwrap().to_owned() + "-----END CERTIFICATE-----\n")
        .unwrap();
    let fingerprint = authority.fingerprint("shown");
    assert_eq!(said.trim(), format!("SHA-256 {fingerprint}"));
    gate.expect_reload(|| gate.hang_up());
    assert!(
        s_client(gate.address(), &["-showcerts"]).text().contains(&pem[100..200]),
        "it stays over a reload"
    );
}

#[test]
fn browsers_are_told_to_come_back_by_https_only_when_they_came_by_it() {
    let authority = authority();
    let config = "
        listeners:
          - address: '127.0.0.1:0'
            tls: { certificates: { cert: <dir>/a.pem, key: <dir>/a.key } }
          - { address: '127.0.0.1:0', trust_forwarded: 127.0.0.2/32 }
        defaults: { access: public, secure_headers: true }
        routes:
          - { match: /usual, respond: 200 }
          - { match: /own, respond: { status: 200, headers: { X-Frame-Options: SAMEORIGIN } } }
          - { match: /less, respond: 200, secure_headers: { hsts: { max_age: 30d, subdomains: true }, frame_options: off } }
          - { match: /none, respond: 200, secure_headers: off }
        ";
    let gate = gateway_with(config, &[("dir", &authority.folder().display())]);
    let year = "strict-transport-security: max-age=31536000";
    for (path, https, expected, not_there) in [
        (
            "usual",
            true,
            &[year, "x-frame-options: deny", "x-content-type-options: nosniff", "referrer-policy:"][..],
            "",
        ),
        ("usual", false, &["x-frame-options: deny"], "strict-transport"),
        ("own", true, &["x-frame-options: sameorigin", year], "deny"),
        ("less", true, &["strict-transport-security: max-age=2592000; includesubdomains"], "x-frame"),
        ("none", true, &[], "strict-transport"),
    ] {
        let (scheme, listener) = if https { ("https", 0) } else { ("http", 1) };
        let url = format!("{scheme}://{}/{path}", gate.listener(listener));
        let head = curl(&["-ki", &url]).text().to_ascii_lowercase();
        for expected in expected {
            assert!(head.contains(expected), "{expected} is not in\n{head}");
        }
        assert!(not_there.is_empty() || !head.contains(not_there), "{not_there} is in\n{head}");
    }
}
