//! Scripts of varnishtest (`tests/scripts`): a client and a service that follow a script frame by frame, and the gateway
//! between them.

use tollgate_tests::{free_port, gateway_with, varnishtest};

/// Runs a script with a gateway whose one service is the script's, and speaks that protocol.
#[track_caller]
fn play(script: &str, protocol: &str) {
    let port = free_port();
    let gate = gateway_with(
        "
        services: { service: { endpoints: ['http://127.0.0.1:<port>'], protocol: <protocol> } }
        routes: [{ match: '/{rest...}', to: service, access: public }]
        ",
        &[("port", &port), ("protocol", &protocol)],
    );
    let client = format!("127.0.0.1 {}", gate.address().port());
    varnishtest(script, &[("gate", &client), ("service", &format!("127.0.0.1 {port}"))]);
}

#[test]
fn bodies_of_http_1_keep_their_framing() {
    play("bodies_of_http_1.vtc", "http1");
}

#[test]
fn interim_answers_pass() {
    play("interim_answers_pass.vtc", "http1");
}

#[test]
fn a_client_of_http_2_meets_a_service_of_http_1() {
    play("http_2_to_http_1.vtc", "http1");
}

#[test]
fn a_client_of_http_1_meets_a_service_of_http_2() {
    play("http_1_to_http_2.vtc", "http2");
}

#[test]
fn both_sides_speak_http_2() {
    play("http_2_to_http_2.vtc", "http2");
}

#[test]
fn a_client_that_cancels_ends_the_call() {
    play("a_client_that_cancels.vtc", "http1");
}

#[test]
fn a_service_of_http_1_that_breaks_off_becomes_a_reset() {
    play("a_service_that_breaks_off.vtc", "http1");
}

#[test]
fn a_service_of_http_2_that_resets_is_told_on() {
    play("a_service_that_resets.vtc", "http2");
}

#[test]
fn a_service_that_goes_away_is_called_anew() {
    play("a_service_that_goes_away.vtc", "http2");
}

#[test]
fn a_window_that_stays_shut_holds_up_no_other() {
    play("a_window_that_stays_shut.vtc", "http1");
}
