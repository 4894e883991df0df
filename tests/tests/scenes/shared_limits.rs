//! `rate_limit` with `shared`: what the gateways of a fleet count together, and what they do without their Redis.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tollgate_tests::limits::{admitted, decided, is_up, sharing};
use tollgate_tests::{Gateway, Redis, binary, eventually, free_port, gateway, redis, redis_cli, tollgate};

/// A gateway with this more about its cluster. Buckets fill so slowly that no scene sees it.
fn gate_of(redis: &str, cluster: &str, routes: &str) -> Gateway {
    gateway(sharing(format_args!("redis://{redis}"), cluster, routes))
}

/// Two gateways with one Redis.
fn fleet(store: &Redis, routes: &str) -> [Gateway; 2] {
    let gate = || gate_of(&store.address().to_string(), "timeout: 2s", routes);
    [gate(), gate()]
}

fn from(gate: &Gateway, path: &str, client: &str) -> u16 {
    gate.ask("GET", path).header("X-Forwarded-For", client).send().status
}

#[test]
fn two_gateways_share_one_limit_to_the_request() {
    let store = redis();
    let gates = fleet(
        &store,
        "
routes:
  - { match: /all, respond: 200, rate_limit: { limit: 21/h, by: global, shared: true } }
  - { match: /ip, respond: 200, rate_limit: { limit: 1/h, shared: true } }
",
    );
    assert_eq!(admitted(&gates, "/all", 60), 21);
    for (number, client, expected) in [
        (0, "192.0.2.1", 200),
        (1, "192.0.2.1", 429),
        (1, "192.0.2.2", 200),
        (0, "192.0.2.2", 429),
        (0, "2001:db8::1", 200),
        (1, "2001:db8::2", 429),
    ] {
        assert_eq!(from(&gates[number], "/ip", client), expected, "{client}");
    }
    for gate in &gates {
        // The last is counted when it has been answered.
        eventually("all are counted", || decided(gate, "redis") > 32.5);
        assert!(decided(gate, "local") < 0.5);
        // They wait for a word of Redis, and not for their turn.
        assert!(gate.metrics().sum("tollgate_requests_waited_total", &[]) < 0.5);
        assert!(gate.log(1)[0]["wait_ms"].as_f64() > Some(0.0));
        eventually("both are heard", || gate.metrics().sum("tollgate_redis_gateways", &[]) > 1.5);
    }
}

/// The library that makes clocks wrong, for programs of many threads.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.exists()).expect("libfaketime: `make test` installs it")
}

#[test]
fn gateways_with_wrong_clocks_hold_the_limit_that_the_clock_of_redis_says() {
    let store = redis();
    let config = format!(
        "
cluster: {{ redis: 'redis://{}', timeout: 2s }}
defaults: {{ access: public }}
routes:
  - {{ match: /all, respond: 200, rate_limit: {{ limit: 21/h, by: global, shared: true }} }}
  - {{ match: /fast, respond: 200, rate_limit: {{ limit: 21/h, by: global, shared: fast }} }}
  - {{ match: /steady, respond: 200, rate_limit: {{ limit: 20/s, burst: 1, by: global, shared: true }} }}
",
        store.address()
    );
    // A day behind, right, a day ahead, and ten times too fast.
    let gates = ["-1d", "+0", "+1d", "+0 x10"].map(|clock| {
        // Its library, and not its program, which would be the process that is killed at the end.
        let mut command = Command::new(binary());
        command.env("LD_PRELOAD", faketime()).env("FAKETIME", clock);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Gateway::start_in(tempfile::tempdir().unwrap(), command, &config, &[])
    });
    assert_eq!(admitted(&gates, "/all", 60), 21);
    assert_eq!(admitted(&gates, "/fast", 60), 21);
    let waits = [0, 1, 2, 3].map(|number: usize| -> u64 {
        gates[number].get("/all").expect(429).header("Retry-After").unwrap().parse().unwrap()
    });
    assert!(waits.iter().all(|wait| (160..=172).contains(wait)), "{waits:?}");
    let days: HashSet<String> =
        gates.iter().map(|gate| gate.log(1)[0]["time"].to_string()[..11].to_owned()).collect();
    assert!(days.len() >= 3, "their clocks are wrong indeed: {days:?}");
    // No time is gained by asking the one whose clock is fast.
    let began = Instant::now();
    let mut steady = 0;
    while began.elapsed() < Duration::from_secs(1) {
        steady += admitted(&gates, "/steady", 4);
    }
    let most = 2.0 + began.elapsed().as_secs_f64() * 20.0;
    assert!(steady as f64 <= most, "{steady} of {most}");
}

#[test]
fn callers_are_told_what_the_whole_fleet_has_left() {
    let store = redis();
    let gates = fleet(
        &store,
        "routes: [{ match: /x, respond: 200, rate_limit: { limit: 3/h, by: global, shared: true } }]",
    );
    for (number, left, full_in) in [(0, 2, 1200), (1, 1, 2400), (0, 0, 3600)] {
        let answer = gates[number].get("/x").expect(200);
        assert_eq!(answer.header("RateLimit-Policy"), Some("\"global\";q=3;w=3600"));
        let told = answer.header("RateLimit").unwrap();
        let seconds =
            told.strip_prefix(&format!("\"global\";r={left};t=")).unwrap_or_else(|| panic!("{told}"));
        assert!((full_in - 3..=full_in).contains(&seconds.parse().unwrap()), "{told}");
    }
    let refused = gates[1].get("/x").expect(429);
    assert!(refused.header("RateLimit").unwrap().starts_with("\"global\";r=0;t="), "{refused:?}");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&wait), "{wait}");
    assert_eq!(refused.expect_refusal("rate_limited")["stage"], "limit");
}

#[test]
fn a_limit_that_refuses_costs_the_others_nothing_wherever_they_are_counted() {
    let store = redis();
    let limits = |first: &str, second: &str| {
        format!("[ {{ limit: 3/h, by: 'header:X-Tenant', {first} }}, {{ limit: 1/h, {second} }} ]")
    };
    for (first, second) in [
        ("shared: true", "shared: true"),
        ("shared: true", "shared: false"),
        ("shared: false", "shared: true"),
        ("shared: fast", "shared: true"),
        ("shared: true", "shared: fast"),
        ("shared: fast", "shared: false"),
    ] {
        let lines = format!("routes: [{{ match: /x, respond: 200, rate_limit: {} }}]", limits(first, second));
        let gate = gate_of(&store.address().to_string(), "timeout: 2s", &lines);
        let tenant = format!("{first} {second}");
        let ask = |client: &str| {
            let ask = gate.ask("GET", "/x").header("X-Tenant", &tenant);
            ask.header("X-Forwarded-For", client).send().status
        };
        assert_eq!([1, 2, 3, 4].map(|_| ask("192.0.2.1")), [200, 429, 429, 429], "{tenant}");
        let others = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
        assert_eq!(others.map(ask), [200, 200, 429], "{tenant}");
        redis_cli(store.address(), &["FLUSHALL"]);
    }
}

#[test]
fn what_stands_in_redis_tells_nobody_who_called_and_ends_by_itself() {
    let store = redis();
    let routes = "routes: [{ match: /x, respond: 200, rate_limit: { limit: 10/h, shared: true } }]";
    let address = store.address().to_string();
    let plain = gate_of(&address, "timeout: 2s, prefix: 'shop:'", routes);
    let secret = "timeout: 2s, prefix: 'shop:', secret: a secret of the fleet";
    let secretive = gate_of(&address, secret, routes);
    // With another secret it is another bucket.
    for gate in [&plain, &secretive, &plain, &secretive] {
        assert_eq!(from(gate, "/x", "192.0.2.1"), 200);
    }
    let keys = redis_cli(store.address(), &["--scan", "--pattern", "shop:limit:*"]);
    assert_eq!(keys.lines().count(), 2, "{keys}");
    for key in keys.lines() {
        assert_eq!(key.len(), "shop:limit:".len() + 22, "{key}");
        let left: u64 = redis_cli(store.address(), &["PTTL", key]).parse().unwrap();
        assert!((600_000..=720_000).contains(&left), "{left}");
    }
    let all = redis_cli(store.address(), &["--scan"]);
    assert!(!all.contains("192.0.2.1") && all.lines().all(|key| key.starts_with("shop:")), "{all}");
}

#[test]
fn what_was_used_outlives_gateways_and_reloads() {
    let store = redis();
    let with = |limit: &str, sharing: &str| {
        format!(
            "cluster: {{ redis: 'redis://{}', timeout: 2s }}\n\
             routes: [{{ match: /x, respond: 200, access: public, rate_limit: {{ limit: {limit}, by: global, shared: {sharing} }} }}]",
            store.address()
        )
    };
    let gate = gateway(with("4/h", "true"));
    (0..4).for_each(|_| drop(gate.get("/x").expect(200)));
    drop(gate);
    let gate = gateway(with("4/h", "true"));
    gate.get("/x").expect(429);
    // The bucket would be full again in an hour, and half of this one takes as long.
    gate.expect_reload(|| gate.replace_config(&with("4/h, burst: 8", "true")));
    assert_eq!((0..5).map(|_| gate.get("/x").status).collect::<Vec<_>>(), [200, 200, 200, 200, 429]);
    // And one way of sharing knows what the other has used.
    gate.expect_reload(|| gate.replace_config(&with("4/h, burst: 8", "fast")));
    gate.get("/x").expect(429);
}

#[test]
fn a_fast_limit_is_never_exceeded_from_the_start_and_unused_tokens_go_back() {
    let store = redis();
    let gates = fleet(
        &store,
        "routes: [{ match: /x, respond: 200, rate_limit: { limit: 100/h, by: global, shared: fast } }]",
    );
    // It has a lease now, of five tokens, and uses one.
    let first = gates[0].get("/x").expect(200);
    assert!(first.header("RateLimit").unwrap().starts_with("\"global\";r=99;"), "{first:?}");
    let others = admitted(&gates[1..], "/x", 110);
    assert!((95..=99).contains(&others), "{others}");
    let mut all = 1 + others;
    eventually("what the first gateway does not use can be used by the other", || {
        all += usize::from(gates[1].get("/x").status == 200);
        all == 100
    });
    assert_eq!(admitted(&gates, "/x", 10), 0);
    eventually("all are counted", || decided(&gates[1], "lease") > 109.5);
    assert!(decided(&gates[1], "redis") < 0.5);
    // Hardly a request asks: the commands are the fills, and a look every second.
    let commands = gates[1].metrics().sum("tollgate_redis_commands_total", &[]);
    assert!(commands < 90.0, "{commands}");
}

#[test]
fn without_redis_each_gateway_allows_its_part_and_all_is_shared_again_when_it_is_back() {
    let mut store = redis();
    let timeout = Duration::from_millis(200);
    let gate = gate_of(
        &store.address().to_string(),
        "timeout: 200ms, gateways: 4",
        "
routes:
  - { match: /local, respond: 200, rate_limit: { limit: 40/h, by: global, shared: true } }
  - { match: /fast, respond: 200, rate_limit: { limit: 40/h, by: global, shared: fast } }
  - { match: /refuse, respond: 200, rate_limit: { limit: 40/h, by: global, shared: true, on_outage: refuse } }
  - { match: /allow, respond: 200, rate_limit: { limit: 1/h, by: global, shared: true, on_outage: allow } }
",
    );
    let gates = [gate];
    let gate = &gates[0];
    assert_eq!(["/allow", "/allow", "/refuse"].map(|path| gate.get(path).status), [200, 429, 200]);
    store.kill();
    let began = Instant::now();
    // A fourth of the limit.
    assert_eq!(admitted(&gates, "/local", 15), 10);
    assert_eq!(admitted(&gates, "/fast", 15), 10);
    let refused = gate.get("/refuse").expect(503);
    assert_eq!(refused.expect_refusal("limits_unavailable")["stage"], "limit");
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(admitted(&gates, "/allow", 5), 5);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    gate.expect_line("shared limits do what `on_outage` says");
    assert!(!is_up(gate));
    for (by, least) in [("local", 30.0), ("refuse", 1.0), ("allow", 5.0)] {
        eventually(by, || decided(gate, by) > least - 0.5);
    }
    store.revive();
    eventually("Redis is in use again", || is_up(gate));
    // It has come back empty.
    assert_eq!(
        ["/allow", "/allow", "/refuse", "/local"].map(|path| gate.get(path).status),
        [200, 429, 200, 200]
    );
    // One that takes commands and says nothing costs one time-out, and then nobody asks it.
    store.pause();
    let began = Instant::now();
    assert_eq!(gate.get("/refuse").status, 503);
    assert!(began.elapsed() >= timeout, "{:?}", began.elapsed());
    let began = Instant::now();
    let asked = gate.metrics().sum("tollgate_redis_commands_total", &[]);
    assert_eq!(admitted(&gates, "/refuse", 20), 0);
    assert!((gate.metrics().sum("tollgate_redis_commands_total", &[]) - asked).abs() < 0.5);
    assert!(began.elapsed() < timeout * 10, "{:?}", began.elapsed());
    assert!(gate.metrics().sum("tollgate_redis_timeouts_total", &[]) > 0.5);
    store.resume();
    eventually("Redis is in use again", || is_up(gate) && gate.get("/refuse").status == 200);
}

#[test]
fn nobody_who_waits_for_a_redis_that_stands_still_waits_longer_than_said() {
    let store = redis();
    let timeout = Duration::from_millis(300);
    let gate = gate_of(
        &store.address().to_string(),
        "timeout: 300ms",
        "
routes:
  - { match: /exact, respond: 200, rate_limit: { limit: 4000/h, by: global, shared: true } }
  - { match: /fast, respond: 200, rate_limit: { limit: 4000/h, by: 'header:X-A', shared: fast } }
",
    );
    gate.get("/exact").expect(200);
    store.pause();
    let waits: Vec<Duration> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let gate = &gate;
            move || {
                let began = Instant::now();
                let path = if number.is_multiple_of(2) { "/exact" } else { "/fast" };
                gate.ask("GET", path).header("X-A", &number.to_string()).send().expect(200);
                began.elapsed()
            }
        };
        let threads: Vec<_> = (0..40).map(|number| scope.spawn(ask(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    store.resume();
    let longest = waits.iter().max().unwrap();
    assert!(*longest < timeout * 5, "{waits:?}");
    eventually("all are counted", || (39.5..40.5).contains(&decided(&gate, "local")));
}

#[test]
fn a_gateway_that_starts_without_redis_serves_its_part_until_there_is_one() {
    let port = free_port();
    let gates = [gate_of(
        &format!("127.0.0.1:{port}"),
        "timeout: 200ms, gateways: 2",
        "routes: [{ match: /x, respond: 200, rate_limit: { limit: 20/h, by: global, shared: true } }]",
    )];
    assert_eq!(admitted(&gates, "/x", 15), 10);
    assert!(!is_up(&gates[0]));
}

#[test]
fn a_redis_that_takes_nothing_is_as_good_as_gone() {
    let store = redis();
    let gates = fleet(
        &store,
        "routes: [{ match: /x, respond: 200, rate_limit: { limit: 20/h, by: global, shared: true } }]",
    );
    let gate = &gates[0];
    gate.get("/x").expect(200);
    assert_eq!(redis_cli(store.address(), &["REPLICAOF", "127.0.0.1", &free_port().to_string()]), "OK");
    gate.get("/x").expect(200);
    eventually("it is told", || !is_up(gate));
    gate.expect_line("shared limits do what `on_outage` says");
    assert_eq!(redis_cli(store.address(), &["REPLICAOF", "NO", "ONE"]), "OK");
    eventually("Redis is in use again", || is_up(gate));
    // Scripts that it has forgotten are sent anew.
    assert_eq!(redis_cli(store.address(), &["SCRIPT", "FLUSH"]), "OK");
    let before = decided(gate, "redis");
    gate.get("/x").expect(200);
    eventually("Redis has decided", || decided(gate, "redis") > before + 0.5);
}

#[test]
fn explain_tells_how_limits_are_shared() {
    let gate = gateway(
        "
cluster: redis://127.0.0.1:1
routes:
  - match: /x
    respond: 200
    access: public
    rate_limit: [ { limit: 100/m, shared: true }, { limit: 9/s, by: global, shared: fast, on_outage: refuse } ]
",
    );
    let said = tollgate(&["explain", "GET", "/x", "-c", gate.config_file().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stdout);
    let told = "rate_limit: 100/m by ip, shared, without Redis local; \
                9/s by global, shared by leases, without Redis refuse";
    assert!(said.contains(told), "{said}");
}
