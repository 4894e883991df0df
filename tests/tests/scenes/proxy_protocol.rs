//! The PROXY protocol: whose connection it is, as HAProxy says it to us and as we say it to services.

use serde_json::Value;
use tollgate_tests::{
    Authority, Backend, Ending, Gateway, Nginx, Socket, Wire, backend, curl, free_port, gateway_with,
    haproxy, hello, nginx, proxy_relay, raw_backend,
};

/// A gateway that asks 127.0.0.1 for a header, and nobody else.
fn behind_a_proxy(users: &Backend) -> Gateway {
    gateway_with(
        "
        listeners:
          - { address: '127.0.0.1:0', proxy_protocol: { from: [127.0.0.1] }, limits: { header_timeout: 500ms } }
        services: { users: <users> }
        routes:
          - { match: { path: '/{rest...}', when: 'request.client_ip == \"203.0.113.9\"' }, access: public,
              respond: { status: 200, body: 'you are 203.0.113.9' } }
          - { match: '/{rest...}', to: users, access: public }
        ",
        &[("users", users)],
    )
}

/// A backend that answers with what it was told of the client.
fn mirror() -> Backend {
    backend(|call| {
        let told = call.seen.header("X-Forwarded-For").unwrap_or_default().to_owned();
        call.reply(200, told);
    })
}

#[test]
fn haproxy_says_who_the_client_is() {
    let users = mirror();
    let gate = behind_a_proxy(&users);
    let options = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"];
    for (number, options) in options.into_iter().enumerate() {
        let proxy = proxy_relay(gate.address(), options);
        let url = format!("http://{}/[1-3]", proxy.address());
        // Three requests on one connection: the header is said once.
        let told = curl(&["--interface", "127.0.0.2", &url]).text();
        assert_eq!(told, "127.0.0.2".repeat(3), "{options}");
        assert_eq!(gate.log(3 * number + 3)[3 * number]["client_ip"], "127.0.0.2");
    }
}

#[test]
fn haproxy_says_it_over_a_unix_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let users = mirror();
    let gate = gateway_with(
        "
        listeners: [{ address: 'unix:<path>', proxy_protocol: 127.0.0.1 }]
        services: { users: <users> }
        routes: [{ match: /, to: users, access: public }]
        ",
        &[("path", &path.display()), ("users", &users)],
    );
    let proxy = haproxy("", &format!(" mode tcp\n server one unix@{} send-proxy-v2", path.display()));
    let told = curl(&["--interface", "127.0.0.2", &format!("http://{}/", proxy.address())]).text();
    assert_eq!(told, "127.0.0.2");
    assert_eq!(gate.log(1)[0]["client_ip"], "127.0.0.2");
}

#[test]
fn curl_says_who_it_is() {
    let users = mirror();
    let gate = behind_a_proxy(&users);
    let url = format!("http://{}/", gate.address());
    assert_eq!(curl(&["--haproxy-protocol", &url]).text(), "127.0.0.1");
}

#[test]
fn the_address_in_the_header_is_the_clients_for_rules_too() {
    let users = mirror();
    let gate = behind_a_proxy(&users);
    for (header, body) in [
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 5 80\r\n".as_slice(), "you are 203.0.113.9"),
        (b"PROXY TCP4 203.0.113.8 192.0.2.1 5 80\r\n", "203.0.113.8"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 5 80\r\n", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 5 80\r\n", "you are 203.0.113.9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (&[V2, b"\x20\x00\x00\x00"].concat(), "127.0.0.1"),
        (
            &[V2, b"\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x00\x05\x00\x50"].concat(),
            "you are 203.0.113.9",
        ),
    ] {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
        gate.send([header, request].concat()).answer().expect(200).expect_body(body);
        let mut slow = gate.connect();
        for byte in header {
            slow.send([*byte]);
        }
        slow.send(request);
        slow.answer().expect(200).expect_body(body);
    }
}

#[test]
fn a_trusted_proxy_behind_another_is_believed_about_the_client() {
    let users = mirror();
    let gate = gateway_with(
        "
        listeners:
          - { address: '127.0.0.1:0', proxy_protocol: 127.0.0.1, trust_forwarded: 203.0.113.0/24 }
        services: { users: <users> }
        routes: [{ match: /, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let ask = |client: &str| {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.4\r\n\r\n";
        gate.send(format!("PROXY TCP4 {client} 192.0.2.1 5 80\r\n{request}")).answer().text()
    };
    assert_eq!(ask("203.0.113.9"), "198.51.100.4, 203.0.113.9");
    assert_eq!(ask("192.0.2.9"), "192.0.2.9", "the header's word counts, not the proxy's own address");
}

#[test]
fn a_client_that_its_proxy_does_not_name_is_not_believed_in_the_proxys_place() {
    let users = mirror();
    let gate = gateway_with(
        "
        listeners:
          - { address: '127.0.0.1:0', proxy_protocol: 127.0.0.1, trust_forwarded: 127.0.0.1 }
        services: { users: <users> }
        routes: [{ match: /, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.4\r\n\r\n".as_slice();
    for (header, told) in [
        ([V2, b"\x20\x00\x00\x00"].concat(), "198.51.100.4, 127.0.0.1"),
        ([V2, b"\x21\x00\x00\x00"].concat(), "127.0.0.1"),
        ([V2, b"\x21\x31\x00\xd8", &[b'/'; 216]].concat(), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        gate.send([&header, request].concat()).answer().expect(200).expect_body(told);
    }
}

#[test]
fn who_must_send_a_header_and_does_not_is_sent_away() {
    let users = hello();
    let gate = behind_a_proxy(&users);
    let too_long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat();
    for (bytes, reason) in [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(), "proxy_protocol_missing"),
        (b"\x16\x03\x01\x00\x05", "proxy_protocol_missing"),
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 5 80 \r\n", "proxy_protocol_malformed"),
        (&[V2, b"\x22\x11\x00\x00"].concat(), "proxy_protocol_malformed"),
        (&too_long, "proxy_protocol_too_long"),
        (&[V2, b"\x21\x11\x00\x13\xcb\x00\x71\x09\xc0\x00\x02\x01\x00\x05\x00\x50\x03\x00\x04\x00\x00\x00\x00"].concat(),
         "proxy_protocol_checksum"),
        (b"PROXY TCP4 203.0.113.9", "proxy_protocol_timeout"),
        (b"", "proxy_protocol_timeout"),
    ] {
        let before = count(&gate, "tollgate_connections_refused_total", &[("reason", reason)]);
        let mut client = Socket::connect(gate.address());
        client.send(bytes);
        let (answer, ending) = client.take_rest();
        assert!(answer.is_empty() && ending != Ending::Silent, "{reason}");
        let after = count(&gate, "tollgate_connections_refused_total", &[("reason", reason)]);
        assert_eq!(after - before, 1, "{reason}");
    }
    assert_eq!(users.connections(), 0);
}

#[test]
fn a_header_from_anybody_else_is_a_malformed_request() {
    let users = hello();
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', proxy_protocol: 10.0.0.0/8 }]
        services: { users: <users> }
        routes: [{ match: '/{rest...}', to: users, access: public }]
        ",
        &[("users", &users)],
    );
    gate.get("/").expect(200);
    let header = "PROXY TCP4 203.0.113.9 192.0.2.1 5 80\r\n";
    gate.send(format!("{header}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).answer().expect(400);
    gate.send([V2, b"\x20\x00\x00\x00GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).answer().expect(400);
    assert_eq!(gate.log(3)[1]["client_ip"], "127.0.0.1");
}

/// An nginx that wants a header and answers with what it says, and a gateway before it.
fn before_nginx(version: &str, listener: &str) -> (Nginx, Gateway) {
    let port = free_port();
    let server = nginx(&format!(
        "listen 127.0.0.1:{port} proxy_protocol;
         location / {{ return 200 '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr'; }}"
    ));
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0'<listener> }]
        services: { users: { endpoints: ['http://127.0.0.1:<port>'], proxy_protocol: <version> } }
        routes: [{ match: '/{rest...}', to: users, access: public }]
        ",
        &[("port", &port), ("version", &version), ("listener", &listener)],
    );
    (server, gate)
}

#[test]
fn nginx_is_told_who_the_client_is() {
    for version in ["v1", "v2"] {
        let (_server, gate) = before_nginx(version, "");
        for client in ["127.0.0.2", "127.0.0.3"] {
            let url = format!("http://{}/[1-2]", gate.address());
            let told = curl(&["--interface", client, "-w", " %{local_port}\n", &url]).text();
            for line in told.lines() {
                let told: Vec<&str> = line.split(' ').collect();
                assert_eq!((told[0], told[2]), (client, "127.0.0.1"), "{version}: {line}");
                assert_eq!(told[1], told[3], "{version}: the client's own port");
            }
        }
        let reused = count(&gate, "tollgate_upstream_connections_reused_total", &[]);
        assert_eq!(reused, 0, "a connection that was opened for one client serves no other");
    }
}

#[test]
fn a_chain_of_proxies_passes_the_client_on() {
    let (_server, gate) = before_nginx("v2", ", proxy_protocol: 127.0.0.1");
    let proxy = proxy_relay(gate.address(), "send-proxy-v2");
    let url = format!("http://{}/", proxy.address());
    let told = curl(&["--interface", "127.0.0.2", "-w", " %{local_port}", &url]).text();
    let told: Vec<&str> = told.split(' ').collect();
    assert_eq!((told[0], told[2]), ("127.0.0.2", "127.0.0.1"));
    assert_eq!(told[1], told[3], "{told:?}");
}

#[test]
fn the_header_comes_before_tls_on_both_sides() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost"]);
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let port = free_port();
    let _server = nginx(&format!(
        "listen 127.0.0.1:{port} ssl proxy_protocol; ssl_certificate {certificate}; ssl_certificate_key {key};
         location / {{ return 200 '$proxy_protocol_addr $http_x_forwarded_proto'; }}"
    ));
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tls: dev, proxy_protocol: 127.0.0.1 }]
        services:
          users: { endpoints: ['https://localhost:<port>'], tls: { ca: <ca> }, proxy_protocol: v2 }
        routes: [{ match: '/{rest...}', to: users, access: public }]
        ",
        &[("port", &port), ("ca", &authority.certificate().display())],
    );
    let proxy = proxy_relay(gate.address(), "send-proxy-v2");
    let url = format!("https://{}/", proxy.address());
    for version in ["--http1.1", "--http2"] {
        let told = curl(&["-k", version, "--interface", "127.0.0.2", &url]).text();
        assert_eq!(told, "127.0.0.2 https", "{version}");
    }
}

#[test]
fn a_client_known_by_a_trusted_field_is_told_without_a_port() {
    let (_server, gate) = before_nginx("v1", ", trust_forwarded: 127.0.0.1");
    let answer = gate.ask("GET", "/").header("X-Forwarded-For", "2001:db8::7").send();
    // nginx shows no port for 0.
    answer.expect(200).expect_body("2001:db8::7  ::ffff:127.0.0.1");
}

#[test]
fn a_service_that_wants_headers_from_now_on_gets_no_kept_connection() {
    let users = raw_backend(|socket| {
        while let Ok(head) = socket.take_until(b"\r\n\r\n") {
            let kind = if head.starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 ") { "told" } else { "kept" };
            socket.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{kind}"));
        }
    });
    let config = |keys: &str| {
        format!(
            "services: {{ users: {{ endpoints: ['{users}']{keys} }} }}\n\
             routes: [{{ match: /, to: users, access: public }}]\n"
        )
    };
    let gate = tollgate_tests::gateway(config(""));
    gate.get("/").expect_body("kept");
    gate.expect_reload(|| gate.replace_config(&config(", proxy_protocol: v1")));
    for _ in 0..2 {
        gate.get("/").expect_body("told");
    }
    assert_eq!(users.connections(), 3);
}

#[test]
fn a_connection_that_is_passed_on_keeps_its_client() {
    let db = raw_backend(|socket| {
        let header = socket.take_until(b"\r\n").unwrap();
        socket.send(header);
        let rest = socket.take_some().unwrap();
        socket.send(rest);
    });
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tcp: db, proxy_protocol: 127.0.0.1 }]
        services: { db: { endpoints: ['tcp://127.0.0.1:<port>'], proxy_protocol: v1 } }
        ",
        &[("port", &db.port())],
    );
    let mut client = Socket::connect(gate.address());
    client.send("PROXY TCP4 203.0.113.9 192.0.2.1 5 5432\r\nping");
    let whole = b"PROXY TCP4 203.0.113.9 192.0.2.1 5 5432\r\nping";
    assert_eq!(client.take(whole.len()).unwrap(), whole);
    client.close();
    assert_eq!(gate.log(1)[0]["client_ip"], "203.0.113.9");
    let mut unknown = Wire::over(Socket::connect(gate.address()));
    unknown.send("PROXY UNKNOWN\r\nping");
    let text = String::from_utf8(unknown.take_until(b"ping").unwrap()).unwrap();
    assert!(text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{text}");
    assert_eq!(gate.log(1)[0]["method"], Value::Null);
}

/// How a header of version 2 begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What `/metrics` counts now.
fn count(gate: &Gateway, name: &str, labels: &[(&str, &str)]) -> u64 {
    gate.metrics().sum(name, labels) as u64
}
