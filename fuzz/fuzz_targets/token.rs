//! What comes as a token, and what an issuer says its keys are: whoever has not the key is refused, and nothing ends the process.
#![no_main]

use gateway::policies::identify::jwt::is_refused;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert!(is_refused(bytes), "nobody has signed it");
});
