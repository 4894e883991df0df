//! Several gateways with one Redis that stands still, or takes nothing more, while requests run: what is refused, what is let through, and how
//! long anybody waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::limits::{decided, is_up};
use tollgate_tests::{Gateway, Raised, eventually, gateway, redis, redis_cli};

const GATEWAYS: usize = 3;
const TIMEOUT: Duration = Duration::from_millis(250);
/// What a busy machine adds to a wait.
const PLAY: Duration = Duration::from_millis(750);

/// When an answer was there, how long that took, and what it was.
type Asked = (Instant, Duration, u16);

fn gate_of(redis: &str) -> Gateway {
    gateway(format!(
        "
workers: 1
cluster: {{ redis: 'redis://{redis}', timeout: {}ms, gateways: {GATEWAYS} }}
defaults: {{ access: public }}
routes:
  - {{ match: /exact, respond: 200, rate_limit: {{ limit: 900/h, by: global, shared: true }} }}
  - {{ match: /fast, respond: 200, rate_limit: {{ limit: 900/h, by: global, shared: fast }} }}
  - {{ match: /refuse, respond: 200, rate_limit: {{ limit: 1000000/s, by: global, shared: true, on_outage: refuse }} }}
  - {{ match: /allow, respond: 200, rate_limit: {{ limit: 1/h, by: global, shared: true, on_outage: allow }} }}
",
        TIMEOUT.as_millis()
    ))
}

#[test]
fn a_redis_that_takes_what_is_written_and_refuses_what_it_is_asked_is_told_of_now_and_then() {
    let store = redis();
    let gate = gate_of(&store.address().to_string());
    gate.get("/exact").expect(200);
    assert_eq!(redis_cli(store.address(), &["ACL", "SETUSER", "default", "-evalsha"]), "OK");
    eventually("it is done without", || {
        gate.get("/exact").expect(200);
        gate.get("/fast").expect(200);
        decided(&gate, "local") > 20.0
    });
    let line = gate.expect_line("answers, but not all that it is asked");
    assert!(line.contains("evalsha"), "{line}");
    assert!(gate.said().matches("but not all").count() <= 3, "{}", gate.said());
    assert_eq!(redis_cli(store.address(), &["ACL", "SETUSER", "default", "+evalsha"]), "OK");
    let before = decided(&gate, "redis");
    eventually("it is asked again", || {
        gate.get("/exact").expect(200);
        decided(&gate, "redis") > before + 5.0
    });
}

#[test]
fn a_full_redis_is_done_without_until_it_has_room() {
    let store = redis();
    let room = |bytes: &str| {
        assert_eq!(redis_cli(store.address(), &["CONFIG", "SET", "maxmemory", bytes]), "OK");
    };
    let gates = [(); GATEWAYS].map(|()| gate_of(&store.address().to_string()));
    for gate in &gates {
        gate.get("/exact").expect(200);
        gate.get("/refuse").expect(200);
    }
    room("1");
    // Nobody has to ask for anything.
    eventually("all notice", || !gates.iter().any(is_up));
    for gate in &gates {
        let line = gate.expect_line("does not answer");
        assert!(line.contains("OOM"), "{line}");
        let before = decided(gate, "redis");
        for _ in 0..10 {
            gate.get("/exact").expect(200);
            gate.get("/fast").expect(200);
            gate.get("/refuse").expect(503);
            gate.get("/allow").expect(200);
        }
        eventually("all are counted", || {
            [("local", 20.0), ("refuse", 10.0), ("allow", 10.0)]
                .iter()
                .all(|(by, count)| decided(gate, by) >= *count)
        });
        assert!(decided(gate, "redis") < before + 0.5, "a full Redis decides nothing");
    }
    room("0");
    eventually("all use it again", || gates.iter().all(is_up));
    for gate in &gates {
        gate.expect_line("answers again");
        gate.get("/refuse").expect(200);
        let said = gate.said();
        assert_eq!(said.matches("does not answer").count(), 1, "{said}");
        assert!(!said.contains("but not all"), "{said}");
    }
}

#[test]
fn a_redis_that_stands_still_hangs_nobody_and_is_used_again_by_itself() {
    let store = redis();
    let gates: Vec<Gateway> = (0..GATEWAYS).map(|_| gate_of(&store.address().to_string())).collect();
    let decided = |by: &str| -> f64 { gates.iter().map(|gate| decided(gate, by)).sum() };
    let is_over = AtomicBool::new(false);
    let (paused, noticed, resumed, back, asked) = std::thread::scope(|scope| {
        let (is_over, ending) = (&is_over, Raised(&is_over));
        let client = |gate: &Gateway, path: &'static str| {
            let mut wire = gate.connect();
            move || {
                let mut asked: Vec<Asked> = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    let status = wire.answer().status;
                    asked.push((Instant::now(), began.elapsed(), status));
                    // The pace of the scene, not a wait for something.
                    std::thread::sleep(Duration::from_millis(2));
                }
                (path, asked)
            }
        };
        let paths = ["/exact", "/fast", "/refuse", "/allow"];
        let clients: Vec<_> =
            gates.iter().flat_map(|gate| paths.map(|path| scope.spawn(client(gate, path)))).collect();
        eventually("requests are counted", || decided("redis") > 300.0);
        assert!(gates.iter().all(is_up));
        let paused = Instant::now();
        store.pause();
        eventually("all notice", || !gates.iter().any(is_up));
        let noticed = Instant::now();
        eventually("it is done without", || {
            ["local", "refuse", "allow"].iter().all(|by| decided(by) > 200.0)
        });
        for gate in &gates {
            gate.expect_line("does not answer");
        }
        let resumed = Instant::now();
        store.resume();
        eventually("Redis is in use again", || gates.iter().all(is_up));
        let back = Instant::now();
        let before = decided("redis");
        eventually("requests are counted again", || decided("redis") > before + 300.0);
        drop(ending);
        let asked: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (paused, noticed, resumed, back, asked)
    });
    let of = |wanted: &'static str, from: Instant, to: Instant, status: u16| {
        let all = asked.iter().filter(move |(path, _)| *path == wanted).flat_map(|(_, asked)| asked);
        all.filter(|(at, _, found)| (from..to).contains(at) && *found == status).count()
    };
    let end = back + Duration::from_mins(1);
    let longest = asked.iter().flat_map(|(_, asked)| asked).map(|(_, took, _)| *took).max().unwrap();
    println!(
        "noticed after {:?}, in use again {:?} after it went on, the longest answer took {longest:?}",
        noticed - paused,
        back - resumed
    );
    assert!(longest < TIMEOUT + PLAY, "{longest:?}");
    assert!(noticed - paused < TIMEOUT * 2 + PLAY, "{:?}", noticed - paused);
    // What each route says of an outage is what happens, from when it is noticed.
    assert_eq!(of("/refuse", noticed, resumed, 200), 0);
    assert!(of("/refuse", noticed, resumed, 503) > 20);
    assert_eq!(of("/allow", noticed, resumed, 429), 0);
    assert!(of("/allow", noticed, resumed, 200) > 20);
    for path in ["/exact", "/fast"] {
        assert_eq!(of(path, paused, end, 503), 0, "{path}");
        // Each has a third of the limit for itself.
        let admitted = of(path, noticed, resumed, 200);
        assert!(admitted <= 900, "{path}: {admitted}");
    }
    assert_eq!(of("/refuse", back, end, 503), 0);
    assert!(of("/refuse", back, end, 200) > 20);
    for gate in &gates {
        gate.expect_line("answers again");
    }
}
