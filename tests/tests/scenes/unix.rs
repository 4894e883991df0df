//! Unix sockets: as a listener, with a file that comes and goes, and as an endpoint.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tollgate_tests::{
    Curl, Gateway, backend, curl, eventually, front, gateway, gateway_with, nginx, tollgate,
};

const ANSWER: &str =
    "routes: [{ match: '/{rest...}', respond: { status: 200, body: hello }, access: public }]";

fn listening_on(path: &Path, more: &str) -> String {
    format!("listeners: [{{ address: 'unix:{}'{more} }}]\n{ANSWER}", path.display())
}

/// A folder for sockets and a path in it.
fn socket() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.sock");
    (folder, path)
}

fn ask(path: &Path, url: &str) -> Curl {
    curl(&["--unix-socket", path.to_str().unwrap(), url])
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn curl_is_served_on_a_unix_socket_and_counts_as_the_machine_itself() {
    let (_folder, path) = socket();
    let users = backend(|call| call.reply(200, "hello"));
    let config = "
        listeners: [{ address: 'unix:<path>', trust_forwarded: 127.0.0.1 }]
        services: { users: <users> }
        routes: [{ match: /x, to: users, access: public }]";
    let gate = gateway_with(config, &[("path", &path.display()), ("users", &users)]);
    assert_eq!(ask(&path, "http://shop.test/x").text(), "hello");
    assert_eq!(users.request(0).header("Host"), Some("shop.test"));
    assert_eq!(users.request(0).header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(gate.log(1)[0]["client_ip"], "127.0.0.1");

    let told = ["-H", "X-Forwarded-For: 203.0.113.9", "--unix-socket", path.to_str().unwrap(), "http://a/x"];
    assert_eq!(curl(&told).text(), "hello");
    assert_eq!(gate.log(2)[1]["client_ip"], "203.0.113.9", "whoever may connect may be believed");
}

#[test]
fn every_worker_serves_the_one_socket() {
    let (_folder, path) = socket();
    let _gate = Gateway::start(&listening_on(&path, ""), &["--workers", "3"]);
    let mut held = Vec::new();
    for _ in 0..60 {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        held.push(stream);
    }
}

#[test]
fn the_file_of_a_socket_is_for_its_owner_and_group_unless_told_otherwise_and_goes_with_the_gateway() {
    let (_folder, path) = socket();
    let mut gate = gateway(listening_on(&path, ""));
    gate.expect_line(&format!("listening on unix:{}", path.display()));
    assert_eq!(mode(&path), 0o660);
    gate.expect_reload(|| gate.replace_config(&listening_on(&path, ", mode: 0606")));
    assert_eq!(mode(&path), 0o606);
    ask(&path, "http://a/").text();
    gate.terminate();
    gate.expect_exit();
    assert!(!path.exists());
}

#[test]
fn a_listener_that_a_reload_takes_away_takes_its_file_along() {
    let (_folder, path) = socket();
    let both = format!("listeners: ['127.0.0.1:0', 'unix:{}']\n{ANSWER}", path.display());
    let gate = gateway(&both);
    ask(&path, "http://a/").text();
    gate.expect_reload(|| gate.replace_config(&format!("listeners: ['127.0.0.1:0']\n{ANSWER}")));
    assert!(!path.exists());
    gate.get("/").expect(200);
    gate.expect_reload(|| gate.replace_config(&both));
    ask(&path, "http://a/").text();
}

#[test]
fn the_file_that_a_killed_gateway_left_is_no_hindrance_but_anything_else_there_is() {
    let (folder, path) = socket();
    // What a process leaves that was killed: nobody listens.
    drop(UnixListener::bind(&path).unwrap());
    let gate = gateway(listening_on(&path, ""));
    assert_eq!(ask(&path, "http://a/").text(), "hello");

    let second = folder.path().join("second.yaml");
    fs::write(&second, format!("{}\nadmin: off\n", listening_on(&path, ""))).unwrap();
    let output = tollgate(&["run".as_ref(), "-c".as_ref(), second.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&*path.to_string_lossy()) && said.contains("another program answers"), "{said}");
    assert_eq!(ask(&path, "http://a/").text(), "hello", "the first one is none the worse");
    drop(gate);

    let file = folder.path().join("notes.txt");
    fs::write(&file, "precious").unwrap();
    fs::write(&second, format!("{}\nadmin: off\n", listening_on(&file, ""))).unwrap();
    let output = tollgate(&["run".as_ref(), "-c".as_ref(), second.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_file_that_is_another_s_by_now_is_left_alone() {
    let (_folder, path) = socket();
    let mut gate = gateway(listening_on(&path, ""));
    fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    gate.terminate();
    gate.expect_exit();
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn nginx_on_a_unix_socket_is_a_service_like_any_other() {
    let (_folder, path) = socket();
    let server =
        nginx(&format!("listen unix:{}; location /host {{ return 200 $http_host; }}", path.display()));
    server.write("big.bin", vec![b'x'; 3_000_000]);
    let gate = front(&format!("'unix:{}'", path.display()));
    assert_eq!(gate.get("/big.bin").expect(200).body.len(), 3_000_000);
    for _ in 0..20 {
        gate.get("/host").expect(200).expect_body("gate.test");
    }
    let answer = gate.send("GET /host HTTP/1.0\r\n\r\n").answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "localhost"), "a client that names no host");
    let url = format!("unix:{}", path.display());
    assert_eq!(gate.log(22)[21]["endpoint"], url);
}

#[test]
fn an_endpoint_that_is_not_there_yet_is_told_and_then_found() {
    let (_folder, path) = socket();
    let gate = front(&format!("'unix:{}'", path.display()));
    gate.get("/").expect(502).expect_refusal("upstream_connect_failed");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    gate.get("/found").expect(200).expect_body("ok");
    assert!(server.join().unwrap().starts_with("GET /found HTTP/1.1\r\n"));
}

#[test]
fn a_full_queue_of_a_service_is_waited_for() {
    let (_folder, path) = socket();
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(1).unwrap();
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(socket));
    // As many as its queue takes.
    let queued: Vec<_> = (0..2).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let gate = front(&format!("'unix:{}'", path.display()));
    let mut wire = gate.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the gateway has the request", || gate.metrics().sum("tollgate_connections_open", &[]) >= 1.0);
    drop(queued);
    let server = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            if stream.read(&mut request).unwrap() > 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                return;
            }
        }
    });
    wire.answer().expect(200).expect_body("ok");
    server.join().unwrap();
}
