//! What a limit costs a request: a token of a bucket or a place in a window, in a table that all workers share.
//!
//! `cargo bench -p tollgate-gateway --bench buckets`. A decision, with its key's hash, is to cost
//! 50 ns at most as long as the callers' buckets fit the processor's caches; beyond that it waits for memory.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use gateway::buckets::{Buckets, Rule};

/// Decisions in one round.
const DECISIONS: u64 = 100_000;
const ROUNDS: usize = 100;

fn main() {
    println!("{:<48} {:>8}", "ns a decision (best of 100 rounds)", "ns");
    let (wide, narrow) = (pace(1_000_000, 1_000_000_000), pace(1, 1));
    measure("one caller, admitted", 1, wide);
    measure("one caller, refused", 1, narrow);
    measure("10,000 callers, admitted", 10_000, wide);
    measure("500,000 callers, admitted", 500_000, wide);
    measure("500,000 callers, refused", 500_000, narrow);
    measure("5,000,000 callers, more than there is room for", 5_000_000, wide);
    let minute = Duration::from_mins(1);
    let window = |count| Rule::fixed_window(count, minute).expect("a rule");
    measure("fixed window: one caller, admitted", 1, window(60_000_000));
    measure("fixed window: one caller, refused", 1, window(1));
    measure("fixed window: 10,000 callers, admitted", 10_000, window(60_000_000));
    measure("fixed window: 500,000 callers, admitted", 500_000, window(60_000_000));
    let sliding = |count| Rule::sliding_window(count, minute).expect("a rule");
    measure("sliding window of 16: one caller, refused", 1, sliding(16));
    measure("sliding window of 16: 10,000 callers, refused", 10_000, sliding(16));
    measure("sliding window of more: one caller, admitted", 1, sliding(60_000_000));
    measure("sliding window of more: one caller, refused", 1, sliding(17));
    measure("sliding window of more: 10,000 callers, admitted", 10_000, sliding(60_000_000));
    measure("sliding window of more: 500,000 callers, admitted", 500_000, sliding(60_000_000));
}

fn pace(count: u64, burst: u64) -> Rule {
    Rule::token_bucket(count, Duration::from_secs(1), burst).expect("a rule")
}

fn measure(name: &str, callers: u32, rule: Rule) {
    let table = Buckets::default();
    let mut best = f64::MAX;
    let mut caller = 0_u32;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..DECISIONS {
            // In an order that no cache foresees.
            caller = caller.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let IpAddr::V4(address) = IpAddr::from((caller % callers).to_be_bytes()) else { continue };
            let key = table.key((7_u64, 0_u8, &address.octets()[..]));
            let _ = black_box(table.take(black_box(key), rule, 1, 1));
        }
        best = best.min(began.elapsed().as_nanos() as f64 / DECISIONS as f64);
    }
    println!("{name:<48} {best:>8.1}");
}
