//! Connections that are passed on byte by byte: a database behind the gateway, TLS that is told apart by its name.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::Value;
use tollgate_tests::{
    Authority, Backend, Ending, Gateway, Signal, Socket, curl, eventually, free_port, gateway_with, nginx,
    raw_backend, redis, redis_cli, tls_handshake, tls_server,
};

/// A gateway that passes all connections on to these endpoints; more keys of the service behind them.
fn pass_on(endpoints: &str, keys: &str) -> Gateway {
    gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tcp: db }]
        services: { db: { endpoints: [<endpoints>] <keys> } }
        ",
        &[("endpoints", &endpoints), ("keys", &keys)],
    )
}

fn tcp(backend: &Backend) -> String {
    format!("tcp://127.0.0.1:{}", backend.port())
}

/// Sends back what comes, and ends when the client has ended.
fn echo(socket: &mut Socket) {
    loop {
        match socket.take_some() {
            Ok(part) if !part.is_empty() => socket.send(part),
            _ => return,
        };
    }
}

#[test]
fn redis_serves_through_the_gateway() {
    let store = redis();
    let gate = pass_on(&format!("tcp://127.0.0.1:{}", store.port), "");
    assert_eq!(redis_cli(gate.address(), &["SET", "colour", "blue"]), "OK");
    assert_eq!(redis_cli(gate.address(), &["GET", "colour"]), "blue");
    let large = "x".repeat(100_000);
    assert_eq!(redis_cli(gate.address(), &["SET", "large", &large]), "OK");
    assert_eq!(redis_cli(gate.address(), &["GET", "large"]), large);
    let lines = gate.log(4);
    let first = &lines[0];
    assert_eq!(
        (&first["protocol"], &first["status"], &first["service"]),
        (&"TCP".into(), &200.into(), &"db".into())
    );
    assert_eq!((&first["client_ip"], &first["attempts"]), (&"127.0.0.1".into(), &1.into()));
    assert!(first["bytes_in"].as_u64() > Some(20) && first["bytes_out"].as_u64() >= Some(5), "{first}");
    assert!(first["duration_ms"].is_number() && first["connect_ms"].is_number() && first["method"].is_null());
    let of_db = [("service", "db")];
    assert_eq!(count(&gate, "tollgate_tcp_connections_total", &[("service", "db"), ("status", "2xx")]), 4);
    assert_eq!(count(&gate, "tollgate_tcp_connections_open", &of_db), 0);
    assert!(count(&gate, "tollgate_tcp_received_bytes_total", &of_db) > 100_000);
    assert!(count(&gate, "tollgate_tcp_sent_bytes_total", &of_db) > 100_000);
}

#[test]
fn each_side_may_end_its_half_first() {
    let whole = raw_backend(|socket| {
        let (all, ending) = socket.take_rest();
        socket.send(format!("{} bytes, {ending:?}", all.len()));
    });
    let gate = pass_on(&tcp(&whole), "");
    let mut client = Socket::connect(gate.address());
    client.send(vec![b'x'; 300_000]);
    client.half_close();
    assert_eq!(client.take_rest(), (b"300000 bytes, Closed".to_vec(), Ending::Closed));

    let first = raw_backend(|socket| {
        socket.send("goodbye");
        socket.half_close();
        socket.take_rest();
    });
    let gate = pass_on(&tcp(&first), "");
    let mut client = Socket::connect(gate.address());
    assert_eq!(client.take_rest(), (b"goodbye".to_vec(), Ending::Closed));
    client.send("thanks");
    client.half_close();
    first.expect_ended(1);
    assert_eq!(first.bytes(0), b"thanks");
    assert_eq!((&gate.log(1)[0]["bytes_in"], &gate.log(1)[0]["code"]), (&6.into(), &Value::Null));
}

#[test]
fn bytes_are_counted_while_a_connection_lives() {
    let db = raw_backend(echo);
    let gate = pass_on(&tcp(&db), "");
    let mut client = Socket::connect(gate.address());
    client.send("ping");
    assert_eq!(client.take(4).unwrap(), b"ping");
    assert_eq!(count(&gate, "tollgate_tcp_connections_open", &[]), 1);
    assert_eq!(count(&gate, "tollgate_tcp_received_bytes_total", &[]), 4);
}

#[test]
fn another_endpoint_is_tried_when_one_cannot_be_reached() {
    let db = raw_backend(echo);
    let dead = format!("tcp://127.0.0.1:{}", free_port());
    let gate = pass_on(&format!("{dead}, {}", tcp(&db)), "");
    for _ in 0..4 {
        let mut client = Socket::connect(gate.address());
        client.send("ping");
        assert_eq!(client.take(4).unwrap(), b"ping");
    }
    let attempts: u64 = gate.log(3).iter().map(|line| line["attempts"].as_u64().unwrap()).sum();
    assert!(attempts > 3, "{attempts}");
}

#[test]
fn a_connection_that_leads_nowhere_is_closed_logged_and_counted() {
    let dead = format!("tcp://127.0.0.1:{}", free_port());
    let gate = pass_on(&dead, "");
    assert!(Socket::connect(gate.address()).ends());
    let line = &gate.log(1)[0];
    assert_eq!((&line["status"], &line["code"]), (&502.into(), &"upstream_connect_failed".into()));
    assert!(line["cause"].as_str().unwrap().contains("refused"), "{line}");
    assert_eq!(count(&gate, "tollgate_refusals_total", &[("code", "upstream_connect_failed")]), 1);
    assert_eq!(count(&gate, "tollgate_tcp_connections_total", &[("status", "5xx")]), 1);
}

#[test]
fn a_silent_connection_is_cut_after_the_idle_time() {
    let db = raw_backend(echo);
    let gate = pass_on(&tcp(&db), ", timeout: { idle: 300ms }");
    let mut client = Socket::connect(gate.address());
    client.send("ping");
    assert_eq!(client.take(4).unwrap(), b"ping");
    assert_eq!(client.take_rest(), (Vec::new(), Ending::Reset), "nobody takes it for an orderly end");
    db.expect_ended(1);
    assert_eq!(gate.log(1)[0]["code"], "tunnel_idle");
}

/// A service that answers half, and raises the signal when its connection is torn.
fn half_answering() -> (Backend, Signal) {
    let torn = Signal::new();
    let seen = torn.clone();
    let db = raw_backend(move |socket| {
        socket.take(4).unwrap();
        socket.send("half");
        if socket.take_rest().1 == Ending::Reset {
            seen.raise();
        }
    });
    (db, torn)
}

#[test]
fn a_torn_connection_is_torn_on_the_other_side_too() {
    let (db, torn) = half_answering();
    let gate = pass_on(&tcp(&db), "");
    let mut client = Socket::connect(gate.address());
    client.send("ping");
    client.take(4).unwrap();
    client.reset();
    torn.wait();
    assert_eq!(gate.log(1)[0]["code"], "tunnel_broken");
}

#[test]
fn no_more_connections_are_opened_than_the_pool_may_have() {
    let db = raw_backend(echo);
    let gate = pass_on(&tcp(&db), ", pool: { max: 1 }");
    let mut first = Socket::connect(gate.address());
    first.send("ping");
    first.take(4).unwrap();
    assert!(Socket::connect(gate.address()).ends());
    assert_eq!(gate.log(1)[0]["code"], "upstream_busy");
    let mut third = Socket::connect(gate.address());
    third.send("pong");
    first.close();
    assert_eq!(third.take(4).unwrap(), b"pong", "it waited for the first to end");
}

#[test]
fn a_reload_leads_new_connections_elsewhere_and_keeps_the_others() {
    let named =
        |name: &'static str| raw_backend(move |socket| while socket.take(1).is_ok() && socket.send(name) {});
    let (old, new) = (named("old"), named("new"));
    let gate = pass_on(&tcp(&old), "");
    let mut before = Socket::connect(gate.address());
    before.send("?");
    assert_eq!(before.take(3).unwrap(), b"old");
    let address = gate.address();
    gate.expect_reload(|| {
        gate.replace_config(&format!(
            "listeners: [{{ address: '127.0.0.1:0', tcp: store }}]\nservices: {{ store: '{}' }}\n",
            tcp(&new)
        ));
    });
    assert_eq!(gate.address(), address, "the listener keeps its socket");
    let mut after = Socket::connect(address);
    after.send("?");
    assert_eq!(after.take(3).unwrap(), b"new");
    before.send("?");
    assert_eq!(before.take(3).unwrap(), b"old");
}

#[test]
fn a_graceful_stop_waits_for_connections_that_are_passed_on() {
    let db = raw_backend(echo);
    let mut gate = pass_on(&tcp(&db), "");
    let mut client = Socket::connect(gate.address());
    client.send("ping");
    client.take(4).unwrap();
    let address = gate.address();
    gate.terminate();
    eventually("the listener is closed", || std::net::TcpStream::connect(address).is_err());
    assert!(gate.is_running(), "it waits for the connection");
    client.send("pong");
    assert_eq!(client.take(4).unwrap(), b"pong");
    client.half_close();
    assert!(gate.expect_exit().success());
}

#[test]
fn what_is_cut_off_at_the_end_of_a_stop_does_not_look_whole() {
    let (db, torn) = half_answering();
    let mut gate = gateway_with(
        "
        drain: 300ms
        listeners: [{ address: '127.0.0.1:0', tcp: db }]
        services: { db: { endpoints: ['<db>'] } }
        ",
        &[("db", &tcp(&db))],
    );
    let mut client = Socket::connect(gate.address());
    client.send("ping");
    client.take(4).unwrap();
    gate.terminate();
    assert_eq!(client.take_rest(), (Vec::new(), Ending::Reset));
    torn.wait();
    gate.expect_exit();
}

/// The backends of the scenes with names, and a gateway that tells them apart; `default` may say where others go.
fn by_name(a: u16, b: u16, default: &str) -> Gateway {
    gateway_with(
        "
        listeners:
          - address: 127.0.0.1:0
            tcp: { sni: { A.example.com: a, '*.example.org': b } <default> }
            limits: { header_timeout: 500ms }
        services: { a: 'tcp://127.0.0.1:<a>', b: 'tcp://127.0.0.1:<b>' }
        ",
        &[("a", &a), ("b", &b), ("default", &default)],
    )
}

#[test]
fn openssl_is_led_by_the_name_it_asks_for_and_sees_the_services_own_certificate() {
    let (a, b) = (tls_server("a.example.com"), tls_server("wild.example.org"));
    let gate = by_name(a.port, b.port, "");
    for (name, subject) in [
        ("a.example.com", "CN = a.example.com"),
        ("A.EXAMPLE.COM", "CN = a.example.com"),
        ("x.example.org", "CN = wild.example.org"),
        ("x.y.example.org", "CN = wild.example.org"),
    ] {
        let said = tls_handshake(gate.address(), Some(name));
        assert!(said.contains(subject), "{name}: {said}");
        assert!(said.contains("Cipher is TLS_"), "{said}");
    }
    let line = &gate.log(1)[0];
    assert_eq!(
        (&line["protocol"], &line["host"], &line["service"]),
        (&"TLS".into(), &"a.example.com".into(), &"a".into())
    );
}

#[test]
fn a_name_that_no_service_has_is_answered_with_an_alert() {
    let a = tls_server("a.example.com");
    let gate = by_name(a.port, a.port, "");
    for name in [Some("example.org"), Some("b.example.com"), None] {
        let said = tls_handshake(gate.address(), name);
        assert!(said.contains("unrecognized name") && said.contains("alert number 112"), "{name:?}: {said}");
    }
    let line = &gate.log(1)[0];
    assert_eq!((&line["status"], &line["code"]), (&421.into(), &"sni_unknown".into()));
    assert_eq!((&line["host"], &line["stage"]), (&"example.org".into(), &"accept".into()));
    let refused = count(&gate, "tollgate_connections_refused_total", &[("reason", "sni_unknown")]);
    assert_eq!(refused, 3);
    let gate = by_name(a.port, a.port, ", default: a");
    for name in [Some("example.org"), None] {
        let said = tls_handshake(gate.address(), name);
        assert!(said.contains("CN = a.example.com"), "{name:?}: {said}");
    }
}

#[test]
fn nginx_terminates_tls_behind_the_gateway() {
    let authority = Authority::new();
    let pair = authority.sign(&["a.example.com"]);
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let port = free_port();
    let server = nginx(&format!(
        "listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
         location / {{ return 200 $ssl_server_name; }}"
    ));
    let gate = by_name(port, port, "");
    let to = format!("a.example.com:443:{}", gate.address());
    let said = curl(&["-k", "--connect-to", &to, "https://a.example.com/"]);
    assert_eq!(said.text(), "a.example.com");
    drop(server);
}

#[test]
fn a_listener_with_tls_ends_it_and_passes_on_what_is_inside() {
    let store = redis();
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tls: dev, tcp: db }]
        services: { db: 'tcp://127.0.0.1:<port>' }
        ",
        &[("port", &store.port)],
    );
    let ask = |command: &[&str]| redis_cli(gate.address(), &[&["--tls", "--insecure"], command].concat());
    assert_eq!(ask(&["SET", "colour", "blue"]), "OK");
    assert_eq!(ask(&["GET", "colour"]), "blue");
    assert_eq!(redis_cli(store.address(), &["GET", "colour"]), "blue");
    assert_eq!(gate.log(1)[0]["protocol"], "TLS");
    let mut clear = Socket::connect(gate.address());
    clear.send("PING\r\n");
    assert!(clear.take_rest().0.is_empty(), "what comes in clear gets no further");
}

#[test]
fn a_service_may_be_spoken_to_in_tls_by_clients_that_speak_none() {
    let a = tls_server("a.example.com");
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', tcp: a }]
        services: { a: { endpoints: ['https://127.0.0.1:<port>'], tls: { insecure: true } } }
        ",
        &[("port", &a.port)],
    );
    let said = curl(&["--http0.9", &format!("http://{}/", gate.address())]).text();
    assert!(said.contains("s_server"), "{said}");
}

#[test]
fn unix_sockets_may_stand_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (front, behind) = (folder.path().join("gate.sock"), folder.path().join("db.sock"));
    let db = UnixListener::bind(&behind).unwrap();
    let _gate = gateway_with(
        "
        listeners: [{ address: 'unix:<front>', tcp: db }]
        services: { db: { endpoints: ['unix:<behind>'], proxy_protocol: v1 } }
        ",
        &[("front", &front.display()), ("behind", &behind.display())],
    );
    let mut client = UnixStream::connect(&front).unwrap();
    client.write_all(b"ping").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut served, _) = db.accept().unwrap();
    let mut all = String::new();
    served.read_to_string(&mut all).unwrap();
    assert_eq!(all, "PROXY UNKNOWN\r\nping", "a client on a Unix socket has no address to tell");
    served.write_all(b"pong").unwrap();
    drop(served);
    all.clear();
    client.read_to_string(&mut all).unwrap();
    assert_eq!(all, "pong");
}

#[test]
fn what_is_no_client_hello_gets_no_further() {
    let db = raw_backend(echo);
    let gate = by_name(db.port(), db.port(), "");
    let ask = |gate: &Gateway, bytes: &[u8]| {
        let mut client = Socket::connect(gate.address());
        client.send(bytes);
        client.take_rest().0
    };
    let decode_error = [21, 3, 3, 0, 2, 2, 50].to_vec();
    assert_eq!(ask(&gate, b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"), decode_error);
    assert_eq!(ask(&gate, b"\x16\x03\x01\x40\x01"), decode_error, "longer than any");
    assert_eq!(ask(&gate, b"GET / HTTP/1.1\r\n\r\n"), b"", "an alert would be no answer");
    assert_eq!(ask(&gate, b"\x16\x03\x01\x00"), b"", "it never ends");
    let codes: Vec<_> = gate.log(4).iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["client_hello_malformed", "client_hello_too_long", "client_hello_missing", "client_hello_timeout"];
    assert_eq!(codes, expected);
    assert_eq!(count(&gate, "tollgate_connections_refused_total", &[]), 4);
    assert_eq!(db.connections(), 0);

    // Where there is a service for all others, it gets what speaks no TLS as well.
    let gate = by_name(db.port(), db.port(), ", default: a");
    let mut client = Socket::connect(gate.address());
    client.send("PING\r\n");
    assert_eq!(client.take(6).unwrap(), b"PING\r\n");
}

#[test]
fn whoever_only_looks_whether_the_port_is_open_leaves_no_trace() {
    let db = raw_backend(echo);
    let gate = by_name(db.port(), db.port(), ", default: a");
    Socket::connect(gate.address()).close();
    let mut client = Socket::connect(gate.address());
    client.send("PING");
    client.take(4).unwrap();
    client.close();
    assert_eq!(gate.log(1)[0]["bytes_in"], 4);
    assert_eq!(count(&gate, "tollgate_connections_refused_total", &[]), 0);
}

#[test]
fn a_client_hello_may_come_in_small_records_and_byte_by_byte() {
    let hello = client_hello("x.example.org");
    let a = raw_backend(echo);
    let gate = by_name(a.port(), a.port(), "");
    let mut client = Socket::connect(gate.address());
    for byte in &hello {
        client.send([*byte]);
    }
    assert_eq!(client.take(hello.len()).unwrap(), hello, "the service gets every byte as it came");
    client.close();
    assert_eq!(gate.log(1)[0]["host"], "x.example.org");
}

/// A `ClientHello` that asks for this name, in records of ten bytes.
fn client_hello(name: &str) -> Vec<u8> {
    let long = |value: &[u8]| [&u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat();
    let names = long(&[&[0], long(name.as_bytes()).as_slice()].concat());
    let extensions = long(&[&[0, 0], long(&names).as_slice()].concat());
    let body = [&[3; 34], [0].as_slice(), &long(&[0x13, 1]), &[1, 0], &extensions].concat();
    let message = [&[1, 0], long(&body).as_slice()].concat();
    message.chunks(10).flat_map(|part| [&[22, 3, 1], long(part).as_slice()].concat()).collect()
}

/// What `/metrics` counts now.
fn count(gate: &Gateway, name: &str, labels: &[(&str, &str)]) -> u64 {
    gate.metrics().sum(name, labels) as u64
}
