//! Open WebSockets: how long they last, how they are counted, and how they end when the gateway does.

use tollgate_tests::{
    Ending, Gateway, Socket, eventually, front, front_with, gateway, http2_relay, raw_backend, tollgate,
    web_socket, web_socket_listener, web_socket_server,
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A text frame of a server, `hello`, and one of a client, `Hello` (RFC 6455, section 5.7).
const FROM_SERVER: &[u8] = b"\x81\x05hello";
const FROM_CLIENT: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// The code 1001 in a Close frame of a server.
const GOING_AWAY: [u8; 2] = [0x03, 0xe9];

/// Switches, and says what it hears until the client has ended.
fn listen(socket: &mut Socket) -> Vec<u8> {
    socket.take_until(b"\r\n\r\n").unwrap();
    socket.send(SWITCH);
    socket.take_rest().0
}

/// Reads a Close frame of the gateway to the client: its reason.
#[track_caller]
fn close_reason(frame: &[u8]) -> &str {
    assert_eq!(frame[0], 0x88, "{frame:?}");
    assert_eq!(usize::from(frame[1]), frame.len() - 2, "{frame:?}");
    assert_eq!(frame[2..4], GOING_AWAY);
    std::str::from_utf8(&frame[4..]).unwrap()
}

fn open(gate: &Gateway) -> f64 {
    gate.metrics().sum("tollgate_web_sockets_open", &[])
}

#[test]
fn a_stopping_gateway_tells_a_real_client_that_it_is_going_away() {
    let server = web_socket_server();
    let mut gate = front_with(&server, "drain: 1200ms");
    let listener = web_socket_listener(gate.address(), "/chat");
    gate.terminate();
    assert_eq!(listener.closing(), "1001 tunnel_drained");
    assert_eq!(gate.expect_exit().code(), Some(0), "both sides agreed in time");
}

#[test]
fn a_client_that_came_by_http2_is_told_too() {
    let server = web_socket_server();
    let mut gate = front_with(&server, "drain: 1200ms");
    let relay = http2_relay(gate.address());
    let listener = web_socket_listener(relay.address(), "/chat");
    assert!((open(&gate) - 1.0).abs() < 0.1);
    gate.terminate();
    assert_eq!(listener.closing(), "1001 tunnel_drained");
    assert_eq!(gate.expect_exit().code(), Some(0), "both sides agreed in time");
    assert_eq!(gate.log(1)[0]["protocol"], "HTTP/2");
}

#[test]
fn both_sides_of_a_web_socket_are_told_and_the_service_in_a_masked_frame() {
    let (heard, words) = std::sync::mpsc::channel();
    let users = raw_backend(move |socket| heard.send(listen(socket)).unwrap());
    let gate = front_with(&users, "drain: 400ms");
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    wire.send(FROM_CLIENT);
    gate.terminate();
    let (told, ending) = wire.take_rest();
    assert_eq!(close_reason(&told), "tunnel_drained");
    assert_ne!(ending, Ending::Silent);
    let heard = words.recv_timeout(tollgate_tests::PATIENCE).unwrap();
    let close = heard.strip_prefix(FROM_CLIENT).expect("what the client had said comes first");
    let reason = "tunnel_drained";
    assert_eq!(close[..2], [0x88, 0x80 | (2 + reason.len() as u8)]);
    let unmasked: Vec<u8> =
        close[6..].iter().zip(close[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(unmasked, [&GOING_AWAY, reason.as_bytes()].concat());
}

#[test]
fn a_frame_under_way_is_finished_before_the_last_word_and_nothing_comes_after() {
    let users = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send([SWITCH.as_bytes(), &FROM_SERVER[..4]].concat());
        // The gateway's Close: from here on it waits for the end of the frame.
        socket.take_until(&[0x88]).unwrap();
        socket.send([&FROM_SERVER[4..], FROM_SERVER].concat());
        socket.take_rest();
    });
    let gate = front_with(&users, "drain: 400ms");
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    assert_eq!(wire.take(4).unwrap(), FROM_SERVER[..4]);
    gate.terminate();
    let told = wire.take_rest().0;
    assert_eq!(told[..3], FROM_SERVER[4..]);
    assert_eq!(close_reason(&told[3..]), "tunnel_drained");
}

#[test]
fn another_protocol_than_web_socket_just_ends_with_the_gateway() {
    let users = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome");
        socket.take_rest();
    });
    let gate = front_with(&users, "drain: 300ms");
    let mut wire = gate.send(UPGRADE.replace("websocket\r", "echo\r"));
    wire.answer().expect(101);
    gate.terminate();
    assert_eq!(wire.take_rest().0, b"welcome");
}

#[test]
fn a_reload_closes_no_web_socket() {
    let server = web_socket_server();
    let gate = front(&server);
    let mut socket = web_socket(gate.address(), "/chat");
    assert_eq!(socket.echo("before"), "before");
    gate.expect_reload(|| gate.replace_config("routes: [{ match: /x, respond: 204, access: public }]"));
    assert_eq!(socket.echo("after"), "after");
    gate.get("/x").expect(204);
    assert_eq!(socket.close(), "1000");
}

#[test]
fn an_open_web_socket_keeps_nothing_of_the_configurations_that_were_replaced() {
    const ROUTES: usize = 1500;
    const GENERATIONS: usize = 30;
    let users = raw_backend(|socket| {
        listen(socket);
    });
    let config = |generation: usize| {
        let route =
            |number| format!("  - {{ match: /r{generation}/{number}, respond: 204, access: public }}\n");
        let routes: String = (0..ROUTES).map(route).collect();
        format!(
            "services: {{ users: '{users}' }}\nroutes:\n  - {{ match: /chat, to: users, access: public }}\n{routes}"
        )
    };
    let gate = gateway(config(0));
    let mut open = Vec::new();
    let mut memory = Vec::new();
    for generation in 1..=GENERATIONS {
        let mut wire = gate.send(UPGRADE);
        wire.answer().expect(101);
        open.push(wire);
        gate.expect_reload(|| gate.replace_config(&config(generation)));
        memory.push(gate.metrics().sum("tollgate_resident_memory_bytes", &[]));
    }
    // Memory that is let go is not used again at once, so that readings swing by 2 MB. What twenty configurations leave when each
    // is kept is 10 MB.
    let least = |readings: &[f64]| readings.iter().copied().fold(f64::INFINITY, f64::min);
    let grown = least(&memory[GENERATIONS - 8..]) - least(&memory[2..10]);
    assert!(grown < 5e6, "by {grown} bytes in twenty reloads: {memory:?}");
}

#[test]
fn a_web_socket_that_is_silent_for_too_long_is_closed_and_its_answers_have_other_limits() {
    let users = raw_backend(|socket| {
        listen(socket);
    });
    let gate = front_with(&users, "defaults: { timeout: { idle: 30s, tunnel: { idle: 200ms } } }");
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    let frame = wire.take(2 + 2 + "tunnel_idle".len()).unwrap();
    assert_eq!(close_reason(&frame), "tunnel_idle");
    wire.send(b"\x88\x80\0\0\0\0");
    wire.half_close();
    wire.take_rest();
    assert_eq!(gate.log(1)[0]["code"], "tunnel_idle");
}

#[test]
fn pings_pass_unread_and_keep_a_web_socket_open_until_its_whole_time_is_over() {
    const PING: &[u8] = b"\x89\x80\x01\x02\x03\x04";
    const PONG: &[u8] = b"\x8a\x00";
    let users = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send(SWITCH);
        while socket.take(PING.len()).is_ok_and(|frame| frame == PING) {
            socket.send(PONG);
        }
    });
    let gate = front_with(&users, "defaults: { timeout: { tunnel: { idle: 5s, total: 600ms } } }");
    let began = std::time::Instant::now();
    let mut wire = gate.send(UPGRADE);
    wire.answer().expect(101);
    let reason = loop {
        wire.send(PING);
        let start = wire.take(2).unwrap();
        if start != PONG {
            break wire.take(usize::from(start[1])).unwrap();
        }
    };
    assert_eq!(reason, [&GOING_AWAY, "tunnel_timeout".as_bytes()].concat());
    assert!(began.elapsed().as_millis() >= 600);
    wire.take_rest();
    assert_eq!(gate.log(1)[0]["code"], "tunnel_timeout");
}

#[test]
fn explain_tells_the_limits_of_a_tunnel() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.yaml");
    let config = "services: { chat: { endpoints: ['http://127.0.0.1:1'], timeout: { tunnel: { idle: 5m, total: 1d } } } }\n\
                  routes: [{ match: GET /chat, to: chat, access: public }]";
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let explain =
        ["explain", "-c", &file, "-H", "Connection: upgrade", "-H", "Upgrade: websocket", "GET", "/chat"];
    let told = String::from_utf8(tollgate(&explain).stdout).unwrap();
    assert!(told.contains("as a tunnel: idle at most 300s, total 86400s"), "{told}");
}

#[test]
fn web_sockets_are_counted_while_they_are_open_and_altogether() {
    let server = web_socket_server();
    let gate = front(&server);
    gate.get("/").expect(426);
    assert!(!gate.metrics().has("tollgate_web_sockets_total", &[]), "an answer is no WebSocket");
    let first = web_socket(gate.address(), "/chat");
    let second = web_socket(gate.address(), "/chat");
    assert!((open(&gate) - 2.0).abs() < 0.1);
    first.close();
    eventually("one is closed", || (open(&gate) - 1.0).abs() < 0.1);
    second.close();
    eventually("both are closed", || open(&gate).abs() < 0.1);
    let metrics = gate.metrics();
    assert!((metrics.sum("tollgate_web_sockets_total", &[("route", "/{rest...}")]) - 2.0).abs() < 0.1);
}

#[test]
fn many_web_sockets_may_wait_on_one_endpoint_and_hold_no_memory_for_what_may_come() {
    // More than the calls that may be under way at once. The buffers of both sides would be 40 KiB; what is left in a build
    // for debugging is some 16 KiB.
    const COUNT: usize = 300;
    let users = raw_backend(|socket| {
        listen(socket);
    });
    let gate = front(&users);
    let open_all = || -> Vec<_> {
        let open_one = |_| {
            let mut wire = gate.send(UPGRADE);
            wire.answer().expect(101);
            wire
        };
        (0..COUNT).map(open_one).collect()
    };
    let first = open_all();
    let before = gate.metrics().sum("tollgate_resident_memory_bytes", &[]);
    let second = open_all();
    let each = (gate.metrics().sum("tollgate_resident_memory_bytes", &[]) - before) / COUNT as f64;
    assert!(each < 30_000.0, "{each} bytes for each of them");
    drop((first, second));
}
