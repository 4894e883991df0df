//! Requests that are slow to be answered, and asked of a second endpoint too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tollgate_tests::http2::{CANCEL, Http2Service, kind};
use tollgate_tests::{Backend, Gateway, backend, eventually, gateway_with, named, raw_backend};

/// One worker in front of these endpoints, with these lines beside them.
fn gate_to(endpoints: &[&Backend], lines: &str) -> Gateway {
    let endpoints = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    gateway_with(
        "
        workers: 1
        services: { backend: { endpoints: [<endpoints>], <lines> } }
        routes: [{ match: '/{rest...}', to: backend, access: public }]
        ",
        &[("endpoints", &endpoints), ("lines", &lines)],
    )
}

/// A backend that never answers.
fn silent() -> Backend {
    backend(|call| {
        call.body();
        call.wait_end();
    })
}

fn hedges(gate: &Gateway, result: &str) -> usize {
    gate.metrics().sum("tollgate_upstream_hedges_total", &[("result", result)]).round() as usize
}

#[test]
fn the_first_answer_wins_and_the_other_endpoint_is_given_up() {
    let (silent, good) = (silent(), named("good"));
    let gate = gate_to(&[&silent, &good], "hedge: 200ms");
    for _ in 0..4 {
        gate.get("/x").expect(200).expect_body("good");
    }
    let outrun = silent.requests().len();
    assert!(outrun >= 2, "{outrun}");
    silent.expect_ended(outrun);
    assert_eq!(good.requests().len(), 4);
    let log = gate.log(4);
    let told: Vec<_> = log.iter().filter(|line| line["attempts"] == 2).collect();
    assert_eq!(told.len(), outrun, "{log:?}");
    for line in told {
        let attempt = &line["failed_attempts"][0];
        assert_eq!((&attempt["endpoint"], &attempt["code"]), (&silent.to_string().into(), &"outrun".into()));
        assert_eq!(line["endpoint"], good.to_string());
        assert!(line["upstream_ms"].is_number());
    }
    assert!(hedges(&gate, "won") > 0);
    assert_eq!(hedges(&gate, "won") + hedges(&gate, "lost"), outrun);
}

#[test]
fn a_stream_of_http2_that_was_outrun_is_cancelled_and_its_connection_stays() {
    let (reset, is_reset) = mpsc::channel();
    let (opened, reset) = (Arc::new(AtomicUsize::new(0)), Mutex::new(reset));
    let counted = Arc::clone(&opened);
    let silent = raw_backend(move |socket| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(frame) = service.next_frame() {
            if frame.kind == kind::RST_STREAM {
                reset.lock().unwrap().send(frame.payload).unwrap();
            }
        }
    });
    let good = raw_backend(|socket| {
        let mut service = Http2Service::accept(socket, &[]);
        while let Some(stream) = service.request() {
            service.reply(stream, "good");
        }
    });
    let gate = gate_to(&[&silent, &good], "protocol: http2, hedge: 100ms");
    for _ in 0..4 {
        gate.get("/x").expect(200).expect_body("good");
    }
    for _ in 0..hedges(&gate, "won") {
        assert_eq!(is_reset.recv().unwrap(), CANCEL.to_be_bytes());
    }
    assert!(hedges(&gate, "won") >= 2);
    assert_eq!(opened.load(Ordering::SeqCst), 1);
}

#[test]
fn two_endpoints_that_never_answer_are_given_up_in_time() {
    let (one, two) = (silent(), silent());
    let gate = gate_to(&[&one, &two], "hedge: 50ms, timeout: { first_byte: 200ms }, retry: off");
    gate.get("/x").expect_refusal("upstream_timeout");
    assert_eq!(one.requests().len() + two.requests().len(), 2);
    one.expect_ended(one.connections());
    two.expect_ended(two.connections());
}

#[test]
fn an_endpoint_that_was_asked_for_nothing_is_told_so() {
    let (asked, is_asked) = mpsc::channel();
    let (asked, is_asked) = (Mutex::new(asked), Mutex::new(is_asked));
    let calls = AtomicUsize::new(0);
    // Whichever endpoint is asked second never answers; the first does once the second is asked.
    let shared = Arc::new((asked, is_asked, calls));
    let ends = [Arc::clone(&shared), shared].map(|shared| {
        backend(move |call| {
            let (asked, is_asked, calls) = &*shared;
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                is_asked.lock().unwrap().recv().unwrap();
                call.reply(200, "first");
            } else {
                asked.lock().unwrap().send(()).unwrap();
                call.wait_end();
            }
        })
    });
    let gate = gate_to(&[&ends[0], &ends[1]], "hedge: { after: 50ms, methods: GET }");
    gate.get("/x").expect(200).expect_body("first");
    let line = &gate.log(1)[0];
    assert_eq!((&line["attempts"], &line["failed_attempts"][0]["code"]), (&2.into(), &"outrun".into()));
    assert_ne!(line["endpoint"], line["failed_attempts"][0]["endpoint"]);
    assert_eq!((hedges(&gate, "won"), hedges(&gate, "lost")), (0, 1));
    let second = ends.iter().find(|end| line["failed_attempts"][0]["endpoint"] == end.to_string()).unwrap();
    second.expect_ended(1);
}

#[test]
fn only_what_changes_nothing_is_asked_twice() {
    let (silent, good) = (silent(), named("good"));
    let gate = gate_to(&[&silent, &good], "hedge: 20ms, timeout: { first_byte: 1s }");
    let of_two = |statuses: [u16; 2]| {
        let mut statuses = statuses;
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(of_two([(); 2].map(|()| gate.post("/x", "once").status)), [200, 504]);
    assert_eq!(of_two([(); 2].map(|()| gate.ask("OPTIONS", "/x").send().status)), [200, 504]);
    assert_eq!(of_two([(); 2].map(|()| gate.ask("GET", "/x").body("body").send().status)), [200, 504]);
    assert_eq!(of_two([(); 2].map(|()| gate.get("/x").status)), [200, 200]);
}

#[test]
fn a_second_endpoint_may_answer_though_the_first_fails_meanwhile() {
    let (asked, is_asked) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel();
    let shared = Arc::new((Mutex::new((asked, is_gone)), Mutex::new((is_asked, gone)), AtomicUsize::new(0)));
    let ends = [Arc::clone(&shared), shared].map(|shared| {
        backend(move |call| {
            let (second, first, calls) = &*shared;
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                let (is_asked, gone) = &*first.lock().unwrap();
                is_asked.recv().unwrap();
                call.reset();
                gone.send(()).unwrap();
            } else {
                let (asked, is_gone) = &*second.lock().unwrap();
                asked.send(()).unwrap();
                is_gone.recv().unwrap();
                call.reply(200, "second");
            }
        })
    });
    let gate = gate_to(&[&ends[0], &ends[1]], "hedge: 50ms, retry: off");
    gate.get("/x").expect(200).expect_body("second");
    assert_eq!(gate.log(1)[0]["failed_attempts"][0]["code"], "upstream_reset");
}

#[test]
fn an_answer_that_nobody_wants_wins_nothing() {
    let (told, is_told) = mpsc::channel();
    let shared = Arc::new((Mutex::new(told), Mutex::new(is_told), AtomicUsize::new(0)));
    let ends = [Arc::clone(&shared), shared].map(|shared| {
        backend(move |call| {
            let (told, is_told, calls) = &*shared;
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                is_told.lock().unwrap().recv().unwrap();
                call.reply(200, "first");
            } else {
                call.reply(503, "busy");
                told.lock().unwrap().send(()).unwrap();
            }
        })
    });
    let gate = gate_to(&[&ends[0], &ends[1]], "hedge: 50ms");
    gate.get("/x").expect(200).expect_body("first");
}

#[test]
fn a_service_shows_what_is_slow_for_it() {
    let is_slow = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_slow);
    let moody = backend(move |call| {
        if mood.load(Ordering::SeqCst) {
            call.wait_end();
        } else {
            call.reply(200, "moody");
        }
    });
    let good = named("good");
    let gate = gate_to(&[&moody, &good], "balance: round_robin, hedge: p90, timeout: { first_byte: 5s }");
    // Too few to tell.
    for _ in 0..80 {
        gate.get("/x").expect(200);
    }
    assert_eq!((hedges(&gate, "won"), hedges(&gate, "lost")), (0, 0));
    for _ in 0..60 {
        gate.get("/x").expect(200);
    }
    is_slow.store(true, Ordering::SeqCst);
    for _ in 0..6 {
        gate.get("/x").expect(200).expect_body("good");
    }
    assert!(hedges(&gate, "won") >= 3);
}

#[test]
fn second_requests_do_not_multiply_what_a_slow_service_gets() {
    const REQUESTS: usize = 200;
    let slow = || {
        backend(|call| {
            std::thread::sleep(Duration::from_millis(10));
            call.reply(200, "ok");
        })
    };
    let ends = [slow(), slow()];
    let gate = gate_to(&[&ends[0], &ends[1]], "hedge: 1ms, retry: { attempts: 1, budget: 0% }");
    let began = Instant::now();
    for _ in 0..REQUESTS {
        gate.get("/x").expect(200);
    }
    // What is kept for a bad moment, and one a second.
    let most = 100 + began.elapsed().as_secs() as usize + 1;
    let made = hedges(&gate, "won") + hedges(&gate, "lost");
    assert!(made <= most, "{made} of at most {most}");
    assert!(hedges(&gate, "denied") > 0 && made + hedges(&gate, "denied") <= REQUESTS);
}

#[test]
fn when_the_client_leaves_both_endpoints_are_given_up() {
    let ends = [silent(), silent()];
    let gate = gate_to(&[&ends[0], &ends[1]], "hedge: 20ms");
    let wire = gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("both to be asked", || ends.iter().all(|end| end.requests().len() == 1));
    drop(wire);
    for end in &ends {
        end.expect_ended(1);
    }
    assert_eq!(gate.log(1)[0]["status"], 499);
}
