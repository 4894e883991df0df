//! What comes as cookies of a login, and what comes back from a provider: without the key nothing opens, and nothing of ours is passed on.
#![no_main]

use gateway::policies::identify::oidc::is_nothing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert!(is_nothing(bytes), "nobody has closed it");
});
