//! A configuration: any text is understood or refused with diagnostics, in bounded time and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = gateway::config::load_text(text);
});
