//! Endpoints that are put out, and services that are not called, for the share of their calls that fails or is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Backend, Gateway, backend, gateway_with, named};

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
