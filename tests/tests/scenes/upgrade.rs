//! Another binary in the place of the running one: nobody who calls notices, and one that does not work changes nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tollgate_tests::http2::{self, Http2};
use tollgate_tests::{
    Ask, Gateway, Sent, Signal, Wire, backend, binary, curl, eventually, fill, front, gateway, hello, load,
    nginx, web_socket, web_socket_server,
};

const ANSWER: &str =
    "routes: [{ match: '/{rest...}', respond: { status: 200, body: hello }, access: public }]";

/// The process that answers on the admin listener, and which one it is since the first.
fn process(gate: &Gateway) -> (u64, u64) {
    let readiness = gate.readiness();
    let number = |value: &Value| value.as_u64().unwrap();
    (number(&readiness["process"]["pid"]), number(&readiness["process"]["generation"]))
}

/// Whether a process of that number still runs.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn nothing_fails_under_load_and_the_log_has_every_line_whole() {
    let users = hello();
    let config = "workers: 2\nservices: { users: <users> }\nroutes: [{ match: /x, to: users, access: public }]\nlogs: { access: access.log }";
    let mut gate = Gateway::start(&fill(config, &[("users", &users)]), &[]);
    assert_eq!(process(&gate), (gate.pid().into(), 1));
    let clients = load(gate.address(), 8, "/x");
    clients.expect_more(300);
    gate.upgrade();
    let successor = gate.expect_successor(1);
    clients.expect_more(300);
    assert_eq!(gate.expect_exit().code(), Some(0));
    clients.expect_more(300);
    let tally = clients.stop();
    tally.expect_no_failure();
    assert_eq!(process(&gate), (successor.into(), 2));
    gate.get("/x").expect(200);

    gate.signal_successor(successor, Sent::TERM);
    eventually("the successor ends", || !is_running(successor));
    let log = fs::read_to_string(gate.log_file()).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, tally.answered + 1);
}

#[test]
fn lines_on_standard_output_are_whole_while_two_processes_write_there() {
    let mut gate = gateway(format!("logs: stdout\n{ANSWER}"));
    let clients = load(gate.address(), 8, "/x");
    let mut last = gate.pid();
    for upgrades in 1..=2 {
        clients.expect_more(500);
        gate.signal_successor(last, Sent::USR2);
        last = gate.expect_successor(upgrades);
    }
    clients.expect_more(500);
    let tally = clients.stop();
    tally.expect_no_failure();
    gate.signal_successor(last, Sent::TERM);
    gate.expect_exit();
    let log = || fs::read_to_string(gate.folder().join("stdout")).unwrap();
    eventually("every answer has its line", || log().lines().count() as u64 >= tally.answered);
    let log = log();
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(log.lines().count() as u64, tally.answered);
}

#[test]
fn wrk_with_new_connections_finds_no_error_in_two_upgrades() {
    let server = nginx("location / { return 200 ok; }");
    let config = "
        workers: 2
        listeners: ['127.0.0.1:0', { address: '127.0.0.1:0', tls: dev }]
        services: { users: <users> }
        routes: [{ match: GET /x, to: users, access: public }]";
    let gate = Gateway::start(&fill(config, &[("users", &server)]), &[]);
    let clear = format!("http://{}/x", gate.address());
    let secure = format!("https://{}/x", gate.listener(1));
    let wrk = |url: &str, fields: &[&str]| {
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c16", "-d3s"]).args(fields).arg(url).stdout(Stdio::piped());
        command.spawn().expect("wrk does not run: this scene needs it; tests/install.sh installs it")
    };
    let closing = ["-H", "Connection: close"];
    let clients = [wrk(&clear, &[]), wrk(&clear, &closing), wrk(&secure, &[]), wrk(&secure, &closing)];
    eventually("wrk asks", || gate.metrics().sum("tollgate_requests_total", &[]) > 100.0);
    gate.upgrade();
    let first = gate.expect_successor(1);
    eventually("wrk asks the next one", || gate.metrics().sum("tollgate_requests_total", &[]) > 100.0);
    gate.signal_successor(first, Sent::USR2);
    gate.expect_successor(2);
    for client in clients {
        let output = client.wait_with_output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("Requests/sec"), "{report}");
        assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    }
    assert_eq!(process(&gate).1, 3);
}

#[test]
fn an_open_web_socket_and_a_request_under_way_stay_with_the_old_process_to_their_end() {
    let done = Signal::new();
    let hold = done.clone();
    let slow = backend(move |call| {
        hold.wait();
        call.reply(200, "late");
    });
    let echo = web_socket_server();
    let config = "
        services: { echo: <echo>, slow: <slow> }
        routes:
          - { match: /ws, to: echo, access: public }
          - { match: /slow, to: slow, access: public }";
    let mut gate = gateway(fill(config, &[("echo", &echo), ("slow", &slow)]));
    let mut socket = web_socket(gate.address(), "/ws");
    assert_eq!(socket.echo("before"), "before");
    let mut wire = gate.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.request(0);
    let mut idle = gate.connect();
    gate.upgrade();
    gate.expect_successor(1);
    gate.expect_line("has taken over; draining");
    idle.expect_end();
    assert_eq!(socket.echo("during"), "during");
    let mut young = web_socket(gate.address(), "/ws");
    assert_eq!(young.echo("new"), "new");
    assert!(gate.is_running(), "the old process waits for both");
    done.raise();
    wire.answer().expect(200).expect_body("late");
    assert_eq!(socket.echo("after"), "after");
    assert!(gate.is_running(), "the old process waits for the WebSocket");
    assert_eq!(socket.close(), "1000");
    assert_eq!(gate.expect_exit().code(), Some(0));
    assert_eq!(young.echo("still"), "still");
    assert_eq!(young.close(), "1000");
}

#[test]
fn a_connection_of_http2_is_told_to_go_and_its_streams_are_finished() {
    let done = Signal::new();
    let hold = done.clone();
    let slow = backend(move |call| {
        hold.wait();
        call.reply(200, "late");
    });
    let mut gate = front(&slow);
    let mut client = Http2::connect(gate.address(), &[]);
    let stream = client.open(&http2::get("/slow"), http2::END_STREAM);
    slow.request(0);
    gate.upgrade();
    gate.expect_successor(1);
    gate.expect_line("has taken over; draining");
    done.raise();
    let outcome = client.outcome(stream);
    assert_eq!(outcome.status(), Some(200));
    assert_eq!(client.expect_goaway().or(outcome.goaway), Some(0));
    assert_eq!(gate.expect_exit().code(), Some(0));
    let mut next = Http2::connect(gate.address(), &[]);
    assert_eq!(next.ask(&http2::get("/slow")).status(), Some(200));
}

#[test]
fn a_configuration_that_is_refused_keeps_the_old_process_which_says_why() {
    let mut gate = gateway(ANSWER);
    gate.replace_config("routes: [{ match: /x }]");
    gate.expect_line("kept the configuration in force");
    gate.upgrade();
    gate.expect_line("no upgrade, this process goes on serving: the new process ended before it served");
    gate.get("/").expect(200);
    assert_eq!(process(&gate), (gate.pid().into(), 1));
    // And again, once it is mended.
    gate.expect_reload(|| gate.replace_config(ANSWER));
    gate.upgrade();
    gate.expect_successor(1);
    assert_eq!(gate.expect_exit().code(), Some(0));
    gate.get("/").expect(200);
}

#[test]
fn with_more_and_with_fewer_workers_every_socket_is_accepted_from() {
    let config =
        |workers: usize| format!("workers: {workers}\nlisteners: ['127.0.0.1:0', '127.0.0.1:0']\n{ANSWER}");
    let mut gate = Gateway::start(&config(3), &[]);
    let first = gate.pid();
    let addresses = [gate.listener(0), gate.listener(1)];
    assert_ne!(addresses[0], addresses[1]);
    let mut pid = first;
    for (upgrades, workers) in [(1, 1), (2, 4), (3, 2)] {
        // Said by a reload or not: the number of workers is of the process that starts.
        fs::write(gate.config_file(), gate.complete(&config(workers))).unwrap();
        gate.signal_successor(pid, Sent::USR2);
        let next = gate.expect_successor(upgrades);
        if pid == first {
            gate.expect_exit();
        } else {
            eventually("the one before ends", || !is_running(pid));
        }
        pid = next;
        for address in addresses {
            // The kernel deals connections out to all sockets; one that nobody accepts from would hold its share.
            for _ in 0..40 {
                Ask::new(address, "GET", "/").send().expect(200);
            }
        }
    }
    let descriptors: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().collect();
    assert!(descriptors.len() < 60, "{} descriptors are open", descriptors.len());
}

#[test]
fn connections_that_wait_to_be_accepted_are_served_by_the_next_process() {
    let gate = gateway(ANSWER);
    gate.upgrade();
    // In the queue of the socket while both processes have it, or only one of them.
    let mut wires: Vec<Wire> = (0..200).map(|_| gate.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    gate.expect_successor(1);
    for wire in &mut wires {
        wire.answer().expect(200);
    }
}

#[test]
fn what_stands_at_the_path_of_the_binary_is_what_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate");
    symlink(binary(), &path).unwrap();
    let mut gate = Gateway::start_by(&path, ANSWER, &[]);
    let replace = |script: &str| {
        // A link written to would change the binary itself.
        fs::remove_file(&path).ok();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    replace("echo $1 > $(dirname $0)/argument; exit 7");
    gate.upgrade();
    gate.expect_line("the new process ended before it served (exit status: 7)");
    assert_eq!(fs::read_to_string(folder.path().join("argument")).unwrap(), "run\n");
    fs::remove_file(&path).unwrap();
    gate.upgrade();
    gate.expect_line("no upgrade, this process goes on serving: cannot start");
    gate.get("/").expect(200);

    // A stop ends the attempt, and the process that was started.
    replace("echo $$ > $(dirname $0)/pid; exec sleep 60");
    gate.upgrade();
    let started = || fs::read_to_string(folder.path().join("pid")).ok()?.trim().parse::<u32>().ok();
    eventually("the new process runs", || started().is_some());
    gate.upgrade();
    gate.expect_line("an upgrade is under way already");
    gate.terminate();
    assert_eq!(gate.expect_exit().code(), Some(0));
    eventually("the new process is ended", || !is_running(started().unwrap()));
}

#[test]
fn a_unix_listener_is_handed_over_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let [kept, gone] = ["kept", "gone"].map(|name| folder.path().join(name));
    let on = |paths: &[&Path]| {
        let listeners: Vec<_> = paths.iter().map(|path| format!("'unix:{}'", path.display())).collect();
        format!("listeners: [{}]\n{ANSWER}", listeners.join(", "))
    };
    let ask = |path: &Path| curl(&["--unix-socket", path.to_str().unwrap(), "http://a/"]);
    let mut gate = gateway(on(&[&kept, &gone]));
    gate.pause();
    fs::write(gate.config_file(), gate.complete(&on(&[&kept]))).unwrap();
    gate.upgrade();
    gate.resume();
    let successor = gate.expect_successor(1);
    assert_eq!(gate.expect_exit().code(), Some(0));
    assert_eq!(ask(&kept).text(), "hello");
    assert!(!gone.exists(), "no listener has it any more");
    gate.signal_successor(successor, Sent::TERM);
    eventually("the successor ends", || !is_running(successor));
    assert!(!kept.exists());
}

#[test]
fn an_upgrade_that_fails_leaves_the_file_of_a_unix_socket_and_its_permissions_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.sock");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config =
        |more: &str| format!("listeners: [{{ address: 'unix:{}', mode: {more}]\n{ANSWER}", path.display());
    let mode = || fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
    let ask = || curl(&["--unix-socket", path.to_str().unwrap(), "http://a/"]).text();
    let mut gate = gateway(config("0600 }"));
    gate.pause();
    let next = config(&format!("0660 }}, '{}'", taken.local_addr().unwrap()));
    fs::write(gate.config_file(), gate.complete(&next)).unwrap();
    gate.upgrade();
    gate.resume();
    gate.expect_line("no upgrade, this process goes on serving");
    assert_eq!(ask(), "hello");
    assert_eq!(mode(), 0o600);

    // The next one takes over what is handed to it as its own configuration has it.
    gate.pause();
    fs::write(gate.config_file(), gate.complete(&config("0606 }"))).unwrap();
    gate.upgrade();
    gate.resume();
    let successor = gate.expect_successor(1);
    assert_eq!(mode(), 0o606);
    assert_eq!(gate.expect_exit().code(), Some(0));
    assert_eq!(ask(), "hello");
    gate.signal_successor(successor, Sent::TERM);
    eventually("the successor ends", || !is_running(successor));
    assert!(!path.exists());
}

#[test]
fn the_admin_listener_answers_without_a_gap_and_never_as_the_process_that_drains() {
    let hold = Signal::new();
    let held = hold.clone();
    let slow = backend(move |call| {
        held.wait();
        call.reply(200, "late");
    });
    let gate = front(&slow);
    let mut wire = gate.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.request(0);
    let mut idle = Wire::connect(gate.admin());
    idle.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.answer().expect(200);
    gate.upgrade();
    gate.expect_line("has taken over; draining");
    idle.expect_end();
    for _ in 0..50 {
        assert_eq!(gate.admin_get("/readyz").expect(200).json()["process"]["generation"], 2);
    }
    hold.raise();
    wire.answer().expect(200);
}
