//! More connections at once than the kernel lets wait: what does not fit is dropped before the gateway hears of it, what does is bounded by
//! the listener, and others are served as soon as they come.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};
use tollgate_tests::{Gateway, eventually, full_run};

/// The backlog that the gateway asks for, as far as the kernel gives it.
const BACKLOG: usize = 4096;
/// Connections that the listener may have, and of those one address.
const CONNECTIONS: usize = 500;
const OF_AN_ADDRESS: usize = 100;
/// Whom the burst comes from.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What the gateway may grow by in all, in KiB: a connection that is not let in leaves nothing behind.
const GROWTH: u64 = 16 * 1024;

#[test]
fn a_burst_that_overflows_the_kernels_queue_leaves_the_gateway_as_it_was() {
    let config = format!(
        "
listeners: [ {{ address: '127.0.0.1:0', limits: {{ connections: {CONNECTIONS}, connections_per_ip: {OF_AN_ADDRESS} }} }} ]
routes: [ {{ match: /x, respond: {{ body: x }}, access: public }} ]
"
    );
    // One worker, so that there is one queue.
    let gate = Gateway::start(&config, &["--workers", "1"]);
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let queue = BACKLOG.min(somaxconn) + 1;
    let burst = queue + 2000;
    raise_open_files(burst);
    gate.get("/x").expect(200);
    let memory = gate.peak_memory();
    let refused =
        || gate.metrics().sum("tollgate_connections_refused_total", &[("reason", "address_limit")]) as usize;
    for _ in 0..if full_run() { 20 } else { 2 } {
        let before = refused();
        gate.pause();
        let attempts: Vec<_> = (0..burst).map(|_| attempt(gate.address())).collect();
        let waiting = attempts.iter().filter(|socket| socket.peer_addr().is_ok()).count();
        assert!(waiting <= queue, "{waiting} wait in a queue for {queue}");
        assert!(waiting >= queue / 2, "{waiting} only: this is no burst");
        gate.resume();
        let expected = before + waiting - OF_AN_ADDRESS;
        eventually("all that came are let in or refused", || refused() >= expected);
        // What the kernel has dropped comes again for as long as the burst is not given up, and keeps nobody else out.
        let began = Instant::now();
        gate.get("/x").expect(200);
        assert!(began.elapsed() < Duration::from_secs(1), "served after {:?}", began.elapsed());
        drop(attempts);
        eventually("they are gone", || gate.metrics().sum("tollgate_connections_open", &[]) < 1.5);
    }
    let grown = gate.peak_memory() - memory;
    println!("{grown} KiB more at the most");
    assert!(grown < GROWTH, "{grown} KiB more");
    let before = worked(&gate);
    std::thread::sleep(Duration::from_secs(1));
    let busy = worked(&gate).saturating_sub(before);
    assert!(busy < Duration::from_millis(200), "it worked for {busy:?} of a second in which nobody called");
}

/// Begins a connection and does not wait for it.
fn attempt(to: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::from((STRANGER, 0)))).unwrap();
    // It is under way, or there already.
    let _ = socket.connect(&to.into());
    socket
}

/// Lets this program open as many sockets as it needs.
fn raise_open_files(sockets: usize) {
    let limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|most| most > sockets as u64 + 200), "too few open files are allowed");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// The processor's time that the gateway has had.
fn worked(gate: &Gateway) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", gate.pid())).unwrap();
    // Behind the name, which may hold anything: its 12th and 13th are the ticks in the program and in the kernel.
    let behind = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 =
        behind.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / clock_ticks_per_second())
}
