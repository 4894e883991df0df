//! A limit that four gateways share, offered five times as much as it allows, while its Redis is there, gone and back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, Wire, eventually, full_run, redis};

/// Requests in a second that are allowed, of all gateways together, and at once.
const RATE: f64 = 1000.0;
const BURST: f64 = 100.0;
/// Those that are made.
const OFFERED: f64 = 5000.0;
const GATEWAYS: usize = 4;
/// Connections to each gateway, each with requests at an even pace.
const CONNECTIONS: usize = 5;
/// Tokens that a gateway holds at most: a twentieth of the burst.
const LEASE: f64 = BURST / 20.0;
/// How long an answer of Redis is waited for.
const TIMEOUT: Duration = Duration::from_millis(250);

/// One request: when its answer was there, how long that took, and whether it was let through.
type Asked = (Instant, Duration, bool);

#[test]
fn four_gateways_hold_one_limit_and_none_of_their_callers_hangs_without_redis() {
    for sharing in ["true", "fast"] {
        let mut store = redis();
        let config = format!(
            "
cluster: {{ redis: 'redis://{}', timeout: {}ms }}
logs: {{ access: off }}
routes:
  - {{ match: /x, respond: 200, access: public,
      rate_limit: {{ limit: {RATE}/s, burst: {BURST}, by: global, shared: {sharing} }} }}
",
            store.address(),
            TIMEOUT.as_millis()
        );
        let gates: Vec<Gateway> =
            (0..GATEWAYS).map(|_| Gateway::start(&config, &["--workers", "1"])).collect();
        for gate in &gates {
            let heard = || gate.metrics().sum("tollgate_redis_gateways", &[]);
            eventually("all are heard", || heard() > GATEWAYS as f64 - 0.5);
        }
        let [long, short] = if full_run() { [20, 5] } else { [3, 1] }.map(Duration::from_secs);
        let is_over = AtomicBool::new(false);
        let began = Instant::now();
        let (marks, asked) = std::thread::scope(|scope| {
            let ask = |gate: &Gateway| {
                let (address, is_over) = (gate.address(), &is_over);
                move || ask_evenly(Wire::connect(address), is_over)
            };
            let clients: Vec<_> =
                gates.iter().flat_map(|gate| (0..CONNECTIONS).map(move |_| scope.spawn(ask(gate)))).collect();
            let mut marks = vec![began];
            // How long each part lasts, not a wait for something.
            std::thread::sleep(long);
            // Before, since gateways decide by themselves as soon as it is dead, and its end is seen later.
            marks.push(Instant::now());
            store.kill();
            std::thread::sleep(short);
            marks.push(Instant::now());
            store.revive();
            let is_up = |gate: &Gateway| gate.metrics().sum("tollgate_redis_up", &[]) > 0.5;
            eventually("Redis is in use again", || gates.iter().all(is_up));
            std::thread::sleep(short);
            marks.push(Instant::now());
            is_over.store(true, Ordering::Relaxed);
            let asked: Vec<Asked> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
            (marks, asked)
        });
        let longest = asked.iter().map(|(_, took, _)| *took).max().unwrap();
        // While Redis is gone each gateway has a bucket of its own, and one that comes back has a full one. What each
        // connection waits for at a mark was decided before it and is seen after it.
        let spare = if sharing == "fast" { GATEWAYS as f64 * LEASE } else { 0.0 };
        let anew = spare + BURST + (GATEWAYS * CONNECTIONS) as f64;
        for (part, (what, spare)) in
            [("with Redis", spare), ("without", anew), ("with it again", anew)].into_iter().enumerate()
        {
            let (from, to) = (marks[part], marks[part + 1]);
            let of_part = || asked.iter().filter(|(at, ..)| (from..to).contains(at));
            let (made, admitted) =
                (of_part().count() as f64, of_part().filter(|asked| asked.2).count() as f64);
            let seconds = (to - from).as_secs_f64();
            let fair = RATE * seconds + if part == 0 { BURST } else { 0.0 };
            println!(
                "shared: {sharing}, {what}: {:.0} requests a second for {seconds:.2} s, {admitted} let through, \
                 {:+.2} % of what is allowed; at most {spare} more",
                made / seconds,
                (admitted / fair - 1.0) * 100.0
            );
            assert!(admitted <= fair * 1.01 + spare, "{admitted} of {fair}");
            // A machine that is busy with other things does not make enough.
            if full_run() && part == 0 && made / seconds > RATE * 2.0 {
                assert!(admitted >= fair * 0.99 - spare, "{admitted} of {fair}");
            }
        }
        let most =
            most_at_once(asked.iter().filter(|asked| asked.2 && asked.0 < marks[1]).map(|asked| asked.0));
        println!(
            "shared: {sharing}: {most:.0} above the rate in some time; the longest answer took {longest:?}"
        );
        // Answers are seen a little after they were given.
        assert!(most <= BURST + spare + RATE * longest.as_secs_f64(), "{most}");
        assert!(longest < TIMEOUT * 8, "{longest:?}");
    }
}

/// How many more than the rate allows there were in any time from one request to another: the bucket that it would take.
fn most_at_once(admitted: impl Iterator<Item = Instant>) -> f64 {
    let mut admitted: Vec<Instant> = admitted.collect();
    admitted.sort();
    let (mut level, mut most) = (0.0_f64, 0.0_f64);
    for (number, at) in admitted.iter().enumerate() {
        let since = number.checked_sub(1).map_or(0.0, |before| (*at - admitted[before]).as_secs_f64());
        level = (level - since * RATE).max(0.0) + 1.0;
        most = most.max(level);
    }
    most
}

/// Asks at the pace of one connection of all, whatever the answers, until it is over.
fn ask_evenly(mut wire: Wire, is_over: &AtomicBool) -> Vec<Asked> {
    let pause = Duration::from_secs_f64((GATEWAYS * CONNECTIONS) as f64 / OFFERED);
    let (began, mut asked) = (Instant::now(), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        let due = began + pause * asked.len() as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = wire.answer().status;
        assert!(status == 200 || status == 429, "{status}");
        asked.push((Instant::now(), sent.elapsed(), status == 200));
    }
    asked
}
