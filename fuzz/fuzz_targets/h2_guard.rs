//! A target: however the bytes of an HTTP/2 client are cut into pieces, the guard comes to the same verdict. The first
//! byte says how they are cut.
#![no_main]

use std::time::Instant;

use gateway::accept::h2::{Attack, Guard};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Times that the bytes come again, so that a short input can spend a budget.
const TIMES: usize = 50;

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let all = [PREFACE, &bytes.repeat(TIMES)].concat();
    let now = Instant::now();
    let whole = verdict(&all, all.len(), now);
    assert_eq!(verdict(&all, usize::from(*size).max(1), now), whole);
    assert_eq!(verdict(&all, 1, now), whole);
});

fn verdict(bytes: &[u8], size: usize, now: Instant) -> Result<(), Attack> {
    let mut guard = Guard::new(256, now);
    bytes.chunks(size).try_for_each(|piece| guard.watch(piece, now))
}
