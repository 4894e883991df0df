//! Limits that gateways share over a Redis Cluster, while a slot moves from one server to another and requests run: all that stands in it is
//! moved name by name, so that for a while some of it is here and some there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::limits::{decided, fleet_of, is_up};
use tollgate_tests::{Gateway, Raised, eventually, redis_cluster};

/// A route with two limits, and what of it was let through.
struct Shop {
    path: &'static str,
    admitted: AtomicUsize,
    by_caller: [AtomicUsize; CALLERS],
}

const CALLERS: usize = 8;
const OF_ALL: usize = 300;
const OF_EACH: usize = 50;

impl Shop {
    fn new(path: &'static str) -> Self {
        Self { path, admitted: AtomicUsize::new(0), by_caller: Default::default() }
    }

    fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Asks for one of so many callers after the other until it is over; the longest wait.
    fn ask_until(&self, gate: &Gateway, callers: &AtomicUsize, is_over: &AtomicBool) -> Duration {
        let (mut wire, mut longest) = (gate.connect(), Duration::ZERO);
        for number in 0_usize.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let caller = number % callers.load(Ordering::Relaxed);
            let began = Instant::now();
            wire.send(format!(
                "GET {} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{caller}\r\n\r\n",
                self.path
            ));
            let answer = wire.answer();
            longest = longest.max(began.elapsed());
            match answer.status {
                200 => {
                    self.admitted.fetch_add(1, Ordering::Relaxed);
                    self.by_caller[caller].fetch_add(1, Ordering::Relaxed);
                }
                _ => drop(answer.expect(429)),
            }
            // The pace of the scene, not a wait for something.
            std::thread::sleep(Duration::from_millis(10));
        }
        longest
    }
}

#[test]
fn limits_that_have_one_slot_are_exact_while_it_moves_and_nobody_waits_for_that() {
    let store = redis_cluster(false);
    let limits = |algorithm: &str| {
        format!("[ {{ limit: {OF_ALL}/d, by: global, {algorithm} }}, {{ limit: {OF_EACH}/d, {algorithm} }} ]")
    };
    let routes = format!(
        "
routes:
  - {{ match: /buckets, respond: 200, rate_limit: {} }}
  - {{ match: /windows, respond: 200, rate_limit: {} }}
",
        limits("shared: true"),
        limits("shared: true, algorithm: sliding_window"),
    );
    let gates = fleet_of(&store, "timeout: 2s, prefix: '{tg}:'", &routes);
    let slot = store.slot("{tg}:");
    let from = store.owner("{tg}:");
    let to = (from + 1) % 3;
    let shops = ["/buckets", "/windows"].map(Shop::new);
    let are_past = |count: usize| {
        eventually("requests are let through", || shops.iter().all(|shop| shop.admitted() >= count));
    };
    let (is_over, callers) = (AtomicBool::new(false), AtomicUsize::new(CALLERS - 4));
    let longest = std::thread::scope(|scope| {
        let (is_over, callers, ending) = (&is_over, &callers, Raised(&is_over));
        let clients: Vec<_> = gates
            .iter()
            .flat_map(|gate| shops.iter().map(move |shop| (gate, shop)))
            .map(|(gate, shop)| scope.spawn(move || shop.ask_until(gate, callers, is_over)))
            .collect();
        are_past(40);
        store.begin_move(&slot, from, to);
        // Half of what stands there has moved, and then all. Callers come who were not there before.
        callers.store(CALLERS - 2, Ordering::Relaxed);
        store.move_names(&slot, from, to, store.names(from, "{tg}:limit:*").len() / 2);
        are_past(120);
        store.move_names(&slot, from, to, 1000);
        callers.store(CALLERS, Ordering::Relaxed);
        are_past(180);
        store.finish_move(&slot, from, to);
        are_past(OF_ALL);
        drop(ending);
        clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
    });
    for shop in &shops {
        assert_eq!(shop.admitted(), OF_ALL);
        for caller in &shop.by_caller {
            let admitted = caller.load(Ordering::Relaxed);
            assert!((1..=OF_EACH).contains(&admitted), "{admitted}");
        }
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    // It was as this scene says.
    let errors =
        |kind: &str| [from, to].map(|node| store.told(node, "errorstats", &format!("errorstat_{kind}")));
    assert!(errors("TRYAGAIN").iter().all(|count| *count > 0), "{:?}", errors("TRYAGAIN"));
    assert!(errors("ASK")[0] > 0 && errors("MOVED")[0] > 0);
    for gate in &gates {
        let metrics = gate.metrics();
        let all = metrics.sum("tollgate_shared_limit_requests_total", &[]);
        assert!((decided(gate, "redis") - all).abs() < 0.5, "{}", gate.said());
        for name in ["tollgate_redis_failures_total", "tollgate_redis_timeouts_total"] {
            assert!(metrics.has(name, &[]) && metrics.sum(name, &[]) < 0.5, "{name}");
        }
        assert!(!gate.said().contains("does not answer"), "{}", gate.said());
    }
}

const EACH: &str = "
routes:
  - { match: /ip, respond: 200, rate_limit: { limit: 1000000/s, shared: true } }
  - { match: /fast, respond: 200, rate_limit: { limit: 1000000/s, shared: fast } }
";

/// Asks as a caller who was not there before.
fn ask_anew(gate: &Gateway, path: &str, caller: &mut u16) -> Duration {
    *caller += 1;
    let [high, low] = caller.to_be_bytes();
    let began = Instant::now();
    gate.ask("GET", path).header("X-Forwarded-For", &format!("10.0.{high}.{low}")).send().expect(200);
    began.elapsed()
}

#[test]
fn a_server_that_has_no_slot_yet_is_connected_to_once() {
    let mut store = redis_cluster(false);
    store.add();
    let gates = fleet_of(&store, "timeout: 2s, prefix: '{tg}:'", EACH);
    let (from, slot) = (store.owner("{tg}:"), store.slot("{tg}:"));
    store.begin_move(&slot, from, 3);
    let mut caller = 0;
    for gate in &gates {
        ask_anew(gate, "/ip", &mut caller);
    }
    let before = store.connections(3);
    assert_eq!(before.len(), 2, "{before:?}");
    // The server that has the first slot is asked every ten seconds who has which.
    let asked = || store.told(0, "commandstats", "cmdstat_cluster|slots");
    let beginning = asked();
    eventually("both have asked again", || {
        for gate in &gates {
            ask_anew(gate, "/ip", &mut caller);
        }
        asked() >= beginning + 2
    });
    assert_eq!(store.connections(3), before);
    store.finish_move(&slot, from, 3);
    for gate in &gates {
        ask_anew(gate, "/ip", &mut caller);
        assert!(decided(gate, "local") < 0.5, "{}", gate.said());
        assert!(is_up(gate));
    }
    assert_eq!(store.connections(3), before);
}

#[test]
fn a_server_that_a_slot_moves_to_and_that_stands_still_is_waited_for_by_the_first_alone() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let mut store = redis_cluster(false);
    store.add();
    let [gate, _] = fleet_of(&store, "timeout: 1s, prefix: '{tg}:'", EACH);
    let (from, slot) = (store.owner("{tg}:"), store.slot("{tg}:"));
    store.begin_move(&slot, from, 3);
    let mut caller = 0;
    for path in ["/ip", "/fast"] {
        ask_anew(&gate, path, &mut caller);
    }
    assert!(decided(&gate, "local") < 0.5, "{}", gate.said());
    store.nodes[3].pause();
    for path in ["/ip", "/fast"] {
        eventually("it is noticed", || ask_anew(&gate, path, &mut caller) < TIMEOUT / 4);
    }
    // What each gateway allows by itself, at once.
    let (before, asked) = (decided(&gate, "local"), 20);
    for number in 0..asked {
        let took = ask_anew(&gate, ["/ip", "/fast"][number % 2], &mut caller);
        assert!(took < TIMEOUT / 2, "{took:?}");
    }
    eventually("they are counted", || decided(&gate, "local") > before + asked as f64 - 0.5);
    store.nodes[3].resume();
    for path in ["/ip", "/fast"] {
        eventually("it is in use again", || {
            let before = decided(&gate, "local");
            ask_anew(&gate, path, &mut caller);
            let is_counted = || decided(&gate, "local") + decided(&gate, "redis") + decided(&gate, "lease");
            eventually("it is counted", || is_counted() > f64::from(caller) - 0.5);
            decided(&gate, "local") < before + 0.5
        });
    }
}
