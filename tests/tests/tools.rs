//! The scenes' own tools, without a gateway between them: when these fail, no other scene can be believed.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use tollgate_tests::{
    Ask, Backend, Ending, Wire, backend, curl, file_server, hello, load, nginx, raw_backend, web_socket,
    web_socket_server,
};

fn address(url: &dyn std::fmt::Display) -> SocketAddr {
    url.to_string().trim_start_matches("http://").parse().unwrap()
}

#[test]
fn a_client_and_a_backend_understand_each_other() {
    let users = backend(|call| {
        let body = call.body();
        call.reply_with(201, "X-A: b\r\n", body);
    });
    let answer = Ask::new(address(&users), "POST", "/x?q=1").header("X-C", "d").body("hello").send();
    answer.expect(201).expect_body("hello").expect_header("x-a", "b");
    let seen = users.only_request();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.header("x-c")),
        ("POST", "/x?q=1", Some("d"))
    );
    assert!(users.bytes(0).ends_with(b"\r\n\r\nhello"));
}

#[test]
fn chunks_trailers_and_interim_answers_are_read() {
    let users = backend(|call| {
        call.send("HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n");
        call.begin_chunked("");
        call.chunk("one");
        call.send("3;x=y\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n");
    });
    let answer = Ask::new(address(&users), "GET", "/").send().expect(200).expect_body("onetwo");
    assert_eq!(answer.trailers.get("X-Sum"), Some("6"));
    assert_eq!(answer.interim[0].fields.get("Link"), Some("<a>"));
}

#[test]
fn an_end_is_told_from_a_reset() {
    for (reset, ending) in [(false, Ending::Closed), (true, Ending::Reset)] {
        let users = backend(move |call| {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            if reset {
                call.reset();
            } else {
                call.close();
            }
        });
        let broken = Ask::new(address(&users), "GET", "/").try_send().unwrap_err();
        assert_eq!(broken.ending, ending);
        users.expect_ended(1);
    }
    let users = raw_backend(|socket| {
        socket.take_rest();
    });
    let wire = Wire::connect(address(&users));
    wire.reset();
    users.expect_ended(1);
}

#[test]
fn a_stopped_backend_refuses_and_can_come_back() {
    let users = hello();
    users.stop();
    let again = Backend::at(users.port(), |call| call.reply(200, "again"));
    Ask::new(address(&again), "GET", "/").send().expect(200).expect_body("again");
}

#[test]
fn load_counts_what_fails() {
    let users = backend(|call| {
        let status = if call.seen.connection == 1 { 500 } else { 200 };
        call.reply(status, "");
    });
    let clients = load(address(&users), 2, "/");
    clients.expect_more(50);
    let tally = clients.stop();
    assert!(tally.answered > 0 && !tally.failures.is_empty(), "{tally:?}");
}

#[test]
fn every_foreign_program_is_there_and_works() {
    let server = nginx("location / { }");
    server.write("a.txt", "nginx");
    Ask::new(address(&server), "GET", "/a.txt").send().expect(200).expect_body("nginx");
    let server = file_server();
    server.write("a.txt", "python");
    Ask::new(address(&server), "GET", "/a.txt").send().expect(200).expect_body("python");
    assert_eq!(curl(&[&format!("{server}/a.txt")]).text(), "python");
    let server = web_socket_server();
    let mut socket = web_socket(address(&server), "/");
    assert_eq!(socket.echo("hello"), "hello");
    assert_eq!(socket.close(), "1000");
    assert!(std::process::Command::new("wrk").arg("-v").output().is_ok(), "wrk is missing: tests/install.sh");
}
