//! Clients that show certificates (mTLS): who gets in, who does not, and what is known of those who do.

use tollgate_tests::http2::{Http2, get};
use tollgate_tests::tls::{OpenSsl, Told, Wish, s_client};
use tollgate_tests::{Gateway, curl, gateway_with};

/// A gateway whose only TLS listener asks clients for certificates in this way, and tells who they are.
#[track_caller]
fn asking(authority: &OpenSsl, client: &str) -> Gateway {
    let config = "
        listeners:
          - address: '127.0.0.1:0'
            tls:
              certificates: { cert: <dir>/a.pem, key: <dir>/a.key }
              client: { ca: <dir>/ca.pem <client> }
        routes:
          - { match: { path: /x, when: \"has(certificate.subject) && certificate.subject == 'CN=vip'\" },
              respond: { body: welcome }, access: public }
          - { match: /x, respond: { body: pong }, access: public }
        ";
    gateway_with(config, &[("client", &client), ("dir", &authority.folder().display())])
}

fn authority() -> OpenSsl {
    let authority = OpenSsl::new();
    authority.issue("a", Wish { hosts: &["a.test"], ..Wish::default() });
    for name in ["partner", "vip", "revoked"] {
        authority.issue(name, Wish::default());
    }
    authority
}

/// A request by the holder of this certificate; both versions of TLS say no in ways of their own.
#[track_caller]
fn come(gate: &Gateway, authority: &OpenSsl, name: Option<&str>, version: &str) -> Told {
    let files = name.map(|name| {
        ["pem", "key"].map(|kind| authority.path(&format!("{name}.{kind}")).display().to_string())
    });
    let mut arguments = vec![version];
    if let Some([cert, key]) = &files {
        arguments.extend(["-cert", cert, "-key", key]);
    }
    s_client(gate.address(), &arguments)
}

#[test]
fn where_a_certificate_is_required_nobody_comes_without() {
    let authority = authority();
    let stranger = OpenSsl::new();
    stranger.issue("partner", Wish::default());
    let gate = asking(&authority, "");
    for version in ["-tls1_2", "-tls1_3"] {
        come(&gate, &authority, Some("partner"), version).expect(&[
            "HTTP/1.1 200",
            "pong",
            "Acceptable client certificate CA names",
        ]);
        come(&gate, &authority, Some("vip"), version).expect(&["HTTP/1.1 200", "welcome"]);
        come(&gate, &authority, None, version).expect_no_answer("alert");
        come(&gate, &stranger, Some("partner"), version).expect_no_answer("alert");
    }
    let log = gate.log(4);
    assert_eq!(log[0]["client_certificate"], "CN=partner");
    let failed = gate.metrics().sum("tollgate_tls_handshakes_total", &[("result", "client_certificate")]);
    assert!((failed - 4.0).abs() < 0.5, "{failed}");
    let url = format!("https://{}/x", gate.address());
    let [cert, key] = ["vip.pem", "vip.key"].map(|file| authority.path(file).display().to_string());
    for version in ["--http1.1", "--http2"] {
        assert_eq!(
            curl(&["-k", version, "--cert", &cert, "--key", &key, &url]).text(),
            "welcome",
            "{version}"
        );
    }
}

#[test]
fn where_a_certificate_is_optional_only_a_bad_one_is_turned_away() {
    let authority = authority();
    let stranger = OpenSsl::new();
    stranger.issue("partner", Wish::default());
    authority.issue("late", Wish { days: Some(0), ..Wish::default() });
    let gate = asking(&authority, ", required: false");
    for version in ["-tls1_2", "-tls1_3"] {
        come(&gate, &authority, None, version).expect(&["HTTP/1.1 200", "pong"]);
        come(&gate, &authority, Some("vip"), version).expect(&["HTTP/1.1 200", "welcome"]);
        come(&gate, &authority, Some("late"), version).expect_no_answer("alert certificate expired");
        come(&gate, &stranger, Some("partner"), version).expect_no_answer("alert");
    }
}

#[test]
fn connections_from_before_a_change_of_who_may_come_end_with_their_next_answer() {
    let authority = authority();
    let config = |tls: &str| {
        let listener = format!("listeners: [ {{ address: '127.0.0.1:0'{tls} }} ]");
        format!("{listener}\nroutes: [ {{ match: /x, respond: {{ body: pong }}, access: public }} ]\n")
    };
    let gate = gateway_with(&config(""), &[]);
    let mut one = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!one.answer().expect(200).closes());
    let mut many = Http2::connect(gate.address(), &[]);
    assert_eq!(many.ask(&get("/x")).status(), Some(200));
    let folder = authority.folder().display();
    let asking = format!(
        ", tls: {{ certificates: {{ cert: {folder}/a.pem, key: {folder}/a.key }}, client: {{ ca: {folder}/ca.pem }} }}"
    );
    gate.expect_reload(|| gate.replace_config(&config(&asking)));
    one.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(one.answer().expect(200).closes());
    one.expect_end();
    assert_eq!(many.ask(&get("/x")).status(), Some(200));
    assert_eq!(many.expect_goaway(), Some(0));
    let files = ["partner.pem", "partner.key"].map(|file| authority.path(file).display().to_string());
    s_client(gate.address(), &["-cert", &files[0], "-key", &files[1]]).expect(&["HTTP/1.1 200"]);
}

#[test]
fn a_revoked_certificate_is_turned_away_as_soon_as_the_list_says_so() {
    let authority = authority();
    let list = authority.list();
    let gate = asking(&authority, &format!(", crl: {}", list.display()));
    let session = authority.path("session").display().to_string();
    let files = ["revoked.pem", "revoked.key"].map(|file| authority.path(file).display().to_string());
    let own = ["-cert", files[0].as_str(), "-key", files[1].as_str()];
    s_client(gate.address(), &[&own[..], &["-servername", "a.test", "-sess_out", &session]].concat())
        .expect(&["HTTP/1.1 200"]);
    assert!(!authority.path("session").exists(), "nobody is given a ticket that would spare the next look");
    authority.revoke("revoked");
    gate.expect_reload(|| {
        authority.list();
    });
    s_client(gate.address(), &own).expect_no_answer("alert certificate revoked");
    come(&gate, &authority, Some("partner"), "-tls1_3").expect(&["HTTP/1.1 200"]);
}
