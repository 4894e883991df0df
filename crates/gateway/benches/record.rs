//! What stage `record` costs a worker: a line of the access log, and the counting of a refusal.
//!
//! `cargo bench -p tollgate-gateway --bench record`. Lines go through a worker's own end of the log, the handing over
//! of full buffers included, to a thread that writes them to `/dev/null`. A line is to cost 350 ns at most.
//! Lines come in bursts with rests between them, so that none is dropped and buffers come back as they do in service.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gateway::record::{Format, Line, LogConfig, LogSink, LogTarget, Metrics};

const BROWSER: &[u8] =
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";

fn main() {
    println!("{:<48} {:>8} {:>8}", "ns each (best of 100 rounds)", "bytes", "ns");
    write_lines("a request that was answered, JSON", Format::Json, &answered());
    write_lines("the same, common", Format::Common, &answered());
    write_lines("a refusal, JSON", Format::Json, &refused());
    let quoted = Line { user_agent: b"\"Mozilla/5.0\" (\"X11\"; \"Linux\")", ..answered() };
    write_lines("a text to escape, JSON", Format::Json, &quoted);
    let metrics = Metrics::new();
    let shard = metrics.shard();
    let nanoseconds =
        measure(&mut || shard.refusal(black_box("GET /users/{id}"), black_box("upstream_busy")));
    println!("{:<48} {:>8} {nanoseconds:>8}", "counting a refusal", "");
    let route = shard.route("GET /users/{id}", "shop");
    let nanoseconds = measure(&mut || {
        route.record(200, black_box(Duration::from_micros(1_234)), Duration::from_micros(31), 0, 300);
    });
    println!("{:<48} {:>8} {nanoseconds:>8}", "counting a request", "");
}

fn write_lines(name: &str, format: Format, line: &Line<'_>) {
    let directory = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
    let config = |target| LogConfig { target, format, sample: Vec::new() };
    let length = {
        let sink = LogSink::open(&config(LogTarget::File(directory.clone()))).expect("a file");
        let mut writer = sink.writer();
        writer.write(line);
        writer.flush();
        sink.shutdown();
        let length = std::fs::metadata(&directory).expect("a file").len();
        std::fs::remove_file(&directory).expect("a file");
        length
    };
    let sink = LogSink::open(&config(LogTarget::File("/dev/null".into()))).expect("a device");
    let mut writer = sink.writer();
    let nanoseconds = measure(&mut || writer.write(black_box(line)));
    writer.flush();
    sink.shutdown();
    let dropped = match sink.dropped() {
        0 => String::new(),
        dropped => format!("  ({dropped} dropped)"),
    };
    println!("{name:<48} {length:>8} {nanoseconds:>8}{dropped}");
}

/// Every member that a proxied request has.
fn answered() -> Line<'static> {
    Line {
        unix_ms: 1_763_706_055_042,
        id: "01a1fd2d-c88a-76d8-9a6c-003cabf8b57d",
        client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 117)),
        method: "GET",
        host: "api.example.com",
        path: "/v1/users/12345/orders",
        query: Some("page=2&sort=price"),
        protocol: "HTTP/1.1",
        status: 200,
        route: "GET /v1/users/{id}/orders",
        api: "shop",
        service: "users",
        endpoint: "http://127.0.0.1:9001",
        bytes_out: 1304,
        duration_us: 1_234,
        connect_us: Some(20),
        first_byte_us: Some(1_050),
        upstream_us: Some(1_030),
        attempts: 1,
        user_agent: BROWSER,
        referer: b"https://www.example.com/users",
        ..Line::default()
    }
}

/// Every member that a failed call has.
fn refused() -> Line<'static> {
    Line {
        status: 504,
        code: "upstream_timeout",
        stage: "call",
        cause: "no answer began in time",
        first_byte_us: None,
        upstream_us: None,
        ..answered()
    }
}

/// Nanoseconds of one call.
fn measure(work: &mut dyn FnMut()) -> u128 {
    // No more than the log takes without dropping lines, and time for it to write them.
    const CALLS: u128 = 500;
    const REST: Duration = Duration::from_millis(10);
    let rounds = (0..100).map(|_| {
        std::thread::park_timeout(REST);
        let start = Instant::now();
        for _ in 0..CALLS {
            work();
        }
        start.elapsed().as_nanos() / CALLS
    });
    // What else the machine does only ever adds to a round.
    rounds.min().unwrap_or_default()
}
