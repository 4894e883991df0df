//! What callers are told, and which limits are the same after a reload.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{Setting, load_text};

/// The limits that are written so, compiled.
fn compiled(text: &str, place: &str, buckets: &Arc<Buckets>) -> Limits {
    let text = format!("defaults: {{ access: public, rate_limit: {text} }}");
    let config = load_text(&text).unwrap().0;
    let Some(Setting::On(limits)) = config.defaults.rate_limit.as_deref() else { panic!("no limits") };
    let none = || Expressions { by: None, when: None, cost: None, charge: None };
    let expressions = limits.0.iter().map(|_| none()).collect();
    let lines = Arc::new(Lines::new(Arc::clone(buckets)));
    Limits::new(&limits.0, expressions, place, Tables { buckets, lines: &lines })
}

#[test]
fn callers_are_told_how_much_may_come_at_once_and_how_soon_again() {
    let buckets = Arc::new(Buckets::with_sets(1));
    for (text, told) in [
        ("100/m", "\"ip\";q=100;w=60"),
        ("{ limit: 10/s, burst: 25 }", "\"ip\";q=25;w=3"),
        ("{ limit: 1/d, by: global, headers: false }", ""),
        ("{ limit: 7/s, algorithm: leaky_bucket, queue: 6 }", "\"ip\";q=7;w=1"),
        (
            "[ 5/s, 100/h, { limit: 9/s, by: 'header:X-A' } ]",
            "\"ip\";q=5;w=1, \"ip-2\";q=100;w=3600, \"header\";q=9;w=1",
        ),
    ] {
        let limits = compiled(text, "defaults", &buckets);
        assert_eq!(limits.told.as_ref().map_or(&b""[..], PreparedField::value), told.as_bytes(), "{text}");
    }
}

#[test]
fn older_clients_are_told_the_same_number() {
    let buckets = Arc::new(Buckets::with_sets(1));
    for (text, told) in [
        ("limit: 10/s, burst: 25", "25"),
        ("limit: 10/s, algorithm: sliding_window", "10"),
        ("limit: 10/s, algorithm: leaky_bucket, queue: 4", "5"),
    ] {
        let limits = compiled(&format!("{{ {text}, legacy_headers: true }}"), "defaults", &buckets);
        assert_eq!(limits.list[0].legacy.as_deref(), Some(told), "{text}");
        let policy = String::from_utf8_lossy(limits.told.as_ref().unwrap().value()).into_owned();
        assert!(policy.contains(&format!("q={told};")), "{policy}");
    }
}

#[test]
fn who_is_refused_is_told_whether_requests_or_their_cost_were_too_much() {
    let buckets = Arc::new(Buckets::with_sets(1));
    for (text, told) in [
        ("10/m", "more requests than one address may make (10/m);"),
        ("{ limit: 10/m, cost: '5' }", "more requests, by what they cost, than one address may make (10/m);"),
        (
            "{ limit: 10/m, charge: '5' }",
            "more requests, by what they cost, than one address may make (10/m);",
        ),
    ] {
        let limits = compiled(text, "defaults", &buckets);
        let refusal = limits.list[0].refusal.as_str();
        assert!(refusal.contains(told), "{text}: {refusal}");
    }
}

#[test]
fn a_limit_is_the_same_whatever_its_numbers_and_another_elsewhere() {
    let buckets = Arc::new(Buckets::with_sets(1));
    let places = |text: &str, place: &str| {
        let limits = compiled(text, place, &buckets);
        limits.list.iter().map(|limit| limit.place).collect::<Vec<_>>()
    };
    let before = places("[ 5/s, { limit: 1/h, by: global } ]", "defaults");
    assert_eq!(
        places("[ { limit: 7/m, by: global }, { limit: 3/h, burst: 7 } ]", "defaults"),
        [before[1], before[0]]
    );
    for (other, place) in
        [("5/s", "route a"), ("{ limit: 5/s, by: route }", "defaults"), ("[ 1/s, 1/m ]", "api defaults")]
    {
        assert!(!places(other, place).contains(&before[0]), "{other} in {place}");
    }
    let twice = places("[ 1/s, 1/m ]", "defaults");
    assert_ne!(twice[0], twice[1]);
}
