//! WebSocket frames in pieces: boundaries stand at the same places however the bytes come, and stopping at each of them finds them
//! all.
#![no_main]

use gateway::translate::websocket::FrameTracker;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says in what parts the rest comes the second time.
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = *size as usize % 16 + 1;
    let mut by_byte = FrameTracker::default();
    let mut facts = vec![(by_byte.is_at_boundary(), by_byte.has_closed())];
    for byte in bytes {
        by_byte.advance(&[*byte]);
        facts.push((by_byte.is_at_boundary(), by_byte.has_closed()));
    }
    let mut in_parts = FrameTracker::default();
    let mut at = 0;
    for part in bytes.chunks(size) {
        in_parts.advance(part);
        at += part.len();
        assert_eq!((in_parts.is_at_boundary(), in_parts.has_closed()), facts[at]);
    }
    let mut stopping = FrameTracker::default();
    let mut at = 0;
    while at < bytes.len() {
        // At a boundary one byte leads into the next frame.
        stopping.advance(&bytes[at..=at]);
        at += 1;
        at += stopping.advance_to_boundary(&bytes[at..]);
        assert!(at == bytes.len() || facts[at].0);
        assert_eq!((stopping.is_at_boundary(), stopping.has_closed()), facts[at]);
    }
});
