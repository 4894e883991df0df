//! Random numbers good enough to spread requests, for one worker: two multiplications each, nothing secret.

use std::cell::Cell;

/// Wyrand, by Wang Yi: a counter, hashed.
#[derive(Debug)]
pub struct Random {
    state: Cell<u64>,
}

impl Random {
    pub(in crate::upstream) fn new(seed: u64, worker: usize) -> Self {
        Self { state: Cell::new(mix(seed ^ mix(worker as u64))) }
    }

    pub(in crate::upstream) fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.state.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }

    /// A number below `bound`, which is not 0. The bias is `bound / 2^64`.
    pub(in crate::upstream) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// Spreads every bit of `value` over all 64 (the finaliser of splitmix64).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
