//! Conformance suites of others, run through the gateway. What of them fails is listed here, with the reason.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tollgate_tests::{
    Authority, Backend, Gateway, backend, browser, eventually, expect_intermediate_tls, front, gateway_with,
    http2_relay, httpwg, tls_relay, web_socket_cases, web_socket_server,
};

/// The cases of httpwg that fail, of 107.
const NOT_HELD: &[&str] = &[
    // `h2` says PROTOCOL_ERROR of heads that do not unpack, where it should be COMPRESSION_ERROR.
    "4. http frames :: invalid header block fragment",
    // `h2` passes over such fields, and so does the gateway: they go nowhere.
    "8. expressing http semantics in http2 :: sends headers frame with pseudo header in trailer",
];
/// A client says that it goes, and then pings. `h2` ends a connection that is told so when nothing is under way on it:
/// whether the ping was read by then is chance.
const CHANCE: &[&str] = &["7. error codes :: sends goaway frame with unknown error code"];

/// A gateway with a listener in TLS before everything else that `lines` say.
fn with_tls(authority: &Authority, lines: &str, values: &[(&str, &dyn std::fmt::Display)]) -> Gateway {
    let pair = authority.sign(&["gate.test", "127.0.0.1"]);
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let listener = "
        listeners: [{ address: '127.0.0.1:0', tls: { certificates: [{ cert: <certificate>, key: <key> }] } }]";
    let values = [values, &[("certificate", &certificate), ("key", &key)]].concat();
    gateway_with(&format!("{listener}{lines}"), &values)
}

const ONE_SERVICE: &str = "
        services: { service: <service> }
        routes: [{ match: '/{rest...}', to: service, access: public }]
        ";

/// A service that answers once it has read the body, as most do: then what is wrong with a body comes before the answer.
fn patient() -> Backend {
    backend(|call| match call.try_body() {
        Ok(_) => call.reply(200, "hello"),
        Err(_) => call.close(),
    })
}

fn expect_rfc_9113(address: SocketAddr) {
    let verdicts = httpwg(address);
    println!("httpwg: {} of {} pass", verdicts.passed.len(), verdicts.passed.len() + verdicts.failed.len());
    verdicts.expect_failures(NOT_HELD, CHANCE);
    assert!(verdicts.passed.len() >= 103, "{verdicts:#?}");
}

#[test]
fn rfc_9113_holds_in_clear() {
    let users = patient();
    let gate = front(&users);
    expect_rfc_9113(gate.address());
}

#[test]
fn rfc_9113_holds_under_tls() {
    let users = patient();
    let gate = with_tls(&Authority::new(), ONE_SERVICE, &[("service", &users)]);
    expect_rfc_9113(tls_relay(gate.address(), "h2").address());
}

#[test]
fn web_sockets_through_the_gateway_are_as_without_it() {
    let server = web_socket_server();
    let gate = front(&server);
    let direct = web_socket_cases(&server.to_string().replace("http:", "ws:"));
    let over_http1 = web_socket_cases(&format!("ws://{}", gate.address()));
    expect_same(&direct, &over_http1);
    // In a name, so that it lives until the cases have run.
    let relay = http2_relay(gate.address());
    let over_http2 = web_socket_cases(&format!("ws://{}", relay.address()));
    expect_same(&direct, &over_http2);
}

/// Shows only what differs. `OK` and `NON-STRICT` both pass: which of them a case gets depends on how much of the echo was read
/// before the server closed, which is chance on a busy machine.
#[track_caller]
fn expect_same(direct: &BTreeMap<String, String>, through: &BTreeMap<String, String>) {
    let grade = |verdict: &String| verdict.replace("NON-STRICT", "OK");
    let differing =
        direct.iter().filter(|(case, verdict)| through.get(*case).map(grade) != Some(grade(verdict)));
    let differing: Vec<_> =
        differing.map(|(case, verdict)| (case, verdict, through.get(case).map(String::as_str))).collect();
    assert!(differing.is_empty(), "directly, and through the gateway: {differing:#?}");
    assert_eq!(direct.len(), through.len());
}

#[test]
fn tls_is_as_mozilla_s_intermediate_recommendation() {
    let users = backend(|call| call.reply(200, "hello"));
    let authority = Authority::new();
    let gate = with_tls(&authority, ONE_SERVICE, &[("service", &users)]);
    expect_intermediate_tls(gate.address(), &authority.certificate());
}

/// Opens a WebSocket, sends a text, and tells with the path of a request what came back.
const PAGE: &str = "<!doctype html><script>
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/echo');
    socket.onopen = () => socket.send('hello from a browser');
    socket.onmessage = (message) => fetch('/heard/' + encodeURIComponent(message.data));
    socket.onclose = (end) => fetch('/closed/' + end.code);
</script>";

#[test]
fn a_browser_opens_a_web_socket_over_http1_and_over_http2() {
    let server = web_socket_server();
    let pages = backend(|call| call.reply_with(200, "Content-Type: text/html\r\n", PAGE));
    let lines = "
        drain: 1s
        services: { server: <server>, pages: <pages> }
        routes:
          - { match: /echo, to: server, access: public }
          - { match: '/{rest...}', to: pages, access: public }
        ";
    let heard = "/heard/hello%20from%20a%20browser";
    let told = || pages.requests().iter().filter(|request| request.target == heard).count();
    let values: [(&str, &dyn std::fmt::Display); 2] = [("server", &server), ("pages", &pages)];

    let gate = gateway_with(lines, &values);
    let _clear = browser(&format!("http://{}/", gate.address()));
    eventually("the browser to have its message back", || told() == 1);

    // The page came over HTTP/2, and so does the WebSocket, as the gateway says that it may (RFC 8441).
    let gate = with_tls(&Authority::new(), lines, &values);
    let _encrypted = browser(&format!("https://{}/", gate.address()));
    eventually("the same over HTTP/2", || told() == 2);
    gate.terminate();
    let mut opened = String::new();
    eventually("the WebSocket's line in the log", || {
        let log = std::fs::read_to_string(gate.log_file()).unwrap_or_default();
        opened = log.lines().find(|line| line.contains("\"path\":\"/echo\"")).unwrap_or_default().to_owned();
        !opened.is_empty()
    });
    assert!(opened.contains("\"protocol\":\"HTTP/2\""), "{opened}");
}
