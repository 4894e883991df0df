//! Limits that gateways share over a Redis Cluster: while it is whole, while slots move, and while a node of it is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::limits::{decided, fleet_of, is_up, sharing};
use tollgate_tests::{Gateway, Raised, eventually, redis_cli, redis_cluster};

/// How long an answer is waited for where one does not come.
const TIMEOUT: Duration = Duration::from_millis(500);
const SHORT: &str = "timeout: 500ms";
/// And where all do, on a busy machine.
const LONG: &str = "timeout: 2s";

fn ask(gate: &Gateway, path: &str, client: &str, tenant: &str) -> u16 {
    let ask = gate.ask("GET", path).header("X-Forwarded-For", client).header("X-Tenant", tenant);
    ask.send().status
}

#[test]
fn gateways_count_together_in_all_of_a_cluster() {
    let store = redis_cluster(false);
    let gates = fleet_of(
        &store,
        LONG,
        "
routes:
  - { match: /all, respond: 200, rate_limit: { limit: 21/h, by: global, shared: true } }
  - { match: /ip, respond: 200, rate_limit: { limit: 2/h, shared: true } }
  - { match: /fast, respond: 200, rate_limit: { limit: 100/h, by: global, shared: fast } }
",
    );
    let admitted = |path: &str, requests: usize| {
        (0..requests).filter(|number| gates[number % 2].get(path).status == 200).count()
    };
    assert_eq!(admitted("/all", 60), 21);
    for caller in 0..60 {
        let client = format!("192.0.2.{caller}");
        let statuses = [0, 1, 0].map(|number: usize| ask(&gates[number], "/ip", &client, "a"));
        assert_eq!(statuses, [200, 200, 429], "{client}");
    }
    for node in 0..3 {
        let names = store.names(node, "tg:limit:*");
        assert!(names.len() > 5, "{names:?}");
        // Each node is told who is there.
        eventually("they say so", || store.names(node, "tg:gateways:*").len() == 1);
    }
    let mut all = admitted("/fast", 120);
    assert!((90..=100).contains(&all), "{all}");
    eventually("what one gateway does not use can be used by the other", || {
        all += admitted("/fast", 2);
        all == 100
    });
    for gate in &gates {
        assert!(decided(gate, "local") < 0.5);
        eventually("both are heard", || gate.metrics().sum("tollgate_redis_gateways", &[]) > 1.5);
    }
}

#[test]
fn a_limit_that_refuses_gives_back_what_was_taken_in_other_slots() {
    let store = redis_cluster(false);
    let limits =
        "rate_limit: [ { limit: 3/h, by: 'header:X-Tenant', shared: true }, { limit: 1/h, shared: true } ]";
    let routes = format!("routes: [{{ match: /x, respond: 200, {limits} }}]");
    let gates = fleet_of(&store, LONG, &routes);
    // The names of many tenants are in many slots, with those of callers in others.
    for tenant in 0..20 {
        let of = |caller: u8, number: usize| {
            ask(&gates[number % 2], "/x", &format!("192.0.{tenant}.{caller}"), &format!("tenant {tenant}"))
        };
        assert_eq!(of(1, 0), 200, "{tenant}");
        for number in 0..3 {
            assert_eq!(of(1, number), 429, "{tenant}");
        }
        // What was taken of the tenant's three goes back as soon as can be, and no more than that.
        for caller in [2, 3] {
            eventually("it has gone back", || of(caller, tenant) == 200);
        }
        assert_eq!(of(4, tenant), 429, "{tenant}");
    }
}

#[test]
fn one_slot_for_all_makes_decisions_of_several_limits_one_step() {
    let store = redis_cluster(false);
    let limits =
        "rate_limit: [ { limit: 3/h, by: 'header:X-Tenant', shared: true }, { limit: 1/h, shared: true } ]";
    let routes = format!("routes: [{{ match: /x, respond: 200, {limits} }}]");
    let gates = fleet_of(&store, "timeout: 2s, prefix: '{shop}:'", &routes);
    let of = |client: &str, number: usize| ask(&gates[number % 2], "/x", client, "a");
    assert_eq!([0, 1, 2, 3].map(|number| of("192.0.2.1", number)), [200, 429, 429, 429]);
    assert_eq!(
        [("192.0.2.2", 0), ("192.0.2.3", 1), ("192.0.2.4", 0)].map(|(client, n)| of(client, n)),
        [200, 200, 429]
    );
    let owner = store.owner("{shop}:x");
    let counts = [0, 1, 2].map(|node| store.names(node, "{shop}:limit:*").len());
    assert_eq!(counts.iter().sum::<usize>(), counts[owner], "{counts:?}");
}

#[test]
fn slots_that_move_to_a_new_node_are_followed_and_nothing_is_forgotten() {
    let mut store = redis_cluster(false);
    store.add();
    let gates = fleet_of(
        &store,
        LONG,
        "routes: [{ match: /all, respond: 200, rate_limit: { limit: 12/h, by: global, shared: true } }]",
    );
    let admitted =
        |requests: usize| (0..requests).filter(|number| gates[number % 2].get("/all").status == 200).count();
    assert_eq!(admitted(4), 4);
    let from = (0..3).find(|node| !store.names(*node, "tg:limit:*").is_empty()).unwrap();
    let name = store.names(from, "tg:limit:*").remove(0);
    let slot = store.slot(&name);
    store.begin_move(&slot, from, 3);
    // It is there still, and afterwards it is there no more: then it is asked for where it goes to.
    assert_eq!(admitted(4), 4);
    store.finish_move(&slot, from, 3);
    assert_eq!(admitted(8), 4);
    assert_eq!(store.names(3, "tg:limit:*"), [name]);
    for gate in &gates {
        assert!(decided(gate, "local") < 0.5, "{}", gate.said());
        eventually("it is known", || is_up(gate));
    }
}

#[test]
fn a_name_that_is_not_there_yet_is_made_where_its_slot_goes_to() {
    let mut store = redis_cluster(false);
    store.add();
    let gates = fleet_of(
        &store,
        LONG,
        "routes: [{ match: /all, respond: 200, rate_limit: { limit: 5/s, burst: 1, by: global, shared: true } }]",
    );
    gates[0].get("/all").expect(200);
    let mut found = None;
    eventually("its name is seen", || {
        gates[0].get("/all");
        found = (0..3).find_map(|node| Some((node, store.names(node, "tg:limit:*").pop()?)));
        found.is_some()
    });
    let (from, name) = found.unwrap();
    let slot = store.slot(&name);
    eventually("it has ended", || store.names(from, "tg:limit:*").is_empty());
    store.begin_move(&slot, from, 3);
    gates[1].get("/all").expect(200);
    assert!(decided(&gates[1], "local") < 0.5, "{}", gates[1].said());
    store.finish_move(&slot, from, 3);
    eventually("it is full again", || gates[1].get("/all").status == 200);
    assert!(decided(&gates[1], "local") < 0.5, "{}", gates[1].said());
}

#[test]
fn a_replica_that_takes_over_is_found_while_nobody_asks() {
    let mut store = redis_cluster(true);
    let gates = fleet_of(&store, SHORT, MANY);
    // They have known that all is well for a moment, and would not ask again for a while.
    eventually("both have asked twice", || store.told(0, "commandstats", "cmdstat_cluster|slots") >= 4);
    store.nodes[1].kill();
    for gate in &gates {
        eventually("it is missed", || !is_up(gate));
    }
    let role = || redis_cli(store.nodes[4].address(), &["ROLE"]);
    eventually("its replica takes over", || role().starts_with("master"));
    let began = Instant::now();
    for gate in &gates {
        eventually("it is found", || is_up(gate));
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_node_that_has_lost_its_cluster_is_not_believed() {
    let mut store = redis_cluster(false);
    // Nothing of the fleet's is at the third, which so is not written to.
    let [gate, _] = fleet_of(&store, "timeout: 2s, prefix: '{tg}:'", MANY);
    let owner = store.owner("{tg}:");
    let [next, last] = [1, 2].map(|number| (owner + number) % 3);
    for node in [owner, next] {
        store.nodes[node].kill();
    }
    let line = gate.expect_line(&format!("{} does not answer", store.nodes[last].address()));
    assert!(line.contains("it has lost its cluster"), "{line}");
    for node in [owner, next] {
        store.nodes[node].revive();
    }
    eventually("the cluster is in use", || is_up(&gate));
}

#[test]
fn configurations_that_are_replaced_leave_no_connections_behind() {
    let store = redis_cluster(false);
    let gates = fleet_of(&store, LONG, MANY);
    for number in 1..5 {
        for gate in &gates {
            gate.expect_reload(|| {
                gate.replace_config(&sharing(store.url(), &format!("timeout: {number}s"), MANY));
            });
            gate.get("/ip").expect(200);
        }
    }
    for gate in &gates {
        eventually("the cluster is in use", || is_up(gate));
    }
    for node in 0..3 {
        eventually("each has one connection", || store.connections(node).len() == 2);
    }
}

#[test]
fn a_node_that_comes_back_and_knows_of_nobody_yet_takes_nobody_out_of_the_number_of_gateways() {
    let mut store = redis_cluster(false);
    let gates = fleet_of(&store, SHORT, MANY);
    let heard = |gate: &Gateway| gate.metrics().sum("tollgate_redis_gateways", &[]);
    for gate in &gates {
        eventually("both are heard", || heard(gate) > 1.5);
    }
    for _ in 0..2 {
        store.nodes[1].kill();
        for gate in &gates {
            eventually("it is missed", || !is_up(gate));
        }
        store.nodes[1].revive();
        eventually("it is told by both", || {
            assert!(gates.iter().all(|gate| heard(gate) > 1.5));
            let name = store.names(1, "tg:gateways:*").pop();
            let count = name.map(|name| redis_cli(store.nodes[1].address(), &["ZCARD", &name]));
            count.is_some_and(|count| count == "2")
        });
    }
}

/// Asks for one caller after the other until it is over: the longest wait.
fn ask_until(gate: &Gateway, path: &str, is_over: &AtomicBool) -> Duration {
    let mut wire = gate.connect();
    let (mut longest, mut caller) = (Duration::ZERO, 0_u8);
    while !is_over.load(Ordering::Relaxed) {
        caller = caller.wrapping_add(1);
        let began = Instant::now();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{caller}\r\n\r\n"));
        wire.answer().expect(200);
        longest = longest.max(began.elapsed());
        // The pace of the scene, not a wait for something.
        std::thread::sleep(Duration::from_millis(2));
    }
    longest
}

const MANY: &str = "
routes:
  - { match: /ip, respond: 200, rate_limit: { limit: 1000000/s, shared: true } }
  - { match: /fast, respond: 200, rate_limit: { limit: 1000000/s, shared: fast } }
";

#[test]
fn a_node_that_stands_still_is_missed_by_its_own_callers_alone() {
    let store = redis_cluster(false);
    let gates = fleet_of(&store, SHORT, MANY);
    let is_over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let (is_over, ending) = (&is_over, Raised(&is_over));
        let clients: Vec<_> = gates
            .iter()
            .flat_map(|gate| {
                ["/ip", "/ip", "/fast"].map(|path| scope.spawn(move || ask_until(gate, path, is_over)))
            })
            .collect();
        for gate in &gates {
            eventually("requests are counted", || decided(gate, "redis") > 100.0);
        }
        store.nodes[1].pause();
        for gate in &gates {
            eventually("it is noticed", || !is_up(gate) && decided(gate, "local") > 100.0);
            let before = decided(gate, "redis");
            eventually("the others go on", || decided(gate, "redis") > before + 200.0);
        }
        store.nodes[1].resume();
        for gate in &gates {
            eventually("it is in use again", || is_up(gate));
            let before = decided(gate, "redis");
            eventually("requests are counted", || decided(gate, "redis") > before + 200.0);
        }
        drop(ending);
        clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
    });
    // Once a request waits for the answer that does not come.
    assert!(longest < TIMEOUT * 4, "{longest:?}");
    let timeouts: f64 =
        gates.iter().map(|gate| gate.metrics().sum("tollgate_redis_timeouts_total", &[])).sum();
    assert!((0.5..30.0).contains(&timeouts), "{timeouts}");
}

#[test]
fn a_replica_that_takes_over_is_asked_while_requests_run() {
    let mut store = redis_cluster(true);
    let gates = fleet_of(&store, SHORT, MANY);
    let is_over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let (is_over, ending) = (&is_over, Raised(&is_over));
        let clients: Vec<_> = gates
            .iter()
            .flat_map(|gate| ["/ip", "/fast"].map(|path| scope.spawn(move || ask_until(gate, path, is_over))))
            .collect();
        for gate in &gates {
            eventually("requests are counted", || decided(gate, "redis") > 100.0);
        }
        store.nodes[0].kill();
        for gate in &gates {
            eventually("it is noticed", || decided(gate, "local") > 20.0);
        }
        for gate in &gates {
            eventually("the replica is asked", || is_up(gate));
        }
        drop(ending);
        clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
    });
    assert!(longest < TIMEOUT * 4, "{longest:?}");
    for gate in &gates {
        gate.expect_line("does not answer");
        gate.expect_line("has no slots any more");
        let local = decided(gate, "local");
        for caller in 0..30 {
            assert_eq!(ask(gate, "/ip", &format!("192.0.2.{caller}"), "a"), 200);
        }
        assert!(decided(gate, "local") < local + 0.5);
    }
}
