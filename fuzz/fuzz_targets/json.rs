//! JSON limits: the scanner and a known parser agree on what is JSON, and limits only ever refuse more.
#![no_main]

use gateway::policies::validate::json::scan::{JsonFault, JsonLimits, scan};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|bytes: &[u8]| {
    let wide =
        JsonLimits { depth: 10_000, keys: u32::MAX, array: u32::MAX, string: u64::MAX, values: u32::MAX };
    let found = scan(bytes, &wide);
    let known = std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    assert_eq!(found.is_ok(), known);
    let narrow = JsonLimits { depth: 3, keys: 3, array: 3, string: 3, values: 9 };
    match scan(bytes, &narrow) {
        Ok(()) => assert!(known),
        Err(JsonFault::Malformed) => assert!(!known),
        Err(_) => {}
    }
});
