//! What registries answer: nothing in it ends the process, what is told of it is clean, and a watch says the same in whatever
//! pieces it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert!(control::is_read_alike(bytes), "it depends on how the bytes come");
});
