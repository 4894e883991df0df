//! Bodies as streams: nothing is held back, nothing is hoarded, and who goes away is noticed at the other end.

use std::sync::mpsc;
use std::time::Duration;

use tollgate_tests::{Ending, Signal, backend, front, front_with};

#[test]
fn events_arrive_before_the_answer_ends() {
    let received = Signal::new();
    let next = received.clone();
    let users = backend(move |call| {
        call.begin_chunked("Content-Type: text/event-stream\r\n");
        call.chunk("data: one\n\n");
        next.wait();
        call.chunk("data: two\n\n");
        call.end_chunked();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200).expect_header("Content-Type", "text/event-stream");
    wire.take_until(b"data: one\n\n").unwrap();
    received.raise();
    wire.take_until(b"data: two\n\n").unwrap();
    wire.take_until(b"\r\n0\r\n\r\n").unwrap();
}

#[test]
fn bytes_of_an_answer_without_framing_arrive_before_it_ends() {
    let received = Signal::new();
    let next = received.clone();
    let users = backend(move |call| {
        call.send("HTTP/1.1 200 OK\r\n\r\none");
        next.wait();
        call.send("two");
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.take_until(b"one").unwrap();
    received.raise();
    wire.take_until(b"two").unwrap();
}

#[test]
fn the_head_of_an_answer_arrives_before_its_body() {
    let received = Signal::new();
    let next = received.clone();
    let users = backend(move |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        next.wait();
        call.send("body");
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    received.raise();
    assert_eq!(wire.take(4).unwrap(), b"body");
}

#[test]
fn a_request_s_body_is_passed_on_as_it_comes() {
    let (parts, arrived) = mpsc::channel();
    let users = backend(move |call| {
        for _ in 0..3 {
            parts.send(call.socket().take_until(b".").unwrap()).unwrap();
        }
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
    for part in ["one.", "two.", "six."] {
        wire.send(part);
        assert_eq!(arrived.recv_timeout(tollgate_tests::PATIENCE).unwrap(), part.as_bytes());
    }
    wire.answer().expect(200);
}

#[test]
fn an_answer_may_begin_before_the_request_s_body_has_ended() {
    let users = backend(|call| {
        // Echoes while it reads.
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
        for _ in 0..3 {
            let part = call.socket().take_until(b".").unwrap();
            call.send(part);
        }
    });
    let gate = front(&users);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
    wire.head().expect(200);
    for part in ["one.", "two.", "six."] {
        wire.send(part);
        assert_eq!(wire.take(4).unwrap(), part.as_bytes());
    }
}

#[test]
fn a_whole_answer_before_the_body_s_end_reaches_the_client() {
    let users = backend(|call| {
        call.send("HTTP/1.1 403 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop");
        call.close();
    });
    let gate = front(&users);
    // A megabyte is promised and never sent.
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun");
    let answer = wire.answer().expect(403).expect_body("stop");
    assert!(answer.closes(), "the rest of the body has no place to go: {answer:?}");
}

#[test]
fn an_early_answer_reaches_a_client_that_goes_on_sending() {
    let users = backend(|call| {
        call.send("HTTP/1.1 403 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop");
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    // Sent whole before anything is read: a reset would destroy the answer that waits (RFC 9112, section 9.6).
    wire.send(vec![b'x'; 4_000_000]);
    wire.answer().expect(403).expect_body("stop");
}

#[test]
fn a_client_that_leaves_cancels_the_call() {
    for reset in [false, true] {
        let (endings, ended) = mpsc::channel();
        let users = backend(move |call| endings.send(call.wait_end()).unwrap());
        let gate = front(&users);
        let wire = gate.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        users.request(0);
        if reset {
            wire.reset();
        } else {
            drop(wire);
        }
        let ending = ended.recv_timeout(2 * tollgate_tests::PATIENCE).unwrap();
        assert_ne!(ending, Ending::Silent, "the service was never told");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_cancels_the_call() {
    let users = backend(|call| {
        call.begin_chunked("");
        // Ends when the gateway no longer takes it.
        while call.chunk(&"x".repeat(1000)) {}
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    wire.reset();
    users.expect_ended(1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_cancels_the_call() {
    let (endings, ended) = mpsc::channel();
    let users = backend(move |call| {
        endings.send(call.try_body().unwrap_err().ending).unwrap();
        call.close();
    });
    let gate = front(&users);
    let wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this");
    users.request(0);
    drop(wire);
    assert_ne!(ended.recv_timeout(2 * tollgate_tests::PATIENCE).unwrap(), Ending::Silent);
}

/// More than the kernel's buffers on four sockets hold, with what the gateway may add.
const MORE_THAN_FITS: usize = 64 * 1024 * 1024;

/// What the kernel's four buffers may swallow, and then some; far from [`MORE_THAN_FITS`].
const SWALLOWED: usize = 32 * 1024 * 1024;

/// Memory of the gateway at most, in KiB.
const MEMORY: u64 = 64 * 1024;

#[test]
fn a_client_that_does_not_read_stops_the_service() {
    let (written, blocked) = mpsc::channel();
    let users = backend(move |call| {
        call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MORE_THAN_FITS}\r\n\r\n"));
        // A write that has not moved for half a second is stuck.
        call.socket().stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        written.send(fill_up(call.socket().stream())).unwrap();
        call.close();
    });
    let gate = front(&users);
    let mut wire = gate.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    let swallowed = blocked.recv_timeout(tollgate_tests::PATIENCE).unwrap();
    assert!(swallowed < SWALLOWED, "the gateway took {swallowed} bytes that nobody read");
    assert!(gate.peak_memory() < MEMORY, "it holds {} KiB", gate.peak_memory());
}

#[test]
fn a_service_that_does_not_read_stops_the_client() {
    let done = Signal::new();
    let hold = done.clone();
    let users = backend(move |call| {
        call.socket();
        hold.wait();
        call.close();
    });
    let gate = front(&users);
    let wire = gate.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {MORE_THAN_FITS}\r\n\r\n"));
    users.request(0);
    wire.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let swallowed = fill_up(wire.stream());
    assert!(swallowed < SWALLOWED, "the gateway took {swallowed} bytes that nobody read");
    assert!(gate.peak_memory() < MEMORY, "it holds {} KiB", gate.peak_memory());
    done.raise();
}

#[test]
fn a_slow_reader_gets_everything_in_the_end() {
    const SIZE: usize = 8 * 1024 * 1024;
    let users = backend(|call| {
        let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        call.reply(200, body);
    });
    let gate = front_with(&users, "");
    let mut wire = gate.connect();
    socket2::SockRef::from(wire.stream()).set_recv_buffer_size(64 * 1024).unwrap();
    wire.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = wire.answer().expect(200);
    assert_eq!(answer.body.len(), SIZE);
    let in_order = answer.body.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251);
    assert!(in_order, "bytes came out of order");
}

/// Writes until a write gets stuck or the connection ends; how many bytes went.
fn fill_up(mut stream: &std::net::TcpStream) -> usize {
    let part = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while written < MORE_THAN_FITS {
        match std::io::Write::write(&mut stream, &part) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    written
}

#[test]
fn the_rest_of_a_body_is_never_taken_for_the_next_request() {
    let (asked, told, gone) = (Signal::new(), Signal::new(), Signal::new());
    let (is_asked, tell, is_gone) = (asked.clone(), told.clone(), gone.clone());
    let users = backend(move |call| {
        is_asked.raise();
        tell.wait();
        call.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop");
        call.reset();
        is_gone.raise();
    });
    let gate = front(&users);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    asked.wait();
    // The answer, the end of the service's connection and more of the body are all there at once when it goes on.
    gate.pause();
    told.raise();
    gone.wait();
    wire.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
    gate.resume();
    let answer = wire.answer().expect(413).expect_body("stop");
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(wire.take_rest().0, b"", "nothing answers what was never a request");
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn a_reader_that_is_slow_but_steady_is_not_cut_off() {
    let users = backend(|call| call.reply(200, vec![b'x'; 12_000_000]));
    let gate = front_with(&users, "defaults: { timeout: { idle: 500ms } }");
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.head().expect(200);
    // Far from all of it at first, so that buffers on the way cannot hide the pace, which is part of the scene.
    for _ in 0..30 {
        wire.discard(100_000).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    wire.discard(9_000_000).unwrap();
}
