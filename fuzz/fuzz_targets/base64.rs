//! Base64 in pieces, as gRPC-Web's text form sends it: the same bytes, or the same fault, however its letters come; and what it
//! decodes to, encoded again, decodes to the same.
#![no_main]

use gateway::translate::base64_stream::{Base64Decoder, Base64Fault, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says in what parts the letters come the second time.
    let Some((size, letters)) = bytes.split_first() else { return };
    let at_once = decode(letters, letters.len().max(1));
    assert_eq!(at_once, decode(letters, *size as usize % 16 + 1));
    if let Ok(decoded) = at_once {
        let mut again = Vec::new();
        encode(&decoded, &mut again);
        assert_eq!(decode(&again, 7), Ok(decoded));
    }
});

fn decode(letters: &[u8], size: usize) -> Result<Vec<u8>, Base64Fault> {
    let (mut decoder, mut out) = (Base64Decoder::default(), Vec::new());
    for part in letters.chunks(size) {
        decoder.push(part, &mut out)?;
    }
    decoder.finish().map(|()| out)
}
