//! Clients that are as slow as they can be, by `slowhttptest` and by hand: all are ended in time, and others notice nothing.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tollgate_tests::{Backend, Ending, Gateway, backend, eventually, gateway_with};

/// Connections of an attack.
const MANY: usize = 200;

fn slow_gate(limits: &str, service: &Backend) -> Gateway {
    gateway_with(
        "
listeners: [ { address: '127.0.0.1:0', limits: { <limits> } } ]
services: { slow: { endpoints: <slow>, timeout: { idle: 1s }, pool: { max: 1000 } } }
defaults: { access: public }
routes:
  - { match: /fast, respond: { status: 200, body: fast } }
  - { match: /json, to: slow, request: { json: true } }
  - { match: '/{rest...}', to: slow }
",
        &[("limits", &limits), ("slow", service)],
    )
}

/// Runs an attack to its end, while the gateway answers others.
fn attack(gate: &Gateway, path: &str, options: &[&str]) -> Output {
    let mut command = Command::new("slowhttptest");
    let (url, many) = (format!("http://{}{path}", gate.address()), MANY.to_string());
    command.args(options).args(["-u", &url, "-c", &many, "-r", &many, "-v", "1"]);
    let mut attack = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("slowhttptest: tests/install.sh installs it");
    while attack.try_wait().unwrap().is_none() {
        gate.get("/fast").expect(200);
        std::thread::sleep(Duration::from_millis(20));
    }
    attack.wait_with_output().unwrap()
}

/// All its connections were ended by the gateway, long before it would have given up.
#[track_caller]
fn expect_beaten(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("No open connections left"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// How many requests ended with this code, of those that the attack made.
fn ended_by(gate: &Gateway, code: &str) -> usize {
    let log = std::fs::read_to_string(gate.log_file()).unwrap_or_default();
    log.lines().filter(|line| line.contains(&format!("\"code\":\"{code}\""))).count()
}

#[test]
fn slowloris_is_ended_by_the_time_for_heads() {
    let users = backend(|call| call.reply(200, ""));
    let gate = slow_gate("header_timeout: 1s", &users);
    expect_beaten(&attack(&gate, "/x", &["-H", "-i", "1", "-l", "60"]));
    eventually("each to have its line", || ended_by(&gate, "header_timeout") >= MANY);
    // The attack looks itself now and then whether the service can be reached, and no more than that reaches it.
    assert!(users.requests().len() < MANY / 4);
}

#[test]
fn slow_bodies_are_ended_by_their_rate() {
    let users = backend(|call| {
        if call.try_body().is_ok() {
            call.reply(200, "");
        }
        call.close();
    });
    // A piece comes each second, so that no pause is too long.
    let gate = slow_gate("body_timeout: 2s, body_rate: 1000", &users);
    expect_beaten(&attack(&gate, "/x", &["-B", "-i", "1", "-x", "8", "-s", "8192", "-l", "60"]));
    eventually("each to have its line", || ended_by(&gate, "body_timeout") >= MANY);
}

#[test]
fn slow_readers_are_ended_by_their_pause() {
    let large = vec![b'x'; 8 << 20];
    let users = backend(move |call| call.reply(200, &large[..]));
    let gate = slow_gate("header_timeout: 10s", &users);
    // In this mode it does not look whether its connections are still there.
    attack(&gate, "/x", &["-X", "-n", "5", "-z", "5", "-w", "256", "-y", "512", "-k", "1", "-l", "5"]);
    eventually("each to have its line", || ended_by(&gate, "client_slow") >= MANY);
}

#[test]
fn a_body_that_trickles_is_ended_wherever_it_is_read() {
    let users = backend(|call| {
        if call.try_body().is_ok() {
            call.reply(200, "");
        }
        call.close();
    });
    let gate = slow_gate("body_timeout: 400ms, body_rate: 10000", &users);
    for (path, framing) in [
        ("/x", "Content-Length: 100"),
        ("/x", "Content-Length: 100000"),
        ("/x", "Transfer-Encoding: chunked"),
        ("/json", "Content-Type: application/json\r\nContent-Length: 100000"),
        ("/json", "Content-Type: application/json\r\nTransfer-Encoding: chunked"),
    ] {
        let mut wire = gate.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        let piece = if framing.contains("chunked") { "1\r\n1\r\n" } else { "1" };
        // The pace is the attack itself: no pause is too long.
        let began = Instant::now();
        while wire.send(piece) && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{path} with {framing} goes on and on");
    }
    assert_eq!(ended_by(&gate, "body_timeout"), 5);
}

#[test]
fn who_keeps_the_rate_may_take_longer_than_the_pause() {
    let users = backend(|call| {
        call.body();
        call.reply(200, "");
    });
    let gate = slow_gate("body_timeout: 3s, body_rate: 100", &users);
    for path in ["/x", "/json"] {
        let mut wire = gate.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 30000\r\n\r\n1"
        ));
        // Longer than a pause in all, and far faster than it must be.
        for _ in 0..29 {
            std::thread::sleep(Duration::from_millis(150));
            assert!(wire.send("1".repeat(1000)));
        }
        wire.send("1".repeat(999));
        wire.answer().expect(200);
    }
}

#[test]
fn who_does_not_read_is_reset_so_that_the_kernel_keeps_nothing() {
    let large = vec![b'x'; 16 << 20];
    let users = backend(move |call| call.reply(200, &large[..]));
    let gate = slow_gate("", &users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it to be given up", || ended_by(&gate, "client_slow") == 1);
    // What was sent before is lost with it: nothing is kept to be offered once more.
    assert_eq!(wire.take_rest().1, Ending::Reset);
}
