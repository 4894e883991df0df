//! A ClientHello: the same however its bytes come, in bounded memory, and a name that is a name.
#![no_main]

use gateway::accept::client_hello::{MAX_LENGTH, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at_once = parse(bytes);
    let in_parts = (0..=bytes.len()).map(|length| parse(&bytes[..length])).find(|read| *read != Ok(None));
    assert_eq!(in_parts.unwrap_or(Ok(None)), at_once);
    assert!(at_once != Ok(None) || bytes.len() < MAX_LENGTH);
    if let Ok(Some(hello)) = at_once
        && let Some(name) = hello.server_name
    {
        assert!(!name.is_empty() && name.len() <= 253 && !name.contains(".."));
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    }
});
