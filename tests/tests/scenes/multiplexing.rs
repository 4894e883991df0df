//! nghttp2's own clients: a thousand streams at a time before a service of HTTP/1.1, in clear and over TLS.

use std::process::{Command, Stdio};

use tollgate_tests::{Authority, backend, gateway_with, nginx};

/// Streams at a time: on ten connections, a hundred on each.
const STREAMS: u64 = 1000;
/// What one may cost at the most while it is open, in KiB, with a short answer: its task, its heads, its call.
const SHORT: u64 = 100;
/// And with a long one that the client does not take at once: what was read of it, and what `h2` holds.
const LONG: u64 = 400;

/// Runs h2load on ten connections of a hundred streams; what it printed.
#[track_caller]
fn h2load(requests: u64, url: &str) -> String {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c10", "-m100", &format!("-n{requests}"), url]).stdin(Stdio::null());
    let output = command.output().expect("h2load does not run: tests/install.sh installs it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = format!(
        "{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout"
    );
    assert!(said.contains(&counts) && said.contains(&format!("status codes: {requests} 2xx")), "{said}");
    said
}

#[test]
fn a_thousand_streams_at_a_time_are_served_in_bounded_memory() {
    let service = nginx("location / { return 200 hello; } location /long { }");
    service.write("long", "x".repeat(200_000));
    let authority = Authority::new();
    let pair = authority.sign(&["gate.test", "127.0.0.1"]);
    let gate = gateway_with(
        "
        listeners:
          - { address: '127.0.0.1:0' }
          - { address: '127.0.0.1:0', tls: { certificates: [{ cert: <cert>, key: <key> }] } }
        services: { service: { endpoints: [<service>], pool: { max: 1000 } } }
        routes: [{ match: '/{rest...}', to: service, access: public }]
        ",
        &[("service", &service), ("cert", &pair.certificate.display()), ("key", &pair.key.display())],
    );
    let before = gate.peak_memory();
    let expect_at_most = |bound: u64| {
        let grown = gate.peak_memory() - before;
        println!("{STREAMS} streams: {} KiB each at the most", grown / STREAMS);
        assert!(grown < STREAMS * bound, "{grown} KiB for {STREAMS} streams");
    };
    h2load(20_000, &format!("http://{}/", gate.listener(0)));
    let said = h2load(20_000, &format!("https://{}/", gate.listener(1)));
    assert!(said.contains("TLSv1.3") && said.contains("Application protocol: h2"), "{said}");
    expect_at_most(SHORT);
    h2load(2000, &format!("https://{}/long", gate.listener(1)));
    expect_at_most(LONG);
}

#[test]
fn nghttp_reads_a_page_and_what_belongs_to_it() {
    let users = backend(|call| {
        let name = call.target().to_owned();
        call.reply(200, name);
    });
    let gate = tollgate_tests::front(&users);
    let url = |path| format!("http://{}{path}", gate.address());
    let mut command = Command::new("nghttp");
    command.args([url("/a"), url("/b"), url("/c")]).stdin(Stdio::null());
    let output = command.output().expect("nghttp does not run: tests/install.sh installs it");
    let mut said: Vec<_> = String::from_utf8_lossy(&output.stdout).split('/').map(str::to_owned).collect();
    said.sort();
    assert_eq!(said, ["", "a", "b", "c"], "{output:?}");
    assert!(output.status.success(), "{output:?}");
}
