//! Connections that stop being HTTP: Upgrade, WebSocket, CONNECT; copied both ways until both ends have ended.

use tollgate_tests::{
    Ending, Socket, backend, front, front_with, gateway_with, raw_backend, web_socket, web_socket_server,
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Answers an upgrade and then sends everything back; half-closes when the client has.
fn echo(socket: &mut Socket) {
    socket.take_until(b"\r\n\r\n").unwrap();
    socket.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    loop {
        let part = socket.take_some().unwrap();
        if part.is_empty() {
            socket.send("bye");
            return socket.half_close();
        }
        socket.send(part);
    }
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    let answer = wire.answer().expect(101).expect_header("Upgrade", "echo");
    assert!(answer.header("Connection").unwrap().eq_ignore_ascii_case("upgrade"), "{answer:?}");
    for message in ["one", "GET / HTTP/1.1\r\n\r\n", "\0\u{1}\u{2}", "three"] {
        wire.send(message);
        assert_eq!(wire.take(message.len()).unwrap(), message.as_bytes());
    }
}

#[test]
fn the_service_sees_the_upgrade_that_the_client_asked_for() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    let request = String::from_utf8(users.bytes(0)).unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nconnection: upgrade\r\n"), "{request}");
    assert!(request.contains("\r\nupgrade: echo\r\n"), "{request}");
}

#[test]
fn bytes_that_a_client_sends_ahead_of_the_switch_are_not_lost() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send([UPGRADE, "early"].concat());
    wire.answer().expect(101);
    assert_eq!(wire.take(5).unwrap(), b"early");
}

#[test]
fn bytes_that_a_service_sends_with_the_switch_are_not_lost() {
    let users = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome");
        socket.take_rest();
    });
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    assert_eq!(wire.take(7).unwrap(), b"welcome");
}

#[test]
fn one_side_may_end_while_the_other_goes_on() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    wire.send("last");
    wire.half_close();
    let (rest, ending) = wire.take_rest();
    assert_eq!(String::from_utf8_lossy(&rest), "lastbye");
    assert_eq!(ending, Ending::Closed);
    users.expect_ended(1);
}

#[test]
fn a_service_that_ends_first_still_hears_the_client() {
    let (heard, words) = std::sync::mpsc::channel();
    let users = raw_backend(move |socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        socket.half_close();
        heard.send(socket.take_rest()).unwrap();
    });
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    assert_eq!(wire.take_rest(), (Vec::new(), Ending::Closed));
    wire.send("still here");
    drop(wire);
    assert_eq!(words.recv_timeout(tollgate_tests::PATIENCE).unwrap().0, b"still here");
}

#[test]
fn a_client_that_is_reset_ends_the_tunnel_at_the_service() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    wire.reset();
    users.expect_ended(1);
}

#[test]
fn megabytes_pass_through_a_tunnel_intact() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    let block: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut writer = wire.stream().try_clone().unwrap();
    let sent = block.clone();
    let writing = std::thread::spawn(move || {
        for _ in 0..10 {
            std::io::Write::write_all(&mut writer, &sent).unwrap();
        }
    });
    for _ in 0..10 {
        assert!(wire.take(block.len()).unwrap() == block, "the block came back altered");
    }
    writing.join().unwrap();
}

#[test]
fn a_service_that_declines_the_upgrade_answers_as_always() {
    let users = backend(|call| call.reply(200, "plain"));
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(200).expect_body("plain");
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("plain");
}

#[test]
fn an_upgrade_without_its_connection_field_is_not_one() {
    let users = backend(|call| call.reply(200, "plain"));
    let gate = front(&users);
    gate.ask("GET", "/x").header("Upgrade", "echo").send().expect(200);
    assert_eq!(users.only_request().header("Upgrade"), None);
}

#[test]
fn an_http_1_0_client_cannot_upgrade() {
    let users = backend(|call| call.reply(200, "plain"));
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    wire.answer().expect(200);
    assert_eq!(users.only_request().header("Upgrade"), None);
}

#[test]
fn an_idle_tunnel_ends_after_its_time() {
    let users = raw_backend(echo);
    let gate = front_with(&users, "defaults: { timeout: { idle: 200ms } }");
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    wire.expect_end();
    users.expect_ended(1);
}

#[test]
fn connect_is_refused_where_no_route_takes_it() {
    let users = backend(|call| call.reply(200, ""));
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes:
          - { match: GET /x, to: users, access: public }
        ",
        &[("users", &users)],
    );
    let mut wire = gate.send("CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n");
    let answer = wire.answer();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(users.requests().is_empty());
}

#[test]
fn connect_opens_a_tunnel_through_a_service_that_grants_it() {
    let proxy = raw_backend(|socket| {
        let request = socket.take_until(b"\r\n\r\n").unwrap();
        assert!(request.starts_with(b"CONNECT db.internal:5432 HTTP/1.1\r\n"), "{request:?}");
        socket.send("HTTP/1.1 200 Connected\r\n\r\nready");
        let part = socket.take_until(b".").unwrap();
        socket.send(part);
    });
    let gate = gateway_with(
        "
        services: { proxy: <proxy> }
        routes: [{ match: 'CONNECT /{rest...}', to: proxy, access: public }]
        ",
        &[("proxy", &proxy)],
    );
    let mut wire = gate.send("CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n");
    let answer = wire.answer_to("CONNECT").expect(200);
    assert!(!answer.fields.has("Content-Length") && !answer.fields.has("Transfer-Encoding"), "{answer:?}");
    assert_eq!(wire.take(5).unwrap(), b"ready");
    wire.send("ping.");
    assert_eq!(wire.take(5).unwrap(), b"ping.");
}

#[test]
fn a_real_client_speaks_web_socket_with_a_real_server() {
    let server = web_socket_server();
    let gate = front(&server);
    let mut socket = web_socket(gate.address(), "/chat");
    assert_eq!(socket.echo("hello"), "hello");
    assert_eq!(socket.echo("grüße"), "grüße");
    let long = "x".repeat(200_000);
    assert_eq!(socket.echo(&long), long);
    assert_eq!(socket.close(), "1000");
}

#[test]
fn the_answer_that_opens_a_tunnel_says_the_request_s_id() {
    let users = raw_backend(echo);
    let gate = front(&users);
    let mut wire = gate.send(UPGRADE);
    let answer = wire.answer().expect(101);
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    wire.half_close();
    wire.take_rest();
    assert_eq!(gate.log(1)[0]["request_id"], id);
}

#[test]
fn a_tunnel_that_falls_silent_is_ended_and_not_called_broken() {
    let users = raw_backend(echo);
    let gate = front_with(&users, "defaults: { timeout: { idle: 150ms } }");
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    wire.take_rest();
    assert_eq!(gate.log(1)[0]["code"], "tunnel_idle");
}
