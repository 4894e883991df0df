//! A chunked body: the same data, trailers and end however its bytes come.
#![no_main]

use http1::{BodyDecoder, BodyFault, Fields, Framing, Piece};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says in what parts the bytes come the second time.
    let Some((size, bytes)) = bytes.split_first() else { return };
    let at_once = decode(bytes, bytes.len().max(1));
    let in_parts = decode(bytes, *size as usize % 16 + 1);
    match (&at_once, &in_parts) {
        (Err(_), Err(_)) => {}
        _ => assert_eq!(at_once, in_parts),
    }
});

/// The data, the trailers, and the bytes after the body.
type Decoded = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize);

fn decode(bytes: &[u8], size: usize) -> Result<Decoded, BodyFault> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut trailers) = (Vec::new(), Fields::new());
    let (mut start, mut end) = (0, 0);
    loop {
        match decoder.decode(&bytes[start..end], &mut trailers)? {
            Piece::Data { skip, length } => {
                assert!(length > 0);
                data.extend_from_slice(&bytes[start + skip..start + skip + length]);
                start += skip + length;
            }
            Piece::More { consumed } => {
                start += consumed;
                assert_eq!(start, end);
                if end == bytes.len() {
                    decoder.finish()?;
                }
                end = (end + size).min(bytes.len());
            }
            Piece::End { consumed } => {
                start += consumed;
                assert!(decoder.is_done());
                break;
            }
        }
    }
    let trailers: Vec<_> = trailers.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
    assert!(trailers.iter().all(|(name, value)| http1::is_token(name) && http1::is_field_value(value)));
    Ok((data, trailers, bytes.len() - start))
}
