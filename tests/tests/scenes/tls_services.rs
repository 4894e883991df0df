//! TLS towards services, with nginx at the other end: whom the gateway believes, and what it shows.

use tollgate_tests::tls::{OpenSsl, Wish};
use tollgate_tests::{Gateway, Nginx, free_port, gateway_with, nginx, raw_backend};

/// An nginx that speaks TLS and answers with what it knows of the connection; and its port.
fn service(authority: &OpenSsl, more: &str) -> (Nginx, u16) {
    let (port, dir) = (free_port(), authority.folder().display());
    let server = nginx(&format!(
        "listen 127.0.0.1:{port} ssl {more};
         ssl_certificate {dir}/a.pem; ssl_certificate_key {dir}/a.key;
         ssl_client_certificate {dir}/ca.pem; ssl_verify_client optional;
         location / {{ return 200 'name=$ssl_server_name client=$ssl_client_s_dn protocol=$server_protocol reused=$ssl_session_reused'; }}"
    ));
    (server, port)
}

fn authority() -> OpenSsl {
    let authority = OpenSsl::new();
    authority.issue("a", Wish { hosts: &["localhost", "a.test"], ..Wish::default() });
    authority.issue("gateway", Wish::default());
    authority
}

/// A gateway in front of that port, with this `tls`.
#[track_caller]
fn before(authority: &OpenSsl, port: u16, service: &str) -> Gateway {
    let config = "
        services:
          s: { endpoints: 'https://localhost:<port>', <service> }
        routes: [ { match: '/{rest...}', to: s, access: public } ]
        ";
    gateway_with(config, &[("service", &service), ("port", &port), ("dir", &authority.folder().display())])
}

#[test]
fn a_service_is_believed_by_the_authority_that_is_named() {
    let authority = authority();
    let stranger = OpenSsl::new();
    let (_nginx, port) = service(&authority, "");
    let stranger = stranger.path("ca.pem").display().to_string();
    for (tls, expected) in [
        ("tls: { ca: <dir>/ca.pem }", Ok("name=localhost client= protocol=HTTP/1.1")),
        ("tls: { ca: <dir>/ca.pem, server_name: a.test }", Ok("name=a.test client=")),
        ("tls: { ca: <dir>/ca.pem, server_name: b.test }", Err(())),
        ("tls: { ca: <stranger> }", Err(())),
        ("pool: { idle: 1 }", Err(())),
        ("tls: { insecure: true }", Ok("name=localhost")),
        (
            "tls: { ca: <dir>/ca.pem, cert: <dir>/gateway.pem, key: <dir>/gateway.key }",
            Ok("client=CN=gateway"),
        ),
    ] {
        let gate = before(&authority, port, &tls.replace("<stranger>", &stranger));
        match expected {
            Ok(words) => {
                let text = gate.get("/x").expect(200).text();
                assert!(text.contains(words), "{tls}: {text}");
            }
            Err(()) => {
                gate.get("/x").expect(502).expect_refusal("upstream_tls_failed");
            }
        }
    }
}

#[test]
fn an_insecure_service_is_warned_of_at_every_start() {
    let authority = authority();
    let gate = before(&authority, 1, "tls: { insecure: true }");
    gate.expect_line("INSECURE: whoever is on the way to the service `s` can read and change everything");
}

#[test]
fn the_handshake_agrees_on_http2_where_the_configuration_leaves_it_open() {
    let authority = authority();
    for (nginx, protocol, expected) in [
        ("http2", "", "protocol=HTTP/2.0"),
        ("http2", ", protocol: http2", "protocol=HTTP/2.0"),
        ("http2", ", protocol: http1", "protocol=HTTP/1.1"),
        ("", "", "protocol=HTTP/1.1"),
    ] {
        let (_nginx, port) = service(&authority, nginx);
        let gate = before(&authority, port, &format!("tls: {{ ca: <dir>/ca.pem }} {protocol}"));
        for _ in 0..3 {
            let text = gate.get("/x").expect(200).text();
            assert!(text.contains(expected), "{nginx} {protocol}: {text}");
        }
    }
    let (_nginx, port) = service(&authority, "");
    let gate = before(&authority, port, "tls: { ca: <dir>/ca.pem }, protocol: http2");
    gate.get("/x").expect(502).expect_refusal("upstream_tls_failed");
}

#[test]
fn a_session_with_a_service_is_resumed() {
    let authority = authority();
    let (_nginx, port) = service(&authority, "");
    // No connection is kept, so that each request begins with a handshake.
    let gate = before(&authority, port, "tls: { ca: <dir>/ca.pem }, pool: { idle: 0 }");
    assert!(gate.ask("GET", "/x").header("Connection", "close").send().text().contains("reused=."));
    let again = gate.get("/x").text();
    assert!(again.contains("reused=r"), "{again}");
}

#[test]
fn a_bad_authority_is_shown_by_check_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.yaml");
    let text = "services: { s: { endpoints: https://a.test, tls: { ca: none.pem } } }\n\
                routes: [ { match: /x, to: s, access: public } ]\n";
    std::fs::write(&file, text).unwrap();
    let output = tollgate_tests::tollgate(&["check".as_ref(), file.as_os_str()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("tollgate.yaml:1:56: error: cannot read") && said.contains("none.pem"), "{said}");
}

#[test]
fn a_handshake_may_have_a_limit_of_its_own() {
    // Takes the connection, and says nothing.
    let silent = raw_backend(|socket| {
        let _ = socket.take_until(b"what no handshake says");
    });
    for (limits, code) in
        [("connect: 10s, tls: 100ms", "upstream_tls_timeout"), ("connect: 100ms", "upstream_connect_timeout")]
    {
        let gate = gateway_with(
            "
            services: { s: { endpoints: 'https://<silent>', timeout: { <limits> }, retry: off } }
            routes: [{ match: '/{rest...}', to: s, access: public }]
            ",
            &[("silent", &silent.authority()), ("limits", &limits)],
        );
        gate.get("/x").expect(504).expect_refusal(code);
        assert_eq!(gate.log(1)[0]["code"], code);
    }
}
