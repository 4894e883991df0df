//! Long and heavy scenes, apart from the others so that neither disturbs the other: gigabytes, load, reloads under
//! load, and ends under load. `TOLLGATE_FULL=1` makes them as long as a release wants them.
#![allow(clippy::unwrap_used)]

mod accept_queue;
mod shared_limits;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tollgate_tests::{
    Gateway, Socket, backend, eventually, fill, front, full_run, hello, load, nginx, raw_backend, web_socket,
    web_socket_server,
};

const GIGABYTE: u64 = 1 << 30;

/// Memory of the gateway at most, in KiB, whatever passes through it.
const MEMORY: u64 = 64 * 1024;

#[test]
fn a_gigabyte_comes_down_through_little_memory() {
    let users = backend(|call| {
        call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n"));
        pour(call.socket().stream());
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    wire.discard(GIGABYTE).unwrap();
    assert!(gate.peak_memory() < MEMORY, "it held {} KiB", gate.peak_memory());
}

#[test]
fn a_gigabyte_in_chunks_comes_down_through_little_memory() {
    let users = backend(|call| {
        call.begin_chunked("");
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 1 << 20], b"\r\n".to_vec()].concat();
        for _ in 0..GIGABYTE >> 20 {
            call.send(&chunk);
        }
        call.end_chunked();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    let mut data = 0;
    loop {
        let line = String::from_utf8(wire.take_until(b"\r\n").unwrap()).unwrap();
        let size = u64::from_str_radix(line.trim_end(), 16).unwrap();
        wire.discard(size + 2).unwrap();
        data += size;
        if size == 0 {
            break;
        }
    }
    assert_eq!(data, GIGABYTE);
    assert!(gate.peak_memory() < MEMORY, "it held {} KiB", gate.peak_memory());
}

#[test]
fn a_gigabyte_goes_up_through_little_memory() {
    let users = raw_backend(|socket: &mut Socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.discard(GIGABYTE).unwrap();
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall");
        socket.take_rest();
    });
    let gate = front(&users);
    let mut wire = gate.send(format!("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: {GIGABYTE}\r\n\r\n"));
    pour(wire.stream());
    wire.answer().expect(200).expect_body("all");
    assert!(gate.peak_memory() < MEMORY, "it held {} KiB", gate.peak_memory());
}

/// Writes a gigabyte.
fn pour(mut stream: &TcpStream) {
    let block = vec![b'x'; 1 << 20];
    for _ in 0..GIGABYTE >> 20 {
        stream.write_all(&block).unwrap();
    }
}

#[test]
fn reloads_under_load_lose_no_request_and_no_web_socket() {
    let (users, echo) = (hello(), web_socket_server());
    let config = |round: u64| {
        // Something changes with every round: a route of its own, and the other routes' order.
        let routes = "
            services: { users: <users>, echo: <echo> }
            routes:
              - { match: /round-<round>, respond: 204, access: public }
              - { match: GET /x, to: users, access: public }
              - { match: GET /chat, to: echo, access: public }
            ";
        fill(routes, &[("users", &users), ("echo", &echo), ("round", &round)])
    };
    let gate = Gateway::start(&config(0), &["--workers", "2"]);
    let mut socket = web_socket(gate.address(), "/chat");
    assert_eq!(socket.echo("before"), "before");
    let clients = load(gate.address(), 8, "/x");
    let started = Instant::now();
    let lasting = Duration::from_secs(if full_run() { 20 } else { 5 });
    let before = gate.generation();
    let mut rounds = 0;
    while started.elapsed() < lasting {
        rounds += 1;
        gate.replace_config(&config(rounds));
        gate.hang_up();
        if rounds % 10 == 0 {
            assert_eq!(socket.echo("during"), "during");
        }
        // The pace of the scene, not a wait for something.
        std::thread::sleep(Duration::from_millis(100));
    }
    gate.get(&format!("/round-{rounds}")).expect(204);
    assert!(gate.generation() - before >= rounds / 2, "{} of {rounds} reloads", gate.generation() - before);
    clients.stop().expect_no_failure();
    assert_eq!(socket.echo("after"), "after");
    assert_eq!(socket.close(), "1000");
}

#[test]
fn an_end_under_load_fails_no_request() {
    let users = hello();
    let mut gate = Gateway::start(
        &fill(
            "services: { users: <users> }\nroutes: [{ match: GET /x, to: users, access: public }]",
            &[("users", &users)],
        ),
        &["--workers", "2"],
    );
    let clients = load(gate.address(), 8, "/x");
    clients.expect_more(1000);
    clients.expect_ending();
    gate.terminate();
    clients.join().expect_no_failure();
    assert_eq!(gate.expect_exit().code(), Some(0));
}

#[test]
fn a_service_killed_under_load_costs_at_most_what_was_under_way() {
    let mut dying = nginx("location / { return 200 ok; }");
    let living = nginx("location / { return 200 ok; }");
    let gate = Gateway::start(
        &fill(
            "
            services: { pair: { endpoints: [<dying>, <living>] } }
            routes: [{ match: GET /x, to: pair, access: public }]
            ",
            &[("dying", &dying), ("living", &living)],
        ),
        &["--workers", "2"],
    );
    let clients = load(gate.address(), 8, "/x");
    clients.expect_more(1000);
    dying.kill();
    clients.expect_more(1000);
    let tally = clients.stop();
    // A GET on a pooled connection that died is sent again, and a connect that fails goes to the other endpoint: only
    // a request on a connection just made can be lost with its service.
    assert!(tally.failures.len() <= 8, "{} failures: {:#?}", tally.failures.len(), &tally.failures[..3]);
    let after = load(gate.address(), 4, "/x");
    after.expect_more(200);
    after.stop().expect_no_failure();
}

#[test]
fn an_endpoint_killed_and_returned_and_a_slow_one_are_not_noticed() {
    let mut dying = nginx("location / { return 200 ok; }");
    let living = nginx("location / { return 200 ok; }");
    let slow = backend(|call| {
        std::thread::sleep(Duration::from_millis(20));
        call.reply(200, "ok");
    });
    let gate = Gateway::start(
        &fill(
            "
            services:
              three:
                endpoints: [<dying>, <living>, <slow>]
                balance: ewma
                retry: { attempts: 2, on: [connect, reset, timeout, 502, 503, 504] }
                eject: { errors: 3, for: 500ms, slow_start: 500ms }
                health: { path: /, every: 100ms }
            routes: [{ match: GET /x, to: three, access: public }]
            ",
            &[("dying", &dying), ("living", &living), ("slow", &slow)],
        ),
        &["--workers", "2"],
    );
    let clients = load(gate.address(), 16, "/x");
    clients.expect_more(2000);
    dying.kill();
    clients.expect_more(4000);
    dying.revive();
    let served = |endpoint: &dyn std::fmt::Display| {
        let endpoint = endpoint.to_string();
        gate.metrics().sum("tollgate_upstream_requests_total", &[("endpoint", &endpoint)])
    };
    let before = served(&dying);
    eventually("requests to the one that came back", || served(&dying) > before + 1000.0);
    clients.stop().expect_no_failure();
    let (slow, living) = (served(&slow), served(&living));
    assert!(slow < living / 5.0, "the slow one got {slow}, the others {living}");
}

#[test]
fn wrk_finds_no_error() {
    let server = nginx("location / { return 200 ok; }");
    let gate = Gateway::start(
        &fill(
            "services: { users: <users> }\nroutes: [{ match: GET /x, to: users, access: public }]",
            &[("users", &server)],
        ),
        &["--workers", "2"],
    );
    let output = std::process::Command::new("wrk")
        .args(["-t2", "-c32", "-d2s", &format!("http://{}/x", gate.address())])
        .output()
        .expect("wrk does not run: this scene needs it; tests/install.sh installs it");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("Requests/sec"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let users = hello();
    let gate = front(&users);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", gate.pid())).unwrap().count();
    gate.get("/x").expect(200);
    let before = descriptors();
    for round in 0..300 {
        let mut stream = TcpStream::connect(gate.address()).unwrap();
        match round % 3 {
            0 => {}
            1 => stream.write_all(b"GET /x HT").unwrap(),
            _ => {
                stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                stream.read_exact(&mut [0; 12]).unwrap();
            }
        }
    }
    tollgate_tests::eventually("the descriptors are given back", || descriptors() <= before + 2);
}
