//! What scenes of limits ask of gateways and their answers.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Answer, Gateway, RedisCluster, eventually, gateway};

/// A gateway of two workers that believes who the scene says that it is, whose fleet has this Redis, with this more about it.
pub fn sharing(redis: impl Display, cluster: &str, routes: &str) -> String {
    format!(
        "
workers: 2
listeners: [{{ address: '127.0.0.1:0', trust_forwarded: {{ from: [127.0.0.1] }} }}]
cluster: {{ redis: '{redis}', {cluster} }}
defaults: {{ access: public }}
{routes}
"
    )
}

/// Two gateways with this cluster, once it is in use.
pub fn fleet_of(store: &RedisCluster, more: &str, routes: &str) -> [Gateway; 2] {
    let gates = [(); 2].map(|()| gateway(sharing(store.url(), more, routes)));
    for gate in &gates {
        eventually("the cluster is in use", || is_up(gate));
    }
    gates
}

/// How many of so many requests, to one gateway after the other, are let through.
pub fn admitted(gates: &[Gateway], path: &str, requests: usize) -> usize {
    (0..requests).filter(|number| gates[number % gates.len()].get(path).status == 200).count()
}

/// How many requests this has decided about at limits that gateways share.
pub fn decided(gate: &Gateway, by: &str) -> f64 {
    gate.metrics().sum("tollgate_shared_limit_requests_total", &[("by", by)])
}

/// Whether its Redis answers, as far as a gateway knows.
pub fn is_up(gate: &Gateway) -> bool {
    gate.metrics().sum("tollgate_redis_up", &[]) > 0.5
}

/// The number at the end of a field.
pub fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    value.rsplit('=').next().unwrap().parse().unwrap()
}

/// Seconds since 1970.
pub fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Seconds until the day of UTC ends.
pub fn until_midnight() -> u64 {
    DAY - unix() as u64 % DAY
}

/// That a number of seconds is what it should be, give or take those that the scene has run.
#[track_caller]
pub fn expect_about(found: u64, expected: u64) {
    assert!(found.abs_diff(expected) <= 3, "{found} seconds, and not {expected}");
}

/// Seconds of a day.
pub const DAY: u64 = 86_400;
