//! Certificates of clients: whatever their bytes are, what is told of them is bounded and breaks no line.
#![no_main]

use gateway::tls::PeerCertificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(peer) = PeerCertificate::parse(&bytes.into()) else { return };
    assert!(peer.subject.len() <= 4096 && peer.sans.len() <= 64 && peer.fingerprint.len() == 64);
    assert!(!peer.subject.contains(char::is_control));
    assert!(peer.sans.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
});
