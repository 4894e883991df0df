//! `grpc-timeout`: what is read can be written again, and is then no longer than it was.
#![no_main]

use gateway::translate::grpc_timeout::{TimeoutText, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = parse(bytes) else { return };
    let text = TimeoutText::new(read);
    let again = parse(text.as_bytes()).expect("what is written can be read");
    assert!(again <= read || read.is_zero());
    assert_eq!(TimeoutText::new(again), text);
});
