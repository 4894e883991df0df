//! HTTP/2 on both sides: what a request and its answer are when either side, or both, speak it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tollgate_tests::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, Http2Service, get, kind, pack};
use tollgate_tests::{Backend, Gateway, Signal, backend, curl, eventually, front, gateway_with, raw_backend};

/// The code of a stream that was not processed.
const REFUSED_STREAM: u32 = 7;
/// The number of `SETTINGS_MAX_CONCURRENT_STREAMS`.
const MAX_STREAMS: u16 = 3;

/// A gateway of one worker, as each has connections of its own, before a service that speaks HTTP/2.
fn front_http2(service: &Backend) -> Gateway {
    gateway_with(
        "
        workers: 1
        services: { users: { endpoints: [ <users> ], protocol: http2 } }
        routes: [{ match: '/{rest...}', to: users, access: public }]
        ",
        &[("users", service)],
    )
}

#[test]
fn a_client_of_http2_is_served_by_a_service_of_http1() {
    let users = backend(|call| {
        let body = call.body();
        call.reply_with(200, "X-A: 1\r\n", body);
    });
    let gate = front(&users);
    let url = format!("http://{}/p?q=1", gate.address());
    let answer = curl(&["--http2-prior-knowledge", "-d", "hello", "-w", " %{http_version}", &url]);
    assert_eq!(answer.out, b"hello 2");
    let seen = &users.requests()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/p?q=1"));
    assert_eq!(seen.header("Host").unwrap(), gate.address().to_string());
    assert_eq!(seen.header("Content-Length"), Some("5"));
}

#[test]
fn requests_share_a_connection_to_a_service_of_http2() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let users = raw_backend(move |socket| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            service.reply(stream, "hello");
        }
    });
    let gate = front_http2(&users);
    for _ in 0..20 {
        gate.get("/x").expect(200).expect_body("hello");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stream_that_was_refused_is_tried_on_another_connection() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                service.send_frame(kind::RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
            } else {
                service.reply(stream, "hello");
            }
        }
    });
    let gate = front_http2(&users);
    // Also a request that must not be made twice: the service says that it was not made once.
    gate.ask("POST", "/x").body("b").send().expect(200).expect_body("hello");
    assert_eq!(refused.load(Ordering::Relaxed), 2);
}

#[test]
fn a_connection_that_says_goodbye_gets_no_further_request() {
    let users = raw_backend(|socket| {
        let mut service = Http2Service::accept(socket, &[]);
        let Some(stream) = service.request() else { return };
        // What is under way is finished; one that came too late is not processed.
        service.go_away(stream);
        service.reply(stream, "hello");
        while service.next_frame().is_some() {}
    });
    let gate = front_http2(&users);
    for _ in 0..10 {
        gate.get("/x").expect(200).expect_body("hello");
    }
}

#[test]
fn a_request_that_came_after_the_goodbye_is_made_elsewhere() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                service.go_away(0);
            } else {
                service.reply(stream, "hello");
            }
        }
    });
    let gate = front_http2(&users);
    gate.get("/x").expect(200).expect_body("hello");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn further_connections_are_opened_when_the_streams_of_one_are_used_up() {
    let all_here = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&all_here);
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[(MAX_STREAMS, 1)]);
        // The first tells the gateway of the limit; the others wait for each other.
        while let Some(stream) = service.request() {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                eventually("all requests at once", || counted.load(Ordering::SeqCst) == 5);
            }
            service.reply(stream, "hello");
        }
    });
    let gate = front_http2(&users);
    gate.get("/first").expect(200);
    let mut client = Http2::connect(gate.address(), &[]);
    let streams: Vec<u32> = (0..4).map(|_| client.open(&get("/x"), END_STREAM)).collect();
    let mut open = streams.len();
    while open > 0 {
        let frame = client.next_frame().unwrap();
        assert!(frame.kind != kind::RST_STREAM, "{frame:?}");
        // The status 200 is one byte in HPACK's table.
        assert!(frame.kind != kind::HEADERS || frame.payload[0] == 0x88, "{frame:?}");
        open -= usize::from(frame.kind == kind::DATA && frame.flags & END_STREAM != 0);
    }
}

#[test]
fn a_reset_is_passed_on_with_its_reason() {
    let begun = Signal::new();
    let told = begun.clone();
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            service.send_frame(kind::HEADERS, END_HEADERS, stream, &pack(&[(":status", "200")]));
            service.send_frame(kind::DATA, 0, stream, b"begun");
            told.wait();
            service.send_frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        }
    });
    let gate = front_http2(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let stream = client.open(&get("/x"), END_STREAM);
    // A reset throws away what has not gone out.
    while client.next_frame().unwrap().kind != kind::DATA {}
    begun.raise();
    assert_eq!(client.outcome(stream).reset, Some(CANCEL));
    // Over HTTP/1.1 an answer that breaks off cannot be taken for a whole one.
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(wire.try_answer("GET").is_err());
}

#[test]
fn a_client_that_cancels_cancels_at_the_service() {
    let asked = Signal::new();
    let reset = Arc::new(Mutex::new(None));
    let (asking, seen) = (asked.clone(), Arc::clone(&reset));
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(frame) = service.next_frame() {
            match frame.kind {
                kind::HEADERS => asking.raise(),
                kind::RST_STREAM => *seen.lock().unwrap() = Some(frame.payload),
                _ => {}
            }
        }
    });
    let gate = front_http2(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let stream = client.open(&get("/x"), END_STREAM);
    asked.wait();
    client.send_frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    eventually("the reset at the service", || reset.lock().unwrap().is_some());
    assert_eq!(*reset.lock().unwrap(), Some(CANCEL.to_be_bytes().to_vec()));
    let line = &gate.log(1)[0];
    assert_eq!((&line["code"], &line["protocol"]), (&"client_gone".into(), &"HTTP/2".into()));
}

#[test]
fn trailers_go_through_whatever_the_sides_speak() {
    let users = backend(|call| {
        call.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
        );
    });
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let head = [get("/x"), pack(&[("te", "trailers")])].concat();
    let outcome = client.ask(&head);
    assert_eq!((outcome.heads.len(), outcome.body.as_slice()), (2, &b"hello"[..]));

    let users = raw_backend(|socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            service.send_frame(kind::HEADERS, END_HEADERS, stream, &pack(&[(":status", "200")]));
            service.send_frame(kind::DATA, 0, stream, b"hello");
            service.send_frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &pack(&[("x-sum", "7")]));
        }
    });
    let gate = front_http2(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    assert_eq!(client.ask(&head).heads.len(), 2);
    let mut wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    wire.answer().expect(200).expect_body("hello");
}

#[test]
fn a_stalled_upload_does_not_hold_up_the_others() {
    let users = backend(|call| call.reply(200, "hello"));
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")];
    let stalled = client.open(&pack(&fields), 0);
    client.send_frame(kind::DATA, 0, stalled, b"begun");
    for _ in 0..20 {
        assert_eq!(client.ask(&get("/y")).body, b"hello");
    }
    client.send_frame(kind::DATA, END_STREAM, stalled, b" and done");
    assert_eq!(client.outcome(stalled).body, b"hello");
}

#[test]
fn requests_one_after_another_need_one_connection_however_few_streams_it_takes() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let users = raw_backend(move |socket| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut service = Http2Service::accept(socket, &[(MAX_STREAMS, 2)]);
        while let Some(stream) = service.request() {
            service.reply(stream, "hello");
        }
    });
    let gate = front_http2(&users);
    for _ in 0..20 {
        gate.get("/x").expect(200);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_body_that_has_begun_is_never_begun_again() {
    // The service refuses the stream when only the first chunk's size has come.
    let asked = Signal::new();
    let refused = Signal::new();
    let (asking, refusing) = (asked.clone(), refused.clone());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            counted.fetch_add(1, Ordering::Relaxed);
            asking.raise();
            refusing.wait();
            service.send_frame(kind::RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
        }
    });
    let gate = front_http2(&users);
    let mut wire = gate.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n");
    asked.wait();
    refused.raise();
    wire.answer().expect(502);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_bound_of_bodies_holds_for_short_ones_of_unknown_length() {
    let users = backend(|call| {
        let length = call.body().len();
        call.reply(200, length.to_string());
    });
    let gate = gateway_with(
        "
        services: { users: <users> }
        routes: [{ match: '/{rest...}', to: users, access: public, request: { max_body: 1KiB } }]
        ",
        &[("users", &users)],
    );
    let mut client = Http2::connect(gate.address(), &[]);
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")];
    let stream = client.open(&pack(&fields), 0);
    client.send_frame(kind::DATA, END_STREAM, stream, &[b'x'; 4096]);
    assert_eq!(client.outcome(stream).code(), "body_too_large");
}

#[test]
fn a_client_that_leaves_a_silent_stream_is_noticed() {
    let begun = Signal::new();
    let telling = begun.clone();
    let reset = Signal::new();
    let resetting = reset.clone();
    let users = raw_backend(move |socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(frame) = service.next_frame() {
            match frame.kind {
                kind::HEADERS => {
                    let head = pack(&[(":status", "200")]);
                    service.send_frame(kind::HEADERS, END_HEADERS, frame.stream, &head);
                }
                kind::DATA if frame.flags & END_STREAM != 0 => telling.raise(),
                kind::RST_STREAM => resetting.raise(),
                _ => {}
            }
        }
    });
    let gate = front_http2(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")];
    let stream = client.open(&pack(&fields), 0);
    while client.next_frame().unwrap().kind != kind::HEADERS {}
    client.send_frame(kind::DATA, END_STREAM, stream, b"last");
    begun.wait();
    client.send_frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    reset.wait();
}
