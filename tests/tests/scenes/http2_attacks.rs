//! Clients that abuse HTTP/2: each is cut off and counted by name, while others are served as if nothing were.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tollgate_tests::http2::{
    CANCEL, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Http2, frame, get, kind, pack,
};
use tollgate_tests::{Gateway, backend, curl, eventually, front, front_with, gateway_with, hello};

/// What the attacker sends, until it is cut: this many times the bytes that the function makes of a number.
struct Attack {
    name: &'static str,
    first: Vec<u8>,
    times: u32,
    next: fn(u32) -> Vec<u8>,
}

fn attacks() -> Vec<Attack> {
    let post = pack(&[(":method", "POST"), (":scheme", "http"), (":path", "/hold"), (":authority", "a")]);
    let open = frame(kind::HEADERS, END_HEADERS, 1, &post);
    vec![
        Attack {
            name: "rapid_reset",
            first: Vec::new(),
            times: 5000,
            next: |number| {
                let stream = number * 2 + 1;
                let head = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get("/"));
                [head, frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            },
        },
        Attack {
            name: "stream_error_flood",
            first: Vec::new(),
            times: 5000,
            next: |number| {
                let head = [get("/"), pack(&[("connection", "close")])].concat();
                frame(kind::HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &head)
            },
        },
        Attack {
            name: "continuation_flood",
            first: frame(kind::HEADERS, END_STREAM, 1, &get("/")),
            times: 5000,
            next: |number| frame(kind::CONTINUATION, 0, 1, &pack(&[("x", &number.to_string())])),
        },
        Attack {
            name: "continuation_flood",
            first: frame(kind::HEADERS, END_STREAM, 1, &get("/")),
            times: 5000,
            next: |_| frame(kind::CONTINUATION, 0, 1, &[]),
        },
        Attack {
            name: "hpack_bomb",
            first: Vec::new(),
            times: 1,
            // A field of 3 KB goes into the table, and is then named a thousand times by a byte each.
            next: |_| {
                let large = [&b"\x40\x01x\x7f\x80\x17"[..], &[b'x'; 127 + (0x17 << 7)]].concat();
                let block = [&get("/")[..], &large, &[0xbe; 1000]].concat();
                frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block)
            },
        },
        Attack {
            name: "settings_flood",
            first: Vec::new(),
            times: 20_000,
            next: |_| frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
        },
        Attack {
            name: "ping_flood",
            first: Vec::new(),
            times: 20_000,
            next: |number| frame(kind::PING, 0, 0, &u64::from(number).to_be_bytes()),
        },
        Attack {
            name: "priority_flood",
            first: Vec::new(),
            times: 20_000,
            next: |number| frame(kind::PRIORITY, 0, number % 100 + 3, &[0, 0, 0, 1, 15]),
        },
        Attack {
            name: "window_update_flood",
            first: open.clone(),
            times: 20_000,
            next: |_| frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        },
        Attack {
            name: "empty_data_flood",
            first: open.clone(),
            times: 20_000,
            next: |_| frame(kind::DATA, 0, 1, &[]),
        },
        Attack {
            name: "tiny_data_flood",
            first: open,
            times: 60_000,
            next: |_| frame(kind::DATA, 0, 1, b"x"),
        },
        Attack {
            name: "unknown_frame_flood",
            first: Vec::new(),
            times: 20_000,
            next: |_| frame(0x2a, 0, 0, b"?"),
        },
    ]
}

/// A backend that reads what is sent to `/hold` and never answers it.
fn holding() -> tollgate_tests::Backend {
    backend(|call| {
        if call.target() == "/hold" {
            let _ = call.try_body();
            call.wait_end();
        } else {
            call.reply(200, "well");
        }
    })
}

fn count(gate: &Gateway, attack: &str) -> f64 {
    gate.metrics().sum("tollgate_http2_attacks_total", &[("attack", attack)])
}

#[test]
fn every_attack_is_cut_and_counted_while_others_are_served() {
    let users = holding();
    let gate = front(&users);
    for attack in attacks() {
        let before = count(&gate, attack.name);
        let is_over = AtomicBool::new(false);
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut other = Http2::connect(gate.address(), &[]);
                while !is_over.load(Ordering::SeqCst) || served.load(Ordering::SeqCst) == 0 {
                    let outcome = other.ask(&get("/well"));
                    assert_eq!(outcome.status(), Some(200), "{} hurt another: {outcome:?}", attack.name);
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
            // The other one is being served.
            eventually("a first answer", || served.load(Ordering::SeqCst) > 0);
            let mut client = Http2::connect(gate.address(), &[]);
            client.send(&attack.first);
            let bytes: Vec<u8> = (0..attack.times).flat_map(attack.next).collect();
            let took_all = bytes.chunks(16 * 1024).all(|piece| client.send(piece));
            let code = client.expect_goaway();
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{}, took all: {took_all}", attack.name);
        });
        eventually(attack.name, || count(&gate, attack.name) > before);
    }
    let url = format!("http://{}/well", gate.address());
    assert_eq!(curl(&["--http2-prior-knowledge", "-w", " %{http_version}", &url]).text(), "well 2");
    // Nothing of the attacks is left behind: the process stays small.
    assert!(gate.peak_memory() < 200 * 1024, "{} KiB", gate.peak_memory());
}

#[test]
fn requests_that_have_reached_a_service_are_not_cancelled_without_end() {
    const AT_ONCE: usize = 100;
    let users = holding();
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let mut rounds = 0;
    while count(&gate, "rapid_reset") == 0.0 {
        rounds += 1;
        assert!(rounds < 50, "never cut");
        let streams: Vec<u32> = (0..AT_ONCE).map(|_| client.open(&get("/hold"), END_STREAM)).collect();
        eventually("the calls, or the end", || {
            users.requests().len() >= rounds * AT_ONCE || count(&gate, "rapid_reset") > 0.0
        });
        for stream in streams {
            client.send_frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        }
        // What was cancelled is ended towards the service, too: its connections are free for others.
        eventually("the ends", || {
            gate.metrics().sum("tollgate_requests_total", &[]) >= (rounds * AT_ONCE) as f64
                || count(&gate, "rapid_reset") > 0.0
        });
    }
    assert!(rounds >= 5, "cut after {rounds} times {AT_ONCE}");
    assert_eq!(client.expect_goaway(), Some(ENHANCE_YOUR_CALM));
    gate.get("/well").expect(200);
}

#[test]
fn the_log_says_who_attacked() {
    let gate = front(&holding());
    let mut client = Http2::connect(gate.address(), &[]);
    client.send(frame(kind::PING, 0, 0, b"12345678").repeat(20_000));
    assert_eq!(client.expect_goaway(), Some(ENHANCE_YOUR_CALM));
    let line = &gate.log(1)[0];
    assert_eq!(
        ["client_ip", "protocol", "code", "stage"].map(|member| line[member].as_str().unwrap()),
        ["127.0.0.1", "HTTP/2", "ping_flood", "parse"]
    );
    assert_eq!(line["status"], 400);
}

#[test]
fn an_attacker_who_does_not_read_is_cut_too() {
    let users = holding();
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    let pings = frame(kind::PING, 0, 0, b"12345678").repeat(1000);
    while client.send(&pings) {}
    eventually("the count", || count(&gate, "ping_flood") > 0.0);
    eventually("its end", || {
        gate.metrics().sum("tollgate_connections_open", &[]) < 1.0 || !client.send(b"x")
    });
    gate.get("/well").expect(200);
}

#[test]
fn a_client_that_grants_no_window_holds_little_and_not_for_long() {
    const STREAMS: usize = 100;
    let users = backend(|call| {
        if call.target() == "/large" {
            call.reply(200, vec![b'x'; 4 << 20]);
        } else {
            call.reply(200, "well");
        }
    });
    let gate = gateway_with(
        "
        services: { backend: { endpoints: [ <backend> ], timeout: { idle: 2s } } }
        routes:
          - { match: '/{rest...}', to: backend, access: public }
        ",
        &[("backend", &users)],
    );
    gate.get("/well").expect(200);
    let before = gate.peak_memory();
    // SETTINGS_INITIAL_WINDOW_SIZE: nothing may be sent on any stream.
    let mut stalled = Http2::connect(gate.address(), &[(4, 0)]);
    let streams: Vec<u32> = (0..STREAMS).map(|_| stalled.open(&get("/large"), END_STREAM)).collect();
    eventually("all calls", || users.requests().len() > STREAMS);
    let mut other = Http2::connect(gate.address(), &[]);
    assert_eq!(other.ask(&get("/well")).status(), Some(200));
    let outcome = stalled.outcome(streams[0]);
    assert_eq!((outcome.status(), outcome.reset), (Some(200), Some(CANCEL)));
    eventually("every stream to be cut", || count(&gate, "window_stall") >= STREAMS as f64);
    // 400 MB were on offer. What was held is a buffer for each stream.
    let held = gate.peak_memory().saturating_sub(before);
    assert!(held < 20 * 1024, "{held} KiB");
    // The connection itself is good.
    assert_eq!(stalled.ask(&get("/none")).status(), Some(200));
}

#[test]
fn heads_that_never_end_hold_no_connection() {
    let users = hello();
    let gate = front_with(
        &users,
        "listeners: [ { address: 127.0.0.1:0, limits: { idle_timeout: 1s, header_timeout: 1s } } ]",
    );
    let begun = frame(kind::HEADERS, END_STREAM, 1, &get("/"));
    // A connection that says nothing, a frame of which a part comes, a head of which a part comes.
    for bytes in [&b""[..], &begun[..20], &begun] {
        let mut client = Http2::connect(gate.address(), &[]);
        client.send(bytes);
        assert_eq!(client.expect_goaway(), Some(0));
    }
    assert!(users.requests().is_empty());
}

#[test]
fn honest_clients_that_do_much_are_not_cut() {
    let users = holding();
    let gate = front(&users);
    let mut client = Http2::connect(gate.address(), &[]);
    // A page that is left and opened again: a hundred requests at once, all cancelled, three times.
    for _ in 0..3 {
        let streams: Vec<u32> = (0..100).map(|_| client.open(&get("/hold"), END_STREAM)).collect();
        for stream in streams {
            client.send_frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        }
        assert_eq!(client.ask(&get("/well")).status(), Some(200));
    }
    // A hundred pings and as many grants of window.
    for _ in 0..100 {
        client.send_frame(kind::PING, 0, 0, b"measured");
        client.send_frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]);
    }
    for _ in 0..2000 {
        assert_eq!(client.ask(&get("/well")).status(), Some(200));
    }
    assert!(!gate.metrics().has("tollgate_http2_attacks_total", &[]));
}
