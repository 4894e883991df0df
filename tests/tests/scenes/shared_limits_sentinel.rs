//! Limits that gateways share over a Redis behind sentinels, before, during and after a fail-over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::limits::{admitted, decided, is_up};
use tollgate_tests::{Gateway, Raised, eventually, gateway, redis_cli, sentinel_redis};

const TIMEOUT: Duration = Duration::from_millis(500);

fn gate_of(keys: &str) -> Gateway {
    gateway(format!(
        "
cluster: {{ {keys}, timeout: {}ms, gateways: 2 }}
defaults: {{ access: public }}
routes:
  - {{ match: /few, respond: 200, rate_limit: {{ limit: 20/h, by: global, shared: true }} }}
  - {{ match: /many, respond: 200, rate_limit: {{ limit: 1000000/s, by: global, shared: true }} }}
  - {{ match: /fast, respond: 200, rate_limit: {{ limit: 1000000/s, by: global, shared: fast }} }}
",
        TIMEOUT.as_millis()
    ))
}

#[test]
fn the_master_that_takes_over_is_found_while_requests_run() {
    let mut fleet = sentinel_redis();
    let gates = [gate_of(&fleet.keys()), gate_of(&fleet.keys())];
    // It is the master that counts, and its replica knows as much.
    let admitted = (0..15).filter(|number| gates[number % 2].get("/few").status == 200).count();
    assert_eq!(admitted, 15);
    let [master, replica] = &fleet.servers;
    let keys = |address| redis_cli(address, &["--scan", "--pattern", "tg:limit:*"]).lines().count();
    assert_eq!(keys(master.address()), 1);
    eventually("the replica knows as much", || keys(replica.address()) == 1);
    let is_over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let ending = Raised(&is_over);
        let ask = |gate: &'_ Gateway, path: &'static str| {
            let (mut wire, is_over) = (gate.connect(), &is_over);
            move || {
                let mut longest = Duration::ZERO;
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    wire.answer().expect(200);
                    longest = longest.max(began.elapsed());
                    // The pace of the scene, not a wait for something.
                    std::thread::sleep(Duration::from_millis(2));
                }
                longest
            }
        };
        let clients: Vec<_> = gates
            .iter()
            .flat_map(|gate| ["/many", "/fast"].map(|path| scope.spawn(ask(gate, path))))
            .collect();
        for gate in &gates {
            eventually("requests are counted", || decided(gate, "redis") > 20.0);
        }
        fleet.servers[0].kill();
        for gate in &gates {
            eventually("it is noticed", || decided(gate, "local") > 20.0);
            eventually("the new master is found", || is_up(gate));
            let before = decided(gate, "redis");
            eventually("requests are counted again", || decided(gate, "redis") > before + 20.0);
        }
        drop(ending);
        clients.into_iter().map(|client| client.join().unwrap()).max().unwrap()
    });
    assert!(longest < TIMEOUT * 4, "{longest:?}");
    for gate in &gates {
        gate.expect_line("mymaster does not answer");
        gate.expect_line("mymaster answers again");
    }
    // What was counted before is counted still.
    let admitted = (0..10).filter(|number| gates[number % 2].get("/few").status == 200).count();
    assert_eq!(admitted, 5);
    // The first one comes back as a replica, and nobody minds.
    fleet.servers[0].revive();
    let info = || redis_cli(fleet.servers[0].address(), &["INFO", "replication"]);
    eventually("it follows the other", || info().contains("role:slave"));
    assert!(gates.iter().all(is_up));
}

#[test]
fn a_master_that_sentinels_have_given_up_is_left_although_it_goes_on() {
    let mut fleet = sentinel_redis();
    let gates = [gate_of(&fleet.keys()), gate_of(&fleet.keys())];
    assert_eq!(admitted(&gates, "/few", 15), 15);
    let keys = |address| redis_cli(address, &["--scan", "--pattern", "tg:limit:*"]).lines().count();
    eventually("the replica knows as much", || keys(fleet.servers[1].address()) == 1);
    fleet.appoint_replica();
    for gate in &gates {
        gate.expect_line(&format!("mymaster is {} from now on", fleet.servers[1].address()));
    }
    fleet.servers[0].kill();
    assert_eq!(admitted(&gates, "/few", 10), 5);
    for gate in &gates {
        assert!(is_up(gate) && decided(gate, "local") < 0.5, "{}", gate.said());
    }
}

#[test]
fn sentinels_that_know_no_such_master_or_refuse_the_password_are_told_of() {
    let fleet = sentinel_redis();
    for (from, to, words) in [
        ("/mymaster", "/another", "knows no master another"),
        ("sentinel_password: a word for sentinels", "sentinel_password: another word", "does not answer"),
    ] {
        let gate = gate_of(&fleet.keys().replace(from, to));
        gate.expect_line(words);
        gate.get("/few").expect(200);
        eventually("it is counted", || decided(&gate, "local") > 0.5);
    }
}
