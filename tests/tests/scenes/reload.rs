//! A new configuration takes the old one's place while requests run: by file change and by SIGHUP, whole or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use tollgate_tests::{
    Ask, Gateway, Signal, backend, eventually, free_port, front, gateway, named, raw_backend,
};

fn answering(word: &str) -> String {
    format!("routes: [{{ match: /x, respond: {{ body: {word} }}, access: public }}]")
}

#[track_caller]
fn expect(gate: &Gateway, word: &str) {
    gate.get("/x").expect(200).expect_body(word);
}

#[test]
fn a_file_that_is_renamed_over_the_old_one_is_taken() {
    let gate = gateway(answering("old"));
    expect(&gate, "old");
    gate.expect_reload(|| gate.replace_config(&answering("new")));
    expect(&gate, "new");
}

#[test]
fn a_file_that_is_written_in_place_is_taken() {
    let gate = gateway(answering("old"));
    gate.expect_reload(|| fs::write(gate.config_file(), gate.complete(&answering("new"))).unwrap());
    expect(&gate, "new");
}

#[test]
fn a_hang_up_signal_reads_the_file_again() {
    let gate = gateway(answering("old"));
    gate.expect_reload(|| {
        gate.replace_config(&answering("new"));
        gate.hang_up();
    });
    expect(&gate, "new");
    gate.expect_reload(|| gate.hang_up());
    expect(&gate, "new");
}

#[test]
fn a_symlink_turned_to_another_folder_is_taken() {
    // The way Kubernetes mounts a ConfigMap: the file is a link through a link, and only the middle one changes.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = |word: &str| {
        format!("listeners: ['127.0.0.1:0']\nadmin: 127.0.0.1:0\nlogs: off\n{}\n", answering(word))
    };
    for word in ["old", "new"] {
        fs::create_dir(at(word)).unwrap();
        fs::write(at(word).join("tollgate.yaml"), config(word)).unwrap();
    }
    symlink("old", at("data")).unwrap();
    symlink("data/tollgate.yaml", at("tollgate.yaml")).unwrap();
    let gate = Gateway::run(&["run", "-c", "tollgate.yaml"], folder);
    expect(&gate, "old");
    gate.expect_reload(|| {
        symlink("new", gate.folder().join("data.next")).unwrap();
        fs::rename(gate.folder().join("data.next"), gate.folder().join("data")).unwrap();
    });
    expect(&gate, "new");
}

#[test]
fn a_file_with_faults_leaves_the_old_one_serving_and_shows_everywhere() {
    let gate = gateway(answering("old"));
    let refused = || gate.readiness()["config"]["reload"]["result"] == "refused";
    gate.replace_config("routes: [{ match: /x, respod: 200, access: public }]");
    eventually("the faulty file is refused", refused);
    expect(&gate, "old");
    gate.admin_get("/readyz").expect(200);
    let readiness = gate.readiness();
    let error = readiness["config"]["reload"]["error"].as_str().unwrap();
    assert!(error.contains("tollgate.yaml:") && error.contains("respond"), "{error}");
    assert!(gate.said().contains("respod"), "not on stderr:\n{}", gate.said());
    assert!(gate.metrics().sum("tollgate_reloads_total", &[("result", "refused")]) >= 1.0);

    gate.expect_reload(|| gate.replace_config(&answering("new")));
    expect(&gate, "new");
    assert!(!refused());
}

#[test]
fn a_file_that_is_gone_or_half_written_changes_nothing() {
    let gate = gateway(answering("old"));
    fs::remove_file(gate.config_file()).unwrap();
    gate.hang_up();
    eventually("the missing file is noticed", || gate.readiness()["config"]["reload"]["result"] == "refused");
    expect(&gate, "old");
    fs::write(gate.config_file(), "routes: [{ match: /x,").unwrap();
    gate.hang_up();
    expect(&gate, "old");
    gate.expect_reload(|| gate.replace_config(&answering("new")));
    expect(&gate, "new");
}

#[test]
fn a_connection_sees_the_new_configuration_with_its_next_request() {
    let gate = gateway(answering("old"));
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("old");
    gate.expect_reload(|| gate.replace_config(&answering("new")));
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("new");
}

#[test]
fn a_request_under_way_ends_as_it_began() {
    let done = Signal::new();
    let hold = done.clone();
    let users = backend(move |call| {
        call.begin_chunked("");
        call.chunk("first");
        hold.wait();
        call.chunk("last");
        call.end_chunked();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    wire.take_until(b"first").unwrap();
    gate.expect_reload(|| gate.replace_config(&answering("new")));
    done.raise();
    wire.take_until(b"last").unwrap();
    wire.take_until(b"0\r\n\r\n").unwrap();
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer().expect(200).expect_body("new");
}

#[test]
fn a_tunnel_survives_the_end_of_its_route() {
    let users = raw_backend(|socket| {
        socket.take_until(b"\r\n\r\n").unwrap();
        socket.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        while let Ok(part) = socket.take_some() {
            if part.is_empty() || !socket.send(part) {
                return;
            }
        }
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    wire.answer().expect(101);
    gate.expect_reload(|| gate.replace_config(&answering("new")));
    expect(&gate, "new");
    wire.send("still there");
    assert_eq!(wire.take(11).unwrap(), b"still there");
}

#[test]
fn pooled_connections_survive_a_reload_that_does_not_touch_their_service() {
    let users = named("users");
    let gate = front(&users);
    gate.get("/x").expect(200);
    gate.expect_reload(|| gate.hang_up());
    gate.get("/x").expect(200);
    assert_eq!(users.connections(), 1);
}

#[test]
fn a_service_that_moved_is_found_at_its_new_place() {
    let (old, new) = (named("old"), named("new"));
    let config = |at: &dyn std::fmt::Display| {
        format!("services: {{ users: {at} }}\nroutes: [{{ match: /x, to: users, access: public }}]")
    };
    let gate = gateway(config(&old));
    expect(&gate, "old");
    gate.expect_reload(|| gate.replace_config(&config(&new)));
    expect(&gate, "new");
    old.expect_ended(1);
}

#[test]
fn listeners_are_added_and_removed_while_others_go_on() {
    let config = |listeners: &str| format!("listeners: [{listeners}]\n{}", answering("ok"));
    let port = tollgate_tests::free_port();
    let gate = gateway(config("'127.0.0.1:0'"));
    let mut kept = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.answer().expect(200);

    gate.expect_reload(|| gate.replace_config(&config(&format!("'127.0.0.1:0', '127.0.0.1:{port}'"))));
    let added = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(gate.listener(1), added);
    Ask::new(added, "GET", "/x").send().expect(200);
    let mut on_added = tollgate_tests::Wire::connect(added);
    on_added.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    on_added.answer().expect(200);
    kept.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.answer().expect(200);

    gate.expect_reload(|| gate.replace_config(&config("'127.0.0.1:0'")));
    eventually("the removed listener refuses", || std::net::TcpStream::connect(added).is_err());
    gate.expect_line(&format!("tollgate: no longer listening on {added}"));
    assert_eq!(gate.said().matches("tollgate: listening on ").count(), 2, "{}", gate.said());
    expect(&gate, "ok");
    kept.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.answer().expect(200);
}

#[test]
fn a_listener_s_own_settings_change_without_a_new_socket() {
    let config = |limits: &str| {
        format!("listeners: [{{ address: '127.0.0.1:0', limits: {{ {limits} }} }}]\n{}", answering("ok"))
    };
    let gate = gateway(config("headers: 100"));
    let ask = || gate.ask("GET", "/x").header("A", "1").header("B", "2").header("C", "3").send();
    ask().expect(200);
    gate.expect_reload(|| gate.replace_config(&config("headers: 2")));
    ask().expect(431);
}

#[test]
fn a_file_that_the_configuration_names_is_watched_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("word.txt"), "old").unwrap();
    let config = format!(
        "listeners: ['127.0.0.1:0']\nadmin: 127.0.0.1:0\nlogs: off\n{}\n",
        answering("\"${file:word.txt}\"")
    );
    fs::write(folder.path().join("tollgate.yaml"), config).unwrap();
    let gate = Gateway::run(&["run", "-c", "tollgate.yaml"], folder);
    expect(&gate, "old");
    gate.expect_reload(|| fs::write(gate.folder().join("word.txt"), "new").unwrap());
    expect(&gate, "new");
}

#[test]
fn mending_only_a_file_that_a_refused_configuration_names_is_noticed() {
    let gate = gateway(answering("old"));
    // Not there yet; then there, but not what the key takes.
    gate.replace_config(
        "routes: [{ match: /x, respond: { status: '${file:status.txt}', body: new }, access: public }]",
    );
    gate.expect_line("cannot read");
    fs::write(gate.folder().join("status.txt"), "nonsense").unwrap();
    gate.expect_line("expected a status");
    expect(&gate, "old");
    gate.expect_reload(|| fs::write(gate.folder().join("status.txt"), "200").unwrap());
    expect(&gate, "new");
}

#[test]
fn readiness_says_which_configuration_serves() {
    let gate = gateway(answering("old"));
    gate.admin_get("/healthz").expect(200);
    let answer = gate.admin_get("/readyz").expect(200);
    assert_eq!(answer.json()["status"], "ready");
    assert_eq!(answer.json()["config"]["generation"], 1);
}

#[test]
fn a_terminated_gateway_finishes_what_is_open_and_ends_well() {
    let done = Signal::new();
    let hold = done.clone();
    let users = backend(move |call| {
        hold.wait();
        call.reply(200, "late");
    });
    let mut gate = front(&users);
    let address = gate.address();
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    users.request(0);
    let mut idle = gate.connect();
    gate.terminate();
    eventually("the listener is closed", || std::net::TcpStream::connect(address).is_err());
    assert_eq!(gate.admin_get("/readyz").expect(503).json()["status"], "draining");
    idle.expect_end();
    assert!(gate.is_running(), "it waits for the request under way");
    done.raise();
    let answer = wire.answer().expect(200).expect_body("late");
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(gate.expect_exit().code(), Some(0));
}

#[test]
fn a_terminated_gateway_does_not_wait_for_ever() {
    let users = backend(|call| {
        call.wait_end();
    });
    let config = format!(
        "drain: 300ms\nservices: {{ users: {users} }}\nroutes: [{{ match: /x, to: users, access: public }}]"
    );
    let mut gate = gateway(config);
    let _wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    users.request(0);
    gate.terminate();
    gate.expect_exit();
}

#[test]
fn connections_that_wait_to_be_accepted_when_the_gateway_is_terminated_are_served() {
    let gate = gateway(format!("workers: 1\n{}", answering("hello")));
    gate.pause();
    // More than a task may accept in one turn.
    let mut wires: Vec<_> = (0..600).map(|_| gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    gate.terminate();
    gate.resume();
    for wire in &mut wires {
        wire.answer().expect(200).expect_body("hello");
    }
}

#[test]
fn a_reload_that_hangs_does_not_keep_the_gateway_from_ending() {
    let mut gate = gateway(answering("hello"));
    let pipe = gate.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(&pipe, gate.config_file()).unwrap();
    // Opens as soon as the gateway reads, which waits for what is never written.
    let _unwritten = fs::File::options().write(true).open(gate.config_file()).unwrap();
    gate.get("/x").expect(200);
    gate.hang_up();
    gate.terminate();
    assert_eq!(gate.expect_exit().code(), Some(0));
}

#[test]
fn a_listener_opens_to_all_addresses_and_closes_to_one_on_the_same_port() {
    let port = free_port();
    let on = |address: &str| {
        format!(
            "listeners: [{{ address: '{address}:{port}' }}]\nroutes: [{{ match: /x, respond: {{ status: 200, body: '{address}' }}, access: public }}]"
        )
    };
    let gate = gateway(on("127.0.0.1"));
    gate.get("/x").expect(200).expect_body("127.0.0.1");
    for address in ["0.0.0.0", "127.0.0.1"] {
        gate.expect_reload(|| gate.replace_config(&on(address)));
        gate.get("/x").expect(200).expect_body(address);
    }
}
