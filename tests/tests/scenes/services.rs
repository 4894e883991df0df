//! Services: which endpoint answers, what happens when one does not, and what the client is told then.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{
    Backend, Gateway, Signal, backend, eventually, front, front_with, gateway_with, hello, named,
};

/// A gateway before a service of the endpoints `a`, `b` and `c`, with these settings.
fn three(settings: &str) -> ([Backend; 3], Gateway) {
    let backends = [named("a"), named("b"), named("c")];
    let gate = gateway_with(
        &format!(
            "
            services:
              letters:
                endpoints: [{{ url: <a>, weight: 2 }}, <b>, <c>]
                {settings}
            routes: [{{ match: '/{{rest...}}', to: letters, access: public }}]
            "
        ),
        &[("a", &backends[0]), ("b", &backends[1]), ("c", &backends[2])],
    );
    (backends, gate)
}

/// How often each endpoint answered that many requests.
fn spread(gate: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..requests {
        *spread.entry(gate.get("/x").expect(200).text()).or_default() += 1;
    }
    spread
}

#[test]
fn round_robin_gives_each_endpoint_its_weight() {
    let (_backends, gate) = three("balance: round_robin");
    let spread = spread(&gate, 40);
    assert_eq!(spread, BTreeMap::from([("a".into(), 20), ("b".into(), 10), ("c".into(), 10)]));
}

#[test]
fn every_other_balancer_uses_every_endpoint() {
    // ewma may leave an endpoint alone whose first answer was slow; the others have no reason to.
    for (balance, least) in [("random", 3), ("weighted_random", 3), ("least_requests", 3), ("ewma", 1)] {
        let (_backends, gate) = three(&format!("balance: {balance}"));
        let spread = spread(&gate, 90);
        assert_eq!(spread.len(), 3, "{balance}: {spread:?}");
        assert!(spread.values().all(|count| *count >= least), "{balance}: {spread:?}");
    }
}

#[test]
fn an_endpoint_without_weight_gets_nothing() {
    let (a, b) = (named("a"), named("b"));
    let gate = gateway_with(
        "
        services: { letters: { endpoints: [{ url: <a>, weight: 0 }, <b>] } }
        routes: [{ match: /x, to: letters, access: public }]
        ",
        &[("a", &a), ("b", &b)],
    );
    assert_eq!(spread(&gate, 10), BTreeMap::from([("b".into(), 10)]));
}

#[test]
fn a_client_address_always_meets_the_same_endpoint() {
    let (_backends, gate) = three("balance: ip_hash");
    assert_eq!(spread(&gate, 20).len(), 1);
}

#[test]
fn a_hash_keeps_a_key_at_its_endpoint_and_spreads_the_keys() {
    let (_backends, gate) = three("balance: { hash: \"request.headers['x-tenant']\" }");
    let ask = |tenant: usize| {
        gate.ask("GET", "/x").header("X-Tenant", &format!("tenant-{tenant}")).send().expect(200).text()
    };
    let first: Vec<_> = (0..60).map(ask).collect();
    let again: Vec<_> = (0..60).map(ask).collect();
    assert_eq!(first, again);
    let used: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(used.len(), 3);
}

#[test]
fn a_sticky_cookie_brings_the_client_back_and_a_forged_one_does_no_harm() {
    let (_backends, gate) = three("balance: { sticky: tg_session }");
    for _ in 0..5 {
        let answer = gate.get("/x").expect(200);
        let cookie = answer.header("Set-Cookie").expect("a cookie").split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("tg_session="), "{cookie}");
        for _ in 0..4 {
            let again = gate.ask("GET", "/x").header("Cookie", &format!("a=b; {cookie}")).send().expect(200);
            assert_eq!(again.text(), answer.text());
            assert!(!again.fields.has("Set-Cookie"), "{again:?}");
        }
    }
    for forged in ["tg_session=", "tg_session=zzz", "tg_session=127.0.0.1:22"] {
        let answer = gate.ask("GET", "/x").header("Cookie", forged).send().expect(200);
        assert!(answer.fields.has("Set-Cookie"), "{forged}: {answer:?}");
    }
}

#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    let (backends, gate) = three("balance: round_robin");
    backends[1].stop();
    let spread = spread(&gate, 30);
    assert_eq!(spread.values().sum::<usize>(), 30);
    assert!(!spread.contains_key("b"), "{spread:?}");
}

#[test]
fn a_body_reaches_the_endpoint_that_is_tried_last() {
    let (backends, gate) = three("retry: 2");
    backends[0].stop();
    backends[1].stop();
    let body = "x".repeat(100_000);
    for _ in 0..4 {
        gate.post("/x", body.clone()).expect(200);
    }
    assert!(backends[2].requests().iter().all(|seen| seen.body == body.as_bytes()));
}

#[test]
fn a_service_without_a_living_endpoint_is_a_502_that_names_it() {
    let users = hello();
    let gate = front(&users);
    users.stop();
    let answer = gate.get("/x").expect(502);
    let problem = answer.expect_refusal("upstream_connect_failed");
    assert_eq!(problem["stage"], "call");
    assert_eq!(problem["service"], "backend");
    assert_eq!(problem["endpoint"], users.to_string());
    assert!(!problem["cause"].as_str().unwrap().is_empty(), "{problem}");
    // The connection of the client is not at fault.
    assert!(!answer.closes(), "{answer:?}");
}

#[test]
fn the_gateway_finds_a_service_that_has_come_back() {
    let users = hello();
    let gate = front(&users);
    gate.get("/x").expect(200);
    users.stop();
    gate.get("/x").expect(502);
    let _again = Backend::at(users.port(), |call| call.reply(200, "back"));
    gate.get("/x").expect(200).expect_body("back");
}

/// A backend whose second request on a connection meets a hang-up instead of an answer.
fn forgetful() -> Backend {
    let (served, last) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    backend(move |call| {
        if last.swap(call.seen.connection, Ordering::SeqCst) == call.seen.connection {
            call.reset();
        } else {
            served.fetch_add(1, Ordering::SeqCst);
            call.reply(200, "ok");
        }
    })
}

#[test]
fn a_request_that_met_a_stale_connection_is_sent_again_once() {
    let users = forgetful();
    let gate = front(&users);
    for target in ["/1", "/2", "/3"] {
        gate.get(target).expect(200).expect_body("ok");
    }
    // Three served, two tried in vain on the connection that was pooled before.
    assert_eq!(users.requests().len(), 5);
}

#[test]
fn a_request_that_is_not_safe_to_repeat_is_not_repeated() {
    let users = forgetful();
    let gate = front(&users);
    gate.post("/1", "pay").expect(200);
    let answer = gate.post("/2", "pay").expect(502);
    assert_eq!(answer.json()["code"], "upstream_reset");
    assert_eq!(users.requests().iter().filter(|seen| seen.target == "/2").count(), 1);
}

#[test]
fn a_connection_refused_on_a_fresh_connection_is_not_repeated_for_ever() {
    let users = backend(|call| {
        call.reset();
    });
    let gate = front(&users);
    gate.get("/x").expect(502);
    assert_eq!(users.requests().len(), 1);
}

#[test]
fn a_service_that_does_not_answer_in_time_is_a_504_that_names_it() {
    let users = backend(|call| {
        call.wait_end();
    });
    for (timeout, code) in [("first_byte: 150ms", "upstream_timeout"), ("total: 150ms", "upstream_timeout")] {
        let gate = front_with(&users, &format!("defaults: {{ timeout: {{ {timeout} }} }}"));
        let answer = gate.get("/x").expect(504);
        let problem = answer.expect_refusal(code);
        assert_eq!(problem["service"], "backend");
        assert_eq!(problem["endpoint"], users.to_string());
    }
    users.expect_ended(2);
}

#[test]
fn a_service_that_cannot_be_reached_in_time_is_a_504() {
    // A full backlog drops further handshakes: a connect that never comes about, without leaving this machine.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let full: Vec<_> = (0..4)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&address.into()).ok();
            socket
        })
        .collect();
    let gate = front_with(&format!("http://{address}"), "defaults: { timeout: { connect: 150ms } }");
    gate.get("/x").expect(504).expect_refusal("upstream_connect_timeout");
    drop(full);
}

#[test]
fn an_answer_that_stops_coming_is_broken_off() {
    let users = backend(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        call.wait_end();
    });
    let gate = front_with(&users, "defaults: { timeout: { idle: 150ms } }");
    let broken = gate.ask("GET", "/x").try_send().unwrap_err();
    assert_ne!(broken.ending, tollgate_tests::Ending::Silent);
    assert_eq!(broken.received, b"half");
    assert_eq!(gate.log(1)[0]["code"], "upstream_idle_timeout");
}

#[test]
fn an_answer_longer_than_the_whole_time_is_broken_off() {
    let users = backend(|call| {
        call.begin_chunked("");
        // Goes on for ever, each piece in time. The pace is part of the scene.
        while call.chunk("x") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        call.close();
    });
    let gate = front_with(&users, "defaults: { timeout: { total: 300ms } }");
    gate.ask("GET", "/x").try_send().expect_err("an end");
    users.expect_ended(1);
    assert_eq!(gate.log(1)[0]["code"], "total_timeout");
}

#[test]
fn the_nearest_time_limit_holds() {
    let users = backend(|call| {
        call.wait_end();
    });
    let gate = gateway_with(
        "
        defaults: { timeout: 60s }
        services: { users: { endpoints: [<users>], timeout: { total: 30s } } }
        routes: [{ match: /x, to: users, access: public, timeout: 150ms }]
        ",
        &[("users", &users)],
    );
    gate.get("/x").expect(504);
}

#[test]
fn the_pool_is_bounded_and_requests_wait_their_turn() {
    let open = Signal::new();
    let hold = open.clone();
    let users = backend(move |call| {
        hold.wait();
        call.reply(200, "ok");
    });
    let gate = gateway_with(
        "
        services: { users: { endpoints: [<users>], pool: { max: 2 } } }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let mut wires: Vec<_> = (0..6).map(|_| gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    users.request(1);
    open.raise();
    for wire in &mut wires {
        wire.answer().expect(200);
    }
    assert_eq!(users.connections(), 2);
}

#[test]
fn idle_connections_are_given_up_after_their_time() {
    let users = hello();
    let gate = gateway_with(
        "
        services: { users: { endpoints: [<users>], pool: { idle_for: 200ms } } }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    gate.get("/x").expect(200);
    users.expect_ended(1);
    gate.get("/x").expect(200);
}

#[test]
fn nobody_queues_at_a_full_endpoint_while_another_has_room() {
    let held = Signal::new();
    let hold = held.clone();
    let (slow, quick) = (backend(move |_| hold.wait()), named("quick"));
    let gate = gateway_with(
        "
        workers: 1
        services: { users: { endpoints: [<slow>, <quick>], balance: round_robin, pool: { max: 1 } } }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("slow", &slow), ("quick", &quick)],
    );
    let mut stuck = Vec::new();
    while slow.requests().is_empty() {
        stuck.push(gate.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
        eventually("it arrives", || slow.requests().len() + quick.requests().len() == stuck.len());
    }
    for _ in 0..6 {
        gate.get("/x").expect(200).expect_body("quick");
    }
    held.raise();
}

#[test]
fn a_request_whose_service_has_begun_to_answer_is_not_repeated() {
    let users = backend(|call| {
        if call.target() == "/first" {
            return call.reply(200, "");
        }
        call.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        call.close();
    });
    let gate = front_with(&users, "workers: 1");
    gate.get("/first").expect(200);
    let answer = gate.get("/second").expect(502);
    answer.expect_refusal("upstream_reset");
    assert_eq!(users.requests().len(), 2);
}

#[test]
fn a_service_that_never_says_continue_is_the_one_to_blame() {
    let users = backend(|call| {
        call.wait_end();
    });
    let gate = gateway_with(
        "
        listeners: [{ address: '127.0.0.1:0', limits: { body_timeout: 30s } }]
        services: { users: { endpoints: [<users>], timeout: { first_byte: 150ms } } }
        routes: [{ match: /x, to: users, access: public }]
        ",
        &[("users", &users)],
    );
    let mut wire =
        gate.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    wire.answer().expect(504).expect_refusal("upstream_timeout");
}

#[test]
fn a_connection_that_had_a_body_with_delete_is_not_used_again() {
    // A service that does not look for that body would take it for the next request.
    let users = hello();
    let gate = front_with(&users, "workers: 1");
    for _ in 0..2 {
        gate.ask("DELETE", "/x").body("x").send().expect(200);
    }
    assert_eq!(users.connections(), 2);
}
