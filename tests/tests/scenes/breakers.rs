//! Endpoints that are put out, and services that are not called, for the share of their calls that fails or is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tollgate_tests::{Backend, Gateway, backend, eventually, gateway_with, named};

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

/// A backend of which one call in so many fails.
fn fails_each(nth: usize) -> Backend {
    let calls = Arc::new(AtomicUsize::new(0));
    backend(move |call| {
        if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(nth) {
            call.reply(503, "ill");
        } else {
            call.reply(200, "well");
        }
    })
}

/// A backend that fails until it is told that it is well.
fn moody() -> (Backend, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_well);
    let backend = backend(move |call| {
        let (status, word) = if mood.load(Ordering::SeqCst) { (200, "well") } else { (503, "ill") };
        call.reply(status, word);
    });
    (backend, is_well)
}

#[test]
fn an_endpoint_that_fails_often_is_left_alone_though_it_never_does_in_a_row() {
    let (shaky, good) = (fails_each(2), named("good"));
    let gate = gate_to(&[&shaky, &good], "eject: { share: 50%, window: 1h, calls: 20, for: 1h }");
    for _ in 0..80 {
        gate.get("/x");
    }
    // The call before the twentieth succeeded, and it is looked at when one fails.
    assert_eq!(shaky.requests().len(), 21);
    gate.expect_line("is out for 3600s, as 11 of 21 calls failed");
    let seldom = fails_each(3);
    let gate = gate_to(&[&seldom, &good], "eject: { share: 50%, window: 1h, calls: 20, for: 1h }");
    for _ in 0..80 {
        gate.get("/x");
    }
    assert!((gate.metrics().sum("tollgate_upstream_endpoint_up", &[]) - 2.0).abs() < 0.1);
}

#[test]
fn a_breaker_opens_for_a_share_of_failures() {
    let shaky = fails_each(2);
    let gate = gate_to(&[&shaky], "breaker: { errors: 50%, calls: 20, window: 1h, open_for: 1h }");
    for _ in 0..21 {
        gate.get("/x");
    }
    gate.expect_line("service backend is not called for 3600s, as 11 of 21 calls failed");
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    assert_eq!(shaky.requests().len(), 21);
}

#[test]
fn a_breaker_opens_for_slow_answers_though_they_are_good() {
    let is_slow = Arc::new(AtomicBool::new(true));
    let mood = Arc::clone(&is_slow);
    let slow = backend(move |call| {
        if mood.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(30));
        }
        call.reply(200, "at last");
    });
    let rules =
        "breaker: { slow: 60%, slow_after: 20ms, calls: 5, window: 1h, open_for: 300ms, half_open: 1 }";
    let gate = gate_to(&[&slow], rules);
    for _ in 0..5 {
        gate.get("/x").expect(200);
    }
    gate.expect_line("as 5 of 5 calls were slow");
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    // Whoever tries it finds it as slow as it was.
    eventually("a trial", || gate.get("/x").status == 200);
    gate.expect_line("as it is not well yet");
    is_slow.store(false, Ordering::SeqCst);
    eventually("it to be called as usual", || {
        gate.get("/x");
        gate.said().contains("is called as usual again")
    });
}

#[test]
fn an_endpoint_may_have_a_breaker_of_its_own() {
    let (bad, is_well) = moody();
    let good = named("good");
    let rules = "breaker: { failures: 3, window: 1h, open_for: 500ms, half_open: 1, per: endpoint }";
    let gate = gate_to(&[&bad, &good], rules);
    eventually("its breaker to open", || gate.get("/x").status == 503 && bad.requests().len() == 3);
    gate.expect_line(&format!("service backend: {bad} is not called for 500ms, after 3 failures"));
    let state = |endpoint: &Backend| {
        let endpoint = endpoint.to_string();
        gate.metrics().sum("tollgate_endpoint_breaker_state", &[("endpoint", &endpoint)])
    };
    assert!(state(&bad) > 0.9 && state(&good) < 0.1);
    assert!(gate.metrics().sum("tollgate_breaker_state", &[("service", "backend")]) < 0.1);
    is_well.store(true, Ordering::SeqCst);
    eventually("it to be called again", || {
        gate.get("/x").expect(200);
        bad.requests().len() > 4
    });
    gate.expect_line(&format!("service backend: {bad} is called as usual again"));
}

#[test]
fn when_the_breakers_of_all_endpoints_are_open_nobody_is_called() {
    let all = [moody().0, moody().0];
    let rules = "breaker: { failures: 2, window: 1h, open_for: 1h, per: endpoint }, retry: { attempts: 3, on: [503] }";
    let gate = gate_to(&[&all[0], &all[1]], rules);
    gate.get("/x").expect(503).expect_body("ill");
    let refused = gate.get("/x").expect(503);
    refused.expect_refusal("breaker_open");
    refused.expect_header("Retry-After", "3600");
    assert_eq!(all.each_ref().map(|one| one.requests().len()), [2, 2]);
    // A reload that keeps them changes nothing; one that takes them away lets everything through.
    let config = std::fs::read_to_string(gate.config_file()).unwrap();
    gate.expect_reload(|| std::fs::write(gate.config_file(), format!("{config}\n# again\n")).unwrap());
    gate.get("/x").expect(503).expect_refusal("breaker_open");
    gate.expect_reload(|| std::fs::write(gate.config_file(), config.replace(", per: endpoint", "")).unwrap());
    gate.get("/x").expect(503).expect_body("ill");
}
