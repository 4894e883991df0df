//! What comes as `Signature-Input`, `Signature` and `Content-Digest`: what is read is written in one way, and read again as that.
#![no_main]

use gateway::policies::identify::signature::is_read_alike;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert!(is_read_alike(bytes), "two could read it differently");
});
