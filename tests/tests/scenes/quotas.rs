//! `quota`: what callers may use by the calendar, by route and by plan, over restarts and over gateways.

mod stores;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::limits::{DAY, is_up, until_midnight};
use tollgate_tests::{Gateway, Redis, eventually, gateway, redis, redis_cli};

/// Two apps of one plan, and one without; this is what the plan says, and these are the routes.
fn config(plan: &str, routes: &str, more: &str) -> String {
    format!(
        "
workers: 2
auth: {{ keys: {{ api_key: {{}} }} }}
plans: {{ gold: {{ {plan} }} }}
apps:
  mobile: {{ plan: gold, keys: [{{ id: mob, secret: s }}] }}
  web: {{ plan: gold, keys: [{{ id: web, secret: s }}] }}
  old: {{ keys: [{{ id: old, secret: s }}] }}
defaults: {{ access: keys }}
routes: {routes}
{more}
"
    )
}

/// A configuration that keeps what was used in this folder.
fn kept(folder: &TempDir, plan: &str, routes: &str) -> String {
    config(plan, routes, &format!("store: 'sqlite:{}/tollgate.db'", folder.path().display()))
}

fn as_app(gate: &Gateway, app: &str, path: &str) -> tollgate_tests::Answer {
    gate.ask("GET", path).header("X-API-Key", &format!("{app}.s")).send()
}

/// What the admin address says of the first quota.
fn usage(gate: &Gateway) -> Value {
    let quotas: Value = serde_json::from_slice(&gate.admin_get("/quotas").expect(200).body).unwrap();
    quotas["quotas"][0].clone()
}

/// What it says that this app has used.
fn used(gate: &Gateway, app: &str) -> u64 {
    let answer = gate.admin_get(&format!("/quotas?by=app&name={app}")).expect(200);
    let quotas: Value = serde_json::from_slice(&answer.body).unwrap();
    quotas["quotas"][0]["usage"][0]["used"].as_u64().unwrap_or_default()
}

/// A zone in which midnight is hours away, when quotas begin anew: its name, and its time at midnight as it is told.
fn zone() -> (&'static str, &'static str) {
    if (6..18).contains(&(DAY - until_midnight()).div_euclid(3600)) {
        ("UTC", "T00:00:00+00:00")
    } else {
        ("Etc/GMT-12", "T00:00:00+12:00")
    }
}

/// Seconds until its midnight.
fn until_anew() -> u64 {
    let half = if zone().0 == "UTC" { 0 } else { DAY / 2 };
    (until_midnight() + half) % DAY
}

/// A quota of so many a day there.
fn daily(limit: u64, more: &str) -> String {
    format!("quota: {{ limit: {limit}/d, zone: {}{more} }}", zone().0)
}

#[test]
fn a_plan_says_how_much_each_of_its_apps_may_use_of_all_routes_together() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "
  - { match: /a, respond: 200 }
  - { match: /b, respond: 200, quota: 100/month }
  - { match: /free, respond: 200, quota: off }
  - { match: /public, respond: 200, access: public }";
    let gate = gateway(kept(&folder, &daily(3, ""), routes));
    let first = as_app(&gate, "mob", "/a").expect(200);
    assert_eq!(first.header("RateLimit-Policy"), Some("\"plan-app-day\";q=3;w=86400"));
    let told = first.header("RateLimit").unwrap();
    let anew: u64 = told.strip_prefix("\"plan-app-day\";r=2;t=").unwrap().parse().unwrap();
    assert!(anew.abs_diff(until_anew()) <= 2, "{told}");
    let second = as_app(&gate, "mob", "/b").expect(200);
    assert_eq!(
        second.fields.all("RateLimit-Policy"),
        ["\"app-month\";q=100", "\"plan-app-day\";q=3;w=86400"]
    );
    assert!(second.header("RateLimit").unwrap().starts_with("\"plan-app-day\";r=1;"), "{second:?}");
    as_app(&gate, "mob", "/a").expect(200);

    let refused = as_app(&gate, "mob", "/a").expect(429);
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!(wait.abs_diff(until_anew()) <= 2, "{wait}");
    assert!(refused.header("RateLimit").unwrap().starts_with("\"plan-app-day\";r=0;"), "{refused:?}");
    let problem = refused.expect_refusal("quota_exceeded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("one app may make in a day (3, by the plan gold); it begins anew at 20"),
        "{detail}"
    );
    assert!(detail.ends_with(zone().1), "{detail}");

    // What refuses costs nothing at the other.
    as_app(&gate, "mob", "/b").expect(429);
    for (app, path) in [("web", "/a"), ("old", "/a"), ("mob", "/free"), ("old", "/b"), ("old", "/b")] {
        as_app(&gate, app, path).expect(200);
    }
    gate.get("/public").expect(200);
    let answer = gate.admin_get("/quotas").expect(200);
    let quotas: Value = serde_json::from_slice(&answer.body).unwrap();
    let shown = |quota: &Value| {
        let usage = quota["usage"].as_array().unwrap();
        let usage = usage.iter().map(|used| json!([used["by"], used["name"], used["used"], used["left"]]));
        json!([quota["place"], quota["quota"], quota["limit"], quota["per"], usage.collect::<Vec<_>>()])
    };
    let shown: Vec<Value> = quotas["quotas"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            json!(["plan gold", "plan-app-day", 3, "day", [["app", "mobile", 3, 0], ["app", "web", 1, 2]]]),
            json!(["route /b", "app-month", 100, "month", [["app", "old", 2, 98], ["app", "mobile", 1, 99]]]),
        ]
    );
}

#[test]
fn what_another_limit_refuses_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "[{ match: /a, respond: 200, rate_limit: { limit: 2/d, by: app } }]";
    let gate = gateway(kept(&folder, &daily(9, ""), routes));
    for expected in [200, 200, 429, 429] {
        as_app(&gate, "mob", "/a").expect(expected);
    }
    assert_eq!(used(&gate, "mobile"), 2);
}

#[test]
fn the_log_says_which_of_several_quotas_has_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "quota: [ 9/month, { limit: 2/month, headers: false } ]";
    let routes = "[{ match: /a, respond: 200 }, { match: /b, respond: 200, quota: [ 8/month, 1/month ] }]";
    let gate = gateway(kept(&folder, plan, routes));
    for (app, path, status) in
        [("mob", "/b", 200), ("mob", "/b", 429), ("mob", "/a", 200), ("mob", "/a", 429), ("old", "/b", 200)]
    {
        as_app(&gate, app, path).expect(status);
    }
    let limits: Vec<Value> = gate.log(5).iter().map(|line| line["limit"].clone()).collect();
    for expected in [Value::Null, json!("app-month-2"), json!("plan-app-month-2")] {
        let count = limits.iter().filter(|limit| **limit == expected).count();
        assert_eq!(count, if expected.is_null() { 3 } else { 1 }, "{expected} in {limits:?}");
    }
}

#[test]
fn a_soft_quota_refuses_nobody_and_warns() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "
  - { match: /soft, respond: 200, quota: { limit: 2/w, soft: true, warn: 50% } }
  - { match: /hard, respond: 200, quota: { limit: 4/w, warn: 75% } }
  - { match: /size, respond: 200, quota: { limit: 10/d, cost: 'int(request.query.n)', when: \"request.query.n != '0'\" } }";
    let gate = gateway(kept(&folder, "", routes));
    let warning = |path: &str| {
        let answer = as_app(&gate, "mob", path);
        let warning =
            answer.header("X-Quota-Warning").map(|text| text.split(";t=").next().unwrap().to_owned());
        (answer.status, warning.unwrap_or_default())
    };
    let of = |used: u64, of: u64| format!("\"app-week\";used={used};of={of}");
    assert_eq!(warning("/soft"), (200, of(1, 2)));
    assert_eq!(warning("/soft"), (200, of(2, 2)));
    assert_eq!(warning("/soft"), (200, of(3, 2)));
    let expected =
        [(200, String::new()), (200, String::new()), (200, of(3, 4)), (200, of(4, 4)), (429, of(4, 4))];
    assert_eq!([(); 5].map(|()| warning("/hard")), expected);
    // By what they cost: one that costs more than is left is refused, and a cheaper one is not.
    let sizes = [("4", 200), ("0", 200), ("7", 429), ("6", 200), ("1", 429), ("0", 200)];
    for (size, expected) in sizes {
        as_app(&gate, "mob", &format!("/size?n={size}")).expect(expected);
    }
}

#[test]
fn gateways_with_one_redis_use_one_quota() {
    let mut store = redis();
    let redis = format!("cluster: {{ redis: 'redis://{}' }}", store.address());
    let gate = || {
        let routes = "[{ match: /a, respond: 200 }]";
        gateway(config(&daily(20, ", shared: true"), routes, &redis))
    };
    let gates = [gate(), gate()];
    // Who has counted nothing new does not ask.
    let one_knows = |least: u64| {
        eventually("one knows", || gates.iter().any(|gate| used(gate, "mobile") >= least));
        assert!(gates.iter().all(|gate| used(gate, "mobile") <= 12), "nothing is counted twice");
    };
    for number in 0..10 {
        as_app(&gates[number % 2], "mob", "/a").expect(200);
    }
    one_knows(10);
    assert_eq!(usage(&gates[0])["shared"], true);
    // Redis is begun anew, and forgets: what gateways know is told to it.
    store.kill();
    store.revive();
    eventually("it is in use again", || {
        as_app(&gates[0], "old", "/a");
        gates.iter().all(|gate| gate.metrics().sum("tollgate_redis_up", &[]) > 0.5)
    });
    for gate in &gates {
        as_app(gate, "mob", "/a").expect(200);
    }
    // What one of them says first may be less than the other knew.
    one_knows(11);
    for gate in &gates {
        eventually("all is used up", || as_app(gate, "mob", "/a").status == 429);
    }
    // Too much is at most what comes in a quarter of a second.
    let mut keys = String::new();
    eventually("Redis knows it", || {
        keys = redis_cli(store.address(), &["--scan", "--pattern", "tg:quota:*"]);
        let totals = keys
            .lines()
            .map(|key| redis_cli(store.address(), &["HGET", key, "used"]).parse::<u64>().unwrap());
        (20..40).contains(&totals.max().unwrap_or_default())
    });
    let life: u64 = redis_cli(store.address(), &["TTL", keys.lines().next().unwrap()]).parse().unwrap();
    assert!((33 * 86_400..=34 * 86_400).contains(&life), "{life}");
    // Without Redis it is counted on.
    store.kill();
    as_app(&gates[0], "mob", "/a").expect(429);
    as_app(&gates[1], "web", "/a").expect(200);
    assert_eq!(used(&gates[1], "web"), 1);
}

/// What Redis keeps of the one account that there is.
fn in_redis(store: &Redis) -> String {
    let key = redis_cli(store.address(), &["--scan", "--pattern", "tg:quota:*"]);
    if key.is_empty() { String::new() } else { redis_cli(store.address(), &["HGET", &key, "used"]) }
}

fn sharing(store: &Redis, limit: u64) -> Gateway {
    let plan = daily(limit, ", shared: true");
    let cluster = format!("cluster: {{ redis: 'redis://{}', timeout: 100ms }}", store.address());
    gateway(config(&plan, "[{ match: /a, respond: 200 }]", &cluster))
}

#[test]
fn what_redis_answers_too_late_is_counted_once() {
    let store = redis();
    let gate = sharing(&store, 1000);
    for _ in 0..5 {
        as_app(&gate, "mob", "/a").expect(200);
    }
    eventually("Redis knows it", || in_redis(&store) == "5");
    let failures = || gate.metrics().sum("tollgate_redis_timeouts_total", &[]);
    for round in 1..=4 {
        store.pause();
        let before = failures();
        for _ in 0..5 {
            as_app(&gate, "mob", "/a").expect(200);
        }
        // By the quota, or by who looks whether Redis is there, and then the quota does not ask.
        eventually("an answer is missed", || failures() > before + 0.5 || !is_up(&gate));
        store.resume();
        eventually("Redis knows it", || in_redis(&store) == (5 + 5 * round).to_string());
    }
    as_app(&gate, "mob", "/a").expect(200);
    eventually("Redis knows it", || in_redis(&store) == "26");
    assert_eq!(used(&gate, "mobile"), 26);
}

#[test]
fn a_redis_that_was_emptied_hears_of_those_who_have_used_up_what_they_had() {
    let mut store = redis();
    let gate = sharing(&store, 3);
    for expected in [200, 200, 200, 429] {
        as_app(&gate, "mob", "/a").expect(expected);
    }
    eventually("Redis knows it", || in_redis(&store) == "3");
    store.kill();
    gate.expect_line("does not answer");
    store.revive();
    // Nobody asks for anything meanwhile.
    eventually("Redis knows it again", || in_redis(&store) == "3");
}

#[test]
fn a_shared_quota_outlives_redis_and_gateways_where_there_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = redis();
    let more = format!(
        "cluster: {{ redis: 'redis://{}' }}\nstore: 'sqlite:{}/tollgate.db'",
        store.address(),
        folder.path().display()
    );
    let config = config(&daily(20, ", shared: true"), "[{ match: /a, respond: 200 }]", &more);
    let mut gate = gateway(&config);
    for _ in 0..5 {
        as_app(&gate, "mob", "/a").expect(200);
    }
    gate.terminate();
    assert!(gate.expect_exit().success());
    redis_cli(store.address(), &["FLUSHALL"]);
    let gate = gateway(&config);
    assert_eq!(used(&gate, "mobile"), 5);
    as_app(&gate, "mob", "/a").expect(200);
    eventually("Redis knows it again", || in_redis(&store) == "6");
}

#[test]
fn who_has_nothing_left_stands_in_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let zone = zone().0;
    let plan = format!("quota: {{ limit: 2/d, zone: {zone} }}");
    let line = "rate_limit: { limit: 1/m, by: route, algorithm: leaky_bucket, queue: 5 }";
    let gate = gateway(kept(
        &folder,
        &plan,
        &format!("[{{ match: /x, respond: 200, {line} }}, {{ match: /y, respond: 200 }}]"),
    ));
    as_app(&gate, "mob", "/x").expect(200);
    as_app(&gate, "mob", "/y").expect(200);
    // It would wait for most of a minute, and be refused then.
    let began = Instant::now();
    as_app(&gate, "mob", "/x").expect(429).expect_refusal("quota_exceeded");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(gate.log(3)[2]["limit"], "plan-app-day");
    assert_eq!(used(&gate, "mobile"), 2);
}
