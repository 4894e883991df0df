//! What scenes of limits ask of gateways and their answers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Answer, Gateway};

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
