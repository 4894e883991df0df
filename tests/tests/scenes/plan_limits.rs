//! Limits of plans: what callers may do by their plan, beside what routes say.

use std::process::Output;

use tollgate_tests::{Answer, Gateway, eventually, gateway, redis, tollgate};

/// A gateway of two workers whose apps `web` and `shop` have the plan `free`, `big` has `gold`, and `old` has none. Buckets fill so slowly
/// that no scene sees it.
fn gate_of(plans: &str, lines: &str) -> Gateway {
    gateway(config_of(plans, lines))
}

fn config_of(plans: &str, lines: &str) -> String {
    format!(
        "
workers: 2
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
auth: {{ keys: {{ api_key: {{}} }} }}
plans: {{ {plans} }}
apps:
  web: {{ plan: free, keys: [ {{ id: web, secret: 0123456789abcdef }}, {{ id: web2, secret: 0123456789abcdef }} ] }}
  shop: {{ plan: free, keys: [ {{ id: shop, secret: 0123456789abcdef }} ] }}
  big: {{ plan: gold, keys: [ {{ id: big, secret: 0123456789abcdef }} ] }}
  old: {{ keys: [ {{ id: old, secret: 0123456789abcdef }}, {{ id: old2, secret: 0123456789abcdef }} ] }}
{lines}
"
    )
}

fn ask(gate: &Gateway, path: &str, key: &str) -> Answer {
    gate.ask("GET", path).header("X-API-Key", &format!("{key}.0123456789abcdef")).send()
}

/// How many of twenty requests are let through.
fn admitted(gate: &Gateway, path: &str, key: &str) -> usize {
    (0..20).filter(|_| ask(gate, path, key).status == 200).count()
}

fn explain(gate: &Gateway, path: &str) -> String {
    let config = gate.config_file();
    let Output { stdout, .. } = tollgate(&["explain", "GET", path, "-c", config.to_str().unwrap()]);
    String::from_utf8_lossy(&stdout).into_owned()
}

const PLANS: &str = "free: { rate_limit: 3/h }, gold: { rate_limit: [ 9/h, { limit: 7/d, by: key } ] }";

#[test]
fn a_plan_limits_each_of_its_apps_over_all_routes() {
    let gate = gate_of(
        PLANS,
        "
defaults: { access: keys }
routes:
  - { match: /a, respond: 200 }
  - { match: /b, respond: 200 }
  - { match: /open, respond: 200, access: public }
  - { match: /off, respond: 200, rate_limit: off }
",
    );
    for (path, key, status) in [
        ("/a", "web", 200),
        ("/b", "web2", 200),
        ("/a", "web", 200),
        ("/b", "web", 429),
        ("/a", "web2", 429),
        // Where there is no limit at all, that of the plan is none either, and a public route knows nobody.
        ("/off", "web", 200),
        ("/open", "web", 200),
        ("/a", "shop", 200),
    ] {
        assert_eq!(ask(&gate, path, key).status, status, "{path} {key}");
    }
    assert_eq!(admitted(&gate, "/a", "big"), 7);
    assert_eq!(admitted(&gate, "/a", "old"), 20);
    let answer = ask(&gate, "/a", "shop").expect(200);
    assert_eq!(answer.header("RateLimit-Policy"), Some("\"plan-app\";q=3;w=3600"));
    assert!(answer.header("RateLimit").unwrap().starts_with("\"plan-app\";r=1;t="), "{answer:?}");
    let problem = ask(&gate, "/a", "web").expect(429).expect_refusal("rate_limited");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("more requests than one app may make (3/h, by the plan free)"), "{detail}");
    assert_eq!(ask(&gate, "/off", "web").header("RateLimit"), None);
    assert_eq!(ask(&gate, "/a", "old").header("RateLimit"), None);
}

#[test]
fn the_log_says_which_of_several_limits_has_refused_be_callers_told_of_it_or_not() {
    let gate = gate_of(
        "free: { rate_limit: [ 2/h, { limit: 1/h, by: key, headers: false } ] }, gold: {}",
        "
defaults: { access: keys }
routes:
  - { match: /plan, respond: 200 }
  - { match: /own, respond: 200, rate_limit: [ 9/h, { limit: 1/h, headers: false } ] }
",
    );
    let refused = [("/plan", "web", ""), ("/plan", "web", "plan-key"), ("/plan", "web2", "")];
    let refused = refused.into_iter().chain([("/plan", "web2", "plan-app"), ("/own", "big", "")]);
    for (line, (path, key, limit)) in (1..).zip(refused.chain([("/own", "big", "ip-2")])) {
        let answer = ask(&gate, path, key);
        assert_eq!(answer.status == 429, !limit.is_empty(), "{path} {key}: {answer:?}");
        let lines = gate.log(line);
        let line = lines.last().unwrap();
        assert_eq!(line["limit"].as_str().unwrap_or_default(), limit, "{line}");
    }
}

#[test]
fn none_is_charged_when_the_other_refuses_be_it_the_routes_or_the_plans() {
    let gate = gate_of(
        "free: { rate_limit: 3/h }, gold: {}",
        "
defaults: { access: keys }
routes:
  - { match: '/of/{id}', respond: 200, rate_limit: { limit: 1/h, by: params.id } }
  - { match: /narrow, respond: 200, rate_limit: [ { limit: 1/h, by: key }, { limit: 5/h, by: global } ] }
  - { match: /wide, respond: 200, rate_limit: { limit: 5/h, by: global } }
",
    );
    // The route refuses: the plan has been charged once, for what came through.
    for (path, status) in [("/of/1", 200), ("/of/1", 429), ("/of/1", 429), ("/of/2", 200), ("/of/3", 200)] {
        assert_eq!(ask(&gate, path, "web").status, status, "{path}");
    }
    // The plan refuses: the route's is not charged.
    assert_eq!(admitted(&gate, "/of/4", "web"), 0);
    assert_eq!(ask(&gate, "/of/4", "shop").status, 200);
    assert_eq!(admitted(&gate, "/wide", "web"), 0);
    assert_eq!(admitted(&gate, "/wide", "shop"), 2);
    assert_eq!(admitted(&gate, "/wide", "old"), 3);
    // The one with the least left is told, among both.
    let answer = ask(&gate, "/narrow", "big").expect(200);
    assert_eq!(answer.fields.all("RateLimit-Policy"), ["\"key\";q=1;w=3600, \"global\";q=5;w=3600"]);
    let gate = gate_of(
        "free: { rate_limit: [ 3/h, { limit: 9/h, headers: false } ] }, gold: {}",
        "routes: [{ match: /x, respond: 200, access: keys, rate_limit: { limit: 2/h, by: key, legacy_headers: true } }]",
    );
    for (key, [status, left], told) in [
        ("web", [200, 1], "\"key\";r=1;"),
        ("web2", [200, 1], "\"key\";r=1;"),
        ("web", [200, 0], "\"key\";r=0;"),
    ] {
        let answer = ask(&gate, "/x", key).expect(status);
        assert_eq!(answer.fields.all("RateLimit-Policy"), ["\"key\";q=2;w=3600", "\"plan-app\";q=3;w=3600"]);
        assert!(answer.header("RateLimit").unwrap().starts_with(told), "{answer:?}");
        assert_eq!(answer.header("X-RateLimit-Remaining"), Some(&*left.to_string()));
    }
    let refused = ask(&gate, "/x", "web2").expect(429);
    assert!(refused.header("RateLimit").unwrap().starts_with("\"plan-app\";r=0;t="), "{refused:?}");
    assert_eq!(refused.header("X-RateLimit-Remaining"), None);
}

#[test]
fn a_reload_keeps_what_was_used_up_of_a_plan() {
    let lines = "routes: [{ match: /x, respond: 200, access: keys }]";
    let gate = gate_of("free: { rate_limit: { limit: 4/h, algorithm: fixed_window } }, gold: {}", lines);
    assert_eq!(admitted(&gate, "/x", "web"), 4);
    let more = config_of("free: { rate_limit: { limit: 6/h, algorithm: fixed_window } }, gold: {}", lines);
    gate.expect_reload(|| gate.replace_config(&more));
    assert_eq!(admitted(&gate, "/x", "web"), 2);
    // Of another plan from now on, which has a count of its own.
    let other = more.replace("plan: free", "plan: gold").replace("gold: {}", "gold: { rate_limit: 5/h }");
    gate.expect_reload(|| gate.replace_config(&other));
    assert_eq!(admitted(&gate, "/x", "web"), 5);
}

#[test]
fn all_callers_of_one_plan_may_count_together() {
    let gate = gate_of(
        "free: {}, gold: { rate_limit: { limit: 5/h, by: plan } }",
        "
defaults: { access: keys }
routes:
  - { match: /x, respond: 200, rate_limit: { limit: 2/h, by: plan } }
  - { match: /y, respond: 200 }
",
    );
    for (key, status) in [
        ("web", 200),
        ("shop", 200),
        ("web", 429),
        ("big", 200),
        // Without a plan each app counts for itself.
        ("old", 200),
        ("old2", 200),
        ("old", 429),
    ] {
        assert_eq!(ask(&gate, "/x", key).status, status, "{key}");
    }
    assert_eq!(admitted(&gate, "/y", "big"), 4);
    assert_eq!(admitted(&gate, "/y", "web"), 20);
}

#[test]
fn devices_of_one_kind_may_count_together() {
    let gate = gate_of(
        "free: {}, gold: {}",
        "
devices: { mobile: { user_agent: '(?i)android|iphone' }, iot: { header: X-Device-Id } }
defaults: { access: public }
routes:
  - { match: /x, respond: 200, rate_limit: { limit: 2/h, by: device } }
",
    );
    let from = |client: &str, name: &str, value: &str| {
        gate.ask("GET", "/x").header("X-Forwarded-For", client).header(name, value).send().status
    };
    for (client, name, value, status) in [
        ("192.0.2.1", "User-Agent", "an Android", 200),
        ("192.0.2.2", "User-Agent", "my iPhone", 200),
        ("192.0.2.3", "User-Agent", "android 7", 429),
        ("192.0.2.1", "X-Device-Id", "7", 200),
        // Of no kind: by the address.
        ("192.0.2.1", "User-Agent", "curl", 200),
        ("192.0.2.1", "User-Agent", "wget", 200),
        ("192.0.2.1", "User-Agent", "curl", 429),
        ("192.0.2.2", "User-Agent", "curl", 200),
    ] {
        assert_eq!(from(client, name, value), status, "{client} {value}");
    }
}

#[test]
fn plans_share_their_limits_among_gateways() {
    for sharing in ["true", "fast"] {
        let store = redis();
        let plans = format!(
            "free: {{ rate_limit: [ {{ limit: 7/h, shared: {sharing} }}, {{ limit: 40/h, by: key }} ] }}, gold: {{}}"
        );
        let lines = format!(
            "
cluster: {{ redis: 'redis://{}', timeout: 2s }}
defaults: {{ access: keys }}
routes:
  - {{ match: /x, respond: 200 }}
  - {{ match: /y, respond: 200, rate_limit: [ {{ limit: 2/h, by: global, shared: {sharing} }}, 100/h ] }}
",
            store.address()
        );
        let gates = [gate_of(&plans, &lines), gate_of(&plans, &lines)];
        let admitted = |path: &str, key: &str| {
            (0..24).filter(|number| ask(&gates[number % 2], path, key).status == 200).count()
        };
        assert_eq!(admitted("/y", "web"), 2, "{sharing}");
        assert_eq!(admitted("/x", "web2"), 5, "{sharing}");
        assert_eq!(admitted("/y", "shop"), 0, "{sharing}");
        assert_eq!(admitted("/x", "shop"), 7, "{sharing}");
        assert_eq!(admitted("/x", "old"), 24, "{sharing}");
        // Who has none of the limits that are shared is not counted among those who have.
        let decided = || {
            gates
                .iter()
                .map(|gate| gate.metrics().sum("tollgate_shared_limit_requests_total", &[]))
                .sum::<f64>()
        };
        eventually("all but those are counted", || (decided() - 96.0).abs() < 0.5);
        let told = ask(&gates[0], "/x", "shop").expect(429);
        assert!(told.header("RateLimit").unwrap().starts_with("\"plan-app\";r=0;t="), "{told:?}");
    }
}

#[test]
fn explain_and_the_metrics_tell_of_plans() {
    let gate = gate_of(
        PLANS,
        "
defaults: { access: keys }
routes:
  - { match: /a, respond: 200 }
  - { match: /b, respond: 200, rate_limit: 5/s }
  - { match: /open, respond: 200, access: public }
  - { match: /off, respond: 200, rate_limit: off }
",
    );
    let plans = "with the plan free: 3/h by app; with the plan gold: 9/h by app; 7/d by key";
    assert!(
        explain(&gate, "/a").contains(&format!("limit      rate_limit: {plans}\n")),
        "{}",
        explain(&gate, "/a")
    );
    assert!(explain(&gate, "/b").contains(&format!("rate_limit: 5/s by ip; {plans}\n")));
    assert!(!explain(&gate, "/open").contains("rate_limit"));
    assert!(!explain(&gate, "/off").contains("rate_limit"));
    assert_eq!(admitted(&gate, "/a", "web"), 3);
    let refused = || gate.metrics().sum("tollgate_refusals_total", &[("code", "rate_limited")]);
    eventually("refusals are counted", || refused() > 16.5);
}
